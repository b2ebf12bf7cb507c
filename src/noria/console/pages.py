"""The console's pages: what each shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from noria.connectors.limits import uses
from noria.connectors.registry import limits_of
from noria.console.alerts import alerts_on, alerts_over, shown_rule
from noria.console.answers import (
    AuditPage,
    Connection,
    ConnectionsPage,
    End,
    FailuresPage,
    OverviewPage,
    PlanPage,
    PlansPage,
    Problem,
    ShownPlan,
    Times,
)
from noria.console.asked import OfPlan, OlderThan, PlanAsked
from noria.console.charts import by_hour, span_of
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, shows
from noria.console.render import page
from noria.console.wording import in_words
from noria.engine.expiry import expiries
from noria.ledger import Ledger
from noria.ledger.alerts import About
from noria.ledger.browsing import TROUBLE
from noria.ledger.overview import Overview, PlanStands, overview
from noria.ledger.places import SharedPlaces
from noria.ledger.records import STATES
from noria.ledger.tallies import HOUR, Tally
from noria.metadata.alerts import rulings
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.times import DEFAULT_ZONE
from noria.scheduler.coming import coming, schedules, times

_PAGE = 50


class Pages:
    """The pages of a project."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """Every page."""
        return [
            shows("overview", "/", self._overview, OverviewPage),
            shows("plans", "/plans", self._plans, PlansPage),
            shows("plan", "/plans/{key}", self._plan, PlanPage, takes=PlanAsked),
            shows("failures", "/failures", self._failures, FailuresPage, takes=OfPlan),
            shows("connections", "/connections", self._connections, ConnectionsPage),
            shows("audit", "/audit", self._audit, AuditPage, takes=OlderThan, role="admin"),
        ]

    async def _overview(self, request: Request) -> Response:
        now = request.state.now
        first = int(now // HOUR) - 23
        found, causes, runs, hours, alerts, channels = await self.door.desk.ask(
            lambda ledger: (
                _stands(ledger, now),
                ledger.browsing.causes(),
                ledger.browsing.runs(limit=8),
                ledger.tallies.hours(first),
                ledger.alerts.on(),
                ledger.alerts.channels(),
            )
        )
        declared = self.door.workspace.project.alerts.channels
        loaded, broken = self.door.workspace.project.plans()
        plans = {one.key for one in loaded}
        waiting: dict[str, int] = {}
        for one in causes:
            waiting[one.plan] = waiting.get(one.plan, 0) + one.count
        shown = OverviewPage(
            plans=found.plans,
            plan_count=len(plans),
            waiting=waiting,
            failed=[one.key for one in found.plans if one.last_status == "failed" and one.key in plans],
            broken=_problems(broken),
            causes=causes[:8],
            workers=found.workers,
            lost=found.lost,
            queue=found.queue,
            runs=runs,
            span=span_of(runs, now),
            hours=by_hour({one.hour: one.delivered for one in hours}, int(now // HOUR)),
            today=_today(hours, now),
            coming=coming(loaded, now),
            alerts=[one.subject for one in alerts],
            silent_channels=[name for name, one in channels.items() if one.error is not None and name in declared],
        )
        return page(request, "overview.html", shown)

    async def _plans(self, request: Request) -> Response:
        now = request.state.now
        last = int(now // HOUR)
        found, delivered = await self.door.desk.ask(
            lambda ledger: (_stands(ledger, now), ledger.tallies.delivered(last - 23))
        )
        stands = {one.key: one for one in found.plans}
        plans, broken = self.door.workspace.project.plans()
        shown = PlansPage(
            plans=[_shown(one, stands.get(one.key)) for one in plans],
            broken=_problems(broken),
            hours={one.key: by_hour(delivered.get(one.key, {}), last) for one in plans},
        )
        return page(request, "plans.html", shown)

    async def _plan(self, request: Request) -> Response:
        plan, now = self.door.plan_of(request), request.state.now
        settings = self.door.workspace.project.alerts
        about = About(plan.key, (plan.source.connection, plan.target.connection))

        def alerted(ledger: Ledger) -> Any:
            over = alerts_over(ledger, settings, now, about, limit=_PAGE) if tab == "alerts" else []
            return alerts_on(ledger, settings, now, about), over

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(plan.key)
            if number is None:
                return None, dict.fromkeys(STATES, 0), [], [], []
            stands = next((one for one in _stands(ledger, now).plans if one.key == plan.key), None)
            counts = ledger.records.counts(number, kept=True)
            runs = ledger.browsing.runs(number, limit=_PAGE if tab == "runs" else 8)
            return stands, counts, runs, ledger.browsing.causes(plan_id=number), ledger.tallies.hours(last - 23, number)

        tab, last = request.state.asked.tab, int(now // HOUR)
        (stands, counts, runs, causes, hours), (on, over) = await self.door.desk.ask(
            lambda ledger: (read(ledger), alerted(ledger))
        )
        rules = [one for one in rulings(settings) if one.concerns(plan.key)]
        shown = PlanPage(
            plan=_shown(plan, stands),
            tab=tab,
            counts=counts,
            runs=runs,
            span=span_of(runs, now),
            hours=by_hour({one.hour: one.delivered for one in hours}, last),
            causes=causes,
            mapping=list(in_words(plan.target.metadata.items())) if tab == "mapping" else [],
            times=_times(plan, now) if tab == "schedule" else [],
            alerts=on,
            alerts_over=over,
            rules=[shown_rule(one) for one in rules] if tab == "alerts" else [],
            zone=plan.timezone or DEFAULT_ZONE.key,
            source=plan.source.document,
            target=plan.target.document,
        )
        return page(request, "plan.html", shown)

    async def _failures(self, request: Request) -> Response:
        asked: OfPlan = request.state.asked

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(asked.plan) if asked.plan else None
            return [] if asked.plan and number is None else ledger.browsing.causes(TROUBLE, number)

        found = await self.door.desk.ask(read)
        return page(request, "failures.html", FailuresPage(plan=asked.plan, causes=found))

    async def _connections(self, request: Request) -> Response:
        """What `noria.toml` connects to, and which plans use it; never a secret, nor where it is kept."""
        plans, workspace = self.door.plans(), self.door.workspace
        clean, ends = workspace.redactor.clean, expiries(workspace.project, workspace.redactor)
        # Where processes share the limits, the ledger has what is taken; else this process counts it.
        shared = await self.door.desk.ask(lambda ledger: SharedPlaces(ledger.store, workspace.clock.now).taken())
        taken = {**shared, **workspace.taken()}
        places = {name: count for name, (count, _) in taken.items()}
        held = {name: request.state.now + seconds for name, (_, seconds) in taken.items() if seconds > 0}
        shown = [
            Connection(
                name=name,
                connector=str(table.get("connector", "")),
                address=clean(_place(table)),
                limits=table.get("limits") or {},
                uses=uses(name, limits_of(table), places),
                held_until=held.get(name),
                expires=ends.get(name),
                reads=[plan.key for plan in plans if plan.source.connection == name],
                writes=[plan.key for plan in plans if plan.target.connection == name],
            )
            for name, table in workspace.project.connections.items()
        ]
        return page(request, "connections.html", ConnectionsPage(connections=shown))

    async def _audit(self, request: Request) -> Response:
        """Who changed what."""
        asked: OlderThan = request.state.asked
        rows = await self.door.desk.ask(lambda ledger: ledger.audit.page(before=asked.before, limit=asked.limit + 1))
        changes, more = cut(rows, asked.limit)
        return page(request, "audit.html", AuditPage(changes=changes, next=changes[-1].number if more else None))


def _today(hours: Sequence[Tally], now: float) -> Tally:
    """What happened since midnight."""
    day = datetime.fromtimestamp(now, DEFAULT_ZONE).date()
    own = [one for one in hours if datetime.fromtimestamp(one.hour * HOUR, DEFAULT_ZONE).date() == day]
    figures = (sum(one.staged for one in own), sum(one.delivered for one in own), sum(one.troubled for one in own))
    return Tally(int(now // HOUR), *figures)


def _times(plan: Plan, now: float) -> list[Times]:
    """A plan's schedules, each with its next times."""
    return [Times(kind=kind, crontab=crontab, at=times(plan, crontab, now)) for kind, crontab in schedules(plan)]


def _stands(ledger: Ledger, now: float) -> Overview:
    return overview(ledger.store, ledger.agenda, now)


def _problems(errors: Sequence[NoriaError]) -> list[Problem]:
    return [msgspec.convert(error.to_json(), Problem) for error in errors]


def _shown(plan: Plan, stands: PlanStands | None) -> ShownPlan:
    """A plan as lists show it."""
    return ShownPlan(
        key=plan.key,
        name=plan.name,
        enabled=plan.enabled,
        schedule=plan.schedule,
        target_schedule=plan.target_schedule,
        source=End(connection=plan.source.connection, api=plan.source.metadata.api),
        target=End(connection=plan.target.connection, api=plan.target.metadata.api),
        stands=stands or PlanStands(plan.key, plan.name),
    )


def _place(table: Mapping[str, Any]) -> str:
    """Where a connection leads: an address, a database, a folder, or a program."""
    found = (table.get(key) for key in ("base_url", "url", "folder", "tap", "target", "source"))
    return next((one for one in found if isinstance(one, str) and one), "")
