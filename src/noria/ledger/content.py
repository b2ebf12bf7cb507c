"""Whether two records say the same, however they are spelled."""

from __future__ import annotations

import msgspec


def same_content(a: bytes, b: bytes) -> bool:
    """Whether two JSON texts say the same: key order, white space and escapes aside; numbers by their digits. What
    can't be read says only what its bytes say."""
    try:
        return _canonical(a) == _canonical(b)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return a == b


# A fraction is compared by its digits, and can't be mistaken for a text with the same characters.
_EXACT = msgspec.json.Decoder(float_hook=lambda digits: {"\0number": digits})


def _canonical(raw: bytes) -> bytes:
    return msgspec.json.encode(_EXACT.decode(raw), order="deterministic")
