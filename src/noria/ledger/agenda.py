"""What is to be done when: fires of schedules, and stages of plans that are wanted and not done yet.

A fire and what it asks for are one transaction, so that it is neither lost nor comes twice, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from noria.ledger.processes import owner
from noria.ledger.runs import seize
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError

# Who looks at the schedules does so under a lease that nobody's plan has.
_NOBODYS = 0
SCHEDULER_SECONDS = 10.0


class Fire(NamedTuple):
    """A schedule as it was looked at last: a plan's side, its crontab (with the zone), and up to when (epoch seconds)
    its times have been seen to."""

    plan: str
    side: str
    crontab: str
    seen_to: float


class Wanted(NamedTuple):
    """A stage of a plan that is to be run, since when (epoch seconds); `detail`: the window of a sweep or a
    reconciliation that a person chose (JSON)."""

    plan: str
    stage: str
    since: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """A worker: which process, of which version, since when and when last seen (epoch seconds), runs under way, whether
    it is ending."""

    worker: str
    version: str
    started_at: float
    seen_at: float
    runs: int
    draining: int


def want(c: Transaction, stages: Iterable[tuple[str, str]], now: float, detail: str | None = None) -> None:
    """(plan, stage) pairs are to be run (`detail` as in `Wanted`)."""
    rows = [{"plan": plan, "stage": stage, "now": now, "detail": detail} for plan, stage in stages]
    if rows:
        c.many(
            "INSERT INTO wanted (plan, stage, since, detail, first) VALUES (:plan, :stage, :now, :detail, :now)"
            " ON CONFLICT (plan, stage) DO UPDATE SET since = excluded.since, detail = excluded.detail",
            rows,
        )


class Agenda:
    """Keeps fires, what is wanted, and who is there to do it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._fence: int | None = None

    def lead(self, now: float) -> bool:
        """Whether this process looks at the schedules: who had done so last, or anybody once that one is silent."""
        now = self.store.time(now)
        with self.store.transaction() as c:
            row = c.row(
                "SELECT owner, fence, expires_at FROM leases WHERE plan_id = :p AND stage = 'schedule' FOR UPDATE",
                {"p": _NOBODYS},
            )
            own = row is not None and row.owner == owner() and row.fence == self._fence
            if row is not None and not own and now < row.expires_at <= now + 2 * SCHEDULER_SECONDS:
                self._fence = None
                return False
            fence = row.fence if own else 1 if row is None else row.fence + 1
            before = 0 if row is None else row.fence
            until = now + SCHEDULER_SECONDS
            taken = seize(c, _NOBODYS, "schedule", before=before, fence=fence, until=until)
            self._fence = fence if taken else None
        return self._fence is not None

    def resign(self) -> None:
        """Let another look at the schedules at once."""
        if self._fence is None:
            return
        with self.store.transaction() as c:
            c.run(
                "UPDATE leases SET expires_at = 0 WHERE plan_id = :p AND stage = 'schedule' AND fence = :fence",
                {"p": _NOBODYS, "fence": self._fence},
            )
        self._fence = None

    def fires(self) -> list[Fire]:
        """Every schedule that was ever looked at."""
        return [Fire(*row) for row in self.store.tuples("SELECT plan, side, crontab, seen_to FROM fires")]

    def want(
        self, stages: Iterable[tuple[str, str]], now: float, fires: Sequence[Fire] = (), *, detail: str | None = None
    ) -> None:
        """Note (plan, stage) pairs as wanted (`detail` as in `Wanted`), and that the times of these schedules have been
        seen to. Raises
        `NoriaError` (`superseded`) where another process has taken over looking at schedules."""
        with self.store.transaction() as c:
            if fires:
                self.hold(c)
                c.many(
                    "INSERT INTO fires (plan, side, crontab, seen_to, since)"
                    " VALUES (:plan, :side, :crontab, :seen_to, :seen_to)"
                    " ON CONFLICT (plan, side) DO UPDATE SET since = CASE WHEN fires.crontab = excluded.crontab"
                    " AND fires.since <= excluded.seen_to THEN fires.since ELSE excluded.seen_to END,"
                    " crontab = excluded.crontab, seen_to = excluded.seen_to",
                    [fire._asdict() for fire in fires],
                )
            want(c, stages, now, detail)

    def hold(self, c: Transaction) -> None:
        """Make sure that this process still looks at the schedules, until the transaction ends; raises `NoriaError`
        (`superseded`)."""
        held = c.run(
            "SELECT 1 FROM leases WHERE plan_id = :p AND stage = 'schedule' AND fence = :fence FOR UPDATE",
            {"p": _NOBODYS, "fence": self._fence},
        ).fetchall()
        if not held:
            raise NoriaError("superseded", Message("run.superseded", {"run": "schedule"}))

    def wanted(self, plan: str | None = None) -> list[Wanted]:
        """What is wanted, of one plan or of all, the longest first."""
        statement = "SELECT plan, stage, since, detail FROM wanted"
        if plan is not None:
            statement += " WHERE plan = :plan"
        return [Wanted(*row) for row in self.store.tuples(f"{statement} ORDER BY since, plan, stage", plan=plan)]

    def hooked(self, plan: str, message: str, body: bytes, now: float) -> bool:
        """Keep an event (its body packed), and want the plan run for it; whether it was new."""
        now = self.store.time(now)
        with self.store.transaction() as c:
            new = c.run(
                "INSERT INTO hooks (plan, message, received_at, body) VALUES (:plan, :message, :now, :body)"
                " ON CONFLICT DO NOTHING",
                {"plan": plan, "message": message, "now": now, "body": body},
            ).rowcount
            if new:
                want(c, [(plan, "deliver"), (plan, "extract")], now)
        return bool(new)

    def done(self, wanted: Iterable[Wanted]) -> None:
        """These have been run; what was wanted anew meanwhile still is."""
        rows = [one._asdict() for one in wanted]
        with self.store.transaction() as c:
            c.many("DELETE FROM wanted WHERE plan = :plan AND stage = :stage AND since = :since", rows)
            c.many("UPDATE wanted SET first = since WHERE plan = :plan AND stage = :stage", rows)

    def retries_due(self, now: float) -> list[str]:
        """The plans of which a failed record's retry is due."""
        return [
            row[0]
            for row in self.store.tuples(
                "SELECT p.key FROM plans p WHERE p.plan_id IN (SELECT e.plan_id FROM exceptions e"
                " WHERE e.state = 'failed' AND (e.due_at <= :now OR e.updated_at > :now + 120))",
                now=now,
            )
        ]

    def seen(self, worker: str, version: str, started_at: float, now: float, runs: int, draining: bool) -> None:
        """Note that a worker is there."""
        seen_at = self.store.time(now)
        row = Present(worker, version, started_at + seen_at - now, seen_at, runs, int(draining))
        with self.store.transaction() as c:
            c.run(
                "INSERT INTO workers (worker, version, started_at, seen_at, runs, draining)"
                " VALUES (:worker, :version, :started_at, :seen_at, :runs, :draining) ON CONFLICT (worker) DO UPDATE"
                " SET seen_at = excluded.seen_at, runs = excluded.runs, draining = excluded.draining",
                asdict(row),
            )
            c.run("DELETE FROM workers WHERE seen_at < :long_ago", {"long_ago": row.seen_at - 3600})

    def gone(self, worker: str) -> None:
        """A worker has ended in order."""
        with self.store.transaction() as c:
            c.run("DELETE FROM workers WHERE worker = :worker", {"worker": worker})

    def workers(self) -> list[Present]:
        """Every worker that was seen within the last hour, also those that are silent."""
        return [
            Present(*row)
            for row in self.store.tuples(
                "SELECT worker, version, started_at, seen_at, runs, draining FROM workers ORDER BY started_at, worker"
            )
        ]
