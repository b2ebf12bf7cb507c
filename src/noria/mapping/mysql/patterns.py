"""LIKE and regular expressions; a pattern that takes too long is an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import regex

from noria.mapping.mysql.comparing import folded
from noria.mapping.mysql.values import SqlError, strict, text

_SECONDS_A_PATTERN = 0.25
_MOST_REPEATS = 10_000
_LONGEST_PATTERN = 4096


def like(value: Any, pattern: Any, escape: Any = "\\") -> int | None:
    """LIKE: `%` any text, `_` one character; no backtracking beyond the last `%`."""
    if value is None or pattern is None:
        return None
    subject = folded(text(value) or "")
    wanted = _like_pattern(text(pattern) or "", text(escape) or "")
    at = place = 0
    star, kept = -1, 0
    while at < len(subject):
        if place < len(wanted) and wanted[place] == "%%":
            star, kept = place, at
            place += 1
        elif place < len(wanted) and (wanted[place] == "__" or wanted[place] == subject[at]):
            at += 1
            place += 1
        elif star >= 0:
            kept += 1
            at, place = kept, star + 1
        else:
            return 0
    return int(all(one == "%%" for one in wanted[place:]))


@lru_cache(512)
def _like_pattern(pattern: str, escape: str) -> tuple[str, ...]:
    """The pattern's parts: folded characters, `%%` and `__` for the wildcards."""
    parts: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == escape:
            parts.append(folded(next(chars, escape)))
        elif char in "%_":
            parts.append(char * 2)
        else:
            parts.append(folded(char))
    return tuple(parts)


_COUNTED = re.compile(r"\{(\d*),?(\d*)\}")


@lru_cache(512)
def _pattern(pattern: str) -> Any:
    repeats = 1
    for least, most in _COUNTED.findall(pattern):
        # Repeats inside repeats are written out when a pattern is prepared.
        repeats *= max(1, int((most or least or "1")[:6]))
    if repeats > _MOST_REPEATS or len(pattern) > _LONGEST_PATTERN:
        raise SqlError("sql.slow_pattern")
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise SqlError("sql.bad_pattern", pattern=pattern[:80], said=str(error)) from None


def _timed(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return call(*args, timeout=_SECONDS_A_PATTERN, **options)
    except TimeoutError:
        raise SqlError("sql.slow_pattern") from None


@strict
def matches(value: Any, pattern: Any) -> int:
    """REGEXP"""
    return int(_timed(_pattern(text(pattern) or "").search, text(value)) is not None)


@strict
def regexp_replace(value: Any, pattern: Any, replacement: Any) -> str:
    """REGEXP_REPLACE; groups are `\\1`."""
    template = re.sub(r"\\(?!\d)", r"\\\\", text(replacement) or "")
    return str(_timed(_pattern(text(pattern) or "").sub, template, text(value)))


@strict
def regexp_substr(value: Any, pattern: Any) -> str:
    """REGEXP_SUBSTR; the empty text when nothing matches."""
    found = _timed(_pattern(text(pattern) or "").search, text(value))
    return found[0] if found else ""


@strict
def regexp_instr(value: Any, pattern: Any) -> int:
    """REGEXP_INSTR"""
    found = _timed(_pattern(text(pattern) or "").search, text(value))
    return found.start() + 1 if found else 0
