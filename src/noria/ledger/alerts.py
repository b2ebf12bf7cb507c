"""Alerts: what is on, what is to be said of it over which channel, and how that went.

That an alert began or ended, and that this is to be said, is one transaction, written before anything is sent. So a
message is not lost, whoever dies; one that was sent when nobody could note it any more is sent once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from noria.ledger import reasons
from noria.ledger.agenda import Agenda
from noria.ledger.store import Store, Transaction
from noria.messages import Message

BEGAN, ENDED = "began", "ended"
_FIRST = 2**62


class Alert(NamedTuple):
    """An alert: its number, what found it of what (a plan's key, a connection's name), how bad it is, in words, from
    when to when (epoch seconds), why it ended (over, paused, gone), and who has seen it."""

    number: int
    rule: str
    kind: str
    subject: str
    severity: str
    what: Message | None
    began_at: float
    ended_at: float | None
    why: str | None
    acknowledged_at: float | None
    acknowledged_by: str | None


class Begun(NamedTuple):
    """An alert that begins, and the channels that hear of it."""

    rule: str
    kind: str
    subject: str
    severity: str
    what: Message
    channels: tuple[str, ...]


class Notice(NamedTuple):
    """What is (to be) said of an alert over a channel: that it `began` or `ended`; waiting, sent, or why it was not;
    how often it was tried; since when it is so (epoch seconds)."""

    alert: int
    channel: str
    phase: str
    state: str
    tries: int
    at: float


class About(NamedTuple):
    """What alerts are looked for: a plan's, and its connections'."""

    plan: str
    connections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelStands:
    """How sending over a channel went: when it was tried and worked last, from when on it may be tried again, since
    when it fails, how often in a row, why; messages that were sent and that failed, in all. Times in epoch seconds."""

    name: str
    tried_at: float | None
    sent_at: float | None
    next_at: float
    failing_since: float | None
    in_a_row: int
    error: Message | None
    sent: int
    failed: int


_ALERT = (
    "a.alert_id, a.rule, a.kind, a.subject, a.severity, a.what, a.began_at, a.ended_at, a.why, a.acknowledged_at,"
    " a.acknowledged_by"
)
_NOTICE = "n.alert_id, n.channel, n.phase, n.state, n.tries, n.at"


class Alerts:
    """Keeps alerts."""

    def __init__(self, store: Store, agenda: Agenda) -> None:
        self.store = store
        self.agenda = agenda

    def on(self, about: About | None = None) -> list[Alert]:
        """Those that are on, the worst and newest first."""
        which, values = _which(about)
        rows = self.store.tuples(
            f"SELECT {_ALERT} FROM alerts a WHERE a.ended_at IS NULL{which} ORDER BY a.severity, a.alert_id DESC",
            **values,
        )
        return [_alert(row) for row in rows]

    def ended(self, about: About | None = None, *, before: int | None = None, limit: int = 50) -> list[Alert]:
        """The newest of those that are over, before the one numbered `before`."""
        which, values = _which(about)
        rows = self.store.tuples(
            f"SELECT {_ALERT} FROM alerts a WHERE a.ended_at IS NOT NULL AND a.alert_id < :before{which}"
            " ORDER BY a.alert_id DESC LIMIT :n",
            before=_FIRST if before is None else before,
            n=limit,
            **values,
        )
        return [_alert(row) for row in rows]

    def change(
        self,
        now: float,
        begun: Sequence[Begun],
        ended: Iterable[tuple[Alert, str]],
        changed: Iterable[tuple[Alert, Message]],
        quiet: Iterable[str],
    ) -> None:
        """Note what began, ended (and why) and is told in other words now, and what is to be said of it. `quiet`:
        channels that are in their quiet hours: what ends before it could be said there is not said at all. Raises
        `NoriaError` (`superseded`) where another process looks by now."""
        hushed = set(quiet)
        with self.store.transaction() as c:
            self.agenda.hold(c)
            for one in begun:
                number = _open(c, one, now)
                c.many(_SAY, [_said(number, channel, BEGAN, now) for channel in one.channels])
            for alert, what in changed:
                c.run(
                    "UPDATE alerts SET what = :what WHERE alert_id = :n",
                    {"n": alert.number, "what": reasons.stored(what)},
                )
            for alert, why in ended:
                self._end(c, alert.number, why, hushed, now)

    def _end(self, c: Transaction, number: int, why: str, hushed: set[str], now: float) -> None:
        c.run(
            "UPDATE alerts SET ended_at = :now, why = :why WHERE alert_id = :n AND ended_at IS NULL",
            {"now": now, "why": why, "n": number},
        )
        for row in c.rows(f"SELECT {_NOTICE} FROM notices n WHERE n.alert_id = :n", {"n": number}):
            notice = Notice(*row)
            if notice.state == "waiting" and notice.channel in hushed and not notice.tries:
                _settle(c, [notice], "quiet", now)
            elif notice.state in ("waiting", "sent"):
                c.many(_SAY, [_said(number, notice.channel, ENDED, now)])

    def waiting(self) -> dict[str, list[tuple[Alert, Notice]]]:
        """By channel what is to be said, the oldest first."""
        found: dict[str, list[tuple[Alert, Notice]]] = {}
        for row in self.store.tuples(
            f"SELECT {_NOTICE}, {_ALERT} FROM notices n JOIN alerts a ON a.alert_id = n.alert_id"
            " WHERE n.state = 'waiting' ORDER BY n.channel, n.alert_id, n.phase"
        ):
            found.setdefault(row[1], []).append((_alert(row[6:]), Notice(*row[:6])))
        return found

    def try_(self, channel: str, notices: Iterable[Notice], now: float, next_at: float) -> None:
        """Note, before it is done, that these are sent over a channel, which nobody else tries until `next_at`. Raises
        `NoriaError` (`superseded`) where another process looks by now."""
        with self.store.transaction() as c:
            self.agenda.hold(c)
            c.many(
                "UPDATE notices SET tries = tries + 1"
                " WHERE alert_id = :alert AND channel = :channel AND phase = :phase",
                [one._asdict() for one in notices],
            )
            c.run(
                "INSERT INTO channels (name, tried_at, next_at) VALUES (:name, :now, :next) ON CONFLICT (name)"
                " DO UPDATE SET tried_at = excluded.tried_at, next_at = excluded.next_at",
                {"name": channel, "now": now, "next": next_at},
            )

    def reserve(self, channel: str, now: float, gap: float) -> bool:
        """Whether a message may be sent over a channel now, for none was tried within `gap` seconds; then it counts as
        tried."""
        with self.store.transaction() as c:
            return bool(
                c.run(
                    "INSERT INTO channels (name, tried_at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE"
                    " SET tried_at = excluded.tried_at"
                    " WHERE channels.tried_at IS NULL OR channels.tried_at <= :before OR channels.tried_at > :now",
                    {"name": channel, "now": now, "before": now - gap},
                ).rowcount
            )

    def settle(self, notices: Iterable[Notice], state: str, now: float) -> None:
        """These need not be said any more, for a reason."""
        with self.store.transaction() as c:
            _settle(c, notices, state, now)

    def went(self, channel: str, notices: Iterable[Notice], now: float, error: Message | None, next_at: float) -> None:
        """How a try went; from when on the channel may be tried again."""
        with self.store.transaction() as c:
            values = {"name": channel, "now": now, "next": next_at, "error": reasons.stored(error)}
            if error is None:
                _settle(c, notices, "sent", now)
                c.run(
                    "INSERT INTO channels (name, tried_at, sent_at, next_at, sent) VALUES (:name, :now, :now, :next, 1)"
                    " ON CONFLICT (name) DO UPDATE SET tried_at = excluded.tried_at, sent_at = excluded.sent_at,"
                    " next_at = excluded.next_at, failing_since = NULL, in_a_row = 0, error = NULL,"
                    " sent = channels.sent + 1",
                    values,
                )
                return
            c.run(
                "INSERT INTO channels (name, tried_at, next_at, failing_since, in_a_row, error, failed)"
                " VALUES (:name, :now, :next, :now, 1, :error, 1) ON CONFLICT (name) DO UPDATE"
                " SET tried_at = excluded.tried_at, next_at = excluded.next_at, error = excluded.error,"
                " failing_since = COALESCE(channels.failing_since, excluded.failing_since),"
                " in_a_row = channels.in_a_row + 1, failed = channels.failed + 1",
                values,
            )

    def channels(self) -> dict[str, ChannelStands]:
        """How each channel that was ever tried stands."""
        rows = self.store.tuples(
            "SELECT name, tried_at, sent_at, next_at, failing_since, in_a_row, error, sent, failed FROM channels"
        )
        return {row[0]: ChannelStands(*(*row[:6], reasons.read(row[6]), *row[7:])) for row in rows}

    def notices(self, numbers: Iterable[int]) -> dict[int, list[Notice]]:
        """By alert what was said of it where."""
        found: dict[int, list[Notice]] = {number: [] for number in numbers}
        for row in self.store.tuples(
            f"SELECT {_NOTICE} FROM notices n WHERE n.alert_id IN (SELECT j.value FROM json_each(:seqs) j)"
            " ORDER BY n.alert_id, n.channel, n.phase",
            seqs=msgspec.json.encode(list(found)).decode(),
        ):
            found[row[0]].append(Notice(*row))
        return found

    def acknowledge(self, number: int, who: str, now: float) -> Alert | None:
        """Somebody has seen an alert that is on: until it ends nothing more is sent of it. None where it is not on, or
        somebody has said so before."""
        with self.store.transaction() as c:
            row = c.row(
                "UPDATE alerts SET acknowledged_at = :now, acknowledged_by = :who"
                " WHERE alert_id = :n AND ended_at IS NULL AND acknowledged_at IS NULL"
                f" RETURNING {_ALERT.replace('a.', '')}",
                {"now": now, "who": who, "n": number},
            )
            if row is None:
                return None
            found = c.rows(
                f"SELECT {_NOTICE} FROM notices n WHERE n.alert_id = :n AND n.state = 'waiting'", {"n": number}
            )
            _settle(c, [Notice(*one) for one in found], "acknowledged", now)
        return _alert(row)


def _which(about: About | None) -> tuple[str, dict[str, str]]:
    """The condition that alerts are about something, and its values."""
    if about is None:
        return "", {}
    names = "SELECT j.value FROM json_each(:connections) j"
    return (
        f" AND CASE a.kind WHEN 'token' THEN a.subject IN ({names}) ELSE a.subject = :plan END",
        {"plan": about.plan, "connections": msgspec.json.encode(about.connections).decode()},
    )


_SAY = (
    "INSERT INTO notices (alert_id, channel, phase, state, at) VALUES (:alert, :channel, :phase, 'waiting', :now)"
    " ON CONFLICT (alert_id, channel, phase) DO NOTHING"
)


def _said(alert: int, channel: str, phase: str, now: float) -> dict[str, object]:
    return {"alert": alert, "channel": channel, "phase": phase, "now": now}


def _open(c: Transaction, one: Begun, now: float) -> int:
    return int(
        c.value(
            "INSERT INTO alerts (rule, kind, subject, severity, what, began_at)"
            " VALUES (:rule, :kind, :subject, :severity, :what, :now) RETURNING alert_id",
            {**one._asdict(), "what": reasons.stored(one.what), "now": now, "channels": None},
        )
    )


def _settle(c: Transaction, notices: Iterable[Notice], state: str, now: float) -> None:
    c.many(
        "UPDATE notices SET state = :to, at = :now WHERE alert_id = :alert AND channel = :channel AND phase = :phase",
        [{**one._asdict(), "to": state, "now": now} for one in notices],
    )


def _alert(row: Sequence[object]) -> Alert:
    fields = list(row)
    fields[5] = reasons.read(str(fields[5]))
    return Alert(*fields)  # type: ignore[arg-type]
