"""What a source says of its rows: ids, `condition`, `formatResponse`, `beatFlat`; and when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec
from cronsim import CronSim, CronSimError

from noria.messages import Message
from noria.metadata.check.fields import Fields, source_fields, unknown_macro
from noria.metadata.check.findings import error, hint, warning
from noria.metadata.check.items import check_formats
from noria.metadata.check.spelling import macro_meant
from noria.metadata.documents import MOST_ANCESTORS, FilterCondition, Metadata, tree_of
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expression_tree import Literal, Lookup, Reference, atoms, parts_of
from noria.metadata.expressions import parse
from noria.metadata.formats import WITHOUT_VALUE, format_problem, operator_problem
from noria.metadata.plan import Plan
from noria.metadata.times import parse_time
from noria.metadata.validation import BLANK, nearest, shown


def check_cron(text: str | None, path: str) -> list[Problem]:
    """A five-field crontab; `?` may stand in the day fields."""
    if text is None:
        return []
    fields = text.split()
    try:
        if len(fields) != 5:
            raise CronSimError
        fields = [f.replace("?", "*") if i in (2, 4) else f for i, f in enumerate(fields)]
        CronSim(" ".join(fields), _EPOCH)
    except (CronSimError, ValueError, OverflowError):
        return [error("check.cron", path, "check.cron_hint", value=shown(text))]
    return []


_EPOCH = datetime(2020, 1, 1)


def check_rules(plan: Plan, base: str) -> list[Problem]:
    """Every problem of a source's ids and rules of rows."""
    metadata = plan.source.metadata
    fields = source_fields(metadata)
    return [
        *_check_ids(metadata, base, fields),
        *_check_conditions(plan, base, fields),
        *_check_formats(metadata, base, fields),
        *_check_flat(metadata, base, fields),
    ]


def _check_ids(metadata: Metadata, base: str, fields: Fields) -> Iterator[Problem]:
    ids = metadata.id_paths()
    named = [(path, "id") for path in ids] + [(path, "number") for path in [metadata.number_path()] if path]
    for path, key in named:
        if "{" in path or "，" in path or "|" in path:
            yield error("check.id_braces", f"{base}.{key}", "check.id_braces_hint", value=shown(path))
        elif fields.types.get(path) in ("object", "array"):
            values = {"field": path, "is": fields.types[path], "type": key}
            yield error("check.type_conflict", f"{base}.{key}", "check.type_conflict_hint", **values)
        elif fields.certain and not fields.knows(path):
            yield _undeclared(path, f"{base}.{key}", fields)


def _undeclared(name: str, path: str, fields: Fields) -> Problem:
    meant = nearest(name, list(fields.types))
    hint_ = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.unknown_field_hint")
    return Problem(Message("check.unknown_field", {"field": name}), path, hint_, "warning" if meant else "hint")


def _check_conditions(plan: Plan, base: str, fields: Fields) -> Iterator[Problem]:
    for i, group in enumerate(plan.source.metadata.condition or []):
        alone = isinstance(group, FilterCondition)
        if not alone and not group:
            yield hint("check.empty_group", f"{base}.condition[{i}]", Message("check.empty_group_hint"))
        for j, one in enumerate([group] if isinstance(group, FilterCondition) else group):
            if one.field != BLANK:
                yield from _check_condition(
                    plan, one, f"{base}.condition[{i}]" if alone else f"{base}.condition[{i}][{j}]", fields
                )


def _check_condition(plan: Plan, one: FilterCondition, path: str, fields: Fields) -> Iterator[Problem]:
    field = one.field.strip().strip("{}").strip()
    if fields.certain and not fields.knows(field):
        yield _undeclared(field, f"{path}.field", fields)
    problem = operator_problem(one.logic)
    logic = one.logic.lower()
    if problem is not None:
        yield Problem(problem[0], f"{path}.logic", problem[1])
    elif one.value in (None, "") and logic not in (*WITHOUT_VALUE, "eq", "neq"):
        values = {"logic": one.logic}
        yield error("check.condition_value", f"{path}.value", "check.condition_value_hint", **values)
    elif one.value is None and logic not in WITHOUT_VALUE:
        yield error("check.condition_value", f"{path}.value", "check.condition_value_hint", logic=one.logic)
    try:
        expression = parse(one.value)
    except NoriaError as malformed:
        yield Problem(malformed.message, f"{path}.value", malformed.hint)
        return
    if any(isinstance(part, Lookup) for part in parts_of(expression)):
        yield error("check.lookup_here", f"{path}.value", "check.lookup_here_hint", value=shown(one.value))
    yield from check_formats(expression, f"{path}.value", plan)
    for atom in atoms(expression):
        if isinstance(atom, Reference) and macro_meant(atom.path) and not fields.knows(atom.path):
            yield unknown_macro(atom, f"{path}.value")
    if isinstance(expression, Literal) and isinstance(one.value, str):
        yield from _check_compared(logic, one.value, f"{path}.value")


