"""Faults on demand: what a server does wrong, to which requests, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KINDS = (
    "throttle",
    "status",
    "slow",
    "cut",
    "truncate",
    "html",
    "empty",
    "expire",
    "business",
    "reject",
    "poison",
    "after_status",
    "shuffle",
    "drop_results",
)


# Where tokens are given out: a fault that names no path leaves that alone.
_TOKENS = ("/oauth2/", "/gettoken", "/auth/", "/open-auth/", "/getAccessToken", "AuthService", "/v2/oauth")


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault. `times`: how often it strikes (null: until cleared); `skip`: matching requests let through first;
    `every`: strikes every n-th matching request only; `at`: the path it struck last. Times in seconds."""

    kind: str
    path: str = ""
    times: int | None = 1
    skip: int = 0
    every: int = 1
    retry_after: int | str | None = 1
    status: int = 500
    body: str = "simulated failure"
    seconds: float = 0.0
    when: str = "before"
    answer_as: int = 401
    code: int = 500
    message: str = "simulated failure"
    ids: list[str] = msgspec.field(default_factory=list)
    fired: int = 0
    met: int = 0
    at: str = ""


def _throttled(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return web.json_response({"code": 429, "message": "too many requests"}, status=429, headers=headers)


def _business(fault: Fault) -> web.Response:
    return web.json_response({"code": fault.code, "message": fault.message, "data": None})


def _denied(fault: Fault) -> web.Response:
    denied = {
        "error": "access_denied",
        "error_description": "The resource owner or authorization server denied the request.",
        "message": "access_denied",
    }
    return web.json_response(denied, status=fault.answer_as)


@dataclass
class Faults:
    """The faults in force. `expire` makes every token that was given out invalid; the others are the answers of the
    vendor to requests beyond its limits, that it refuses, and with a token that is no longer valid."""

    active: list[Fault] = field(default_factory=list)
    expire: Callable[[], None] = lambda: None
    throttled: Callable[[Fault], web.Response] = _throttled
    business: Callable[[Fault], web.Response] = _business
    denied: Callable[[Fault], web.Response] = _denied

    def add(self, raw: Any) -> None:
        """Put faults in force; raises `ValueError` for an unknown kind or key."""
        made = [msgspec.convert(one, Fault) for one in (raw if isinstance(raw, list) else [raw])]
        for fault in made:
            if fault.kind not in KINDS:
                raise ValueError(f"unknown kind {fault.kind!r}; kinds: {', '.join(KINDS)}")
        self.active += made

    def strike(self, path: str, *kinds: str, body: bytes = b"") -> Fault | None:
        """The fault of one of these kinds that strikes a request now, counted as fired."""
        for fault in self.active:
            if fault.kind not in kinds or not self._meets(fault, path, body):
                continue
            fault.met += 1
            if fault.met <= fault.skip or (fault.met - fault.skip) % fault.every:
                continue
            if fault.times is not None and 0 <= fault.times <= fault.fired:
                continue
            fault.fired += 1
            fault.at = path
            return fault
        return None

    @staticmethod
    def _meets(fault: Fault, path: str, body: bytes) -> bool:
        if fault.path:
            return path.startswith(fault.path)
        return not any(part in path for part in _TOKENS)

    def middleware(self) -> Any:
        """The aiohttp middleware that applies the faults which any server can have."""

        @web.middleware
        async def apply(request: web.Request, handler: Handler) -> web.StreamResponse:
            path = request.path
            if path.startswith("/_control"):
                return await handler(request)
            slow = self.strike(path, "slow")
            if slow is not None:
                await asyncio.sleep(slow.seconds)
            fault = self.strike(
                path,
                "throttle",
                "status",
                "cut",
                "truncate",
                "html",
                "empty",
                "expire",
                "business",
                "after_status",
            )
            if fault is None:
                return await handler(request)
            return await self._answer(fault, request, handler)

        return apply

    async def _answer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault.kind:
            case "throttle":
                return self.throttled(fault)
            case "status":
                return web.Response(status=fault.status, text=fault.body)
            case "html":
                return web.Response(
                    text="<html><body>系统维护中</body></html>", content_type="text/html", charset="utf-8"
                )
            case "empty":
                return web.Response(body=b"", content_type="application/json")
            case "business":
                return self.business(fault)
            case "expire":
                self.expire()
                return self.denied(fault)
            case "after_status":
                await handler(request)
                return web.Response(status=fault.status, text=fault.body)
            case "truncate":
                whole = await handler(request)
                body = whole.body if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else b"{}"
                return web.Response(body=body[: max(1, len(body) // 2)], content_type="application/json")
            case _:
                return await self._cut(fault, request, handler)

    async def _cut(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The connection is gone: before anything was done, after it was done, or in the middle of the answer."""
        response: web.StreamResponse = web.Response(status=500)
        if fault.when in ("after", "middle"):
            response = await handler(request)
        if fault.when == "middle" and isinstance(response, web.Response) and isinstance(response.body, bytes):
            body = response.body
            part = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": "application/json"})
            await part.prepare(request)
            await part.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
