"""Reconciliation (对账): what source, ledger and target have, day by day; what is missing, and how it is mended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from noria.console.access import Denied, Reader
from noria.console.door import Door, number_in, text_in
from noria.console.render import address, page
from noria.engine.sweep import Window
from noria.ledger import Ledger
from noria.ledger.audit import put
from noria.ledger.byhand import want
from noria.ledger.reconciliations import Reconciled
from noria.ledger.tallies import HOUR, Tally
from noria.metadata.times import DEFAULT_ZONE

_DAYS = 14
# Windows that can be chosen, in days; 0: everything.
_WINDOWS = (0, 1, 7, 30)


class Reconciling:
    """The page, and its acts."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def routes(self) -> list[BaseRoute]:
        """Each with the role that it takes."""
        opens = self.door.opens
        return [
            Route("/reconciliation", opens("viewer", self._page)),
            Route("/plans/{key}/reconcile", opens("operator", self._reconcile), methods=["POST"]),
            Route("/plans/{key}/sweep", opens("operator", self._sweep), methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        key, now = text_in(request.query_params.get("plan")), request.state.now
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
        data = {
            "plan": key,
            "plans": plans,
            "wanted": sorted(wanted),
            "latest": [_shown(one) for one in latest],
            "history": [_shown(one) for one in history] if key else [],
            "newest": _whole(history[0]) if key and history else None,
            "days": _by_day(hours, history if key else [], first),
            "enabled": {one.key: one.enabled for one in self.door.plans()},
        }
        return page(request, "reconciliation.html", data)

    async def _reconcile(self, request: Request) -> Response:
        """Compare a plan's sides, in a run that a worker does; with `fixes`, mend what differs."""
        plan, form, now = self.door.plan_of(request), await request.form(), request.state.now
        days = number_in(form.get("days")) or 0
        if days not in _WINDOWS:
            raise Denied(400, "console.nothing_chosen")
        window = Window(now - days * 86400 if days else None, now, fixes=form.get("fixes") == "yes")
        what = "reconcile_fix" if window.fixes else "reconcile"
        return await self._want(request, plan.key, plan.enabled, "reconcile", what, window)

    async def _sweep(self, request: Request) -> Response:
        """Read a window of the source once more, for what the ledger lacks."""
        plan, form = self.door.plan_of(request), await request.form()
        number = number_in(form.get("reconciliation"))
        found = await self.door.desk.ask(lambda ledger: ledger.reconciliations.one(number or 0))
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
                want(c, key, stage, now, detail)
                put(c, now, reader.name, what, key, told)

        await self.door.desk.ask(note)
        return self.door.done(request, what, key, address("/reconciliation", plan=key), **told)


def _shown(one: Reconciled) -> dict[str, Any]:
    """A reconciliation as lists show it."""
    return {**one._asdict(), "found": None}


def _whole(one: Reconciled) -> dict[str, Any]:
    """With the ids that differ."""
    found = one.found
    sides = {"ledger": found.get("in_ledger"), "target": found.get("in_target")}
    return {**one._asdict(), "sides": {side: differ for side, differ in sides.items() if differ is not None}}


def _by_day(hours: list[Tally], history: list[Reconciled], first: float) -> list[dict[str, Any]]:
    """The figures of each day, the newest first, with the newest reconciliation that ended in it."""
    days: dict[str, dict[str, Any]] = {}
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
