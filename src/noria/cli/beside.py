"""What demos share: simulators as processes of their own, what is asked of them, runs here, and the runs' table."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from rich.table import Table

from noria.cli.output import LiveProgress, table
from noria.engine import Finished, Workspace, run_plan
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.metadata.secrets import Redactor

_COLUMNS = ("staged", "unchanged", "delivered", "invalid", "retried", "requests")


@contextmanager
def simulator(name: str, *arguments: str) -> Iterator[dict[str, str]]:
    """A simulator as a process of its own; gives its start line."""
    command = [sys.executable, "-m", "noria.simulators", name, "--with-parent", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")  # noqa: S603
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise NoriaError("simulator", Message("demo.no_simulator", {"name": name}))
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> str:
    """A request to a simulator on this machine."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data, headers=headers or {}), timeout=30) as answer:  # noqa: S310 - 127.0.0.1
        text: str = answer.read().decode()
        return text


def truth(simulated: dict[str, str], kind: str) -> list[dict[str, Any]]:
    """What a simulated system has, its numbers exact."""
    text = ask(f"{simulated['control']}/truth?list={kind}")
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def runs(folder: Path, plans: Sequence[str], *, quiet: bool) -> list[Finished]:
    """One run of each of these plans, in this process, over real HTTP."""
    redactor = Redactor()
    with LiveProgress(redactor, quiet=quiet) as progress:

        async def work() -> list[Finished]:
            async with Workspace(load_project(folder), observer=progress, redactor=redactor) as workspace:
                return [await run_plan(workspace, workspace.project.plan(key)) for key in plans]

        return asyncio.run(work())


def runs_table(titled: Sequence[tuple[str, Sequence[Finished]]], columns: Sequence[str] = _COLUMNS) -> Table:
    """Runs, one a line, under what they are called."""
    shown = table(t("demo.run"), *(t("count." + name) for name in columns), t("demo.seconds"), numbers=len(columns) + 1)
    for title, finished in titled:
        for one in finished:
            counts = one.counts.as_dict()
            figures = (f"{counts[name]:,}" for name in columns)
            shown.add_row(f"{title} · {one.plan}", *figures, f"{one.finished_at - one.started_at:.1f}")
    return shown
