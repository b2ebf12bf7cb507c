"""Staging what is read: from which times on, page by page, and up to which time everything is there afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import msgspec

from noria.connectors.source import SourcePage
from noria.engine.identity import arrivals_of
from noria.engine.job import Job
from noria.engine.motion import Signs, Usual
from noria.engine.reading import Reading, Taken
from noria.engine.requests import Readable, windowed
from noria.ledger.arrivals import Arrivals, StageCounts
from noria.ledger.reads import Read
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan, SweepOptions
from noria.metadata.times import duration, earliest_written, shown_time, start_of

# Clocks that differ by less than this are not worth a word.
_SKEW_SAID = 60.0


def reading_of(job: Job, source: Readable, staged: Staged) -> Reading:
    """A read from where the ledger says that it stands."""
    plan, read = job.plan, staged.read
    return Reading(
        job,
        source,
        arrivals_of(plan.source.metadata, moment_of(job, read), refuses_missing=plan.refuses_missing_ids()),
        staged,
        windowed=windowed(plan.source.metadata) or read.bookmark is not None,
        begin=read.bookmark,
        cursor=read.cursor,
        number=read.pages,
        idle=read.idle,
        signs=Signs.of(read.signs),
        usual=msgspec.json.decode(read.usual, type=Usual) if read.usual else None,
    )


def watermark_of(job: Job, read: Read, skew: float | None, behind: float, *, settled: bool) -> float:
    """Up to which time all of the source is staged after a whole read: its start, by the clock that is behind of the
    two; less the sweep's window when the list never stood still. `skew`: by how much the source's clock is ahead now;
    `behind`: by how much it was behind at most while the list was read, which began by a clock that may have been set
    since. Both in seconds."""
    watermark = read.started_at
    if skew is not None and abs(skew) >= _SKEW_SAID:
        values = {"seconds": round(abs(skew))}
        job.workspace.observer.said(
            job.plan.key, Message("run.clock_ahead" if skew > 0 else "run.clock_behind", values)
        )
    # What the overlap bears is not worth moving the watermark for; half of it is kept for what is saved late.
    if behind > float(job.plan.options.overlap) / 2:
        watermark -= behind
    return watermark if settled else watermark - _look_back(job.plan)


def _look_back(plan: Plan) -> float:
    """How far back to look where it isn't known what was read, in seconds."""
    return window_of(plan) or duration(SweepOptions().window)


def window_of(plan: Plan) -> float | None:
    """How far back a sweep of the plan looks, in seconds; None when it looks at everything."""
    window = (plan.options.sweep or SweepOptions()).window
    return None if window == "all" else duration(window)


@dataclass
class Staged:
    """Takes the pages of a read into the ledger. `news`: is told the ids that were missing and those that changed."""

    job: Job
    read: Read
    news: Callable[[list[str], list[str]], None] = lambda missing, changed: None
    _counted: int = -1

    def page(
        self, page: SourcePage, arrivals: Arrivals, number: int, cursor: str | None, signs: Callable[[Taken], Signs]
    ) -> Taken:
        """Stage a page."""
        job = self.job
        # What an earlier look at the same page has counted is not counted again.
        once_more = number <= self._counted
        self._counted = max(self._counted, number)
        counts = job.workspace.ledger.staging.stage(
            job.run,
            self.read,
            number=number,
            request=page.request,
            arrivals=arrivals,
            cursor=cursor,
            now=job.clock.now(),
            delivers_changes=job.plan.delivers_changes(),
            overwrites=job.plan.overwrites(),
            signs=lambda found: signs(_taken(found)).text(),
        )
        self.news(counts.missing, counts.changed)
        total = job.counts
        total.staged += counts.staged
        total.duplicate += counts.duplicate
        total.invalid += counts.invalid
        total.skipped += counts.skipped
        if not once_more:
            total.unchanged += counts.unchanged
            total.invalid += counts.still_invalid
            total.skipped += counts.still_skipped
        total.pages += 1
        job.moved(page.total)
        job.staged.set()
        return _taken(counts)

    def anew(self, signs: Signs, cursor: str | None) -> None:
        """The list is gone over once more."""
        self._counted = sys.maxsize
        reads, now = self.job.workspace.ledger.reads, self.job.clock.now()
        self.read = reads.again(self.job.run, self.read, signs.text(), now, cursor)


def _taken(counts: StageCounts) -> Taken:
    return Taken(counts.staged + counts.duplicate, counts.again, counts.same, counts.missing, counts.changed)


def moment_of(job: Job, read: Read) -> Moment:
    """The times that this read's requests use: from the last watermark, less the overlap; first, the plan's start."""
    options, tz = job.plan.options, job.source.zone
    if read.read_from is None:
        last = first_sync(job.plan, tz)
    elif read.read_from > read.started_at:
        # The clock was set back: when exactly the source was read last is not known any more.
        last = read.started_at - _look_back(job.plan)
    else:
        last = read.read_from - float(options.overlap)
    return since(last, read.started_at, job)


def since(begin: float, now: float, job: Job) -> Moment:
    """The times of requests for what has changed since `begin`."""
    tz = job.source.zone
    return Moment(shown_time(earliest_written(begin, tz)), now, tz, job.plan.options.lenient)


def first_sync(plan: Plan, tz: ZoneInfo) -> float:
    """LAST_SYNC_TIME of a plan's first run, in epoch seconds (decision 7)."""
    return start_of("1970-01-01 00:00:00" if plan.options.start is None else plan.options.start, tz)
