#!/bin/sh
# What the tests need beside Python: installed through the system's package manager where that is allowed. Where it is
# not, the tests that need it say so by name.
sh "$(dirname "$0")/programs.sh" >/dev/null 2>&1 &
PATH="$PATH:/usr/sbin:/usr/local/sbin"
wanted=""
command -v mariadbd >/dev/null 2>&1 || wanted="$wanted mariadb-server"
command -v chromium >/dev/null 2>&1 || wanted="$wanted chromium fonts-noto-cjk"
[ -z "$wanted" ] && exit 0
as=""
[ "$(id -u)" = 0 ] || as="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$as" ] || $as true 2>/dev/null; }; then
    echo "installing$wanted ..."
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    { $as apt-get update -qq && $as apt-get install -y -qq --no-install-recommends $wanted; } >/dev/null 2>&1 ||
        echo "could not install$wanted"
else
    echo "not installed, and no leave to install:$wanted"
fi
exit 0
