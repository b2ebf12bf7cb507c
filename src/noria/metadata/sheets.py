"""Values as spreadsheets are given them."""

from __future__ import annotations

# What spreadsheets take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def cell(value: object) -> str:
    """A value as a spreadsheet shows it, never as one computes it: a leading quote keeps it text."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) else text
