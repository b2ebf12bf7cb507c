"""Other contents of records than the one that counts: kept as versions, each with how it came to be one."""

from __future__ import annotations

from noria.ledger.reads import Read
from noria.ledger.runs import Run
from noria.ledger.store import Store, Transaction

# `stray <> 0` is what the partial index of strays is declared with; the plus keeps SQLite from reasoning it away.
_SETTLED = (
    "SELECT s.seq, s.id, s.hash, s.page_id, s.position FROM records s INDEXED BY records_strays"
    " CROSS JOIN records r WHERE r.plan_id = s.plan_id AND r.id = s.id AND r.stray = 0"
    " AND s.plan_id = :p AND +s.stray = 2 AND s.stray <> 0 AND s.read_id < :first AND r.read_id >= :first"
    " AND r.read_id <= :last"
)
_ANY_AMBIGUOUS = (
    "SELECT 1 FROM records INDEXED BY records_strays WHERE plan_id = :p AND +stray = 2 AND stray <> 0 LIMIT 1"
)


def keep_version(
    c: Transaction,
    run: Run,
    now: float,
    record_id: str | None,
    kind: str,
    seq: int | None,
    digest: bytes,
    page_id: int,
    position: int,
) -> None:
    """Keep a content as a version; where it lies (page, position), and under which number it was a record's."""
    c.run(
        "INSERT INTO versions (plan_id, id, kind, seq, hash, page_id, position, run_id, noted_at)"
        " VALUES (:p, :id, :kind, :seq, :hash, :page, :position, :run, :now)",
        {
            "p": run.plan_id,
            "id": record_id,
            "kind": kind,
            "seq": seq,
            "hash": digest,
            "page": page_id,
            "position": position,
            "run": run.run_id,
            "now": now,
        },
    )


def newest_version(c: Transaction, run: Run, record_id: str | None, kind: str = "duplicate") -> bytes | None:
    """The hash of a record's newest version of a kind; None where there is none."""
    found = c.value(
        "SELECT hash FROM versions WHERE plan_id = :p AND id = :id AND kind = :kind ORDER BY version_id DESC LIMIT 1",
        {"p": run.plan_id, "id": record_id, "kind": kind},
    )
    return bytes(found) if found is not None else None


class Ambiguous:
    """Records whose id came with several contents at once."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def settle(self, run: Run, read: Read, now: float) -> int:
        """After a whole read: an ambiguous content whose id this read showed with just one other content is no longer
        in question; it leaves the invalid records and stays among the record's versions. Gives how many."""
        if not self.store.tuples(_ANY_AMBIGUOUS, p=run.plan_id):
            return 0
        first, last = read.kin if read.kin[1] > 0 else (read.read_id, read.read_id)
        with self.store.transaction(run) as c:
            rows = c.rows(_SETTLED, {"p": run.plan_id, "first": first, "last": last})
            for row in rows:
                keep_version(c, run, now, row.id, "resolved", row.seq, row.hash, row.page_id, row.position)
                keys = {"p": run.plan_id, "seq": row.seq}
                c.run("DELETE FROM exceptions WHERE plan_id = :p AND seq = :seq", keys)
                c.run("DELETE FROM records WHERE plan_id = :p AND seq = :seq", keys)
            c.run("UPDATE plans SET records = records - :n WHERE plan_id = :p", {"n": len(rows), "p": run.plan_id})
        return len(rows)
