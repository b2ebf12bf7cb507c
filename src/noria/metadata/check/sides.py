"""A source's and a target's document: requests, rules of rows, grouping, write-back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cronsim import CronSim, CronSimError

from noria.messages import Message
from noria.metadata.check.fields import check_array, check_references, fields_for, unknown_macro
from noria.metadata.check.findings import error, nearest_hint
from noria.metadata.check.items import check_both_lists, check_tree, items_with_paths, parsed
from noria.metadata.documents import (
    NOT_YET,
    FilterCondition,
    Metadata,
)
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expressions import (
    Lookup,
    Reference,
    atoms,
    parse,
    parts_of,
)
from noria.metadata.formats import WITHOUT_VALUE, format_problem, operator_problem
from noria.metadata.plan import Plan
from noria.metadata.validation import shown

OPERATIONS = ("batchArraySave", "merge")
CALCULATIONS = ("$sum", "$avg", "$min", "$max", "$push", "$addToSet", "$first", "$last")


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
        return [error("check.cron", path, "check.cron_hint", value=shown(text))]
    return []


_EPOCH = datetime(2020, 1, 1)


def base_of(plan: Plan, side: str) -> str:
    """The JSON path of a side's document; a document that stands alone is the root."""
    return f"$.{side}.metadata" if getattr(plan, side).connection else "$"


def check_source(plan: Plan) -> list[Problem]:
    """Every problem of a source's document."""
    metadata = plan.source.metadata
    base = base_of(plan, "source")
    found = _not_yet(metadata, base)
    if not metadata.id_paths() and plan.source.document:
        found.append(error("check.no_id", f"{base}.id", "check.no_id_hint"))
    for path in [*metadata.id_paths(), metadata.number or ""]:
        if "{{" in path:
            key = "id" if path in metadata.id_paths() else "number"
            found.append(error("check.id_braces", f"{base}.{key}", "check.id_braces_hint", value=shown(path)))
    remedy = metadata.omissionRemedy
    lists = [(key, getattr(metadata, key) or []) for key in ("request", "otherRequest")]
    if remedy is not None:
        found += check_cron(remedy.crontab, f"{base}.omissionRemedy.crontab")
        lists.append(("omissionRemedy.takeOverRequest", remedy.takeOverRequest or []))
    for key, items in lists:
        found += check_tree(items, f"{base}.{key}")
        for item, path in items_with_paths(items, f"{base}.{key}"):
            expression, problems = parsed(item, path, plan)
            found += problems
            if expression is None:
                continue
            if any(isinstance(one, Lookup) for one in parts_of(expression)):
                found.append(error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint"))
                continue
            for atom in atoms(expression):
                if isinstance(atom, Reference):
                    found.append(unknown_macro(atom, f"{path}.value"))
    found += check_both_lists(metadata, base)
    return found + _check_rules(metadata, base)


def _check_rules(metadata: Metadata, base: str) -> list[Problem]:
    """`condition` and `formatResponse`."""
    found: list[Problem] = []
    for i, group in enumerate(metadata.condition or []):
        alone = isinstance(group, FilterCondition)
        for j, one in enumerate([group] if isinstance(group, FilterCondition) else group):
            path = f"{base}.condition[{i}]" if alone else f"{base}.condition[{i}][{j}]"
            problem = operator_problem(one.logic)
            if problem is not None:
                found.append(Problem(problem[0], f"{path}.logic", problem[1]))
            elif one.value is None and one.logic.lower() not in WITHOUT_VALUE:
                values = {"logic": one.logic}
                found.append(error("check.condition_value", f"{path}.value", "check.condition_value_hint", **values))
            try:
                expression = parse(one.value)
            except NoriaError as malformed:
                found.append(Problem(malformed.message, f"{path}.value", malformed.hint))
                continue
            if any(isinstance(part, Lookup) for part in parts_of(expression)):
                found.append(error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint"))
    for i, entry in enumerate(metadata.formatResponse or []):
        problem = format_problem(entry.format)
        if problem is not None:
            found.append(Problem(problem[0], f"{base}.formatResponse[{i}].format", problem[1]))
    return found


def check_target(plan: Plan) -> list[Problem]:
    """Every problem of a target's document."""
    metadata = plan.target.metadata
    base = base_of(plan, "target")
    found = _not_yet(metadata, base)
    fields = fields_for(plan)
    for key in ("request", "otherRequest"):
        items = getattr(metadata, key) or []
        found += check_tree(items, f"{base}.{key}")
        for item, path in items_with_paths(items, f"{base}.{key}"):
            expression, problems = parsed(item, path, plan)
            found += problems
            if expression is not None:
                found += check_references(item, expression, path, fields)
            elif item.type == "array" and isinstance(item.value, str):
                found += check_array(item, path, fields)
    found += check_both_lists(metadata, base)
    return found + _check_operation(metadata, base) + _check_callback(metadata, base)


def _check_callback(metadata: Metadata, base: str) -> list[Problem]:
    """`callBackStrategy`; whether the plan that it names exists is known where all plans are."""
    strategy = metadata.callBackStrategy
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
            found.append(error("check.lookup_in_source", f"{path}.{name}", "check.lookup_in_source_hint"))
    return found


def _check_operation(metadata: Metadata, base: str) -> list[Problem]:
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
        found += _check_count(operation.rows, f"{path}.rows")
    group = metadata.groupCalculate
    if group is not None:
        path = f"{base}.groupCalculate"
        found += _check_count(group.bodyMaxLine, f"{path}.bodyMaxLine")
        for name, how in (group.calculate or {}).items():
            if how not in CALCULATIONS:
                message = Message("check.calculation", {"value": shown(how)})
                found.append(Problem(message, f"{path}.calculate.{name}", nearest_hint(how, CALCULATIONS)))
    return found


def _check_count(value: Any, path: str) -> list[Problem]:
    if value in (None, "") or (str(value).isdecimal() and int(value) > 0):
        return []
    return [error("check.count", path, "check.count_hint", value=shown(value))]


def _not_yet(metadata: Metadata, base: str) -> list[Problem]:
    """Constructs that would change the result and are not carried out yet: refused rather than ignored."""
    return [
        error("check.not_yet", f"{base}.{key}", "check.not_yet_hint", key=key)
        for key in NOT_YET
        if getattr(metadata, key)
    ]
