"""What an item of a document says: the expression of its value, the source array of its lines."""

from __future__ import annotations

import msgspec

from noria.metadata.documents import Item
from noria.metadata.expression_tree import Expression, Literal, Reference
from noria.metadata.expressions import parse, quoted_macros
from noria.metadata.parsers import parser_name


def array_path(item: Item) -> str:
    """The source array that an array item's lines come from; its value is written with or without braces."""
    path = item.value.strip() if isinstance(item.value, str) else ""
    if path.startswith("{{") and path.endswith("}}"):
        return path[2:-2].strip()
    return path[1:-1].strip() if path.startswith("{") and path.endswith("}") else path


def takes_many(item: Item) -> bool:
    """Whether an item takes the values of all lines that its path leads through: an array, or a text made of one."""
    return item.kind == "array" or (item.parser is not None and parser_name(item.parser) == "ArrayToString")


def expression_of(item: Item, *, source: bool = False, lenient: bool = False) -> Expression:
    """What an item without children is evaluated as. On an array a text is the path of the source's array (section 2);
    on an array or object a JSON text is what it says, also under the parser that reads JSON. An empty text is nothing,
    unless the item is required. A malformed `_function` of a `lenient` plan is its text. Raises `NoriaError`."""
    value = item.value
    if value == "" and not item.is_required:
        return Literal(None)
    reads_json = item.parser is not None and parser_name(item.parser) == "ConvertJson"
    if isinstance(value, str) and (item.kind in ("array", "object") or reads_json):
        text = value.strip()
        if text[:1] == "[" or (text[:1] == "{" and text[:2] != "{{"):
            try:
                return parse(msgspec.json.decode(quoted_macros(text)), lenient=lenient)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                pass
        expression = parse(value, lenient=lenient)
        if item.kind == "array" and not source and isinstance(expression, Literal):
            return Reference(text) if text else Literal(None)
        return expression
    return parse(value, lenient=lenient)
