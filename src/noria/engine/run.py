"""A run: extract and deliver at the same time, then what is left; one active run a plan, in which others may assist."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

from noria import __version__
from noria.connectors.failures import Failure
from noria.engine.assisting import assist
from noria.engine.deliver import deliver
from noria.engine.differences import Reconciliation, keep
from noria.engine.extract import extract
from noria.engine.job import Job
from noria.engine.reconcile import reconcile
from noria.engine.sweep import Sweep, sweep
from noria.engine.workspace import Workspace
from noria.ledger.runs import LEASE_SECONDS, Run
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.times import iso
from noria.monitoring.logs import RUN
from noria.monitoring.progress import Counts
from noria.monitoring.traces import span

_HEARTBEAT_SECONDS = 2.5
# How often a run looks whether a person asked it to stop, in seconds.
_LOOK_SECONDS = 0.5
# How long a run that is asked to stop waits for what is in flight.
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Finished:
    """How a run ended. `status`: done, incomplete (some records were not delivered), failed, stopped;
    `cancelled`: by a person, through the ledger."""

    plan: str
    run_id: int
    status: str
    counts: Counts
    watermark: float | None
    started_at: float
    finished_at: float
    error: Message | None = None
    sweep: Sweep | None = None
    cancelled: bool = False

    def to_json(self) -> dict[str, Any]:
        """What `noria run --json` and `noria sweep --json` print."""
        swept = {}
        if self.sweep is not None:
            swept = {
                "from": iso(self.sweep.begin),
                "to": iso(self.sweep.end),
                "missing": self.sweep.missing,
                "changed": self.sweep.changed,
                "missing_count": self.sweep.missing_count,
                "changed_count": self.sweep.changed_count,
            }
        return {
            "plan": self.plan,
            "run_id": self.run_id,
            "status": self.status,
            **swept,
            **self.counts.as_dict(),
            "watermark": iso(self.watermark),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "error": str(self.error) if self.error else None,
        }


async def run_plan(
    workspace: Workspace,
    plan: Plan,
    stop: asyncio.Event | None = None,
    *,
    extracts: bool = True,
    delivers: bool = True,
    swept: Sweep | None = None,
) -> Finished:
    """Run a plan once: read its source, deliver until nothing is due (or only one of the two). With `swept` the source
    is read in that window instead, and what was found is noted in it.

    Raises `NoriaError` when it can't begin (invalid plan, another run is active). A source or target that fails ends
    the run with status `failed`; what is staged stays staged, what is delivered stays delivered.
    """
    kind = "sweep" if swept else "run" if extracts and delivers else "extract" if extracts else "deliver"

    def work(job: Job) -> Awaitable[Message | None]:
        return _halves(job, stop, extracts=extracts, delivers=delivers, swept=swept)

    return replace(await _execute(workspace, plan, kind, work), sweep=swept)


async def reconcile_plan(
    workspace: Workspace,
    plan: Plan,
    stop: asyncio.Event | None = None,
    *,
    wanted: Sweep,
    fixes: bool = False,
    asks_target: bool = True,
) -> tuple[Finished, Reconciliation]:
    """Compare source, ledger and target; with `fixes`, stage and send what is missing or changed, and compare again.

    Raises `NoriaError` as `run_plan` does; a side that can't be read ends with status `failed`.
    """
    finished, found = await _compare(workspace, plan, stop, wanted, asks_target, resends=fixes)
    if not fixes or finished.status != "done" or found.equal():
        return finished, found
    again = Sweep(wanted.begin, wanted.end, wanted.dated)
    staged = found.in_ledger.missing or found.in_ledger.changed or found.anew
    for state in ("failed", "dead"):
        workspace.ledger.records.replay(workspace.ledger.runs.plan_id(plan.key), workspace.clock.now(), state=state)
    await run_plan(workspace, plan, stop, extracts=bool(staged), swept=again if staged else None)
    return await _compare(workspace, plan, stop, wanted, asks_target)


async def assist_plan(workspace: Workspace, plan: Plan, stop: asyncio.Event | None = None) -> Finished | None:
    """Send what another process's run of the plan offers, until it offers no more; None where there is nothing to do.

    Raises `NoriaError` as `run_plan` does; `superseded` when that run is over before this.
    """
    _usable(workspace, plan)
    ledger, most, now = workspace.ledger, plan.options.workers - 1, workspace.clock.now()
    number = ledger.runs.plan_id(plan.key)
    if not ledger.assists.room(number, most, now):
        return None
    sameness = sameness_of(workspace, plan)
    run = ledger.assists.join(number, most, now, sameness)
    if run is None:
        return None

    def work(job: Job) -> Awaitable[Message | None]:
        return _both(job, [assist(job)], stop)

    return await _carry_out(workspace, plan, run, sameness, "assist", work)


async def _compare(
    workspace: Workspace,
    plan: Plan,
    stop: asyncio.Event | None,
    wanted: Sweep,
    asks_target: bool,
    *,
    resends: bool = False,
) -> tuple[Finished, Reconciliation]:
    found = Reconciliation(plan.key)

    async def work(job: Job) -> Message | None:
        async def compare() -> None:
            nonlocal found
            found = await reconcile(job, wanted, asks_target=asks_target, resends=resends)

        return await _both(job, [compare()], stop)

    finished = await _execute(workspace, plan, "reconcile", work)
    if finished.status == "done":
        keep(workspace, plan, finished.run_id, finished.finished_at, found)
    return finished, found


async def _execute(
    workspace: Workspace, plan: Plan, kind: str, work: Callable[[Job], Awaitable[Message | None]]
) -> Finished:
    """One run of a plan under its lease: `work` does it, and gives the error that ended it, if one did."""
    _usable(workspace, plan)
    sameness = sameness_of(workspace, plan)
    run = workspace.ledger.runs.begin(plan.key, plan.name, kind, workspace.clock.now(), sameness)
    return await _carry_out(workspace, plan, run, sameness, kind, work)


def sameness_of(workspace: Workspace, plan: Plan) -> str:
    """A digest of a plan as it is carried out: its documents and options, both connections, and whose code does it;
    behind a dot that of its mapping alone."""
    connections = workspace.project.connections
    what = [[side.document, connections.get(side.connection), side.connection] for side in (plan.source, plan.target)]
    maps = {name: repr(table) for name, table in plan.maps.items()}
    encoded = msgspec.json.encode([__version__, what, plan.options, maps], order="deterministic", enc_hook=str)
    return f"{xxh3_128_hexdigest(encoded)}.{mapping_of(plan)}"


def mapping_of(plan: Plan) -> str:
    """A digest of what makes a plan's payloads: the target's document and the value maps."""
    maps = {name: repr(table) for name, table in plan.maps.items()}
    return xxh3_64_hexdigest(msgspec.json.encode([plan.target.document, maps], order="deterministic", enc_hook=str))


def _usable(workspace: Workspace, plan: Plan) -> None:
    """Raise `NoriaError` where a run of the plan could not even begin."""
    workspace.checked(plan)
    for side in ("source", "target"):
        workspace.connection(plan, side)


async def _carry_out(
    workspace: Workspace,
    plan: Plan,
    run: Run,
    sameness: str,
    kind: str,
    work: Callable[[Job], Awaitable[Message | None]],
) -> Finished:
    """A run that was begun: `work` does it; it is ended in the ledger whatever happens."""
    RUN.set(run.run_id)
    runs, started = workspace.ledger.runs, workspace.clock.now()
    source, target = workspace.connection(plan, "source"), workspace.connection(plan, "target")
    job = Job(workspace, plan, run, source, target, sameness)
    status, error = "failed", None
    try:
        with span("run", plan=plan.key, run_id=run.run_id, kind=kind):
            error = await work(job)
        if job.stopping:
            status = "stopped"
        if kind != "assist":
            job.counts.waiting = workspace.ledger.records.waiting(run.plan_id)
        if not job.stopping and error is None:
            status = "incomplete" if job.counts.troubled() and kind != "reconcile" else "done"
    finally:
        job.moved()
        finished = workspace.clock.now()
        job.pace.note(finished, job.counts)
        runs.finish(run, status, finished, job.counts.as_dict(), error, job.pace.steps)
    watermark = workspace.ledger.reads.watermark(run.plan_id)
    return Finished(
        plan.key, run.run_id, status, job.counts, watermark, started, finished, error, cancelled=job.cancelled
    )


async def _halves(
    job: Job, stop: asyncio.Event | None, *, extracts: bool, delivers: bool, swept: Sweep | None
) -> Message | None:
    """Both halves of a run, or one; gives the error that ended it, if one did."""
    if extracts and delivers and job.plan.options.target_down == "pause" and job.backlog():
        # Nothing more is read as long as nothing of what was read before gets through.
        job.extracted = True
        error = await _both(job, [deliver(job)], stop)
        if error is not None or job.stopping:
            return error
    job.extracted = not extracts
    halves = [*([_extract(job, swept)] if extracts else []), *([deliver(job)] if delivers else [])]
    return await _both(job, halves, stop)


async def _both(job: Job, work: list[Coroutine[Any, Any, None]], stop: asyncio.Event | None) -> Message | None:
    """Extract and deliver side by side; gives the error that ended the run, if one did."""
    halves = [asyncio.create_task(half) for half in work]
    beating = asyncio.create_task(_heartbeat(job, halves))
    watching = [beating, asyncio.create_task(_cancelled(job, halves))]
    if stop is not None:
        watching.append(asyncio.create_task(_stop(job, stop, halves)))
    try:
        results = await asyncio.gather(*halves, return_exceptions=True)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    if not beating.cancelled() and (lost := beating.exception()) is not None:
        raise lost
    error: Message | None = None
    for result in results:
        if isinstance(result, Failure):
            where = Message("run.failed_at", {"what": result.request, "reason": result.message})
            error = error or (where if result.request else result.message)
        elif isinstance(result, asyncio.CancelledError):
            continue
        elif isinstance(result, BaseException):
            raise result
    return error


async def _extract(job: Job, swept: Sweep | None) -> None:
    try:
        await (extract(job) if swept is None else sweep(job, swept))
    finally:
        job.extracted = True
        job.staged.set()


async def _heartbeat(job: Job, halves: list[asyncio.Task[None]]) -> None:
    """Keep the lease; when another run took over, stop at once. A ledger that can't be used for a moment is tried again
    as long as the lease lasts."""
    runs, kept = job.workspace.ledger.runs, time.monotonic()
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        try:
            job.pace.note(job.clock.now(), job.counts)
            runs.heartbeat(job.run, job.clock.now(), job.counts.as_dict(), job.pace.steps)
            kept = time.monotonic()
        except NoriaError as error:
            if error.code != "superseded" and time.monotonic() - kept < LEASE_SECONDS:
                continue
            for half in halves:
                half.cancel()
            raise


async def _stop(job: Job, stop: asyncio.Event, halves: list[asyncio.Task[None]]) -> None:
    """When asked to stop: let what is in flight finish for a while, then leave it in doubt for the next run."""
    await stop.wait()
    await _end(job, halves)


async def _cancelled(job: Job, halves: list[asyncio.Task[None]]) -> None:
    """When a person asks this run to stop, or the one that it assists in: likewise."""
    runs = job.workspace.ledger.runs
    while not job.cancelled:
        await asyncio.sleep(_LOOK_SECONDS)
        # A ledger that can't be used for a moment is the heartbeat's business.
        with suppress(NoriaError):
            job.cancelled = runs.cancelled(job.run)
    await _end(job, halves)


async def _end(job: Job, halves: list[asyncio.Task[None]]) -> None:
    """Begin nothing new, and wait for what is in flight, for a while."""
    job.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await asyncio.wait(halves)
        return
    for half in halves:
        half.cancel()
