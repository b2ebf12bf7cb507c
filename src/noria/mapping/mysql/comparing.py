"""Comparing, choosing, truth: text compares as `utf8mb4_general_ci` does, without case, accents or trailing spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from noria.mapping.mysql.times import as_datetime, to_time
from noria.mapping.mysql.values import (
    EXACT,
    Binary,
    Json,
    Scaled,
    number,
    scale_of,
    settled,
    strict,
    text,
    unquote,
    whole,
)


def fold(value: str) -> str:
    """What a text compares by: upper case, without accents and trailing spaces."""
    return folded(value).rstrip(" ")


def folded(value: str) -> str:
    """Likewise with its spaces; as many characters as the text has."""
    return value.upper() if value.isascii() else "".join(map(_fold_one, value))


@lru_cache(8192)
def _fold_one(char: str) -> str:
    """One character without its accent, where the collation ignores it: in Latin and Greek, not in Cyrillic."""
    accented = char < "\u0400" or "\u1e00" <= char < "\u2000"
    base = unicodedata.normalize("NFD", char)[0] if accented else char
    upper = "S" if base == "ß" else base.upper()
    return upper if len(upper) == 1 else base


def eq(a: Any, b: Any) -> int | None:
    """a = b"""
    if a.__class__ is str and b.__class__ is str:
        return 1 if a == b or fold(a) == fold(b) else 0
    order = compare(a, b)
    return None if order is None else int(order == 0)


def eq_text(value: Any, wanted: str) -> int | None:
    """value = 'wanted', where `wanted` is already folded and the value is known to be text or NULL."""
    return None if value is None else 1 if fold(value) == wanted else 0


def chosen(table: dict[str, str], value: str | None, otherwise: str | None) -> str | None:
    """CASE value WHEN text THEN text …: `table` by folded texts."""
    return otherwise if value is None else table.get(fold(value), otherwise)


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1 as a is less than, equal to or greater than b; None when one is NULL."""
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        if isinstance(a, Json) != isinstance(b, Json):
            a, b = (unquote(one) if isinstance(one, Json) else one for one in (a, b))
            return compare(None if a is None else str(a), None if b is None else str(b))
        x, y = (str(a), str(b)) if isinstance(a, Binary) or isinstance(b, Binary) else (fold(a), fold(b))
        return (x > y) - (x < y)
    if isinstance(a, date | str) and isinstance(b, date | str):
        left, right = to_time(a), to_time(b)
        if left is None or right is None:
            return compare(text(a), text(b))
        start, end = as_datetime(left), as_datetime(right)
        return (start > end) - (start < end)
    a, b = number(a), number(b)
    if a.__class__ is Scaled or b.__class__ is Scaled:
        a, b = (settled(one) if isinstance(one, Decimal) else one for one in (a, b))
    return int(a > b) - int(a < b)


def ne(a: Any, b: Any) -> int | None:
    """a <> b"""
    order = compare(a, b)
    return None if order is None else int(order != 0)


def lt(a: Any, b: Any) -> int | None:
    """a < b"""
    order = compare(a, b)
    return None if order is None else int(order < 0)


def le(a: Any, b: Any) -> int | None:
    """a <= b"""
    order = compare(a, b)
    return None if order is None else int(order <= 0)


def gt(a: Any, b: Any) -> int | None:
    """a > b"""
    order = compare(a, b)
    return None if order is None else int(order > 0)


def ge(a: Any, b: Any) -> int | None:
    """a >= b"""
    order = compare(a, b)
    return None if order is None else int(order >= 0)


def same(a: Any, b: Any) -> int:
    """a <=> b"""
    if a is None or b is None:
        return int(a is None and b is None)
    return int(compare(a, b) == 0)


def is_(a: Any, b: Any) -> int:
    """a IS NULL, IS TRUE, IS FALSE"""
    if b is None:
        return int(a is None)
    return int(a is not None and truth(a) == bool(b))


def within(value: Any, *choices: Any) -> int | None:
    """value IN (…)"""
    if value is None:
        return None
    unknown = False
    for choice in choices:
        found = eq(value, choice)
        if found:
            return 1
        unknown = unknown or found is None
    return None if unknown else 0


def between(value: Any, low: Any, high: Any) -> int | None:
    """value BETWEEN low AND high"""
    return both(ge(value, low), le(value, high))


def truth(value: Any) -> bool:
    """Whether a value is true; NULL is not."""
    if value is None:
        return False
    return bool(number(value) != 0)


def known_truth(value: Any) -> int | None:
    """1, 0 or None."""
    return None if value is None else int(number(value) != 0)


def both(*values: Any) -> int | None:
    """AND of three-valued truths."""
    unknown = False
    for value in values:
        one = known_truth(value)
        if one == 0:
            return 0
        unknown = unknown or one is None
    return None if unknown else 1


def either(*values: Any) -> int | None:
    """OR of three-valued truths."""
    unknown = False
    for value in values:
        one = known_truth(value)
        if one:
            return 1
        unknown = unknown or one is None
    return None if unknown else 0


@strict
def xor(a: Any, b: Any) -> int:
    """XOR"""
    return int(truth(a) != truth(b))


def not_(value: Any) -> int | None:
    """NOT"""
    return None if value is None else int(not truth(value))


@strict
def greatest(*values: Any) -> Any:
    """GREATEST"""
    return extreme(values, 1)


@strict
def least(*values: Any) -> Any:
    """LEAST"""
    return extreme(values, -1)


def extreme(values: Sequence[Any], wanted: int) -> Any:
    """The greatest (1) or the least (-1) of values, none of them NULL; exact numbers with the most decimals of all."""
    scale = max((scale_of(one) for one in values if isinstance(one, int | Decimal)), default=0)
    best = values[0]
    for value in values[1:]:
        if compare(_to_scale(value, scale), _to_scale(best, scale)) == wanted:
            best = value
    return _to_scale(best, scale)


def _to_scale(value: Any, scale: int) -> Any:
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT) if value.__class__ is Scaled else value


def nullif(a: Any, b: Any) -> Any:
    """NULLIF"""
    return None if eq(a, b) else a


def field(value: Any, *choices: Any) -> int:
    """FIELD"""
    if value is None:
        return 0
    return next((i for i, choice in enumerate(choices, 1) if eq(value, choice)), 0)


def elt(n: Any, *choices: Any) -> Any:
    """ELT"""
    place = None if n is None else whole(n)
    return None if place is None or not 1 <= place <= len(choices) else text(choices[place - 1])
