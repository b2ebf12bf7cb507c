"""告警 Alerts: what is on, what was, over which channels people hear of it; channels are tried, alerts acknowledged."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from noria.console.answers import Acknowledged, AlertsPage, ChannelTested, ShownAlert, ShownChannel, ShownRule, Told
from noria.console.asked import OlderThan
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, does, shows
from noria.console.render import page
from noria.ledger import Ledger
from noria.ledger.alerts import BEGAN, About, Alert, Notice
from noria.metadata.alerts import LASTING, AlertSettings, Ruling, rulings
from noria.metadata.errors import NoriaError
from noria.monitoring.telling import lasted, link, worded
from noria.scheduler.trial import try_channel


class AlertPages:
    """The page, and what can be done on it."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """The page, and its acts."""
        return [
            shows("alerts", "/alerts", self._alerts, AlertsPage, takes=OlderThan),
            does("acknowledge", "/alerts/{number}/acknowledge", self._acknowledge, Acknowledged),
            does("try_channel", "/alerts/channels/{name}/test", self._test, ChannelTested),
        ]

    async def _alerts(self, request: Request) -> Response:
        now, asked = request.state.now, request.state.asked
        settings, clean = self.door.workspace.project.alerts, self.door.workspace.redactor.clean

        on, ended, stands = await self.door.desk.ask(
            lambda ledger: (
                alerts_on(ledger, settings, now),
                alerts_over(ledger, settings, now, before=asked.before, limit=asked.limit + 1),
                ledger.alerts.channels(),
            )
        )
        rules = rulings(settings)
        shown, more = cut(ended, asked.limit)
        answer = AlertsPage(
            on=on,
            ended=shown,
            next=shown[-1].number if more else None,
            before=asked.before,
            channels=[
                ShownChannel(
                    name=name,
                    kind=one.kind,
                    severity=one.severity,
                    address=clean(", ".join(one.to) if one.kind == "email" else ""),
                    rules=[rule.name for rule in rules if name in rule.channels],
                    quiet=f"{one.quiet.begin}–{one.quiet.end} {one.zone}" if one.quiet else None,
                    quiet_until=one.quiet_until(now),
                    stands=stands.get(name),
                )
                for name, one in settings.channels.items()
            ],
            rules=[shown_rule(rule) for rule in rules],
        )
        return page(request, "alerts.html", answer)

    async def _acknowledge(self, request: Request) -> Response:
        number, now, who = request.path_params["number"], request.state.now, request.state.reader.name
        found = await self.door.desk.ask(lambda ledger: ledger.alerts.acknowledge(number, who, now))
        if found is None:
            raise Denied(409, "console.not_on")
        plan = "" if found.kind == "token" else found.subject
        detail = {"connection": found.subject, "rule": found.rule, "alert": found.number}
        return await self.door.noted(request, "acknowledge", plan, "/alerts", **detail)

    async def _test(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        try:
            error = await try_channel(self.door.workspace, name, self.door.desk.ask)
        except NoriaError as refused:
            if refused.code == "soon":
                raise Denied(429, "console.channel_soon") from None
            if refused.code == "unknown_channel":
                raise Denied(404, "console.no_such_channel") from None
            raise
        if error is None:
            return await self.door.noted(request, "channel", "", "/alerts", connection=name)
        return await self.door.noted(request, "channel_failed", "", "/alerts", connection=name, reason=str(error))


def alerts_on(ledger: Ledger, settings: AlertSettings, now: float, about: About | None = None) -> list[ShownAlert]:
    """Alerts that are on, with who was told of them."""
    return _with_notices(ledger, settings, now, ledger.alerts.on(about))


def alerts_over(
    ledger: Ledger,
    settings: AlertSettings,
    now: float,
    about: About | None = None,
    *,
    before: int | None = None,
    limit: int,
) -> list[ShownAlert]:
    """The newest of the alerts that are over, with who was told of them."""
    return _with_notices(ledger, settings, now, ledger.alerts.ended(about, before=before, limit=limit))


def shown_rule(rule: Ruling) -> ShownRule:
    """A rule as it counts."""
    return ShownRule(
        name=rule.name,
        kind=rule.kind,
        after=lasted(rule.after) if rule.kind in LASTING else int(rule.after),
        severity=rule.severity,
        plans=sorted(rule.plans or ()),
        others=sorted(rule.others),
        channels=list(rule.channels),
    )


def _with_notices(ledger: Ledger, settings: AlertSettings, now: float, alerts: list[Alert]) -> list[ShownAlert]:
    notices = ledger.alerts.notices(one.number for one in alerts)
    quiet = {name: one.quiet_until(now) for name, one in settings.channels.items()}
    return [_shown(one, notices[one.number], quiet) for one in alerts]


def _shown(alert: Alert, notices: Iterable[Notice], quiet: dict[str, float | None]) -> ShownAlert:
    """An alert with what was said of it where."""
    return ShownAlert(
        number=alert.number,
        rule=alert.rule,
        kind=alert.kind,
        severity=alert.severity,
        subject=alert.subject,
        what=worded(alert.what) if alert.what is not None else None,
        began_at=alert.began_at,
        ended_at=alert.ended_at,
        why=alert.why,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        page=link(alert.kind, alert.subject, "/"),
        told=_told(notices, quiet),
    )


def _told(notices: Iterable[Notice], quiet: dict[str, float | None]) -> list[Told]:
    """By channel how far an alert was told: of its beginning, unless it was told of its end, too."""
    newest: dict[str, Notice] = {}
    for one in notices:
        # An end follows only a beginning that was, or is to be, told.
        if one.channel not in newest or one.phase != BEGAN:
            newest[one.channel] = one
    found = []
    for channel, one in newest.items():
        until = quiet.get(channel) if one.state == "waiting" else None
        state = "held" if until is not None else "retried" if one.state == "waiting" and one.tries else one.state
        found.append(Told(channel=channel, phase=one.phase, state=state, at=one.at, until=until))
    return found
