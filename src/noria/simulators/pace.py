"""How often something may be done in any stretch of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Pace:
    """At most `most` in any `seconds`; 0: no limit. Refused ones do not count."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self.most = most
        self.seconds = seconds
        self.clock = clock
        self._recent: deque[float] = deque()

    def full(self) -> bool:
        """Whether one more is too many."""
        while self._recent and self._recent[0] <= self.clock() - self.seconds:
            self._recent.popleft()
        return self.most > 0 and len(self._recent) >= self.most

    def count(self) -> None:
        """One was done."""
        self._recent.append(self.clock())


def takes(*paces: Pace) -> int | None:
    """Count one in every pace; the place of the first that is full, and then nothing is counted."""
    for place, pace in enumerate(paces):
        if pace.full():
            return place
    for pace in paces:
        pace.count()
    return None


class Paces:
    """The same for each API by itself; after one too many, it answers nobody for `blocked` seconds."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float], *, blocked: float = 0.0) -> None:
        self.most = most
        self.seconds = seconds
        self.blocked = blocked
        self.clock = clock
        self._calls: dict[str, Pace] = {}
        self._until: dict[str, float] = {}

    def takes(self, api: str) -> bool:
        """Count a call; False when it is one too many."""
        if self.clock() < self._until.get(api, float("-inf")):
            return False
        calls = self._calls.setdefault(api, Pace(self.most, self.seconds, self.clock))
        if calls.full():
            self._until[api] = self.clock() + self.blocked
            return False
        calls.count()
        return True
