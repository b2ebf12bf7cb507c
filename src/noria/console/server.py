"""Serves the application beside the runs, in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from socket import IPPROTO_TCP, TCP_NODELAY

import uvicorn
from starlette.applications import Starlette

from noria.messages import Message
from noria.metadata.errors import NoriaError


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette, listen: str) -> AsyncIterator[int]:
    """Answer at `listen` (`host:port`; port 0: any) as long as the context lasts; gives the port. Raises `NoriaError`
    where nothing can be listened to there."""
    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        app,
        host=host or "127.0.0.1",
        port=int(port),
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        # Pages that watch have an answer under way for as long as they are open.
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise NoriaError("usage", Message("serve.listen", {"listen": listen})) from None
    # An answer is sent in pieces; without this the next piece waits until the last was acknowledged, 40 ms.
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    task = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        yield socket.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        socket.close()
