"""Small servers that single tests make up."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

from aiohttp import web

from noria.simulators.server import Running, Simulator, serve

T = TypeVar("T")


@asynccontextmanager
async def listening(routes: list[web.RouteDef], tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server with these routes on a free port of 127.0.0.1; gives its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def beside(simulator: Simulator) -> Iterator[Running]:
    """A simulator that answers in a thread of its own, for tests that call commands."""
    with alongside(lambda: serve(simulator)) as running:
        yield running


@contextmanager
def alongside(opened: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Something that answers in a thread of its own, while commands are called in this one; gives what it gives."""
    ready, end = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def answer() -> None:
        async with opened() as running:
            found.extend([running, asyncio.get_running_loop()])
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(answer()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(end.set)
        thread.join(10)


class MovingList:
    """A paged list whose rows are changed between requests: `moves[n]` is called with the rows before the answer to
    request number n (from 1) is made. `counted`: answers carry the total. `asked` keeps every query."""

    def __init__(
        self,
        rows: list[dict[str, Any]],
        moves: dict[int, Callable[[list[dict[str, Any]]], None]] | None = None,
        *,
        counted: bool = True,
        order: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.rows = rows
        self.moves = moves or {}
        self.counted = counted
        self.order = order
        self.asked: list[dict[str, str]] = []

    def routes(self) -> list[web.RouteDef]:
        """One list, `/list?page=1&size=10`, filtered by `since` when that is asked for."""
        return [web.get("/list", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        self.moves.get(len(self.asked), lambda rows: None)(self.rows)
        page, size = int(request.query.get("page", "1")), int(request.query.get("size", "10"))
        since = request.query.get("since")
        rows = [row for row in self.rows if since is None or (row.get("time") or "") >= since]
        if self.order is not None:
            rows.sort(key=self.order)
        data: dict[str, Any] = {"list": rows[(page - 1) * size : page * size]}
        if self.counted:
            data["total"] = len(rows)
        return web.json_response({"data": data})
