"""MySQL's operators and functions, as `_function` uses them. Numbers are exact decimals, times are naive and local.

A value is None (NULL), int, Decimal, str, date or datetime; truth is 1, 0 or None. Text compares as
`utf8mb4_general_ci` does: without case, accents or trailing spaces. What differs from a server is listed in the
language's documentation.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, DecimalException, Overflow
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

import msgspec
import regex

from noria.metadata.numbers import is_vast, written

if TYPE_CHECKING:
    from noria.mapping.values import Environment

# Digits that a result may have in MySQL; calculations keep more so that rounding is done once.
MOST_DIGITS = 65
MOST_SCALE = 30
_CTX = Context(prec=200, rounding=ROUND_HALF_UP, Emax=9999, Emin=-9999)
# Significant digits of a division in which text takes part (MySQL calculates it as a double).
_REAL = Context(prec=17, rounding=ROUND_HALF_UP)
# The longest text that a function may make (MySQL's max_allowed_packet): longer is NULL.
LONGEST = 16 * 1024 * 1024
_SECONDS_A_PATTERN = 0.25
_MOST_REPEATS = 10_000
_LONGEST_PATTERN = 4096

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_PLAIN = re.compile(r"[-+]?(?:0|[1-9]\d{0,64})(?:\.\d{1,30})?\Z")

_DECODE = msgspec.json.Decoder(float_hook=Decimal)
_ENCODE = msgspec.json.Encoder(decimal_format="number")


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


def _scaled(value: Decimal, scale: int) -> Scaled:
    found = Scaled(value)
    found.scale = min(scale, MOST_SCALE)
    return found


def _settled(value: Decimal) -> Decimal:
    """A number as it is shown."""
    if value.__class__ is Scaled:
        return value.quantize(Decimal(1).scaleb(-value.scale), ROUND_HALF_UP, _CTX)
    return value


# --- values on their way in and out ---------------------------------------------------------------------------------


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
    return _ENCODE.encode(value).decode()


def quoted(value: Any) -> str:
    """A record's value that stands between quotes: its text, nothing for null."""
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return written(value)
    return _ENCODE.encode(value).decode()


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
        return result(_settled(value))
    return str(value) if kind is Binary or kind is Json else text(value)


