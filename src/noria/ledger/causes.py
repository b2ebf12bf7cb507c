"""The cause of a failure, apart from the record that it befell: what messages say but for ids and numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
from xxhash import xxh3_64_hexdigest

_TIMES = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
_QUOTED = r"'[^']*'|\"[^\"]*\"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|【[^】]*】|`[^`]*`|\[[^\]]*\]"
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
# What holds a digit is an id, a number, an address, a code with a number in it.
_WITH_DIGIT = r"[A-Za-z0-9_.:@/#%-]*\d[A-Za-z0-9_.:@/#%-]*"
_OWN = re.compile(f"{_TIMES}|{_UUID}|{_QUOTED}|{_WITH_DIGIT}")
# Codes that say what is wrong, rather than with what: an HTTP status, a business code by its name.
_CODE = re.compile(r"(?i)\b(?:HTTP|code|status|errcode|错误码|状态码)\s*[:=：]?\s*(-?\d+)")


@lru_cache(maxsize=4096)
def cause_of(reason: str | None) -> str | None:
    """A fingerprint of a stored reason (`noria.ledger.reasons`), 16 hexadecimal digits: the same for messages that say
    the same of other records."""
    if not reason:
        return None
    try:
        key, values = msgspec.json.decode(reason)
    except (msgspec.DecodeError, ValueError, TypeError):
        key, values = reason, {}
    return xxh3_64_hexdigest(f"{key}|{_plain(values)}".encode())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_plain(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, value)) + "]"
    if isinstance(value, str):
        codes = _CODE.findall(value)
        return _OWN.sub("#", value) + "".join(f"|{code}" for code in codes)
    return "#" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
