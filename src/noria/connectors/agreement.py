"""Whether what a target shows of a record is what it was sent: as far as both show the same fields."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

# What a target may add to a date: midnight, in whatever spelling.
_MIDNIGHT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:00)?\Z")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.0+)?\Z")
# A number in a text; one with a leading zero is a code.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def agreement(sent: Any, found: Any) -> bool | None:
    """Whether a found value shows what was sent; None where it shows nothing that could be compared.

    Objects are compared by the fields that both have, lists element by element in any order. How a target spells a
    value does not matter: blanks around it, 1 for "1.00" or true, midnight behind a date, nothing for null.
    """
    if isinstance(sent, dict) and isinstance(found, dict):
        verdicts = [agreement(value, found[key]) for key, value in sent.items() if key in found]
        return False if False in verdicts else True if True in verdicts else None
    if is_empty(sent) or is_empty(found):
        return is_empty(sent) and is_empty(found)
    if isinstance(sent, list) and isinstance(found, list):
        return _same_elements(sent, found)
    if isinstance(sent, dict | list) or isinstance(found, dict | list):
        # A reference that is sent by its code and shown with its name, or the other way round.
        return None
    return bool(_plain(sent) == _plain(found))


def _same_elements(sent: list[Any], found: list[Any]) -> bool | None:
    """Whether each element sent has one of its own among those found."""
    if len(sent) != len(found):
        return False
    left, known = list(found), None
    for one in sent:
        verdicts = [agreement(one, other) for other in left]
        if True in verdicts:
            known = True
        elif None not in verdicts:
            return False
        left.pop(verdicts.index(True if True in verdicts else None))
    return known


def is_empty(value: Any) -> bool:
    """Whether a value says nothing."""
    return any(value == nothing and type(value) is type(nothing) for nothing in _EMPTY)


def _plain(value: Any) -> Any:
    """A value apart from its spelling."""
    if isinstance(value, bool | int | float):
        return Decimal(str(value + 0))
    text = " ".join(str(value).split())
    if text.lower() in ("true", "false"):
        return Decimal(text.lower() == "true")
    if _NUMBER.match(text):
        return Decimal(text)
    return _MOMENT.sub(r"\1 \2", _MIDNIGHT.sub(r"\1", text))
