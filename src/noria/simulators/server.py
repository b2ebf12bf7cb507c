"""What every simulator shares: a server on a free local port, its control endpoint, its start line, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import msgspec
from aiohttp import web

from noria.simulators.faults import Faults


class Simulator(ABC):
    """A simulated system: its routes, its faults, and what it reports of itself. `requests`: how often each path was
    asked; `max_concurrent`: the most that it was asked at once; `refused`: why it refused what, in its own words."""

    name: ClassVar[str]
    faults: Faults

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.concurrent = self.max_concurrent = 0
        self.refused: list[str] = []

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What it answers."""

    def alongside(self) -> AbstractAsyncContextManager[None]:
        """What it does besides answering, as long as it answers."""
        return nullcontext()

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            "requests": self.requests,
            "max_concurrent": self.max_concurrent,
            "refused": self.refused[-100:],
        }


@dataclass(frozen=True)
class Running:
    """A simulator that answers: its address and that of its control endpoint."""

    url: str
    control: str


@asynccontextmanager
async def serve(
    simulator: Simulator, port: int = 0, answered: Callable[[str], None] = lambda path: None
) -> AsyncIterator[Running]:
    """Answer on 127.0.0.1 until the block is left. `answered` is told of every request's path when it has been
    answered: there a test may change what the system has."""
    counting = _counting(simulator, answered)
    app = web.Application(middlewares=[counting, simulator.faults.middleware()], client_max_size=64 << 20)
    app.add_routes([*_control(simulator), *simulator.routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        bound = runner.addresses[0][1]
        async with simulator.alongside():
            yield Running(f"http://127.0.0.1:{bound}", f"http://127.0.0.1:{bound}/_control")
    finally:
        await runner.cleanup()


async def run(simulator: Simulator, port: int, with_parent: bool) -> None:
    """Serve until SIGTERM or SIGINT (or until the parent is gone); print one JSON line when ready."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    async with serve(simulator, port) as running:
        line = {"url": running.url, "control": running.control, "name": simulator.name}
        print(json.dumps(line), flush=True)
        if with_parent:
            watching = asyncio.ensure_future(_parent_gone(stop))
        await stop.wait()
        if with_parent:
            watching.cancel()


async def _parent_gone(stop: asyncio.Event) -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    stop.set()


def _counting(simulator: Simulator, answered: Callable[[str], None]) -> Any:
    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/_control"):
            response: web.StreamResponse = await handler(request)
            return response
        key = f"{request.method} {request.path}"
        simulator.requests[key] = simulator.requests.get(key, 0) + 1
        simulator.concurrent += 1
        simulator.max_concurrent = max(simulator.max_concurrent, simulator.concurrent)
        try:
            return cast(web.StreamResponse, await handler(request))
        finally:
            simulator.concurrent -= 1
            answered(request.path)

    return count


def _control(simulator: Simulator) -> list[web.RouteDef]:
    async def add(request: web.Request) -> web.Response:
        try:
            simulator.faults.add(msgspec.json.decode(await request.read()))
        except (msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def clear(_: web.Request) -> web.Response:
        simulator.faults.active.clear()
        return web.json_response({"ok": True})

    async def show(_: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(simulator.faults.active))

    async def state(_: web.Request) -> web.Response:
        return web.json_response(simulator.state(), dumps=lambda value: json.dumps(value, ensure_ascii=False))

    return [
        web.post("/_control/faults", add),
        web.delete("/_control/faults", clear),
        web.get("/_control/faults", show),
        web.get("/_control/state", state),
    ]
