"""The simulated 旺店通 in both editions: signatures, clocks, windows, pages, limits, and rows that are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from yarl import URL

from noria.simulators.server import serve
from noria.simulators.wangdian import Wangdian

NOW = 1_706_000_000
TRADES, STOCKOUTS, PUSH = "trade_query.php", "stockout_order_query_trade.php", "goods_push.php"
QJB_TRADES, QJB_STOCKOUTS = "sales.TradeQuery.queryWithDetail", "wms.stockout.Sales.queryWithDetail"
MONTH = {"start_time": "2024-01-01 08:00:00", "end_time": "2024-01-31 08:00:00"}


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Client:
    """A client of both editions; `changes` are put into what is signed."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def call(self, name: str, what: dict[str, str], secret: str = "demo-secret", **changes: str) -> Any:
        form = {"sid": "demo-sid", "appkey": "demo-key", "timestamp": str(NOW), **what, **changes}
        parts = [f"{len(k):>02}-{k}:{len(form[k]):>04}-{form[k]}" for k in sorted(form)]
        form["sign"] = md5(";".join(parts) + secret)
        async with self.http.post(f"{self.url}/openapi2/{name}", data=form) as answer:
            return json.loads(await answer.text(), parse_float=Decimal)

    async def qjb(self, method: str, what: Any, secret: str = "demo-secret", **changes: str) -> Any:
        query = {"sid": "demo-sid", "key": "demo-qjb", "salt": "demo-salt", "method": method, "v": "1.0"}
        query |= {"timestamp": str(NOW - 1325347200), **changes}
        body = json.dumps([what], ensure_ascii=False)
        pairs = sorted({**query, "body": body}.items())
        query["sign"] = md5(secret + "".join(k + v for k, v in pairs) + secret)
        url = URL(self.url + "/openapi").with_query(query)
        async with self.http.post(url, data=body.encode()) as answer:
            return json.loads(await answer.text(), parse_float=Decimal)


@pytest.fixture
async def place() -> AsyncIterator[tuple[Wangdian, Client]]:
    simulator = Wangdian(now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        yield simulator, Client(http, running.url)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, 1002),
        ({"sid": "other"}, 1001),
        ({"appkey": "other"}, 1001),
        ({"timestamp": str(NOW + 301)}, 1003),
        ({"page_size": "101"}, 2900),
        ({"page_no": "-1"}, 2900),
        ({"colour": "red"}, 2900),
        ({"end_time": ""}, 2160),
        ({"end_time": "2024-01-31 08:00:01"}, 2160),
        ({"end_time": "2023-12-31 08:00:00"}, 2160),
    ],
)
async def test_the_enterprise_edition_refuses(place: Any, changes: dict[str, str], code: int) -> None:
    simulator, client = place
    assert (await client.call(TRADES, MONTH))["code"] == 0
    assert (await client.call(TRADES, MONTH, **changes))["code"] == code
    assert len(simulator.refused) == 1


async def test_a_signature_counts_characters(place: Any) -> None:
    assert (await place[1].call(TRADES, {"trade_no": "单号😀"}))["total_count"] == 0


@pytest.mark.parametrize(
    ("name", "kind", "rows"), [(TRADES, "trades", "trades"), (STOCKOUTS, "stockouts", "stockout_list")]
)
async def test_enterprise_pages_are_complete(place: Any, name: str, kind: str, rows: str) -> None:
    simulator, client = place
    seen: list[Any] = []
    for page in range(4):
        reply = await client.call(name, {**MONTH, "page_size": "25", "page_no": str(page)})
        assert reply.get("total_count") == (None if page else 60)
        seen += reply[rows]
    assert seen == simulator.truth(kind)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"secret": "wrong"}, {}),
        ({"key": "demo-key"}, {}),
        ({"salt": "other"}, {}),
        ({"timestamp": str(NOW)}, {}),
        ({"timestamp": str(NOW - 1325347200 - 121)}, {}),
        ({"v": "2.0"}, {}),
        ({"page_size": "101"}, {}),
        ({"method": "nothing"}, {}),
        ({}, {"end_time": "2024-01-31 08:00:01"}),
        ({}, {"end_time": None}),
    ],
)
async def test_the_flagship_edition_refuses(place: Any, changes: dict[str, str], what: dict[str, Any]) -> None:
    _, client = place
    assert (await client.qjb(QJB_TRADES, MONTH))["status"] == 0
    changes = dict(changes)
    reply = await client.qjb(changes.pop("method", QJB_TRADES), {**MONTH, **what}, **changes)
    assert reply["status"] == 100 and reply["message"]


async def test_the_flagship_windows_and_pages(place: Any) -> None:
    simulator, client = place
    hour = {"start_time": "2024-01-01 08:00:00", "end_time": "2024-01-01 09:00:00"}
    wide = await client.qjb(QJB_STOCKOUTS, {**hour, "end_time": "2024-01-01 09:00:01"})
    assert (wide["status"], "60分钟" in wide["message"]) == (100, True)
    first = simulator.rows["qjb_stockouts"][0]
    assert (await client.qjb(QJB_STOCKOUTS, hour))["data"]["order_list"][0] == first
    seen: list[Any] = []
    for page in range(3):
        paging = {"page_no": str(page), "page_size": "30", "calc_total": "01"[page == 0]}
        data = (await client.qjb(QJB_TRADES, MONTH, **paging))["data"]
        assert data.get("total_count") == (None if page else 60)
        seen += data["order_list"]
    assert seen == simulator.truth("qjb_trades")


async def test_too_many_requests_are_1012() -> None:
    clock = [0.0]
    simulator = Wangdian(per_minute=2, clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert [(await client.call(TRADES, MONTH))["code"] for _ in range(3)] == [0, 0, 1012]
        assert [(await client.qjb(QJB_TRADES, MONTH))["status"] for _ in range(3)] == [0, 0, 1012]
        clock[0] = 60.0
        assert (await client.call(TRADES, MONTH))["code"] == 0


async def test_goods_are_pushed_row_by_row(place: Any) -> None:
    simulator, client = place
    goods = [{"goods_no": "货1", "goods_name": "杯😀"}, {"goods_no": "G2", "goods_name": ""}, {"goods_no": 3}]
    reply = await client.call(PUSH, {"goods_list": json.dumps(goods, ensure_ascii=False)})
    assert (reply["code"], reply["new_count"], reply["chg_count"]) == (0, 1, 0)
    assert [row["goods_no"] for row in reply["error_list"]] == ["G2", "3"]
    again = await client.call(PUSH, {"goods_list": json.dumps(goods[:1])})
    assert (again["new_count"], again["chg_count"]) == (0, 1)
    assert simulator.stored["货1"].times == 2 and simulator.state()["duplicates"] == []
    assert (await client.call(PUSH, {"goods_list": "{}"}))["code"] == 2900
    assert (await client.call(PUSH, {"goods_list": json.dumps(goods[:1] * 101)}))["code"] == 2900


async def test_faults_have_the_form_of_their_edition(place: Any) -> None:
    simulator, client = place
    simulator.faults.add([{"kind": "throttle"}, {"kind": "expire"}, {"kind": "business", "code": 7}])
    assert [(await client.call(TRADES, MONTH))["code"] for _ in range(4)] == [1012, 1001, 7, 0]
    simulator.faults.add([{"kind": "throttle"}, {"kind": "expire"}])
    assert [(await client.qjb(QJB_TRADES, MONTH))["status"] for _ in range(3)] == [1012, 100, 0]