def text(value: Any) -> str | None:
    """A value as text; None for NULL."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return written(_settled(value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds" if value.microsecond else "seconds")
    return str(value.isoformat())


def trimmed(value: Any) -> Any:
    """A number that a server calculates as a double, as it prints it: without trailing zeros."""
    if isinstance(value, Decimal):
        value = _REAL.plus(value)
        if value == value.to_integral_value() and value.adjusted() < 17:
            return int(value)
        value = value.normalize(_REAL)
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


def _scale(value: int | Decimal) -> int:
    """Decimals of a number."""
    if value.__class__ is Scaled:
        return value.scale
    return _digits_after(value)


def _digits_after(value: int | Decimal) -> int:
    """Digits after the point that a number really has."""
    return max(0, -int(value.as_tuple().exponent)) if isinstance(value, Decimal) else 0


def _carried(value: Any, scale: int, *operands: Any) -> Any:
    """The result of a calculation; where a quotient took part, it keeps its digits and is shown with `scale`."""
    return _scaled(value, scale) if any(one.__class__ is Scaled for one in operands) else value


def _bounded(value: Decimal) -> Decimal:
    if value.adjusted() > 400:
        raise SqlError("sql.out_of_range")
    scale = _scale(value)
    if scale > MOST_SCALE:
        return value.quantize(Decimal(1).scaleb(-MOST_SCALE), ROUND_HALF_UP, _CTX)
    return value


def _big(value: int) -> int:
    if value.bit_length() > 1300:
        raise SqlError("sql.out_of_range")
    return value


Strict = Callable[..., Any]


def _strict(function: Strict) -> Strict:
    """NULL where an argument is NULL."""

    @wraps(function)
    def checked(*args: Any) -> Any:
        for one in args:
            if one is None:
                return None
        return function(*args)

    return checked


# --- arithmetic -----------------------------------------------------------------------------------------------------


def add(*values: Any) -> Any:
    """a + b + …"""
    total: Any = 0
    for value in values:
        one = number(value)
        if one is None:
            return None
        if isinstance(total, int) and isinstance(one, int):
            total += one
        else:
            total = _carried(_CTX.add(total, one), max(_scale(total), _scale(one)), total, one)
    return total


@_strict
def subtract(a: Any, b: Any) -> Any:
    """a - b"""
    a, b = number(a), number(b)
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    return _carried(_CTX.subtract(a, b), max(_scale(a), _scale(b)), a, b)


def multiply(*values: Any) -> Any:
    """a * b * …"""
    product: Any = 1
    for value in values:
        one = number(value)
        if one is None:
            return None
        if isinstance(product, int) and isinstance(one, int):
            product = _big(product * one)
        else:
            scale = _scale(product) + _scale(one)
            product = _carried(_bounded(_CTX.multiply(product, one)), scale, product, one)
    return product


def divide(a: Any, b: Any, real: bool = False) -> Any:
    """a / b with four more decimals than a has (MySQL's div_precision_increment); `real`: text takes part, so all
    digits of a double. Raises `SqlError` for b = 0."""
    if a is None or b is None:
        return None
    a, b = number(a), number(b)
    if b == 0:
        raise SqlError("sql.division_by_zero")
    if real:
        return _REAL.divide(a, b)
    return _quotient(a, b)


def _quotient(a: int | Decimal, b: int | Decimal) -> Scaled:
    """a / b as a server calculates it: in words of nine digits, cut off; shown with four decimals more than a."""
    after = (_digits_after(a), _digits_after(b))
    words = [-(-one // 9) * 9 for one in after]
    more = max(0, 4 - (words[0] - after[0]) - (words[1] - after[1]))
    digits = -(-(sum(words) + more) // 9) * 9
    exact = _CTX.divide(Decimal(a), Decimal(b)).quantize(Decimal(1).scaleb(-min(digits, 72)), ROUND_DOWN, _CTX)
    return _scaled(exact, _scale(a) + 4)


@_strict
def modulo(a: Any, b: Any) -> Any:
    """a % b, with the sign of a. Raises `SqlError` for b = 0."""
    a, b = number(a), number(b)
    if b == 0:
        raise SqlError("sql.division_by_zero")
    if isinstance(a, int) and isinstance(b, int):
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    return _carried(_CTX.remainder(a, b), max(_scale(a), _scale(b)), a, b)


@_strict
def int_divide(a: Any, b: Any) -> Any:
    """a DIV b"""
    a, b = number(a), number(b)
    if b == 0:
        raise SqlError("sql.division_by_zero")
    if isinstance(a, int) and isinstance(b, int):
        whole = abs(a) // abs(b)
        return whole if (a < 0) == (b < 0) else -whole
    return int(_CTX.divide_int(a, b))


@_strict
def negative(a: Any) -> Any:
    """-a"""
    a = number(a)
    return -a if isinstance(a, int) else _carried(_CTX.minus(a), _scale(a), a)


@_strict
def absolute(a: Any) -> Any:
    """ABS"""
    a = number(a)
    return abs(a) if isinstance(a, int) else _carried(_CTX.abs(a), _scale(a), a)


@_strict
def sign(a: Any) -> int:
    """SIGN"""
    a = number(a)
    return int(a > 0) - int(a < 0)


def _digits(value: Any) -> int:
    return max(-MOST_DIGITS, min(int(number(value)), MOST_SCALE))


@_strict
def round_(a: Any, d: Any = 0) -> Any:
    """ROUND: half away from zero; never more decimals than there were."""
    return _cut(a, d, ROUND_HALF_UP)


@_strict
def truncate(a: Any, d: Any) -> Any:
    """TRUNCATE"""
    return _cut(a, d, ROUND_DOWN)


def _cut(a: Any, d: Any, rounding: str) -> Any:
    value, digits = number(a), _digits(d)
    if isinstance(value, int):
        if digits >= 0:
            return value
        value = Decimal(value)
    scale = _scale(value)
    if digits >= scale and digits >= 0:
        digits = scale
    found = value.quantize(Decimal(1).scaleb(-digits), rounding, _CTX)
    return int(found) if digits <= 0 else found


@_strict
def ceiling(a: Any) -> Any:
    """CEIL"""
    a = number(a)
    return a if isinstance(a, int) else int(a.to_integral_value("ROUND_CEILING"))


@_strict
def floor(a: Any) -> Any:
    """FLOOR"""
    a = number(a)
    return a if isinstance(a, int) else int(a.to_integral_value("ROUND_FLOOR"))


@_strict
def power(a: Any, b: Any) -> Any:
    """POW"""
    a, b = number(a), number(b)
    if abs(b) > 1100 or (abs(a) > 1 and abs(b) * abs(Decimal(a).adjusted()) > 320):
        raise SqlError("sql.out_of_range")
    try:
        found = _CTX.power(Decimal(a), Decimal(b))
    except Overflow:
        raise SqlError("sql.out_of_range") from None
    except DecimalException:
        return None
    if found.adjusted() > 308:
        raise SqlError("sql.out_of_range")
    return trimmed(found)


@_strict
def square_root(a: Any) -> Any:
    """SQRT; NULL for negative numbers."""
    a = number(a)
    return None if a < 0 else trimmed(_REAL.sqrt(Decimal(a)))


@_strict
def bits(operator: str, a: Any, b: Any = 0) -> int:
    """Bit operators on unsigned 64-bit integers."""
    mask = (1 << 64) - 1
    x, y = (int(_CTX.to_integral_value(Decimal(number(one)))) & mask for one in (a, b))
    if operator in ("<<", ">>") and y > 63:
        return 0
    found = {
        "&": x & y,
        "|": x | y,
        "^": x ^ y,
        "<<": (x << (y % 64)) & mask,
        ">>": x >> (y % 64),
        "~": ~x & mask,
    }
    return found[operator]


# --- comparing ------------------------------------------------------------------------------------------------------


def fold(value: str) -> str:
    """What a text compares by: upper case, without accents and trailing spaces."""
    return folded(value).rstrip(" ")


def folded(value: str) -> str:
    """Likewise with its spaces; as many characters as the text has."""
    return value.upper() if value.isascii() else "".join(map(_fold_one, value))


@lru_cache(8192)
def _fold_one(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[0] if ord(char) < 0x2000 else char
    upper = base.upper()
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
        x, y = (a, b) if isinstance(a, Binary) or isinstance(b, Binary) else (fold(a), fold(b))
        return (x > y) - (x < y)
    if isinstance(a, date | str) and isinstance(b, date | str):
        left, right = to_time(a), to_time(b)
        if left is None or right is None:
            return compare(text(a), text(b))
        start, end = _as_datetime(left), _as_datetime(right)
        return (start > end) - (start < end)
    a, b = number(a), number(b)
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


@_strict
def xor(a: Any, b: Any) -> int:
    """XOR"""
    return int(truth(a) != truth(b))


def not_(value: Any) -> int | None:
    """NOT"""
    return None if value is None else int(not truth(value))


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


@_strict
def matches(value: Any, pattern: Any) -> int:
    """REGEXP"""
    return int(_timed(_pattern(text(pattern) or "").search, text(value)) is not None)


@_strict
def regexp_replace(value: Any, pattern: Any, replacement: Any) -> str:
    """REGEXP_REPLACE; groups are `\\1`."""
    template = re.sub(r"\\(?!\d)", r"\\\\", text(replacement) or "")
    return str(_timed(_pattern(text(pattern) or "").sub, template, text(value)))


@_strict
def regexp_substr(value: Any, pattern: Any) -> str:
    """REGEXP_SUBSTR; the empty text when nothing matches."""
    found = _timed(_pattern(text(pattern) or "").search, text(value))
    return found[0] if found else ""


@_strict
def regexp_instr(value: Any, pattern: Any) -> int:
    """REGEXP_INSTR"""
    found = _timed(_pattern(text(pattern) or "").search, text(value))
    return found.start() + 1 if found else 0


# --- choosing -------------------------------------------------------------------------------------------------------


@_strict
def greatest(*values: Any) -> Any:
    """GREATEST"""
    return _extreme(values, 1)


@_strict
def least(*values: Any) -> Any:
    """LEAST"""
    return _extreme(values, -1)


def _extreme(values: Sequence[Any], wanted: int) -> Any:
    best = values[0]
    for value in values[1:]:
        if compare(value, best) == wanted:
            best = value
    return best


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
    place = None if n is None else _whole(n)
    return None if place is None or not 1 <= place <= len(choices) else text(choices[place - 1])


# --- text -----------------------------------------------------------------------------------------------------------


def _whole(value: Any) -> int:
    found = number(value)
    if isinstance(found, int):
        return found
    return int(found.to_integral_value(ROUND_HALF_UP))


def concat(*values: Any) -> str | None:
    """CONCAT"""
    texts = []
    for value in values:
        one = value if value.__class__ is str else text(value)
        if one is None:
            return None
        texts.append(one)
    return _limited("".join(texts))


def _limited(value: str) -> str | None:
    return value if len(value) <= LONGEST else None


def concat_ws(separator: Any, *values: Any) -> str | None:
    """CONCAT_WS"""
    between_ = text(separator)
    return None if between_ is None else _limited(between_.join(t for t in map(text, values) if t is not None))


@_strict
def substring(value: Any, start: Any, length: Any = LONGEST) -> str:
    """SUBSTRING"""
    subject, place, most = text(value) or "", _whole(start), _whole(length)
    if place == 0 or most <= 0 or place < -len(subject):
        return ""
    begin = place - 1 if place > 0 else len(subject) + place
    return subject[begin : begin + most]


@_strict
def left(value: Any, n: Any) -> str:
    """LEFT"""
    return (text(value) or "")[: max(_whole(n), 0)]


@_strict
def right(value: Any, n: Any) -> str:
    """RIGHT"""
    count = max(_whole(n), 0)
    return (text(value) or "")[-count:] if count else ""


@_strict
def substring_index(value: Any, delimiter: Any, count: Any) -> str:
    """SUBSTRING_INDEX"""
    subject, mark, n = text(value) or "", text(delimiter) or "", _whole(count)
    if not mark or n == 0:
        return ""
    parts = subject.split(mark)
    return mark.join(parts[:n] if n > 0 else parts[n:])


@_strict
def length(value: Any) -> int:
    """LENGTH in bytes"""
    return len((text(value) or "").encode("utf-8", "surrogatepass"))


@_strict
def char_length(value: Any) -> int:
    """CHAR_LENGTH"""
    return len(text(value) or "")


@_strict
def replace(value: Any, old: Any, new: Any) -> str | None:
    """REPLACE, with case"""
    subject, what, with_ = text(value) or "", text(old) or "", text(new) or ""
    if not what:
        return subject
    if len(with_) > 1 and len(subject) + subject.count(what) * len(with_) > LONGEST:
        return None
    return subject.replace(what, with_)


@_strict
def locate(part: Any, value: Any, start: Any = 1) -> int:
    """LOCATE"""
    place = _whole(start)
    return folded(text(value) or "").find(folded(text(part) or ""), place - 1) + 1 if place > 0 else 0


def instr(value: Any, part: Any) -> Any:
    """INSTR"""
    return locate(part, value)


@_strict
def trim(value: Any, what: Any = " ", where: str = "BOTH") -> str:
    """TRIM"""
    subject, mark = text(value) or "", text(what) or ""
    if not mark:
        return subject
    begin, end = 0, len(subject)
    if where != "TRAILING":
        while subject.startswith(mark, begin, end):
            begin += len(mark)
    if where != "LEADING":
        while end - begin >= len(mark) and subject.endswith(mark, begin, end):
            end -= len(mark)
    return subject[begin:end]


@_strict
def ltrim(value: Any) -> str:
    """LTRIM"""
    return (text(value) or "").lstrip(" ")


@_strict
def rtrim(value: Any) -> str:
    """RTRIM"""
    return (text(value) or "").rstrip(" ")


@_strict
def upper(value: Any) -> str:
    """UPPER"""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text(value) or "")


@_strict
def lower(value: Any) -> str:
    """LOWER"""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text(value) or "")


@_strict
def lpad(value: Any, n: Any, with_: Any) -> str | None:
    """LPAD"""
    return _pad(value, n, with_, left_=True)


@_strict
def rpad(value: Any, n: Any, with_: Any) -> str | None:
    """RPAD"""
    return _pad(value, n, with_, left_=False)


def _pad(value: Any, n: Any, with_: Any, *, left_: bool) -> str | None:
    subject, wanted, mark = text(value) or "", _whole(n), text(with_) or ""
    if wanted < 0 or wanted > LONGEST:
        return None
    if wanted <= len(subject):
        return subject[:wanted]
    if not mark:
        return None
    missing = wanted - len(subject)
    padding = (mark * (missing // len(mark) + 1))[:missing]
    return padding + subject if left_ else subject + padding


@_strict
def repeat(value: Any, n: Any) -> str | None:
    """REPEAT"""
    subject, count = text(value) or "", max(_whole(n), 0)
    return None if len(subject) * count > LONGEST else subject * count


@_strict
def reverse(value: Any) -> str:
    """REVERSE"""
    return (text(value) or "")[::-1]


@_strict
def space(n: Any) -> str | None:
    """SPACE"""
    return repeat(" ", n)  # type: ignore[no-any-return]


def strcmp(a: Any, b: Any) -> int | None:
    """STRCMP"""
    return compare(text(a), text(b))


@_strict
def find_in_set(value: Any, choices: Any) -> int:
    """FIND_IN_SET"""
    subject, listed = text(value) or "", text(choices) or ""
    if not listed or "," in subject:
        return 0
    return next((i for i, one in enumerate(listed.split(","), 1) if fold(one) == fold(subject)), 0)


@_strict
def format_(value: Any, d: Any) -> str:
    """FORMAT: thousands separators"""
    digits = max(0, _digits(d))
    amount = Decimal(number(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _CTX)
    return f"{amount:,f}"


@_strict
def hexadecimal(value: Any) -> str:
    """HEX"""
    if isinstance(value, int | Decimal):
        return f"{_whole(value) & ((1 << 64) - 1):X}"
    return (text(value) or "").encode("utf-8", "surrogatepass").hex().upper()


@_strict
def ascii_(value: Any) -> int:
    """ASCII"""
    return next(iter((text(value) or "").encode("utf-8", "surrogatepass")), 0)


def char(*codes: Any) -> str:
    """CHAR: the text whose UTF-8 bytes these numbers are; NULLs are left out."""
    numbers = [max(_whole(code), 0) % (1 << 32) for code in codes if code is not None]
    parts = [one.to_bytes(max(1, (one.bit_length() + 7) // 8), "big") for one in numbers]
    return b"".join(parts).decode("utf-8", "replace")


@_strict
def md5(value: Any) -> str:
    """MD5"""
    return hashlib.md5(_bytes(value), usedforsecurity=False).hexdigest()


@_strict
def sha1(value: Any) -> str:
    """SHA1"""
    return hashlib.sha1(_bytes(value), usedforsecurity=False).hexdigest()


@_strict
def sha2(value: Any, size: Any) -> str | None:
    """SHA2"""
    name = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}.get(_whole(size))
    return None if name is None else hashlib.new(name, _bytes(value), usedforsecurity=False).hexdigest()


def _bytes(value: Any) -> bytes:
    return (text(value) or "").encode("utf-8", "surrogatepass")


# --- times ----------------------------------------------------------------------------------------------------------

_TIME_TEXT = re.compile(
    r"\s*(\d{4}|\d{2})[^\w\s](\d{1,2})[^\w\s](\d{1,2})"
    r"(?:(?:[T ]\s*)(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?)?"
)
_DIGIT_TIME = re.compile(r"\s*(\d{14}|\d{12}|\d{8}|\d{6})(?:\.\d*)?\s*\Z")
_CLOCK = re.compile(r"\s*(-?)(?:(\d+) )?(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?\s*\Z")


def to_time(value: Any) -> date | datetime | None:
    """A date or date-time from MySQL's ways of writing one; None for what is none."""
    if value is None or isinstance(value, date):
        return value
    if isinstance(value, int | Decimal):
        value = str(int(value))
        value = value.zfill(6 if len(value) <= 6 else 8 if len(value) <= 8 else 12 if len(value) <= 12 else 14)
    digits = _DIGIT_TIME.match(value)
    try:
        if digits:
            return _from_digits(digits[1])
        match = _TIME_TEXT.match(value)
        if match is None:
            return None
        year, month, day = _year(match[1]), int(match[2]), int(match[3])
        if match[4] is None:
            return date(year, month, day)
        micro = int((match[7] or "0").ljust(6, "0"))
        return datetime(year, month, day, int(match[4]), int(match[5] or 0), int(match[6] or 0), micro)
    except ValueError:
        return None


def _year(digits: str) -> int:
    if len(digits) == 4:
        return int(digits)
    return 2000 + int(digits) if int(digits) < 70 else 1900 + int(digits)


def _from_digits(digits: str) -> date | datetime:
    head = 4 if len(digits) in (8, 14) else 2
    year, rest = _year(digits[:head]), [int(digits[i : i + 2]) for i in range(head, len(digits), 2)]
    return date(year, rest[0], rest[1]) if len(rest) == 2 else datetime(year, *rest)  # type: ignore[arg-type]


def _as_datetime(value: date | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def now(env: Environment) -> datetime:
    """NOW(): when the run began, in the connection's zone."""
    return datetime.fromtimestamp(int(env.moment.now), env.moment.tz).replace(tzinfo=None)


def today(env: Environment) -> date:
    """CURDATE()"""
    return now(env).date()


def clock(env: Environment) -> str:
    """CURTIME()"""
    return now(env).strftime("%H:%M:%S")


def utc(env: Environment) -> datetime:
    """UTC_TIMESTAMP()"""
    return datetime.fromtimestamp(int(env.moment.now), UTC).replace(tzinfo=None)


def date_part(value: Any) -> date | None:
    """DATE"""
    found = to_time(value)
    return found.date() if isinstance(found, datetime) else found


def timestamp(value: Any) -> datetime | None:
    """TIMESTAMP"""
    found = to_time(value)
    return None if found is None else _as_datetime(found)


def _clock_of(value: Any) -> timedelta | None:
    """The time of day of a time, or a duration such as `26:05:00`."""
    if isinstance(value, str):
        match = _CLOCK.match(value)
        if match:
            if int(match[4]) > 59 or int(match[5] or 0) > 59:
                return None
            found = timedelta(
                days=int(match[2] or 0),
                hours=int(match[3]),
                minutes=int(match[4]),
                seconds=int(match[5] or 0),
                microseconds=int((match[6] or "0").ljust(6, "0")),
            )
            return -found if match[1] else found
    moment = to_time(value)
    if moment is None:
        return None
    whole = _as_datetime(moment)
    return whole - _as_datetime(whole.date())


@_strict
def time_part(value: Any) -> str | None:
    """TIME"""
    found = _clock_of(value)
    if found is None:
        return None
    seconds = abs(found) // timedelta(seconds=1)
    micro = abs(found).microseconds
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{micro:06}" if micro else "")
    return "-" + shown if found < timedelta(0) else shown


_PARTS: dict[str, Callable[[datetime], int]] = {
    "YEAR": lambda t: t.year,
    "QUARTER": lambda t: (t.month + 2) // 3,
    "MONTH": lambda t: t.month,
    "WEEK": lambda t: _week(t, 0)[1],
    "DAY": lambda t: t.day,
    "DAYOFWEEK": lambda t: t.isoweekday() % 7 + 1,
    "WEEKDAY": lambda t: t.weekday(),
    "DAYOFYEAR": lambda t: t.timetuple().tm_yday,
}


@_strict
def part(unit: str, value: Any) -> int | None:
    """EXTRACT, YEAR, MONTH, …"""
    if unit in ("HOUR", "MINUTE", "SECOND", "MICROSECOND"):
        clock_ = _clock_of(value)
        if clock_ is None:
            return None
        seconds = abs(clock_) // timedelta(seconds=1)
        return {
            "HOUR": seconds // 3600,
            "MINUTE": seconds // 60 % 60,
            "SECOND": seconds % 60,
            "MICROSECOND": abs(clock_).microseconds,
        }[unit]
    moment = to_time(value)
    return None if moment is None else _PARTS[unit](_as_datetime(moment))


def last_day(value: Any) -> date | None:
    """LAST_DAY"""
    found = to_time(value)
    return None if found is None else date(found.year, found.month, monthrange(found.year, found.month)[1])


_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


@_strict
def date_add(value: Any, amount: Any, unit: str, direction: int = 1) -> date | datetime | None:
    """DATE_ADD: a month more than 31 January is the last of February. NULL outside the years 1 to 9999."""
    moment = to_time(value)
    if moment is None:
        return None
    count = number(amount)
    try:
        if unit in _MONTHS:
            total = moment.year * 12 + moment.month - 1 + _whole(count) * _MONTHS[unit] * direction
            year, month = divmod(total, 12)
            return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
        if unit == "MICROSECOND":
            return _as_datetime(moment) + timedelta(microseconds=_whole(count) * direction)
        # Fractions count for seconds only, as in MySQL.
        exact = count if unit == "SECOND" else _whole(count)
        step = timedelta(microseconds=int(exact * _SECONDS[unit] * 1_000_000) * direction)
        return (moment if unit in ("DAY", "WEEK") else _as_datetime(moment)) + step
    except (ValueError, OverflowError):
        return None


def date_sub(value: Any, amount: Any, unit: str) -> Any:
    """DATE_SUB"""
    return date_add(value, amount, unit, -1)


@_strict
def timestamp_add(unit: str, amount: Any, value: Any) -> Any:
    """TIMESTAMPADD"""
    return date_add(value, amount, unit)


@_strict
def timestamp_diff(unit: str, a: Any, b: Any) -> int | None:
    """TIMESTAMPDIFF: whole units from a to b."""
    first, second = to_time(a), to_time(b)
    if first is None or second is None:
        return None
    start, end = _as_datetime(first), _as_datetime(second)
    if unit in _MONTHS:
        low, high = min(start, end), max(start, end)
        months = (high.year - low.year) * 12 + high.month - low.month
        if (high.day, high.time()) < (low.day, low.time()):
            months -= 1
        months //= _MONTHS[unit]
        return months if end >= start else -months
    size = timedelta(microseconds=1) if unit == "MICROSECOND" else timedelta(seconds=_SECONDS[unit])
    whole = abs(end - start) // size
    return whole if end >= start else -whole


@_strict
def date_diff(a: Any, b: Any) -> int | None:
    """DATEDIFF"""
    first, second = date_part(a), date_part(b)
    return None if first is None or second is None else (first - second).days


def unix_timestamp(env: Environment, *value: Any) -> Any:
    """UNIX_TIMESTAMP in the connection's zone; 0 before 1970."""
    if not value:
        return int(env.moment.now)
    found = to_time(value[0])
    if found is None:
        return None
    whole = _as_datetime(found)
    seconds = int(whole.replace(tzinfo=env.moment.tz, microsecond=0).timestamp())
    if seconds < 0:
        return 0
    return seconds + Decimal(whole.microsecond) / 1_000_000 if whole.microsecond else seconds


def from_unixtime(env: Environment, value: Any, *pattern: Any) -> Any:
    """FROM_UNIXTIME in the connection's zone; NULL for negative numbers and after the year 9999."""
    if value is None or (pattern and pattern[0] is None):
        return None
    seconds = number(value)
    if seconds < 0:
        return None
    try:
        moment = datetime.fromtimestamp(int(seconds), env.moment.tz).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None
    micro = int((Decimal(seconds) % 1) * 1_000_000)
    moment = moment.replace(microsecond=micro)
    return date_format(moment, pattern[0]) if pattern else moment


_MONTH_NAMES = "January February March April May June July August September October November December".split()
_DAY_NAMES = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _ordinal(day: int) -> str:
    return f"{day}" + ("th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th"))


def _week(moment: datetime, mode: int) -> tuple[int, int]:
    """Year and week number; mode 0: Sunday first, from 0; 1: Monday first, from 0; 2 and 3: likewise from 1."""
    monday = mode in (1, 3)
    if mode == 3:
        year, week, _ = moment.isocalendar()
        return year, week
    first = datetime(moment.year, 1, 1)
    weekday = first.weekday() if monday else first.isoweekday() % 7
    offset = (moment - first).days
    if monday:
        # Week 1 has more than three days of the year.
        start = -weekday if weekday <= 3 else 7 - weekday
    else:
        start = 0 if weekday == 0 else 7 - weekday
    if offset >= start:
        return moment.year, (offset - start) // 7 + 1
    if mode == 0 or mode == 1:
        return moment.year, 0
    return _week(datetime(moment.year - 1, 12, 31), mode)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "a": lambda t: _DAY_NAMES[t.weekday()][:3],
    "b": lambda t: _MONTH_NAMES[t.month - 1][:3],
    "c": lambda t: str(t.month),
    "D": lambda t: _ordinal(t.day),
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: str(t.day),
    "f": lambda t: f"{t.microsecond:06}",
    "H": lambda t: f"{t.hour:02}",
    "h": lambda t: f"{t.hour % 12 or 12:02}",
    "I": lambda t: f"{t.hour % 12 or 12:02}",
    "i": lambda t: f"{t.minute:02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "k": lambda t: str(t.hour),
    "l": lambda t: str(t.hour % 12 or 12),
    "M": lambda t: _MONTH_NAMES[t.month - 1],
    "m": lambda t: f"{t.month:02}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "r": lambda t: f"{t.hour % 12 or 12:02}:{t.minute:02}:{t.second:02} {'AM' if t.hour < 12 else 'PM'}",
    "S": lambda t: f"{t.second:02}",
    "s": lambda t: f"{t.second:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "U": lambda t: f"{_week(t, 0)[1]:02}",
    "u": lambda t: f"{_week(t, 1)[1]:02}",
    "V": lambda t: f"{_week(t, 2)[1]:02}",
    "v": lambda t: f"{_week(t, 3)[1]:02}",
    "W": lambda t: _DAY_NAMES[t.weekday()],
    "w": lambda t: str(t.isoweekday() % 7),
    "X": lambda t: f"{_week(t, 2)[0]:04}",
    "x": lambda t: f"{_week(t, 3)[0]:04}",
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
}


