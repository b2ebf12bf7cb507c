"""Regular expressions as MySQL's servers spell them, made for the library that carries them out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import regex

_MOST_REPEATS = 10_000
_LONGEST = 4096
_COUNTED = re.compile(r"\{([0-9]*),?([0-9]*)\}")
_CODE_POINT = re.compile(r"\\x\{([0-9a-fA-F]{1,6})\}")
_WORD_EDGES = {"[[:<:]]": r"\b(?=\w)", "[[:>:]]": r"\b(?<=\w)"}


class BadPattern(ValueError):
    """A pattern that can't be used: what the library says of it, or `""` where it is too large."""


@lru_cache(512)
def compiled_pattern(pattern: str, exact: bool = False) -> Any:
    """A pattern, ready to be searched with; `exact`: with case. Raises `BadPattern`."""
    repeats = 1
    for least, most in _COUNTED.findall(pattern):
        # Repeats inside repeats are written out when a pattern is prepared.
        repeats *= max(1, int((most or least or "1")[:6]))
    if repeats > _MOST_REPEATS or len(pattern) > _LONGEST:
        raise BadPattern("")
    for edge, own in _WORD_EDGES.items():
        pattern = pattern.replace(edge, own)
    pattern = _CODE_POINT.sub(lambda m: f"\\U{int(m[1], 16):08x}", pattern).replace("{,", r"\{,")
    try:
        return regex.compile(pattern, 0 if exact else regex.IGNORECASE)
    except (regex.error, OverflowError) as error:
        raise BadPattern(str(error)) from None
