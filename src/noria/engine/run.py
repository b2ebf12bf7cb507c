"""A run: extract and deliver at the same time, then what is left; one active run a plan."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from noria.connectors.failures import Failure
from noria.engine.deliver import deliver
from noria.engine.extract import extract
from noria.engine.job import Job
from noria.engine.workspace import Workspace
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.times import iso
from noria.monitoring.progress import Counts

_HEARTBEAT_SECONDS = 5.0
# How long a run that is asked to stop waits for what is in flight.
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Finished:
    """How a run ended. `status`: done, incomplete (some records were not delivered), failed, stopped."""

    plan: str
    run_id: int
    status: str
    counts: Counts
    watermark: float | None
    started_at: float
    finished_at: float
    error: Message | None = None

    def to_json(self) -> dict[str, Any]:
        """What `noria run --json` prints."""
        return {
            "plan": self.plan,
            "run_id": self.run_id,
            "status": self.status,
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
) -> Finished:
    """Run a plan once: read its source, deliver until nothing is due (or only one of the two).

    Raises `NoriaError` when it can't begin (invalid plan, another run is active). A source or target that fails ends
    the run with status `failed`; what is staged stays staged, what is delivered stays delivered.
    """
    workspace.checked(plan)
    source, target = workspace.connection(plan, "source"), workspace.connection(plan, "target")
    runs = workspace.ledger.runs
    started = workspace.clock.now()
    kind = "run" if extracts and delivers else "extract" if extracts else "deliver"
    run = runs.begin(plan.key, plan.name, kind, started)
    job = Job(workspace, plan, run, source, target)
    status, error = "failed", None
    try:
        halves = [*([_extract(job)] if extracts else []), *([deliver(job)] if delivers else [])]
        job.extracted = not extracts
        error = await _both(job, halves, stop)
        if job.stopping:
            status = "stopped"
        job.counts.waiting = workspace.ledger.records.waiting(run.plan_id)
        if not job.stopping and error is None:
            status = "incomplete" if job.counts.troubled() else "done"
    finally:
        job.moved()
        finished = workspace.clock.now()
        runs.finish(run, status, finished, job.counts.as_dict(), error)
    watermark = runs.watermark(run.plan_id)
    return Finished(plan.key, run.run_id, status, job.counts, watermark, started, finished, error)


async def _both(job: Job, work: list[Coroutine[Any, Any, None]], stop: asyncio.Event | None) -> Message | None:
    """Extract and deliver side by side; gives the error that ended the run, if one did."""
    halves = [asyncio.create_task(half) for half in work]
    watching = [asyncio.create_task(_heartbeat(job, halves))]
    if stop is not None:
        watching.append(asyncio.create_task(_stop(job, stop, halves)))
    try:
        results = await asyncio.gather(*halves, return_exceptions=True)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
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


async def _extract(job: Job) -> None:
    try:
        await extract(job)
    finally:
        job.extracted = True
        job.staged.set()


async def _heartbeat(job: Job, halves: list[asyncio.Task[None]]) -> None:
    """Keep the lease; when another run took over, stop at once."""
    runs = job.workspace.ledger.runs
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        try:
            runs.heartbeat(job.run, job.clock.now(), job.counts.as_dict())
        except NoriaError:
            for half in halves:
                half.cancel()
            raise


async def _stop(job: Job, stop: asyncio.Event, halves: list[asyncio.Task[None]]) -> None:
    """When asked to stop: let what is in flight finish for a while, then leave it in doubt for the next run."""
    await stop.wait()
    job.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await asyncio.wait(halves)
        return
    for half in halves:
        half.cancel()
