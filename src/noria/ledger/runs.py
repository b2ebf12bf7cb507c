"""Runs and leases: who works on a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from noria.ledger.audit import put
from noria.ledger.processes import alive, owner
from noria.ledger.reasons import stored
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import iso

# A run that has not been heard of for so long is taken over.
LEASE_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """A run under way: its plan's number in the ledger, the fencing token it holds, and of what: the plan itself
    (`run`), or a part in another's run of it (`assist.1`, `assist.2`, …)."""

    run_id: int
    plan_id: int
    fence: int
    stage: str = "run"


class Runs:
    """Begins and ends runs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._plan_ids: dict[str, int] = {}

    def plan_id(self, key: str, name: str = "") -> int:
        """The plan's number in the ledger, given on first use."""
        known = self._plan_ids.get(key)
        if known is None:
            rows = self.store.tuples("SELECT plan_id, name FROM plans WHERE key = :key", key=key)
            known = int(rows[0][0]) if rows and name in ("", rows[0][1]) else self._number(key, name)
            self._plan_ids[key] = known
        return known

    def _number(self, key: str, name: str) -> int:
        with self.store.transaction() as c:
            c.run(
                "INSERT INTO plans (key, name) VALUES (:key, :name) ON CONFLICT (key) DO UPDATE"
                " SET name = CASE WHEN excluded.name = '' THEN plans.name ELSE excluded.name END",
                {"key": key, "name": name},
            )
            return int(c.value("SELECT plan_id FROM plans WHERE key = :key", {"key": key}))

    def known_plan(self, key: str) -> int | None:
        """The plan's number if the ledger has heard of it."""
        rows = self.store.rows("SELECT plan_id FROM plans WHERE key = :key", key=key)
        return int(rows[0][0]) if rows else None

    def begin(self, key: str, name: str, kind: str, now: float, sameness: str | None = None) -> Run:
        """Take the plan's lease and open a run; raises `NoriaError` (`busy`) while another live process has it.

        A lease whose process is gone (killed) is taken over at once on the same machine, elsewhere when it expires. Who
        assisted in the run before, and is still there, goes on in this one. `sameness`: a digest of the plan as it is
        carried out.
        """
        plan_id = self.plan_id(key, name)
        shared = self.store.time(now)
        until = shared + LEASE_SECONDS
        asked = (
            "SELECT owner, fence, run_id, expires_at FROM leases WHERE plan_id = :p AND stage = 'run' FOR UPDATE",
            {"p": plan_id},
        )
        with self.store.transaction() as c:
            row = c.row(*asked)
            if row is None:
                # Who comes at the same moment waits here, and finds the lease taken.
                c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", {"p": plan_id})
                row = c.row(*asked)
            # One that lasts longer than any was taken by a clock that was wrong.
            if row is not None and shared < row.expires_at <= until + LEASE_SECONDS and alive(row.owner):
                values = {"run": row.run_id, "owner": row.owner.rpartition("/")[0]}
                raise NoriaError("busy", Message("run.busy", values), plan=key, hint=Message("run.busy_hint"))
            fence = 1 if row is None else row.fence + 1
            run_id = open_run(c, plan_id, kind, now, fence, sameness)
            seize(c, plan_id, "run", before=fence - 1, fence=fence, until=until, run_id=run_id)
            own = {"p": plan_id, "now": now, "run": run_id, "shared": shared}
            c.run(
                "UPDATE runs SET status = 'interrupted', finished_at = :now"
                " WHERE plan_id = :p AND status = 'running' AND run_id <> :run AND run_id NOT IN"
                " (SELECT run_id FROM leases WHERE plan_id = :p AND stage <> 'run' AND expires_at > :shared)",
                own,
            )
            # What the run before had offered and nobody took (0) was not sent; what is taken is heard of here.
            c.run("UPDATE shares SET run_id = :run, taker = COALESCE(taker, 0) WHERE plan_id = :p", own)
            c.run("UPDATE parts SET run_id = NULL WHERE plan_id = :p", own)
        return Run(run_id, plan_id, fence)

    def heartbeat(self, run: Run, now: float, counts: dict[str, int], pace: Sequence[Any] = ()) -> None:
        """Keep the lease and the run's counts fresh; raises `NoriaError` (`superseded`) when another took over."""
        until = self.store.time(now) + LEASE_SECONDS
        with self.store.transaction() as c:
            held = c.row(
                "UPDATE leases SET expires_at = :until"
                " WHERE plan_id = :p AND stage = :stage AND fence = :fence RETURNING fence",
                {"until": until, "p": run.plan_id, "stage": run.stage, "fence": run.fence},
            )
            if held is None:
                raise NoriaError("superseded", Message("run.superseded", {"run": run.run_id}))
            c.run(
                "UPDATE runs SET counts = :counts, pace = :pace WHERE run_id = :run",
                {**_figures(counts, pace), "run": run.run_id},
            )

    def check(self, run: Run) -> None:
        """Raise `NoriaError` (`superseded`) when another has taken the plan over."""
        held = self.store.tuples(
            "SELECT 1 FROM leases WHERE plan_id = :p AND stage = :stage AND fence = :fence",
            p=run.plan_id,
            stage=run.stage,
            fence=run.fence,
        )
        if not held:
            raise NoriaError("superseded", Message("run.superseded", {"run": run.run_id}))

    def cancel(self, run_id: int, who: str, now: float) -> str | None:
        """Ask a run to stop, whichever process it is in; gives its plan's key, None where it is not under way. Put on
        record in the same transaction. `now`: epoch seconds."""
        with self.store.transaction() as c:
            plan = c.value(
                "UPDATE runs SET cancelled_at = :now, cancelled_by = :who WHERE run_id = :run AND status = 'running'"
                " AND cancelled_at IS NULL AND kind <> 'assist'"
                " RETURNING (SELECT p.key FROM plans p WHERE p.plan_id = runs.plan_id)",
                {"now": now, "who": who, "run": run_id},
            )
            if plan is not None:
                put(c, now, who, "cancel", str(plan), {"run": run_id})
        return None if plan is None else str(plan)

    def cancelled(self, run: Run) -> bool:
        """Whether a person asked a run to stop, or the one that it assists in."""
        return bool(
            self.store.tuples(
                "SELECT 1 FROM runs r WHERE r.cancelled_at IS NOT NULL AND (r.run_id = :run OR r.run_id ="
                " (SELECT l.run_id FROM leases l WHERE l.plan_id = :p AND l.stage = 'run' AND :stage <> 'run'))",
                run=run.run_id,
                p=run.plan_id,
                stage=run.stage,
            )
        )

    def finish(
        self,
        run: Run,
        status: str,
        now: float,
        counts: dict[str, int],
        error: Message | None = None,
        pace: Sequence[Any] = (),
    ) -> None:
        """Close a run and give its lease back."""
        with self.store.transaction() as c:
            c.run(
                "UPDATE leases SET expires_at = 0 WHERE plan_id = :p AND stage = :stage AND fence = :fence",
                {"p": run.plan_id, "stage": run.stage, "fence": run.fence},
            )
            ended = c.row(
                "UPDATE runs SET status = :status, finished_at = :now, counts = :counts, pace = :pace, error = :error"
                " WHERE run_id = :run AND status = 'running' RETURNING kind",
                {
                    **_figures(counts, pace),
                    "status": status,
                    "now": now,
                    "error": stored(error),
                    "run": run.run_id,
                },
            )
            if ended is not None:
                _count_failed(c, run, ended.kind, status, now)

    def latest(self, plan_id: int, limit: int = 20) -> list[dict[str, Any]]:
        """The plan's newest runs."""
        rows = self.store.rows(
            "SELECT run_id, kind, status, started_at, finished_at, counts FROM runs WHERE plan_id = :p"
            " ORDER BY run_id DESC LIMIT :n",
            p=plan_id,
            n=limit,
        )
        return [
            {
                "run_id": row.run_id,
                "kind": row.kind,
                "status": row.status,
                "started_at": iso(row.started_at),
                "finished_at": iso(row.finished_at),
                **(msgspec.json.decode(row.counts) if row.counts else {}),
            }
            for row in rows
        ]


