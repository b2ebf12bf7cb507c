"""The rate limits of a connection: requests a second, a minute, at once; waits that the server ordered.

Within one process they are counted in memory; where several share a ledger, in its database (`Places`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple, Protocol

from noria.connectors.settings import Limits, Rates
from noria.metadata.clock import Clock

# A server that orders a longer wait than this, in seconds, is not waited for: the request is refused here instead.
LONGEST_HOLD = 300.0
# Places are looked at again after no less than this, in seconds.
_LEAST_PAUSE = 0.002
# How long a server's hold is believed without asking the others, in seconds.
_HOLD_ASKED = 1.0


class Held(Exception):
    """The server ordered a wait that has so many seconds to go."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Places(Protocol):
    """Places to send requests in, shared by processes (see `noria.ledger.places`)."""

    def open(self, name: str, count: int) -> None:
        """Make so many."""

    def take(self, name: str, most: float) -> tuple[int, float] | None:
        """Take a free one for at most so many seconds."""

    def wait(self, name: str) -> float:
        """Seconds until one is free."""

    def give(self, name: str, taken: tuple[int, float], window: float) -> None:
        """Give one back, which is free so many seconds later."""

    def hold(self, name: str, seconds: float) -> None:
        """Nobody sends before."""

    def held(self, name: str) -> float:
        """For how many seconds nobody may send."""


class Rule(NamedTuple):
    """So many requests within so many seconds; `window` 0: under way at once."""

    name: str
    window: float
    most: int


class Use(NamedTuple):
    """How far a limit is used: requests within its window of so many seconds (0: under way at once), and how many there
    may be; `path`: the endpoint that it is about, empty for all."""

    path: str
    window: float
    used: int
    most: int


def rules_of(rates: Rates) -> list[Rule]:
    """The rules that rates come to."""
    found = []
    for name, span, rate in (("1s", 1.0, rates.per_second), ("60s", 60.0, rates.per_minute)):
        if rate > 0:
            # Below one a window (0.5 a second), the window is stretched instead.
            found.append(Rule(name, span, int(rate)) if rate >= 1 else Rule(name, span / rate, 1))
    if rates.concurrent > 0:
        found.append(Rule("at once", 0.0, rates.concurrent))
    return found


def uses(connection: str, limits: Limits, taken: Mapping[str, int]) -> list[Use]:
    """How far the limits of a connection are used, where so many places are `taken`, by the names of their rules."""
    parts = [("", connection, limits), *((path, f"{connection} {path}", one) for path, one in limits.endpoints.items())]
    return [
        Use(path, rule.window, taken.get(f"{name} {rule.name}", 0), rule.most)
        for path, name, rates in parts
        for rule in rules_of(rates)
    ]


class Limiter:
    """Lets a request through when every limit allows it, counted over sliding windows."""

    def __init__(self, limits: Rates, clock: Clock) -> None:
        self.clock = clock
        self._windows = [(rule, deque[float]()) for rule in rules_of(limits) if rule.window]
        self._places = asyncio.Semaphore(limits.concurrent) if limits.concurrent > 0 else None
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._under_way = 0
        self.waited = 0.0

    def taken(self) -> Iterator[tuple[str, int]]:
        """How many places of each rule are taken."""
        for rule, sent in self._windows:
            yield rule.name, len(self._within(rule, sent))
        yield "at once", self._under_way

    def held(self) -> float:
        """For how many seconds nobody may send."""
        return self._not_before - self.clock.steady()

    def hold(self, seconds: float) -> None:
        """The server said to wait: nobody sends before."""
        self._not_before = max(self._not_before, self.clock.steady() + seconds)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place to send one request in; raises `Held` when that is too far off."""
        if self._places is not None:
            await self._places.acquire()
        self._under_way += 1
        try:
            if self._windows or self._not_before:
                async with self._turn:
                    await self._wait()
            yield
        finally:
            self._under_way -= 1
            if self._places is not None:
                self._places.release()

    async def _wait(self) -> None:
        while (pause := self._pause()) > 0:
            if self._not_before - self.clock.steady() > LONGEST_HOLD:
                raise Held(self._not_before - self.clock.steady())
            self.waited += pause
            await self.clock.sleep(pause)
        now = self.clock.steady()
        for _, sent in self._windows:
            sent.append(now)

    def _pause(self) -> float:
        """Seconds until the next request may go."""
        now = self.clock.steady()
        pause = self._not_before - now
        for rule, sent in self._windows:
            if len(self._within(rule, sent)) >= rule.most:
                pause = max(pause, sent[len(sent) - rule.most] + rule.window - now)
        return pause

    def _within(self, rule: Rule, sent: deque[float]) -> deque[float]:
        """What was sent within a rule's window."""
        now = self.clock.steady()
        while sent and sent[0] <= now - rule.window:
            sent.popleft()
        return sent


