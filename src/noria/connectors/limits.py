"""The rate limiter of one connection: requests a second, a minute, at once; and waits that the server ordered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from noria.connectors.settings import Limits
from noria.metadata.clock import Clock

# A server that orders a longer wait than this, in seconds, is not waited for: the request is refused here instead.
LONGEST_HOLD = 300.0


class Held(Exception):
    """The server ordered a wait that has so many seconds to go."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Limiter:
    """Lets a request through when every limit allows it, counted over sliding windows."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.clock = clock
        self._windows = [
            (span, rate, deque[float]())
            for span, rate in ((1.0, limits.per_second), (60.0, limits.per_minute))
            if rate > 0
        ]
        self._places = asyncio.Semaphore(limits.concurrent) if limits.concurrent > 0 else None
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self.waited = 0.0

    def hold(self, seconds: float) -> None:
        """The server said to wait: nobody sends before."""
        self._not_before = max(self._not_before, self.clock.steady() + seconds)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place to send one request in; raises `Held` when that is too far off."""
        if self._places is not None:
            await self._places.acquire()
        try:
            if self._windows or self._not_before:
                async with self._turn:
                    await self._wait()
            yield
        finally:
            if self._places is not None:
                self._places.release()

    async def _wait(self) -> None:
        while (pause := self._pause()) > 0:
            if self._not_before - self.clock.steady() > LONGEST_HOLD:
                raise Held(self._not_before - self.clock.steady())
            self.waited += pause
            await self.clock.sleep(pause)
        now = self.clock.steady()
        for _, _, sent in self._windows:
            sent.append(now)

    def _pause(self) -> float:
        """Seconds until the next request may go."""
        now = self.clock.steady()
        pause = self._not_before - now
        for span, rate, sent in self._windows:
            # Below one a window (0.5 a second), the window is stretched instead.
            window, count = (span, int(rate)) if rate >= 1 else (span / rate, 1)
            while sent and sent[0] <= now - window:
                sent.popleft()
            if len(sent) >= count:
                pause = max(pause, sent[len(sent) - count] + window - now)
        return pause
