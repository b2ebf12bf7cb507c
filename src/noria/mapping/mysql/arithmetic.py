"""Arithmetic on exact decimals, with MySQL's scales and roundings."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, DecimalException, Overflow
from typing import Any

from noria.mapping.mysql.values import (
    EXACT,
    REAL,
    Scaled,
    SqlError,
    bounded,
    bounded_int,
    carried,
    decimals,
    digits_after,
    number,
    scale_of,
    scaled,
    strict,
    trimmed,
)


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
            total = carried(EXACT.add(total, one), max(scale_of(total), scale_of(one)), total, one)
    return total


@strict
def subtract(a: Any, b: Any) -> Any:
    """a - b"""
    a, b = number(a), number(b)
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    return carried(EXACT.subtract(a, b), max(scale_of(a), scale_of(b)), a, b)


def multiply(*values: Any) -> Any:
    """a * b * …"""
    product: Any = 1
    for value in values:
        one = number(value)
        if one is None:
            return None
        if isinstance(product, int) and isinstance(one, int):
            product = bounded_int(product * one)
        else:
            scale = scale_of(product) + scale_of(one)
            product = carried(bounded(EXACT.multiply(product, one)), scale, product, one)
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
        return REAL.divide(a, b)
    return quotient(a, b)


def quotient(a: int | Decimal, b: int | Decimal) -> Scaled:
    """a / b as a server calculates it: in words of nine digits, cut off; shown with four decimals more than a."""
    after = (digits_after(a), digits_after(b))
    words = [-(-one // 9) * 9 for one in after]
    more = max(0, 4 - (words[0] - after[0]) - (words[1] - after[1]))
    digits = -(-(sum(words) + more) // 9) * 9
    exact = EXACT.divide(Decimal(a), Decimal(b)).quantize(Decimal(1).scaleb(-min(digits, 72)), ROUND_DOWN, EXACT)
    return scaled(exact, scale_of(a) + 4)


@strict
def modulo(a: Any, b: Any) -> Any:
    """a % b, with the sign of a. Raises `SqlError` for b = 0."""
    a, b = number(a), number(b)
    if b == 0:
        raise SqlError("sql.division_by_zero")
    if isinstance(a, int) and isinstance(b, int):
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    return carried(EXACT.remainder(a, b), max(scale_of(a), scale_of(b)), a, b)


@strict
def int_divide(a: Any, b: Any) -> Any:
    """a DIV b"""
    a, b = number(a), number(b)
    if b == 0:
        raise SqlError("sql.division_by_zero")
    if isinstance(a, int) and isinstance(b, int):
        whole = abs(a) // abs(b)
        return whole if (a < 0) == (b < 0) else -whole
    return int(EXACT.divide_int(a, b))


@strict
def negative(a: Any) -> Any:
    """-a"""
    a = number(a)
    return -a if isinstance(a, int) else carried(EXACT.minus(a), scale_of(a), a)


@strict
def absolute(a: Any) -> Any:
    """ABS"""
    a = number(a)
    return abs(a) if isinstance(a, int) else carried(EXACT.abs(a), scale_of(a), a)


@strict
def sign(a: Any) -> int:
    """SIGN"""
    a = number(a)
    return int(a > 0) - int(a < 0)


@strict
def round_(a: Any, d: Any = 0) -> Any:
    """ROUND: half away from zero, to d decimals; an integer stays one."""
    return _cut(a, d, ROUND_HALF_UP)


@strict
def truncate(a: Any, d: Any) -> Any:
    """TRUNCATE"""
    return _cut(a, d, ROUND_DOWN)


def _cut(a: Any, d: Any, rounding: str) -> Any:
    value, digits = number(a), decimals(d)
    if isinstance(value, int):
        if digits >= 0:
            return value
        value = Decimal(value)
    if isinstance(a, str):
        # A text is a double, which has no decimals of its own to add to.
        digits = min(digits, digits_after(value))
    found = value.quantize(Decimal(1).scaleb(-digits), rounding, EXACT)
    return int(found) if digits <= 0 else abs(found) if found == 0 else found


@strict
def ceiling(a: Any) -> Any:
    """CEIL"""
    a = number(a)
    return a if isinstance(a, int) else int(a.to_integral_value("ROUND_CEILING"))


@strict
def floor(a: Any) -> Any:
    """FLOOR"""
    a = number(a)
    return a if isinstance(a, int) else int(a.to_integral_value("ROUND_FLOOR"))


@strict
def power(a: Any, b: Any) -> Any:
    """POW"""
    a, b = number(a), number(b)
    if b == 0:
        return 1
    if abs(b) > 1100 or (abs(a) > 1 and abs(b) * abs(Decimal(a).adjusted()) > 320):
        raise SqlError("sql.out_of_range")
    try:
        found = EXACT.power(Decimal(a), Decimal(b))
    except Overflow:
        raise SqlError("sql.out_of_range") from None
    except DecimalException:
        return None
    if found.adjusted() > 308:
        raise SqlError("sql.out_of_range")
    return trimmed(found)


@strict
def square_root(a: Any) -> Any:
    """SQRT; NULL for negative numbers."""
    a = number(a)
    return None if a < 0 else trimmed(REAL.sqrt(Decimal(a)))


@strict
def exponential(a: Any) -> Any:
    """EXP"""
    a = number(a)
    if abs(a) > 700:
        raise SqlError("sql.out_of_range")
    return trimmed(REAL.exp(Decimal(a)))


@strict
def logarithm(a: Any) -> Any:
    """LN; NULL for what is not positive."""
    a = number(a)
    return trimmed(REAL.ln(Decimal(a))) if a > 0 else None


@strict
def logarithm_10(a: Any) -> Any:
    """LOG10; NULL for what is not positive."""
    a = number(a)
    return trimmed(REAL.log10(Decimal(a))) if a > 0 else None


@strict
def bits(operator: str, a: Any, b: Any = 0) -> int:
    """Bit operators on unsigned 64-bit integers."""
    mask = (1 << 64) - 1
    x, y = (int(EXACT.to_integral_value(Decimal(number(one)))) & mask for one in (a, b))
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
