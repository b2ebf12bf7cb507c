"""JSON Schemas (draft 2020-12) of plans and metadata documents, made from the types that also check them.

Editors complete and validate with them. They are shipped beside this module; `make docs` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Any

import msgspec

from noria.metadata.check import OPERATIONS
from noria.metadata.documents import Metadata
from noria.metadata.formats import FORMATS, OPERATORS
from noria.metadata.kinds import ITEM_TYPES
from noria.metadata.parsers import PARSERS
from noria.metadata.plan import PlanDocument

NAMES = ("plan", "metadata")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Where an editor should offer names: type, property, the names, and whether others are accepted too.
_CHOICES: tuple[tuple[str, str, Iterable[str], bool], ...] = (
    ("Item", "type", ITEM_TYPES, True),
    ("Parser", "name", PARSERS, False),
    ("FilterCondition", "logic", OPERATORS, False),
    ("ResponseFormat", "format", FORMATS, True),
    ("Operation", "method", OPERATIONS, False),
    ("Metadata", "effect", ("QUERY", "EXECUTE"), True),
    ("Metadata", "type", ("QUERY", "EXECUTE"), True),
    ("Metadata", "method", ("GET", "POST", "PUT", "SQL"), True),
    ("ValueMap", "direction", ("positive", "reverse"), False),
)


def schema(name: str) -> dict[str, Any]:
    """The schema of a plan's file (`plan`) or of one side's document (`metadata`)."""
    (reference,), components = msgspec.json.schema_components([PlanDocument if name == "plan" else Metadata])
    if name == "plan":
        # A plan holds its documents as they are, or names their files.
        (own,), more = msgspec.json.schema_components([Metadata])
        components |= more
        side = components["SideDocument"]["properties"]["metadata"]
        side.pop("type", None)
        side["anyOf"] = [own, {"type": "string"}]
    for kind, key, names, others in _CHOICES:
        if kind in components:
            _offer(components[kind]["properties"][key], list(names), others)
    for component in components.values():
        component.get("properties", {}).pop("$schema", None)
        # The types' docstrings are for those who read the code.
        component.pop("description", None)
    return {
        "$schema": _DIALECT,
        "$id": f"noria:{name}",
        "title": f"noria {name}",
        **reference,
        "$defs": _local(components),
    }


def _offer(field: dict[str, Any], names: list[str], others: bool) -> None:
    nullable = any(one.get("type") == "null" for one in field.get("anyOf", []))
    accepted: list[dict[str, Any]] = [{"enum": names}]
    if others:
        accepted.append({"type": "string"})
    if nullable:
        accepted.append({"type": "null"})
    for key in ("type", "minLength", "enum"):
        field.pop(key, None)
    field["anyOf"] = accepted


def _local(components: dict[str, Any]) -> dict[str, Any]:
    """Components in a stable order."""
    return {name: components[name] for name in sorted(components)}


def shipped(name: str) -> str:
    """The schema's text as it is in the package."""
    return resources.files("noria.metadata").joinpath(f"schemas/{name}.schema.json").read_text("utf-8")


def rendered(name: str) -> str:
    """The schema's text as it should be shipped."""
    return msgspec.json.format(msgspec.json.encode(schema(name)), indent=1).decode() + "\n"
