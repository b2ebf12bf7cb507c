"""Shares: batches of one run that other processes send, each under a lease of its own.

The run that has the plan claims the records and puts the batches together; so their order is one process's business.
What it can't send at once it offers. Whoever takes a share does so as a run of kind `assist`, whose lease a next run of
the plan ends together with the run it helped.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from noria.ledger.runs import LEASE_SECONDS, Run, alive, owner
from noria.ledger.store import Store

_ASSISTS = "stage LIKE 'assist.%'"


class Lost(NamedTuple):
    """What processes that are gone had taken. `shares`: the batches they took; `open`: those that are still `sending`,
    with others that they had opened to send those in parts."""

    shares: list[int]
    open: list[int]


class Shares:
    """Keeps what is offered, who has taken it, and what became of it."""

    def __init__(self, store: Store) -> None:
        self.store = store

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
        shared = self.store.time(now)
        asked = (
            f"SELECT stage, owner, run_id, expires_at FROM leases WHERE plan_id = :p AND {_ASSISTS} AND run_id IN"
            " (SELECT taker FROM shares WHERE plan_id = :p)"
        )
        if all(_holds(row, shared) for row in self.store.rows(asked, p=run.plan_id)):
            return Lost([], [])
        lost = Lost([], [])
        with self.store.transaction(run) as c:
            for row in c.rows(f"{asked} ORDER BY stage FOR UPDATE", {"p": run.plan_id}):
                if _holds(row, shared):
                    continue
                own = {"p": run.plan_id, "stage": row.stage, "gone": row.run_id, "run": run.run_id, "now": now}
                c.run("UPDATE leases SET fence = fence + 1, expires_at = 0 WHERE plan_id = :p AND stage = :stage", own)
                c.run(
                    "UPDATE runs SET status = 'interrupted', finished_at = :now"
                    " WHERE run_id = :gone AND status = 'running'",
                    own,
                )
                taken = "DELETE FROM shares WHERE plan_id = :p AND taker = :gone AND outcome IS NULL RETURNING batch_id"
                lost.shares.extend(int(found[0]) for found in c.run(taken, own).fetchall())
                opened = (
                    "UPDATE batches SET run_id = :run WHERE plan_id = :p AND state = 'sending' AND run_id = :gone"
                    " RETURNING batch_id"
                )
                lost.open.extend(sorted(int(found[0]) for found in c.run(opened, own).fetchall()))
        return lost

    def offered(self, now: float) -> list[str]:
        """The plans in whose runs other processes than this one offer something."""
        plans = self.store.tuples("SELECT DISTINCT plan_id FROM shares WHERE taker IS NULL")
        if not plans:
            return []
        return [
            str(row[0])
            for row in self.store.tuples(
                "SELECT p.key FROM json_each(:seqs) j JOIN leases l ON l.plan_id = j.value AND l.stage = 'run'"
                " JOIN plans p ON p.plan_id = l.plan_id WHERE l.expires_at > :now AND l.owner <> :own ORDER BY p.key",
                seqs=msgspec.json.encode([row[0] for row in plans]).decode(),
                now=self.store.time(now),
                own=owner(),
            )
        ]

    def join(self, plan_id: int, most: int, now: float) -> Run | None:
        """Begin to take shares in the run that a plan has; None where it has none, or `most` others do so."""
        shared = self.store.time(now)
        with self.store.transaction() as c:
            c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", {"p": plan_id})
            rows = c.rows(
                "SELECT stage, owner, run_id, fence, expires_at FROM leases WHERE plan_id = :p", {"p": plan_id}
            )
            leases = {row.stage: row for row in rows}
            lead = leases.get("run")
            if lead is None or lead.expires_at <= shared:
                return None
            taken = {row[0] for row in c.run("SELECT taker FROM shares WHERE plan_id = :p", {"p": plan_id}).fetchall()}
            for number in range(1, most + 1):
                stage = f"assist.{number}"
                row = leases.get(stage)
                # One whose shares nobody has taken back yet is not free.
                if row is None or (row.expires_at <= shared and row.run_id not in taken):
                    break
            else:
                return None
            fence = 1 if row is None else row.fence + 1
            run_id = c.value(
                "INSERT INTO runs (plan_id, kind, status, started_at, fence)"
                " VALUES (:p, 'assist', 'running', :now, :fence) RETURNING run_id",
                {"p": plan_id, "now": now, "fence": fence},
            )
            c.run(
                "INSERT INTO leases (plan_id, stage, owner, fence, run_id, expires_at)"
                " VALUES (:p, :stage, :owner, :fence, :run, :until) ON CONFLICT (plan_id, stage) DO UPDATE"
                " SET owner = excluded.owner, fence = excluded.fence, run_id = excluded.run_id,"
                " expires_at = excluded.expires_at",
                {
                    "p": plan_id,
                    "stage": stage,
                    "owner": owner(),
                    "fence": fence,
                    "run": run_id,
                    "until": shared + LEASE_SECONDS,
                },
            )
        return Run(run_id, plan_id, fence, stage)

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


def _holds(row: object, now: float) -> bool:
    """Whether the process that has a lease may still use it."""
    return now < row.expires_at and alive(row.owner)  # type: ignore[attr-defined]