@lru_cache(512)
def _format_parts(pattern: str) -> tuple[str | Callable[[datetime], str], ...]:
    """A format's literal texts and the functions of its specifiers."""
    parts: list[str | Callable[[datetime], str]] = []
    chars = iter(pattern)
    for char in chars:
        if char == "%":
            specifier = next(chars, "%")
            parts.append(_FORMATS.get(specifier, specifier))
        else:
            parts.append(char)
    return tuple(parts)


@_strict
def date_format(value: Any, pattern: Any) -> str | None:
    """DATE_FORMAT"""
    moment = to_time(value)
    if moment is None:
        return None
    whole = _as_datetime(moment)
    return "".join(part if isinstance(part, str) else part(whole) for part in _format_parts(text(pattern) or ""))


_READS = {
    "Y": r"(?P<Y>\d{1,4})", "y": r"(?P<y>\d{1,2})", "m": r"(?P<m>\d{1,2})", "c": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})", "e": r"(?P<d>\d{1,2})", "H": r"(?P<H>\d{1,2})", "k": r"(?P<H>\d{1,2})",
    "h": r"(?P<h>\d{1,2})", "I": r"(?P<h>\d{1,2})", "l": r"(?P<h>\d{1,2})", "i": r"(?P<i>\d{1,2})",
    "s": r"(?P<s>\d{1,2})", "S": r"(?P<s>\d{1,2})", "f": r"(?P<f>\d{1,6})", "p": r"(?P<p>[AaPp][Mm])",
    "M": r"(?P<M>[A-Za-z]+)", "b": r"(?P<b>[A-Za-z]{3})", "a": r"[A-Za-z]{3}", "W": r"[A-Za-z]+",
    "j": r"(?P<j>\d{1,3})",
}  # fmt: skip


