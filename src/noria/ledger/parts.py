"""Parts: a source that is read in several parts by themselves (time windows, departments), by one process or more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from noria.ledger.assists import Assists
from noria.ledger.reads import PASSES, Read, next_read
from noria.ledger.runs import Run
from noria.ledger.store import Store

_READ_ID = "SELECT read_id FROM parts WHERE plan_id = :p"


class Part(NamedTuple):
    """A part to be read: its number, what it is (JSON), the read of it and where that stands, and the figures of those
    who have read some of it for another's run."""

    number: int
    what: str
    read: Read
    counts: dict[str, int]


class Standing(NamedTuple):
    """What the parts of a read came to: what each list shows without moving, by what the part is, what it showed of
    moving (all JSON), whether all of them stood still, figures of what others have read."""

    usual: dict[str, str]
    signs: list[str]
    settled: bool
    counts: dict[str, int]


class Parts:
    """Keeps the parts of the read that each plan has under way."""

    def __init__(self, store: Store, assists: Assists) -> None:
        self.store = store
        self.assists = assists

    def offer(self, run: Run) -> bool:
        """Go on with the parts of a read that was interrupted; no where it has none."""
        with self.store.transaction(run) as c:
            found = c.run(
                "UPDATE parts SET run_id = :run, counts = NULL,"
                " state = CASE WHEN state = 'failed' THEN 'open' ELSE state END WHERE plan_id = :p",
                {"run": run.run_id, "p": run.plan_id},
            )
            return bool(found.rowcount)

    def begin(self, run: Run, parts: Sequence[tuple[str, str | None]], now: float) -> None:
        """Begin a read in these parts: what each is, and what its list shows without moving (both JSON)."""
        with self.store.transaction(run) as c:
            kept = PASSES * (len(parts) + 1)
            # A multiple of PASSES, so that a number says of which part it is.
            first = -(-(next_read(c, run, kept) - kept + 1) // PASSES) * PASSES
            c.run("DELETE FROM parts WHERE plan_id = :p", {"p": run.plan_id})
            c.many(
                "INSERT INTO parts (plan_id, number, what, read_id, run_id, state, pages, usual, touched_at)"
                " VALUES (:p, :number, :what, :read, :run, 'open', 0, :usual, :now)",
                [
                    {
                        "p": run.plan_id,
                        "number": number,
                        "what": what,
                        "read": first + PASSES * (number - 1),
                        "run": run.run_id,
                        "usual": usual,
                        "now": now,
                    }
                    for number, (what, usual) in enumerate(parts, 1)
                ],
            )

    def take(self, run: Run, now: float) -> Part | None:
        """Take the first part that nobody reads; None where there is none. One that another failed to read is left to
        the run that offers it, which comes to it last."""
        for state in ("open", "failed") if run.stage == "run" else ("open",):
            part = self._take(run, state, now)
            if part is not None:
                return part
        return None

    def _take(self, run: Run, state: str, now: float) -> Part | None:
        own = {"p": run.plan_id, "state": state, "run": run.run_id}
        waiting = (
            "SELECT number FROM parts WHERE plan_id = :p AND state = :state AND taker IS NULL AND run_id IS NOT NULL"
            " ORDER BY number LIMIT 1"
        )
        if not self.store.tuples(waiting, p=run.plan_id, state=state):
            return None
        with self.store.transaction(run) as c:
            number = c.value(f"{waiting} FOR UPDATE SKIP LOCKED", own)
            if number is None:
                return None
            own["number"] = number
            c.run("UPDATE parts SET taker = :run, state = 'open' WHERE plan_id = :p AND number = :number", own)
            row = c.row(
                "SELECT t.*, p.read_started_at, p.read_from FROM parts t JOIN plans p ON p.plan_id = t.plan_id"
                " WHERE t.plan_id = :p AND t.number = :number",
                own,
            )
        read = Read(
            row.read_id,
            row.read_started_at,
            row.read_from,
            row.cursor,
            row.pages,
            resumed=row.pages > 0,
            idle=abs(now - row.touched_at) if row.pages else 0.0,
            signs=row.signs,
            usual=row.usual,
            own=False,
            part=row.number,
            kin=self.kin(run.plan_id),
        )
        return Part(row.number, row.what, read, msgspec.json.decode(row.counts) if row.counts else {})

    def kin(self, plan_id: int) -> tuple[int, int]:
        """The numbers, from the first to the last, that are kept for a plan's parts."""
        ends = [
            int(self.store.tuples(f"{_READ_ID} ORDER BY number {way} LIMIT 1", p=plan_id)[0][0])
            for way in ("ASC", "DESC")
        ]
        return ends[0] - ends[0] % PASSES, ends[1] - ends[1] % PASSES + PASSES - 1

    def tell(self, run: Run, number: int, counts: dict[str, int]) -> None:
        """Note figures of a part that this run reads for another's."""
        with self.store.transaction(run) as c:
            c.run(
                "UPDATE parts SET counts = :counts WHERE plan_id = :p AND number = :number AND taker = :run",
                {
                    "counts": msgspec.json.encode(counts).decode(),
                    "p": run.plan_id,
                    "number": number,
                    "run": run.run_id,
                },
            )

    def done(self, run: Run, number: int, *, settled: bool, signs: str, usual: str) -> None:
        """A part was read to its end: whether its list stood still, what it showed, also without moving (both JSON)."""
        with self.store.transaction(run) as c:
            c.run(
                "UPDATE parts SET state = :state, taker = NULL, signs = :signs, usual = :usual"
                " WHERE plan_id = :p AND number = :number AND taker = :run",
                {
                    "state": "settled" if settled else "moved",
                    "signs": signs,
                    "usual": usual,
                    "p": run.plan_id,
                    "number": number,
                    "run": run.run_id,
                },
            )

    def release(self, run: Run, number: int, *, failed: bool) -> None:
        """A part is not read to its end now; what was staged of it stays, and where it goes on."""
        with self.store.transaction(run) as c:
            c.run(
                "UPDATE parts SET state = :state, taker = NULL"
                " WHERE plan_id = :p AND number = :number AND taker = :run",
                {
                    "state": "failed" if failed else "open",
                    "p": run.plan_id,
                    "number": number,
                    "run": run.run_id,
                },
            )

    def lost(self, run: Run, now: float) -> None:
        """Take back what processes were reading that are gone, or silent for so long that they can't write any more."""
        for gone in self.assists.gone(run, now, "parts"):
            with self.store.transaction(run) as c:
                if self.assists.end(c, gone, now):
                    c.run(
                        "UPDATE parts SET taker = NULL WHERE plan_id = :p AND taker = :gone",
                        {"p": run.plan_id, "gone": gone.run_id},
                    )

    def left(self, run: Run) -> bool:
        """Whether a part has not been read to its end."""
        return bool(
            self.store.tuples(
                "SELECT 1 FROM parts WHERE plan_id = :p AND state IN ('open', 'failed') LIMIT 1", p=run.plan_id
            )
        )

    def elsewhere(self, run: Run) -> bool:
        """Whether another reads a part now."""
        return bool(
            self.store.tuples(
                "SELECT 1 FROM parts WHERE plan_id = :p AND state = 'open' AND taker > 0 AND taker <> :run LIMIT 1",
                p=run.plan_id,
                run=run.run_id,
            )
        )

    def standing(self, plan_id: int) -> Standing:
        """What they came to."""
        rows = self.store.rows(
            "SELECT what, state, signs, usual, counts FROM parts WHERE plan_id = :p ORDER BY number", p=plan_id
        )
        counts: dict[str, int] = {}
        for row in rows:
            for name, count in (msgspec.json.decode(row.counts) if row.counts else {}).items():
                counts[name] = counts.get(name, 0) + count
        return Standing(
            {row.what: row.usual for row in rows if row.usual},
            [row.signs for row in rows if row.signs],
            all(row.state == "settled" for row in rows),
            counts,
        )
