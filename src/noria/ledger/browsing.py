"""The ledger as it is looked through: pages of records newest first, causes of failures, runs; fast with millions.

Nothing here reads more than it shows, but for what is not claimed yet and what is in a state of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from noria.ledger import reasons
from noria.ledger.records import OWN_ROWS, SELECT, Records
from noria.ledger.store import Store
from noria.messages import Message

# States that need a person, or will if nothing changes.
TROUBLE = ("dead", "held", "invalid", "failed")
_FIRST = 2**62
# So many mishaps of a run are told.
_MISHAPS = 100
_OWN = (
    " AND s.seq IN (SELECT seq FROM exceptions WHERE plan_id = :p AND state = :state AND seq < :before{cause}"
    " ORDER BY seq DESC LIMIT :n)"
)
_PENDING = (
    " AND s.seq IN (SELECT seq FROM (SELECT seq FROM exceptions WHERE plan_id = :p AND state = 'pending'"
    " AND seq < :before ORDER BY seq DESC LIMIT :n) waiting UNION SELECT seq FROM (SELECT r.seq FROM records r"
    " WHERE r.plan_id = :p AND r.seq > (SELECT claimed_seq FROM plans WHERE plan_id = :p) AND r.seq < :before"
    " AND NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = r.plan_id AND e.seq = r.seq)"
    " ORDER BY r.seq DESC LIMIT :n) fresh)"
)
_SENDING = (
    " AND s.seq IN (SELECT seq FROM exceptions WHERE plan_id = :p AND state = 'sending' UNION"
    " SELECT r.seq FROM batches b JOIN records r ON r.plan_id = b.plan_id AND r.seq BETWEEN b.first_seq AND b.last_seq"
    " WHERE b.plan_id = :p AND b.state = 'sending' AND b.kind = 'fresh')"
)
_DELIVERED = " AND s.seq <= (SELECT claimed_seq FROM plans WHERE plan_id = :p)"
# Each of the two has an index.
_NAMED = (
    "SELECT seq FROM (SELECT seq FROM records WHERE plan_id = :p AND stray = 0 AND id >= :text AND id < :end"
    " ORDER BY id LIMIT 500) ids UNION SELECT seq FROM (SELECT seq FROM records WHERE plan_id = :p"
    " AND number IS NOT NULL AND number >= :text AND number < :end ORDER BY number LIMIT 500) numbers"
)
_RUN = "r.run_id, p.key, r.kind, r.status, r.started_at, r.finished_at, r.counts, r.error, r.cancelled_by"
_RUNS = f"SELECT {_RUN} FROM runs r JOIN plans p ON p.plan_id = r.plan_id WHERE"
# What changes when anything does; each is looked up, not counted.
_PULSE = (
    "SELECT (SELECT SUM(next_seq + claimed_seq) FROM plans), (SELECT MAX(run_id) FROM runs),"
    " (SELECT COUNT(*) FROM leases WHERE expires_at > :now), (SELECT COUNT(*) FROM wanted),"
    " (SELECT MAX(batch_id) FROM batches), (SELECT MAX(attempt_id) FROM attempts), (SELECT MAX(event_id) FROM events),"
    " (SELECT MAX(alert_id) FROM alerts), (SELECT COUNT(*) FROM alerts WHERE ended_at IS NULL),"
    " (SELECT COUNT(*) FROM alerts WHERE ended_at IS NULL AND acknowledged_at IS NOT NULL),"
    " (SELECT SUM(sent + failed) FROM channels)"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Records of a plan that are in one state for one cause: how many, since and until when, one of the reasons, and
    the newest of them by its id."""

    plan: str
    state: str
    cause: str | None
    count: int
    first: float
    last: float
    reason: Message | None
    example: str | None


@dataclass(frozen=True, slots=True)
class RunStands:
    """A run as a list shows it; times in epoch seconds."""

    run_id: int
    plan: str
    kind: str
    status: str
    started_at: float
    finished_at: float | None
    counts: dict[str, int]
    error: Message | None
    cancelled_by: str | None = None


@dataclass(frozen=True, slots=True)
class Mishap:
    """A record that came into trouble in a run: when (epoch seconds), which, into which state, why."""

    at: float
    seq: int
    id: str | None
    state: str
    reason: Message | None


class WholeRun(NamedTuple):
    """A run with everything that is known of it: how its figures grew, which runs assisted in it, what went wrong (the
    newest; `more`: there are others)."""

    run: RunStands
    pace: list[list[float]]
    assisted: int
    mishaps: list[Mishap]
    more: bool


