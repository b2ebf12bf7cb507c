"""Whether two records say the same, however they are spelled."""

from __future__ import annotations

import msgspec
from xxhash import xxh3_128_digest


def same_content(a: bytes, b: bytes) -> bool:
    """Whether two JSON texts say the same: key order, white space and escapes aside; numbers by their digits. What
    can't be read says only what its bytes say."""
    return _canonical(a) == _canonical(b)


def content_digest(raw: bytes) -> bytes:
    """16 bytes that two JSON texts share when they say the same."""
    return xxh3_128_digest(_canonical(raw))


# A fraction is compared by its digits, and can't be mistaken for a text with the same characters.
_EXACT = msgspec.json.Decoder(float_hook=lambda digits: {"\0number": digits})


def _canonical(raw: bytes) -> bytes:
    try:
        return msgspec.json.encode(_EXACT.decode(raw), order="deterministic")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return b"\0" + raw
