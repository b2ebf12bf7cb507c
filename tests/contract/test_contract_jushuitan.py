"""聚水潭 keeps the contract: orders in windows of seven days, and items uploaded with a result for each."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import Connection, open_connection
from noria.connectors.jushuitan import JUSHUITAN, sign
from noria.connectors.keeping import Memory
from noria.ledger import open_ledger
from noria.metadata.clock import FakeClock
from noria.metadata.documents import Metadata
from noria.metadata.secrets import Redactor
from noria.simulators.jushuitan import Jushuitan
from noria.simulators.server import serve
from noria.simulators.wire import encoded, md5, shown
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import Trial, giving, trial

DOCUMENTS = Path(__file__).parents[1] / "documents"
# Before the time of the clock that tests turn.
START, BEFORE = "2023-10-20 08:00:00", "2023-10-19 00:00:00"
SECRETS = {"app_secret": "hush-hush-jst", "access_token": "acc-ess-token-0", "refresh_token": "ref-resh-token-0"}


def company(clock: FakeClock, **more: Any) -> Jushuitan:
    return Jushuitan(**SECRETS, start=START, clock=clock.steady, now=clock.now, **more)


def table(url: str) -> dict[str, Any]:
    # One request at a time: on a clock that jumps, those under way would arrive with the next second's.
    limits = {"concurrent": 1}
    return {"connector": "jushuitan", "base_url": url, "app_key": "demo-key", "limits": limits, **SECRETS}


class TestJushuitan(ConnectorContract):
    connector = "jushuitan"

    def system(self, clock: FakeClock) -> System:
        made = company(clock, rotate=True)

        def grow() -> None:
            n = len(made.orders)
            made.orders.append({**made.orders[-1], "o_id": 7_000_000 + n, "modified": shown(clock.now()), "ts": n})

        def stored() -> dict[str, tuple[int, Any]]:
            return {sku: (one.times, json.loads(encoded(one.row))) for sku, one in made.stored.items()}

        items = [
            {"field": field, "type": kind, "value": value}
            for field, kind, value in (
                ("sku_id", "string", "{{id}}"),
                ("i_id", "string", "{{id}}"),
                ("name", "string", "{{name}}"),
                ("remark", "string", "{{amount}}"),
                ("supplier_id", "int", "{{code}}"),
            )
        ]
        window = (("modified_begin", "{{LAST_SYNC_TIME|datetime}}"), ("modified_end", "{{CURRENT_TIME|datetime}}"))
        return System(
            simulator=made,
            table=table,
            wrong={"app_secret": "not-the-secret-1"},
            secrets=(*SECRETS.values(), "not-the-secret-1", *(md5(f"{kind} 1") for kind in ("access", "refresh"))),
            reads=Reads(
                metadata={
                    "api": "/open/orders/single/query",
                    "method": "POST",
                    "id": "o_id",
                    "number": "so_id",
                    "request": [
                        *({"field": field, "value": value} for field, value in window),
                        {"field": "page_index", "value": "1"},
                        {"field": "page_size", "value": "8"},
                    ],
                },
                truth=lambda: {str(row["o_id"]): encoded(row) for row in made.truth("orders")},
                path="/open/orders/single/query",
                grow=grow,
                options={"start": BEFORE},
            ),
            writes=Writes(
                metadata={
                    "api": "jushuitan.itemsku.upload",
                    "method": "POST",
                    "request": [{"field": "items", "type": "array", "children": items}],
                },
                stored=stored,
                path="/open/jushuitan/itemsku/upload",
                refuse=lambda ids: made.faults.add({"kind": "reject", "ids": ids, "times": None}),
                once=False,
            ),
            names_waits=False,
            limited=lambda: sum("调用频率" in one for one in made.refused),
        )


def test_a_signature_is_what_the_vendor_describes() -> None:
    form = {"timestamp": "1700000000", "biz": '{"备注":"加急 & +"}', "app_key": "k", "access_token": "", "version": "2"}
    text = "s3cret" + "app_keyk" + 'biz{"备注":"加急 & +"}' + "timestamp1700000000" + "version2"
    assert sign({**form, "sign": "old"}, "s3cret") == hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(("name", "kind"), [("08-k3-lookup-in-lines", "outbound"), ("09-jst-beatflat", "orders")])
async def test_published_plans_read_everything(name: str, kind: str) -> None:
    """08 asks for times, and gets them week by week; 09 has none, which is for companies without that rule."""
    clock = FakeClock()
    made = company(clock, window_days=7 if kind == "outbound" else 0)
    source = json.loads((DOCUMENTS / f"{name}.json").read_text("utf-8"))["source"]
    async with serve(made) as running:
        with trial(clock, {"jst": table(running.url), "inside": {"connector": "noria"}}) as tried:
            tried.plan(("jst", source), ("inside", {"api": "写入空操作"}), {"start": BEFORE})
            finished = await tried.run()
            assert finished.status == "done", str(finished.error)
            lines = sum(max(1, len(row["items"])) for row in made.orders)
            assert len(tried.records(limit=500)) == (lines if kind == "orders" else 60) and made.refused == []


async def test_a_plan_without_times_is_answered_by_the_vendor() -> None:
    clock = FakeClock()
    source = json.loads((DOCUMENTS / "09-jst-beatflat.json").read_text("utf-8"))["source"]
    async with serve(company(clock)) as running:
        with trial(clock, {"jst": table(running.url), "inside": {"connector": "noria"}}) as tried:
            tried.plan(("jst", source), ("inside", {"api": "写入空操作"}), {})
            finished = await tried.run()
            assert finished.status == "failed" and "modified_begin" in str(finished.error)


async def uploaded(tried: Trial) -> str:
    document = json.loads((DOCUMENTS / "04-okki-products-map.json").read_text("utf-8"))
    tried.plan(
        ("records", {"api": "/records", "id": "product_id"}),
        ("jst", document["target"]),
        {"maps": document["maps"]},
    )
    return (await tried.run()).status


async def test_the_published_upload_sends_many_rows_in_one_request() -> None:
    clock = FakeClock()
    made = company(clock)
    records = json.loads((DOCUMENTS / "04-okki-products-map.json").read_text("utf-8"))["records"]
    async with serve(made) as running, giving(records) as url:
        tables = {"records": {"connector": "http", "base_url": url}, "jst": table(running.url)}
        with trial(clock, tables) as tried:
            assert await uploaded(tried) == "done"
            assert set(made.stored) == {"P-5", "P-6"} and made.stored["P-5"].row["unit"] == "个"
            assert [*made.requests.values()] == [1], made.requests


async def test_results_in_another_order_are_each_rows_own() -> None:
    clock = FakeClock()
    made = company(clock)
    records = json.loads((DOCUMENTS / "04-okki-products-map.json").read_text("utf-8"))["records"]
    async with serve(made) as running, giving(records) as url:
        tables = {"records": {"connector": "http", "base_url": url}, "jst": table(running.url)}
        with trial(clock, tables) as tried:
            made.faults.add([{"kind": "shuffle"}, {"kind": "reject", "ids": ["P-6"], "message": "不能上传"}])
            assert await uploaded(tried) == "incomplete"
            said = {one["id"]: str(one["reason"]) for one in tried.records() if one["state"] != "delivered"}
            assert list(said) == ["6"] and "不能上传" in said["6"]


async def test_a_refresh_token_that_is_replaced_is_used_and_hidden() -> None:
    clock, redactor = FakeClock(), Redactor()
    made = company(clock, rotate=True, window_days=0)
    async with serve(made) as running:
        opened = open_connection("jst", table(running.url), Path(), redactor=redactor, clock=clock)
        list_ = opened.source(Metadata(api="/open/orders/single/query", id="o_id"), lambda _: {})
        for _ in range(2):
            made.tokens.clear()
            assert len((await list_.fetch(None)).records) == 50
        await opened.close()
    assert made.tokens_issued == 2
    given = [md5(f"{kind} {n}") for kind in ("access", "refresh") for n in (1, 2)]
    assert redactor.clean_known(" ".join(given)) == "*** *** *** ***"


async def test_tokens_that_were_replaced_are_known_to_every_process(tmp_path: Path) -> None:
    """Two at once, each with a refused token, and a third that starts later; a new refresh token begins anew."""
    clock, redactor = FakeClock(), Redactor()
    made = company(clock, rotate=True, window_days=0)
    with open_ledger("sqlite:///noria.db", tmp_path) as ledger:

        def opened(**more: str) -> Connection:
            own = {**table(running.url), **more}
            return open_connection("jst", own, tmp_path, redactor=redactor, clock=clock, keeper=ledger.memories)

        async def rows(connection: Connection) -> int:
            list_ = connection.source(Metadata(api="/open/orders/single/query", id="o_id"), lambda _: {})
            return len((await list_.fetch(None)).records)

        async with serve(made) as running:
            first, second = opened(), opened()
            made.tokens.clear()
            assert await asyncio.gather(rows(first), rows(second)) == [50, 50]
            assert made.tokens_issued == 1
            third, before = opened(), len(made.refused)
            assert await rows(third) == 50 and (made.tokens_issued, len(made.refused)) == (1, before)
            made.tokens.clear()
            assert await rows(third) == 50 and made.tokens_issued == 2
            made.refresh_token = "given-anew-1"
            made.tokens.clear()
            fourth = opened(refresh_token="given-anew-1")
            assert await rows(fourth) == 50 and made.tokens_issued == 3
            for one in (first, second, third, fourth):
                await one.close()
        kept = b"".join(bytes(row[0]) for row in ledger.store.tuples("SELECT sealed FROM kept"))
        given = [made.refresh_token, *made.tokens]
        assert kept and not any(one.encode() in kept for one in given)
        assert Memory("jst", ledger.memories).read("another secret") == {}
        assert Memory("jst", ledger.memories).read(SECRETS["app_secret"])["refresh"] == made.refresh_token


def test_a_connection_without_its_token_says_which_setting_lacks() -> None:
    problems = JUSHUITAN.problems("jst", {"connector": "jushuitan", "app_key": "a", "app_secret": "b"}, "$.c")
    assert [(one.path, one.message.key) for one in problems] == [("$.c.access_token", "connection.credentials")]
    assert not re.search(r"\bb\b", str(problems[0].message))
