"""Comparing the ledger with what a source shows and a target has: statuses of arrivals, sent payloads in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from xxhash import xxh3_128_digest

from noria.ledger.arrivals import AMBIGUOUS, WITHOUT_ID, Arrivals
from noria.ledger.delivery import Delivery
from noria.ledger.exceptions import note_exceptions
from noria.ledger.pages import Pages
from noria.ledger.reasons import stored
from noria.ledger.records import rows_of
from noria.ledger.runs import Run
from noria.ledger.store import Store
from noria.messages import Message

SAME, CHANGED, MISSING = "same", "changed", "missing"

_KNOWN = (
    "SELECT r.id, r.hash, r.page_id, r.position FROM json_each(:ids) j CROSS JOIN records r"
    " WHERE r.plan_id = :p AND r.id = j.value AND r.stray = 0"
)
_OTHER_CONTENT = (
    "SELECT 1 FROM versions WHERE plan_id = :p AND id = :id AND kind = 'duplicate' AND hash = :hash"
    " UNION SELECT 1 FROM records INDEXED BY records_strays"
    " WHERE plan_id = :p AND hash = :hash AND stray <> 0 AND +stray = :ambiguous AND id = :id"
)
_STRAY = (
    "SELECT 1 FROM records INDEXED BY records_strays"
    " WHERE plan_id = :p AND hash = :hash AND stray <> 0 AND +stray = :without"
)
_DELIVERED = (
    "SELECT r.seq, r.id FROM json_each(:seqs) j CROSS JOIN records r"
    " LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq"
    " WHERE r.plan_id = :p AND r.seq = j.value AND r.stray = 0"
    " AND CASE WHEN e.seq IS NULL THEN :kind = 'fresh' ELSE e.state IN ('delivered', 'held') AND e.batch_id = :b"
    " AND e.who IS NULL END"
)
_BY_HAND = (
    "SELECT r.id FROM exceptions e JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq"
    " WHERE e.plan_id = :p AND e.state = 'delivered' AND e.who IS NOT NULL AND r.stray = 0 ORDER BY e.seq"
)


class Sent(NamedTuple):
    """A payload that was delivered, or may have been (held), and is what its records were sent with last (empty when it
    is no longer kept); their ids."""

    ids: list[str]
    payload: bytes


class Comparing:
    """Reads what reconciliations compare."""

    def __init__(self, store: Store, pages: Pages) -> None:
        self.store = store
        self.pages = pages

    def statuses(self, plan_id: int, arrivals: Arrivals) -> list[str]:
        """For each arrival whether the ledger has it, has another content of its id, or has not heard of it.

        A content that is kept beside the record's own (a duplicate that idCheck holds back, an ambiguous one) is had.
        """
        asked = msgspec.json.encode(arrivals.ids).decode()
        known = {row[0]: row[1:] for row in self.store.tuples(_KNOWN, ids=asked, p=plan_id)}
        found = []
        for position, (record_id, raw) in enumerate(zip(arrivals.ids, arrivals.raws, strict=True)):
            digest = xxh3_128_digest(raw)
            keys = {"p": plan_id, "hash": digest}
            if position in arrivals.invalid or record_id is None:
                had = self.store.tuples(_STRAY, **keys, without=WITHOUT_ID)
                found.append(SAME if had else MISSING)
            elif record_id not in known:
                found.append(MISSING)
            else:
                own, page_id, place = known[record_id]
                same = own == digest or self.store.tuples(_OTHER_CONTENT, **keys, id=record_id, ambiguous=AMBIGUOUS)
                same = same or self.pages.same(page_id, place, raw)
                found.append(SAME if same else CHANGED)
        return found

    def ids(self, plan_id: int) -> Iterator[str]:
        """The ids of a plan's records, in the order of their UTF-8 bytes."""
        for row in self.store.stream("SELECT id FROM records WHERE plan_id = :p AND stray = 0 ORDER BY id", p=plan_id):
            yield row[0]

    def undelivered(self, plan_id: int) -> Iterator[tuple[str | None, str]]:
        """The ids of records that certainly were not delivered although no filter keeps them back, and what they are
        called; None for one that can't be known by its id."""
        for row in self.store.stream(
            "SELECT id, number, stray FROM record_states WHERE plan_id = :p"
            " AND (state IN ('pending', 'sending', 'failed', 'dead', 'invalid')"
            " OR (state = 'held' AND batch_id IS NULL)) ORDER BY seq",
            p=plan_id,
        ):
            yield (None if row[2] else row[0]), row[0] or row[1] or "?"

    def sent(self, plan_id: int) -> Iterator[Sent]:
        """Every payload that was delivered (or may have been) and not sent anew since, batch by batch."""
        for row in self.store.stream(
            "SELECT * FROM batches WHERE plan_id = :p AND state <> 'sending' ORDER BY batch_id", p=plan_id
        ):
            groups = Delivery.groups(row)
            seqs = msgspec.json.encode([seq for group in groups for seq in group]).decode()
            ids = dict(self.store.tuples(_DELIVERED, seqs=seqs, p=plan_id, kind=row.kind, b=row.batch_id))
            if not ids:
                continue
            # What was sent long ago may no longer be kept; that it was sent is.
            payloads = rows_of(self.store.unpack(row.body), row.body_path) if row.body else [b""] * len(groups)
            for group, payload in zip(groups, payloads, strict=True):
                own = [ids[seq] for seq in group if seq in ids]
                if own:
                    yield Sent(own, bytes(payload))
        # What a person wrote into the target is known by its id only.
        for row in self.store.stream(_BY_HAND, p=plan_id):
            yield Sent([row[0]], b"")

    def resend(self, run: Run, ids: Sequence[str], now: float) -> int:
        """Records that the target turned out not to have, though they were delivered or may have been, or that could
        not be mapped, go back to pending. Those whose content is no longer kept are to be taken anew from the source;
        gives how many these are."""
        asked = msgspec.json.encode(list(ids)).decode()
        rows = self.store.tuples(
            "SELECT s.seq, LENGTH(g.body) > 0 FROM json_each(:ids) j CROSS JOIN record_states s"
            " JOIN pages g USING (page_id)"
            " WHERE s.plan_id = :p AND s.id = j.value AND s.stray = 0 AND s.state IN ('delivered', 'held', 'invalid')",
            ids=asked,
            p=run.plan_id,
        )
        reason = stored(Message("reason.not_in_target"))
        gone = [{"p": run.plan_id, "seq": seq, "none": b""} for seq, kept in rows if not kept]
        with self.store.transaction(run) as c:
            again = [{"seq": seq, "state": "pending", "reason": reason, "due_at": now} for seq, kept in rows if kept]
            note_exceptions(c, run, again, now)
            c.many("UPDATE records SET hash = :none WHERE plan_id = :p AND seq = :seq", gone)
        return len(gone)
