"""When a target is to be left alone: so many batches in a row failed whole, wherever they were sent from."""

from __future__ import annotations

from typing import NamedTuple

# Batches in a row that failed whole: from then on the target is left alone until a later run; a target that is there,
# and refuses them, only after so many.
BREAKER = 10
_REFUSALS = 100


class Fall(NamedTuple):
    """A batch that failed whole: when (epoch seconds), which, whether the target was away, not refusing; `excused`:
    it used up no retry of its records."""

    at: float
    batch_id: int
    away: bool
    excused: bool = False


class Breaker:
    """What is known of a target that fails. Word from other processes may come late, and out of order."""

    def __init__(self) -> None:
        # Those in a row up to now, and when the target answered last.
        self.falls: list[Fall] = []
        self._answered = float("-inf")
        # Batches that use up no retry of their records.
        self._excused: set[int] = set()

    @property
    def unavailable(self) -> bool:
        """Whether so many failed that what fails now is not its records' fault."""
        return len(self.falls) >= BREAKER

    @property
    def away(self) -> bool:
        """Whether the target did not just refuse them."""
        return any(fall.away for fall in self.falls)

    @property
    def broken(self) -> bool:
        """Whether the target is to be left alone."""
        return len(self.falls) >= (BREAKER if self.away else _REFUSALS)

    def answered(self, at: float) -> None:
        """The target took a batch, or a part of one: whatever had failed before then says nothing of it."""
        self._answered = max(self._answered, at)
        self.falls = [fall for fall in self.falls if fall.at > self._answered]

    def fell(self, fall: Fall) -> list[int]:
        """A batch failed whole. Gives the batches that used up a retry and are to be excused now."""
        if fall.at < self._answered:
            return []
        self.falls.append(fall)
        if fall.excused:
            self._excused.add(fall.batch_id)
        if not self.unavailable:
            return []
        found = [one.batch_id for one in self.falls if one.away and one.batch_id not in self._excused]
        self._excused.update(found)
        return found
