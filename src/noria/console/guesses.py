"""Keeps guessing slow: so many failures, and no more for a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from noria.console.denied import Denied

# Within so many seconds, no more failures of one kind than so many.
WINDOW_SECONDS, MOST = 300.0, 5


class Guesses:
    """Counts failures by keys (an address, a name). `now`: steady seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failed: dict[str, deque[float]] = {}

    def refuse(self, keys: Sequence[str]) -> None:
        """Raise `Denied` (429) when one of the keys has failed too often."""
        now = self._now()
        for key, recent in list(self._failed.items()):
            while recent and recent[0] <= now - WINDOW_SECONDS:
                recent.popleft()
            if not recent:
                del self._failed[key]
        if any(len(self._failed.get(key, ())) >= MOST for key in keys):
            raise Denied(429, "console.too_often")

    def count(self, keys: Sequence[str]) -> None:
        """Note a failure."""
        now = self._now()
        for key in keys:
            self._failed.setdefault(key, deque()).append(now)

    def forget(self, keys: Sequence[str]) -> None:
        """It was no guess after all."""
        for key in keys:
            self._failed.pop(key, None)
