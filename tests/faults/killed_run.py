"""A run that is sent a signal before its N-th step (see `fatal.py` for what a step is).

Usage: killed_run.py FOLDER PLAN N [SIGNAL, default KILL]. Prints the number of steps and the status when it ends.
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

NUMBER = signal.Signals[f"SIG{sys.argv[4] if len(sys.argv) > 4 else 'KILL'}"]


async def main() -> None:
    """One run, stopped by SIGTERM as the command stops it."""
    steps = Steps(lambda: os.kill(os.getpid(), NUMBER))
    steps.fatal = int(sys.argv[3])
    steps.watch(pytest.MonkeyPatch())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Workspace(load_project(Path(sys.argv[1]))) as workspace:
        finished = await run_plan(workspace, workspace.project.plan(sys.argv[2]), stop)
    print(steps.count, finished.status)


asyncio.run(main())
