"""Assists: processes that take part in another's run of a plan, each under a lease with a fence of its own."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from noria.ledger.processes import alive, owner
from noria.ledger.runs import LEASE_SECONDS, Run, open_run, seize
from noria.ledger.store import Store, Transaction

_OPEN_SHARES = "SELECT plan_id FROM shares WHERE taker IS NULL"
_OPEN_PARTS = "SELECT plan_id FROM parts WHERE taker IS NULL AND state = 'open' AND run_id IS NOT NULL"
_LEASES = "SELECT stage, owner, run_id, fence, expires_at FROM leases WHERE plan_id = :p"


class Assists:
    """Who may take part, who does, and who is gone."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def offered(self, now: float) -> list[str]:
        """The plans in whose runs other processes than this one offer something."""
        plans = self.store.tuples(f"{_OPEN_SHARES} UNION {_OPEN_PARTS}")
        if not plans:
            return []
        shared = self.store.time(now)
        rows = self.store.rows(
            "SELECT p.key, l.owner, l.expires_at FROM json_each(:seqs) j JOIN leases l ON l.plan_id = j.value"
            " AND l.stage = 'run' JOIN plans p ON p.plan_id = l.plan_id ORDER BY p.key",
            seqs=msgspec.json.encode([row[0] for row in plans]).decode(),
        )
        return [str(row.key) for row in rows if row.owner != owner() and _holds(row, shared)]

    def room(self, plan_id: int, most: int, now: float) -> bool:
        """Whether fewer than `most` take part in a plan's run."""
        shared = self.store.time(now)
        rows = self.store.rows(f"{_LEASES} AND stage <> 'run'", p=plan_id)
        return sum(1 for row in rows if _holds(row, shared)) < most

    def join(self, plan_id: int, most: int, now: float, sameness: str | None = None) -> Run | None:
        """Begin to take part in the run that a plan has; None where it has none, where `most` others do so, or where
        that run carries out another version of the plan (another `sameness`)."""
        shared = self.store.time(now)
        own = {"p": plan_id}
        with self.store.transaction() as c:
            lead = c.row(f"{_LEASES} AND stage = 'run' FOR SHARE", own)
            if lead is None or not _holds(lead, shared):
                return None
            if c.value("SELECT sameness FROM runs WHERE run_id = :run", {"run": lead.run_id}) != sameness:
                return None
            leases = {row.stage: row for row in c.rows(f"{_LEASES} AND stage <> 'run' ORDER BY stage FOR UPDATE", own)}
            takers = "SELECT taker FROM shares WHERE plan_id = :p UNION SELECT taker FROM parts WHERE plan_id = :p"
            taken = {row[0] for row in c.run(takers, own).fetchall()}
            for number in range(1, most + 1):
                stage = f"assist.{number}"
                row = leases.get(stage)
                # One whose shares nobody has taken back yet is not free.
                if row is None or (not _holds(row, shared) and row.run_id not in taken):
                    break
            else:
                return None
            fence = 1 if row is None else row.fence + 1
            run_id = open_run(c, plan_id, "assist", now, fence, sameness)
            until = shared + LEASE_SECONDS
            if not seize(c, plan_id, stage, before=fence - 1, fence=fence, until=until, run_id=run_id):
                # Somebody came at the same moment.
                c.run("DELETE FROM runs WHERE run_id = :run", {"run": run_id})
                return None
        return Run(run_id, plan_id, fence, stage)

    def led(self, run: Run, now: float, sameness: str | None = None) -> bool:
        """Whether a run that this may assist is under way."""
        shared = self.store.time(now)
        rows = self.store.rows(
            "SELECT l.owner, l.expires_at, r.sameness FROM leases l JOIN runs r ON r.run_id = l.run_id"
            " WHERE l.plan_id = :p AND l.stage = 'run'",
            p=run.plan_id,
        )
        return bool(rows) and rows[0].sameness == sameness and _holds(rows[0], shared)

    def gone(self, run: Run, now: float, taken: Literal["shares", "parts"]) -> list[Run]:
        """Runs that had taken something in this one and whose processes are gone, silent for so long that they can't
        write any more, or known to no lease."""
        shared = self.store.time(now)
        takers = {
            int(row[0])
            for row in self.store.tuples(
                f"SELECT DISTINCT taker FROM {taken} WHERE plan_id = :p AND taker > 0 AND taker <> :run",
                p=run.plan_id,
                run=run.run_id,
            )
        }
        if not takers:
            return []
        leases = {row.run_id: row for row in self.store.rows(f"{_LEASES} AND stage <> 'run'", p=run.plan_id)}
        found = []
        for taker in sorted(takers):
            row = leases.get(taker)
            if row is None:
                found.append(Run(taker, run.plan_id, 0, ""))
            elif not _holds(row, shared):
                found.append(Run(taker, run.plan_id, row.fence, row.stage))
        return found

    def end(self, c: Transaction, gone: Run, now: float) -> bool:
        """From now on such a run writes nothing more; no where it has been heard of meanwhile."""
        own = {"p": gone.plan_id, "stage": gone.stage, "gone": gone.run_id, "now": now}
        if gone.stage:
            row = c.row(f"{_LEASES} AND stage = :stage FOR UPDATE", own)
            if row.run_id == gone.run_id and (row.fence != gone.fence or _holds(row, self.store.time(now))):
                return False
            if row.run_id == gone.run_id:
                c.run("UPDATE leases SET fence = fence + 1, expires_at = 0 WHERE plan_id = :p AND stage = :stage", own)
        c.run(
            "UPDATE runs SET status = 'interrupted', finished_at = :now WHERE run_id = :gone AND status = 'running'",
            own,
        )
        return True


def _holds(row: Any, now: float) -> bool:
    """Whether the process that has a lease may still use it."""
    return bool(now < row.expires_at and alive(row.owner))
