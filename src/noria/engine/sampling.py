"""A look at real records while a plan is being written: of its source, their fields, where they lie in an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from noria.connectors.source import Source
from noria.engine.answers import Row, decoded, rules_of
from noria.engine.preview import source_records
from noria.engine.requests import source_of
from noria.engine.staged import first_sync
from noria.engine.workspace import Workspace
from noria.mapping import Environment, MappingError
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan

# Steps into an answer or a row at most, and fields that are shown.
_DEEPEST, _MOST_FIELDS = 6, 400
# Elements of an array that are looked at for their fields.
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class SampleField:
    """A field of some rows: its path, one of its values, its type in JSON, in how many of the rows it has a value, how
    many different ones. `lines`: it is a field of an array's elements."""

    path: str
    example: Any
    kind: str
    filled: int
    distinct: int
    lines: bool


class FoundList(NamedTuple):
    """A list of objects in an answer: its path ("" is the whole body), how many, the fields of the first."""

    path: str
    length: int
    fields: list[str]


def moment_of(workspace: Workspace, plan: Plan) -> Moment:
    """The times of a plan's first run, now."""
    zone = workspace.connection(plan, "source").zone
    return Moment(first_sync(plan, zone), workspace.clock.now(), zone, plan.options.lenient)


async def sample(workspace: Workspace, plan: Plan, most: int) -> list[bytes]:
    """The first records of a plan's source; raises `Failure`, or `NoriaError` where the connection can't be used."""
    return (await source_records(workspace, plan, moment_of(workspace, plan), 1))[:most]


async def lists_in_answer(workspace: Workspace, plan: Plan) -> list[FoundList]:
    """The lists of objects in the answer of a plan's source; none where it gives rows and no answer. Raises
    `Failure`."""
    source = source_of(workspace, plan, moment_of(workspace, plan))
    if not isinstance(source, Source) or workspace.connection(plan, "source").connector.reached is not None:
        return []
    try:
        body = msgspec.json.decode((await source.peek()).body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return list(_lists(body, ""))


def _lists(value: Any, path: str, depth: int = 0) -> Iterator[FoundList]:
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        yield FoundList(path, len(value), [str(key) for key in value[0]][:8])
    elif isinstance(value, dict) and depth < _DEEPEST:
        for key, one in value.items():
            yield from _lists(one, f"{path}.{key}" if path else str(key), depth + 1)


def rows_of(plan: Plan, records: Iterable[bytes], moment: Moment) -> list[Row]:
    """Records as a mapping sees them: taken apart and formatted as the plan's source says."""
    rules, rows = rules_of(plan), []
    for raw in records:
        row = decoded(raw)
        if isinstance(row, dict):
            try:
                rows.append(rules.derived(row, Environment(moment)))
            except MappingError:
                rows.append(row)
    return rows


def fields_in(rows: list[Row]) -> list[SampleField]:
    """The fields of rows, in the order in which they come, those of lines behind their array."""
    found: dict[str, _Values] = {}
    for row in rows:
        seen: set[str] = set()
        for path, value, lines in _fields(row, "", False):
            if path not in found and len(found) >= _MOST_FIELDS:
                continue
            found.setdefault(path, _Values(lines)).add(value, first=path not in seen)
            seen.add(path)
    return [values.field(path) for path, values in found.items()]


def _fields(value: dict[str, Any], path: str, lines: bool, depth: int = 0) -> Iterator[tuple[str, Any, bool]]:
    for key, one in value.items():
        here = f"{path}.{key}" if path else str(key)
        yield here, one, lines
        if depth >= _DEEPEST:
            continue
        if isinstance(one, dict):
            yield from _fields(one, here, lines, depth + 1)
        elif isinstance(one, list):
            for line in one[:_MOST_LINES]:
                if isinstance(line, dict):
                    yield from _fields(line, here, True, depth + 1)


class _Values:
    """What a field's values are like."""

    def __init__(self, lines: bool) -> None:
        self.lines = lines
        self.example: Any = None
        self.filled = 0
        self.different: set[bytes] = set()

    def add(self, value: Any, *, first: bool) -> None:
        if value in (None, "", [], {}):
            return
        if self.example is None:
            self.example = value
        self.filled += first
        self.different.add(msgspec.json.encode(value, enc_hook=str))

    def field(self, path: str) -> SampleField:
        kinds = ((bool, "bool"), (int, "int"), (str, "string"), (dict, "object"), (list, "array"))
        kind = next((word for type_, word in kinds if isinstance(self.example, type_)), "float")
        kind = "null" if self.example is None else kind
        return SampleField(path, self.example, kind, self.filled, len(self.different), self.lines)