class Browsing:
    """Reads the ledger for people."""

    def __init__(self, store: Store, records: Records) -> None:
        self.store = store
        self.records = records

    def pulse(self, now: float) -> tuple[Any, ...]:
        """What is another one when something has changed (`now`: epoch seconds)."""
        return self.store.tuples(_PULSE, now=self.store.time(now))[0]

    def page(
        self,
        plan_id: int,
        *,
        state: str | None = None,
        cause: str | None = None,
        text: str | None = None,
        before: int | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """The newest records before the one numbered `before`, and after that numbered `after`, as `Records.select`
        gives them. `text`: how an id or a number begins; `cause`: with a state of its own, those of that cause only."""
        values: dict[str, Any] = {"p": plan_id, "n": limit, "before": _FIRST if before is None else before}
        if text:
            return self._named(plan_id, text, state, after, values["before"], limit)
        statement = f"{SELECT} AND s.seq < :before"
        if after:
            statement, values["after"] = f"{statement} AND s.seq > :after", after
        if state in OWN_ROWS:
            statement += _OWN.format(cause=" AND cause = :cause" if cause else "")
            values["cause"] = cause
        elif state == "pending":
            statement += _PENDING
        elif state == "sending":
            statement += _SENDING
        elif state == "delivered":
            statement += _DELIVERED
        if state is not None:
            statement += " AND s.state = :state"
            values["state"] = state
        rows = self.store.rows(statement + " ORDER BY s.seq DESC LIMIT :n", **values)
        return [self.records.summary(row) for row in rows]

    def _named(
        self, plan_id: int, text: str, state: str | None, after: int, before: int, limit: int
    ) -> list[dict[str, Any]]:
        """Records whose ids or numbers begin so."""
        found = self.store.tuples(_NAMED, p=plan_id, text=text, end=text + "\U0010ffff")
        seqs = sorted((int(row[0]) for row in found if after < row[0] < before), reverse=True)
        if state is None:
            return self.records.by_seqs(plan_id, seqs[:limit])
        return [one for one in self.records.by_seqs(plan_id, seqs) if one["state"] == state][:limit]

    def causes(self, states: Iterable[str] = TROUBLE, plan_id: int | None = None) -> list[Cause]:
        """Failures by cause, the most first."""
        of_plan = " AND e.plan_id = :p" if plan_id is not None else ""
        found = [
            Cause(key, state, cause, count, first, last, reasons.read(reason), example)
            for state in states
            for key, cause, count, first, last, reason, example in self.store.tuples(
                "SELECT p.key, g.cause, g.n, g.first, g.last, x.reason, r.id FROM (SELECT e.plan_id, e.cause,"
                " COUNT(*) AS n, MIN(e.updated_at) AS first, MAX(e.updated_at) AS last, MAX(e.seq) AS newest"
                f" FROM exceptions e WHERE e.state = :state{of_plan} GROUP BY e.plan_id, e.cause) g"
                " JOIN plans p ON p.plan_id = g.plan_id"
                " JOIN exceptions x ON x.plan_id = g.plan_id AND x.seq = g.newest"
                " JOIN records r ON r.plan_id = g.plan_id AND r.seq = g.newest",
                state=state,
                p=plan_id,
            )
        ]
        return sorted(found, key=lambda one: (-one.count, -one.last))

    def runs(self, plan_id: int | None = None, *, before: int | None = None, limit: int = 50) -> list[RunStands]:
        """The newest runs before the one numbered `before`."""
        where = " AND r.plan_id = :p" if plan_id is not None else ""
        rows = self.store.rows(
            f"{_RUNS} r.run_id < :before AND r.kind <> 'assist'{where} ORDER BY r.run_id DESC LIMIT :n",
            p=plan_id,
            before=_FIRST if before is None else before,
            n=limit,
        )
        return [_run(row) for row in rows]

    def whole_run(self, run_id: int) -> WholeRun | None:
        """One run with what is known of it."""
        found = self.store.rows(
            f"SELECT {_RUN}, r.pace FROM runs r JOIN plans p ON p.plan_id = r.plan_id WHERE r.run_id = :run", run=run_id
        )
        if not found:
            return None
        run, pace = _run(found[0]), found[0].pace
        own = "SELECT plan_id FROM runs WHERE run_id = :run"
        assisted = self.store.tuples(
            f"SELECT run_id FROM runs WHERE plan_id = ({own}) AND run_id > :run AND kind = 'assist'"
            " AND started_at <= :end ORDER BY run_id",
            run=run_id,
            end=run.finished_at if run.finished_at is not None else 1e12,
        )
        runs = msgspec.json.encode([run_id, *(int(row[0]) for row in assisted)]).decode()
        rows = self.store.tuples(
            "SELECT v.at, v.seq, r.id, v.state, v.reason FROM json_each(:seqs) j JOIN events v ON v.run_id = j.value"
            " LEFT JOIN records r ON r.plan_id = v.plan_id AND r.seq = v.seq"
            " WHERE v.state IN ('failed', 'dead', 'invalid', 'held') ORDER BY v.event_id DESC LIMIT :n",
            seqs=runs,
            n=_MISHAPS + 1,
        )
        mishaps = [Mishap(at, seq, record, state, reasons.read(reason)) for at, seq, record, state, reason in rows]
        steps = msgspec.json.decode(pace) if pace else []
        return WholeRun(run, steps, len(assisted), mishaps[:_MISHAPS], len(mishaps) > _MISHAPS)


def _run(row: Any) -> RunStands:
    counts = msgspec.json.decode(row.counts) if row.counts else {}
    return RunStands(
        row.run_id,
        row.key,
        row.kind,
        row.status,
        row.started_at,
        row.finished_at,
        counts,
        reasons.read(row.error),
        row.cancelled_by,
    )
