"""Time, as a thing that is passed in: tests turn its hands themselves."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What noria asks time for. `now` is epoch seconds; `steady` never goes back; `sleep` waits."""

    def now(self) -> float: ...

    def steady(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


async def sleep_unless(stop: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Wait on a clock, but no longer than until `stop` is set."""
    waiting = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(stop.wait())}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def steady(self) -> float:
        """Seconds on a clock that is never set back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps on it: waiting takes no time. For tests, ours and yours. `set`: by
    how many seconds somebody has set the machine's clock since."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now
        self.set = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Epoch seconds."""
        return self.time + self.set

    def steady(self) -> float:
        """The same hands, as if nobody had set them."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move the hands and let others run."""
        self.slept.append(seconds)
        self.time += max(0.0, seconds)
        await asyncio.sleep(0)
