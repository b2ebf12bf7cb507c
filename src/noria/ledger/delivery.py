"""Delivery: which records are due, batches from `sending` to their outcome, what was in doubt after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from noria.ledger.edits import taken, touched
from noria.ledger.exceptions import note_exceptions
from noria.ledger.handover import Handover
from noria.ledger.pages import Pages
from noria.ledger.reasons import stored
from noria.ledger.runs import Run
from noria.ledger.store import Store, Transaction
from noria.ledger.tallies import tally
from noria.messages import Message


class Due(NamedTuple):
    """A record to deliver. `rounds`: scheduled retries used up; `deadline`: when its wait for a look-up is over,
    `batch_id`: the batch of its last try, when it had one; `alone`: it is to be sent in a batch of its own."""

    seq: int
    id: str
    number: str
    page_id: int
    position: int
    rounds: int = 0
    deadline: float | None = None
    batch_id: int | None = None
    alone: bool = False


class Exempt(NamedTuple):
    """A claimed record that is not sent now, with the state it has instead."""

    seq: int
    state: str
    reason: Message
    rounds: int = 0
    attempts: int = 0
    due_at: float | None = None
    waits_for: int | None = None
    waits_seq: int | None = None


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is `sending`: the body as sent, the idempotency key, and its records in the body's order.

    `sizes`: how many records each payload of the body holds, where that is not one. `again`: it is not just claimed,
    but one of which the ledger knew already.
    """

    batch_id: int
    kind: str
    key: str
    body: bytes
    records: Sequence[Due]
    sizes: tuple[int, ...] = ()
    again: bool = False

    def groups(self) -> list[Sequence[Due]]:
        """The records of each payload."""
        if not self.sizes:
            return [[record] for record in self.records]
        rest = iter(self.records)
        return [[next(rest) for _ in range(size)] for size in self.sizes]


class Attempt(NamedTuple):
    """One try at sending: what was asked, what came back, how it is classed. Times in epoch seconds, seconds;
    `headers`: those that say something of the batch, as JSON."""

    started_at: float
    seconds: float
    outcome: str
    request: str
    status: int | None = None
    reason: Message | None = None
    answer: bytes | None = None
    headers: str | None = None


class Replaced(Exception):
    """Newer content has taken the place of records that were to be claimed, or a person has decided about them."""

    def __init__(self, seqs: set[int]) -> None:
        super().__init__(seqs)
        self.seqs = seqs


# A time that was noted in the future was noted before the clock was set back: what it says of later can't be trusted.
OF_THE_FUTURE = "{0}.updated_at > :now + 120"
_FRESH = (
    "SELECT r.seq, r.id, COALESCE(r.number, r.id) AS number, r.page_id, r.position, 0, NULL, NULL, 0 FROM records r"
    " WHERE r.plan_id = :p AND r.seq > :after AND r.stray = 0 AND NOT EXISTS"
    " (SELECT 1 FROM exceptions e WHERE e.plan_id = r.plan_id AND e.seq = r.seq)"
    " ORDER BY r.seq LIMIT :n"
)
_AGAIN = (
    "SELECT r.seq, r.id, COALESCE(r.number, r.id) AS number, r.page_id, r.position, e.rounds,"
    " CASE WHEN e.waits_for IS NULL THEN NULL ELSE e.due_at END AS deadline, e.batch_id,"
    # Not EXISTS: that PostgreSQL may answer by reading all batches.
    " COALESCE((SELECT g.state = 'broken_up' FROM batches g WHERE g.batch_id = e.batch_id), 1 = 0) AS alone"
    " FROM exceptions e"
    " JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq"
    " WHERE e.plan_id = :p AND e.seq > :after AND e.state IN ('failed', 'pending') AND (e.due_at <= :now OR"
    f" {OF_THE_FUTURE.format('e')} OR"
    " (e.waits_for IS NOT NULL AND"
    " (SELECT w.next_seq FROM plans w WHERE w.plan_id = e.waits_for) > e.waits_seq))"
    " AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.batch_id = e.batch_id AND b.state = 'doubt')"
    " ORDER BY e.seq LIMIT :n"
)


_OF_BATCH = (
    "plan_id = :p AND batch_id = :b AND seq BETWEEN (SELECT first_seq FROM batches WHERE batch_id = :b)"
    " AND (SELECT last_seq FROM batches WHERE batch_id = :b)"
)


