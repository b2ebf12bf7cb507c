"""What `deploy/` starts is what the command line knows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from noria.cli.main import app

DEPLOY = Path(__file__).parents[2] / "deploy"


def _commands() -> list[list[str]]:
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    unit = (DEPLOY / "noria-worker@.service").read_text("utf-8")
    found = [json.loads(one) for one in re.findall(r"command: (\[.*\])", compose)]
    return found + [shlex.split(one)[1:] for one in re.findall(r"ExecStart=(.*)", unit)]


@pytest.mark.parametrize("arguments", _commands(), ids=" ".join)
def test_the_command_line_takes_it(arguments: list[str]) -> None:
    name, *options = arguments
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    # Raises where an option is unknown or lacks its value.
    command.make_context(name, options)


def test_every_way_to_start_it_is_looked_at() -> None:
    assert len(_commands()) == 2


def test_the_image_holds_what_it_copies_and_installs() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [name for line in re.findall(r"COPY (.*) \S+", recipe) for name in line.split()]
    assert copied and all((DEPLOY.parent / name).exists() for name in copied)
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", recipe)
    project = (DEPLOY.parent / "pyproject.toml").read_text("utf-8")
    assert all(f"\n{extra} = [" in project for extra in extras.split(","))
