"""Where each field of a payload comes from: its expression, the fields of the record that this reads, and their values.

The mapping is the plan's as it is now; the values of the payload are those that were sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from noria.engine.answers import Row, decoded, rules_of
from noria.mapping import Environment, MappingError, Waiting, compile_mapping, grouping_of
from noria.messages import Message
from noria.metadata.documents import Item
from noria.metadata.errors import NoriaError
from noria.metadata.expression_tree import Reference, atoms
from noria.metadata.items import array_path, expression_of
from noria.metadata.macros import Moment
from noria.metadata.paths import MISSING, at
from noria.metadata.plan import Plan

# So many fields of one payload are explained at most: a document may have thousands of lines.
MOST_FIELDS = 500


def explained(plan: Plan, raws: Sequence[bytes], payload: Any, moment: Moment) -> list[dict[str, Any]]:
    """Each field of a payload, in the order of the plan's items: `path`, `label`, `expression`, `reads` (each a `path`
    in the record and its `value`, where it has one) and `value` (where it has one). `raws`: the record, or all that are
    merged into the payload; `payload` None: there is none, and no field has a value."""
    row = row_of(plan, raws, moment)
    found: list[dict[str, Any]] = []
    for one in _fields(plan.target.metadata.items(), payload, [row] if row is not None else []):
        if len(found) >= MOST_FIELDS:
            break
        found.append(one)
    return found


def row_of(plan: Plan, raws: Sequence[bytes], moment: Moment) -> Row | None:
    """What the mapping sees of a record, or of the records that are merged into one document; None where it sees
    nothing."""
    rules, env, rows = rules_of(plan), Environment(moment), []
    for raw in raws:
        row = decoded(raw)
        if isinstance(row, Message):
            return None
        try:
            rows.append(rules.derived(row, env) if rules.derives else row)
        except MappingError:
            return None
    grouping = grouping_of(plan.target.metadata)
    if grouping is None:
        return rows[0] if rows else None
    try:
        return grouping.documents(rows)[0][0] if rows else None
    except MappingError:
        return None


def as_far_as_it_goes(plan: Plan, row: Row, moment: Moment) -> dict[str, Any]:
    """The payload of a record that can't be mapped, without the fields that are to blame."""
    found: dict[str, Any] = {}
    for item in plan.target.metadata.items():
        try:
            mapping = compile_mapping([item], plan.maps, lenient=plan.options.lenient)
            env = Environment(moment, missing_is_invalid=True)
            env.found.extend({} for _ in mapping.lookups)
            part = mapping.payload(row, env)
        except (MappingError, Waiting, NoriaError):
            continue
        if isinstance(part, dict):
            _merge(found, part)
    return found


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _fields(items: Sequence[Item], payload: Any, scopes: list[Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """The fields of an object; `scopes`: the rows that its expressions look into, the innermost first."""
    for item in items:
        path = f"{prefix}{item.field}"
        value = at(payload, item.field) if isinstance(payload, dict) else MISSING
        if item.children and isinstance(value, list):
            array = _read(array_path(item), scopes)
            yield _field(item, path, MISSING, scopes, reads=[array_path(item)] if array_path(item) else [])
            for number, line in enumerate(value):
                own = array[number] if isinstance(array, list) and number < len(array) else None
                inner = [own, *scopes] if isinstance(own, dict) else scopes
                yield from _fields(item.children, line, inner, f"{path}[{number}].")
        elif item.children:
            lines = "[]." if item.kind == "array" else "."
            yield from _fields(item.children, value, scopes, f"{path}{lines}")
        else:
            yield _field(item, path, value, scopes)


def _field(item: Item, path: str, value: Any, scopes: list[Any], reads: Sequence[str] | None = None) -> dict[str, Any]:
    if reads is None:
        try:
            expression = expression_of(item, lenient=True)
            reads = list(dict.fromkeys(one.path for one in atoms(expression) if isinstance(one, Reference)))
        except NoriaError:
            reads = []
    sources = []
    for name in reads:
        found = _read(name, scopes)
        sources.append({"path": name} if found is MISSING else {"path": name, "value": found})
    field = {"path": path, "label": item.label, "expression": item.value, "reads": sources}
    return field if value is MISSING else {**field, "value": value}


def _read(path: str, scopes: list[Any]) -> Any:
    """A field of the innermost row that has it."""
    for scope in scopes:
        found = at(scope, path) if path else MISSING
        if found is not MISSING:
            return found
    return MISSING
