"""Access tokens that a simulator gives out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class Tokens:
    """Tokens that live `seconds` of `clock`; whoever asks again while one holds gets the same."""

    def __init__(self, seed: str, seconds: float, clock: Callable[[], float]) -> None:
        self.seed = seed
        self.seconds = seconds
        self.clock = clock
        self.issued = 0
        self.current = ""
        self._until: dict[str, float] = {}

    def give(self, *, renew: bool = False, spare: float = 0.0) -> tuple[str, int]:
        """A token and the seconds it has left. `renew`: asking again makes it live its whole life again; `spare`: one
        with no more than so many seconds left is not given again, but holds until its end."""
        now = self.clock()
        if self._until.get(self.current, now) - now <= spare:
            self.issued += 1
            self.current = hashlib.sha256(f"{self.seed}/{self.issued}".encode()).hexdigest()[:32]
            self._until[self.current] = now + self.seconds
        elif renew:
            self._until[self.current] = now + self.seconds
        return self.current, int(self._until[self.current] - now)

    def holds(self, token: str) -> bool:
        """Whether the token was given out and has not expired."""
        return self.clock() < self._until.get(token, float("-inf"))

    def gave(self, token: str) -> bool:
        """Whether the token was ever given out."""
        return token in self._until

    def expire(self) -> None:
        """No token that was given out holds any longer."""
        self._until = dict.fromkeys(self._until, float("-inf"))
