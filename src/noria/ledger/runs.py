"""Runs, leases and watermarks: who works on a plan, and up to which time its source is staged."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from noria.ledger.audit import put
from noria.ledger.reasons import stored
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import iso

# A run that has not been heard of for so long is taken over.
LEASE_SECONDS = 10.0
# So many numbers are kept for each part of a read: a pass over its list takes one.
PASSES = 8


@dataclass(frozen=True)
class Run:
    """A run under way: its plan's number in the ledger, the fencing token it holds, and of what: the plan itself
    (`run`), or a part in another's run of it (`assist.1`, `assist.2`, …)."""

    run_id: int
    plan_id: int
    fence: int
    stage: str = "run"


@dataclass(frozen=True)
class Read:
    """A read of the source. `started_at` becomes the watermark when it ends well; `read_from` is the LAST_SYNC_TIME
    that its requests use; `cursor` is where it goes on, `pages` how many are staged; `idle`: seconds since its last
    page; `signs`: what it showed of a list that moves, `usual`: what that list shows anyway (both JSON). `own`: the
    plan's own read, which the ledger keeps the place of; `part`: the number of the part of it that this read is of,
    whose place it keeps, too; others (sweeps) leave both alone. `kin`: the numbers, from the first to the last, of the
    reads that together are the plan's own."""

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

    def showed(self, read_id: int) -> bool:
        """Whether a read of that number is this one, or another part of the same."""
        return read_id == self.read_id or self.kin[0] <= read_id <= self.kin[1]


class Runs:
    """Begins and ends runs and reads."""

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

    def watermark(self, plan_id: int) -> float | None:
        """Up to which time all of the source is staged, in epoch seconds; None before the first whole read."""
        value = self.store.rows("SELECT watermark FROM plans WHERE plan_id = :p", p=plan_id)[0][0]
        return None if value is None else float(value)

    def begin_read(self, run: Run, now: float, signature: str, resume_within: float) -> Read:
        """Start reading the source, or go on with a read that was interrupted not long ago.

        `signature` stands for what the request asks; a read is only continued when it is the same.
        """
        with self.store.transaction(run) as c:
            row = c.row(
                "SELECT watermark, read_id, read_started_at, read_from, read_touched_at, read_cursor, read_pages,"
                " read_signature, read_signs, read_usual FROM plans WHERE plan_id = :p",
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
                )
            usual = row.read_usual if row.read_signature == signature else None
            # Parts of a read that is over say nothing of this one.
            c.run("DELETE FROM parts WHERE plan_id = :p", {"p": run.plan_id})
            read = Read(next_read(c, run), now, row.watermark, usual=usual)
            c.run(
                "UPDATE plans SET read_id = :read, read_started_at = :now, read_from = watermark,"
                " read_touched_at = :now, read_cursor = NULL, read_pages = 0, read_signature = :signature,"
                " read_signs = NULL, read_usual = :usual WHERE plan_id = :p",
                {"read": read.read_id, "now": now, "signature": signature, "usual": usual, "p": run.plan_id},
            )
        return read

    def begin_sweep(self, run: Run, now: float, read_from: float) -> Read:
        """Start reading a past window again, beside the plan's own read."""
        with self.store.transaction(run) as c:
            return Read(next_read(c, run), now, read_from, own=False)

    def read_again(self, run: Run, read: Read, signs: str, now: float) -> Read:
        """Go over the same list once more from its first page, as a read with a number of its own."""
        with self.store.transaction(run) as c:
            # The passes of a part have numbers of their own, as far as those that were kept for them go.
            kept = read.part is not None and read.read_id % PASSES != PASSES - 1
            number = read.read_id + 1 if kept else next_read(c, run)
            again = replace(read, read_id=number, cursor=None, pages=0, signs=signs, resumed=False)
            if read.own:
                c.run(
                    "UPDATE plans SET read_id = :read, read_cursor = NULL, read_pages = 0, read_signs = :signs,"
                    " read_touched_at = :now WHERE plan_id = :p AND read_id = :before",
                    {"read": again.read_id, "signs": signs, "now": now, "p": run.plan_id, "before": read.read_id},
                )
            if read.part is not None:
                c.run(
                    "UPDATE parts SET read_id = :read, cursor = NULL, pages = 0, signs = :signs, touched_at = :now"
                    " WHERE plan_id = :p AND number = :part AND taker = :run",
                    {
                        "read": again.read_id,
                        "signs": signs,
                        "now": now,
                        "p": run.plan_id,
                        "part": read.part,
                        "run": run.run_id,
                    },
                )
        return again

    def end_read(self, run: Run, read: Read, watermark: float | None, usual: str | None = None) -> None:
        """The source was read to its end: where the watermark stands now (None: where it stood; it never goes back,
        unless it was ahead of the read itself)."""
        if not read.own:
            return
        with self.store.transaction(run) as c:
            c.run("DELETE FROM parts WHERE plan_id = :p", {"p": run.plan_id})
            c.run(
                "UPDATE plans SET read_started_at = NULL, read_cursor = NULL, read_signs = NULL, read_usual = :usual,"
                " whole_at = CAST(:started AS DOUBLE PRECISION),"
                " watermark = CASE WHEN CAST(:w AS DOUBLE PRECISION) IS NULL THEN watermark"
                " WHEN watermark IS NULL OR watermark < :w OR watermark > :started THEN :w ELSE watermark END"
                " WHERE plan_id = :p AND read_id = :read",
                {
                    "w": watermark,
                    "usual": usual,
                    "started": read.started_at,
                    "p": run.plan_id,
                    "read": read.read_id,
                },
            )

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


def next_read(c: Transaction, run: Run, count: int = 1) -> int:
    """The number of a new read, or the last of so many."""
    return int(
        c.value(
            "UPDATE plans SET last_read_id = last_read_id + :n WHERE plan_id = :p RETURNING last_read_id",
            {"n": count, "p": run.plan_id},
        )
    )


def owner() -> str:
    """This process: host, process id, and when it started, so that a reused id is not mistaken for it."""
    return f"{host()}/{os.getpid()}/{_started(os.getpid())}"


@cache
def host() -> str:
    """This machine, as far as process numbers mean the same: its name, and the space that they are counted in."""
    found = [socket.gethostname()]
    try:
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        found.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        pass  # other systems know no such spaces
    return ".".join(found)


def alive(name: str) -> bool:
    """Whether the process that took a lease may still live; a process on another machine may."""
    where, _, rest = name.partition("/")
    pid, _, started = rest.partition("/")
    if where != host() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where the system doesn't say, "dead" for one that has ended
    and whose parent has not asked for its exit code yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "dead" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
