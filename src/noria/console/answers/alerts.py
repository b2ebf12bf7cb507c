"""What the page of alerts answers with."""

from __future__ import annotations

from typing import Any

from noria.console.answers.base import Answer
from noria.ledger.alerts import ChannelStands
from noria.messages import Message


class Told(Answer, frozen=True, kw_only=True):
    """How far an alert was told over a channel."""

    channel: str
    phase: str
    state: str
    at: float
    until: float | None


class ShownAlert(Answer, frozen=True, kw_only=True):
    """An alert: what is, or was, wrong with what, and who heard of it."""

    number: int
    rule: str
    kind: str
    severity: str
    subject: str
    what: Message | None
    began_at: float
    ended_at: float | None
    why: str | None
    acknowledged_at: float | None
    acknowledged_by: str | None
    page: str
    told: list[Told]


class ShownChannel(Answer, frozen=True, kw_only=True):
    """A channel, and how sending over it went."""

    name: str
    kind: str
    severity: str
    address: str
    rules: list[str]
    quiet: str | None
    quiet_until: float | None
    stands: ChannelStands | None


class ShownRule(Answer, frozen=True, kw_only=True):
    """A rule."""

    name: str
    kind: str
    after: Any
    severity: str
    plans: list[str]
    others: list[str]
    channels: list[str]


class AlertsPage(Answer, frozen=True, kw_only=True):
    """Alerts that are on, those that ended (newest first), channels and rules."""

    on: list[ShownAlert]
    ended: list[ShownAlert]
    next: int | None
    before: int | None
    channels: list[ShownChannel]
    rules: list[ShownRule]
