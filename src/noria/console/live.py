"""Pages that are open hear when something in the ledger has changed, and then ask for themselves again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from noria.console.desk import Desk
from noria.metadata.clock import Clock
from noria.metadata.errors import NoriaError

# How often the ledger is looked at while somebody watches, and how often those who hear nothing hear that; in seconds.
_LOOK_SECONDS, _SILENT_SECONDS = 1.0, 15.0


class Live:
    """Looks at the ledger for all pages that are open. `alive`: whether the process does what it is there for."""

    def __init__(self, desk: Desk, clock: Clock, alive: Callable[[], bool]) -> None:
        self.desk = desk
        self.clock = clock
        self.alive = alive
        self._watching: set[asyncio.Event] = set()
        self._looking: asyncio.Task[None] | None = None

    async def events(self, request: Request) -> Response:
        """A stream of events (`changed`)."""
        return StreamingResponse(
            self._heard(request), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _heard(self, request: Request) -> AsyncIterator[str]:
        changed, silent = asyncio.Event(), 0.0
        self._watching.add(changed)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            while self.alive() and not await request.is_disconnected():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await changed.wait()
                silent += _LOOK_SECONDS
                if changed.is_set():
                    changed.clear()
                    yield "event: changed\ndata: now\n\n"
                    silent = 0.0
                elif silent >= _SILENT_SECONDS:
                    yield ": still here\n\n"
                    silent = 0.0
        finally:
            self._watching.discard(changed)

    async def _look(self) -> None:
        """As long as somebody watches."""
        before: tuple[Any, ...] | None = None
        while self._watching and self.alive():
            # A ledger that can't be used for a moment is looked at again.
            with suppress(NoriaError):
                pulse = await self.desk.ask(lambda ledger: ledger.browsing.pulse(self.clock.now()))
                if before is not None and pulse != before:
                    for changed in self._watching:
                        changed.set()
                before = pulse
            await asyncio.sleep(_LOOK_SECONDS)
