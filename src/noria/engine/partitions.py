"""Partitions: the parts in which a source is read, each by itself: time windows, values of a parameter, or both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import msgspec
from xxhash import xxh3_128_digest, xxh3_128_hexdigest

from noria.connectors.failures import Failure
from noria.connectors.source import Source, SourcePage
from noria.engine.requests import Readable, source_of
from noria.engine.retry import GiveUp, Tries
from noria.engine.workspace import Workspace
from noria.messages import Message
from noria.metadata.documents import Item, Metadata
from noria.metadata.macros import Moment
from noria.metadata.paths import at
from noria.metadata.plan import Plan, Split
from noria.metadata.times import duration, earliest_written, shown_time

# More parts than these are a mistake: a window of seconds over years.
MOST_PARTS = 100_000


class Partition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part: from when to when it asks (epoch seconds; None: as the plan does), the parameter's value."""

    begin: float | None = None
    end: float | None = None
    value: str | int | None = None

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def of(text: str) -> Partition:
        """One that the ledger kept."""
        return msgspec.json.decode(text, type=Partition)


def split_of(workspace: Workspace, plan: Plan) -> Split | None:
    """How a plan's source is split: as its options say, else as its connector declares of the endpoint."""
    own = plan.options.split
    return own if own is not None else workspace.connection(plan, "source").split(plan.source.metadata.api)


def split_signature(split: Split) -> str:
    """What a split asks for: a read is only continued when this is the same."""
    return xxh3_128_hexdigest(msgspec.json.encode(split))


def partition_source(
    workspace: Workspace,
    plan: Plan,
    split: Split,
    part: Partition,
    moment: Moment,
    items: list[Item] | None = None,
) -> Readable:
    """The list that a part shows. `moment`: the times of the whole; `items`: another request than the plan's."""
    if part.begin is not None and part.end is not None:
        tz = moment.tz
        moment = replace(moment, last_sync=shown_time(earliest_written(part.begin, tz)), now=part.end)
    also = {split.param: part.value} if part.value is not None else None
    return source_of(workspace, plan, moment, items, also)


async def partitions_of(workspace: Workspace, plan: Plan, split: Split, begin: float, end: float) -> list[Partition]:
    """The parts of what changed from `begin` to `end` (epoch seconds). Raises `Failure` when the list of values can't
    be read."""
    values: list[str | int | None] = [None]
    if split.param:
        values = list(dict.fromkeys([*split.values, *(await _listed(workspace, plan, split) if split.api else [])]))
    times: list[tuple[float | None, float | None]] = [(None, None)]
    if split.window is not None:
        length = duration(split.window)
        _refuse_more(len(values) * int((end - begin) / length))
        times = list(windows(begin, end, length))
    _refuse_more(len(values) * len(times))
    return [Partition(first, last, value) for value in values for first, last in times]


def _refuse_more(parts: int) -> None:
    if parts > MOST_PARTS:
        raise Failure("permanent", Message("split.too_many", {"parts": parts, "most": MOST_PARTS}))


async def lists_of(
    workspace: Workspace, plan: Plan, moment: Moment, items: list[Item] | None = None, *, newest_first: bool = False
) -> AsyncIterator[Readable]:
    """The lists that together show what a plan's source shows: one, or one for each of its parts."""
    split = split_of(workspace, plan)
    if split is None:
        yield source_of(workspace, plan, moment, items)
        return
    parts = await partitions_of(workspace, plan, split, moment.last_sync, moment.now)
    for part in reversed(parts) if newest_first else parts:
        yield partition_source(workspace, plan, split, part, moment, items)


def windows(begin: float, end: float, length: float) -> Iterator[tuple[float, float]]:
    """Windows of at most `length` seconds, each from where the one before ends: a record of that very moment is in one
    at least, whichever end a system leaves out."""
    at_ = begin
    while at_ + length < end:
        yield at_, at_ + length
        at_ += length
    yield at_, end


async def _listed(workspace: Workspace, plan: Plan, split: Split) -> list[str | int]:
    """The values that a list of the same system has, with those below them where it is asked for each by itself."""
    found: dict[str | int, None] = {}
    asked: list[str | int | None] = [None]
    for above in asked:
        async for raw in _rows(workspace, plan, split, above):
            value: Any = at(msgspec.json.decode(raw), split.value)
            if isinstance(value, str | int) and not isinstance(value, bool) and value not in found:
                found[value] = None
                if split.below:
                    asked.append(value)
    return list(found)


async def _rows(workspace: Workspace, plan: Plan, split: Split, above: str | int | None) -> AsyncIterator[bytes]:
    below = {split.below: above} if above is not None else {}
    source = workspace.connection(plan, "source").source(Metadata(api=split.api), lambda position: dict(below))
    cursor: str | None = None
    seen = set[bytes]()
    while True:
        page = await _fetched(workspace, plan, source, cursor)
        digest = xxh3_128_digest(b",".join(page.records))
        for raw in page.records:
            yield raw
        cursor = page.cursor
        if cursor is None or not page.records or digest in seen:
            return
        seen.add(digest)


async def _fetched(workspace: Workspace, plan: Plan, source: Source, cursor: str | None) -> SourcePage:
    tries = Tries(plan.options.retry)
    while True:
        try:
            return await source.fetch(cursor)
        except Failure as failure:
            decision = tries.after(failure)
            if isinstance(decision, GiveUp):
                raise
            await workspace.clock.sleep(decision.seconds)