class SharedLimiter:
    """The same, over all processes that share a ledger. `name` says which limit it is; `timeout`: seconds after which a
    request is given up, and with it its place, should its process be gone."""

    def __init__(self, places: Places, name: str, limits: Rates, timeout: float, clock: Clock) -> None:
        self.places = places
        self.name = name
        self.clock = clock
        self._rules: list[tuple[str, float, float]] = []
        for rule in rules_of(limits):
            places.open(f"{name} {rule.name}", rule.most)
            self._rules.append((f"{name} {rule.name}", rule.window, timeout + rule.window))
        # One of a process looks for a place at a time; who came first goes first.
        self._turn = asyncio.Lock()
        self._asked = float("-inf")
        self.waited = 0.0

    def hold(self, seconds: float) -> None:
        """The server said to wait: nobody sends before, in whichever process."""
        self.places.hold(self.name, seconds)
        self._asked = float("-inf")

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place to send one request in; raises `Held` when that is too far off."""
        taken: list[tuple[str, tuple[int, float], float]] = []
        try:
            async with self._turn:
                await self._released()
                for name, window, most in self._rules:
                    taken.append((name, await self._take(name, most), window))
            yield
        finally:
            for name, place, window in taken:
                self.places.give(name, place, window)

    async def _take(self, name: str, most: float) -> tuple[int, float]:
        while (found := self.places.take(name, most)) is None:
            pause = max(_LEAST_PAUSE, self.places.wait(name))
            self.waited += pause
            await self.clock.sleep(pause)
        return found

    async def _released(self) -> None:
        """Wait as long as a server holds everybody."""
        now = self.clock.steady()
        if not self._rules and now - self._asked < _HOLD_ASKED:
            return
        self._asked = now
        while (seconds := self.places.held(self.name)) > 0:
            if seconds > LONGEST_HOLD:
                raise Held(seconds)
            self.waited += seconds
            await self.clock.sleep(seconds)


class Gate:
    """Every limit that a connection's requests have to pass: its own, and those of single endpoints."""

    def __init__(self, name: str, limits: Limits, clock: Clock, places: Places | None = None) -> None:
        self.name = name

        def made(part: str, rates: Rates) -> Limiter | SharedLimiter:
            if places is None:
                return Limiter(rates, clock)
            return SharedLimiter(places, f"{name}{part}", rates, float(limits.timeout) or 600.0, clock)

        self._whole = made("", limits)
        self._endpoints = {path: made(f" {path}", rates) for path, rates in limits.endpoints.items()}

    @property
    def waited(self) -> float:
        """For how many seconds requests have waited for their places so far."""
        return sum(one.waited for one in (self._whole, *self._endpoints.values()))

    def taken(self) -> dict[str, int]:
        """How many places of each rule are taken, by the rules' names, as far as this process counts them alone."""
        parts = (("", self._whole), *((f" {path}", one) for path, one in self._endpoints.items()))
        counted = [(part, one.taken()) for part, one in parts if isinstance(one, Limiter)]
        return {f"{self.name}{part} {rule}": count for part, rules in counted for rule, count in rules}

    def held(self) -> float:
        """For how many seconds a server that was asked from here holds everybody; 0 where others keep that."""
        return max(0.0, self._whole.held()) if isinstance(self._whole, Limiter) else 0.0

    def hold(self, seconds: float) -> None:
        """The server said to wait: nobody sends before."""
        self._whole.hold(seconds)

    @asynccontextmanager
    async def place(self, path: str) -> AsyncIterator[None]:
        """A place to send one request to a path in; raises `Held` when that is too far off."""
        async with AsyncExitStack() as stack:
            for prefix, limiter in self._endpoints.items():
                if path.startswith(prefix):
                    await stack.enter_async_context(limiter.place())
            await stack.enter_async_context(self._whole.place())
            yield
