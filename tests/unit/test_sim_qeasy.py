"""The simulated 轻易云: tokens, schemes, records that are stored and found, and a limit that costs five minutes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from noria.simulators.qeasy import Qeasy
from noria.simulators.server import serve

NOW = 1_706_000_000
KEYS = {"app_key": "demo00000001", "app_secret": "demosecret0000000001"}


class Client:
    """A client with a token in the query, or in the header."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.token = ""
        self.bearer = False

    async def post(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        address = self.url + path + ("" if self.bearer else f"?access_token={self.token}")
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body, ensure_ascii=False).encode()
        async with self.http.post(
            address, data=data, headers={"Content-Type": "application/json", **headers}
        ) as answer:
            assert answer.status == status
            return {**json.loads(await answer.text(), parse_float=Decimal), "wait": answer.headers.get("Retry-After")}

    async def enter(self, **changes: str) -> Any:
        reply = await self.post("/v2/oauth", {**KEYS, **changes})
        self.token = (reply["content"] or {}).get("access_token", "")
        return reply

    async def call(self, what: str, body: Any, status: int = 200, scheme: str = "S1") -> Any:
        return await self.post(f"/v2/open-api/business/{scheme}/{what}", body, status)


@pytest.fixture
async def place() -> AsyncIterator[tuple[Qeasy, Client, list[float]]]:
    clock = [0.0]
    schemes = {"S1": ("id",), "S2": ()}
    simulator = Qeasy(schemes=schemes, per_minute=0, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert (await client.enter())["content"]["expires_in"] == 7200
        yield simulator, client, clock


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"app_key": "demo00000002"}, 40101),
        ({"app_secret": "demosecret0000000002"}, 40101),
        ({"app_key": "short"}, 40001),
        ({"grant": "x"}, 40001),
    ],
)
async def test_tokens_need_the_right_keys(place: Any, changes: dict[str, str], code: int) -> None:
    reply = await place[1].enter(**changes)
    assert (reply["success"], reply["code"]) == (False, code)


async def test_tokens_come_in_query_or_header_and_expire(place: Any) -> None:
    _, client, clock = place
    for client.bearer in (True, False):
        assert (await client.call("query", {}))["success"] is True
    clock[0] = 7200.0
    for client.bearer in (True, False):
        assert (await client.call("query", {}))["code"] == 40102


async def test_records_without_required_fields_fail(place: Any) -> None:
    simulator, client, _ = place
    rows = [{"id": 2**53 + 1, "name": "甲😀", "amount": "0.10", "x": None}, {"name": "乙"}, {"id": ""}]
    reply = await client.call("store", {"content": rows})
    assert reply["content"] == {"inserted": 1, "failed": 2} and reply["code"] == 0
    assert (await client.call("store", {"content": rows}, scheme="S2"))["content"]["inserted"] == 3
    assert simulator.truth("S1")[-1]["content"] == rows[0] == simulator.stored[str(2**53 + 1)].row
    simulator.faults.add({"kind": "reject", "ids": ["7"], "path": "/v2/open-api"})
    assert (await client.call("store", {"content": [{"id": 7}, {"id": 8}]}))["content"]["failed"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"content": []}, {"content": {}}, {"content": ["x"]}, {"content": [{}], "x": 1}, []]
)
async def test_wrong_bodies_are_refused(place: Any, body: Any) -> None:
    simulator, client, _ = place
    assert (await client.call("store", body))["code"] == 40001 and simulator.stored == {}


async def test_what_is_stored_twice_is_two_records(place: Any) -> None:
    simulator, client, _ = place
    for _ in range(2):
        await client.call("store-dispatch", {"content": [{"id": 1}]})
    assert simulator.state()["duplicates"] == [{"id": "S1 1", "times": 2, "numbers": ["1", "1"]}]
    assert simulator.dispatched == ["1", "1"] and len(simulator.truth("S1")) == 32
    assert (await client.call("store", {"content": [{"id": 1}]}, scheme="S9"))["code"] == 40401
    assert (await client.call("forget", {}))["code"] == 40401


@pytest.mark.parametrize("shape", ["list", "rows", "array"])
async def test_queries_page_and_filter(place: Any, shape: str) -> None:
    simulator, client, _ = place
    simulator.shape = shape

    async def query(**body: Any) -> Any:
        content = (await client.call("query", body))["content"]
        return content if shape == "array" else content[shape]

    seen: list[Any] = []
    for page in (1, 2, 3):
        seen += await query(page=page, pageSize=13)
    rows = simulator.truth("S1")
    assert seen == rows and seen[0]["content"]["id"] > 2**53
    begin, end = rows[5]["created_at"], rows[20]["created_at"]
    assert await query(begin_at=begin, end_at=end, pageSize=100) == rows[5:21]
    assert await query(CONTENT_id=rows[3]["content"]["id"], CONTENT_name=rows[3]["content"]["name"]) == [rows[3]]


@pytest.mark.parametrize(
    "body",
    [
        {"pageSize": 101},
        {"pageSize": 0},
        {"page": 0},
        {"begin_at": "yesterday"},
        {"begin_at": 2, "end_at": 1},
        {"x": 1},
    ],
)
async def test_wrong_queries_are_refused(place: Any, body: dict[str, Any]) -> None:
    assert (await place[1].call("query", body))["code"] == 40001


async def test_a_call_too_many_costs_five_minutes() -> None:
    clock = [0.0]
    simulator = Qeasy(schemes={"S1": ()}, per_minute=3, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        await client.enter()
        for _ in range(3):
            await client.call("query", {})
        assert (await client.call("query", {}, 429))["wait"] == "300"
        clock[0] = 299.0
        late = await client.call("query", {}, 429)
        assert (late["code"], late["wait"]) == (42901, "1")
        clock[0] = 300.0
        assert (await client.call("query", {}))["code"] == 0


async def test_faults_have_the_platforms_form(place: Any) -> None:
    simulator, client, _ = place
    simulator.faults.add(
        [{"kind": "throttle", "retry_after": 2}, {"kind": "business", "code": 50001}, {"kind": "expire"}]
    )
    assert (await client.call("query", {}, 429))["wait"] == "2"
    assert [(await client.call("query", {}))["code"] for _ in range(3)] == [50001, 40102, 40102]
