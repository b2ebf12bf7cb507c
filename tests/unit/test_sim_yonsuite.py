"""The simulated 用友 YonSuite: gateway, signed tokens, conditions, pages, limits, and saves that fail in part."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from yarl import URL

from noria.simulators.server import serve
from noria.simulators.yonsuite import LIST, SAVE, YonSuite

NOW = 1_706_000_000
PAGE = {"pageIndex": 1, "pageSize": 100}


class Client:
    """A client that finds the gateway first."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.found: dict[str, str] = {}
        self.token = ""

    async def get(self, url: str, **query: str) -> Any:
        async with self.http.get(URL(url).with_query(query)) as answer:
            return await answer.json()

    async def enter(self, secret: str = "demo-secret", path: str = "/base/v1", **changes: str) -> Any:
        found = await self.get(self.url + "/open-auth/dataCenter/getGatewayAddress", tenantId="demo-tenant")
        assert found["code"] == "00000"
        self.found = found["data"]
        query = {"appKey": "demo-key", "timestamp": str(NOW * 1000), **changes}
        text = "".join(key + query[key] for key in ("appKey", "timestamp"))
        mac = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        url = f"{self.found['tokenUrl']}/open-auth/selfAppAuth{path}/getAccessToken"
        reply = await self.get(url, **query, signature=mac)
        self.token = (reply["data"] or {}).get("access_token", "")
        return reply

    async def call(self, path: str, body: Any, status: int = 200) -> Any:
        query = {"access_token": self.token} if self.token else {}
        data = json.dumps(body, ensure_ascii=False).encode()
        url = URL(self.found["gatewayUrl"] + path).with_query(query)
        async with self.http.post(url, data=data, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == status
            return json.loads(await answer.text(), parse_float=Decimal)


@pytest.fixture
async def place() -> AsyncIterator[tuple[YonSuite, Client, list[float]]]:
    clock = [0.0]
    simulator = YonSuite(per_minute=0, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert (await client.enter())["data"]["expire"] == 7200
        yield simulator, client, clock


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "00000"),
        ({"path": ""}, "00000"),
        ({"secret": "wrong"}, "10019"),
        ({"timestamp": str(NOW * 1000 - 300_001)}, "10019"),
        ({"timestamp": str(NOW)}, "10019"),
        ({"appKey": "other"}, "10018"),
    ],
)
async def test_tokens_are_signed_for(place: Any, changes: dict[str, str], code: str) -> None:
    assert (await place[1].enter(**changes))["code"] == code


async def test_tokens_are_needed_and_expire(place: Any) -> None:
    simulator, client, clock = place
    assert (await client.call(LIST, PAGE))["code"] == "200"
    clock[0] = 7200.0
    assert (await client.call(LIST, PAGE))["code"] == "310036"
    client.token = ""
    assert (await client.call(LIST, PAGE))["code"] == "310001"
    await client.enter()
    assert (await client.call("/yonbip/nothing", {}, 404))["code"] == "310404"
    simulator.allowed = (LIST,)
    assert (await client.call(SAVE, {"data": {}}))["code"] == "310037"
    assert len(simulator.refused) == 4 and simulator.tokens_issued == 2


async def test_pages_from_1_are_complete(place: Any) -> None:
    simulator, client, _ = place
    seen: list[Any] = []
    for page in range(1, 4):
        data = (await client.call(LIST, {"pageIndex": str(page), "pageSize": "25"}))["data"]
        assert (data["recordCount"], data["pageCount"]) == (60, 3)
        seen += data["recordList"]
    assert seen == simulator.truth("orders") and seen[0]["id"] > 2**53


async def test_conditions(place: Any) -> None:
    simulator, client, _ = place
    rows = simulator.truth("orders")
    at = rows[29]["pubts"]
    since = {"field": "pubts", "op": "egt", "value1": at}
    found = (await client.call(LIST, {**PAGE, "simpleVOs": [since]}))["data"]["recordList"]
    assert [row["id"] for row in found] == [row["id"] for row in rows if row["pubts"] >= at]
    both = {"field": "payMoney", "op": "between", "value1": "100", "value2": 500}
    found = (await client.call(LIST, {**PAGE, "simpleVOs": [since, both]}))["data"]["recordList"]
    assert len(found) == sum(row["pubts"] >= at and 100 <= row["payMoney"] <= 500 for row in rows) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"pageIndex": 0},
        {"pageSize": 501},
        {"colour": "red"},
        {"simpleVOs": [{"field": "colour", "op": "eq", "value1": 1}]},
        {"simpleVOs": [{"field": "pubts", "op": "like", "value1": "2024"}]},
        {"simpleVOs": [{"field": "payMoney", "op": "egt", "value1": "much"}]},
        {"simpleVOs": [{"field": "pubts", "op": "between", "value1": "2024"}]},
    ],
)
async def test_wrong_queries_are_refused(place: Any, change: dict[str, Any]) -> None:
    assert (await place[1].call(LIST, {**PAGE, **change}))["code"] == "310400"


async def test_a_save_fails_in_part(place: Any) -> None:
    simulator, client, _ = place
    good = {"code": "A", "shop": "店😀", "lines": [{"sku": "S", "num": 1, "price": "2.50"}]}
    documents = [good, {**good, "code": "B", "lines": []}, {**good, "code": "C", "lines": [{"num": "many"}]}, good]
    reply = await client.call(SAVE, {"data": documents})
    assert (reply["code"], reply["data"]["sucessCount"], reply["data"]["failCount"]) == (200, 1, 3)
    assert [one["key"] for one in reply["data"]["messages"]] == ["B", "C", "A"]
    assert list(simulator.stored) == ["A"] and simulator.state()["duplicates"] == []
    assert (await client.call(SAVE, {"data": [good] * 101}))["code"] == "310400"
    simulator.faults.add({"kind": "reject", "ids": ["D"], "message": "库存不足"})
    reply = await client.call(SAVE, {"data": {**good, "code": "D"}})
    assert reply["data"]["messages"] == [{"key": "D", "message": "库存不足"}]


async def test_a_key_keeps_a_document_from_being_made_twice(place: Any) -> None:
    simulator, client, _ = place
    for _ in range(2):
        keyed = await client.call(SAVE, {"data": {"shop": "S", "resubmitCheckKey": "k" * 32}})
        await client.call(SAVE, {"data": {"shop": "T"}})
    assert (keyed["data"]["sucessCount"], keyed["data"]["infos"][0]["code"]) == (1, "XSCK00000000")
    state = simulator.state()
    assert state["replayed"] == 1 and [one["times"] for one in state["duplicates"]] == [2]
    assert (await client.call(SAVE, {"data": {"shop": "S", "resubmitCheckKey": "k" * 33}}))["data"]["failCount"] == 1


async def test_the_order_list_is_limited() -> None:
    clock = [0.0]
    simulator = YonSuite(clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        await client.enter()
        assert [(await client.call(LIST, PAGE))["code"] for _ in range(61)] == ["200"] * 60 + ["310032"]
        assert (await client.call(SAVE, {"data": {"shop": "S"}}))["code"] == 200
        clock[0] = 60.0
        assert (await client.call(LIST, PAGE))["code"] == "200"


async def test_faults_have_the_vendors_form(place: Any) -> None:
    simulator, client, _ = place
    simulator.faults.add([{"kind": "throttle"}, {"kind": "business", "code": 999}, {"kind": "expire"}])
    assert (await client.enter())["code"] == "00000"
    assert [(await client.call(LIST, PAGE))["code"] for _ in range(4)] == ["310032", "999", "310036", "310036"]