@lru_cache(512)
def _reader(pattern: str) -> re.Pattern[str] | None:
    pattern = pattern.replace("%T", "%H:%i:%s").replace("%r", "%h:%i:%s %p")
    parts, seen = [], set()
    chars = iter(pattern)
    for char in chars:
        if char == "%":
            specifier = next(chars, "%")
            piece = _READS.get(specifier)
            if piece is None:
                if specifier != "%":
                    return None
                piece = "%"
            if piece in seen and "(?P" in piece:
                return None
            seen.add(piece)
            parts.append(r"\s*" + piece)
        else:
            parts.append(r"\s*" if char.isspace() else r"\s*" + re.escape(char))
    return re.compile("".join(parts))


@_strict
def str_to_date(value: Any, pattern: Any) -> Any:
    """STR_TO_DATE: a date, a date-time, or a time of day as the format has parts; NULL for what doesn't fit."""
    reader = _reader(text(pattern) or "")
    match = reader.match(text(value) or "") if reader else None
    if match is None:
        return None
    found = {name: one for name, one in match.groupdict().items() if one is not None}
    names = {"M": _MONTH_NAMES, "b": [name[:3] for name in _MONTH_NAMES]}
    try:
        for key, listed in names.items():
            if key in found:
                found["m"] = str([name.lower() for name in listed].index(found[key].lower()) + 1)
        clock_ = _read_clock(found)
        if not {"Y", "y", "m", "d", "j"} & set(found):
            return f"{clock_[0]:02}:{clock_[1]:02}:{clock_[2]:02}" if clock_ else None
        year = _year(found["Y"].zfill(4 if len(found["Y"]) > 2 else 2)) if "Y" in found else _year(found["y"].zfill(2))
        if "j" in found:
            day = date(year, 1, 1) + timedelta(days=int(found["j"]) - 1)
        else:
            day = date(year, int(found["m"]), int(found["d"]))
    except (ValueError, KeyError):
        return None
    return day if clock_ is None else datetime(day.year, day.month, day.day, *clock_)


