#!/bin/sh
# A Singer tap and Airbyte's program for manifests, from PyPI, each in an environment of its own: they agree neither with
# each other's needs nor with noria's. Started beside the tests, which wait for what they need of it: `.installed` or
# `.failed` says what became of each.
cd "$(dirname "$0")/.." || exit 1
install() {
    folder=.venv/programs/$1
    [ -e "$folder/.installed" ] && return
    rm -rf "$folder"
    mkdir -p .venv/programs
    if .venv/bin/python -m venv "$folder" &&
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$2"; then
        touch "$folder/.installed"
    else
        mkdir -p "$folder"
        touch "$folder/.failed"
    fi
} >.venv/programs-"$1".log 2>&1
install singer tap-rest-api-msdk==1.4.2
install airbyte airbyte-cdk==7.39.1
