"""The schedule of a project in one process: each plan at its times, each failed record when its retry is due.

Plans are read anew at every tick, so a new, changed or removed file counts at once, and a broken one stops only itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from noria.engine import Finished, Workspace
from noria.metadata.clock import sleep_unless
from noria.metadata.errors import NoriaError
from noria.scheduler.runner import Runner

# How often plans are looked at: a minute is the finest that a crontab can say.
TICK_SECONDS = 5.0


class Scheduler:
    """Runs a project's plans until `stop` is set. `finished` is told of every run that ends."""

    def __init__(
        self, workspace: Workspace, stop: asyncio.Event, finished: Callable[[Finished], None] = lambda _: None
    ) -> None:
        self.workspace = workspace
        self.stop = stop
        self.runner = Runner(workspace, stop, finished)
        self._active: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Tick until asked to stop; runs under way are ended in order."""
        clock = self.workspace.clock
        while not self.stop.is_set():
            try:
                self.tick(clock.now())
            except NoriaError as error:
                # A ledger that can't be used for a moment: what is due stays due.
                self.runner.complain("", error)
            await sleep_unless(self.stop, clock, TICK_SECONDS)
        await self.idle()
        with suppress(NoriaError):
            self.workspace.ledger.agenda.resign()

    async def idle(self) -> None:
        """Wait until no run is under way, and no message."""
        if self._active:
            await asyncio.gather(*self._active.values())
        await self.runner.alerting.idle()

    def tick(self, now: float) -> None:
        """Start whatever is wanted at `now` and not already under way."""
        if self.runner.look(now) is None:
            return
        for key in dict.fromkeys(one.plan for one in self.runner.agenda.wanted()):
            if key not in self._active:
                self._active[key] = asyncio.ensure_future(self._run(key))

    async def _run(self, key: str) -> None:
        try:
            await self.runner.run(key)
        finally:
            del self._active[key]
