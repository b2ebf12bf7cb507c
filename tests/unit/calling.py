"""What tests of simulated systems share: a clock that they turn, and a client of a running simulator."""

from __future__ import annotations

from typing import Any

import aiohttp


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """A client of a running simulator, with the token that it was given last."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http, self.url, self.token = http, url, ""

    async def answer(self, method: str, path: str, **options: Any) -> Any:
        """An answer's status and its JSON."""
        async with self.http.request(method, self.url + path, **options) as found:
            return {"status": found.status, **await found.json()}
