"""The simulated 聚水潭: signatures, clocks, windows, pages, limits, tokens, and a result for every uploaded row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from noria.simulators.jushuitan import Jushuitan
from noria.simulators.server import serve

NOW = 1_706_000_000
ORDERS, OUT, UPLOAD = "/open/orders/single/query", "/open/orders/out/simple/query", "/open/jushuitan/itemsku/upload"
WEEK = {"modified_begin": "2024-01-01 08:00:00", "modified_end": "2024-01-08 08:00:00"}


def sign(form: dict[str, str], secret: str = "demo-secret") -> dict[str, str]:
    """The form with its signature."""
    text = secret + "".join(f"{key}{form[key]}" for key in sorted(form) if form[key])
    return {**form, "sign": hashlib.md5(text.encode()).hexdigest()}


class Client:
    """A client of the simulated vendor; `changes` are put into the form before it is signed."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.token = "demo-access"

    async def call(self, path: str, what: Any, secret: str = "demo-secret", **changes: str) -> Any:
        form = {"app_key": "demo-key", "access_token": self.token, "timestamp": str(NOW), "charset": "utf-8"}
        form |= {"version": "2", "biz": json.dumps(what, ensure_ascii=False), **changes}
        async with self.http.post(self.url + path, data=sign(form, secret)) as answer:
            assert answer.status == 200
            return json.loads(await answer.text(), parse_float=Decimal)


@pytest.fixture
async def place() -> AsyncIterator[tuple[Jushuitan, Client, list[float]]]:
    clock = [0.0]
    simulator = Jushuitan(per_second=0, per_minute=0, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        yield simulator, Client(http, running.url), clock


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, 101),
        ({"app_key": "other"}, 101),
        ({"timestamp": str(NOW - 301)}, 101),
        ({"timestamp": str(NOW * 1000)}, 101),
        ({"access_token": "other"}, 100),
        ({"version": "1"}, 102),
        ({"charset": "gbk"}, 102),
        ({"biz": "[]"}, 102),
        ({"extra": "x"}, 102),
    ],
)
async def test_who_asks_is_checked(place: Any, changes: dict[str, str], code: int) -> None:
    simulator, client, _ = place
    assert (await client.call(ORDERS, WEEK))["code"] == 0
    assert (await client.call(ORDERS, WEEK, **changes))["code"] == code
    assert len(simulator.refused) == 1


async def test_only_forms_are_taken(place: Any) -> None:
    _, client, _ = place
    async with client.http.post(client.url + ORDERS, json={"app_key": "demo-key"}) as answer:
        assert (await answer.json())["code"] == 102
    async with client.http.get(client.url + ORDERS) as answer:
        assert (await answer.json())["code"] == 103


@pytest.mark.parametrize(
    "biz",
    [
        {},
        {"modified_begin": "2024-01-01 08:00:00"},
        {**WEEK, "modified_end": "2024-01-08 08:00:01"},
        {**WEEK, "modified_end": "2023-12-31 08:00:01"},
        {**WEEK, "modified_end": "2024-01-05T08:00:00"},
        {**WEEK, "page_size": 101},
        {**WEEK, "page_index": 0},
        {**WEEK, "colour": "red"},
        {"so_ids": []},
        {**WEEK, "date_type": 2},
    ],
)
async def test_wrong_queries_are_refused(place: Any, biz: dict[str, Any]) -> None:
    assert (await place[1].call(ORDERS, biz))["code"] == 102


