"""Assists: processes that take part in another's run of a plan, each under a lease with a fence of its own."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from noria.ledger.runs import LEASE_SECONDS, Run, alive, owner
from noria.ledger.store import Store, Transaction

_OPEN_SHARES = "SELECT plan_id FROM shares WHERE taker IS NULL"
_OPEN_PARTS = "SELECT plan_id FROM parts WHERE taker IS NULL AND state = 'open' AND run_id IS NOT NULL"


class Assists:
    """Who may take part, who does, and who is gone."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def offered(self, now: float) -> list[str]:
        """The plans in whose runs other processes than this one offer something."""
        plans = self.store.tuples(f"{_OPEN_SHARES} UNION {_OPEN_PARTS}")
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
            takers = "SELECT taker FROM shares WHERE plan_id = :p UNION SELECT taker FROM parts WHERE plan_id = :p"
            taken = {row[0] for row in c.run(takers, {"p": plan_id}).fetchall()}
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

    def led(self, run: Run, now: float) -> bool:
        """Whether the run that is assisted is still under way."""
        found = self.store.tuples(
            "SELECT 1 FROM leases WHERE plan_id = :p AND stage = 'run' AND expires_at > :now",
            p=run.plan_id,
            now=self.store.time(now),
        )
        return bool(found)

    def gone(self, run: Run, now: float, taken: Literal["shares", "parts"]) -> list[Run]:
        """Runs that had taken something in this one and whose processes are gone, or silent for so long that they can't
        write any more."""
        shared = self.store.time(now)
        rows = self.store.rows(
            "SELECT stage, owner, run_id, fence, expires_at FROM leases WHERE plan_id = :p AND stage <> 'run'"
            f" AND run_id IN (SELECT taker FROM {taken} WHERE plan_id = :p) ORDER BY stage",
            p=run.plan_id,
        )
        return [Run(row.run_id, run.plan_id, row.fence, row.stage) for row in rows if not _holds(row, shared)]

    def end(self, c: Transaction, gone: Run, now: float) -> bool:
        """From now on such a run writes nothing more; no where it has been heard of meanwhile."""
        own = {"p": gone.plan_id, "stage": gone.stage, "gone": gone.run_id, "now": now}
        row = c.row("SELECT owner, fence, expires_at FROM leases WHERE plan_id = :p AND stage = :stage FOR UPDATE", own)
        if row.fence != gone.fence or _holds(row, self.store.time(now)):
            return False
        c.run("UPDATE leases SET fence = fence + 1, expires_at = 0 WHERE plan_id = :p AND stage = :stage", own)
        c.run(
            "UPDATE runs SET status = 'interrupted', finished_at = :now WHERE run_id = :gone AND status = 'running'",
            own,
        )
        return True


def _holds(row: Any, now: float) -> bool:
    """Whether the process that has a lease may still use it."""
    return bool(now < row.expires_at and alive(row.owner))
