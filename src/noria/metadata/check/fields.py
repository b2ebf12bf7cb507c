"""What a target refers to: the fields that a source declares, their types, system macros."""

from __future__ import annotations

import re

from noria.messages import Message
from noria.metadata.check.findings import error, warning
from noria.metadata.check.spelling import macro_meant, no_braces, reference_meant
from noria.metadata.documents import Item, Metadata, tree_of
from noria.metadata.errors import Problem
from noria.metadata.expression_tree import Expression, Function, Literal, Reference, atoms
from noria.metadata.expressions import MACRO_NAMES
from noria.metadata.functions import AGGREGATES
from noria.metadata.items import array_path, takes_many
from noria.metadata.kinds import kind_of
from noria.metadata.plan import Plan
from noria.metadata.sql import Bind, calls, nodes
from noria.metadata.times import is_format
from noria.metadata.validation import nearest


class Fields:
    """The fields that a source declares, with their kinds, and whether others are likely too."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.certain = False

    def add(self, items: list[Item] | None, prefix: str = "") -> None:
        """Declared fields, their members under dotted names."""
        for item in items or []:
            path = prefix + item.field
            self.types.setdefault(path, item.kind or "string")
            self.add(item.children, path + ".")

    def knows(self, path: str) -> bool:
        """Whether a path is declared, leads into something of which the members aren't, or is another name of a
        flattened field (`items.sku`, `items.items_sku`)."""
        array, _, name = path.rpartition(".")
        flat = array.replace(".", "_") + "_"
        if path.replace(".", "_") in self.types or (name.startswith(flat) and name in self.types):
            return True
        steps = [step for step in path.split(".") if not step.isdecimal()]
        for depth in range(len(steps), 0, -1):
            head = ".".join(steps[:depth])
            if head in self.types:
                if depth == len(steps):
                    return True
                members = any(name.startswith(head + ".") for name in self.types)
                return not members and self.types[head] in ("array", "object", "string")
        return False

    def lines(self, path: str, arrays: tuple[str, ...]) -> str | None:
        """The declared array into whose lines a path leads, from a place that is in the lines of `arrays`."""
        steps = path.split(".")
        for depth in range(1, len(steps)):
            head = ".".join(steps[:depth])
            inside = any(head == one or one.endswith("." + head) or head.endswith("." + one) for one in arrays if one)
            if self.types.get(head) == "array" and not inside and not steps[depth].isdecimal():
                return head
        return None


def source_fields(metadata: Metadata) -> Fields:
    """What a source's rows have according to `response`, with what its rules add."""
    fields = Fields()
    fields.add(tree_of(metadata.response or []))
    fields.add(tree_of(metadata.otherResponse or []))
    fields.certain = bool(fields.types) and not metadata.autoFillResponse
    for entry in metadata.formats():
        fields.types.setdefault(entry.new, "string")
    for array in metadata.beatFlat or []:
        flat = array.replace(".", "_")
        for path, kind in list(fields.types.items()):
            if path.startswith(array + "."):
                fields.types.setdefault(path.replace(".", "_"), kind)
        if fields.types.get(array) == "array":
            if not any(one.startswith(array + ".") for one in fields.types):
                fields.certain = False
            fields.types[array] = "object"
        if flat != array and fields.types.get(flat) == "array":
            fields.types[flat] = "object"
    return fields


def fields_for(plan: Plan) -> Fields:
    """What a target may refer to: the source's rows, with the lines that grouping makes."""
    fields = source_fields(plan.source.metadata)
    target = plan.target.metadata
    for body in (target.operation and target.operation.bodyName, _body_name(target)):
        if body:
            fields.types[body] = "array"
    return fields


def _body_name(target: Metadata) -> str | None:
    group = target.groupCalculate
    return (group.targetBodyName or group.bodyName) if group is not None else None


