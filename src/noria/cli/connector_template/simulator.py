"""A simulated NAME: answers as the vendor's documents say, and is as strict about what it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from noria.simulators.faults import Fault, Faults
from noria.simulators.server import Simulator


class Simulated(Simulator):
    """`clock`: seconds that never go back. Imports nothing of the connector, so that no mistake is made twice."""

    name = "NAME"

    def __init__(self, *, app_key: str, app_secret: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self.app_key = app_key
        self.app_secret = app_secret
        self.clock = clock
        self.tokens: dict[str, float] = {}
        self.issued = 0
        self.items = [
            {"id": 9_007_199_254_740_993 + n, "name": f"货品 {n} 😀", "price": "12345678901234567.8901"}
            for n in range(120)
        ]
        self.stored: dict[str, tuple[int, Any]] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.calls: list[float] = []
        self.faults = Faults(
            expire=self.tokens.clear,
            denied=lambda _: _answer(40101, "token is invalid"),
            throttled=lambda _: _answer(42901, "too many requests"),
            business=lambda fault: _answer(fault.code, fault.message),
        )

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.post("/token", self._token),
            web.get("/items", self._list),
            web.post("/items/batch", self._write),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {**super().state(), "stored": len(self.stored)}

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body != {"app_key": self.app_key, "app_secret": self.app_secret}:
            return self._refuse(40001, "app_key or app_secret is wrong")
        self.issued += 1
        token = f"NAME-token-{self.issued:06}"
        self.tokens[token] = self.clock() + 7200
        return _answer(0, "ok", {"token": token, "seconds": 7200})

    def _admitted(self, request: web.Request) -> web.Response | None:
        if self.tokens.get(request.query.get("token", ""), 0.0) <= self.clock():
            return _answer(40101, "token is invalid")
        self.calls = [at for at in self.calls if at > self.clock() - 1] + [self.clock()]
        return self._refuse(42901, "too many requests") if len(self.calls) > 20 else None

    async def _list(self, request: web.Request) -> web.Response:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        page, size = int(request.query.get("page", "1")), int(request.query.get("size", "20"))
        if not 1 <= size <= 50:
            return self._refuse(40002, "size must be 1 to 50")
        part = self.items[(page - 1) * size : page * size]
        return _answer(0, "ok", {"items": part, "total": len(self.items)})

    async def _write(self, request: web.Request) -> web.Response:
        refused = self._admitted(request)
        if refused is not None:
            return refused
        key = request.headers.get("Idempotency-Key", "")
        if key in self.answers:
            return _answer(0, "ok", self.answers[key])
        rows = (await request.json())["items"]
        fault = self.faults.strike(request.path, "reject") if self._named(rows) else None
        results = [self._keep(row, fault) for row in rows]
        self.answers[key] = {"results": results}
        return _answer(0, "ok", self.answers[key])

    def _named(self, rows: list[Any]) -> bool:
        ids = {one for fault in self.faults.active if fault.kind == "reject" for one in fault.ids}
        return any(row["id"] in ids for row in rows)

    def _keep(self, row: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        if fault is not None and row["id"] in fault.ids:
            return {"id": row["id"], "ok": False, "message": fault.message}
        times, _ = self.stored.get(row["id"], (0, None))
        self.stored[row["id"]] = (times + 1, row)
        return {"id": row["id"], "ok": True, "message": ""}

    def _refuse(self, code: int, message: str) -> web.Response:
        self.refused.append(f"{code} {message}")
        return _answer(code, message)


def _answer(code: int, message: str, data: Any = None) -> web.Response:
    text = json.dumps({"code": code, "message": message, "data": data}, ensure_ascii=False)
    return web.Response(text=text, content_type="application/json")
