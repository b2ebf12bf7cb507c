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
from noria.metadata.documents import (
    MOST_ANCESTORS,
    NOT_YET,
    FilterCondition,
    Item,
    Metadata,
    ancestors,
    parents_of,
    tree_of,
)
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expressions import (
    MACRO_NAMES,
    Expression,
    Literal,
    Lookup,
    Reference,
    atoms,
    parse,
    parts_of,
    unknown_format,
)
from noria.metadata.formats import WITHOUT_VALUE, format_problem, operator_problem
from noria.metadata.parsers import parser_problem
from noria.metadata.plan import Plan
from noria.metadata.times import duration, start_of, zone
from noria.metadata.validation import nearest, shown

ITEM_TYPES = ("string", "int", "float", "bool", "boolean", "object", "array", "date", "datetime", "timestamp")
OPERATIONS = ("batchArraySave", "merge")
CALCULATIONS = ("$sum", "$avg", "$min", "$max", "$push", "$addToSet", "$first", "$last")
_MACRO_LIKE = re.compile(r"[A-Z]{2,}(_[A-Z0-9]+)+$")
_SINGLE_BRACES = re.compile(r"(?<!\{)\{\s*[\w.]+\s*\}(?!\})")


def check_plan(plan: Plan, others: Iterable[Plan]) -> list[Problem]:
    """Every problem of a plan's language, schedule and options. `others` are the plans it may look into."""
    found: list[Problem] = []
    found += _check_source(plan)
    found += _check_target(plan)
    known = [plan, *(other for other in others if other.key != plan.key)]
    found += _check_lookups(plan, known)
    strategy = plan.target.metadata.callBackStrategy or {}
    taker = strategy.get("strategyId")
    if isinstance(taker, str) and taker.strip() and not any(other.answers_to(taker) for other in known):
        path = f"{_base(plan, 'target')}.callBackStrategy.strategyId"
        found.append(_error("check.no_taker", path, "check.callback_hint", plan=shown(taker)))
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


def _base(plan: Plan, side: str) -> str:
    return f"$.{side}.metadata" if getattr(plan, side).connection else "$"


