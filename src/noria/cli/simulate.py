"""The command that starts a vendor's simulator: a program of its own that knows nothing of noria."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from noria.messages import t


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        help=t("help.simulate"),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )(simulate)


def simulate(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help=t("help.simulator"), show_default=False)] = None,
) -> None:
    """Everything after the name goes to the simulator as it is (`--help` lists it)."""
    arguments = [*([name] if name else []), *context.args]
    command = [sys.executable, "-m", "noria.simulators", *(arguments or ["--help"])]
    if sys.platform == "win32":
        raise typer.Exit(subprocess.call(command))  # noqa: S603 - our own program
    os.execv(sys.executable, command)  # noqa: S606 - likewise
