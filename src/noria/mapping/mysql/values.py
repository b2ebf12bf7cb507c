"""SQL values: what they are in Python, a record's values on their way in, an expression's on its way out, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from functools import wraps
from typing import Any
from uuid import UUID

import msgspec
from xxhash import xxh3_128_digest

from noria.metadata.numbers import is_vast, written

# Digits that a result may have in MySQL; calculations keep more so that rounding is done once.
MOST_DIGITS = 65
MOST_SCALE = 30
EXACT = Context(prec=200, rounding=ROUND_HALF_UP, Emax=9999, Emin=-9999)
# Significant digits of a division in which text takes part (MySQL calculates it as a double).
REAL = Context(prec=17, rounding=ROUND_HALF_UP)

_NUMBER = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)")
_PLAIN = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,64})(?:\.[0-9]{1,30})?\Z")
_INTEGER = re.compile(r"\s*[-+]?[0-9]{1,400}")
_GREATEST = Decimal("1.7976931348623157E+308")
# The longest text that a function may make (MySQL's max_allowed_packet), and what all of an expression may.
LONGEST = 16 * 1024 * 1024
_MOST_GROWTH = 64 * 1024 * 1024

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
    """A number that is shown with so many decimals."""
    found = Scaled(value)
    found.scale = min(scale, MOST_SCALE)
    return found


def settled(value: Decimal) -> Decimal:
    """A number as it is shown."""
    if value.__class__ is Scaled:
        return value.quantize(Decimal(1).scaleb(-value.scale), ROUND_HALF_UP, EXACT)
    return value


_made = 0


def begin() -> None:
    """A new expression is evaluated: nothing has been made yet."""
    global _made
    _made = 0


def grown(length: int) -> int:
    """A text of this length is about to be made. Raises `SqlError` where it, or what the expression has made so far,
    is more than a record's field can be."""
    global _made
    _made += length
    if length > LONGEST or _made > _MOST_GROWTH:
        raise SqlError("sql.too_long", most=LONGEST // 1024 // 1024)
    return length


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
    return text(value)


def text(value: Any) -> str | None:
    """A value as plain text; None for NULL."""
    if value.__class__ is str or value is None:
        return value
    if isinstance(value, str):
        return str(value)
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
        return int(value == "true") if value in ("true", "false") else number(unquote(value))
    if isinstance(value, str):
        match = _NUMBER.match(value)
        if match is None:
            return 0
        try:
            found = Decimal(match[1])
        except DecimalException:
            found = Decimal("-Infinity" if "-" in match[1].lower().partition("e")[0] else "Infinity")
        if found.adjusted() > 308 or found.is_infinite():
            # As a double has it: the greatest number there is, or none at all.
            return _GREATEST.copy_sign(found) if "e-" not in match[1].lower() else 0
        if found.adjusted() < -308:
            return 0
        return int(found) if found == found.to_integral_value() and found.adjusted() < 18 else found
    if isinstance(value, datetime):
        return int(value.strftime("%Y%m%d%H%M%S"))
    return int(value.strftime("%Y%m%d"))


def numeric(value: Any) -> Any:
    """A bare value of the record that is calculated with. Raises `SqlError` for a text that is no number: pasted into
    the expression it would be a syntax error."""
    if value.__class__ is str:
        match = _NUMBER.match(value)
        if match is None or value[match.end() :].strip():
            raise SqlError("sql.not_a_number", value=value[:60])
        return number(value)
    return value


def uuid(place: str, here: tuple[Any, ...]) -> str:
    """UUID(): derived from the record, so that it is the same on every try to send it."""
    return str(UUID(bytes=_digest(place, here), version=4))


def random_number(place: str, here: tuple[Any, ...]) -> Decimal:
    """RAND(): likewise derived from the record."""
    return Decimal(int.from_bytes(_digest(place, here)[:7], "big")) / (1 << 56)


def _digest(place: str, here: tuple[Any, ...]) -> bytes:
    return xxh3_128_digest(place.encode() + ENCODE.encode(here))


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
    """A product with at most 30 decimals; raises `SqlError` for a vast one."""
    if value.adjusted() > 400:
        raise SqlError("sql.out_of_range")
    scale = scale_of(value)
    if scale > MOST_SCALE:
        return value.quantize(Decimal(1).scaleb(-MOST_SCALE), ROUND_HALF_UP, EXACT)
    return value


def bounded_int(value: int) -> int:
    """A whole number; raises `SqlError` for a vast one."""
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
    """A value as a whole number: a number is rounded, a text read up to where it stops being one."""
    if isinstance(value, str) and not isinstance(value, Json):
        match = _INTEGER.match(value)
        return int(match[0]) if match else 0
    found = number(value)
    if isinstance(found, int):
        return found
    return int(settled(found).to_integral_value(ROUND_HALF_UP))


def decimals(value: Any) -> int:
    """A number of decimals, as far as MySQL goes."""
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
    return shown
