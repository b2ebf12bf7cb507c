"""A run that kills itself (SIGKILL) before its N-th step, a step being a ledger statement, a commit or a request.

Usage: killed_run.py FOLDER PLAN N. Prints the number of steps when it ends before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from noria.connectors.transport import Transport
from noria.engine import Workspace, run_plan
from noria.ledger.store import Store, Transaction
from noria.metadata.project import load_project

steps = 0
fatal = int(sys.argv[3])


def step() -> None:
    """Count, and die at the fatal one."""
    global steps
    steps += 1
    if steps == fatal:
        os.kill(os.getpid(), signal.SIGKILL)


def watched(kind: Any, name: str) -> None:
    """Put a step before a method."""
    method = getattr(kind, name)
    if asyncio.iscoroutinefunction(method):

        async def waited(self: Any, *args: Any, **kwargs: Any) -> Any:
            step()
            result = await method(self, *args, **kwargs)
            step()
            return result

        setattr(kind, name, waited)
        return

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        step()
        return method(self, *args, **kwargs)

    setattr(kind, name, called)


class Commits:
    """The writing connection, with a step before each statement that begins or ends a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *args: Any) -> Any:
        """Run it."""
        step()
        return self._connection.execute(statement, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def main() -> None:
    """One run."""
    for name in ("run", "many", "value", "row", "rows"):
        watched(Transaction, name)
    watched(Transport, "raw")
    opened = Store.__init__

    def opening(self: Store, engine: Any) -> None:
        opened(self, engine)
        self._writing = Commits(self._writing)

    Store.__init__ = opening  # type: ignore[method-assign]
    async with Workspace(load_project(Path(sys.argv[1]))) as workspace:
        await run_plan(workspace, workspace.project.plan(sys.argv[2]))
    print(steps)


asyncio.run(main())
