"""The command that stays: plans on their schedules in one process."""

from __future__ import annotations

import asyncio

import typer

from noria.cli.options import HERE, JsonOption, ProjectOption
from noria.cli.output import LiveProgress, console, print_json
from noria.cli.runs import cleaned, interruptible, summary
from noria.engine import Finished, Workspace
from noria.messages import t
from noria.metadata.project import load_project
from noria.metadata.secrets import Redactor
from noria.scheduler.loop import Scheduler


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(help=t("help.serve"))(serve)


def serve(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Run every plan at its times until told to stop; with `--json` one line a finished run."""
    loaded = load_project(project)
    redactor = Redactor()

    def finished(one: Finished) -> None:
        if as_json:
            print_json(cleaned(one.to_json(), redactor))
        else:
            summary(one, redactor)

    async def work(stop: asyncio.Event) -> None:
        async with Workspace(loaded, observer=LiveProgress(redactor, quiet=as_json), redactor=redactor) as workspace:
            await Scheduler(workspace, stop, finished).run()

    if not as_json:
        console(stderr=True).print(t("serve.started", plans=len(loaded.plan_files())))
    _, signalled = interruptible(work)
    raise typer.Exit(128 + signalled if signalled else 0)
