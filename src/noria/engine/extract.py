"""Extract: pages from the source into the ledger. It never writes to a target."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from xxhash import xxh3_128_digest

from noria.connectors.failures import Failure
from noria.connectors.source import SourcePage
from noria.engine.identity import arrivals_of
from noria.engine.job import Job
from noria.engine.requests import Readable, source_of
from noria.engine.retry import GiveUp, after_failure
from noria.ledger.runs import Read
from noria.ledger.staging import Arrivals
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan
from noria.metadata.times import shown_time, start_of


async def extract(job: Job) -> None:
    """Read the source to its end and stage every page; raises `Failure` when the source fails for good.

    The watermark moves to the read's start, and only when the whole read ended well. While a page is staged the next
    one is already being fetched.
    """
    connection = job.source
    plan, ledger = job.plan, job.workspace.ledger
    probe = source_of(job.workspace, plan, Moment(0, 0, connection.zone))
    read = ledger.runs.begin_read(job.run, job.clock.now(), probe.signature(), float(plan.options.resume))
    moment = moment_of(job, read)
    source = source_of(job.workspace, plan, moment)
    if read.resumed and read.cursor is not None:
        job.workspace.observer.said(plan.key, Message("run.resumed", {"page": read.pages + 1}))
    arrivals = arrivals_of(plan.source.metadata, moment, refuses_missing=plan.refuses_missing_ids())
    number, cursor, previous = read.pages, read.cursor, b""
    fetching = asyncio.ensure_future(_fetch(job, source, cursor))
    try:
        while not job.stopping:
            page = await fetching
            digest = xxh3_128_digest(b",".join(page.records))
            following = page.cursor
            if page.records and digest == previous:
                # A server that answers the same page again for ever has no more to give.
                job.workspace.observer.said(plan.key, Message("run.page_repeated", {"page": number + 1}))
                following = None
            previous = digest
            if following is not None:
                if plan.source.metadata.delay:
                    await job.clock.sleep(float(plan.source.metadata.delay))
                fetching = asyncio.ensure_future(_fetch(job, source, following))
            number += 1
            _stage(job, read, number, page, following, arrivals(page.records))
            if following is None:
                break
            await asyncio.sleep(0)
        else:
            return
    finally:
        if not fetching.done():
            fetching.cancel()
        elif not fetching.cancelled():
            fetching.exception()
    ledger.staging.settle_ambiguous(job.run, read, job.clock.now())
    ledger.runs.end_read(job.run, read, moves_watermark=True)


def moment_of(job: Job, read: Read) -> Moment:
    """The times that this read's requests use: from the last watermark, less the overlap; first, the plan's start."""
    options, tz = job.plan.options, job.source.zone
    if read.read_from is not None:
        last = shown_time(read.read_from - float(options.overlap))
    else:
        last = first_sync(job.plan, tz)
    return Moment(last_sync=last, now=read.started_at, tz=tz, lenient=options.lenient)


def first_sync(plan: Plan, tz: ZoneInfo) -> float:
    """LAST_SYNC_TIME of a plan's first run, in epoch seconds (decision 7)."""
    return start_of("1970-01-01 00:00:00" if plan.options.start is None else plan.options.start, tz)


def _stage(job: Job, read: Read, number: int, page: SourcePage, cursor: str | None, arrivals: Arrivals) -> None:
    counts = job.workspace.ledger.staging.stage(
        job.run,
        read,
        number=number,
        request=page.request,
        arrivals=arrivals,
        cursor=cursor,
        now=job.clock.now(),
        delivers_changes=job.plan.delivers_changes(),
        overwrites=job.plan.overwrites(),
    )
    total = job.counts
    total.staged += counts.staged
    total.unchanged += counts.unchanged
    total.duplicate += counts.duplicate
    total.invalid += counts.invalid
    total.skipped += counts.skipped
    total.pages += 1
    job.moved(page.total)
    job.staged.set()


async def _fetch(job: Job, source: Readable, cursor: str | None) -> SourcePage:
    """A page, tried again as the plan's retry says; raises `Failure` when that is used up."""
    tries = throttles = 0
    while True:
        try:
            return await source.fetch(cursor)
        except Failure as failure:
            if failure.kind == "throttled":
                throttles += 1
            else:
                tries += 1
            decision = after_failure(failure, tries, throttles, job.plan.options.retry)
            if isinstance(decision, GiveUp) or job.stopping:
                raise
            job.counts.retried += 1
            values = {
                "what": failure.request,
                "reason": failure.message,
                "seconds": round(decision.seconds, 1),
            }
            job.workspace.observer.said(job.plan.key, Message("run.retry", values))
            await job.sleep(decision.seconds)
            if job.stopping:
                raise