def check_references(
    item: Item, expression: Expression, path: str, fields: Fields, arrays: tuple[str, ...]
) -> list[Problem]:
    """References of an item: do the fields exist, can they be reached, do their types fit the item's? `arrays`: the
    source arrays whose lines the item is in."""
    found: list[Problem] = []
    summed = _summed(expression) if isinstance(expression, Function) else set()
    for atom in atoms(expression):
        if not isinstance(atom, Reference):
            continue
        array = fields.lines(atom.path, arrays)
        if array is not None and atom not in summed and not takes_many(item):
            values = {"field": atom.path, "array": array}
            hint_ = Message("check.into_lines_hint", values)
            found.append(warning("check.into_lines", f"{path}.value", hint_, **values))
        elif not fields.knows(atom.path):
            found += check_unknown(atom, f"{path}.value", fields)
    if isinstance(expression, Reference):
        kind = fields.types.get(expression.path)
        plain = kind_of(item.type) in ("int", "float", "bool", "date", "datetime", "timestamp")
        if kind in ("object", "array") and item.parser is None and (plain or expression.format is not None):
            values = {"field": expression.path, "is": kind, "type": expression.format or item.type or ""}
            found.append(error("check.type_conflict", f"{path}.type", "check.type_conflict_hint", **values))
    if isinstance(expression, Literal) and isinstance(expression.value, str) and item.kind != "array":
        text = expression.value.strip()
        name, bar, fmt = (part.strip() for part in text.partition("|"))
        declared = name in fields.types and (not bar or is_format(fmt))
        if declared and text != item.describe:
            found.append(no_braces(text, "{{" + text + "}}", f"{path}.value"))
    if item.kind == "array" and isinstance(item.value, str):
        found += check_array(item, path, fields)
    return found


def _summed(function: Function) -> set[Reference]:
    """The references that an aggregate goes over."""
    found = set()
    for call in calls(function.tree):
        if call.name in AGGREGATES:
            for node in nodes(call):
                operand = function.operands[node.number].value if isinstance(node, Bind) else None
                if isinstance(operand, Reference):
                    found.add(operand)
    return found


def check_unknown(atom: Reference, path: str, fields: Fields) -> list[Problem]:
    """A name that is no declared field: a macro, a field in another spelling, or one that may still come."""
    if macro_meant(atom.path):
        return [unknown_macro(atom, path)]
    right = reference_meant(atom)
    if right is not None:
        return [no_braces("{{" + atom.path + "}}", right, path)]
    return [_unknown_field(atom.path, path, fields)] if fields.certain else []


def check_array(item: Item, path: str, fields: Fields) -> list[Problem]:
    """The source array that an array item's value names."""
    name = array_path(item)
    if not name or not re.fullmatch(r"[\w.]+", name) or item.parser is not None:
        return []
    kind = fields.types.get(name)
    if kind is not None and kind not in ("array", "object", "string"):
        values = {"field": name, "is": kind, "type": "array"}
        return [error("check.type_conflict", f"{path}.value", "check.type_conflict_hint", **values)]
    if kind is None and fields.certain and not fields.knows(name):
        return [_unknown_field(name, f"{path}.value", fields, braces=False)]
    return []


def _unknown_field(name: str, path: str, fields: Fields, *, braces: bool = True) -> Problem:
    """A field that no response declares: a warning where another is spelled almost like it, else a hint, because
    what isn't declared may still come."""
    head, _, last = name.rpartition(".")
    if head in fields.types and is_format(last):
        meant: str | None = f"{head}|{last}"
    else:
        meant = nearest(name, list(fields.types))
    if meant is None:
        hint_ = Message("check.unknown_field_hint")
    else:
        hint_ = Message("valid.did_you_mean", {"name": "{{" + meant + "}}" if braces else meant})
    return Problem(Message("check.unknown_field", {"field": name}), path, hint_, "warning" if meant else "hint")


def unknown_macro(atom: Reference, path: str) -> Problem:
    """A macro that there isn't, with the one that is meant."""
    meant = macro_meant(atom.path) or nearest(atom.path, list(MACRO_NAMES))
    hint_ = (
        Message("valid.did_you_mean", {"name": "{{" + meant + "}}"})
        if meant
        else Message("valid.choices", {"choices": ", ".join(MACRO_NAMES)})
    )
    return Problem(Message("check.unknown_macro", {"name": atom.path}), path, hint_)
