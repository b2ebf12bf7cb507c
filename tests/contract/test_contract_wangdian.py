"""旺店通 keeps the contract in both editions: 企业版 with goods that are pushed, 旗舰版 with its query and windows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from noria.connectors.wangdian import enterprise_sign, flagship_sign
from noria.metadata.clock import FakeClock
from noria.simulators.server import serve
from noria.simulators.wangdian import Wangdian
from noria.simulators.wire import encoded, shown
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import giving, trial

DOCUMENTS = Path(__file__).parents[1] / "documents"
# More than one window before the time of the clock that tests turn.
START, BEFORE, DAYS = "2023-09-20 08:00:00", "2023-09-19 00:00:00", 50
SECRET, SALT = "hush-hush-wdt", "sa-lt-of-wdt"
WINDOW = [
    {"field": "start_time", "value": "{{LAST_SYNC_TIME|datetime}}"},
    {"field": "end_time", "value": "{{CURRENT_TIME|datetime}}"},
]
INSIDE = {"inside": {"connector": "noria"}}


def company(clock: FakeClock, **more: Any) -> Wangdian:
    secrets = {"appsecret": SECRET, "qjb_secret": f"{SECRET}:{SALT}"}
    return Wangdian(**{"start": START, "days": DAYS, **secrets, **more}, clock=clock.steady, now=clock.now)


def table(url: str) -> dict[str, Any]:
    return {
        "connector": "wangdian",
        "base_url": f"{url}/openapi2",
        "sid": "demo-sid",
        "appkey": "demo-key",
        "appsecret": SECRET,
    }


def flagship(url: str) -> dict[str, Any]:
    return {
        **table(url),
        "connector": "wangdian_qjb",
        "base_url": f"{url}/openapi",
        "appkey": "demo-qjb",
        "appsecret": f"{SECRET}:{SALT}",
    }


class TestWangdian(ConnectorContract):
    connector = "wangdian"

    def system(self, clock: FakeClock) -> System:
        made = company(clock)

        def grow() -> None:
            rows = made.rows["trades"]
            rows.append({**rows[-1], "trade_id": 7_000_000 + len(rows), "modified": shown(clock.now())})

        def stored() -> dict[str, tuple[int, Any]]:
            return {number: (one.times, json.loads(encoded(one.row))) for number, one in made.stored.items()}

        goods = [
            {"field": field, "type": kind, "value": value}
            for field, kind, value in (
                ("goods_no", "string", "{{id}}"),
                ("goods_name", "string", "{{name}}"),
                ("remark", "string", "{{amount}}"),
                ("prop1", "int", "{{code}}"),
            )
        ]
        return System(
            simulator=made,
            table=table,
            wrong={"appsecret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1"),
            reads=Reads(
                metadata={
                    "api": "trade_query.php",
                    "method": "POST",
                    "id": "trade_id",
                    "number": "trade_no",
                    "request": [*WINDOW, {"field": "page_no", "value": "0"}, {"field": "page_size", "value": "8"}],
                },
                truth=lambda: {str(row["trade_id"]): encoded(row) for row in made.truth("trades")},
                path="/openapi2/trade_query.php",
                grow=grow,
                options={"start": BEFORE},
            ),
            writes=Writes(
                metadata={
                    "api": "goods_push.php",
                    "method": "POST",
                    "request": [{"field": "goods_list", "type": "array", "children": goods}],
                },
                stored=stored,
                path="/openapi2/goods_push.php",
                refuse=lambda ids: made.faults.add({"kind": "reject", "ids": ids, "times": None}),
                once=False,
            ),
            expires=False,
            names_waits=False,
        )


class TestFlagship(ConnectorContract):
    connector = "wangdian_qjb"

    def system(self, clock: FakeClock) -> System:
        made = company(clock)

        def grow() -> None:
            rows = made.rows["qjb_trades"]
            rows.append({**rows[-1], "trade_id": 7_000_000 + len(rows), "modified": shown(clock.now())})

        return System(
            simulator=made,
            table=flagship,
            wrong={"appsecret": "not-the-secret-1:not-the-salt-1"},
            secrets=(SECRET, SALT, "not-the-secret-1", "not-the-salt-1"),
            reads=Reads(
                metadata={
                    "api": "sales.TradeQuery.queryWithDetail",
                    "method": "POST",
                    "id": "trade_id",
                    "number": "trade_no",
                    "request": [*WINDOW, {"field": "page_size", "type": "int", "value": "8"}],
                },
                truth=lambda: {str(row["trade_id"]): encoded(row) for row in made.truth("qjb_trades")},
                path="/openapi",
                grow=grow,
                options={"start": BEFORE},
            ),
            expires=False,
            names_waits=False,
        )


def test_the_signature_of_the_enterprise_edition_counts_characters() -> None:
    form = {"sid": "test2", "appkey": "test2-xx", "page_no": "0", "timestamp": "1470042310", "remark": "加急😀"}
    text = "06-appkey:0008-test2-xx;07-page_no:0001-0;06-remark:0003-加急😀;03-sid:0005-test2;"
    text += "09-timestamp:0010-1470042310" + "12345"
    assert enterprise_sign({**form, "sign": "old"}, "12345") == hashlib.md5(text.encode()).hexdigest()


def test_the_signature_of_the_flagship_edition_holds_the_body() -> None:
    query = {"sid": "s", "key": "k", "salt": "x", "method": "a.B.c", "v": "1.0", "timestamp": "1"}
    text = "SEC" + 'body[{"备注":"a b"}]' + "keyk" + "methoda.B.c" + "saltx" + "sids" + "timestamp1" + "v1.0" + "SEC"
    signed = flagship_sign({**query, "sign": "old"}, '[{"备注":"a b"}]', "SEC")
    assert signed == hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(("name", "kind"), [("13-wdt-format", "stockouts"), ("14-wdt-line-condition", "trades")])
async def test_published_plans_read_what_they_ask_for(name: str, kind: str) -> None:
    """13 asks for the last hour; 14 names no times, which is for companies without that rule."""
    clock = FakeClock()
    made = company(clock, start=shown(clock.now() - 86400), days=1, window_days=30 if kind == "stockouts" else 0)
    source = json.loads((DOCUMENTS / f"{name}.json").read_text("utf-8"))["source"]
    wanted = made.truth(kind)
    if kind == "stockouts":
        wanted = [row for row in wanted if row["modified"] >= shown(clock.now() - 3600)]
    async with serve(made) as running:
        with trial(clock, {"wdt": table(running.url), **INSIDE}) as tried:
            tried.plan(("wdt", source), ("inside", {"api": "写入空操作"}), {})
            finished = await tried.run()
            assert finished.status == "done", str(finished.error)
            assert set(tried.raws()) == {str(row[source["id"]]) for row in wanted} and wanted
            assert made.refused == []


async def test_stockouts_of_the_flagship_edition_are_read_hour_by_hour() -> None:
    clock = FakeClock()
    made = company(clock, start=shown(clock.now() - 86400), days=1)
    api = {"api": "wms.stockout.Sales.queryWithDetail", "id": "stockout_id", "method": "POST", "request": WINDOW}
    async with serve(made) as running:
        with trial(clock, {"wdt": flagship(running.url), **INSIDE}) as tried:
            tried.plan(("wdt", api), ("inside", {"api": "写入空操作"}), {"start": shown(clock.now() - 90000)})
            finished = await tried.run()
            assert finished.status == "done", str(finished.error)
            assert len(tried.raws()) == 60 and made.refused == [] and sum(made.requests.values()) >= 25


async def test_a_plan_without_times_is_answered_by_the_vendor() -> None:
    clock = FakeClock()
    source = json.loads((DOCUMENTS / "14-wdt-line-condition.json").read_text("utf-8"))["source"]
    async with serve(company(clock)) as running:
        with trial(clock, {"wdt": table(running.url), **INSIDE}) as tried:
            tried.plan(("wdt", source), ("inside", {"api": "写入空操作"}), {})
            finished = await tried.run()
            assert finished.status == "failed" and "start_time" in str(finished.error)


@pytest.mark.parametrize("more", [{}, {"kind": "reject", "ids": ["M02"], "message": "货品已停用"}])
async def test_the_published_push_sends_many_rows_in_one_request(more: dict[str, Any]) -> None:
    clock = FakeClock()
    made = company(clock)
    if more:
        made.faults.add({**more, "times": None})
    document = json.loads((DOCUMENTS / "05-k3-material-query.json").read_text("utf-8"))
    records = [{**document["records"][0], "FNumber": f"M{n:02}"} for n in range(5)]
    async with serve(made) as running, giving(records) as url:
        with trial(clock, {"records": {"connector": "http", "base_url": url}, "wdt": table(running.url)}) as tried:
            tried.plan(("records", {"api": "/records", "id": "FNumber"}), ("wdt", document["target"]), {})
            assert (await tried.run()).status == ("incomplete" if more else "done")
            refused = {one["id"]: str(one["reason"]) for one in tried.records() if one["state"] != "delivered"}
            assert list(refused) == (["M02"] if more else []) and [*made.requests.values()] == [1]
            assert not more or "货品已停用" in refused["M02"]
            assert len(made.stored) == (4 if more else 5)
