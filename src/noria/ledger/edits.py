"""Payloads that people corrected: what the mapping had made of a record, what is sent instead, who said so, and why.

A row is never changed but for the batch that took it up first; the newest of a record counts. It belongs to the content
that was corrected: newer content of the record has another `seq`, and goes as the mapping makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from noria.ledger.store import Store, Transaction
from noria.metadata.times import iso

_NEWEST = (
    "SELECT x.seq, x.edit_id, x.payload, x.members, x.batch_id FROM json_each(:seqs) j JOIN edits x ON x.edit_id ="
    " (SELECT MAX(y.edit_id) FROM edits y WHERE y.plan_id = :p AND y.seq = j.value)"
)
_ANY = "SELECT 1 FROM edits WHERE plan_id = :p LIMIT 1"
_TAKEN = "UPDATE edits SET batch_id = :b WHERE edit_id = :edit AND batch_id IS NULL"


class Edit(NamedTuple):
    """A correction that counts: its number, the payload (None: what the mapping makes, after all), and the records of
    the document that it is for."""

    number: int
    payload: bytes | None
    members: frozenset[int]


class Edits:
    """Keeps corrections."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def newest(self, plan_id: int, seqs: Iterable[int]) -> dict[int, Edit]:
        """The correction that counts of each of these records that has one."""
        if not self.store.tuples(_ANY, p=plan_id):
            return {}
        rows = self.store.tuples(_NEWEST, p=plan_id, seqs=msgspec.json.encode(list(seqs)).decode())
        return {
            seq: Edit(
                number,
                None if payload is None else self.store.unpack(payload),
                frozenset(msgspec.json.decode(members) if members else [seq]),
            )
            for seq, number, payload, members, _ in rows
        }

    def of(self, plan_id: int, seqs: Sequence[int]) -> list[dict[str, Any]]:
        """Every correction of these contents of a record, as its story tells them."""
        rows = self.store.rows(
            "SELECT x.* FROM json_each(:seqs) j JOIN edits x ON x.plan_id = :p AND x.seq = j.value ORDER BY x.edit_id",
            p=plan_id,
            seqs=msgspec.json.encode(list(seqs)).decode(),
        )
        return [
            {
                "number": row.edit_id,
                "seq": row.seq,
                "at": iso(row.at),
                "who": row.who,
                "reason": row.reason,
                "made": None if row.made is None else msgspec.Raw(self.store.unpack(row.made)),
                "payload": None if row.payload is None else msgspec.Raw(self.store.unpack(row.payload)),
                "records": len(msgspec.json.decode(row.members)) if row.members else 1,
                "batch": row.batch_id,
            }
            for row in rows
        ]


def touched(c: Transaction, plan_id: int, seqs: Sequence[int], edits: Mapping[int, int]) -> set[int]:
    """Those of the records that are to be claimed which a person has decided about since they were looked at: skipped,
    written by hand, or corrected otherwise than `edits` says (numbers by seq). Nobody decides meanwhile."""
    c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", {"p": plan_id})
    own = {"p": plan_id, "seqs": msgspec.json.encode(list(seqs)).decode()}
    found = c.run(
        "SELECT e.seq FROM json_each(:seqs) j JOIN exceptions e ON e.plan_id = :p AND e.seq = j.value"
        " WHERE e.who IS NOT NULL",
        own,
    ).fetchall()
    decided = {int(row[0]) for row in found}
    if c.run(_ANY, own).fetchall():
        rows = c.run(_NEWEST, own).fetchall()
        decided |= {seq for seq, number, _, _, batch in rows if batch is None and edits.get(seq) != number}
    return decided


def taken(c: Transaction, batch_id: int, numbers: Iterable[int]) -> None:
    """These corrections are sent in a batch."""
    c.many(_TAKEN, [{"b": batch_id, "edit": number} for number in numbers])
