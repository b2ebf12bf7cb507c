"""The schedule of a project in one process: each plan at its times, each failed record when its retry is due.

Plans are read anew at every tick, so a new, changed or removed file counts at once, and a broken one stops only itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from noria.engine import Finished, Workspace, run_plan
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import load_project
from noria.metadata.times import DEFAULT_ZONE, zone
from noria.scheduler.crontab import next_fire

# How often plans are looked at: a minute is the finest that a crontab can say.
TICK_SECONDS = 5.0


class Scheduler:
    """Runs a project's plans until `stop` is set. `finished` is told of every run that ends."""

    def __init__(
        self, workspace: Workspace, stop: asyncio.Event, finished: Callable[[Finished], None] = lambda _: None
    ) -> None:
        self.workspace = workspace
        self.stop = stop
        self.finished = finished
        self._active: dict[str, asyncio.Task[None]] = {}
        self._next: dict[tuple[str, str], tuple[str, float]] = {}
        self._complained: dict[str, str] = {}

    async def run(self) -> None:
        """Tick until asked to stop; runs under way are ended in order."""
        clock = self.workspace.clock
        while not self.stop.is_set():
            self.tick(clock.now())
            waiting = asyncio.ensure_future(clock.sleep(TICK_SECONDS))
            stopping = asyncio.ensure_future(self.stop.wait())
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (waiting, stopping):
                task.cancel()
        await self.idle()

    async def idle(self) -> None:
        """Wait until no run is under way."""
        if self._active:
            await asyncio.gather(*self._active.values())

    def tick(self, now: float) -> None:
        """Start whatever is due at `now` and not already under way."""
        self.workspace.project = load_project(self.workspace.project.folder)
        plans, broken = self.workspace.project.plans()
        for error in broken:
            self._complain(error.plan, error)
        for plan in plans:
            if not plan.enabled:
                continue
            extracts, delivers = self._due(plan, now)
            if (extracts or delivers) and plan.key not in self._active:
                task = asyncio.ensure_future(self._run(plan, extracts, delivers))
                self._active[plan.key] = task

    def _due(self, plan: Plan, now: float) -> tuple[bool, bool]:
        """Whether a plan's source and its target are due. Without a crontab of its own delivery follows the source."""
        try:
            tz = zone(plan.timezone) if plan.timezone else DEFAULT_ZONE
            extracts = self._fires(plan.key, "source", plan.schedule, now, tz)
            delivers = extracts and plan.target_schedule is None
            delivers |= self._fires(plan.key, "target", plan.target_schedule, now, tz)
        except ValueError as error:
            self._complain(plan.key, error)
            return False, False
        return extracts, delivers or self._retry_due(plan, now)

    def _retry_due(self, plan: Plan, now: float) -> bool:
        ledger = self.workspace.ledger
        plan_id = ledger.runs.known_plan(plan.key)
        due = ledger.delivery.next_due(plan_id) if plan_id is not None else None
        return due is not None and due <= now

    def _fires(self, key: str, side: str, crontab: str | None, now: float, tz: ZoneInfo) -> bool:
        """Whether a crontab's time has come since the last tick; several missed ones count as one."""
        if crontab is None:
            return False
        text = f"{crontab} {tz.key}"
        known, due = self._next.get((key, side), ("", 0.0))
        if known != text:
            self._next[key, side] = (text, next_fire(crontab, now, tz))
            return False
        if now < due:
            return False
        self._next[key, side] = (text, next_fire(crontab, now, tz))
        return True

    async def _run(self, plan: Plan, extracts: bool, delivers: bool) -> None:
        try:
            done = await run_plan(self.workspace, plan, self.stop, extracts=extracts, delivers=delivers)
            self._complained.pop(plan.key, None)
            self.finished(done)
        except NoriaError as error:
            self._complain(plan.key, error)
        finally:
            del self._active[plan.key]

    def _complain(self, key: str, error: Exception) -> None:
        """Say what is wrong with a plan, once until it is something else."""
        text = str(error)
        if self._complained.get(key) != text:
            self._complained[key] = text
            self.workspace.observer.said(key, Message("serve.broken", {"reason": text}))
