"""Sweep (补漏): a past window of the source read once more, for what slipped past or was saved late.

Only what is missing or has changed is staged. The plan's own read, its place and its watermark stay where they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec

from noria.engine.identity import arrivals_of
from noria.engine.job import Job
from noria.engine.partitions import lists_of, split_of
from noria.engine.reading import Reading
from noria.engine.requests import Readable
from noria.engine.staged import Staged, first_sync, since, window_of
from noria.ledger.arrivals import Arrivals
from noria.metadata.asking import asks_for
from noria.metadata.documents import Item, Metadata
from noria.metadata.expression_tree import Macro
from noria.metadata.expressions import parse
from noria.metadata.plan import Plan

# How many ids a report names of each kind; the numbers count them all.
NAMED = 1000


@dataclass
class Sweep:
    """A window to be read again, and afterwards what was found in it. Times in epoch seconds; `begin` None: everything,
    also what has no time. `dated`: a person chose the window."""

    begin: float | None
    end: float
    dated: bool = False
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing_count: int = 0
    changed_count: int = 0

    def found(self, missing: list[str], changed: list[str]) -> None:
        """Note what a page showed."""
        self.missing += missing[: NAMED - len(self.missing)]
        self.changed += changed[: NAMED - len(self.changed)]
        self.missing_count += len(missing)
        self.changed_count += len(changed)


def sweep_schedule(plan: Plan) -> str | None:
    """The crontab of a plan's sweeps: noria's own option, else that of `omissionRemedy`; None when there is none."""
    own = plan.options.sweep.schedule if plan.options.sweep is not None else None
    remedy = plan.source.metadata.omissionRemedy
    return own or (remedy.crontab if remedy is not None else None)


def sweep_of(
    plan: Plan, now: float, *, begin: float | None = None, end: float | None = None, whole: bool = False
) -> Sweep:
    """The window of a sweep: as asked for, else the last days that the plan's options say (3)."""
    last = now if end is None else end
    if begin is not None:
        return Sweep(begin, last, dated=True)
    window = window_of(plan)
    return Sweep(None if whole or window is None else last - window, last)


class Window(msgspec.Struct):
    """A window that a person chose, as it is kept until it is looked at; in epoch seconds (`begin` None: everything).
    `fixes`: what a reconciliation finds is to be mended."""

    begin: float | None
    end: float
    fixes: bool = False


def chosen_window(plan: Plan, now: float, chosen: Window | None) -> Sweep:
    """The window that a person chose; without one that of the plan's sweeps."""
    if chosen is None:
        return sweep_of(plan, now)
    if chosen.begin is None:
        return sweep_of(plan, now, whole=True)
    return sweep_of(plan, now, begin=chosen.begin, end=chosen.end)


async def sweep(job: Job, wanted: Sweep) -> None:
    """Read the window to its end and stage what is missing or changed; raises `Failure` when the source fails."""
    ledger, split = job.workspace.ledger, split_of(job.workspace, job.plan)
    async for source, arrivals in swept_lists(job, wanted):
        read = ledger.reads.begin_sweep(job.run, job.clock.now(), begin_of(job, wanted))
        staged = Staged(job, read, wanted.found)
        # Nobody comes after a sweep: what it misses is missed.
        if not await Reading(job, source, arrivals, staged, windowed=True).run():
            return
        if wanted.begin is None and split is None:
            ledger.ambiguous.settle(job.run, staged.read, job.clock.now())


async def swept_lists(job: Job, wanted: Sweep) -> AsyncIterator[tuple[Readable, Callable[[list[bytes]], Arrivals]]]:
    """The lists that together show a window, with what finds the records of their pages."""
    plan, split = job.plan, split_of(job.workspace, job.plan)
    moment = since(begin_of(job, wanted), wanted.end, job)
    items = request_items(plan.source.metadata, wanted, windows=split is not None and split.window is not None)
    arrivals = arrivals_of(plan.source.metadata, moment, refuses_missing=plan.refuses_missing_ids())
    async for source in lists_of(job, moment, items):
        yield source, arrivals


def begin_of(job: Job, wanted: Sweep) -> float:
    """From when on a window is looked at, in epoch seconds."""
    return first_sync(job.plan, job.source.zone) if wanted.begin is None else wanted.begin


def request_items(metadata: Metadata, wanted: Sweep, *, windows: bool = False) -> list[Item]:
    """The request of a sweep: that of `omissionRemedy` over the plan's own.

    Where a person chose the window, what asks for changes since the last read goes on doing so unless its replacement
    does too; where everything is wanted, parameters that are nothing but a time are left out, as far as they may be;
    not where the source is read in `windows` of time.
    """
    if wanted.begin is None and windows:
        return metadata.items()
    if wanted.begin is None:
        return [item for item in metadata.items() if item.is_required or not _only_a_time(item)]
    own = {item.field: item for item in metadata.items()} if wanted.dated else {}
    return [_dated(item, own.get(item.field)) for item in metadata.swept()]


def _dated(taken: Item, own: Item | None) -> Item:
    since = "LAST_SYNC_TIME"
    return own if own is not None and asks_for(own, since) and not asks_for(taken, since) else taken


def _only_a_time(item: Item) -> bool:
    if item.children or not isinstance(item.value, str):
        return False
    expression = parse(item.value)
    return isinstance(expression, Macro) and not expression.name.startswith("PAGINATION")
