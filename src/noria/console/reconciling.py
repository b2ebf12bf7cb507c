"""Reconciliation (对账): what source, ledger and target have, day by day; what is missing, and how it is mended."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from noria.console.access import Reader
from noria.console.answers import Day, ReconciliationPage, Windowed
from noria.console.asked import OfPlan, ReconcileAsked, SweepAsked
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, does, shows
from noria.console.render import address, page
from noria.engine.sweep import Window
from noria.ledger import Ledger
from noria.ledger.agenda import want
from noria.ledger.audit import put
from noria.ledger.reconciliations import Reconciled
from noria.ledger.tallies import HOUR, Tally
from noria.metadata.times import DEFAULT_ZONE

_DAYS = 14


class Reconciling:
    """The page, and its acts."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """The page, and its acts."""
        path = "/reconciliation"
        return [
            shows("reconciliation", path, self._page, ReconciliationPage, takes=OfPlan),
            does("reconcile", "/plans/{key}/reconcile", self._reconcile, Windowed, takes=ReconcileAsked),
            does("sweep", "/plans/{key}/sweep", self._sweep, Windowed, takes=SweepAsked),
        ]

    async def _page(self, request: Request) -> Response:
        key, now = request.state.asked.plan, request.state.now
        plans = [one.key for one in self.door.plans()]
        first = _midnight(now) - (_DAYS - 1) * 86400

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(key) if key else None
            wanted = {one.plan for one in ledger.agenda.wanted() if one.stage == "reconcile"}
            if key and number is None:
                return wanted, [], [], []
            latest = ledger.reconciliations.latest() if not key else []
            return wanted, latest, ledger.reconciliations.page(number), ledger.tallies.hours(int(first // HOUR), number)

        wanted, latest, history, hours = await self.door.desk.ask(read)
        shown = ReconciliationPage(
            plan=key,
            plans=plans,
            wanted=sorted(wanted),
            latest=[_shown(one) for one in latest],
            history=[_shown(one) for one in history] if key else [],
            newest=_whole(history[0]) if key and history else None,
            days=_by_day(hours, history if key else [], first),
            enabled={one.key: one.enabled for one in self.door.plans()},
        )
        return page(request, "reconciliation.html", shown)

    async def _reconcile(self, request: Request) -> Response:
        """Compare a plan's sides, in a run that a worker does; with `fixes`, mend what differs."""
        plan, now = self.door.plan_of(request), request.state.now
        asked: ReconcileAsked = request.state.asked
        window = Window(now - asked.days * 86400 if asked.days else None, now, fixes=asked.fixes == "yes")
        what = "reconcile_fix" if window.fixes else "reconcile"
        return await self._want(request, plan.key, plan.enabled, "reconcile", what, window)

    async def _sweep(self, request: Request) -> Response:
        """Read a window of the source once more, for what the ledger lacks."""
        plan, number = self.door.plan_of(request), request.state.asked.reconciliation
        found = await self.door.desk.ask(lambda ledger: ledger.reconciliations.one(number))
        if found is None or found.plan != plan.key:
            raise Denied(404, "console.no_such_reconciliation")
        window = Window(found.begin, found.end if found.end is not None else found.at)
        return await self._want(request, plan.key, plan.enabled, "sweep", "sweep", window)

    async def _want(self, request: Request, key: str, enabled: bool, stage: str, what: str, window: Window) -> Response:
        if not enabled:
            raise Denied(409, "console.paused")
        reader: Reader = request.state.reader
        now, detail = request.state.now, msgspec.json.encode(window).decode()
        told = {"from": window.begin, "to": window.end}

        def note(ledger: Ledger) -> None:
            with ledger.store.transaction() as c:
                want(c, [(key, stage)], now, detail)
                put(c, now, reader.name, what, key, told)

        await self.door.desk.ask(note)
        return self.door.done(request, what, key, address("/reconciliation", plan=key), **told)


def _shown(one: Reconciled) -> dict[str, Any]:
    """A reconciliation as lists show it."""
    return {**asdict(one), "found": None}


def _whole(one: Reconciled) -> dict[str, Any]:
    """With the ids that differ."""
    found = one.found
    sides = {"ledger": found.get("in_ledger"), "target": found.get("in_target")}
    return {**asdict(one), "sides": {side: differ for side, differ in sides.items() if differ is not None}}


def _by_day(hours: list[Tally], history: list[Reconciled], first: float) -> list[Day]:
    """The figures of each day, the newest first, with the newest reconciliation that ended in it."""
    days: dict[str, Day] = {}
    for number in reversed(range(_DAYS)):
        day = _day(first + number * 86400 + 43200)
        days[day] = {"day": day, "staged": 0, "delivered": 0, "troubled": 0, "reconciled": None}
    for one in hours:
        own = days.get(_day(one.hour * HOUR))
        if own is not None:
            own["staged"] += one.staged
            own["delivered"] += one.delivered
            own["troubled"] += one.troubled
    for done in reversed(history):
        own = days.get(_day(done.at))
        if own is not None:
            own["reconciled"] = _shown(done)
    return list(days.values())


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, DEFAULT_ZONE):%Y-%m-%d}"


def _midnight(now: float) -> float:
    return datetime.fromtimestamp(now, DEFAULT_ZONE).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
