"""Parsers (`parser` on an item) and static value maps (`mapping` on an item)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from noria.mapping.values import DECODER, MappingError, as_text
from noria.messages import Message
from noria.metadata.documents import Parser, ValueMap
from noria.metadata.parsers import parser_name
from noria.metadata.validation import shown
from noria.metadata.valuemaps import ValueTable

Convert = Callable[[Any], Any]
_WHOLE = re.compile(r"-?[0-9]{1,18}\Z")


def parser_of(parser: Parser, field: str) -> Convert:
    """The function that a parser is; the name is known to be one that `check` knows."""
    return _MAKERS[parser_name(parser)](parser, field)


# A map that isn't there, in a document that is previewed without its project: values pass through.
_NOTHING = ValueTable({}, {})


def value_map_of(reference: ValueMap, tables: dict[str, ValueTable]) -> Convert:
    """The function that a static map is: values are compared by their text, others pass through unchanged."""
    known = tables.get(reference.target, _NOTHING)
    table = known.backward if reference.direction == "reverse" else known.forward

    def mapped(value: Any) -> Any:
        if value is None or isinstance(value, dict | list):
            return value
        return table.get(as_text(value), value)

    return mapped


def _object(parser: Parser, field: str) -> Convert:
    key = str(parser.params)
    return lambda value: None if value is None else {key: value}


def _two_stages(parser: Parser, field: str) -> Convert:
    outer, inner = _two(parser)
    return lambda value: None if value is None else {outer: {inner: value}}


def _two(parser: Parser) -> tuple[str, str]:
    """Two keys: `params1` and `params2`, or both in `params`."""
    if parser.params1 is not None:
        return str(parser.params1), str(parser.params2)
    both = parser.params if isinstance(parser.params, list) else str(parser.params).split(",")
    return str(both[0]).strip(), str(both[1]).strip()


def _split(parser: Parser, field: str) -> Convert:
    separator = str(parser.params or ",")

    def split(value: Any) -> Any:
        if isinstance(value, list):
            return value
        text = as_text(value)
        return text.split(separator) if text.strip() else []

    return split


def _join(parser: Parser, field: str) -> Convert:
    separator = str("," if parser.params is None else parser.params)
    return lambda value: separator.join(map(as_text, value)) if isinstance(value, list) else value


def _json(parser: Parser, field: str) -> Convert:
    def convert(value: Any) -> Any:
        if isinstance(value, str):
            if not value.strip():
                return None
            try:
                value = DECODER.decode(value.replace("\r", "").replace("\n", ""))
            except (msgspec.DecodeError, RecursionError):
                raise MappingError(
                    Message("mapping.not_json", {"field": field, "value": shown(value), "parser": parser.name})
                ) from None
        if not isinstance(value, dict):
            return value
        return [{"Key": int(key) if _WHOLE.match(key) else key, "Value": one} for key, one in value.items()]

    return convert


def _key_value(parser: Parser, field: str) -> Convert:
    name = parser.params if parser.params is not None else parser.keyName
    return lambda value: None if value is None else [{"keyName": name, "keyValue": value}]


def _workflow(parser: Parser, field: str) -> Convert:
    options = {key: getattr(parser, key) for key in ("view", "edit", "fieldId")}
    return lambda value: None if value is None else {"fieldName": field, "fieldValue": value, **options}


_MAKERS: dict[str, Callable[[Parser, str], Convert]] = {
    "ConvertObjectParser": _object,
    "ConvertTwoStageObjectParser": _two_stages,
    "StringToArray": _split,
    "ArrayToString": _join,
    "ConvertJson": _json,
    "K3WiseHeiHuCustomParser": _key_value,
    "workflowRequestTableFields": _workflow,
}
