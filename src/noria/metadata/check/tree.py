"""How the items of a request hang together: parents, children, fields that are set twice."""

from __future__ import annotations

from collections.abc import Iterator

from noria.messages import Message
from noria.metadata.check.findings import error, nearest_hint, warning
from noria.metadata.documents import (
    MOST_ANCESTORS,
    Item,
    Metadata,
    ancestors,
    parents_of,
)
from noria.metadata.errors import Problem
from noria.metadata.items import array_path
from noria.metadata.kinds import kind_of
from noria.metadata.validation import BLANK, shown


def items_with_paths(items: list[Item] | None, path: str) -> Iterator[tuple[Item, str]]:
    """Every item with its JSON path, children after their parent; blank ones are left out."""
    for item, here, _ in items_in_lines(items, path, ()):
        yield item, here


def items_in_lines(
    items: list[Item] | None, path: str, arrays: tuple[str, ...]
) -> Iterator[tuple[Item, str, tuple[str, ...]]]:
    """Every item with its JSON path and the source arrays whose lines it is in, outermost first."""
    given = items or []
    parents = parents_of(given)
    for i, item in enumerate(given):
        if item.field == BLANK:
            continue
        here = f"{path}[{i}]"
        around, place = list(arrays), parents[i]
        for _ in range(MOST_ANCESTORS):
            if place is None:
                break
            if given[place].kind == "array":
                around.insert(len(arrays), array_path(given[place]))
            place = parents[place]
        yield item, here, tuple(around)
        inner = (*around, array_path(item)) if item.children and item.kind == "array" else tuple(around)
        yield from items_in_lines(item.children, f"{here}.children", inner)


def check_tree(items: list[Item], base: str, inside: str = "") -> list[Problem]:
    """How items hang together: children that nothing reaches, fields that nothing can be put into. `inside` is the
    field of the item whose children they are."""
    found: list[Problem] = []
    parents = parents_of(items)
    for i, item in enumerate(items):
        path = f"{base}[{i}]"
        parent = parents[i]
        if item.field == BLANK:
            continue
        # A nested child is reached whatever it says of its parent.
        if item.parent and parent is None and not inside:
            known = [one.field for one in items if one is not item and one.field != BLANK]
            hint_ = nearest_hint(item.parent, known)
            found.append(warning("check.no_parent", f"{path}.parent", hint_, parent=shown(item.parent)))
        found += _check_field(item, path)
        if parent is not None and parents[parent] == i:
            hint_ = Message("check.own_parent_hint")
            found.append(warning("check.own_parent", f"{path}.parent", hint_, parent=shown(item.parent)))
        elif parent is not None and ancestors(i, parents) > MOST_ANCESTORS:
            values = {"most": MOST_ANCESTORS, "parent": shown(item.parent)}
            found.append(error("check.too_many_parents", f"{path}.parent", "check.own_parent_hint", **values))
        if item.children and item.kind != "array" and item.value not in (None, ""):
            found.append(warning("check.value_and_children", f"{path}.value", Message("check.value_and_children_hint")))
        if item.children:
            if kind_of(item.type) not in ("object", "array", "string", ""):
                hint_ = Message("check.children_type_hint")
                found.append(warning("check.children_type", f"{path}.children", hint_, type=shown(item.type)))
            found += check_tree(item.children, f"{path}.children", item.field)
    return found


def _check_field(item: Item, path: str) -> list[Problem]:
    if item.field.count(".") > MOST_ANCESTORS or "" in item.field.split("."):
        values = {"field": shown(item.field), "most": MOST_ANCESTORS}
        return [error("check.field", f"{path}.field", "check.field_hint", **values)]
    if "{" in item.field or item.field != item.field.strip():
        right = item.field.strip().strip("{}").strip() or "a"
        return [
            warning("check.field_text", f"{path}.field", Message("valid.did_you_mean", {"name": right}),
                    field=shown(item.field))
        ]  # fmt: skip
    return []


def check_duplicates(metadata: Metadata, base: str) -> list[Problem]:
    """Fields that are set twice: in one list, in both, nested or flat or with dots."""
    found: list[Problem] = []
    last: dict[str, str] = {}
    for key in ("request", "otherRequest"):
        for field, path in _fields_set(getattr(metadata, key) or [], f"{base}.{key}"):
            if field in last:
                values = {"field": field, "first": last[field]}
                found.append(warning("check.duplicate", f"{path}.field", Message("check.duplicate_hint"), **values))
            last[field] = path
    return found


def _fields_set(items: list[Item], base: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The whole path of each field that a list of items sets, with its JSON path; objects stand for their members."""
    parents = parents_of(items)
    holding = set(parents)
    for i, item in enumerate(items):
        path = f"{base}[{i}]"
        if item.field == BLANK:
            continue
        around, place = [], parents[i]
        for _ in range(MOST_ANCESTORS):
            if place is None:
                break
            around.append(items[place].field)
            place = parents[place]
        whole = prefix + ".".join([*reversed(around), item.field])
        children = item.children or []
        if not children and i not in holding:
            yield whole, path
        yield from _fields_set(children, f"{path}.children", whole + ".")
