"""The schedule of a project in one process: each plan at its times, each failed record when its retry is due.

Plans are read anew at every tick, so a new, changed or removed file counts at once, and a broken one stops only itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from noria.engine import Finished, Workspace, run_plan
from noria.engine.retention import prune_project
from noria.engine.sweep import sweep_of, sweep_schedule
from noria.ledger import ledger_of
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import load_project
from noria.metadata.times import DEFAULT_ZONE, zone
from noria.scheduler.crontab import next_fire

# How often plans are looked at: a minute is the finest that a crontab can say.
TICK_SECONDS = 5.0
_PRUNES = "40 4 * * *"


class Scheduler:
    """Runs a project's plans until `stop` is set. `finished` is told of every run that ends."""

    def __init__(
        self, workspace: Workspace, stop: asyncio.Event, finished: Callable[[Finished], None] = lambda _: None
    ) -> None:
        self.workspace = workspace
        self.stop = stop
        self.finished = finished
        self._active: dict[str, asyncio.Task[None]] = {}
        # What is due of each plan and has not begun yet.
        self._wanted: dict[str, set[str]] = {}
        self._next: dict[tuple[str, str], tuple[str, float]] = {}
        self._complained: dict[str, str] = {}
        self._ticked = 0.0

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
        if now < self._ticked:
            # The clock was set back: times that were worked out before lie too far off.
            self._next.clear()
        self._ticked = now
        self._prune(now)
        enabled = {plan.key: plan for plan in plans if plan.enabled}
        self._wanted = {key: wanted for key, wanted in self._wanted.items() if key in enabled}
        for key, plan in enabled.items():
            self._wanted.setdefault(key, set()).update(self._due(plan, now))
            if self._wanted[key] and key not in self._active:
                # A sweep is a run by itself, and comes after the plan's own.
                wanted = self._wanted[key] - {"sweep"} or {"sweep"}
                self._wanted[key] -= wanted
                self._active[key] = asyncio.ensure_future(self._run(plan, wanted))

    def _prune(self, now: float) -> None:
        """Once a day, in the small hours, let go of what is no longer kept: beside the runs, on a connection of its
        own."""
        if self._fires("", "prune", _PRUNES, now, DEFAULT_ZONE) and "" not in self._active:
            self._active[""] = asyncio.ensure_future(self._pruned(now))

    async def _pruned(self, now: float) -> None:
        project = self.workspace.project

        def prune() -> None:
            with ledger_of(project) as ledger:
                prune_project(project, ledger, now)

        try:
            await asyncio.to_thread(prune)
        except NoriaError as error:
            self._complain("", error)
        finally:
            del self._active[""]

    def _due(self, plan: Plan, now: float) -> set[str]:
        """What of a plan is due: extract, deliver, sweep. Without a crontab of its own delivery follows the source."""
        try:
            tz = zone(plan.timezone) if plan.timezone else DEFAULT_ZONE
            due = set()
            if self._fires(plan.key, "source", plan.schedule, now, tz):
                due |= {"extract"} if plan.target_schedule is not None else {"extract", "deliver"}
            if self._fires(plan.key, "target", plan.target_schedule, now, tz):
                due.add("deliver")
            if self._fires(plan.key, "sweep", sweep_schedule(plan), now, tz):
                due.add("sweep")
        except ValueError as error:
            self._complain(plan.key, error)
            return set()
        return due | ({"deliver"} if self._retry_due(plan, now) else set())

    def _retry_due(self, plan: Plan, now: float) -> bool:
        ledger = self.workspace.ledger
        plan_id = ledger.runs.known_plan(plan.key)
        due = ledger.delivery.next_due(plan_id, now) if plan_id is not None else None
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

    async def _run(self, plan: Plan, wanted: set[str]) -> None:
        try:
            if wanted == {"sweep"}:
                window = sweep_of(plan, self.workspace.clock.now())
                delivers = plan.target_schedule is None
                done = await run_plan(self.workspace, plan, self.stop, delivers=delivers, swept=window)
            else:
                extracts, delivers = "extract" in wanted, "deliver" in wanted
                done = await run_plan(self.workspace, plan, self.stop, extracts=extracts, delivers=delivers)
            self._complained.pop(plan.key, None)
            self.finished(done)
        except NoriaError as error:
            if error.code == "busy":
                # Another process runs the plan: what was due here stays due.
                self._wanted.setdefault(plan.key, set()).update(wanted)
            self._complain(plan.key, error)
        finally:
            del self._active[plan.key]

    def _complain(self, key: str, error: Exception) -> None:
        """Say what is wrong with a plan, once until it is something else."""
        text = str(error)
        if self._complained.get(key) != text:
            self._complained[key] = text
            self.workspace.observer.said(key, Message("serve.broken", {"reason": text}))
