"""Batches of which nobody knows what became of them: those that a run left open, and those in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from noria.ledger.delivery import OF_THE_FUTURE, Delivery, Due, OpenBatch
from noria.ledger.runs import Run
from noria.ledger.store import Store


class Doubts:
    """Finds batches whose outcome is open, and what they hold back."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def any(self, plan_id: int, now: float, patience: float) -> bool:
        """Whether any batch of the plan is to be settled now."""
        return bool(
            self.store.tuples("SELECT 1 FROM batches WHERE plan_id = :p AND state = 'sending' LIMIT 1", p=plan_id)
            or self._doubted(plan_id, now, now - patience)
        )

    def unfinished(self, run: Run) -> list[OpenBatch]:
        """Batches that an earlier run of the plan left `sending`: nobody knows yet what became of them."""
        rows = self.store.rows(
            "SELECT batch_id FROM batches b WHERE b.plan_id = :p AND b.state = 'sending' AND b.run_id <> :run"
            # Not those that were never sent, nor those of runs that assist in this one.
            " AND NOT EXISTS (SELECT 1 FROM shares s WHERE s.batch_id = b.batch_id)"
            " AND NOT EXISTS (SELECT 1 FROM shares s WHERE s.plan_id = b.plan_id AND s.taker = b.run_id)"
            " ORDER BY batch_id",
            p=run.plan_id,
            run=run.run_id,
        )
        return [self.open_batch(row.batch_id) for row in rows]

    def open_batch(self, batch_id: int) -> OpenBatch:
        """A batch with the records that still belong to it (those not replaced by newer content)."""
        row = self.store.rows("SELECT * FROM batches WHERE batch_id = :b", b=batch_id)[0]
        seqs = Delivery.members(row)
        found = {
            r.seq: r
            for r in self.store.rows(
                "SELECT r.seq, r.id, COALESCE(r.number, r.id) AS number, r.page_id, r.position,"
                " COALESCE(e.rounds, 0) AS rounds FROM json_each(:seqs) j CROSS JOIN records r"
                " LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq"
                " WHERE r.plan_id = :p AND r.seq = j.value",
                seqs=msgspec.json.encode(seqs).decode(),
                p=row.plan_id,
            )
        }
        # A member that is gone was replaced: it keeps its place in the body and its id, but has no content any more.
        gone = [seq for seq in seqs if seq not in found]
        ids = self._replaced(row.plan_id, gone) if gone else {}
        records = [
            Due(*found[seq]) if seq in found else Due(seq, ids.get(seq, ""), ids.get(seq, ""), 0, 0) for seq in seqs
        ]
        body = self.store.unpack(row.body)
        sizes = tuple(len(group) for group in Delivery.groups(row)) if row.members is not None else ()
        return OpenBatch(row.batch_id, row.kind, row.key, body, records, sizes, again=True)

    def ids(self, plan_id: int, seqs: Sequence[int]) -> dict[int, str]:
        """The ids of records by their seqs, also of those whose place newer content has taken."""
        asked = msgspec.json.encode(list(seqs)).decode()
        found = self.store.tuples(
            "SELECT r.seq, r.id FROM json_each(:seqs) j CROSS JOIN records r WHERE r.plan_id = :p AND r.seq = j.value",
            seqs=asked,
            p=plan_id,
        )
        return {**self._replaced(plan_id, seqs), **dict(found)}

    def rewritten(self, plan_id: int, records: Sequence[Due]) -> set[int]:
        """The seqs of those records of which an older content may have been written."""
        rows = self.store.tuples(
            "SELECT v.id, MIN(v.seq) FROM json_each(:ids) j JOIN versions v"
            " ON v.plan_id = :p AND v.id = j.value AND v.kind = 'superseded' GROUP BY v.id",
            ids=msgspec.json.encode([record.id for record in records]).decode(),
            p=plan_id,
        )
        oldest: dict[str, int] = dict(rows)
        return {record.seq for record in records if oldest.get(record.id, record.seq) < record.seq}

    def _replaced(self, plan_id: int, seqs: Sequence[int]) -> dict[int, str]:
        """The ids of records whose place newer content has taken."""
        return dict(
            self.store.tuples(
                "SELECT v.seq, v.id FROM json_each(:seqs) j JOIN versions v"
                " ON v.plan_id = :p AND v.seq = j.value AND v.kind = 'superseded'",
                seqs=msgspec.json.encode(seqs).decode(),
                p=plan_id,
            )
        )

    def doubtful(self, plan_id: int, now: float, patience: float = 1e12) -> list[OpenBatch]:
        """Batches in doubt that are to be settled now: their records are due again (or were replayed), or one of them
        was replaced by newer content, which must not be sent before the doubt about the older is over; but not for
        longer than `patience` (seconds)."""
        return [self.open_batch(number) for number in self._doubted(plan_id, now, now - patience)]

    def doubted_ids(self, plan_id: int, now: float = 0.0, patience: float = 1e12) -> set[str]:
        """The ids of every record that is in a batch in doubt, under its current or a replaced content. A batch that
        has been for more than `patience`, and of which nothing is tried any more, holds nothing back any longer."""
        found: set[str] = set()
        for number in self._doubted(plan_id, None, now - patience):
            batch = self.store.rows("SELECT * FROM batches WHERE batch_id = :b", b=number)[0]
            rows = self.store.tuples(
                "SELECT r.id FROM json_each(:seqs) j JOIN records r ON r.plan_id = :p AND r.seq = j.value"
                " UNION SELECT v.id FROM json_each(:seqs) j JOIN versions v ON v.plan_id = :p AND v.seq = j.value",
                seqs=msgspec.json.encode(Delivery.members(batch)).decode(),
                p=plan_id,
            )
            found |= {row[0] for row in rows}
        return found

    def _doubted(self, plan_id: int, now: float | None, since: float = -1e12) -> list[int]:
        """The numbers of batches in doubt that somebody still waits for; with `now`, those to be settled then. `since`:
        older ones only as long as one of their records is tried again."""
        waited = (
            " AND (b.created_at >= :since OR EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = b.plan_id"
            " AND e.batch_id = b.batch_id AND e.state IN ('failed', 'pending')))"
        )
        due = (
            " AND (EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = b.plan_id AND e.batch_id = b.batch_id"
            f" AND e.state IN ('failed', 'pending') AND (e.due_at <= :now OR {OF_THE_FUTURE.format('e')}))"
            " OR ((SELECT COUNT(*) FROM exceptions e WHERE e.plan_id = b.plan_id AND e.batch_id = b.batch_id) < b.rows"
            " AND b.created_at >= :since))"
        )
        rows = self.store.tuples(
            "SELECT b.batch_id FROM batches b WHERE b.plan_id = :p AND b.state = 'doubt'"
            + (due if now is not None else waited)
            + " ORDER BY b.batch_id",
            p=plan_id,
            now=now,
            since=since,
        )
        return [int(row[0]) for row in rows]

    def reopen(self, batch: OpenBatch, run: Run, now: float) -> None:
        """A batch that was in doubt is sent again as it was, under the same key."""
        with self.store.transaction(run) as c:
            c.run(
                "UPDATE batches SET state = 'sending', finished_at = NULL WHERE batch_id = :b",
                {"b": batch.batch_id},
            )
            c.many(
                "UPDATE exceptions SET state = 'sending', due_at = NULL, updated_at = :now"
                " WHERE plan_id = :p AND seq = :seq AND batch_id = :b",
                [{"now": now, "p": run.plan_id, "seq": r.seq, "b": batch.batch_id} for r in batch.records],
            )