def _figures(counts: dict[str, int], pace: Sequence[Any]) -> dict[str, str | None]:
    grown = msgspec.json.encode(pace).decode() if pace else None
    return {"counts": msgspec.json.encode(counts).decode(), "pace": grown}


# What a run that ended well says of runs that failed: those of these kinds are over.
_OVER = {
    "run": ("run", "extract", "deliver"),
    "extract": ("run", "extract"),
    "deliver": ("deliver",),
    "sweep": ("sweep",),
}


def _count_failed(c: Transaction, run: Run, kind: str, status: str, now: float) -> None:
    """Keep count of the runs of a kind that failed one after the other."""
    own = {"p": run.plan_id, "kind": kind, "now": now, "run": run.run_id}
    if status == "failed" and kind in _OVER:
        c.run(
            "INSERT INTO failing (plan_id, kind, runs, since, run_id) VALUES (:p, :kind, 1, :now, :run)"
            " ON CONFLICT (plan_id, kind) DO UPDATE SET runs = failing.runs + 1, run_id = excluded.run_id",
            own,
        )
    elif status in ("done", "incomplete"):
        over = ", ".join(f"'{one}'" for one in _OVER.get(kind, ()))
        if over:
            c.run(f"DELETE FROM failing WHERE plan_id = :p AND kind IN ({over})", own)


def open_run(c: Transaction, plan_id: int, kind: str, now: float, fence: int, sameness: str | None) -> int:
    """The number of a new run."""
    return int(
        c.value(
            "INSERT INTO runs (plan_id, kind, status, started_at, fence, sameness)"
            " VALUES (:p, :kind, 'running', :now, :fence, :sameness) RETURNING run_id",
            {"p": plan_id, "kind": kind, "now": now, "fence": fence, "sameness": sameness},
        )
    )


def seize(
    c: Transaction, plan_id: int, stage: str, *, before: int, fence: int, until: float, run_id: int | None = None
) -> bool:
    """Take a lease, or keep it, as this process; no where its fence is another than `before` (0: nobody has had it),
    because somebody came at the same moment."""
    taken = c.run(
        "INSERT INTO leases (plan_id, stage, owner, fence, run_id, expires_at)"
        " VALUES (:p, :stage, :owner, :fence, :run, :until) ON CONFLICT (plan_id, stage) DO UPDATE"
        " SET owner = excluded.owner, fence = excluded.fence, run_id = excluded.run_id,"
        " expires_at = excluded.expires_at WHERE leases.fence = :before RETURNING fence",
        {
            "p": plan_id,
            "stage": stage,
            "owner": owner(),
            "fence": fence,
            "run": run_id,
            "until": until,
            "before": before,
        },
    ).fetchall()
    return bool(taken)
