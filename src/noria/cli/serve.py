"""Commands that stay: plans on their schedules, in one process or as one of many workers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from getpass import getpass
from typing import Annotated

import typer

from noria.cli.options import HERE, JsonOption, ProjectOption
from noria.cli.output import LiveProgress, console, print_json
from noria.cli.runs import cleaned, interruptible, summary
from noria.engine import Finished, Workspace
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import Project, load_project
from noria.metadata.secrets import Redactor
from noria.monitoring.logs import JsonLog
from noria.monitoring.progress import Observer
from noria.scheduler.loop import Scheduler

ConcurrencyOption = Annotated[int, typer.Option("--concurrency", min=2, max=200, help=t("help.concurrency"))]


# Where `noria serve` shows the console, if nothing is said and nobody else is there.
_CONSOLE = "127.0.0.1:8080"
# A password has so many characters at least.
_SHORTEST = 10
ListenOption = Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help=t("help.listen"))]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(help=t("help.serve"))(serve)
    app.command(help=t("help.worker"))(worker)
    app.command(help=t("help.password"))(password)


def serve(
    project: ProjectOption = HERE,
    listen: ListenOption = None,
    concurrency: ConcurrencyOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Run every plan at its times until told to stop, the console beside; with `--json` one line a finished run."""
    _stay(load_project(project), listen or _CONSOLE, concurrency, as_json)


def worker(
    project: ProjectOption = HERE,
    listen: ListenOption = None,
    concurrency: ConcurrencyOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Take part in running the plans of a project whose ledger is shared."""
    loaded = load_project(project)
    if loaded.ledger.url.startswith("sqlite"):
        raise NoriaError("ledger", Message("worker.sqlite"), path="$.ledger.url", hint=Message("worker.sqlite_hint"))
    _stay(loaded, listen, concurrency, as_json)


def password() -> None:
    """A password as `noria.toml` keeps it under `[console.users.NAME]`: asked for, or from standard input."""
    # Imported here: no other command hashes passwords.
    from noria.console.access import hashed

    if sys.stdin.isatty():
        given = getpass(t("password.ask"))
        if given != getpass(t("password.again")):
            raise NoriaError("usage", Message("password.differs"))
    else:
        given = sys.stdin.readline().rstrip("\n")
    if len(given) < _SHORTEST:
        raise NoriaError("usage", Message("password.short", {"least": _SHORTEST}))
    print(hashed(given))


def _stay(loaded: Project, listen: str | None, concurrency: int, as_json: bool) -> None:
    redactor = Redactor()
    observer: Observer = JsonLog(redactor.clean, time.time) if as_json else LiveProgress(redactor)
    if listen is not None and not listen.rpartition(":")[2].isdigit():
        raise NoriaError("usage", Message("serve.listen", {"listen": listen}), hint=Message("help.listen"))

    async def work(stop: asyncio.Event) -> None:
        async with (
            Workspace(loaded, observer=observer, redactor=redactor) as workspace,
            AsyncExitStack() as beside,
        ):
            told: list[Callable[[Finished], None]] = []

            def finished(one: Finished) -> None:
                if as_json:
                    print_json(cleaned(one.to_json(), redactor))
                else:
                    summary(one, redactor)
                for tell in told:
                    tell(one)

            if listen is not None:
                # Imported here: the web server takes its time, and most runs need none.
                from noria.console.app import Operations
                from noria.console.server import serving

                operations = Operations(workspace, lambda: not stop.is_set())
                told.append(operations.figures.finished)
                beside.callback(operations.close)
                app = operations.app()
                try:
                    port = await beside.enter_async_context(serving(app, listen))
                except NoriaError:
                    if listen != _CONSOLE:
                        raise
                    port = await beside.enter_async_context(serving(app, "127.0.0.1:0"))
                host = listen.rpartition(":")[0] or "127.0.0.1"
                console(stderr=True).print(t("serve.listening", host=host, port=port), markup=False)
            if loaded.ledger.url.startswith("sqlite"):
                await Scheduler(workspace, stop, finished).run()
                return
            # Imported here: a laptop needs neither driver nor job engine.
            from noria.scheduler.worker import Worker

            await Worker(workspace, stop, finished, concurrency=concurrency).run()

    if not as_json:
        console(stderr=True).print(t("serve.started", plans=len(loaded.plan_files())))
    _, signalled = interruptible(work)
    raise typer.Exit(128 + signalled if signalled else 0)
