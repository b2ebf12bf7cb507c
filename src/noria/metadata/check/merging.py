"""What a target does with several records, and with what it was answered: `operation`, `groupCalculate`,
`callBackStrategy`."""

from __future__ import annotations

from typing import Any

from noria.messages import Message
from noria.metadata.check.fields import Fields
from noria.metadata.check.findings import error, nearest_hint, warning
from noria.metadata.check.items import check_formats
from noria.metadata.documents import Metadata
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expression_tree import Lookup, parts_of
from noria.metadata.expressions import parse
from noria.metadata.plan import Plan
from noria.metadata.validation import nearest, shown

OPERATIONS = ("batchArraySave", "merge")
CALCULATIONS = ("$sum", "$avg", "$min", "$max", "$push", "$addToSet", "$first", "$last")


def check_callback(plan: Plan, base: str) -> list[Problem]:
    """`callBackStrategy`; whether the plan that it names exists is known where all plans are."""
    strategy = plan.target.metadata.callBackStrategy
    if not strategy:
        return []
    path = f"{base}.callBackStrategy"
    found: list[Problem] = []
    if not isinstance(strategy.get("strategyId"), str) or not strategy["strategyId"].strip():
        found.append(error("check.callback_plan", f"{path}.strategyId", "check.callback_hint"))
    for name, value in strategy.items():
        try:
            expression = parse(value)
        except NoriaError as malformed:
            found.append(Problem(malformed.message, f"{path}.{name}", malformed.hint))
            continue
        if any(isinstance(one, Lookup) for one in parts_of(expression)):
            values = {"value": shown(value)}
            found.append(error("check.lookup_here", f"{path}.{name}", "check.lookup_here_hint", **values))
        found += check_formats(expression, f"{path}.{name}", plan)
    return found


def check_operation(metadata: Metadata, base: str, fields: Fields) -> list[Problem]:
    """`operation` and `groupCalculate`."""
    found: list[Problem] = []
    operation = metadata.operation
    if operation is not None:
        path = f"{base}.operation"
        if operation.method not in OPERATIONS:
            message = Message("check.operation", {"method": shown(operation.method)})
            found.append(Problem(message, f"{path}.method", nearest_hint(operation.method, OPERATIONS)))
        if operation.method == "merge" and not operation.field:
            found.append(error("check.merge_field", f"{path}.field", "check.merge_field_hint"))
        if operation.method == "merge":
            for key in ("field", "header", "body", "bodySum"):
                given = getattr(operation, key)
                names = given.split(",") if isinstance(given, str) else given or []
                found += _check_columns([name.strip() for name in names if name.strip()], f"{path}.{key}", fields)
            if metadata.groupCalculate is not None:
                found.append(warning("check.two_groupings", path, Message("check.two_groupings_hint")))
        found += _check_count(operation.rows, f"{path}.rows")
    group = metadata.groupCalculate
    if group is not None:
        path = f"{base}.groupCalculate"
        found += _check_count(group.bodyMaxLine, f"{path}.bodyMaxLine")
        for key, columns in (
            ("headerGroup", group.headerGroup),
            ("bodyGroup", group.bodyGroup or []),
            ("calculate", list(group.calculate or {})),
        ):
            found += _check_columns(columns, f"{path}.{key}", fields)
        for name, how in (group.calculate or {}).items():
            if how not in CALCULATIONS:
                message = Message("check.calculation", {"value": shown(how)})
                found.append(Problem(message, f"{path}.calculate.{name}", nearest_hint(how, CALCULATIONS)))
    return found


def _check_count(value: Any, path: str) -> list[Problem]:
    text = str(value)
    if value in (None, "") or (text.isdecimal() and len(text) < 10 and int(text) > 0):
        return []
    return [error("check.count", path, "check.count_hint", value=shown(value))]


def _check_columns(names: list[str], path: str, fields: Fields) -> list[Problem]:
    """Columns that records are grouped by, or that are put into documents."""
    found: list[Problem] = []
    for name in names:
        if not name.strip():
            found.append(error("check.column_empty", path, "check.column_empty_hint"))
        elif "{" in name:
            found.append(error("check.id_braces", path, "check.id_braces_hint", value=shown(name)))
        elif fields.certain and not fields.knows(name):
            meant = nearest(name, list(fields.types))
            hint_ = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.unknown_field_hint")
            message = Message("check.unknown_field", {"field": name})
            found.append(Problem(message, path, hint_, "warning" if meant else "hint"))
    return found
