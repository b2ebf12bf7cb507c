"""Runs that are sent a signal before their N-th step (see `fatal.py` for what a step is), each a process of its own.

Reads lines `FOLDER PLAN N SIGNAL` (tabs between), and answers each with a line `EXIT STEPS STATUS`; a run that was killed
has no steps and no status. The processes are forked from this one, which has imported everything already.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from noria.engine import Workspace, run_plan
from noria.metadata.project import load_project
from tests.faults.fatal import Steps


async def run(folder: str, plan: str, fatal: str, name: str) -> str:
    """One run, stopped by SIGTERM as the command stops it."""
    steps = Steps(lambda: os.kill(os.getpid(), signal.Signals[f"SIG{name}"]))
    steps.fatal = int(fatal)
    steps.watch(pytest.MonkeyPatch())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Workspace(load_project(Path(folder))) as workspace:
        finished = await run_plan(workspace, workspace.project.plan(plan), stop)
    return f"{steps.count} {finished.status}"


def forked(line: str) -> tuple[int, str]:
    """A run in a process of its own: its exit code (below 0: the signal that ended it) and what it said."""
    out, into = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(out)
        os.write(into, asyncio.run(run(*line.rstrip("\n").split("\t"))).encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as reader:
        said = reader.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


for asked in sys.stdin:
    print(*forked(asked), flush=True)
