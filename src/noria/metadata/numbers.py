"""Exact numbers: how they are written out, and which are too far from one for that."""

from __future__ import annotations

from decimal import Decimal

# Powers of ten that a number may have to be calculated with: far more than any quantity.
MOST = 400


def is_vast(number: Decimal) -> bool:
    """Whether a number can't be written out or calculated with (`1e999999999`)."""
    return not -MOST < number.adjusted() < MOST


def written(number: Decimal) -> str:
    """A number's digits without an exponent; a vast one's as they came."""
    return str(number) if is_vast(number) else format(number, "f")
