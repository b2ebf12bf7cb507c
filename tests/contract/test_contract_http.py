"""Connector `http`, as its settings describe a system: a cursor's list, and a target that knows idempotency keys."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from aiohttp import web

from noria.metadata.clock import FakeClock
from noria.simulators.faults import Faults
from noria.simulators.sink import Sink
from noria.testing import ConnectorContract, Reads, System, Writes


class Shop(Sink):
    """A sink with a list of goods, behind a token that is asked for with a GET."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(id_field="id")
        self.clock = clock
        self.tokens: set[str] = set()
        self.given = 0
        self.refusals = 0
        self.faults = Faults(expire=self.tokens.clear, denied=lambda _: self._denied())
        self.goods = [
            {"sku": 9_007_199_254_740_993 + n, "name": f"货品 {n} 😀", "price": Decimal("12345678901234567.8901")}
            for n in range(45)
        ]

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/token", self._token), web.get("/goods", self._list), *super().routes()]

    def _denied(self) -> web.Response:
        return web.json_response({"code": 40014, "message": "invalid token"})

    async def _token(self, request: web.Request) -> web.Response:
        if dict(request.query) != {"key": "k", "secret": "hush-hush-http"}:
            return web.json_response({"code": 40001, "message": "invalid credential"})
        self.given += 1
        token = f"tok-en-number-{self.given}"
        self.tokens.add(token)
        return web.json_response({"code": 0, "data": {"token": token, "seconds": 7200}})

    async def _list(self, request: web.Request) -> web.Response:
        if request.query.get("t") not in self.tokens:
            return self._denied()
        first = int(request.query.get("cursor", "0"))
        part, last = self.goods[first : first + 20], first + 20
        body = {"code": 0, "list": part, "next": str(last) if last < len(self.goods) else ""}
        return web.Response(text=exact(body), content_type="application/json")

    async def _write(self, request: web.Request) -> web.Response:
        if request.query.get("t") not in self.tokens:
            return self._denied()
        return await super()._write(request)


def exact(value: Any) -> str:
    """JSON with its decimals as they are."""
    text = json.dumps(value, ensure_ascii=False, default=lambda one: f"\0{one}")
    return text.replace('"\\u0000', "").replace('8901"', "8901")


class TestHttp(ConnectorContract):
    connector = "http"

    def system(self, clock: FakeClock) -> System:
        shop = Shop(clock)

        def table(url: str) -> dict[str, Any]:
            auth = {
                "type": "token",
                "token_url": "/token",
                "token_method": "GET",
                "request": {"key": "k", "secret": "hush-hush-http"},
                "token_path": "data.token",
                "expires_path": "data.seconds",
                "sent_in": "query",
                "name": "t",
            }
            return {
                "base_url": url,
                "auth": auth,
                "envelope": {"records": "list", "code": "code", "success": [0, 200], "message": "message"}
                | {"expired": [40014], "throttled": [429]},
                "paging": {"type": "cursor", "next": "next"},
                "limits": {"per_second": 10},
                "write": {"results": "data.results", "idempotency_header": "Idempotency-Key", "batch_size": 3},
            }

        return System(
            simulator=shop,
            table=table,
            wrong={"auth": {"request": {"secret": "not-the-secret-1"}}},
            secrets=("hush-hush-http", "tok-en-number"),
            reads=Reads(
                metadata={"api": "/goods", "id": "sku", "number": "name", "idCheck": True},
                truth=lambda: {str(row["sku"]): exact(row) for row in shop.goods},
                path="/goods",
                grow=lambda: shop.goods.append({"sku": len(shop.goods), "name": "新", "price": Decimal("1.8901")}),
            ),
            writes=Writes(
                metadata={
                    "api": "/items",
                    "request": [
                        {"field": "id", "value": "{{id}}"},
                        {"field": "name", "value": "{{name}}"},
                        {"field": "amount", "value": "{{amount}}"},
                        {"field": "code", "value": "{{code}}"},
                    ],
                },
                stored=lambda: {key: (len(shop.hashes[key]), row) for key, row in shop.rows.items()},
                path="/items",
                refuse=lambda ids: shop.faults.add(
                    {"kind": "reject", "path": "/items", "times": None, "ids": ids, "message": "部门不存在"}
                ),
                refusal="部门不存在",
            ),
            business=(500, "no such list"),
        )
