"""What a plan's documents say that can't be right: found without network, all at once.

Connections and connectors are checked by those who know them; this is about the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from cronsim import CronSim, CronSimError

from noria.messages import Message
from noria.metadata.documents import NOT_YET, Item, Metadata
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expressions import (
    MACRO_NAMES,
    Expression,
    Literal,
    Lookup,
    Reference,
    atoms,
    parse,
    unknown_format,
)
from noria.metadata.plan import Plan
from noria.metadata.times import duration, start_of, zone
from noria.metadata.validation import nearest, shown

ITEM_TYPES = ("string", "int", "float", "bool", "boolean", "object", "array", "date", "datetime", "timestamp")
_MACRO_LIKE = re.compile(r"[A-Z]{2,}(_[A-Z0-9]+)+$")


def check_plan(plan: Plan, others: Iterable[Plan]) -> list[Problem]:
    """Every problem of a plan's language, schedule and options. `others` are the plans it may look into."""
    found: list[Problem] = []
    found += _check_source(plan)
    found += _check_target(plan)
    found += _check_lookups(plan, [plan, *(other for other in others if other.key != plan.key)])
    for name in ("schedule", "target_schedule"):
        found += check_cron(getattr(plan, name), f"$.{name}")
    if plan.timezone is not None:
        try:
            zone(plan.timezone)
        except ValueError:
            found.append(
                _error("connection.timezone", "$.timezone", "connection.timezone_hint", value=shown(plan.timezone))
            )
    found += _check_options(plan)
    return [msgspec.structs.replace(problem, plan=plan.key) for problem in found]


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
    except CronSimError:
        return [_error("check.cron", path, "check.cron_hint", value=shown(text))]
    return []


_EPOCH = datetime(2020, 1, 1)


def items_with_paths(items: list[Item] | None, path: str) -> Iterator[tuple[Item, str]]:
    """Every item with its JSON path, children after their parent."""
    for i, item in enumerate(items or []):
        here = f"{path}[{i}]"
        yield item, here
        yield from items_with_paths(item.children, f"{here}.children")