async def test_windows_are_closed_and_pages_complete(place: Any) -> None:
    simulator, client, _ = place
    seen: list[Any] = []
    for begin, end in (("01-01 08:00:00", "01-08 07:59:59"), ("01-08 08:00:00", "01-15 07:59:59")):
        page: dict[str, Any] = {"has_next": True}
        index = 0
        while page["has_next"]:
            index += 1
            biz = {"modified_begin": f"2024-{begin}", "modified_end": f"2024-{end}", "page_index": index}
            page = (await client.call(OUT, {**biz, "page_size": "7", "is_get_total": True}))["data"]
            assert page["page_count"] == -(-page["data_count"] // 7)
            seen += page["datas"]
    rows = [row for row in simulator.truth("outbound") if row["modified"] < "2024-01-15 08:00:00"]
    assert [row["io_id"] for row in seen] == [row["io_id"] for row in rows] and len(rows) > 30
    at = rows[9]["modified"]
    assert at == rows[8]["modified"]
    both = (await client.call(OUT, {"modified_begin": at, "modified_end": at}))["data"]
    assert len(both["datas"]) == 2 and both["data_count"] == 0 and seen[0]["io_id"] > 2**53
    assert (await client.call(OUT, {**WEEK, "page_size": 51}))["code"] == 102
    assert (await client.call(OUT, {**WEEK, "date_type": 2}))["data"]["datas"][0]["io_date"] >= "2024-01-01 08:00:00"


async def test_ids_and_the_cursor_need_no_window(place: Any) -> None:
    simulator, client, _ = place
    found = (await client.call(ORDERS, {"o_ids": [simulator.orders[3]["o_id"]]}))["data"]["orders"]
    assert [row["so_id"] for row in found] == [simulator.orders[3]["so_id"]]
    assert found[0]["pay_amount"] == simulator.orders[3]["pay_amount"]
    after = simulator.orders[49]["ts"]
    assert len((await client.call(ORDERS, {"start_ts": after, "page_size": 100}))["data"]["orders"]) == 10


async def test_limits_answer_199_and_200() -> None:
    clock = [0.0]
    simulator = Jushuitan(per_minute=8, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert [(await client.call(ORDERS, WEEK))["code"] for _ in range(6)] == [0] * 5 + [199]
        clock[0] = 1.0
        assert [(await client.call(ORDERS, WEEK))["code"] for _ in range(4)] == [0] * 3 + [200]
        clock[0] = 60.0
        assert (await client.call(ORDERS, WEEK))["code"] == 0


async def test_tokens_expire_and_are_refreshed(place: Any) -> None:
    simulator, client, clock = place
    clock[0] = 30 * 86400.0
    assert (await client.call(ORDERS, WEEK))["code"] == 100
    form = {"app_key": "demo-key", "timestamp": str(NOW), "charset": "utf-8", "grant_type": "refresh_token"}
    for token, code in (("other", 100), ("demo-refresh", 0)):
        data = sign({**form, "refresh_token": token, "scope": "all"})
        async with client.http.post(client.url + "/openWeb/auth/refreshToken", data=data) as answer:
            reply = await answer.json()
        assert reply["code"] == code
    client.token = reply["data"]["access_token"]
    assert (await client.call(ORDERS, WEEK))["code"] == 0 and simulator.tokens_issued == 1
    initial = {**form, "grant_type": "authorization_code", "code": "a1b2c3"}
    async with client.http.post(client.url + "/openWeb/auth/getInitToken", data=sign(initial)) as answer:
        assert (await answer.json())["code"] == 0
    assert (await client.call(ORDERS, WEEK))["code"] == 100


async def test_every_uploaded_row_has_its_result(place: Any) -> None:
    simulator, client, _ = place
    good = {"sku_id": "A", "i_id": "A", "name": "杯😀", "c_price": "11.30"}
    items = [good, {**good, "sku_id": "B", "name": ""}, {**good, "sku_id": "C", "c_price": "dear"}]
    results = (await client.call(UPLOAD, {"items": items}))["data"]["datas"]
    assert [(row["sku_id"], row["is_success"]) for row in results] == [("A", True), ("B", False), ("C", False)]
    await client.call(UPLOAD, {"items": [good]})
    assert simulator.stored["A"].times == 2 and simulator.state()["duplicates"] == []
    assert (await client.call(UPLOAD, {"items": [good] * 201}))["code"] == 102
    simulator.faults.add({"kind": "reject", "ids": ["A"], "message": "商品已停用"})
    assert (await client.call(UPLOAD, {"items": [good]}))["data"]["datas"][0]["msg"] == "商品已停用"


async def test_faults_have_the_vendors_form(place: Any) -> None:
    simulator, client, _ = place
    simulator.faults.add([{"kind": "throttle"}, {"kind": "business", "code": 150, "message": "店铺不存在"}])
    assert [(await client.call(ORDERS, WEEK))["code"] for _ in range(3)] == [200, 150, 0]
    simulator.faults.add({"kind": "expire"})
    assert [(await client.call(ORDERS, WEEK))["code"] for _ in range(2)] == [100, 100]


def test_data_are_the_same_for_the_same_seed() -> None:
    assert Jushuitan(seed=3).truth("orders") == Jushuitan(seed=3).truth("orders") != Jushuitan().truth("orders")
