"""Preview: records through ids, rules and mapping, without writing anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from noria.engine.answers import Answers, Asked, Row, decoded, rules_of
from noria.engine.identity import arrivals_of
from noria.engine.partitions import partition_source, partitions_of, split_of, value_in, values_source
from noria.engine.requests import Readable, source_of
from noria.engine.workspace import Workspace
from noria.ledger import Ledger
from noria.ledger.content import same_content
from noria.mapping import Environment, MappingError, Waiting, compile_mapping, grouping_of
from noria.messages import Message
from noria.metadata.check import lookups_in
from noria.metadata.documents import Item
from noria.metadata.macros import Moment
from noria.metadata.paths import MISSING, at
from noria.metadata.plan import Plan
from noria.metadata.times import DEFAULT_ZONE, duration

# So many parts of a source may be empty before that is what is shown.
_MOST_EMPTY = 50


async def source_records(workspace: Workspace, plan: Plan, moment: Moment, pages: int) -> list[bytes]:
    """The records of the first pages of a plan's source, of its newest part where it has parts; raises `Failure`."""
    records: list[bytes] = []
    async for source in _some_lists(workspace, plan, moment):
        cursor: str | None = None
        try:
            for _ in range(pages):
                page = await source.fetch(cursor)
                records += page.records
                cursor = page.cursor
                if cursor is None:
                    break
        finally:
            await source.close()
        if records:
            break
    return records


async def _some_lists(workspace: Workspace, plan: Plan, moment: Moment) -> AsyncIterator[Readable]:
    split = split_of(workspace, plan)
    if split is None:
        yield source_of(workspace, plan, moment)
        return
    values: list[str | int | None] = [*split.values] if split.param else [None]
    if split.api:
        page = await values_source(workspace, plan, split).fetch(None)
        values += [value for raw in page.records if (value := value_in(split, raw)) is not None]
    for part in partitions_of(split, values, moment)[: -_MOST_EMPTY - 1 : -1]:
        yield partition_source(workspace, plan, split, part, moment)


# What stops a run but not a look at what comes out: plans and maps that are not there yet, what a target would not do.
NO_MATTER = frozenset(("check.lookup_plan", "check.no_map", "check.no_taker", "check.not_yet", "check.callback_loop"))


def asked_by(plan: Plan, loaded: Sequence[Plan], ledger: Ledger | None) -> dict[str, Asked]:
    """The plans that a plan's look-ups name, as far as there are such."""
    found = {}
    for lookup, _ in lookups_in(plan):
        other = next((one for one in loaded if one.answers_to(lookup.plan)), None)
        if other is not None:
            number = ledger.runs.known_plan(other.key) if ledger is not None else None
            found[lookup.plan] = Asked(number, rules_of(other))
    return found


def preview(
    plan: Plan, records: list[bytes], moment: Moment, ledger: Ledger | None, asked: dict[str, Asked]
) -> list[dict[str, Any]]:
    """One result per record (per document, where the target groups records), in order: `id`, `number`, `state`,
    `reason`, `raw`, `payload`, and `fields`: each field of the payload with its expression and value.

    `asked`: for each plan that look-ups name, and that there is, its number in the ledger and the rules of its rows.
    """
    return _Preview(plan, moment, ledger, asked).results(records)


