"""What is different between two texts, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

# Lines that are compared one by one; those that are shown around a difference.
_MOST_LINES = 2000
_AROUND = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison: "-" only before, "+" only after, " " in both, "…" lines of both that are left out."""

    sign: str
    text: str


def compared(old: list[str], new: list[str]) -> list[Line]:
    """Two texts side by side, with the lines around each difference; none where they say the same."""
    head = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    most = min(len(old), len(new)) - head
    tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    if head == len(old) == len(new):
        return []
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    found = [Line("…", str(head - _AROUND))] if head > _AROUND else []
    found += [Line(" ", line) for line in old[max(0, head - _AROUND) : head]]
    if len(a) + len(b) > _MOST_LINES:
        found += [Line("-", line) for line in a] + [Line("+", line) for line in b]
    else:
        for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if tag == "equal":
                found += _equal(a[a1:a2])
            else:
                found += [Line("-", line) for line in a[a1:a2]] + [Line("+", line) for line in b[b1:b2]]
    end = len(old) - tail
    found += [Line(" ", line) for line in old[end : end + _AROUND]]
    return found + ([Line("…", str(tail - _AROUND))] if tail > _AROUND else [])


def _equal(lines: list[str]) -> list[Line]:
    if len(lines) <= 2 * _AROUND + 1:
        return [Line(" ", line) for line in lines]
    left_out = Line("…", str(len(lines) - 2 * _AROUND))
    around = [Line(" ", line) for line in (*lines[:_AROUND], *lines[-_AROUND:])]
    return [*around[:_AROUND], left_out, *around[_AROUND:]]
