"""Reads of a source and their watermarks: where one goes on, and up to which time all of a source is staged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from noria.ledger.runs import Run
from noria.ledger.store import Store, Transaction

# So many numbers are kept for each part of a read: a pass over its list takes one.
PASSES = 8


@dataclass(frozen=True)
class Read:
    """A read of the source. `started_at` becomes the watermark when it ends well; `read_from` is the LAST_SYNC_TIME
    that its requests use; `bookmark` is where it began, in the words of a source that keeps its own place from read to
    read; `cursor` is where it goes on, `pages` how many are staged; `idle`: seconds since its last page; `signs`: what
    it showed of a list that moves, `usual`: what that list shows anyway (both JSON). `own`: the plan's own read, which
    the ledger keeps the place of; `part`: the number of the part of it that this read is of, whose place it keeps, too;
    others (sweeps) leave both alone. `kin`: the numbers, from the first to the last, of the reads that together are the
    plan's own."""

    read_id: int
    started_at: float
    read_from: float | None
    cursor: str | None = None
    pages: int = 0
    resumed: bool = False
    idle: float = 0.0
    signs: str | None = None
    usual: str | None = None
    own: bool = True
    part: int | None = None
    kin: tuple[int, int] = (0, -1)
    bookmark: str | None = None

    def showed(self, read_id: int) -> bool:
        """Whether a read of that number is this one, or another part of the same."""
        return read_id == self.read_id or self.kin[0] <= read_id <= self.kin[1]


class Reads:
    """Begins and ends reads."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def watermark(self, plan_id: int) -> float | None:
        """Up to which time all of the source is staged, in epoch seconds; None before the first whole read."""
        value = self.store.rows("SELECT watermark FROM plans WHERE plan_id = :p", p=plan_id)[0][0]
        return None if value is None else float(value)

    def begin(self, run: Run, now: float, signature: str, resume_within: float) -> Read:
        """Start reading the source, or go on with a read that was interrupted not long ago.

        `signature` stands for what the request asks; a read is only continued when it is the same.
        """
        with self.store.transaction(run) as c:
            row = c.row(
                "SELECT watermark, read_id, read_started_at, read_from, read_touched_at, read_cursor, read_pages,"
                " read_signature, read_signs, read_usual, bookmark FROM plans WHERE plan_id = :p",
                {"p": run.plan_id},
            )
            fresh = row.read_touched_at is not None and abs(now - row.read_touched_at) <= resume_within
            if row.read_started_at is not None and fresh and row.read_signature == signature:
                return Read(
                    row.read_id,
                    row.read_started_at,
                    row.read_from,
                    row.read_cursor,
                    row.read_pages,
                    resumed=True,
                    idle=abs(now - row.read_touched_at),
                    signs=row.read_signs,
                    usual=row.read_usual,
                    bookmark=row.bookmark,
                )
            same = row.read_signature == signature
            usual, bookmark = (row.read_usual, row.bookmark) if same else (None, None)
            # Parts of a read that is over say nothing of this one.
            c.run("DELETE FROM parts WHERE plan_id = :p", {"p": run.plan_id})
            read = Read(next_read(c, run), now, row.watermark, usual=usual, bookmark=bookmark)
            c.run(
                "UPDATE plans SET read_id = :read, read_started_at = :now, read_from = watermark,"
                " read_touched_at = :now, read_cursor = NULL, read_pages = 0, read_signature = :signature,"
                " read_signs = NULL, read_usual = :usual, bookmark = :bookmark WHERE plan_id = :p",
                {
                    "read": read.read_id,
                    "now": now,
                    "signature": signature,
                    "usual": usual,
                    "bookmark": bookmark,
                    "p": run.plan_id,
                },
            )
        return read

    def begin_sweep(self, run: Run, now: float, read_from: float) -> Read:
        """Start reading a past window again, beside the plan's own read."""
        with self.store.transaction(run) as c:
            return Read(next_read(c, run), now, read_from, own=False)

    def again(self, run: Run, read: Read, signs: str, now: float, cursor: str | None = None) -> Read:
        """Go over the same list once more, from its first page or from `cursor` on, as a read with a number of its
        own."""
        with self.store.transaction(run) as c:
            # The passes of a part have numbers of their own, as far as those that were kept for them go.
            kept = read.part is not None and read.read_id % PASSES != PASSES - 1
            number = read.read_id + 1 if kept else next_read(c, run)
            again = replace(read, read_id=number, cursor=cursor, pages=0, signs=signs, resumed=False)
            if read.own:
                c.run(
                    "UPDATE plans SET read_id = :read, read_cursor = :cursor, read_pages = 0, read_signs = :signs,"
                    " read_touched_at = :now WHERE plan_id = :p AND read_id = :before",
                    {
                        "read": again.read_id,
                        "cursor": cursor,
                        "signs": signs,
                        "now": now,
                        "p": run.plan_id,
                        "before": read.read_id,
                    },
                )
            if read.part is not None:
                c.run(
                    "UPDATE parts SET read_id = :read, cursor = :cursor, pages = 0, signs = :signs, touched_at = :now"
                    " WHERE plan_id = :p AND number = :part AND taker = :run",
                    {
                        "read": again.read_id,
                        "cursor": cursor,
                        "signs": signs,
                        "now": now,
                        "p": run.plan_id,
                        "part": read.part,
                        "run": run.run_id,
                    },
                )
        return again

    def end(
        self, run: Run, read: Read, watermark: float | None, usual: str | None = None, bookmark: str | None = None
    ) -> None:
        """The source was read to its end: where the watermark stands now (None: where it stood; it never goes back,
        unless it was ahead of the read itself), and where the next read begins (None: where every read does)."""
        if not read.own:
            return
        with self.store.transaction(run) as c:
            c.run("DELETE FROM parts WHERE plan_id = :p", {"p": run.plan_id})
            c.run(
                "UPDATE plans SET read_started_at = NULL, read_cursor = NULL, read_signs = NULL, read_usual = :usual,"
                " bookmark = :bookmark, whole_at = CAST(:started AS DOUBLE PRECISION),"
                " watermark = CASE WHEN CAST(:w AS DOUBLE PRECISION) IS NULL THEN watermark"
                " WHEN watermark IS NULL OR watermark < :w OR watermark > :started THEN :w ELSE watermark END"
                " WHERE plan_id = :p AND read_id = :read",
                {
                    "w": watermark,
                    "usual": usual,
                    "bookmark": bookmark,
                    "started": read.started_at,
                    "p": run.plan_id,
                    "read": read.read_id,
                },
            )


def next_read(c: Transaction, run: Run, count: int = 1) -> int:
    """The number of a new read, or the last of so many."""
    return int(
        c.value(
            "UPDATE plans SET last_read_id = last_read_id + :n WHERE plan_id = :p RETURNING last_read_id",
            {"n": count, "p": run.plan_id},
        )
    )
