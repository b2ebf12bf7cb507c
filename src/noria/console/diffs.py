"""What is different between two texts, line by line."""

from __future__ import annotations

from difflib import unified_diff
from typing import NamedTuple


class DiffLine(NamedTuple):
    """A line: `+` new, `-` gone, a blank for one that both have, `@` for lines left out."""

    sign: str
    text: str


def diff(old: str, new: str) -> list[DiffLine]:
    """The lines in which two texts differ, with some around them; none where they are the same."""
    lines = list(unified_diff(_lines(old), _lines(new), lineterm="", n=3))[2:]
    return [DiffLine("@", "…") if line.startswith("@@") else DiffLine(line[0], line[1:]) for line in lines]


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")
