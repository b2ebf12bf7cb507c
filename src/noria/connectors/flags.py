"""What servers say with a single value: yes, no, or nothing."""

from __future__ import annotations

from typing import Any

_NOTHING = frozenset(("false", "0", "", "no", "n", "none", "null"))
_NO = _NOTHING | {"fail", "failed", "failure", "error"}


def says_no(value: Any) -> bool:
    """Whether a flag such as `success` says no: as a truth, a number, or one of the words that servers use for it."""
    return not value or str(value).strip().lower() in _NO


def says_nothing(value: Any) -> bool:
    """Whether a field such as `error` has nothing to say."""
    return not value or str(value).strip().lower() in _NOTHING
