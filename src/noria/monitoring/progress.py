"""A run's figures as they grow, and the words it says on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from noria.messages import Message


@dataclass
class Counts:
    """What happened in one run. staged + unchanged + duplicate are all arrivals; the others are the states that records
    of this run ended in; `waiting` are those that wait for another plan's records; `waited_ms`: how long requests have
    waited because of rate limits, all together."""

    staged: int = 0
    unchanged: int = 0
    duplicate: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    invalid: int = 0
    skipped: int = 0
    held: int = 0
    waiting: int = 0
    retried: int = 0
    pages: int = 0
    requests: int = 0
    waited_ms: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)

    def troubled(self) -> bool:
        """Whether not everything was delivered or skipped."""
        return bool(self.failed or self.dead or self.invalid or self.held or self.waiting)


# A run's pace is kept in so many steps at most; where there would be more, every other one is left out.
_STEPS = 60


@dataclass
class Pace:
    """How a run's figures grew: (seconds since it began, staged, delivered, failed) from time to time."""

    began: float
    steps: list[tuple[float, int, int, int]] = field(default_factory=list)
    _apart: float = 0.0

    def note(self, now: float, counts: Counts) -> None:
        """The figures at `now` (epoch seconds)."""
        at = round(max(0.0, now - self.began), 1)
        step = (at, counts.staged, counts.delivered, counts.failed + counts.dead + counts.held + counts.invalid)
        if len(self.steps) > 1 and self.steps[-1][0] - self.steps[-2][0] < self._apart:
            self.steps[-1] = step
            return
        self.steps.append(step)
        if len(self.steps) > _STEPS:
            self.steps = self.steps[::2]
            self._apart = (self.steps[-1][0] - self.steps[0][0]) / (len(self.steps) - 1)


class Observer(Protocol):
    """Who watches a run: `moved` after every page and batch, `said` for what a person should know at once, `noted` for
    records that came into a state that a person should know of (dead, held, invalid)."""

    def moved(self, plan: str, counts: Counts, total: int | None) -> None: ...

    def said(self, plan: str, message: Message) -> None: ...

    def noted(self, plan: str, state: str, ids: Sequence[str], reason: Message) -> None: ...


@dataclass
class Silent:
    """Watches without a word; keeps what was said. For tests and machines."""

    messages: list[Message] = field(default_factory=list)

    def moved(self, plan: str, counts: Counts, total: int | None) -> None:
        """Nothing."""

    def said(self, plan: str, message: Message) -> None:
        """Keep it."""
        self.messages.append(message)

    def noted(self, plan: str, state: str, ids: Sequence[str], reason: Message) -> None:
        """Nothing: the ledger has it."""
