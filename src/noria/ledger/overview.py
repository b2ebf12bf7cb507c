"""How everything stands: plans, records, runs, workers, in few queries however many plans there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from noria.ledger.agenda import Agenda, Present
from noria.ledger.store import Store

# A worker that has not been seen for so many seconds is taken for lost.
LOST_SECONDS = 10.0


@dataclass
class PlanStands:
    """One plan. `lag`: seconds since its watermark; `running`: who runs it now; `wanted`: stages that are to be run;
    the counts are of records in these states, `queued` of those that have never been claimed."""

    key: str
    name: str
    watermark: float | None = None
    lag: float | None = None
    last_run: int | None = None
    last_status: str | None = None
    last_ended: float | None = None
    running: str | None = None
    wanted: list[str] = field(default_factory=list)
    queued: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Overview:
    """All of it. `workers`: those seen within the last hour, `lost` the names of those that are silent."""

    plans: list[PlanStands]
    workers: list[Present]
    lost: list[str]
    queue: int


def overview(store: Store, agenda: Agenda, now: float) -> Overview:
    """How everything stands at `now` (epoch seconds)."""
    found = {
        row[0]: PlanStands(row[1], row[2], row[3], None if row[3] is None else max(0.0, now - row[3]), queued=row[4])
        for row in store.tuples(
            "SELECT plan_id, key, name, watermark, next_seq - 1 - claimed_seq FROM plans ORDER BY key"
        )
    }
    for plan_id, run_id, status, ended in store.tuples(
        "SELECT r.plan_id, r.run_id, r.status, r.finished_at FROM runs r JOIN"
        " (SELECT plan_id, MAX(run_id) AS run_id FROM runs WHERE kind <> 'assist' GROUP BY plan_id) n"
        " ON n.run_id = r.run_id"
    ):
        if plan_id in found:
            found[plan_id].last_run, found[plan_id].last_status, found[plan_id].last_ended = run_id, status, ended
    for plan_id, owner in store.tuples(
        "SELECT plan_id, owner FROM leases WHERE stage = 'run' AND expires_at > :now", now=store.time(now)
    ):
        if plan_id in found:
            found[plan_id].running = owner.rpartition("/")[0]
    for plan_id, state, count in store.tuples(
        "SELECT plan_id, state, COUNT(*) FROM exceptions WHERE state <> 'delivered' GROUP BY plan_id, state"
    ):
        if plan_id in found:
            found[plan_id].counts[state] = count
    wanted = agenda.wanted()
    by_key = {one.key: one for one in found.values()}
    for one in wanted:
        if one.plan in by_key:
            by_key[one.plan].wanted.append(one.stage)
    workers = agenda.workers()
    silent = store.time(now) - LOST_SECONDS
    lost = [one.worker for one in workers if one.seen_at < silent]
    return Overview(list(found.values()), workers, lost, len({one.plan for one in wanted}))