def _check_source(plan: Plan) -> list[Problem]:
    metadata = plan.source.metadata
    base = _base(plan, "source")
    found = _not_yet(metadata, base)
    if not metadata.id_paths() and plan.source.document:
        found.append(_error("check.no_id", f"{base}.id", "check.no_id_hint"))
    for path in [*metadata.id_paths(), metadata.number or ""]:
        if "{{" in path:
            key = "id" if path in metadata.id_paths() else "number"
            found.append(_error("check.id_braces", f"{base}.{key}", "check.id_braces_hint", value=shown(path)))
    remedy = metadata.omissionRemedy
    lists = [(key, getattr(metadata, key) or []) for key in ("request", "otherRequest")]
    if remedy is not None:
        found += check_cron(remedy.crontab, f"{base}.omissionRemedy.crontab")
        lists.append(("omissionRemedy.takeOverRequest", remedy.takeOverRequest or []))
    for key, items in lists:
        found += _check_tree(items, f"{base}.{key}")
        for item, path in items_with_paths(items, f"{base}.{key}"):
            expression, problems = _parsed(item, path, plan)
            found += problems
            if expression is None:
                continue
            if any(isinstance(one, Lookup) for one in parts_of(expression)):
                found.append(_error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint"))
                continue
            for atom in atoms(expression):
                if isinstance(atom, Reference):
                    found.append(_unknown_macro(atom, f"{path}.value"))
    found += _check_both_lists(metadata, base)
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
                found.append(_error("check.condition_value", f"{path}.value", "check.condition_value_hint", **values))
            try:
                expression = parse(one.value)
            except NoriaError as error:
                found.append(Problem(error.message, f"{path}.value", error.hint))
                continue
            if any(isinstance(part, Lookup) for part in parts_of(expression)):
                found.append(_error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint"))
    for i, entry in enumerate(metadata.formatResponse or []):
        problem = format_problem(entry.format)
        if problem is not None:
            found.append(Problem(problem[0], f"{base}.formatResponse[{i}].format", problem[1]))
    return found


def _check_target(plan: Plan) -> list[Problem]:
    metadata = plan.target.metadata
    base = _base(plan, "target")
    found = _not_yet(metadata, base)
    fields = _declared(plan)
    for key in ("request", "otherRequest"):
        items = getattr(metadata, key) or []
        found += _check_tree(items, f"{base}.{key}")
        for item, path in items_with_paths(items, f"{base}.{key}"):
            expression, problems = _parsed(item, path, plan)
            found += problems
            if expression is not None:
                found += _check_references(item, expression, path, fields)
            elif item.type == "array" and isinstance(item.value, str):
                found += _check_array(item, path, fields)
    found += _check_both_lists(metadata, base)
    return found + _check_operation(metadata, base) + _check_callback(metadata, base)


def _check_callback(metadata: Metadata, base: str) -> list[Problem]:
    """`callBackStrategy`; whether the plan that it names exists is known where all plans are."""
    strategy = metadata.callBackStrategy
    if not strategy:
        return []
    path = f"{base}.callBackStrategy"
    found: list[Problem] = []
    if not isinstance(strategy.get("strategyId"), str) or not strategy["strategyId"].strip():
        found.append(_error("check.callback_plan", f"{path}.strategyId", "check.callback_hint"))
    for name, value in strategy.items():
        try:
            expression = parse(value)
        except NoriaError as error:
            found.append(Problem(error.message, f"{path}.{name}", error.hint))
            continue
        if any(isinstance(one, Lookup) for one in parts_of(expression)):
            found.append(_error("check.lookup_in_source", f"{path}.{name}", "check.lookup_in_source_hint"))
    return found


def _check_operation(metadata: Metadata, base: str) -> list[Problem]:
    """`operation` and `groupCalculate`."""
    found: list[Problem] = []
    operation = metadata.operation
    if operation is not None:
        path = f"{base}.operation"
        if operation.method not in OPERATIONS:
            message = Message("check.operation", {"method": shown(operation.method)})
            found.append(Problem(message, f"{path}.method", _nearest_hint(operation.method, OPERATIONS)))
        if operation.method == "merge" and not operation.field:
            found.append(_error("check.merge_field", f"{path}.field", "check.merge_field_hint"))
        found += _check_count(operation.rows, f"{path}.rows")
    group = metadata.groupCalculate
    if group is not None:
        path = f"{base}.groupCalculate"
        found += _check_count(group.bodyMaxLine, f"{path}.bodyMaxLine")
        for name, how in (group.calculate or {}).items():
            if how not in CALCULATIONS:
                message = Message("check.calculation", {"value": shown(how)})
                found.append(Problem(message, f"{path}.calculate.{name}", _nearest_hint(how, CALCULATIONS)))
    return found


def _check_count(value: Any, path: str) -> list[Problem]:
    if value in (None, "") or (str(value).isdecimal() and int(value) > 0):
        return []
    return [_error("check.count", path, "check.count_hint", value=shown(value))]


def _check_tree(items: list[Item], base: str) -> list[Problem]:
    """How items hang together: children that nothing reaches, fields that occur twice."""
    found: list[Problem] = []
    parents = parents_of(items)
    for i, item in enumerate(items):
        path = f"{base}[{i}]"
        parent = parents[i]
        if item.parent and parent is None:
            hint = _nearest_hint(item.parent, [one.field for one in items if one is not item])
            found.append(_warning("check.no_parent", f"{path}.parent", hint, parent=shown(item.parent)))
        if item.field.count(".") > MOST_ANCESTORS or "" in item.field.split("."):
            values = {"field": shown(item.field), "most": MOST_ANCESTORS}
            found.append(_error("check.field", f"{path}.field", "check.field_hint", **values))
        if parent is not None and parents[parent] == i:
            hint = Message("check.own_parent_hint")
            found.append(_warning("check.own_parent", f"{path}.parent", hint, parent=shown(item.parent)))
        elif parent is not None and ancestors(i, parents) > MOST_ANCESTORS:
            values = {"most": MOST_ANCESTORS, "parent": shown(item.parent)}
            found.append(_error("check.too_many_parents", f"{path}.parent", "check.own_parent_hint", **values))
        if item.children and item.type != "array" and item.value not in (None, ""):
            found.append(
                _warning("check.value_and_children", f"{path}.value", Message("check.value_and_children_hint"))
            )
        if item.children:
            if item.type not in (None, "object", "array", "string"):
                hint = Message("check.children_type_hint")
                found.append(_warning("check.children_type", f"{path}.children", hint, type=shown(item.type)))
            found += _check_nested(item.children, f"{path}.children", item.field)
    return found + _check_duplicates(items, base)


def _check_nested(items: list[Item], base: str, parent: str) -> list[Problem]:
    """Children repeat their parent's field in `parent`; anything else there is as in a flat list."""
    inner = [msgspec.structs.replace(item, parent=None) if item.parent == parent else item for item in items]
    return _check_tree(inner, base)


def _check_duplicates(items: list[Item], base: str) -> list[Problem]:
    found: list[Problem] = []
    first: dict[tuple[str | None, str], int] = {}
    for i, item in enumerate(items):
        key = (item.parent or None, item.field)
        if key in first:
            values = {"field": item.field, "first": f"{base}[{first[key]}]"}
            found.append(_warning("check.duplicate", f"{base}[{i}].field", Message("check.duplicate_hint"), **values))
        first.setdefault(key, i)
    return found


def _check_both_lists(metadata: Metadata, base: str) -> list[Problem]:
    """Fields that are in `request` as well as in `otherRequest`, which make one body."""
    own = {item.field: i for i, item in enumerate(metadata.request or []) if not item.parent}
    return [
        _warning(
            "check.duplicate",
            f"{base}.otherRequest[{i}].field",
            Message("check.duplicate_hint"),
            field=item.field,
            first=f"{base}.request[{own[item.field]}]",
        )
        for i, item in enumerate(metadata.otherRequest or [])
        if item.field in own and not item.parent
    ]


def _parsed(item: Item, path: str, plan: Plan) -> tuple[Expression | None, list[Problem]]:
    """An item's expression, and what is wrong with the item itself."""
    found: list[Problem] = []
    if item.type is not None and item.type not in ITEM_TYPES:
        message, hint = Message("check.item_type", {"value": shown(item.type)}), _nearest_hint(item.type, ITEM_TYPES)
        found.append(Problem(message, f"{path}.type", hint, "warning"))
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
        found.append(_warning("check.required", f"{path}.value", Message("check.required_hint"), **values))
    try:
        expression = parse(item.value)
    except NoriaError as error:
        return None, [*found, Problem(error.message, f"{path}.value", error.hint)]
    for atom in atoms(expression):
        hint_ = unknown_format(atom.format)
        if hint_ is not None:
            message = Message("check.unknown_format", {"format": atom.format})
            found.append(Problem(message, f"{path}.value", hint_, "warning" if plan.options.lenient else "error"))
    if isinstance(expression, Literal):
        found += _check_literal(item, expression.value, path)
    return expression, found


def _check_map(item: Item, path: str, plan: Plan) -> list[Problem]:
    assert item.mapping is not None
    found: list[Problem] = []
    if item.mapping.target not in plan.maps:
        message = Message("check.no_map", {"name": shown(item.mapping.target)})
        meant = nearest(item.mapping.target, list(plan.maps))
        hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.no_map_hint")
        found.append(Problem(message, f"{path}.target", hint))
    if item.mapping.direction not in ("positive", "reverse"):
        message = Message("valid.not_a_choice", {"value": shown(item.mapping.direction)})
        found.append(
            Problem(message, f"{path}.direction", _nearest_hint(item.mapping.direction, ("positive", "reverse")))
        )
    return found


class _Fields:
    """The fields that a source declares, with their types, and whether others are likely too."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.certain = False

    def add(self, items: list[Item] | None, prefix: str = "") -> None:
        for item in items or []:
            path = prefix + item.field
            self.types.setdefault(path, item.type or "string")
            self.add(item.children, path + ".")

    def knows(self, path: str) -> bool:
        """Whether a path is declared, or leads into something of which the members aren't."""
        steps = [step for step in path.split(".") if not step.isdecimal()]
        for depth in range(len(steps), 0, -1):
            head = ".".join(steps[:depth])
            if head in self.types:
                return depth == len(steps) or not any(name.startswith(head + ".") for name in self.types)
        return False


def _declared(plan: Plan) -> _Fields:
    """What rows have according to `response`, with what the source's and the target's rules add."""
    metadata = plan.source.metadata
    fields = _Fields()
    fields.add(tree_of(metadata.response or []))
    fields.add(tree_of(metadata.otherResponse or []))
    fields.certain = bool(fields.types) and not metadata.autoFillResponse
    for entry in metadata.formatResponse or []:
        fields.types.setdefault(entry.new, "string")
    for array in metadata.beatFlat or []:
        for path, kind in list(fields.types.items()):
            if path.startswith(array + "."):
                fields.types.setdefault(path.replace(".", "_"), kind)
        if fields.types.get(array) == "array" and not any(one.startswith(array + ".") for one in fields.types):
            fields.certain = False
    target = plan.target.metadata
    for body in (target.operation and target.operation.bodyName, _body_name(target)):
        if body:
            fields.types[body] = "array"
    return fields


def _body_name(target: Metadata) -> str | None:
    group = target.groupCalculate
    return (group.targetBodyName or group.bodyName) if group is not None else None


def _check_references(item: Item, expression: Expression, path: str, fields: _Fields) -> list[Problem]:
    """References of an item: do the fields exist, and do their types fit the item's?"""
    found: list[Problem] = []
    for atom in atoms(expression):
        if not isinstance(atom, Reference) or fields.knows(atom.path):
            continue
        if _MACRO_LIKE.match(atom.path) and nearest(atom.path, list(MACRO_NAMES)):
            found.append(_unknown_macro(atom, f"{path}.value"))
        elif fields.certain:
            found.append(_unknown_field(atom.path, f"{path}.value", fields))
    if isinstance(expression, Reference):
        kind = fields.types.get(expression.path)
        plain = item.type in ("int", "float", "bool", "boolean", "date", "datetime", "timestamp")
        if kind in ("object", "array") and plain and item.parser is None:
            values = {"field": expression.path, "is": kind, "type": item.type}
            found.append(_error("check.type_conflict", f"{path}.type", "check.type_conflict_hint", **values))
    if isinstance(expression, Literal) and isinstance(expression.value, str) and item.type != "array":
        text = expression.value.strip()
        if text in fields.types and text != item.describe:
            values = {"value": shown(text), "right": "{{" + text + "}}"}
            found.append(
                _warning("check.no_braces", f"{path}.value", Message("check.no_braces_hint", values), **values)
            )
        elif _SINGLE_BRACES.search(text) and not text.startswith(("{", "[")):
            values = {"value": shown(text), "right": _SINGLE_BRACES.sub(lambda m: "{" + m[0] + "}", text)}
            found.append(
                _warning("check.no_braces", f"{path}.value", Message("check.no_braces_hint", values), **values)
            )
    if item.type == "array" and isinstance(item.value, str):
        found += _check_array(item, path, fields)
    return found


def _check_array(item: Item, path: str, fields: _Fields) -> list[Problem]:
    """The source array that an array item's value names."""
    name = item.value.strip().removeprefix("{{").removesuffix("}}").strip()
    if not name or not re.fullmatch(r"[\w.]+", name) or item.parser is not None:
        return []
    kind = fields.types.get(name)
    if kind is not None and kind not in ("array", "object", "string"):
        values = {"field": name, "is": kind, "type": "array"}
        return [_error("check.type_conflict", f"{path}.value", "check.type_conflict_hint", **values)]
    if kind is None and fields.certain and not fields.knows(name) and "{{" not in item.value:
        return [_unknown_field(name, f"{path}.value", fields)]
    return []


def _unknown_field(name: str, path: str, fields: _Fields) -> Problem:
    """A field that no response declares: a warning where another is spelled almost like it, else a hint, because
    what isn't declared may still come."""
    meant = nearest(name, list(fields.types))
    hint = (
        Message("valid.did_you_mean", {"name": "{{" + meant + "}}"}) if meant else Message("check.unknown_field_hint")
    )
    return Problem(Message("check.unknown_field", {"field": name}), path, hint, "warning" if meant else "hint")


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
            for one in parts_of(expression):
                if isinstance(one, Lookup):
                    yield one, f"{path}.value"


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


def _nearest_hint(name: str, known: Iterable[str]) -> Message:
    """The name that was meant, or all there are."""
    choices = list(known)
    meant = nearest(name, choices)
    if meant:
        return Message("valid.did_you_mean", {"name": meant})
    return Message("valid.choices", {"choices": ", ".join(choices) or "-"})


def _warning(text: str, path: str, hint: Message, **values: Any) -> Problem:
    return Problem(Message(text, values), path, hint, "warning")


def _error(text: str, path: str, hint: str | None = None, **values: Any) -> Problem:
    return Problem(Message(text, values), path, Message(hint, values) if hint else None)
