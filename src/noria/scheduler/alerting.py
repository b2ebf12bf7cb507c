"""Alerts: once a look, what begins and ends is noted in the ledger; what is to be said is sent beside.

Called by whoever looks at the schedules, so by one process of all. Nothing is sent before it is noted. A try is noted
before it is made, and keeps others from trying until it is over; who dies in between leaves a message that is sent once
more, not one that is lost.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence

from noria.engine import Workspace
from noria.ledger.alerts import ENDED, Alert, Begun, Notice
from noria.messages import Message, language
from noria.metadata.alerts import Channel
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.monitoring.telling import Told, text
from noria.scheduler.rules import Found, Rules

# Messages over a channel are so far apart, in seconds: robots of 钉钉 and 企业微信 take 20 a minute, for everybody who
# uses them; what begins meanwhile goes into the next message.
GAP = 10.0
# How long a try keeps others from trying, longer than it can take; then how long a channel that fails is left alone.
PAUSES = (30.0, 60.0, 120.0, 300.0, 600.0)

_ENDING = 10.0


class Alerting:
    """A project's alerts. `complain` is told what goes wrong with them, once until it is something else."""

    def __init__(self, workspace: Workspace, complain: Callable[[str, Exception], None]) -> None:
        self.workspace = workspace
        self.complain = complain
        self.rules = Rules(workspace)
        self._sending: dict[str, asyncio.Task[None]] = {}

    def look(self, plans: Sequence[Plan], now: float, unreadable: set[str]) -> None:
        """Note what begins and ends at `now` (epoch seconds), and begin to send what is to be said. `unreadable`: plans
        whose files can't be read, of which everything stays as it is."""
        alerts, channels = self.workspace.ledger.alerts, self.workspace.project.alerts.channels
        found = {(one.rule.name, one.subject): one for one in self.rules.look(plans, now)}
        on = {(one.rule, one.subject): one for one in alerts.on()}
        begun = [_begun(one) for key, one in found.items() if key not in on and self.rules.patient(one, now)]
        ended = [
            (one, self._why(one, plans))
            for key, one in on.items()
            if key not in found and one.subject not in unreadable
        ]
        changed = [(on[key], one.what) for key, one in found.items() if key in on and on[key].what != one.what]
        quiet = [name for name, one in channels.items() if one.quiet_until(now) is not None]
        if begun or ended or changed:
            alerts.change(now, begun, ended, changed, quiet)
        self._send(plans, now, set(quiet))

    def _why(self, alert: Alert, plans: Sequence[Plan]) -> str:
        """Why an alert that no rule finds any more has ended."""
        if all(rule.name != alert.rule for rule in self.rules.rulings):
            return "gone"
        if alert.kind == "token":
            return "over"
        plan = next((one for one in plans if one.key == alert.subject), None)
        return "gone" if plan is None else "over" if plan.enabled else "paused"

    def _send(self, plans: Sequence[Plan], now: float, quiet: set[str]) -> None:
        alerts, channels = self.workspace.ledger.alerts, self.workspace.project.alerts.channels
        waiting = alerts.waiting()
        stands = alerts.channels() if waiting else {}
        names = {plan.key: plan.name for plan in plans}
        for name, rows in waiting.items():
            channel, stand = channels.get(name), stands.get(name)
            if channel is None:
                alerts.settle([notice for _, notice in rows], "gone", now)
            elif name not in self._sending and name not in quiet and (stand is None or now >= stand.next_at):
                failed = 0 if stand is None else stand.in_a_row
                notices = [notice for _, notice in rows]
                alerts.try_(name, notices, now, now + PAUSES[min(failed, len(PAUSES) - 1)])
                task = asyncio.ensure_future(self._sent(name, channel, _told(rows, names), notices, failed))
                self._sending[name] = task

    async def _sent(self, name: str, channel: Channel, told: list[Told], notices: list[Notice], failed: int) -> None:
        """Send one message, and note how that went."""
        workspace = self.workspace
        project, clock = workspace.project, workspace.clock
        try:
            try:
                send = await asyncio.to_thread(_sender)
                made = text(told, channel, project.alerts.url, channel.language or language())
                error = await send(name, channel, made, project.folder, workspace.redactor, clock.now)
            except Exception as defect:  # noqa: BLE001 - told, with its traceback; the channel counts as failing
                traceback.print_exc()
                error = Message("channel.refused", {"reason": type(defect).__name__})
            now = workspace.ledger.store.time(clock.now())
            pause = GAP if error is None else PAUSES[min(failed, len(PAUSES) - 1)]
            workspace.ledger.alerts.went(name, notices, now, error, now + pause)
            if error is not None:
                self.complain(f"alerts.{name}", NoriaError("channel", error))
        except NoriaError as lost:
            # The ledger could not be used: the message counts as not sent.
            self.complain("", lost)
        finally:
            del self._sending[name]

    async def idle(self) -> None:
        """Wait until nothing is being sent, ten seconds at most: what is not noted as sent by then is sent once more by
        whoever looks next."""
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=_ENDING)


def _sender() -> Callable[..., Awaitable[Message | None]]:
    """What sends, loaded when something is sent first: Apprise takes half a second, and most projects need none."""
    from noria.monitoring.channels import send

    return send


def _begun(one: Found) -> Begun:
    return Begun(one.rule.name, one.rule.kind, one.subject, one.rule.severity, one.what, one.rule.channels)


def _told(rows: list[tuple[Alert, Notice]], names: dict[str, str]) -> list[Told]:
    """Each alert once: that it has ended says, too, that it had begun."""
    by_alert: dict[int, tuple[Alert, Notice]] = {}
    for alert, notice in rows:
        if alert.number not in by_alert or notice.phase == ENDED:
            by_alert[alert.number] = (alert, notice)
    return [
        Told(
            notice.phase == ENDED,
            alert.kind,
            alert.severity,
            alert.subject,
            names.get(alert.subject, alert.subject),
            alert.what or Message("console.no_reason"),
            alert.began_at,
            alert.ended_at if notice.phase == ENDED else None,
            alert.why,
        )
        for alert, notice in by_alert.values()
    ]
