"""Where a simulated 小满 OKKI sends its events: the callback, the subscriptions, and the sending with its retries.

Not documented, and so decided here: a callback need not be tested before events go there; `callback_verify` is "1"
after a test that went well; a second callback or subscription is refused with code -1.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from noria.simulators.okki_events import TEST, check_answer, event
from noria.simulators.okki_facts import facts
from noria.simulators.wire import Refused

RETRIES = (10.0, 30.0, 60.0)
_METHOD = "AES-256-GCM"
_OPERATIONS = {"insert": "create", "update": "update", "delete": "delete"}
_PATIENCE = aiohttp.ClientTimeout(total=10)


class Hooks:
    """One account's. `now`: epoch seconds; `delivered`: how many messages were taken; `dropped`: which were not, after
    all retries, and why."""

    def __init__(self, seed: int, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self.seed = seed
        self.now = now
        self.sleep = sleep
        self.url = self.secret = ""
        self.verified = False
        self.subscriptions: dict[str, list[str]] = {}
        self.delivered = 0
        self.dropped: list[str] = []
        self._made = self._secrets = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Events are sent until the block is left."""
        async with aiohttp.ClientSession(timeout=_PATIENCE) as self._session:
            self._loop = asyncio.get_running_loop()
            try:
                yield
            finally:
                self._loop = None
                for task in self._telling:
                    task.cancel()
                await asyncio.gather(*self._telling, return_exceptions=True)

    # --- events

    def changed(self, name: str, op: str, row: dict[str, Any]) -> None:
        """A row of a list came, changed or went; may be called from any thread."""
        own = facts().lists[name]
        kind = f"xiaoman.crm.{own.event}.{_OPERATIONS[op]}"
        if self._loop is not None and self.url and kind in self.subscriptions.get(f"crm.{own.event}", ()):
            told = {one: row.get(one) for one in own.tells}
            self._loop.call_soon_threadsafe(self._begin, kind, told)

    def _begin(self, kind: str, told: dict[str, Any]) -> None:
        task = asyncio.ensure_future(self._tell(kind, told))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, kind: str, told: dict[str, Any]) -> None:
        message, why = self._next_message(), ""
        for pause in (0.0, *RETRIES):
            if pause:
                await self.sleep(pause)
            why = await self._sent(kind, told, message)
            if not why:
                self.delivered += 1
                return
        self.dropped.append(f"{message} {kind}: {why}")

    def _next_message(self) -> str:
        self._made += 1
        return f"msg_{self._made:014x}.{self._made:08d}"

    async def _sent(self, kind: str, data: Any, message: str) -> str:
        """Send a message once; why it was not taken, empty where it was."""
        assert self._session is not None
        made = event(kind, data, self.secret, message=message, timestamp=str(int(self.now())))
        try:
            async with self._session.post(self.url, data=made.body, headers=made.headers) as response:
                body = await response.read()
            if response.status != 200:
                return f"HTTP {response.status}"
            check_answer(body, message, data if kind == TEST else None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    # --- the configuration

    async def answer(self, method: str, path: str, body: Any) -> Any:
        """The data that a request for the configuration is answered with; raises `Refused`."""
        match path.strip("/").split("/")[1:], method:
            case ["webhook"], _:
                return self._callback(method, body)
            case ["webhook", "test"], "POST":
                return await self._test()
            case ["webhook", "regenerate-secret"], "POST":
                self._need_callback()
                return {"webhook_secret": self._new_secret()}
            case ["subscribe"], "GET":
                return [self._shown(one) for one in self.subscriptions]
            case ["subscribe"], "POST":
                return self._subscribe(body, known=False)
            case ["subscribe", kind], _ if kind not in self.subscriptions:
                raise Refused(404, "Not Found Resource")
            case ["subscribe", kind], "GET":
                return self._shown(kind)
            case ["subscribe", kind], "PUT":
                if isinstance(body, dict) and body.get("subscribe_type") != kind:
                    raise Refused(404, "subscribe_type cannot be empty")
                return self._subscribe(body, known=True)
            case ["subscribe", kind], _:
                del self.subscriptions[kind]
        return []

    def _callback(self, method: str, body: Any) -> Any:
        if method != "POST":
            self._need_callback()
        if method == "GET":
            return {"callback_url": self.url, "callback_verify": str(int(self.verified)), "security_method": _METHOD}
        if method == "DELETE":
            self.url = self.secret = ""
            return None
        if not isinstance(body, dict) or not body.get("callback_url"):
            raise Refused(404, "callback_url cannot be empty")
        if urlsplit(str(body["callback_url"])).scheme not in ("http", "https") or set(body) != {"callback_url"}:
            raise Refused(400, "Invalid data json")
        if method == "POST" and self.url:
            raise Refused(-1, "callback_url already exists")
        self.url, self.verified = str(body["callback_url"]), False
        if method == "PUT":
            return {"security_method": _METHOD, "callback_url": self.url}
        return {"security_method": _METHOD, "security_config": self._new_secret()}

    def _need_callback(self) -> None:
        if not self.url:
            raise Refused(404, "Not Found Resource")

    def _new_secret(self) -> str:
        self._secrets += 1
        self.secret = base64.b64encode(hashlib.sha256(f"{self.seed}/{self._secrets}".encode()).digest()).decode()
        return self.secret

    async def _test(self) -> None:
        self._need_callback()
        why = await self._sent(TEST, f"test-{self._made}", self._next_message())
        self.verified = not why
        if why:
            raise Refused(-1, why)

    def _shown(self, kind: str) -> dict[str, Any]:
        return {"subscribe_type": kind, "subscribe_config": self.subscriptions[kind]}

    def _subscribe(self, body: Any, *, known: bool) -> list[str]:
        kind = body.get("subscribe_type") if isinstance(body, dict) else None
        configs = body.get("subscribe_configs") if isinstance(body, dict) else None
        if kind not in {f"crm.{one.event}" for one in facts().lists.values() if one.event}:
            raise Refused(404, "subscribe_type cannot be empty" if not kind else f"subscribe_type {kind} is unknown")
        if not isinstance(configs, list) or not configs:
            raise Refused(404, "subscribe_configs cannot be empty")
        wanted = [one.get("biz_type") if isinstance(one, dict) else None for one in configs]
        if set(wanted) - {f"xiaoman.{kind}.{op}" for op in _OPERATIONS.values()}:
            raise Refused(404, "Input data validate error biz_type is unknown")
        if not known and kind in self.subscriptions:
            raise Refused(-1, f"{kind} already exists")
        self.subscriptions[str(kind)] = [str(one) for one in wanted]
        return []
