"""The language's rules in whole runs: rows taken apart and left out, documents put together, look-ups in look-ups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from noria.engine import run_plan
from noria.simulators.server import Running, serve
from noria.simulators.sink import Sink
from tests.conftest import EMPTY, Project

BOTH_LEDGERS = True

ORDERS = [
    {
        "no": f"N{n % 4}",
        "row": n,
        "state": "ok" if n % 5 else "draft",
        "sku": "AB"[n % 2],
        "qty": n,
        "at": 1_700_000_000 + n,
    }
    for n in range(20)
]


@pytest.fixture
async def shelf() -> AsyncIterator[tuple[Sink, Running]]:
    """A system that gives its rows as a list."""
    simulator = Sink()
    simulator.rows = {str(row["row"]): row for row in ORDERS}
    async with serve(simulator) as running:
        yield simulator, running


@pytest.fixture
def ready(project: Project, shelf: Any, sink: Any) -> Project:
    project.connections(f"""
[connections.shelf]
connector = "http"
base_url = "{shelf[1].url}"
envelope = {{ records = "data" }}

[connections.sink]
connector = "http"
base_url = "{sink[1].url}"
envelope = {{ code = "code", success = [200], message = "message" }}
write = {{ results = "data.results", idempotency_header = "Idempotency-Key", batch_size = 2 }}
""")
    return project


def source(**more: Any) -> tuple[str, dict[str, Any]]:
    return "shelf", {"api": "/items", "method": "GET", "id": "row", "number": "no", "idCheck": True, **more}


def target(*items: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
    return "sink", {"api": "/items", "method": "POST", "idCheck": True, "request": list(items), **more}


MERGED = target(
    {"field": "id", "value": "{{no}}"},
    {"field": "lines", "type": "array", "value": "details", "children": [
        {"field": "sku", "value": "{{details.sku}}"}, {"field": "qty", "value": "{{details.qty}}"}]},
    operation={"method": "merge", "field": "no", "bodyName": "details", "bodySum": ["qty"], "header": ["no"], "body": ["sku", "qty"]},
)  # fmt: skip


async def test_filtered_rows_are_kept_as_skipped_and_never_written(ready: Project, sink: Any, shelf: Any) -> None:
    ready.plan(
        "orders",
        source(condition=[[{"field": "state", "logic": "eq", "value": "ok"}]]),
        target({"field": "id", "value": "{{row}}"}),
    )
    first = await ready.run("orders")
    assert (first.counts.staged, first.counts.skipped, first.counts.delivered, first.status) == (20, 4, 16, "done")
    assert ready.counts("orders") == {"delivered": 16, "skipped": 4}
    assert all("state eq" in one["reason"] for one in ready.records("orders", state="skipped"))
    shelf[0].rows["5"] = {**ORDERS[5], "state": "ok"}
    second = await ready.run("orders")
    assert (second.counts.delivered, second.counts.unchanged) == (1, 19)
    assert ready.counts("orders") == {"delivered": 17, "skipped": 3} and "5" in sink[0].rows


async def test_flattened_rows_are_records_of_their_own(ready: Project, sink: Any, shelf: Any) -> None:
    shelf[0].rows = {"1": {"row": 1, "items": [{"sku": "a"}, {"sku": "b"}]}, "2": {"row": 2, "items": []}}
    ready.plan("lines", source(beatFlat=["items"]), target({"field": "id", "value": "{{row}}/{{items_sku}}"}))
    first = await ready.run("lines")
    assert (first.counts.staged, first.counts.delivered) == (3, 3)
    assert {one["id"] for one in ready.records("lines")} == {"1-1", "1-2", "2"}
    assert set(sink[0].rows) == {"1/a", "1/b", "2/"}
    again = await ready.run("lines")
    assert (again.counts.unchanged, again.counts.delivered) == (3, 0)


async def test_records_of_one_document_are_merged_and_sent_once(ready: Project, sink: Any) -> None:
    ready.plan("merged", source(), MERGED)
    finished = await ready.run("merged")
    assert (finished.counts.delivered, finished.status) == (20, "done")
    wanted = {
        no: {sku: sum(o["qty"] for o in ORDERS if (o["no"], o["sku"]) == (no, sku)) for sku in "AB"}
        for no in {o["no"] for o in ORDERS}
    }
    found = {key: {line["sku"]: line["qty"] for line in row["lines"]} for key, row in sink[0].rows.items()}
    assert found == {no: {sku: n for sku, n in skus.items() if n} for no, skus in wanted.items()}
    assert sink[0].state()["applied"] == 4 and ready.counts("merged") == {"delivered": 20}
    story = ready.story("merged", "7")
    assert story["payload"]["id"] == "N3", "each record's story shows the document that it is in"
    again = await ready.run("merged")
    assert again.counts.delivered == 0 and sink[0].state()["applied"] == 4


async def test_a_refused_document_holds_back_its_own_records_only(ready: Project, sink: Any) -> None:
    ready.plan("merged", source(), MERGED)
    sink[0].faults.add({"kind": "reject", "ids": ["N2"], "times": 1})
    first = await ready.run("merged")
    assert (first.counts.delivered, first.counts.failed) == (15, 5)
    assert all(one["number"] == "N2" for one in ready.records("merged", state="failed"))
    ready.clock.time += 60
    second = await ready.run("merged")
    assert (second.counts.delivered, ready.counts("merged")) == (5, {"delivered": 20})
    assert [line["qty"] for line in sink[0].rows["N2"]["lines"]] == [50]


async def test_a_document_in_doubt_is_settled_as_a_whole(ready: Project, sink: Any) -> None:
    ready.plan("merged", source(), MERGED, options={"retry": {"tries": 1, "wait": 0}})
    sink[0].faults.add({"kind": "cut", "when": "after", "times": 1})
    first = await ready.run("merged")
    assert first.counts.failed > 0
    ready.clock.time += 60
    await ready.run("merged")
    state = sink[0].state()
    assert ready.counts("merged") == {"delivered": 20} and (state["unique"], state["updates"]) == (4, 0)


async def test_records_without_a_value_are_invalid_and_the_others_go(ready: Project) -> None:
    ready.plan(
        "f", source(), target({"field": "id", "value": "{{row}}"}, {"field": "x", "value": "_function 10/({{qty}}-3)"})
    )
    finished = await ready.run("f")
    assert (finished.counts.invalid, finished.counts.delivered, finished.status) == (1, 19, "incomplete")
    reason = ready.records("f", state="invalid")[0]["reason"]
    assert "10/({{qty}}-3)" in reason and '{{qty}} = "3"' in reason and "division by zero" in reason


async def test_a_lenient_plan_sends_the_text_as_the_platform_does(ready: Project, sink: Any) -> None:
    ready.plan(
        "f",
        source(),
        target({"field": "id", "value": "{{row}}"}, {"field": "x", "value": "_function 10/({{qty}}-3)"}),
        options={"lenient": True},
    )
    assert (await ready.run("f")).counts.delivered == 20
    assert sink[0].rows["3"]["x"] == "10/(3-3)"


async def test_batches_and_their_key_come_from_operation(ready: Project, sink: Any) -> None:
    ready.plan(
        "b",
        source(),
        target(
            {"field": "id", "value": "{{row}}"}, operation={"method": "batchArraySave", "rows": 7, "rowsKey": "array"}
        ),
    )
    assert (await ready.run("b")).counts.delivered == 20
    assert sorted(rows for _, rows in sink[0].bodies) == [6, 7, 7]


async def test_a_formatted_field_can_be_looked_up(ready: Project, sink: Any) -> None:
    ready.plan(
        "days", source(formatResponse=[{"old": "at", "new": "day", "format": "date"}], idCheck=False), ("sink", EMPTY)
    )
    item = {"field": "x", "value": "_findCollection find no from days where day={{day}} row={{row}}"}
    ready.plan(
        "users",
        source(formatResponse=[{"old": "at", "new": "day", "format": "date"}]),
        target({"field": "id", "value": "{{row}}"}, item),
    )
    await ready.run("days")
    assert (await ready.run("users")).counts.delivered == 20
    assert sink[0].rows["7"]["x"] == "N3"


async def test_inner_look_ups_are_answered_before_outer_ones_and_make_records_wait(ready: Project, sink: Any) -> None:
    ready.plan("inner", source(condition=[[{"field": "row", "logic": "lt", "value": 10}]]), ("sink", EMPTY))
    ready.plan("outer", source(), ("sink", EMPTY))
    nested = "_findCollection find row from inner where row={{row}} _endFind"
    ready.plan(
        "users",
        source(),
        target(
            {"field": "id", "value": "{{row}}"},
            {"field": "a", "value": f"_findCollection find no from outer where row={nested}"},
            {"field": "b", "value": f"_function CONCAT('<',{nested},'>')"},
        ),
    )
    await ready.run("inner")
    await ready.run("outer")
    first = await ready.run("users")
    assert (first.counts.delivered, first.counts.waiting) == (10, 10)
    assert sink[0].rows["7"] == {"id": 7, "a": "N3", "b": "<7>"}


async def test_a_mongo_query_asks_for_state_and_answer(ready: Project, sink: Any) -> None:
    ready.plan("sent", source(), target({"field": "id", "value": "{{row}}"}), options={"batch_size": 1})
    await ready.run("sent")
    query = '_mongoQuery sent findField=response.message where={"content.row":{"$eq":{{row}}},"status":{"$eq":2},"created_at":{"$gt":0}}'
    ready.plan("asks", source(), target({"field": "id", "value": "x{{row}}"}, {"field": "m", "value": query}))
    assert (await ready.run("asks")).counts.delivered == 20
    assert sink[0].rows["x3"]["m"] == "success"


async def test_ten_thousand_look_ups_are_a_few_hundred_reads(ready: Project, shelf: Any) -> None:
    shelf[0].rows = {str(n): {"row": n, "code": n % 500} for n in range(10_000)}
    ready.plan("codes", source(condition=[[{"field": "row", "logic": "lt", "value": 500}]]), ("sink", EMPTY))
    item = {"field": "x", "value": "_findCollection find row from codes where code={{code}}"}
    ready.plan("big", source(), ("sink", {**EMPTY, "request": [{"field": "id", "value": "{{row}}"}, item]}))
    await ready.run("codes")
    async with ready.workspace() as workspace:
        reads = 0
        store = workspace.ledger.store
        rows = store.rows

        def counted(sql: str, **values: Any) -> Any:
            nonlocal reads
            reads += 1
            return rows(sql, **values)

        store.rows = counted  # type: ignore[method-assign]
        finished = await run_plan(workspace, workspace.project.plan("big"))
    assert finished.counts.delivered == 10_000
    assert reads < 400, reads


async def test_write_back_hands_rows_with_the_targets_answer_to_another_plan(ready: Project, sink: Any) -> None:
    with (ready.folder / "noria.toml").open("a", encoding="utf-8") as file:
        file.write('\n[connections.platform]\nconnector = "noria"\n')
    back = {"strategyId": "8e620793", "FId": "{{primaryWriteback.Id}}", "no": "{{no}}", "row": "{{row}}"}
    reply = [
        {"field": "primaryWriteback", "type": "object", "children": [{"field": "Id", "value": "sink-{{id}}-{{ok}}"}]}
    ]
    ready.plan("orders", source(), target({"field": "id", "value": "{{row}}"}, callBackStrategy=back, response=reply))
    taker = ("platform", {"api": "开放式的回调方法", "effect": "QUERY", "id": "FId", "number": "no", "idCheck": True})
    ready.plan(
        "back", taker, target({"field": "id", "value": "{{FId}}"}, {"field": "no", "value": "{{no}}"}), uuid="8e620793"
    )
    assert (await ready.run("back")).counts.staged == 0, "nothing was written yet"
    sink[0].faults.add({"kind": "reject", "ids": ["3"], "times": 1})
    assert (await ready.run("orders")).counts.delivered == 19
    first = await ready.run("back")
    assert (first.counts.staged, first.counts.delivered, first.status) == (19, 19, "done")
    assert sink[0].rows["sink-7-true"] == {"id": "sink-7-true", "no": "N3"}
    ready.clock.time += 60
    assert (await ready.run("orders")).counts.delivered == 1
    second = await ready.run("back")
    assert (second.counts.staged, second.counts.delivered) == (1, 1) and "sink-3-true" in sink[0].rows
    assert ready.counts("back") == {"delivered": 20}


async def test_a_merged_document_hands_each_record_over(ready: Project, sink: Any) -> None:
    with (ready.folder / "noria.toml").open("a", encoding="utf-8") as file:
        file.write('\n[connections.platform]\nconnector = "noria"\n')
    connection, document = MERGED
    back = {"strategyId": "back", "row": "{{row}}", "doc": "{{primaryWriteback.id}}"}
    ready.plan("orders", source(), (connection, {**document, "callBackStrategy": back}))
    ready.plan("back", ("platform", {"api": "开放式的回调方法", "id": "row"}), ("platform", EMPTY))
    await ready.run("orders")
    assert (await ready.run("back")).counts.staged == 20
    assert ready.story("back", "7")["raw"] == {"row": 7, "doc": "N3"}