def _read_clock(found: dict[str, str]) -> tuple[int, int, int, int] | None:
    """Hour, minute, second and microsecond; None when the format has none of them. Raises `ValueError`."""
    if not {"H", "h", "i", "s", "f"} & set(found):
        return None
    hour = int(found.get("H", 0))
    if "h" in found:
        hour = int(found["h"])
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if found.get("p", "am").lower() == "pm" else 0)
    minute, second = int(found.get("i", 0)), int(found.get("s", 0))
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(hour)
    return hour, minute, second, int(found.get("f", "0").ljust(6, "0"))


# --- types ----------------------------------------------------------------------------------------------------------


@_strict
def cast(value: Any, kind: str, size: int = -1, scale: int = 0) -> Any:
    """CAST"""
    match kind:
        case "CHAR":
            shown = text(value) or ""
            return shown if size < 0 else shown[:size]
        case "BINARY":
            return Binary(text(value) or "")
        case "SIGNED" | "UNSIGNED":
            if isinstance(value, str):
                match_ = re.match(r"\s*[-+]?\d+", value)
                whole = int(match_[0][:400]) if match_ else 0
            else:
                whole = _whole(value)
            low, high = (-(1 << 63), (1 << 63) - 1) if kind == "SIGNED" else (0, (1 << 64) - 1)
            if kind == "UNSIGNED" and whole < 0:
                return whole + (1 << 64) if isinstance(value, str | int) and whole >= -(1 << 63) else 0
            return max(low, min(high, whole))
        case "DECIMAL":
            found = Decimal(number(value)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CTX)
            most = Decimal(10) ** ((10 if size < 0 else size) - scale) - Decimal(1).scaleb(-scale)
            found = max(-most, min(most, found))
            return int(found) if scale == 0 else found
        case "DOUBLE":
            return trimmed(Decimal(number(value)))
        case "DATE":
            return date_part(value)
        case "DATETIME":
            return timestamp(value)
        case "TIME":
            return time_part(value)
        case _:
            found_json = _json(value)
            return Json(_ENCODE.encode(found_json).decode())