def _check_source(plan: Plan) -> list[Problem]:
    metadata = plan.source.metadata
    base = "$.source.metadata" if plan.source.connection else "$"
    found = _not_yet(metadata, base)
    if not metadata.id_paths() and plan.source.document:
        found.append(_error("check.no_id", f"{base}.id", "check.no_id_hint"))
    for path in [*metadata.id_paths(), metadata.number or ""]:
        if "{{" in path:
            key = "id" if path in metadata.id_paths() else "number"
            found.append(_error("check.id_braces", f"{base}.{key}", "check.id_braces_hint", value=shown(path)))
    for key in ("request", "otherRequest"):
        for item, path in items_with_paths(getattr(metadata, key), f"{base}.{key}"):
            expression, problems = _parsed(item, path)
            found += problems
            if expression is None:
                continue
            if isinstance(expression, Lookup):
                found.append(_error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint"))
                continue
            for atom in atoms(expression):
                if isinstance(atom, Reference):
                    found.append(_unknown_macro(atom, f"{path}.value"))
    return found


def _check_target(plan: Plan) -> list[Problem]:
    metadata = plan.target.metadata
    base = "$.target.metadata" if plan.target.connection else "$"
    found = _not_yet(metadata, base)
    declared = {item.field for item, _ in items_with_paths(plan.source.metadata.response, "")}
    for key in ("request", "otherRequest"):
        for item, path in items_with_paths(getattr(metadata, key), f"{base}.{key}"):
            expression, problems = _parsed(item, path)
            found += problems
            for atom in atoms(expression) if expression else []:
                if not isinstance(atom, Reference) or atom.path in declared:
                    continue
                if _MACRO_LIKE.match(atom.path) and nearest(atom.path, list(MACRO_NAMES)):
                    found.append(_unknown_macro(atom, f"{path}.value"))
    return found


def _parsed(item: Item, path: str) -> tuple[Expression | None, list[Problem]]:
    """An item's expression, and what is wrong with the item itself."""
    found: list[Problem] = []
    if item.type is not None and item.type not in ITEM_TYPES:
        meant = nearest(item.type, list(ITEM_TYPES))
        hint = (
            Message("valid.did_you_mean", {"name": meant})
            if meant
            else Message("valid.choices", {"choices": ", ".join(ITEM_TYPES)})
        )
        found.append(Problem(Message("check.item_type", {"value": shown(item.type)}), f"{path}.type", hint, "warning"))
    if item.parser is not None:
        found.append(_error("check.not_yet", f"{path}.parser", "check.not_yet_hint", key="parser"))
    if item.mapping is not None:
        found.append(_error("check.not_yet", f"{path}.mapping", "check.not_yet_hint", key="mapping"))
    if item.type == "array" and item.children:
        return None, found
    try:
        expression = parse(item.value)
    except NoriaError as error:
        return None, [*found, Problem(error.message, f"{path}.value", error.hint)]
    for atom in atoms(expression):
        hint_ = unknown_format(atom.format)
        if hint_ is not None:
            message = Message("check.unknown_format", {"format": atom.format})
            found.append(Problem(message, f"{path}.value", hint_))
    if isinstance(expression, Literal):
        found += _check_literal(item, expression.value, path)
    return expression, found


def _check_literal(item: Item, value: Any, path: str) -> list[Problem]:
    if value is None or value == "":
        return []
    if item.type in ("int", "float") and isinstance(value, str):
        try:
            number = Decimal(value.strip())
            whole = item.type == "float" or number == number.to_integral_value()
        except InvalidOperation:
            whole = False
        if not whole:
            return [
                _error(
                    "check.literal_type",
                    f"{path}.value",
                    "check.literal_type_hint",
                    value=shown(value),
                    type=item.type,
                )
            ]
    return []


def _unknown_macro(atom: Reference, path: str) -> Problem:
    meant = nearest(atom.path, list(MACRO_NAMES))
    hint = (
        Message("valid.did_you_mean", {"name": "{{" + meant + "}}"})
        if meant
        else Message("valid.choices", {"choices": ", ".join(MACRO_NAMES)})
    )
    return Problem(Message("check.unknown_macro", {"name": atom.path}), path, hint)


def _not_yet(metadata: Metadata, base: str) -> list[Problem]:
    """Constructs that would change the result and are not carried out yet: refused rather than ignored."""
    return [
        _error("check.not_yet", f"{base}.{key}", "check.not_yet_hint", key=key)
        for key in NOT_YET
        if getattr(metadata, key)
    ]


def lookups_in(plan: Plan) -> Iterator[tuple[Lookup, str]]:
    """Every look-up of a plan's target with its JSON path. Malformed values are left to the check."""
    for key in ("request", "otherRequest"):
        base = f"$.target.metadata.{key}"
        for item, path in items_with_paths(getattr(plan.target.metadata, key), base):
            try:
                expression = parse(item.value)
            except NoriaError:
                continue
            if isinstance(expression, Lookup):
                yield expression, f"{path}.value"


def _check_lookups(plan: Plan, known: list[Plan]) -> list[Problem]:
    found: list[Problem] = []
    for lookup, path in lookups_in(plan):
        looked_into = [other for other in known if other.answers_to(lookup.plan)]
        if not looked_into:
            names = [name for other in known for name in (other.key, other.name)]
            meant = nearest(lookup.plan, names)
            hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("plan.unknown_hint")
            found.append(Problem(Message("check.lookup_plan", {"plan": lookup.plan}), path, hint))
        elif looked_into[0].key == plan.key:
            found.append(_error("check.lookup_itself", path, "check.lookup_itself_hint", plan=plan.key))
        else:
            circle = _circle(plan, looked_into[0], known)
            if circle:
                found.append(_error("check.lookup_loop", path, "check.lookup_loop_hint", plans=" → ".join(circle)))
    return found


def _circle(plan: Plan, first: Plan, known: list[Plan]) -> list[str] | None:
    """The chain of look-ups from `first` back to `plan`, if there is one."""
    waiting: list[tuple[Plan, list[str]]] = [(first, [plan.key, first.key])]
    seen = {first.key}
    while waiting:
        here, chain = waiting.pop()
        for lookup, _ in lookups_in(here):
            for other in known:
                if not other.answers_to(lookup.plan):
                    continue
                if other.key == plan.key:
                    return [*chain, plan.key]
                if other.key not in seen:
                    seen.add(other.key)
                    waiting.append((other, [*chain, other.key]))
    return None


def _check_options(plan: Plan) -> list[Problem]:
    options = plan.options
    found: list[Problem] = []
    if options.start is not None:
        try:
            start_of(options.start)
        except ValueError:
            found.append(_error("check.time", "$.options.start", "check.time_hint", value=shown(options.start)))
    durations: list[tuple[Any, str]] = [(options.lookup.wait, "$.options.lookup.wait")]
    if options.sweep is not None:
        found += check_cron(options.sweep.schedule, "$.options.sweep.schedule")
        durations.append((options.sweep.window, "$.options.sweep.window"))
    for value, path in durations:
        try:
            duration(value)
        except ValueError:
            found.append(_error("check.duration", path, "check.duration_hint", value=shown(value)))
    numbers = {
        "overlap": options.overlap,
        "resume": options.resume,
        "retry.wait": options.retry.wait,
        **{f"retry.schedule[{i}]": wait for i, wait in enumerate(options.retry.schedule)},
    }
    for name, number in numbers.items():
        if number < 0:
            found.append(_error("valid.too_small", f"$.options.{name}", "valid.at_least", value=number, least=0))
    return found


def _error(text: str, path: str, hint: str | None = None, **values: Any) -> Problem:
    return Problem(Message(text, values), path, Message(hint, values) if hint else None)
