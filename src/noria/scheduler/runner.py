"""Runs what is wanted of one plan until nothing is."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable

import msgspec

from noria.engine import Finished, Workspace, assist_plan, reconcile_plan, run_plan
from noria.engine.retention import prune_project
from noria.engine.sweep import Window, chosen_window
from noria.ledger import ledger_of
from noria.ledger.agenda import Agenda, Wanted
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import load_project
from noria.scheduler.alerting import Alerting
from noria.scheduler.timetable import PRUNE, Timetable

# Errors that say nothing of the plan: it stays wanted.
_AGAIN = ("busy", "superseded", "ledger")
# Runs by themselves, which come after the plan's own, in this order.
_BY_THEMSELVES = ("sweep", "reconcile")


class Runner:
    """Carries out a project's plans. `finished` is told of every run that ends."""

    def __init__(
        self, workspace: Workspace, stop: asyncio.Event, finished: Callable[[Finished], None] = lambda _: None
    ) -> None:
        self.workspace = workspace
        self.stop = stop
        self.finished = finished
        self.timetable = Timetable(self.agenda, self.complain)
        self.alerting = Alerting(workspace, self.complain)
        # Plans whose files can't be read now: neither there nor gone.
        self.unreadable: set[str] = set()
        self._complained: dict[str, str] = {}

    @property
    def agenda(self) -> Agenda:
        """What is wanted."""
        return self.workspace.ledger.agenda

    def plans(self) -> list[Plan]:
        """The project's plans as their files are now; what can't be read is said, and stays as it was."""
        try:
            self.workspace.project = load_project(self.workspace.project.folder)
        except NoriaError as error:
            self.complain("", error)
        else:
            self._complained.pop("", None)
        plans, broken = self.workspace.project.plans()
        for one in broken:
            self.complain(one.plan, one)
        self.unreadable = {one.plan for one in broken}
        return plans

    def look(self, now: float) -> float | None:
        """Note what is due at `now` (epoch seconds by this machine's clock); gives the time that counts. None, and
        nothing is noted, where another process looks at the schedules."""
        # Also where another looks: the plans that it has run here are the newest.
        plans = self.plans()
        now = self.workspace.ledger.store.time(now)
        if not self.agenda.lead(now):
            self.timetable.forget()
            return None
        self.timetable.tick(plans, now, self.unreadable)
        self._alert(plans, now)
        return now

    def _alert(self, plans: list[Plan], now: float) -> None:
        """Look what has to be told; whatever is wrong with that keeps no plan from running."""
        try:
            self.alerting.look(plans, now, self.unreadable)
        except NoriaError as error:
            self.complain("alerts", error)
        except Exception as error:  # noqa: BLE001 - told, with its traceback
            self.complain("alerts", error)
            traceback.print_exc()

    async def run(self, key: str) -> bool:
        """Run what is wanted of a plan, also what comes to be wanted meanwhile; whether all of it was done. It is not
        where the process is asked to stop, or where another has the plan: then it stays wanted."""
        while not self.stop.is_set():
            wanted = self.agenda.wanted(key)
            if not wanted:
                return True
            own = _next_of(wanted)
            try:
                if not await self._stages(key, {one.stage for one in own}, own[0].detail):
                    return False
            except NoriaError as error:
                self.complain(key, error)
                if error.code in _AGAIN:
                    return False
            except Exception as error:  # noqa: BLE001 - told, with its traceback
                # A defect of noria's own must not stop the other plans, nor go unsaid.
                self.complain(key, error)
                traceback.print_exc()
            self.agenda.done(own)
        return False

    async def assist(self, key: str) -> None:
        """Take a share in what another process does for a plan, as long as it has one to give."""
        plan = self.workspace.project.enabled(key)
        if plan is None:
            return
        try:
            await assist_plan(self.workspace, plan, self.stop)
        except NoriaError as error:
            # The run that it assisted in is over, or the database away: whoever has the plan sees to what is left.
            if error.code not in _AGAIN:
                self.complain(key, error)
        except Exception as error:  # noqa: BLE001 - told, with its traceback
            self.complain(key, error)
            traceback.print_exc()

    async def _stages(self, key: str, stages: set[str], detail: str | None) -> bool:
        """Run them; whether that was not broken off. `detail`: a window that a person chose."""
        if (key, *stages) == PRUNE:
            await self._prune()
            return True
        plan = self.workspace.project.enabled(key)
        if plan is None:
            # Its file is not here yet, or half-written; who looks at the schedules lets go of what is gone.
            return False
        now = self.workspace.clock.now()
        chosen = msgspec.json.decode(detail, type=Window) if detail is not None else None
        if stages == {"reconcile"}:
            window, fixes = chosen_window(plan, now, chosen or Window(None, now)), chosen is not None and chosen.fixes
            done, _ = await reconcile_plan(self.workspace, plan, self.stop, wanted=window, fixes=fixes)
        elif stages == {"sweep"}:
            window = chosen_window(plan, now, chosen)
            delivers = plan.target_schedule is None
            done = await run_plan(self.workspace, plan, self.stop, delivers=delivers, swept=window)
        else:
            extracts, delivers = "extract" in stages, "deliver" in stages
            done = await run_plan(self.workspace, plan, self.stop, extracts=extracts, delivers=delivers)
        self._complained.pop(key, None)
        self.finished(done)
        # What a person cancelled is not taken up again by itself.
        return done.status != "stopped" or done.cancelled

    async def _prune(self) -> None:
        """Let go of what is no longer kept: beside the runs, on a connection of its own."""
        project, now = self.workspace.project, self.workspace.clock.now()

        def prune() -> None:
            with ledger_of(project) as ledger:
                prune_project(project, ledger, now)

        await asyncio.to_thread(prune)

    def complain(self, key: str, error: Exception) -> None:
        """Say what is wrong with a plan, once until it is something else."""
        text = str(error) if isinstance(error, NoriaError) else f"{type(error).__name__}: {error}"
        if self._complained.get(key) != text:
            self._complained[key] = text
            self.workspace.observer.said(key, Message("serve.broken", {"reason": text}))


def _next_of(wanted: list[Wanted]) -> list[Wanted]:
    """What of it is run next: the plan's own stages together, then each of the others by itself."""
    own = [one for one in wanted if one.stage not in _BY_THEMSELVES]
    return own or [one for stage in _BY_THEMSELVES for one in wanted if one.stage == stage][:1]
