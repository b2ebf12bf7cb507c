"""吉客云 keeps the contract: trades by scroll in windows of seven days, documents by page whose data is a text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from noria.connectors.jackyun import declared, sign
from noria.connectors.transport import Answer
from noria.metadata.clock import FakeClock
from noria.simulators.jackyun import Jackyun
from noria.simulators.server import serve
from noria.simulators.wire import encoded, shown
from noria.testing import ConnectorContract, Reads, System
from noria.testing.trial import trial

DOCUMENTS = Path(__file__).parents[1] / "documents"
# Before the time of the clock that tests turn.
START, BEFORE = "2023-10-20 08:00:00", "2023-10-19 00:00:00"
SECRET, TOKEN = "Hush-Hush-JKY", "to-ken-of-jky"
INSIDE = {"inside": {"connector": "noria"}}


def company(clock: FakeClock, **more: Any) -> Jackyun:
    return Jackyun(appsecret=SECRET, token=TOKEN, start=START, clock=clock.steady, now=clock.now, **more)


def table(url: str) -> dict[str, Any]:
    return {
        "connector": "jackyun",
        "base_url": f"{url}/open/openapi/do",
        "appkey": "demo-key",
        "appsecret": SECRET,
        "token": TOKEN,
        # One request at a time: on a clock that jumps, those under way would arrive with the next second's.
        "limits": {"concurrent": 1},
    }


class Jackyuns(ConnectorContract):
    kind = ""
    id = ""

    def system(self, clock: FakeClock) -> System:
        made = company(clock)

        def grow() -> None:
            rows = made.rows[self.kind]
            new = 7_000_000 + len(rows)
            value = str(new) if isinstance(rows[0][self.id], str) else new
            rows.append({**rows[-1], self.id: value, "gmtModified": shown(clock.now())})

        return System(
            simulator=made,
            table=table,
            wrong={"appsecret": "not-the-secret-1"},
            secrets=(SECRET, TOKEN, "not-the-secret-1"),
            reads=Reads(
                metadata={"method": "POST", "id": self.id, **self.asks()},
                truth=lambda: {str(row[self.id]): encoded(row) for row in made.truth(self.kind)},
                path="/open/openapi/do",
                grow=grow,
                options={"start": BEFORE},
            ),
            expires=False,
            names_waits=False,
            limited=lambda: sum("过于频繁" in one for one in made.refused),
        )

    def asks(self) -> dict[str, Any]:
        return {}


class TestTrades(Jackyuns):
    connector = "jackyun"
    kind = "trades"
    id = "tradeId"

    def asks(self) -> dict[str, Any]:
        window = (("gmtModifiedBegin", "{{LAST_SYNC_TIME|datetime}}"), ("gmtModifiedEnd", "{{CURRENT_TIME|datetime}}"))
        request = [*({"field": field, "value": value} for field, value in window), {"field": "pageSize", "value": "9"}]
        return {"api": "oms.trade.fullinfoget", "request": request}


class TestDocuments(Jackyuns):
    connector = "jackyun"
    kind = "goodsdocin"
    id = "recId"

    def asks(self) -> dict[str, Any]:
        inner = [
            {"field": "startDate", "value": "{{LAST_SYNC_TIME|datetime}}"},
            {"field": "pageSize", "type": "int", "value": "9"},
            {"field": "pageIndex", "type": "int", "value": "0"},
        ]
        return {
            "api": "erp.storage.goodsdocin.v2",
            "request": [{"field": "bizcontent", "type": "object", "children": inner}],
        }


def test_a_signature_is_of_the_text_in_lower_case() -> None:
    form = {"method": "erp.goods.GET", "appkey": "K", "bizcontent": '{"备注":"AB"}', "token": "t", "contextid": "c"}
    text = "secret" + "appkeyk" + 'bizcontent{"备注":"ab"}' + "methoderp.goods.get" + "secret"
    assert sign({**form, "sign": "old"}, "SecRet") == hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("code", "below", "said"),
    [
        (200, "", "200"),
        (0, "0000000000", "200"),
        ("200", "0030000004", "200"),
        (200, None, "200"),
        (0, "0858030801", "0858030801"),
        (200, "0130020310", "0130020310"),
        (500, "", "500"),
        (500, "0", "500"),
        (None, "", ""),
    ],
)
def test_all_is_well_only_when_both_codes_say_so(code: Any, below: Any, said: str) -> None:
    body = json.dumps({"code": code, "subCode": below, "msg": "m", "result": None})
    assert json.loads(declared(Answer(200, {}, body.encode(), "", 0.0)).body) == {
        "code": said,
        "msg": "m",
        "data": None,
    }


@pytest.mark.parametrize(("data", "found"), [({"a": 1}, {"a": 1}), ('{"a": 1.10}', {"a": "1.10"}), ("fine", "fine")])
def test_data_is_an_object_or_the_text_of_one(data: Any, found: Any) -> None:
    body = json.dumps({"code": 200, "subCode": "", "result": {"data": data}}).encode()
    assert json.loads(declared(Answer(200, {}, body, "", 0.0)).body, parse_float=str)["data"] == found


@pytest.mark.parametrize(
    ("name", "kind"), [("15-jikeyun-nested-lists", "goodsdocin"), ("16-jikeyun-object-list-values", "goods")]
)
async def test_published_plans_read_everything(name: str, kind: str) -> None:
    clock = FakeClock()
    made = company(clock, docs=160)
    source = json.loads((DOCUMENTS / f"{name}.json").read_text("utf-8"))["source"]
    async with serve(made) as running:
        with trial(clock, {"jky": table(running.url), **INSIDE}) as tried:
            tried.plan(("jky", source), ("inside", {"api": "写入空操作"}), {"start": BEFORE})
            finished = await tried.run()
            assert finished.status == "done", str(finished.error)
            wanted = [row for row in made.truth(kind) if row.get("status", 1) == 1]
            assert set(tried.raws()) == {row[source["id"]] for row in wanted} and made.refused == []


async def test_a_plan_without_times_is_answered_by_the_vendor() -> None:
    clock = FakeClock()
    source = {"api": "oms.trade.fullinfoget", "method": "POST", "id": "tradeId"}
    async with serve(company(clock)) as running:
        with trial(clock, {"jky": table(running.url), **INSIDE}) as tried:
            tried.plan(("jky", source), ("inside", {"api": "写入空操作"}), {})
            finished = await tried.run()
            assert finished.status == "failed" and "gmtModifiedBegin" in str(finished.error)


async def test_a_write_that_the_gateway_refuses_is_not_taken_for_written() -> None:
    """Its code is 0, and only the code below says that it was refused."""
    clock = FakeClock()
    made = company(clock)
    async with serve(made) as running:
        tables = {"jky": table(running.url)}
        with trial(clock, tables) as tried:
            read = {"api": "erp.goods.get", "method": "POST", "id": "goodsId"}
            goods = {
                "api": "erp.goods.add",
                "method": "POST",
                "request": [{"field": "goodsNo", "value": "{{goodsNo}}"}],
            }
            tried.plan(("jky", read), ("jky", goods), {"batch_size": 1})
            await tried.run()
            assert {one["state"] for one in tried.records(limit=500)}.isdisjoint({"delivered"})
            assert any("0130020310" in str(one["reason"]) for one in tried.records(limit=500))
