"""Shares: batches of one run that other processes send, each under a lease of its own.

The run that has the plan claims the records and puts the batches together; so their order is one process's business.
What it can't send at once it offers. Whoever takes a share does so as a run of kind `assist`, which a next run of the
plan takes over together with the plan.
"""

from __future__ import annotations

from typing import NamedTuple

from noria.ledger.assists import Assists
from noria.ledger.runs import Run
from noria.ledger.store import Store


class Lost(NamedTuple):
    """What processes that are gone had taken. `shares`: the batches they took; `open`: those that are still `sending`,
    with others that they had opened to send those in parts."""

    shares: list[int]
    open: list[int]


class Shares:
    """Keeps what is offered, who has taken it, and what became of it."""

    def __init__(self, store: Store, assists: Assists) -> None:
        self.store = store
        self.assists = assists

    def offer(self, run: Run, batch_id: int) -> None:
        """Offer a batch that was claimed to be sent by another process."""
        with self.store.transaction(run) as c:
            c.run(
                "INSERT INTO shares (batch_id, plan_id, run_id) VALUES (:b, :p, :run)",
                {"b": batch_id, "p": run.plan_id, "run": run.run_id},
            )

    def recall(self, run: Run, batch_id: int) -> bool:
        """Take an offer back; no when somebody has taken it."""
        with self.store.transaction(run) as c:
            found = c.run("DELETE FROM shares WHERE batch_id = :b AND taker IS NULL", {"b": batch_id})
            return bool(found.rowcount)

    def inherited(self, run: Run) -> list[int]:
        """Batches that the run before this one had offered and nobody took: they have not been sent."""
        rows = self.store.tuples(
            "SELECT batch_id FROM shares WHERE plan_id = :p AND taker = 0 ORDER BY batch_id",
            p=run.plan_id,
        )
        return [int(row[0]) for row in rows]

    def taken(self, run: Run) -> list[int]:
        """Batches that others have taken and not told of yet."""
        rows = self.store.tuples(
            "SELECT batch_id FROM shares WHERE plan_id = :p AND taker > 0 ORDER BY batch_id",
            p=run.plan_id,
        )
        return [int(row[0]) for row in rows]

    def forget(self, run: Run, batch_id: int) -> None:
        """An inherited batch has been seen to."""
        with self.store.transaction(run) as c:
            c.run("DELETE FROM shares WHERE batch_id = :b AND taker = 0", {"b": batch_id})

    def gathered(self, run: Run) -> list[tuple[int, str]]:
        """Batches that were seen to since this was asked last, with what their takers tell."""
        ended = "FROM shares WHERE plan_id = :p AND outcome IS NOT NULL"
        if not self.store.tuples(f"SELECT 1 {ended} LIMIT 1", p=run.plan_id):
            return []
        with self.store.transaction(run) as c:
            found = c.run(f"DELETE {ended} RETURNING batch_id, outcome", {"p": run.plan_id}).fetchall()
        return [(int(batch_id), str(outcome)) for batch_id, outcome in found]

    def lost(self, run: Run, now: float) -> Lost:
        """Take back what processes had that are gone, or silent for so long that they can't write any more. What they
        were sending is this run's from now on."""
        lost = Lost([], [])
        for gone in self.assists.gone(run, now, "shares"):
            with self.store.transaction(run) as c:
                if not self.assists.end(c, gone, now):
                    continue
                own = {"p": run.plan_id, "gone": gone.run_id, "run": run.run_id}
                taken = "DELETE FROM shares WHERE plan_id = :p AND taker = :gone AND outcome IS NULL RETURNING batch_id"
                shares = c.run(taken, own).fetchall()
                opened = (
                    "UPDATE batches SET run_id = :run WHERE plan_id = :p AND state = 'sending' AND run_id = :gone"
                    " RETURNING batch_id"
                )
                batches = c.run(opened, own).fetchall()
            lost.shares.extend(int(row[0]) for row in shares)
            lost.open.extend(sorted(int(row[0]) for row in batches))
        return lost

    def take(self, run: Run) -> int | None:
        """Take the oldest batch that is offered; None where there is none."""
        waiting = "SELECT batch_id FROM shares WHERE plan_id = :p AND taker IS NULL ORDER BY batch_id LIMIT 1"
        if not self.store.tuples(waiting, p=run.plan_id):
            return None
        with self.store.transaction(run) as c:
            batch_id = c.value(f"{waiting} FOR UPDATE SKIP LOCKED", {"p": run.plan_id})
            if batch_id is None:
                return None
            own = {"b": batch_id, "run": run.run_id}
            c.run("UPDATE shares SET taker = :run WHERE batch_id = :b", own)
            c.run("UPDATE batches SET run_id = :run WHERE batch_id = :b", own)
        return int(batch_id)

    def over(self, run: Run, batch_id: int, outcome: str) -> None:
        """A batch that was taken has been seen to: what the run that offered it is to know."""
        with self.store.transaction(run) as c:
            c.run(
                "UPDATE shares SET outcome = :outcome WHERE batch_id = :b AND taker = :run",
                {"outcome": outcome, "b": batch_id, "run": run.run_id},
            )
