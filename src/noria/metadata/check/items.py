"""Items of a request: how they hang together, what each one says by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from noria.messages import Message
from noria.metadata.check.findings import error, nearest_hint, warning
from noria.metadata.check.spelling import misspelled
from noria.metadata.documents import (
    Item,
)
from noria.metadata.errors import NoriaError, Problem, Severity
from noria.metadata.expression_tree import Expression, Function, Literal, Macro, Template, atoms
from noria.metadata.items import expression_of
from noria.metadata.kinds import ITEM_TYPES, TRUTHS, kind_of
from noria.metadata.parsers import parser_problem
from noria.metadata.patterns import BadPattern, compiled_pattern
from noria.metadata.plan import Plan
from noria.metadata.sql import Const, calls
from noria.metadata.times import FORMATS, is_format, parse_time
from noria.metadata.validation import nearest, shown


def parsed(item: Item, path: str, plan: Plan, *, source: bool) -> tuple[Expression | None, list[Problem]]:
    """An item's expression, and what is wrong with the item itself."""
    found: list[Problem] = []
    kind = kind_of(item.type)
    if not kind:
        # A type that is only spelled wrong was meant to do something; one of another system is no matter.
        severity: Severity = "warning" if nearest(item.type or "", list(ITEM_TYPES)) else "hint"
        message = Message("check.item_type", {"value": shown(item.type)})
        found.append(Problem(message, f"{path}.type", nearest_hint(item.type or "", ITEM_TYPES), severity))
    if item.parser is not None:
        problem = parser_problem(item.parser)
        if problem is not None:
            found.append(Problem(problem[0], f"{path}.parser", problem[1]))
    if item.mapping is not None:
        found += _check_map(item, f"{path}.mapping", plan)
    if item.children:
        return None, found
    if item.is_required and item.value in (None, "") and item.parser is None:
        values = {"field": item.field}
        found.append(warning("check.required", f"{path}.value", Message("check.required_hint"), **values))
    try:
        expression = expression_of(item, source=source)
    except NoriaError as malformed:
        return None, [*found, _malformed(malformed, item.value, f"{path}.value", plan)]
    found += check_formats(expression, f"{path}.value", plan)
    found += misspelled(item.value, expression, f"{path}.value")
    if isinstance(expression, Literal):
        found += _check_literal(item, kind, expression.value, path)
    elif isinstance(expression, Template) and kind in ("int", "float", "bool") and not _may_be_number(expression):
        values = {"value": shown(item.value), "type": item.type or ""}
        found.append(warning("check.text_type", f"{path}.value", Message("check.literal_type_hint", values), **values))
    elif isinstance(expression, Function):
        found += _check_function(expression, f"{path}.value")
    return expression, found


def _malformed(malformed: NoriaError, value: Any, path: str, plan: Plan) -> Problem:
    """A value that can't be read; in a lenient plan a malformed `_function` is only text, as on the platform."""
    text = isinstance(value, str) and value.strip().startswith("_function") and plan.options.lenient
    return Problem(malformed.message, path, malformed.hint, "warning" if text else "error")


def check_formats(expression: Expression, path: str, plan: Plan) -> list[Problem]:
    """Suffixes that there aren't, and points in time that can't be shown."""
    found: list[Problem] = []
    for atom in atoms(expression):
        if atom.format is not None and not is_format(atom.format):
            message = Message("check.unknown_format", {"format": atom.format})
            severity: Severity = "warning" if plan.options.lenient else "error"
            found.append(Problem(message, path, nearest_hint(atom.format, FORMATS), severity))
        if isinstance(atom, Macro) and (atom.seconds_ago or 0) > _LONGEST_AGO:
            found.append(warning("check.too_long_ago", path, Message("check.too_long_ago_hint"), name=atom.name))
    return found


# A hundred years: no window reaches further back.
_LONGEST_AGO = 100 * 366 * 86400


