"""SQL values: what they are in Python, a record's values on their way in, an expression's on its way out, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from functools import wraps
from typing import Any

import msgspec

from noria.metadata.numbers import is_vast, written

# Digits that a result may have in MySQL; calculations keep more so that rounding is done once.
MOST_DIGITS = 65
MOST_SCALE = 30
EXACT = Context(prec=200, rounding=ROUND_HALF_UP, Emax=9999, Emin=-9999)
# Significant digits of a division in which text takes part (MySQL calculates it as a double).
REAL = Context(prec=17, rounding=ROUND_HALF_UP)

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_PLAIN = re.compile(r"[-+]?(?:0|[1-9]\d{0,64})(?:\.\d{1,30})?\Z")

DECODE = msgspec.json.Decoder(float_hook=Decimal)
ENCODE = msgspec.json.Encoder(decimal_format="number")


class SqlError(Exception):
    """An expression that has no value for a record: `reason` is a key of the catalogue."""

    def __init__(self, reason: str, **values: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values = values


class Binary(str):
    """Text that compares byte by byte."""

    __slots__ = ()


class Json(str):
    """JSON text; a JSON string compares by its content."""

    __slots__ = ()


class Scaled(Decimal):
    """A quotient, or what was calculated from one: it has more digits than its `scale`, to which it is rounded only
    when it is shown, so that 1 / 3 * 3 is 1."""

    __slots__ = ("scale",)
    scale: int


def scaled(value: Decimal, scale: int) -> Scaled:
    found = Scaled(value)
    found.scale = min(scale, MOST_SCALE)
    return found


def settled(value: Decimal) -> Decimal:
    """A number as it is shown."""
    if value.__class__ is Scaled:
        return value.quantize(Decimal(1).scaleb(-value.scale), ROUND_HALF_UP, EXACT)
    return value


def bare(value: Any) -> Any:
    """A record's value that stands bare in the SQL text: numbers that are written as text are numbers, nothing is
    NULL."""
    kind = value.__class__
    if kind is str:
        if not value:
            return None
        if _PLAIN.match(value):
            return Decimal(value) if "." in value else int(value)
        return value
    if kind is int or kind is Decimal or value is None:
        return value
    if kind is bool:
        return int(value)
    return ENCODE.encode(value).decode()


def quoted(value: Any) -> str:
    """A record's value that stands between quotes: its text, nothing for null."""
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return written(value)
    return ENCODE.encode(value).decode()


def result(value: Any) -> Any:
    """An expression's value as a payload holds it: times as text."""
    kind = value.__class__
    if kind is str or kind is int or value is None:
        return value
    if kind is Decimal:
        if value.adjusted() > MOST_DIGITS:
            raise SqlError("sql.out_of_range")
        return value
    if kind is Scaled:
        return result(settled(value))
    return str(value) if kind is Binary or kind is Json else text(value)


def text(value: Any) -> str | None:
    """A value as text; None for NULL."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return written(settled(value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds" if value.microsecond else "seconds")
    return str(value.isoformat())


def trimmed(value: Any) -> Any:
    """A number that a server calculates as a double, as it prints it: without trailing zeros."""
    if isinstance(value, Decimal):
        value = REAL.plus(value)
        if value == value.to_integral_value() and value.adjusted() < 17:
            return int(value)
        value = value.normalize(REAL)
    return value


def number(value: Any) -> Any:
    """A value as a number: text up to where it stops being one (`12abc` is 12, `abc` is 0)."""
    if value.__class__ is int or value is None:
        return value
    if isinstance(value, int | Decimal):
        if isinstance(value, Decimal) and is_vast(value):
            raise SqlError("sql.out_of_range")
        return value
    if isinstance(value, Json):
        inner = unquote(value)
        return number(str(inner)) if inner is not None else None
    if isinstance(value, str):
        if value in ("true", "false") and isinstance(value, Json):
            return int(value == "true")
        match = _NUMBER.match(value)
        if match is None:
            return 0
        try:
            found = Decimal(match[1])
        except DecimalException:
            raise SqlError("sql.out_of_range") from None
        if abs(found.adjusted()) > 308:
            raise SqlError("sql.out_of_range")
        return int(found) if found == found.to_integral_value() and found.adjusted() < 18 else found
    if isinstance(value, datetime):
        return int(value.strftime("%Y%m%d%H%M%S"))
    return int(value.strftime("%Y%m%d"))


def scale_of(value: int | Decimal) -> int:
    """Decimals of a number."""
    if value.__class__ is Scaled:
        return value.scale
    return digits_after(value)


def digits_after(value: int | Decimal) -> int:
    """Digits after the point that a number really has."""
    return max(0, -int(value.as_tuple().exponent)) if isinstance(value, Decimal) else 0


def carried(value: Any, scale: int, *operands: Any) -> Any:
    """The result of a calculation; where a quotient took part, it keeps its digits and is shown with `scale`."""
    return scaled(value, scale) if any(one.__class__ is Scaled for one in operands) else value


def bounded(value: Decimal) -> Decimal:
    if value.adjusted() > 400:
        raise SqlError("sql.out_of_range")
    scale = scale_of(value)
    if scale > MOST_SCALE:
        return value.quantize(Decimal(1).scaleb(-MOST_SCALE), ROUND_HALF_UP, EXACT)
    return value


def bounded_int(value: int) -> int:
    if value.bit_length() > 1300:
        raise SqlError("sql.out_of_range")
    return value


Strict = Callable[..., Any]


def strict(function: Strict) -> Strict:
    """NULL where an argument is NULL."""

    @wraps(function)
    def checked(*args: Any) -> Any:
        for one in args:
            if one is None:
                return None
        return function(*args)

    return checked


def whole(value: Any) -> int:
    found = number(value)
    if isinstance(found, int):
        return found
    return int(found.to_integral_value(ROUND_HALF_UP))


def decimals(value: Any) -> int:
    return max(-MOST_DIGITS, min(int(number(value)), MOST_SCALE))


@strict
def unquote(value: Any) -> str | None:
    """JSON_UNQUOTE"""
    shown = text(value) or ""
    if len(shown) > 1 and shown[0] == shown[-1] == '"':
        try:
            found = DECODE.decode(shown)
        except msgspec.DecodeError:
            return shown
        return found if isinstance(found, str) else shown
    return str(shown)
