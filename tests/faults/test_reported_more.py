"""Ways to lose or double records that were found by people told only to break it: both sides."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan, run_plan
from noria.engine.sweep import sweep_of
from tests.conftest import EMPTY, Project
from tests.faults.systems import ITEMS, KEYS, SOURCE, VERIFY, Books, Flat, connect, cut, live
from tests.servers import listening


@pytest.mark.parametrize("counted", [False, True])
async def test_the_front_of_a_list_that_has_no_back(project: Project, counted: bool) -> None:
    """Page numbers beyond the last are answered with the last page (which is full); every answer has fresh signed URLs.
    The second pass over the front never ends."""
    serial = itertools.count()
    asked = 0

    class Enough(Exception):
        pass

    async def answer(request):
        nonlocal asked
        asked += 1
        if asked > 1500:
            return web.Response(status=404)
        page = min(int(request.query["page"]), 4)
        data = [
            {"id": n, "avatar": f"https://x/{n}?sig={next(serial)}"} for n in range(40)[(page - 1) * 10 : page * 10]
        ]
        return web.json_response({"data": data, **({"total": 40} if counted else {})})

    async with listening([web.get("/list", answer)]) as url:
        connect(project, url)
        project.plan("list", ("books", SOURCE), ("inside", EMPTY))
        await asyncio.wait_for(project.run("list"), 60)
    assert asked < 1000


async def test_a_bare_empty_array_as_the_answer_to_a_write(project: Project) -> None:
    books = Books(4)
    books.refuses = lambda rows, n: web.json_response([])
    source = {"envelope": {"records": "data", "total": "total"}}
    target = {"envelope": {"code": "code", "success": [0], "message": "message"}, "write": {"results": ""}}
    [_f] = await live(project, books, source=source, target=target)
    assert project.counts("books").get("delivered", 0) == 0


@pytest.mark.parametrize(
    "body",
    [
        {"Success": False, "Message": "期间已关闭"},
        {"IsSuccess": False, "Message": "x"},
        {"isSuccess": False, "msg": "x"},
        {"issuccess": False, "msg": "x"},
        {"flag": "failure", "code": "50", "message": "Remote service error"},
        {"error_response": {"code": 15, "msg": "Remote service error"}},
        {"Result": {"ResponseStatus": {"IsSuccess": False, "Errors": [{"Message": "x"}]}}},
        {"status": "error", "message": "x"},
    ],
    ids=str,
)
async def test_what_plainly_says_that_it_failed(project: Project, body: Any) -> None:
    """No envelope, no results declared."""
    books = Books(2)
    books.refuses = lambda rows, n: web.json_response(body)
    [_f] = await live(project, books, target={"write": {"results": ""}, "envelope": {"records": "", "total": ""}})
    assert project.counts("books").get("delivered", 0) == 0


async def test_an_update_while_the_older_content_is_held(project: Project) -> None:
    """on_doubt = hold. Newer content goes out although nobody has said what became of the older."""
    books = Books(1)
    books.says = lambda rows, n: cut() if n == 1 else None

    def update() -> None:
        books.source[0] = "second"
        project.clock.time += 60

    await live(project, books, update, write="", on_doubt="hold")
    assert len(books.sends) == 1


async def test_an_answer_that_is_not_there_yet_is_looked_up(project: Project) -> None:
    """Plan b takes the number that plan a's target gave; a's target is away: b's records go out without it, for ever."""
    flat = Flat([{"id": 1, "name": "c1"}])
    down = True
    got: list[Any] = []

    async def customers(request):
        if down:
            return web.Response(status=503)
        return web.json_response({"number": "K1"})

    async def orders(request):
        got.extend(await request.json())
        return web.json_response({"success": True})

    async with listening(
        [web.get("/list", flat.list), web.post("/customers", customers), web.post("/orders", orders)]
    ) as url:
        connect(project, url)
        project.plan("a", ("books", SOURCE), ("books", {**ITEMS, "api": "/customers"}))
        target = {
            "api": "/orders",
            "method": "POST",
            "request": [
                {"field": "id", "value": "{{id}}"},
                {
                    "field": "customer",
                    "value": '_mongoQuery a findField=response.number where={"content.id":{"$eq":"{{id}}"}}',
                },
            ],
        }
        project.plan("b", ("books", SOURCE), ("books", target))
        await project.run("a")
        await project.run("b")
        down = False
        project.clock.time += 600
        await project.run("a")
        await project.run("b")
        project.clock.time += 86400 * 2
        await project.run("b")
    assert [r.get("customer") for r in got] == ["K1"]


async def test_a_filter_that_is_made_wider(project: Project) -> None:
    flat = Flat([{"id": 1, "name": "a", "s": "1"}, {"id": 2, "name": "b", "s": "2"}])
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        source = {
            "api": "/list",
            "id": "id",
            "idCheck": False,
            "condition": [[{"field": "s", "logic": "eq", "value": "1"}]],
        }
        project.plan("books", ("books", source), ("books", ITEMS))
        await project.run("books")
        project.plan(
            "books",
            ("books", {**source, "condition": [[{"field": "s", "logic": "in", "value": "1,2"}]]}),
            ("books", ITEMS),
        )
        project.clock.time += 600
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            await run_plan(w, plan, swept=sweep_of(plan, project.clock.now(), whole=True))
            _, _rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True), fixes=True)
    assert len(flat.applied) == 2


async def test_a_refused_batch_of_which_a_part_was_written(project: Project) -> None:
    """The target works through a batch, and refuses it as a whole at the bad row; those before it are written. It can be asked."""
    books = Books(4)

    def refuses(rows, n):
        for i, row in enumerate(rows):
            if row["id"] == 2:
                for one in rows[:i]:
                    books.applied.append((one["id"], one["name"]))
                    books.kept[one["id"]] = one["name"]
                return web.json_response({"message": "row is bad"}, status=400)
        return None

    books.refuses = refuses
    await live(project, books, write=VERIFY)
    assert books.twice() == []


async def test_result_ok_values_and_false(project: Project) -> None:
    books = Books(2)
    books.refuses = lambda rows, n: web.json_response({"results": [{"id": r["id"], "status": False} for r in rows]})
    await live(project, books, write=f'{KEYS}, result_ok = "status", result_ok_values = [0]')
    assert project.counts("books").get("delivered", 0) == 0
