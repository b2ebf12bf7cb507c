"""What servers say with a single value: yes, no, or nothing."""

from __future__ import annotations

from typing import Any

_NOTHING = frozenset(("false", "0", "", "no", "n", "none", "null"))
_WELL = frozenset(("success", "ok", "succeeded"))
_NO = _NOTHING | {"fail", "failed", "failure", "error"}


def says_no(value: Any) -> bool:
    """Whether a flag such as `success` says no: as a truth, a number, or one of the words that servers use for it."""
    return not value or str(value).strip().lower() in _NO


def says_nothing(value: Any) -> bool:
    """Whether a field such as `error` has nothing to say: nothing, no, zeros, a word of success, or an object whose own
    code says nothing."""
    if isinstance(value, dict):
        codes = [one for name, one in value.items() if name.lower() in ("code", "errcode", "errorcode")]
        return bool(codes) and all(says_nothing(one) for one in codes) if value else True
    text = str(value).strip().lower()
    return not value or text in _NOTHING or text in _WELL or not text.strip("0")