def _grouped(seqs: list[int], sizes: Sequence[int]) -> list[Any]:
    """Seqs as a batch keeps them: one after the other, or a list for each payload of several."""
    if not sizes:
        return seqs
    rest = iter(seqs)
    return [[next(rest) for _ in range(size)] for size in sizes]


class Delivery:
    """Claims records, keeps batches and their attempts."""

    def __init__(self, store: Store, pages: Pages, handover: Handover) -> None:
        self.store = store
        self.pages = pages
        self.handover = handover

    def claimed(self, plan_id: int) -> int:
        """Up to which seq the plan's records have been claimed."""
        return int(self.store.rows("SELECT claimed_seq FROM plans WHERE plan_id = :p", p=plan_id)[0][0])

    def fresh(self, plan_id: int, after: int, limit: int, run_id: int = 0) -> list[Due]:
        """The next records that were never claimed, in the order they were staged; of what the run `run_id` has just
        staged itself perhaps fewer than there are."""
        handed = self.handover.take(run_id, after, limit)
        if handed is not None:
            return handed
        return list(map(Due._make, self.store.tuples(_FRESH, p=plan_id, after=after, n=limit)))

    def again(self, plan_id: int, now: float, after: int, limit: int) -> list[Due]:
        """Failed records whose retry is due, replayed ones, and waiting ones whose wait may be over; not those in a
        batch in doubt, which are settled together."""
        return [Due(*row) for row in self.store.tuples(_AGAIN, p=plan_id, now=now, after=after, n=limit)]

    def has_due(self, plan_id: int, now: float) -> bool:
        """Whether anything of the plan is to be delivered now."""
        return bool(self.fresh(plan_id, self.claimed(plan_id), 1) or self.again(plan_id, now, 0, 1))

    def still(self, plan_id: int, records: Sequence[Due]) -> list[Due]:
        """Those of these records whose place no newer content has taken."""
        rows = self.store.tuples(
            "SELECT r.seq FROM json_each(:seqs) j CROSS JOIN records r WHERE r.plan_id = :p AND r.seq = j.value",
            seqs=msgspec.json.encode([record.seq for record in records]).decode(),
            p=plan_id,
        )
        there = {row[0] for row in rows}
        return [record for record in records if record.seq in there]

    def raws(self, records: Sequence[Due]) -> list[bytes]:
        """The records' bytes as they came."""
        found: list[bytes] = []
        page_id, page = 0, [b""]
        for record in records:
            if record.page_id != page_id:
                page_id, page = record.page_id, self.pages.raws(record.page_id)
            found.append(page[record.position])
        return found

    def claim(
        self,
        run: Run,
        kind: str,
        records: Sequence[Due],
        exempt: Sequence[Exempt],
        *,
        body: bytes,
        body_path: str,
        key: str,
        now: float,
        state: str = "sending",
        claimed_to: int | None = None,
        sizes: Sequence[int] = (),
        checks: bool = False,
        edits: Mapping[int, int] | None = None,
    ) -> OpenBatch | None:
        """Claim records: one transaction opens their batch and sets the exempt ones aside.

        `key` is the idempotency key. With `state` "delivered" the batch is closed at once (写入空操作).
        `claimed_to` moves the plan's claim; `sizes` as in `OpenBatch`. `checks`: others stage records of the plan
        meanwhile; raises `Replaced`, and claims nothing, when one of these is there no more, or when a person has
        decided about it since; `edits`: which corrections (by seq) are in the body.
        Gives the batch, or None when every record is exempt.
        """
        with self.store.transaction(run) as c:
            if checks:
                self._check(c, run.plan_id, records)
            if kind == "retry" and (records or exempt):
                self._undecided(c, run.plan_id, [r.seq for r in records] + [one.seq for one in exempt], edits or {})
            if claimed_to is not None:
                c.run(
                    "UPDATE plans SET claimed_seq = :to WHERE plan_id = :p AND claimed_seq < :to",
                    {"to": claimed_to, "p": run.plan_id},
                )
            if exempt:
                rows = [{**one._asdict(), "reason": stored(one.reason)} for one in exempt]
                note_exceptions(c, run, rows, now)
            if not records:
                return None
            seqs = [record.seq for record in records]
            contiguous = kind == "fresh" and not sizes and seqs[-1] - seqs[0] + 1 == len(seqs)
            batch_id = c.value(
                "INSERT INTO batches (plan_id, run_id, kind, first_seq, last_seq, members, rows, state, key, body,"
                " body_path, created_at, finished_at) VALUES (:p, :run, :kind, :first, :last, :members, :rows,"
                " :state, :key, :body, :path, :now, :finished) RETURNING batch_id",
                {
                    "p": run.plan_id,
                    "run": run.run_id,
                    "kind": kind,
                    "first": min(seqs),
                    "last": max(seqs),
                    "members": None if contiguous else msgspec.json.encode(_grouped(seqs, sizes)),
                    "rows": len(seqs),
                    "state": state,
                    "key": key,
                    "body": self.store.pack(body),
                    "path": body_path,
                    "now": now,
                    "finished": now if state != "sending" else None,
                },
            )
            if kind == "retry":
                self._join(c, run.plan_id, batch_id, records, state, now)
                if edits:
                    taken(c, batch_id, [edits[seq] for seq in seqs if seq in edits])
            if state == "delivered":
                tally(c, run.plan_id, now, delivered=len(seqs))
        return OpenBatch(batch_id, kind, key, body, records, sizes=tuple(sizes))

    @staticmethod
    def _check(c: Transaction, plan_id: int, records: Sequence[Due]) -> None:
        # Who stages a page holds the plan's row.
        c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", {"p": plan_id})
        seqs = msgspec.json.encode([record.seq for record in records]).decode()
        there = c.run(
            "SELECT r.seq FROM json_each(:seqs) j CROSS JOIN records r WHERE r.plan_id = :p AND r.seq = j.value",
            {"p": plan_id, "seqs": seqs},
        ).fetchall()
        gone = {record.seq for record in records} - {row[0] for row in there}
        if gone:
            raise Replaced(gone)

    @staticmethod
    def _undecided(c: Transaction, plan_id: int, seqs: Sequence[int], edits: Mapping[int, int]) -> None:
        # Only records with a row of their own can be decided about: what is claimed for the first time has none.
        decided = touched(c, plan_id, seqs, edits)
        if decided:
            raise Replaced(decided)

    def _join(
        self, c: Transaction, plan_id: int, batch_id: int, records: Sequence[Due], state: str, now: float
    ) -> None:
        """Records that are taken up again belong to the new batch from now on."""
        c.many(
            "UPDATE exceptions SET state = :state, batch_id = :b, due_at = NULL, waits_for = NULL, reason = NULL,"
            " waits_seq = NULL, updated_at = :now WHERE plan_id = :p AND seq = :seq",
            [{"state": state, "b": batch_id, "now": now, "p": plan_id, "seq": r.seq} for r in records],
        )

    def attempt(self, run: Run, batch: OpenBatch, attempt: Attempt) -> None:
        """Keep a try that did not settle the batch."""
        with self.store.transaction(run) as c:
            self._keep(c, batch, attempt)
            c.run("UPDATE batches SET tries = tries + 1 WHERE batch_id = :b", {"b": batch.batch_id})

    def close(
        self,
        run: Run,
        batch: OpenBatch,
        *,
        state: str,
        attempt: Attempt | None,
        failed: Sequence[Exempt],
        attempts: int,
        now: float,
    ) -> None:
        """A batch's outcome: `state` of the batch, and the records that were not delivered. All others were.

        `attempts`: the tries since the batch was opened (or reopened).
        """
        own_rows = batch.kind == "retry" or batch.again or bool(failed)
        with self.store.transaction(run) as c:
            if own_rows:
                # Rows of `exceptions` are changed by whoever stages, too.
                c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", {"p": run.plan_id})
            if attempt is not None:
                self._keep(c, batch, attempt)
            c.run(
                "UPDATE batches SET state = :state, finished_at = :now, tries = tries + :tried WHERE batch_id = :b",
                {"state": state, "now": now, "tried": int(attempt is not None), "b": batch.batch_id},
            )
            if batch.kind == "retry" or batch.again:
                self._settle(c, run, batch, {one.seq for one in failed}, attempts, now)
            if failed:
                own = {"batch_id": batch.batch_id, "attempts": attempts}
                rows = [{**one._asdict(), **own, "reason": stored(one.reason)} for one in failed]
                note_exceptions(c, run, rows, now)
            tally(c, run.plan_id, now, delivered=len(batch.records) - len(failed))

    def _settle(
        self, c: Transaction, run: Run, batch: OpenBatch, not_delivered: set[int], attempts: int, now: float
    ) -> None:
        """Records with a row of their own that this batch delivered."""
        delivered = [r.seq for r in batch.records if r.seq not in not_delivered]
        if delivered:
            own = {"now": now, "p": run.plan_id, "b": batch.batch_id, "attempts": attempts}
            c.many(
                "UPDATE exceptions SET state = 'delivered', reason = NULL, due_at = NULL, updated_at = :now,"
                " attempts = attempts + :attempts"
                " WHERE plan_id = :p AND seq = :seq AND batch_id = :b AND state = 'sending'",
                [{**own, "seq": seq} for seq in delivered],
            )

    def _keep(self, c: Transaction, batch: OpenBatch, attempt: Attempt) -> None:
        c.run(
            "INSERT INTO attempts (batch_id, started_at, seconds, outcome, status, request, reason, answer, headers)"
            " VALUES (:b, :started, :seconds, :outcome, :status, :request, :reason, :answer, :headers)",
            {
                "b": batch.batch_id,
                "started": attempt.started_at,
                "seconds": attempt.seconds,
                "outcome": attempt.outcome,
                "status": attempt.status,
                "request": attempt.request,
                "reason": stored(attempt.reason),
                "answer": None if attempt.answer is None else self.store.pack(attempt.answer),
                "headers": attempt.headers,
            },
        )

    def states(self, plan_id: int, seqs: Sequence[int]) -> dict[str, int]:
        """How many of these records, all of which were claimed, are in which state."""
        rows = self.store.tuples(
            "SELECT COALESCE(e.state, 'delivered'), COUNT(*) FROM json_each(:seqs) j LEFT JOIN exceptions e"
            " ON e.plan_id = :p AND e.seq = j.value GROUP BY COALESCE(e.state, 'delivered')",
            seqs=msgspec.json.encode(list(seqs)).decode(),
            p=plan_id,
        )
        return dict(rows)

    def forgive(self, run: Run, batch_ids: Sequence[int], now: float, due_at: float) -> int:
        """The target was away for all: what failed in these batches is tried again as if it had not been tried. Gives
        how many of them were dead."""
        revived = 0
        reason = stored(Message("reason.target_away"))
        with self.store.transaction(run) as c:
            for batch_id in batch_ids:
                own = {"p": run.plan_id, "b": batch_id, "due": due_at, "now": now, "run": run.run_id, "reason": reason}
                c.run(
                    "INSERT INTO events (plan_id, seq, at, state, reason, run_id) SELECT plan_id, seq, :now, 'failed',"
                    f" :reason, :run FROM exceptions WHERE {_OF_BATCH} AND state = 'dead'",
                    own,
                )
                revived += c.run(
                    f"UPDATE exceptions SET state = 'failed' WHERE {_OF_BATCH} AND state = 'dead'", own
                ).rowcount
                c.run(
                    "UPDATE exceptions SET rounds = rounds - 1, due_at = :due, updated_at = :now"
                    f" WHERE {_OF_BATCH} AND state = 'failed' AND rounds > 0",
                    own,
                )
        return revived

    @staticmethod
    def groups(row: Any) -> list[list[int]]:
        """The seqs of the records of each payload of a batch, in the order of its body."""
        if row.members is None:
            return [[seq] for seq in range(row.first_seq, row.last_seq + 1)]
        return [one if isinstance(one, list) else [one] for one in msgspec.json.decode(row.members)]

    @classmethod
    def members(cls, row: Any) -> list[int]:
        """The seqs of a batch's records, in the order of its body."""
        return [seq for group in cls.groups(row) for seq in group]

    def next_due(self, plan_id: int, now: float) -> float | None:
        """When the next retry of the plan is due, in epoch seconds."""
        value = self.store.rows(
            f"SELECT MIN(CASE WHEN {OF_THE_FUTURE.format('e')} THEN :now ELSE e.due_at END) FROM exceptions e"
            " WHERE e.plan_id = :p AND e.state = 'failed'",
            p=plan_id,
            now=now,
        )[0][0]
        return None if value is None else float(value)