class _Preview:
    def __init__(self, plan: Plan, moment: Moment, ledger: Ledger | None, asked: dict[str, Asked]) -> None:
        self.plan = plan
        self.moment = replace(moment, lenient=plan.options.lenient)
        self.items = plan.target.metadata.items()
        self.mapping = compile_mapping(self.items, plan.maps, lenient=plan.options.lenient)
        self.grouping = grouping_of(plan.target.metadata)
        self.rules = rules_of(plan)
        # What is looked up in a plan that isn't there is empty: there is nothing to wait for.
        self.known = all(planned.lookup.plan in asked for planned in self.mapping.lookups)
        plans = [asked.get(planned.lookup.plan, Asked(None, None)) for planned in self.mapping.lookups]
        self.answers = Answers(ledger, self.mapping, plans, self.moment)

    def results(self, records: list[bytes]) -> list[dict[str, Any]]:
        staged: list[tuple[dict[str, Any], Row | None]] = []
        seen: dict[str, bytes] = {}
        for result in self._arrived(records):
            record_id, raw = result["id"], bytes(result["raw"])
            known = result["reason"] is None and record_id is not None and not self.plan.overwrites()
            if known and not same_content(seen.setdefault(record_id, raw), raw):
                result |= {"state": "invalid", "reason": Message("reason.ambiguous_id", {"id": record_id})}
            staged.append((result, self._row(raw, result) if result["reason"] is None else None))
        if self.grouping is not None:
            return list(map(_shown, self._grouped(staged)))
        for result, row in staged:
            if row is not None:
                self._map(row, result)
        return [_shown(result) for result, _ in staged]

    def _arrived(self, records: list[bytes]) -> Iterator[dict[str, Any]]:
        """Records with their ids, taken apart and filtered as staging does it."""
        blank: dict[str, Any] = {
            "id": None,
            "number": None,
            "state": "pending",
            "reason": None,
            "payload": None,
            "fields": [],
        }
        if not self.plan.source.metadata.id_paths():
            for raw in records:
                yield {**blank, "raw": msgspec.Raw(raw)}
            return
        plan = self.plan
        identify = arrivals_of(plan.source.metadata, self.moment, refuses_missing=plan.refuses_missing_ids())
        for raw in records:
            arrived = identify([raw])
            for position, own in enumerate(arrived.raws):
                result = {**blank, "id": arrived.ids[position], "number": arrived.numbers[position]}
                result["raw"] = msgspec.Raw(own)
                if position in arrived.invalid:
                    result |= {"state": "invalid", "reason": arrived.invalid[position]}
                elif position in arrived.skipped:
                    result |= {"state": "skipped", "reason": arrived.skipped[position]}
                yield result

    def _row(self, raw: bytes, result: dict[str, Any]) -> Row | None:
        row = decoded(raw)
        if isinstance(row, Message):
            result |= {"state": "invalid", "reason": row}
            return None
        try:
            return self.rules.derived(row, Environment(self.moment))
        except MappingError as error:
            result |= {"state": "invalid", "reason": error.message}
            return None

    def _grouped(self, staged: list[tuple[dict[str, Any], Row | None]]) -> Iterator[dict[str, Any]]:
        """A result per document; records that belong to none by themselves."""
        assert self.grouping is not None
        groups: dict[tuple[str, ...], list[tuple[dict[str, Any], Row]]] = {}
        for result, row in staged:
            if row is None:
                yield result
                continue
            try:
                groups.setdefault(self.grouping.key(row), []).append((result, row))
            except MappingError as error:
                yield result | {"state": "invalid", "reason": error.message}
        for group in groups.values():
            try:
                made = self.grouping.documents([row for _, row in group])
            except MappingError as error:
                yield from (result | {"state": "invalid", "reason": error.message} for result, _ in group)
                continue
            for document, positions in made:
                members = [group[i][0] for i in positions]
                result = dict(members[0])
                result["raw"] = msgspec.Raw(b"[" + b",".join(bytes(one["raw"]) for one in members) + b"]")
                result["records"] = [one["id"] for one in members]
                self._map(document, result)
                yield result

    def _map(self, row: Row, result: dict[str, Any]) -> None:
        """The row's payload; or why there is none, and whether it would wait."""
        lookup = self.plan.options.lookup
        patient = self.known and duration(lookup.wait) > 0
        env = Environment(self.moment, patient=patient, missing_is_invalid=self.known and lookup.missing == "invalid")
        self.answers.fill([row], env)
        try:
            result["payload"] = self.mapping.payload(row, env)
        except MappingError as error:
            result |= {"state": "invalid", "reason": error.message}
        except Waiting as waiting:
            result["reason"] = self.answers.waits_for(waiting)
        else:
            result["fields"] = list(fields_of(self.items, result["payload"]))


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "reason": str(result["reason"]) if result["reason"] else None}


def fields_of(items: Sequence[Item], payload: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Each item of a request with its path in the payload, its label, its expression and its value; of lines, each
    line's. A field that was left out has no `value`."""
    for item in items:
        path = f"{prefix}{item.field}"
        value = at(payload, item.field) if isinstance(payload, dict) else MISSING
        if item.children and isinstance(value, list):
            yield {"path": path, "label": item.label, "expression": item.value}
            for number, line in enumerate(value):
                yield from fields_of(item.children, line, f"{path}[{number}].")
        elif item.children:
            yield from fields_of(item.children, value, f"{path}.")
        else:
            field = {"path": path, "label": item.label, "expression": item.value}
            yield field if value is MISSING else {**field, "value": value}


def default_moment(now: float) -> Moment:
    """The times of a preview that has no connection."""
    return Moment(last_sync=0.0, now=now, tz=DEFAULT_ZONE)