def _may_be_number(template: Template) -> bool:
    """Whether a template's own text is that of a number: `{{LAST_SYNC_TIME}}000`."""
    return all(re.fullmatch(r"\s*[-0-9.]*\s*", part) for part in template.parts if isinstance(part, str))


def _check_map(item: Item, path: str, plan: Plan) -> list[Problem]:
    assert item.mapping is not None
    found: list[Problem] = []
    if item.mapping.target not in plan.maps:
        message = Message("check.no_map", {"name": shown(item.mapping.target)})
        meant = nearest(item.mapping.target, list(plan.maps))
        hint_ = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.no_map_hint")
        # A document that stands alone has no maps around it.
        found.append(Problem(message, f"{path}.target", hint_, "warning" if plan.alone else "error"))
    if item.mapping.direction not in ("positive", "reverse"):
        message = Message("valid.not_a_choice", {"value": shown(item.mapping.direction)})
        found.append(
            Problem(message, f"{path}.direction", nearest_hint(item.mapping.direction, ("positive", "reverse")))
        )
    return found


def _check_literal(item: Item, kind: str, value: Any, path: str) -> list[Problem]:
    """A literal that can't be of the item's type."""
    if value is None or value == "" or item.parser is not None:
        return []
    try:
        if kind in _COERCIONS:
            _COERCIONS[kind](value, item.field)
        elif kind in ("date", "datetime") and isinstance(value, str):
            parse_time(value)
    except (ValueError, OverflowError, InvalidOperation):
        values = {"value": shown(value), "type": item.type}
        how: Severity = "error" if kind in _COERCIONS else "warning"
        message = Message("check.literal_type", values)
        return [Problem(message, f"{path}.value", Message("check.literal_type_hint", values), how)]
    return []


def _number(value: Any, name: str) -> Decimal:
    if isinstance(value, bool | int | float | Decimal):
        return Decimal(str(int(value) if isinstance(value, bool) else value))
    number = Decimal(str(value).strip()) if isinstance(value, str) and len(value) < 400 else Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) >= 400:
        raise ValueError(value)
    return number


def _whole(value: Any, name: str) -> None:
    number = _number(value, name)
    if number != number.to_integral_value():
        raise ValueError(value)


def _truth(value: Any, name: str) -> None:
    if not isinstance(value, bool) and str(value).strip().lower() not in TRUTHS:
        raise ValueError(value)


_COERCIONS: dict[str, Callable[[Any, str], Any]] = {"int": _whole, "float": _number, "bool": _truth}


def _check_function(function: Function, path: str) -> list[Problem]:
    """Constants of an SQL expression that can't be right: regular expressions, JSON paths, formats of times."""
    found: list[Problem] = []
    for call in calls(function.tree):
        second = call.args[1] if len(call.args) > 1 else None
        if not isinstance(second, Const):
            continue
        text = second.value
        if call.name in ("/", "%", "MOD", "DIV") and text == 0:
            found.append(error("check.division", path, "check.division_hint", value=shown(function.text)))
        elif call.name in ("DATE_FORMAT", "STR_TO_DATE", "TIME_FORMAT") and isinstance(text, str) and "%" not in text:
            hint_ = Message("check.time_format_hint")
            found.append(warning("check.time_format", path, hint_, value=shown(text)))
        elif call.name in ("JSON_EXTRACT", "JSON_VALUE", "JSON_LENGTH") and isinstance(text, str) and text[:1] != "$":
            found.append(error("check.json_path", path, "check.json_path_hint", value=shown(text)))
        elif call.name in ("REGEXP", "REGEXP_REPLACE", "REGEXP_SUBSTR", "REGEXP_INSTR") and isinstance(text, str):
            try:
                compiled_pattern(text)
            except BadPattern as bad:
                said = str(bad) or Message("sql.slow_pattern")
                found.append(error("check.regex", path, "check.regex_hint", value=shown(text), said=said))
    return found