# --- JSON -----------------------------------------------------------------------------------------------------------

_STEP = re.compile(
    r'\s*(?:\.\s*(?:"((?:[^"\\]|\\.)*)"|([^\s.\[\]"*]+)|(\*))|\[\s*(?:(\d{1,9})|(\*)|last(?:\s*-\s*(\d{1,9}))?)\s*\])'
)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, int | Decimal) else text(value)
    try:
        return _DECODE.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise SqlError("sql.not_json", value=value[:60]) from None


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


@_strict
def json_extract(document: Any, *paths: Any) -> Json | None:
    """JSON_EXTRACT"""
    decoded = _json(document)
    found: list[Any] = []
    many = len(paths) > 1
    for path in paths:
        places, several = _found(decoded, text(path) or "")
        found += places
        many = many or several
    if not found:
        return None
    return Json(_ENCODE.encode(found if many else found[0]).decode())


@_strict
def unquote(value: Any) -> str | None:
    """JSON_UNQUOTE"""
    shown = text(value) or ""
    if len(shown) > 1 and shown[0] == shown[-1] == '"':
        try:
            found = _DECODE.decode(shown)
        except msgspec.DecodeError:
            return shown
        return found if isinstance(found, str) else shown
    return str(shown)


@_strict
def json_value(document: Any, path: Any) -> str | None:
    """JSON_VALUE: a scalar as text, NULL for objects and arrays."""
    found = _found(_json(document), text(path) or "")[0]
    if not found or found[0] is None or isinstance(found[0], dict | list):
        return None
    if isinstance(found[0], bool):
        return str(int(found[0]))
    return text(found[0])


