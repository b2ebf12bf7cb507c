"""Checks a decoded JSON value against declared types and finds every problem at once.

The types are `msgspec.Struct`s; the same declarations give the typed objects, this check, the reference pages and
the JSON Schema. An unknown key is not an error: it is kept and reported: as a
warning with the nearest known name, or else as a hint.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect
from rapidfuzz import fuzz, process

from noria.messages import Message
from noria.metadata.errors import InvalidDocument, Problem

S = TypeVar("S", bound=msgspec.Struct)

_SHOWN = 80
# What stands where a document has nothing, or nothing that can be read: an item that a table of the platform's user
# interface left blank keeps its place, and is no item.
BLANK = "\0"


def shown(value: object) -> str:
    """A value as a message shows it: JSON, at most 80 characters."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError):
        text = ascii(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that `name` most likely meant, or None."""
    by_case = {k.lower(): k for k in known}
    if name.lower() in by_case:
        return by_case[name.lower()]
    found = process.extractOne(name[:100], known, scorer=fuzz.ratio, score_cutoff=70)
    return found[0] if found else None


def is_web_address(url: str) -> bool:
    """Whether a text is the address of something on the web."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@cache
def type_info(type_: Any) -> inspect.Type:
    """What msgspec knows of a type; worked out once."""
    return inspect.type_info(type_)


def problems_in(value: Any, type_: Any, path: str = "$") -> list[Problem]:
    """Every place where `value` does not fit `type_`; wrong types are errors, unknown keys warnings."""
    found: list[Problem] = []
    _walk(value, type_info(type_), path, found)
    return found


def validated(value: Any, type_: type[S], path: str = "$", plan: str = "") -> tuple[S, list[Problem]]:
    """`value` as a `type_`, with the warnings; raises `InvalidDocument` with all problems if there is an error."""
    found = [msgspec.structs.replace(p, plan=plan) for p in problems_in(value, type_, path)]
    if any(p.severity == "error" for p in found):
        raise InvalidDocument(sorted(found, key=lambda p: p.severity != "error"))
    return msgspec.convert(value, type_, strict=True), found


def mended(value: Any, type_: Any) -> Any:
    """A document in which whatever doesn't fit its type is left out, so that the rest of it can be checked, too.

    What must not be missing is `BLANK`, or empty. Problems at such a place have been found already.
    """
    info = type_info(type_)
    fixed = _mended(value, info)
    return _blank(info) if fixed is _GONE else fixed


# Keys that the platform's forms and sheets put beside those of the language.
_OF_FORMS = {
    "is_request",
    "hasChildren",
    "expanded",
    "checked",
    "key",
    "title",
    "level",
    "sort",
    "index",
    "isLeaf",
    "default",
}
_GONE: Any = object()


def _mended(value: Any, info: inspect.Type) -> Any:
    if isinstance(info, inspect.Metadata):
        return _mended(value, info.type)
    if isinstance(info, inspect.UnionType):
        member = next((member for member in info.types if fits(value, member)), None)
        return _GONE if member is None else _mended(value, member)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        types = {field.encode_name: field for field in info.fields}
        fixed = {name: _mended(one, types[name].type) if name in types else one for name, one in value.items()}
        fixed = {name: one for name, one in fixed.items() if one is not _GONE}
        for name, field in types.items():
            if field.required and name not in fixed:
                fixed[name] = _blank(field.type)
        return fixed
    if isinstance(info, inspect.ListType) and isinstance(value, list):
        elements = [_mended(one, info.item_type) for one in value]
        elements += [_GONE] * ((info.min_length or 0) - len(elements))
        return [_blank(info.item_type) if one is _GONE else one for one in elements]
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        elements_ = {name: _mended(one, info.value_type) for name, one in value.items()}
        return {name: one for name, one in elements_.items() if one is not _GONE}
    found: list[Problem] = []
    _walk(value, info, "", found)
    return _GONE if any(problem.severity == "error" for problem in found) else value


def _blank(info: inspect.Type) -> Any:
    """The least that a type takes."""
    match info:
        case inspect.Metadata():
            return _blank(info.type)
        case inspect.UnionType():
            return _blank(info.types[0])
        case inspect.StructType():
            return {field.encode_name: _blank(field.type) for field in info.fields if field.required}
        case inspect.DictType():
            return {}
        case inspect.ListType():
            return [_blank(info.item_type)] * (info.min_length or 0)
        case inspect.LiteralType():
            return info.values[0]
        case inspect.StrType():
            return BLANK
        case inspect.IntType() | inspect.FloatType():
            return info.ge or 0
        case inspect.BoolType():
            return False
        case _:
            return None


def _walk(value: Any, info: inspect.Type, path: str, found: list[Problem]) -> None:
    if isinstance(info, inspect.Metadata):
        return _walk(value, info.type, path, found)
    if isinstance(info, inspect.AnyType):
        return None
    if isinstance(info, inspect.UnionType):
        return _walk_union(value, info, path, found)
    if isinstance(info, inspect.StructType):
        return _walk_struct(value, info, path, found)
    if isinstance(info, inspect.ListType):
        if not isinstance(value, list):
            return _wrong(value, info, path, found)
        if info.min_length and len(value) < info.min_length:
            hint = Message("valid.expected", {"expected": _expected(info)})
            found.append(Problem(Message("valid.too_few", {"least": info.min_length}), path, hint))
        for i, element in enumerate(value):
            _walk(element, info.item_type, f"{path}[{i}]", found)
        return None
    if isinstance(info, inspect.DictType):
        if not isinstance(value, dict):
            return _wrong(value, info, path, found)
        for key, element in value.items():
            _walk(element, info.value_type, f"{path}.{key}", found)
        return None
    if not fits(value, info):
        _wrong(value, info, path, found)
    elif isinstance(info, inspect.LiteralType) and value not in info.values:
        choices = ", ".join(shown(v) for v in info.values)
        hint = Message("valid.choices", {"choices": choices})
        found.append(Problem(Message("valid.not_a_choice", {"value": shown(value)}), path, hint))
    elif isinstance(info, inspect.IntType | inspect.FloatType) and info.ge is not None and not value >= info.ge:
        hint = Message("valid.at_least", {"least": info.ge})
        found.append(Problem(Message("valid.too_small", {"value": shown(value)}), path, hint))
    elif isinstance(info, inspect.StrType) and info.min_length and not value.strip():
        found.append(Problem(Message("valid.empty"), path, Message("valid.needs_text")))
    return None


def _walk_union(value: Any, info: inspect.UnionType, path: str, found: list[Problem]) -> None:
    fitting = [member for member in info.types if fits(value, member)]
    if fitting:
        return _walk(value, fitting[0], path, found)
    return _wrong(value, info, path, found)


def _walk_struct(value: Any, info: inspect.StructType, path: str, found: list[Problem]) -> None:
    if not isinstance(value, dict):
        return _wrong(value, info, path, found)
    fields = {f.encode_name: f for f in info.fields}
    for name, declared in fields.items():
        if name in value:
            _walk(value[name], declared.type, f"{path}.{name}", found)
        elif declared.required:
            hint = Message("valid.expected", {"expected": _expected(declared.type)})
            found.append(Problem(Message("valid.missing_key", {"key": name}), f"{path}.{name}", hint))
    for name in value:
        if name in fields:
            continue
        meant = None if name in _OF_FORMS else nearest(str(name), list(fields))
        hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("valid.kept")
        message = Message("valid.unknown_key", {"key": str(name)})
        found.append(Problem(message, f"{path}.{name}", hint, "warning" if meant else "hint"))
    return None


def fits(value: Any, info: inspect.Type) -> bool:
    """Whether a value is of a type, looking no further than its kind."""
    match info:
        case inspect.Metadata():
            return fits(value, info.type)
        case inspect.AnyType():
            return True
        case inspect.NoneType():
            return value is None
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.LiteralType():
            return isinstance(value, type(info.values[0]))
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.DictType() | inspect.StructType():
            return isinstance(value, dict)
        case inspect.UnionType():
            return any(fits(value, member) for member in info.types)
        case _:
            return False


def _wrong(value: Any, info: inspect.Type, path: str, found: list[Problem]) -> None:
    hint = Message("valid.expected", {"expected": _expected(info)})
    found.append(Problem(Message("valid.wrong_type", {"value": shown(value)}), path, hint))


def _expected(info: inspect.Type) -> Message:
    match info:
        case inspect.Metadata():
            return _expected(info.type)
        case inspect.NoneType():
            return Message("type.null")
        case inspect.BoolType():
            return Message("type.bool")
        case inspect.IntType():
            return Message("type.int")
        case inspect.FloatType():
            return Message("type.number")
        case inspect.StrType():
            return Message("type.text")
        case inspect.LiteralType():
            return Message("type.one_of", {"choices": ", ".join(shown(v) for v in info.values)})
        case inspect.ListType():
            return Message("type.array_of", {"of": _expected(info.item_type)})
        case inspect.StructType() | inspect.DictType():
            return Message("type.object")
        case inspect.UnionType():
            parts = [_expected(member) for member in info.types if not isinstance(member, inspect.NoneType)]
            joined = parts[0]
            for part in parts[1:]:
                joined = Message("type.or", {"a": joined, "b": part})
            return joined
        case _:
            return Message("type.any")
