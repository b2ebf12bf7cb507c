"""Payloads as people write them: read strictly, complained of at their place, compared line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from noria.console.diffs import Line, compared
from noria.messages import Message
from noria.metadata.documents import Item
from noria.metadata.paths import MISSING, at

# What may be written at most, in characters.
LONGEST = 500_000
_ESCAPE = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\.")


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a payload: why, and where: a line and a column of the text, or a path in the object. `stops`:
    it can't be sent so."""

    message: Message
    line: int | None = None
    column: int | None = None
    path: str | None = None
    stops: bool = True


class _Twice(ValueError):
    """A key that an object has twice."""


def read(text: str) -> tuple[bytes, list[Wrong]]:
    """A payload as it is sent (an object, without white space, numbers digit by digit as they were written), and what
    is wrong with it: then it is empty."""
    if len(text) > LONGEST:
        return b"", [Wrong(Message("payload.too_long", {"most": LONGEST}))]
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        encoded = text.encode()
        made = msgspec.json.format(encoded, indent=-1)
    except json.JSONDecodeError as error:
        return b"", [Wrong(Message("payload.not_json", {"reason": error.msg}), error.lineno, error.colno)]
    except _Twice as error:
        return b"", [Wrong(Message("payload.twice", {"key": str(error)}), path=str(error))]
    except (ValueError, RecursionError) as error:
        return b"", [Wrong(Message("payload.not_json", {"reason": str(error)[:200]}))]
    if not isinstance(found, dict):
        return b"", [Wrong(Message("payload.not_an_object"), 1, 1)]
    return made, []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _Twice(key)
        made[key] = value
    return made


def _no_number(name: str) -> float:
    raise ValueError(name)


def missing(payload: bytes, items: Sequence[Item]) -> list[Wrong]:
    """Fields that the plan calls required and a payload does not have: it may be sent all the same."""
    body = msgspec.json.decode(payload)
    return [
        Wrong(Message("payload.required", {"field": path}), path=path, stops=False)
        for path in islice(_empty(body, items, ""), 20)
    ]


def _empty(body: Any, items: Sequence[Item], prefix: str) -> Iterator[str]:
    for item in items:
        value, path = at(body, item.field), f"{prefix}{item.field}"
        if item.is_required and (value is MISSING or value in (None, "", [], {})):
            yield path
        elif item.children and isinstance(value, list):
            for number, line in enumerate(value):
                yield from _empty(line, item.children, f"{path}[{number}].")
        elif item.children and isinstance(value, dict):
            yield from _empty(value, item.children, f"{path}.")


def differences(before: bytes | None, after: bytes | None) -> list[Line]:
    """Two JSON texts side by side, with the lines around each difference; none where they say the same."""
    return compared(*([] if raw is None else pretty(raw).split("\n") for raw in (before, after)))


def pretty(raw: bytes) -> str:
    """JSON with its lines, for reading; numbers stay as they came."""
    try:
        return _ESCAPE.sub(_written, msgspec.json.format(raw, indent=2).decode("utf-8", "replace"))
    except msgspec.DecodeError:
        return raw.decode("utf-8", "replace")


def _written(escape: re.Match[str]) -> str:
    """A character that JSON escapes, as itself where it can be read."""
    codes = [int(code, 16) for code in escape.groups() if code]
    if len(codes) == 2:
        return chr(0x10000 + ((codes[0] - 0xD800) << 10) + (codes[1] - 0xDC00))
    if codes and not 0xD800 <= codes[0] < 0xE000 and chr(codes[0]).isprintable() and chr(codes[0]) not in '"\\':
        return chr(codes[0])
    return escape[0]