@_strict
def json_length(document: Any, path: Any = "$") -> int | None:
    """JSON_LENGTH"""
    found = _found(_json(document), text(path) or "")[0]
    if not found:
        return None
    return len(found[0]) if isinstance(found[0], dict | list) else 1


@_strict
def json_valid(document: Any) -> int:
    """JSON_VALID"""
    try:
        _json(document)
    except SqlError:
        return 0
    return 1


# --- over lines -----------------------------------------------------------------------------------------------------


def spread(values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The operands of an aggregate, one tuple per line: lists are walked together, single values repeated."""
    longest = max((len(one) for one in values if isinstance(one, list)), default=1)
    columns = []
    for one in values:
        if not isinstance(one, list):
            columns.append([one] * longest)
        elif len(one) == longest:
            columns.append(one)
        else:
            raise SqlError("sql.uneven_lines", a=longest, b=len(one))
    return list(zip(*columns, strict=True))


def total(values: Sequence[Any]) -> Any:
    """SUM"""
    found = [number(one) for one in values if one is not None]
    return add(*found) if found else None


def average(values: Sequence[Any]) -> Any:
    """AVG, with four more decimals"""
    found = [number(one) for one in values if one is not None]
    if not found:
        return None
    return _quotient(add(*found), len(found))


def maximum(values: Sequence[Any]) -> Any:
    """MAX"""
    found = [one for one in values if one is not None]
    return _extreme(found, 1) if found else None


def minimum(values: Sequence[Any]) -> Any:
    """MIN"""
    found = [one for one in values if one is not None]
    return _extreme(found, -1) if found else None


def count(values: Sequence[Any]) -> int:
    """COUNT"""
    return sum(one is not None for one in values)


def group_concat(values: Sequence[Any], separator: Any = ",") -> str | None:
    """GROUP_CONCAT"""
    found = [text(one) or "" for one in values if one is not None]
    return (text(separator) or "").join(found) if found else None


def distinct(values: Sequence[Any]) -> list[Any]:
    """DISTINCT: the first of those that compare equal."""
    found: list[Any] = []
    seen: set[Any] = set()
    for one in values:
        key = fold(one) if isinstance(one, str) else one
        if one is not None and key not in seen:
            seen.add(key)
            found.append(one)
    return found
