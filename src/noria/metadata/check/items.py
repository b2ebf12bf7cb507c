"""Items of a request: how they hang together, what each one says by itself."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.check.findings import error, nearest_hint, warning
from noria.metadata.documents import (
    MOST_ANCESTORS,
    Item,
    Metadata,
    ancestors,
    parents_of,
)
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expressions import (
    Expression,
    Literal,
    atoms,
    parse,
    unknown_format,
)
from noria.metadata.parsers import parser_problem
from noria.metadata.plan import Plan
from noria.metadata.validation import nearest, shown

ITEM_TYPES = ("string", "int", "float", "bool", "boolean", "object", "array", "date", "datetime", "timestamp")


def items_with_paths(items: list[Item] | None, path: str) -> Iterator[tuple[Item, str]]:
    """Every item with its JSON path, children after their parent."""
    for i, item in enumerate(items or []):
        here = f"{path}[{i}]"
        yield item, here
        yield from items_with_paths(item.children, f"{here}.children")


def check_tree(items: list[Item], base: str) -> list[Problem]:
    """How items hang together: children that nothing reaches, fields that occur twice."""
    found: list[Problem] = []
    parents = parents_of(items)
    for i, item in enumerate(items):
        path = f"{base}[{i}]"
        parent = parents[i]
        if item.parent and parent is None:
            hint = nearest_hint(item.parent, [one.field for one in items if one is not item])
            found.append(warning("check.no_parent", f"{path}.parent", hint, parent=shown(item.parent)))
        if item.field.count(".") > MOST_ANCESTORS or "" in item.field.split("."):
            values = {"field": shown(item.field), "most": MOST_ANCESTORS}
            found.append(error("check.field", f"{path}.field", "check.field_hint", **values))
        if parent is not None and parents[parent] == i:
            hint = Message("check.own_parent_hint")
            found.append(warning("check.own_parent", f"{path}.parent", hint, parent=shown(item.parent)))
        elif parent is not None and ancestors(i, parents) > MOST_ANCESTORS:
            values = {"most": MOST_ANCESTORS, "parent": shown(item.parent)}
            found.append(error("check.too_many_parents", f"{path}.parent", "check.own_parent_hint", **values))
        if item.children and item.type != "array" and item.value not in (None, ""):
            found.append(warning("check.value_and_children", f"{path}.value", Message("check.value_and_children_hint")))
        if item.children:
            if item.type not in (None, "object", "array", "string"):
                hint = Message("check.children_type_hint")
                found.append(warning("check.children_type", f"{path}.children", hint, type=shown(item.type)))
            found += _check_nested(item.children, f"{path}.children", item.field)
    return found + _check_duplicates(items, base)


def _check_nested(items: list[Item], base: str, parent: str) -> list[Problem]:
    """Children repeat their parent's field in `parent`; anything else there is as in a flat list."""
    inner = [msgspec.structs.replace(item, parent=None) if item.parent == parent else item for item in items]
    return check_tree(inner, base)


def _check_duplicates(items: list[Item], base: str) -> list[Problem]:
    found: list[Problem] = []
    first: dict[tuple[str | None, str], int] = {}
    for i, item in enumerate(items):
        key = (item.parent or None, item.field)
        if key in first:
            values = {"field": item.field, "first": f"{base}[{first[key]}]"}
            found.append(warning("check.duplicate", f"{base}[{i}].field", Message("check.duplicate_hint"), **values))
        first.setdefault(key, i)
    return found


def check_both_lists(metadata: Metadata, base: str) -> list[Problem]:
    """Fields that are in `request` as well as in `otherRequest`, which make one body."""
    own = {item.field: i for i, item in enumerate(metadata.request or []) if not item.parent}
    return [
        warning(
            "check.duplicate",
            f"{base}.otherRequest[{i}].field",
            Message("check.duplicate_hint"),
            field=item.field,
            first=f"{base}.request[{own[item.field]}]",
        )
        for i, item in enumerate(metadata.otherRequest or [])
        if item.field in own and not item.parent
    ]


def parsed(item: Item, path: str, plan: Plan) -> tuple[Expression | None, list[Problem]]:
    """An item's expression, and what is wrong with the item itself."""
    found: list[Problem] = []
    if item.type is not None and item.type not in ITEM_TYPES:
        message, hint = Message("check.item_type", {"value": shown(item.type)}), nearest_hint(item.type, ITEM_TYPES)
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
        found.append(warning("check.required", f"{path}.value", Message("check.required_hint"), **values))
    try:
        expression = parse(item.value)
    except NoriaError as malformed:
        return None, [*found, Problem(malformed.message, f"{path}.value", malformed.hint)]
    for atom in atoms(expression):
        hint_ = unknown_format(atom.format)
        if hint_ is not None:
            message = Message("check.unknown_format", {"format": atom.format})
            found.append(Problem(message, f"{path}.value", hint_, "warning" if plan.options.lenient else "error"))
    if isinstance(expression, Literal):
        found += check_literal(item, expression.value, path)
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
            Problem(message, f"{path}.direction", nearest_hint(item.mapping.direction, ("positive", "reverse")))
        )
    return found


def check_literal(item: Item, value: Any, path: str) -> list[Problem]:
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
                error(
                    "check.literal_type",
                    f"{path}.value",
                    "check.literal_type_hint",
                    value=shown(value),
                    type=item.type,
                )
            ]
    return []
