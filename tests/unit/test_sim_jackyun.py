"""The simulated 吉客云: signatures, clocks, pages, windows, scrolls, and answers of two shapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from noria.simulators.jackyun import Jackyun
from noria.simulators.server import serve
from noria.simulators.wire import shown

NOW = 1_706_000_000
GOODS, DOCS, TRADES = "erp.goods.get", "erp.storage.goodsdocin.v2", "oms.trade.fullinfoget"
WEEK = {"gmtModifiedBegin": "2024-01-01 08:00:00", "gmtModifiedEnd": "2024-01-08 08:00:00"}


class Client:
    """A client; `changes` are put into the form before it is signed."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def call(self, method: str, what: Any, secret: str = "demo-SECRET", **changes: str) -> Any:
        form = {"method": method, "appkey": "demo-key", "version": "v1.0", "contenttype": "json"}
        form |= {"timestamp": shown(NOW), "bizcontent": json.dumps(what, ensure_ascii=False), **changes}
        text = secret + "".join(k + form[k] for k in sorted(form) if k not in ("token", "contextid")) + secret
        form["sign"] = hashlib.md5(text.lower().encode()).hexdigest()
        async with self.http.post(self.url + "/open/openapi/do", data=form) as answer:
            return json.loads(await answer.text(), parse_float=Decimal)

    async def data(self, method: str, what: Any) -> Any:
        data = (await self.call(method, what))["result"]["data"]
        return json.loads(data, parse_float=Decimal) if isinstance(data, str) else data


@pytest.fixture
async def place() -> AsyncIterator[tuple[Jackyun, Client]]:
    simulator = Jackyun(appsecret="demo-SECRET", per_second=0, now=lambda: NOW, subscribed=(GOODS, DOCS, TRADES))
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        yield simulator, Client(http, running.url)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, (0, "0858030801")),
        ({"timestamp": shown(NOW - 301)}, (0, "0858030801")),
        ({"timestamp": str(NOW)}, (0, "0858030801")),
        ({"appkey": "other"}, (0, "0858030802")),
        ({"method": "erp.stock.get"}, (0, "0130020310")),
        ({"contenttype": "xml"}, (500, "")),
        ({"bizcontent": "[]"}, (500, "")),
        ({"extra": "x"}, (500, "")),
    ],
)
async def test_who_asks_is_checked(place: Any, changes: dict[str, str], code: tuple[int, str]) -> None:
    simulator, client = place
    changes = dict(changes)
    assert (await client.call(GOODS, {}))["code"] == 200
    reply = await client.call(changes.pop("method", GOODS), {}, **changes)
    assert (reply["code"], reply["subCode"]) == code and len(simulator.refused) == 1


async def test_a_token_is_wanted_but_not_signed(place: Any) -> None:
    simulator, client = place
    simulator.token = "T"
    assert (await client.call(GOODS, {}))["subCode"] == "0858030803"
    assert (await client.call(GOODS, {}, token="T"))["code"] == 200


@pytest.mark.parametrize(("method", "name", "kind"), [(GOODS, "goods", "goods"), (DOCS, "goodsDocIn", "goodsdocin")])
async def test_pages_from_0_are_complete(place: Any, method: str, name: str, kind: str) -> None:
    simulator, client = place
    window = {"startDate": "2024-01-01 08:00:00"} if method == DOCS else {}
    seen: list[Any] = []
    for page in range(4):
        seen += (await client.data(method, {**window, "pageIndex": str(page), "pageSize": 25}))[name]
    assert seen == simulator.truth(kind)


async def test_data_are_an_object_or_a_text(place: Any) -> None:
    simulator, client = place
    rows = simulator.truth("goodsdocin")
    text = (await client.call(DOCS, {"startDate": rows[20]["gmtModified"], "status": 1}))["result"]["data"]
    assert isinstance(text, str)
    late = [row["recId"] for row in rows if row["gmtModified"] >= rows[20]["gmtModified"] and row["status"] == 1]
    assert [row["recId"] for row in json.loads(text)["goodsDocIn"]] == late
    assert isinstance((await client.call(GOODS, {}))["result"]["data"], dict)


async def test_trades_are_scrolled(place: Any) -> None:
    simulator, client = place
    seen: list[Any] = []
    page: Any = {"scrollId": ""}
    while page["scrollId"] or not seen:
        page = await client.data(TRADES, {**WEEK, "pageSize": 6, "scrollId": page["scrollId"]})
        seen += page["trades"]
    assert seen == [row for row in simulator.truth("trades") if row["gmtModified"] <= WEEK["gmtModifiedEnd"]]
    assert len(seen) > 12


@pytest.mark.parametrize(
    ("method", "what"),
    [
        (GOODS, {"pageSize": 201}),
        (GOODS, {"pageIndex": -1}),
        (GOODS, {"colour": "red"}),
        (GOODS, {"startDateModifiedSku": "yesterday"}),
        (DOCS, {}),
        (TRADES, {"gmtModifiedBegin": "2024-01-01 08:00:00"}),
        (TRADES, {**WEEK, "gmtModifiedEnd": "2024-01-08 08:00:01"}),
        (TRADES, {**WEEK, "scrollId": "other"}),
    ],
)
async def test_wrong_queries_are_refused(place: Any, method: str, what: dict[str, Any]) -> None:
    assert (await place[1].call(method, what))["code"] == 500


async def test_trades_are_asked_for_once_a_second() -> None:
    clock = [0.0]
    simulator = Jackyun(appsecret="demo-SECRET", clock=lambda: clock[0], now=lambda: NOW)
    async with aiohttp.ClientSession() as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert [(await client.call(TRADES, WEEK))["subCode"] for _ in range(2)] == ["", "0859999999"]
        clock[0] = 1.0
        assert (await client.call(TRADES, WEEK))["code"] == (await client.call(GOODS, {}))["code"] == 200


async def test_faults_have_the_vendors_form(place: Any) -> None:
    simulator, client = place
    simulator.faults.add([{"kind": "throttle"}, {"kind": "expire"}, {"kind": "business", "code": 501}])
    seen = [await client.call(GOODS, {}) for _ in range(4)]
    assert [one["subCode"] for one in seen] == ["0859999999", "0858030803", "", ""]
    assert [one["code"] for one in seen] == [0, 0, 501, 200]
