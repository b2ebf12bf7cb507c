"""Functions on JSON text."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from noria.mapping.mysql.values import DECODE, ENCODE, Json, SqlError, grown, settled, strict, text

_STEP = re.compile(
    r'\s*(?:\.\s*(?:"((?:[^"\\]|\\.)*)"|([^\s.\[\]"*]+)|(\*))|\[\s*(?:([0-9]{1,9})|(\*)|last(?:\s*-\s*([0-9]{1,9}))?)\s*\])'
)


def parsed(value: Any) -> Any:
    """A value as JSON has it; raises `SqlError` for a text that is none."""
    if not isinstance(value, str):
        return value if isinstance(value, int | Decimal) else text(value)
    try:
        return DECODE.decode(str(value))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise SqlError("sql.not_json", value=value[:60]) from None


def json_text(value: Any) -> Json:
    """A value as a server writes JSON: with a blank behind each comma and colon."""
    made = msgspec.json.format(ENCODE.encode(settled(value) if isinstance(value, Decimal) else value), indent=0)
    grown(len(made))
    return Json(made.decode())


@lru_cache(512)
def _json_path(path: str) -> tuple[tuple[str, Any], ...]:
    if not path.startswith("$"):
        raise SqlError("sql.bad_json_path", path=path[:60])
    steps: list[tuple[str, Any]] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise SqlError("sql.bad_json_path", path=path[:60])
        at = match.end()
        quoted_, key, any_key, index, any_index, back = match.groups()
        if quoted_ is not None:
            steps.append(("key", re.sub(r"\\(.)", r"\1", quoted_)))
        elif key is not None:
            steps.append(("key", key))
        elif any_key or any_index:
            steps.append(("all", bool(any_key)))
        else:
            steps.append(("index", int(index) if index is not None else -1 - int(back or 0)))
    return tuple(steps)


def _found(document: Any, path: str) -> tuple[list[Any], bool]:
    """What a path leads to, and whether it may lead to several places."""
    places, many = [document], False
    for kind, what in _json_path(path):
        following: list[Any] = []
        for one in places:
            if kind == "key" and isinstance(one, dict) and what in one:
                following.append(one[what])
            elif kind == "index":
                if isinstance(one, list):
                    if -len(one) <= what < len(one):
                        following.append(one[what])
                elif what in (0, -1):
                    following.append(one)
            elif kind == "all" and isinstance(one, dict if what else list):
                following += one.values() if isinstance(one, dict) else one
        many = many or kind == "all"
        places = following
    return places, many


@strict
def json_extract(document: Any, *paths: Any) -> Json | None:
    """JSON_EXTRACT"""
    decoded = parsed(document)
    found: list[Any] = []
    many = len(paths) > 1
    for path in paths:
        places, several = _found(decoded, text(path) or "")
        found += places
        many = many or several
    if not found:
        return None
    return json_text(found if many else found[0])


@strict
def json_value(document: Any, path: Any) -> str | None:
    """JSON_VALUE: a scalar as text, NULL for objects and arrays."""
    found, many = _found(parsed(document), text(path) or "")
    if many or not found or found[0] is None or isinstance(found[0], dict | list):
        return None
    if isinstance(found[0], bool):
        return str(int(found[0]))
    return text(found[0])


@strict
def json_length(document: Any, path: Any = "$") -> int | None:
    """JSON_LENGTH"""
    found = _found(parsed(document), text(path) or "")[0]
    if not found:
        return None
    return len(found[0]) if isinstance(found[0], dict | list) else 1


@strict
def json_valid(document: Any) -> int:
    """JSON_VALID"""
    try:
        parsed(document)
    except SqlError:
        return 0
    return 1


def _inside(value: Any) -> Any:
    """A value as it stands inside JSON: JSON itself, numbers, everything else as text."""
    if isinstance(value, Json):
        return parsed(value)
    return (
        settled(value)
        if isinstance(value, Decimal)
        else value
        if value is None or isinstance(value, int)
        else text(value)
    )


def json_object(*values: Any) -> Json:
    """JSON_OBJECT. Raises `SqlError` for a key that is NULL or has no value."""
    if len(values) % 2 or any(key is None for key in values[::2]):
        raise SqlError("sql.json_key")
    return json_text({text(key): _inside(one) for key, one in zip(values[::2], values[1::2], strict=True)})


def json_array(*values: Any) -> Json:
    """JSON_ARRAY"""
    return json_text([_inside(one) for one in values])


@strict
def json_keys(document: Any, path: Any = "$") -> Json | None:
    """JSON_KEYS; NULL for what is no object."""
    found = _found(parsed(document), text(path) or "")[0]
    return json_text(list(found[0])) if found and isinstance(found[0], dict) else None