def _check_compared(logic: str, text: str, path: str) -> Iterator[Problem]:
    """A constant that an operator can't compare with."""
    values = {"value": shown(text), "logic": logic}
    if logic == "between" and len(text.split(",")) != 2:
        yield error("check.compared", path, "check.between_hint", **values)
    elif logic in ("in", "notin") and ("，" in text or "、" in text):
        yield warning("check.compared", path, Message("check.in_hint"), **values)
    elif logic in ("like", "notlike") and "%" in text:
        yield hint("check.compared", path, Message("check.like_hint"), **values)
    elif logic in ("gt", "egt", "lt", "elt", "between"):
        for part in text.split(","):
            if part.strip().startswith("timestamp:"):
                try:
                    parse_time(part.strip().removeprefix("timestamp:"))
                except (ValueError, OverflowError):
                    yield error("check.time", path, "check.time_hint", value=shown(part.strip()))


def _check_formats(metadata: Metadata, base: str, fields: Fields) -> Iterator[Problem]:
    made: dict[str, int] = {}
    declared = source_fields(msgspec.structs.replace(metadata, formatResponse=None))
    for i, entry in enumerate(metadata.formatResponse or []):
        if entry.old == BLANK:
            continue
        path = f"{base}.formatResponse[{i}]"
        problem = format_problem(entry.format)
        if problem is not None:
            yield Problem(problem[0], f"{path}.format", problem[1])
        for key, name in (("old", entry.old), ("new", entry.new)):
            if "{" in name:
                yield error("check.id_braces", f"{path}.{key}", "check.id_braces_hint", value=shown(name))
            elif name.count(".") > MOST_ANCESTORS or "" in name.split("."):
                values = {"field": shown(name), "most": MOST_ANCESTORS}
                yield error("check.field", f"{path}.{key}", "check.field_hint", **values)
        if declared.certain and not declared.knows(entry.old) and "{" not in entry.old and entry.old not in made:
            yield _undeclared(entry.old, f"{path}.old", declared)
        if entry.new in made:
            values = {"field": entry.new, "first": f"{base}.formatResponse[{made[entry.new]}]"}
            yield warning("check.duplicate", f"{path}.new", Message("check.duplicate_hint"), **values)
        made[entry.new] = i


def _check_flat(metadata: Metadata, base: str, fields: Fields) -> Iterator[Problem]:
    declared = Fields()
    declared.add(tree_of(metadata.response or []))
    seen: set[str] = set()
    for i, name in enumerate(metadata.beatFlat or []):
        path = f"{base}.beatFlat[{i}]"
        if not re.fullmatch(r"[^\W\d][\w.]*", name):
            yield error("check.id_braces", path, "check.id_braces_hint", value=shown(name))
        elif name in seen:
            values = {"field": name, "first": f"{base}.beatFlat"}
            yield warning("check.duplicate", path, Message("check.duplicate_hint"), **values)
        elif fields.certain:
            kinds = {one.replace(".", "_"): kind for one, kind in declared.types.items()}
            kind = kinds.get(name.replace(".", "_"))
            if kind is None:
                arrays = [one for one, what in declared.types.items() if what == "array"]
                meant = nearest(name, arrays)
                hint_ = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.unknown_field_hint")
                message = Message("check.unknown_field", {"field": name})
                yield Problem(message, path, hint_, "warning" if meant else "hint")
            elif kind not in ("array", "object", "string"):
                values = {"field": name, "is": kind, "type": "array"}
                yield error("check.type_conflict", path, "check.type_conflict_hint", **values)
        seen.add(name)
