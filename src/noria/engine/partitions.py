"""Partitions: the parts in which a source is read, each by itself: time windows, values of a parameter, or both."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.failures import Failure
from noria.connectors.source import SourcePage
from noria.engine.identity import arrivals_of
from noria.engine.job import Job
from noria.engine.motion import Signs
from noria.engine.reading import Reading, Taken
from noria.engine.requests import Readable, source_of
from noria.engine.workspace import Workspace
from noria.ledger.arrivals import Arrivals
from noria.messages import Message
from noria.metadata.asking import asks_for
from noria.metadata.documents import Item, Metadata
from noria.metadata.macros import Moment
from noria.metadata.paths import at
from noria.metadata.plan import Plan, Split
from noria.metadata.times import duration, earliest_written, shown_time

# More parts than these are a mistake: a window of minutes over years.
MOST_PARTS = 10_000
Value = str | int | None


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

    def shown(self, split: Split, tz: ZoneInfo) -> str:
        """As a person reads it."""
        found = [f"{split.param}={self.value}"] if self.value is not None else []
        if self.begin is not None and self.end is not None:
            ends = (datetime.fromtimestamp(shown_time(one), tz) for one in (self.begin, self.end))
            found.append(" – ".join(f"{one:%Y-%m-%d %H:%M:%S}" for one in ends))
        return ", ".join(found)


def split_of(workspace: Workspace, plan: Plan) -> Split | None:
    """How a plan's source is split: as its options say, else as its connector declares of the endpoint; windows only
    where the plan asks from one time to another."""
    if plan.options.split is not None:
        return plan.options.split
    declared = workspace.connection(plan, "source").split(plan.source.metadata.api)
    if declared is None or declared.window is None:
        return declared
    items = plan.source.metadata.items()
    if all(any(asks_for(item, macro) for item in items) for macro in ("LAST_SYNC_TIME", "CURRENT_TIME")):
        return declared
    return msgspec.structs.replace(declared, window=None) if declared.param else None


def split_signature(split: Split) -> str:
    """What a split asks for: a read is only continued when this is the same."""
    return xxh3_128_hexdigest(msgspec.json.encode(msgspec.structs.replace(split, at_once=1)))


def partition_source(
    workspace: Workspace, plan: Plan, split: Split, part: Partition, moment: Moment, items: list[Item] | None = None
) -> Readable:
    """The list that a part shows. `moment`: the times of the whole; `items`: another request than the plan's."""
    if part.begin is not None and part.end is not None:
        tz = moment.tz
        moment = replace(moment, last_sync=shown_time(earliest_written(part.begin, tz)), now=part.end)
    also = {split.param: part.value} if part.value is not None else None
    return source_of(workspace, plan, moment, items, also)


def partitions_of(
    split: Split, values: Sequence[Value], moment: Moment, since: Mapping[Value, float] = MappingProxyType({})
) -> list[Partition]:
    """The parts of these values' lists, of what changed in the times of `moment`, or since another time (epoch seconds)
    for some. Raises `Failure` when they are more than anybody can mean."""
    end, length = moment.now, math.inf if split.window is None else duration(split.window)
    begins = {value: since.get(value, moment.last_sync) for value in values}
    count = sum(max(1, math.ceil((end - begin) / length)) for begin in begins.values())
    if count > MOST_PARTS:
        raise Failure("permanent", Message("split.too_many", {"parts": count, "most": MOST_PARTS}))
    if split.window is None:
        # The plan's own times hold unless it is another.
        return [Partition(begins[one], end, one) if one in since else Partition(value=one) for one in values]
    return [Partition(*ends, value) for value, begin in begins.items() for ends in windows(begin, end, length)]


def windows(begin: float, end: float, length: float) -> Iterator[tuple[float, float]]:
    """Windows of at most `length` seconds, each from where the one before ends: a record of that very moment is in one
    at least, whichever end a system leaves out."""
    at_ = begin
    while at_ + length < end:
        yield at_, at_ + length
        at_ += length
    yield at_, end


async def lists_of(job: Job, moment: Moment, items: list[Item] | None = None) -> AsyncIterator[Readable]:
    """The lists that together show what a plan's source shows: one, or one for each of its parts."""
    split = split_of(job.workspace, job.plan)
    if split is None:
        yield source_of(job.workspace, job.plan, moment, items)
        return
    for part in partitions_of(split, await values_of(job, split), moment):
        yield partition_source(job.workspace, job.plan, split, part, moment, items)


async def values_of(job: Job, split: Split) -> list[Value]:
    """The values of a split's parameter, each once; just None where it has none. Raises `Failure` when their list can't
    be read, or shows none."""
    if not split.param:
        return [None]
    found: dict[str | int, None] = dict.fromkeys(split.values)
    if split.api:
        rows = _Values(split, found)
        asked: list[Value] = [None]
        for above in asked:
            known = len(found)
            arrivals = arrivals_of(_list_of(split), Moment(0.0, 0.0), refuses_missing=True)
            await Reading(
                job, values_source(job.workspace, job.plan, split, above), arrivals, rows, windowed=True
            ).run()
            if split.below:
                asked += list(found)[known:]
        if rows.without:
            values = {"count": rows.without, "path": split.value}
            job.workspace.observer.said(job.plan.key, Message("split.without", values))
    if not found and not job.reading_stops:
        raise Failure("permanent", Message("split.no_values", {"path": split.value}), request=split.api)
    return list(found)


def values_source(workspace: Workspace, plan: Plan, split: Split, above: Value = None) -> Readable:
    """The list that has a split's values, or those below one."""
    asked: dict[str, Any] = {**split.request, **({split.below: above} if above is not None else {})}
    return workspace.connection(plan, "source").source(_list_of(split), lambda position: dict(asked))


def value_in(split: Split, raw: bytes) -> str | int | None:
    """The value that a row of the list has."""
    found = at(msgspec.json.decode(raw), split.value)
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _list_of(split: Split) -> Metadata:
    return Metadata(api=split.api, method=split.method, id=split.value)


class _Values:
    """Takes the pages of a list of values."""

    def __init__(self, split: Split, found: dict[str | int, None]) -> None:
        self.split = split
        self.found = found
        self.without = 0
        self._shown: set[str | None] = set()

    def page(
        self, page: SourcePage, arrivals: Arrivals, number: int, cursor: str | None, signs: Callable[[Taken], Signs]
    ) -> Taken:
        """Note the values that a page shows."""
        again = [str(one) for one in arrivals.ids if one in self._shown]
        new = [str(one) for one in arrivals.ids if one is not None and one not in self._shown]
        self._shown.update(arrivals.ids)
        for raw in page.records:
            value = value_in(self.split, raw)
            if value is None:
                self.without += 1
            else:
                self.found.setdefault(value)
        taken = Taken(len(new), again, len(again), new, [])
        signs(taken)
        return taken

    def anew(self, signs: Signs, cursor: str | None) -> None:
        """Another pass over the same list."""
        if cursor is None:
            self._shown = set()
