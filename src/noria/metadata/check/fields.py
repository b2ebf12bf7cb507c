"""What a target refers to: the fields that a source declares, their types, system macros."""

from __future__ import annotations

import re

from noria.messages import Message
from noria.metadata.check.findings import error, warning
from noria.metadata.documents import (
    Item,
    Metadata,
    tree_of,
)
from noria.metadata.errors import Problem
from noria.metadata.expressions import (
    MACRO_NAMES,
    Expression,
    Literal,
    Reference,
    atoms,
)
from noria.metadata.plan import Plan
from noria.metadata.validation import nearest, shown

_MACRO_LIKE = re.compile(r"[A-Z]{2,}(_[A-Z0-9]+)+$")
_SINGLE_BRACES = re.compile(r"(?<!\{)\{\s*[\w.]+\s*\}(?!\})")


class Fields:
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


def source_fields(metadata: Metadata) -> Fields:
    """What a source's rows have according to `response`, with what its rules add."""
    fields = Fields()
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


def check_references(item: Item, expression: Expression, path: str, fields: Fields) -> list[Problem]:
    """References of an item: do the fields exist, and do their types fit the item's?"""
    found: list[Problem] = []
    for atom in atoms(expression):
        if not isinstance(atom, Reference) or fields.knows(atom.path):
            continue
        if _MACRO_LIKE.match(atom.path) and nearest(atom.path, list(MACRO_NAMES)):
            found.append(unknown_macro(atom, f"{path}.value"))
        elif fields.certain:
            found.append(_unknown_field(atom.path, f"{path}.value", fields))
    if isinstance(expression, Reference):
        kind = fields.types.get(expression.path)
        plain = item.type in ("int", "float", "bool", "boolean", "date", "datetime", "timestamp")
        if kind in ("object", "array") and plain and item.parser is None:
            values = {"field": expression.path, "is": kind, "type": item.type}
            found.append(error("check.type_conflict", f"{path}.type", "check.type_conflict_hint", **values))
    if isinstance(expression, Literal) and isinstance(expression.value, str) and item.type != "array":
        text = expression.value.strip()
        if text in fields.types and text != item.describe:
            values = {"value": shown(text), "right": "{{" + text + "}}"}
            found.append(warning("check.no_braces", f"{path}.value", Message("check.no_braces_hint", values), **values))
        elif _SINGLE_BRACES.search(text) and not text.startswith(("{", "[")):
            values = {"value": shown(text), "right": _SINGLE_BRACES.sub(lambda m: "{" + m[0] + "}", text)}
            found.append(warning("check.no_braces", f"{path}.value", Message("check.no_braces_hint", values), **values))
    if item.type == "array" and isinstance(item.value, str):
        found += check_array(item, path, fields)
    return found


def check_array(item: Item, path: str, fields: Fields) -> list[Problem]:
    """The source array that an array item's value names."""
    name = item.value.strip().removeprefix("{{").removesuffix("}}").strip()
    if not name or not re.fullmatch(r"[\w.]+", name) or item.parser is not None:
        return []
    kind = fields.types.get(name)
    if kind is not None and kind not in ("array", "object", "string"):
        values = {"field": name, "is": kind, "type": "array"}
        return [error("check.type_conflict", f"{path}.value", "check.type_conflict_hint", **values)]
    if kind is None and fields.certain and not fields.knows(name) and "{{" not in item.value:
        return [_unknown_field(name, f"{path}.value", fields)]
    return []


def _unknown_field(name: str, path: str, fields: Fields) -> Problem:
    """A field that no response declares: a warning where another is spelled almost like it, else a hint, because
    what isn't declared may still come."""
    meant = nearest(name, list(fields.types))
    hint = (
        Message("valid.did_you_mean", {"name": "{{" + meant + "}}"}) if meant else Message("check.unknown_field_hint")
    )
    return Problem(Message("check.unknown_field", {"field": name}), path, hint, "warning" if meant else "hint")


def unknown_macro(atom: Reference, path: str) -> Problem:
    meant = nearest(atom.path, list(MACRO_NAMES))
    hint = (
        Message("valid.did_you_mean", {"name": "{{" + meant + "}}"})
        if meant
        else Message("valid.choices", {"choices": ", ".join(MACRO_NAMES)})
    )
    return Problem(Message("check.unknown_macro", {"name": atom.path}), path, hint)
