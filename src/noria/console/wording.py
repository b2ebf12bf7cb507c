"""A mapping in plain words: for each target field where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from noria.messages import Message
from noria.metadata.documents import Item
from noria.metadata.errors import NoriaError
from noria.metadata.expression_tree import Function, Literal, Lookup, Macro, Reference, Structure, Template, atoms
from noria.metadata.items import array_path, expression_of


def in_words(items: Sequence[Item], prefix: str = "", deep: int = 0) -> Iterator[dict[str, Any]]:
    """Each field of a request: `path`, `deep` (how far inside others it is), `label`, `type`, `required`, `expression`,
    and `words`."""
    for item in items:
        path = f"{prefix}{item.field}"
        yield {
            "path": path,
            "deep": deep,
            "label": item.label,
            "type": item.kind or item.type,
            "required": bool(item.is_required),
            "expression": item.value,
            "words": _words(item),
            "then": _then(item),
        }
        if item.children:
            yield from in_words(item.children, f"{path}{'[].' if item.kind == 'array' else '.'}", deep + 1)


def _words(item: Item) -> Message:
    if item.children:
        array = array_path(item)
        if item.kind == "array" and array:
            return Message("words.lines", {"field": array})
        return Message("words.one_line" if item.kind == "array" else "words.object")
    try:
        expression = expression_of(item, lenient=True)
    except NoriaError as error:
        return error.message
    fields = ", ".join(dict.fromkeys(_name(one) for one in atoms(expression)))
    match expression:
        case Literal(value):
            return Message("words.nothing") if value in (None, "") else Message("words.constant", {"value": value})
        case Reference(path, fmt):
            values = {"field": path, "format": fmt}
            return Message("words.field_as" if fmt else "words.field", values)
        case Macro(name):
            return Message("words.macro", {"name": name})
        case Template():
            return Message("words.text", {"fields": fields})
        case Structure():
            return Message("words.structure", {"fields": fields})
        case Lookup(wanted, plan, conditions):
            where = ", ".join(f"{one.place.path} = {_value(one.value)}" for one in conditions)
            return Message("words.lookup", {"field": wanted.path, "plan": plan, "where": where})
        case Function(text):
            return Message("words.computed", {"text": text})


def _then(item: Item) -> list[Message]:
    """What is done with the value afterwards."""
    found = []
    if item.mapping is not None:
        found.append(Message("words.then_map", {"table": item.mapping.target}))
    if item.parser is not None:
        found.append(Message("words.then_parse", {"parser": item.parser.name}))
    return found


def _value(value: Any) -> str:
    return str(value.value) if isinstance(value, Literal) else ", ".join(map(_name, atoms(value))) or "…"


def _name(atom: Reference | Macro) -> str:
    return atom.path if isinstance(atom, Reference) else atom.name
