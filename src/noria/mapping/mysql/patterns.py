"""LIKE and regular expressions; a pattern that takes too long is an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import regex

from noria.mapping.mysql.comparing import folded
from noria.mapping.mysql.values import Binary, SqlError, grown, strict, text
from noria.metadata.patterns import BadPattern, compiled_pattern

_SECONDS_A_PATTERN = 0.25
# The wildcard of one character.
_ONE = "__"


def like(value: Any, pattern: Any, escape: Any = "\\") -> int | None:
    """LIKE: `%` any text, `_` one character."""
    if value is None or pattern is None:
        return None
    same: Callable[[str], str] = str if isinstance(value, Binary) or isinstance(pattern, Binary) else folded
    subject = same(text(value) or "")
    pieces = [[]] if pattern == "" else _like_pieces(text(pattern) or "", text(escape) or "", same)
    first, *others = pieces
    if not others:
        return int(len(first) == len(subject) and _fits(subject, 0, first))
    if not _fits(subject, 0, first):
        return 0
    at = len(first)
    *middle, last = others
    for piece in middle:
        at = _find(subject, at, piece)
        if at < 0:
            return 0
        at += len(piece)
    start = len(subject) - len(last)
    return int(start >= at and _fits(subject, start, last))


@lru_cache(512)
def _like_pieces(pattern: str, escape: str, same: Callable[[str], str]) -> list[list[str]]:
    """What stands between a pattern's `%`: characters as they compare, `_ONE` for any."""
    pieces: list[list[str]] = [[]]
    chars = iter(pattern)
    for char in chars:
        if char == escape:
            pieces[-1].append(same(next(chars, escape)))
        elif char == "%":
            pieces.append([])
        else:
            pieces[-1].append(_ONE if char == "_" else same(char))
    return pieces


def _fits(subject: str, at: int, piece: list[str]) -> bool:
    if at + len(piece) > len(subject):
        return False
    if _ONE not in piece:
        return subject.startswith("".join(piece), at)
    return all(one in (_ONE, subject[at + i]) for i, one in enumerate(piece))


def _find(subject: str, at: int, piece: list[str]) -> int:
    """The first place from `at` where a piece fits, -1 where there is none."""
    if _ONE not in piece:
        return subject.find("".join(piece), at)
    pattern = regex.compile("".join("." if one == _ONE else regex.escape(one) for one in piece), regex.DOTALL)
    found = _timed(pattern.search, subject, pos=at)
    return found.start() if found else -1


def _compiled(value: Any, pattern: Any) -> Any:
    wanted = text(pattern) or ""
    try:
        return compiled_pattern(wanted, isinstance(value, Binary) or isinstance(pattern, Binary))
    except BadPattern as error:
        if str(error):
            raise SqlError("sql.bad_pattern", pattern=wanted[:80], said=str(error)) from None
        raise SqlError("sql.slow_pattern") from None


def _timed(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return call(*args, timeout=_SECONDS_A_PATTERN, **options)
    except TimeoutError:
        raise SqlError("sql.slow_pattern") from None


@strict
def matches(value: Any, pattern: Any) -> int:
    """REGEXP"""
    return int(_timed(_compiled(value, pattern).search, text(value)) is not None)


@strict
def regexp_replace(value: Any, pattern: Any, replacement: Any) -> str:
    """REGEXP_REPLACE; groups are `\\1`, the whole match is `\\0`."""
    subject = text(value) or ""
    if not text(pattern):
        return subject
    parts = _replacement(text(replacement) or "")
    pieces, end, made = [], 0, 0
    try:
        for match in _compiled(value, pattern).finditer(subject, timeout=_SECONDS_A_PATTERN):
            pieces.append(subject[end : match.start()])
            pieces += [part if isinstance(part, str) else _group(match, part) for part in parts]
            made += sum(map(len, pieces[-len(parts) - 1 :]))
            if made > len(subject):
                grown(made)
                made = 0
            end = match.end()
    except TimeoutError:
        raise SqlError("sql.slow_pattern") from None
    return "".join([*pieces, subject[end:]])


def _group(match: Any, number: int) -> str:
    return (match[number] or "") if number <= len(match.groups()) else ""


@lru_cache(512)
def _replacement(template: str) -> tuple[str | int, ...]:
    """A replacement's texts and groups; a backslash before anything else stands for what follows it."""
    parts: list[str | int] = []
    chars = iter(template)
    for char in chars:
        if char == "\\":
            char = next(chars, "")
            parts.append(int(char) if char.isascii() and char.isdigit() else char)
        else:
            parts.append(char)
    return tuple(parts)


@strict
def regexp_substr(value: Any, pattern: Any) -> str:
    """REGEXP_SUBSTR; the empty text when nothing matches."""
    found = _timed(_compiled(value, pattern).search, text(value))
    return found[0] if found else ""


@strict
def regexp_instr(value: Any, pattern: Any) -> int:
    """REGEXP_INSTR"""
    found = _timed(_compiled(value, pattern).search, text(value))
    return found.start() + 1 if found else 0
