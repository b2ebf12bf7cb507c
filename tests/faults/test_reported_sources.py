"""Ways to lose or double records that were found by people told only to break it: sources."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan, run_plan
from noria.engine.sweep import sweep_of
from tests.conftest import EMPTY, Project
from tests.faults.systems import ITEMS, SINCE, SOURCE, Flat, connect
from tests.faults.test_sources import Scripted, ids, read, rows
from tests.servers import MovingList, listening


async def test_a_filter_with_a_time_keeps_a_row_back_for_ever(project: Project) -> None:
    """condition: due on or before today. Tomorrow the same row passes; it never comes through."""
    flat = Flat([{"id": 1, "name": "a", "due": "2023-11-14"}, {"id": 2, "name": "b", "due": "2023-11-16"}])
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        source = {
            "api": "/list",
            "id": "id",
            "idCheck": False,
            "condition": [[{"field": "due", "logic": "elt", "value": "{{CURRENT_TIME|date}}"}]],
        }
        project.plan("books", ("books", source), ("books", ITEMS))
        for _ in range(6):
            await project.run("books")
            project.clock.time += 86400
        async with project.workspace() as w:
            plan = w.project.plan("books")
            await run_plan(w, plan, swept=sweep_of(plan, project.clock.now(), whole=True))
            _fin, _rec = await reconcile_plan(
                w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True), fixes=True
            )
    assert {r["id"] for r in flat.applied} == {"1", "2"} or {r["id"] for r in flat.applied} == {1, 2}


async def test_a_gateway_s_404_in_the_middle_of_a_list_whose_pages_are_capped(project: Project) -> None:
    """Asked for 100 rows a page, the server gives 50; a rolling deployment answers one page with nginx's 404."""
    everything, n = list(range(200)), 0

    def page(number: int, asked: int):
        nonlocal n
        if number == 3 and n == 0:
            n += 1
            return web.Response(
                status=404, text="<html><body>404 Not Found nginx</body></html>", content_type="text/html"
            )
        return {"data": rows(*everything[(number - 1) * 50 : number * 50])}

    [f] = await read(project, Scripted(page), paging='type = "page", size_param = "size", size = 100', request=SINCE)
    assert f.status == "failed" or len(ids(project)) == 200


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "message": "系统繁忙", "data": []},
        {"errcode": 88, "errmsg": "ding talk error", "data": None},
    ],
)
async def test_a_failure_that_says_so_and_no_code_declared(project: Project, body: Any) -> None:
    [f] = await read(project, Scripted(lambda n, _: dict(body)), request=SINCE)
    assert f.status == "failed" and f.watermark is None


async def test_the_total_promises_rows_and_no_page_shows_any(project: Project) -> None:
    [f] = await read(project, Scripted(lambda n, _: {"data": [], "total": 45}), request=SINCE)
    assert f.status == "failed" or f.watermark is None or f.watermark < f.started_at


async def test_has_more_and_the_same_page_for_ever(project: Project) -> None:
    """The cursor's parameter is not heeded: page 1 with the same next cursor, and has_more true."""
    [f] = await read(
        project,
        Scripted(lambda n, _: {"data": rows(*range(10)), "next": "abc", "more": True}),
        request=SINCE,
        paging='type = "cursor", next = "next", more = "more", size_param = "size", size = 10',
    )
    assert f.status == "failed"


@pytest.mark.parametrize("lines", [1, 2])
async def test_motion_in_a_list_that_is_taken_apart(project: Project, lines: int) -> None:
    """A row moves to the front before it is read. With beatFlat (two lines each) nobody notices."""

    def row(n: int) -> dict[str, Any]:
        return {"id": n, "v": 0, "time": "2023-01-01 00:00:00", "lines": [{"k": i} for i in range(lines)]}

    def move(all_rows):
        one = next(r for r in all_rows if r["id"] == 35)
        all_rows.remove(one)
        all_rows.insert(0, one)

    server = MovingList([row(n) for n in range(45)], {4: move})
    metadata = {"api": "/list", "id": "id", "idCheck": False, "request": SINCE, "beatFlat": ["lines"]}
    async with listening(server.routes()) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data.list", total = "data.total" }}\n'
            'paging = { type = "page", size_param = "size", size = 10 }\n[connections.inside]\nconnector = "noria"\n'
        )
        project.plan("list", ("list", metadata), ("inside", EMPTY), options={"start": "2020-01-01"})
        await project.run("list")
        project.clock.time += 3600
        await project.run("list")
    have = {one["id"].split("-")[0] for one in project.records("list")}
    assert have == {str(n) for n in range(45)}


async def test_cursors_that_are_offsets(project: Project) -> None:
    """钉钉: next_cursor is the offset of the next row. A row that was read is deleted; the read goes on one too far."""
    everything = list(range(45))

    def page(number: int, asked: int):
        if asked == 3:
            everything.remove(3)
        at = number
        data = everything[at : at + 10]
        return {
            "data": rows(*data),
            "next": at + 10 if at + 10 < len(everything) else None,
            "more": at + 10 < len(everything),
            "total": len(everything),
        }

    [_f] = await read(
        project,
        Scripted(page),
        request=SINCE,
        paging='type = "cursor", next = "next", more = "more", size_param = "size", size = 10',
    )
    assert set(ids(project)) == set(range(45))


async def test_a_read_is_continued_in_another_tenant(project: Project) -> None:
    """The header that names the organisation is changed between an interrupted read and the next."""
    broken = True

    async def answer(request):
        org, page = request.headers["X-Org"], int(request.query["page"])
        if broken and page == 3:
            return web.Response(status=500)
        first = 0 if org == "a" else 100
        return web.json_response({"data": rows(*range(first, first + 45)[(page - 1) * 10 : page * 10]), "total": 45})

    async with listening([web.get("/list", answer)]) as url:

        def conf(org: str) -> None:
            project.connections(
                f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\nheaders = {{ X-Org = "{org}" }}\nenvelope = {{ records = "data", total = "total" }}\n'
                'paging = { type = "page", size_param = "size", size = 10 }\n[connections.inside]\nconnector = "noria"\n'
            )

        conf("a")
        project.plan(
            "list",
            ("list", {"api": "/list", "id": "id", "idCheck": False, "request": SINCE}),
            ("inside", EMPTY),
            options={"start": "2020-01-01"},
        )
        await project.run("list")
        broken = False
        conf("b")
        project.clock.time += 10
        await project.run("list")
    assert set(ids(project)) >= set(range(100, 145))


async def test_an_ambiguous_content_is_let_go_by_a_window_that_does_not_show_it(project: Project) -> None:
    """idCheck: two rows of one id. One changes; the window shows it alone: the other leaves the invalid ones unsaid."""
    data = [{"id": 1, "v": "A"}, {"id": 1, "v": "B"}]
    shown = data

    async def answer(request):
        return web.json_response({"data": shown, "total": len(shown)})

    async with listening([web.get("/list", answer)]) as url:
        connect(project, url)
        project.plan(
            "list",
            ("books", {"api": "/list", "id": "id", "request": SINCE}),
            ("inside", EMPTY),
            options={"start": "2020-01-01"},
        )
        await project.run("list")
        before = project.counts("list")
        project.clock.time += 600
        shown = [{"id": 1, "v": "A"}]
        await project.run("list")
        shown = data
        async with project.workspace() as w:
            plan = w.project.plan("list")
            _, _rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert project.counts("list") == before


async def test_reconcile_by_count_does_not_see_the_dead(project: Project) -> None:
    flat = Flat([{"id": n, "name": "x"} for n in range(10)])
    orig = flat.write

    async def write(request):
        got = await request.json()
        if any(r["id"] in ("8", "9", 8, 9) for r in got):
            return web.json_response({"message": "bad"}, status=400)
        return await orig(request)

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(
            project, url, write=', listing = { api = "/items", records = "data", total = "total", only_total = true }'
        )
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert not rec.equal()


async def test_reconcile_by_count_without_a_count(project: Project) -> None:
    flat = Flat([{"id": n, "name": "x"} for n in range(10)])

    async def listing(request):
        return web.json_response({"message": "no right"})

    flat.listing = listing
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", total = "data.total", only_total = true }')
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            fin, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert not rec.equal() or fin.status == "failed"


async def test_reconcile_two_records_one_place_in_the_target(project: Project) -> None:
    """Two records map to the same target id: the second overwrote the first."""
    flat = Flat([{"id": 1, "code": "C", "name": "x"}, {"id": 2, "code": "C", "name": "y"}])
    target = {
        "api": "/items",
        "method": "POST",
        "request": [{"field": "id", "value": "{{code}}"}, {"field": "name", "value": "{{name}}"}],
    }
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        project.plan("books", ("books", SOURCE), ("books", target))
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _fin, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert not rec.equal()


async def test_a_look_up_into_a_plan_with_a_record_that_cannot_be_read(project: Project) -> None:
    """One record of plan `a` holds GBK bytes; plan `b` looks `a` up by a field: it can't run any more."""

    async def a(request):
        return web.Response(
            body=b'{"data":[{"id":1,"code":"x","name":"ok"},{"id":2,"code":"y","name":"\xb3\xc9"}],"total":2}',
            content_type="application/json",
        )

    flat = Flat([{"id": 5, "code": "x"}])
    async with listening([*flat.routes(), web.get("/a", a)]) as url:
        connect(project, url)
        project.plan("a", ("books", {"api": "/a", "id": "id", "idCheck": False}), ("inside", EMPTY))
        target = {
            "api": "/items",
            "method": "POST",
            "request": [
                {"field": "id", "value": "{{id}}"},
                {"field": "name", "value": "_findCollection find name from a where code={{code}}"},
            ],
        }
        project.plan("b", ("books", SOURCE), ("books", target))
        await project.run("a")
        err = []
        for _ in range(2):
            try:
                await project.run("b")
            except Exception as e:  # noqa: BLE001
                err.append(repr(e)[:200])
    assert not err


@pytest.mark.parametrize("ahead", [3600.0])
async def test_hand_over_after_a_clock_that_was_ahead(project: Project, ahead: float) -> None:
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan(
            "a",
            ("books", SOURCE),
            ("books", {**ITEMS, "callBackStrategy": {"strategyId": "t", "id": "{{id}}"}}),
        )
        project.plan("t", ("inside", {"api": "callback", "id": "id", "idCheck": False}), ("inside", EMPTY))
        project.clock.set = ahead
        await project.run("a")
        await project.run("t")
        project.clock.set = 0.0
        project.clock.time += 300
        flat.rows.append({"id": 2, "name": "y"})
        await project.run("a")
        project.clock.time += 2 * ahead
        await project.run("t")
    assert len(project.records("t")) == 2


async def test_handed_over_answers_of_other_rows(project: Project) -> None:
    """Results by the payload's own id, in another order: the numbers go to the wrong records. And an answer > 64 KiB."""
    flat = Flat([{"id": n, "name": f"n{n}"} for n in range(1, 4)])

    async def write(request):
        got = await request.json()
        return web.json_response(
            {"results": [{"id": r["id"], "ok": True, "number": "NO-" + r["id"]} for r in reversed(got)]}
        )

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url, write=', results = "results"')
        items = [{"field": "id", "value": "T{{id}}"}, {"field": "name", "value": "{{name}}"}]
        project.plan(
            "a",
            ("books", SOURCE),
            (
                "books",
                {
                    "api": "/items",
                    "method": "POST",
                    "request": items,
                    "callBackStrategy": {"strategyId": "t", "id": "{{id}}", "number": "{{primaryWriteback.number}}"},
                },
            ),
        )
        project.plan("t", ("inside", {"api": "callback", "id": "id", "idCheck": False}), ("inside", EMPTY))
        await project.run("a")
        await project.run("t")
    rows_ = [project.story("t", str(n))["raw"] for n in range(1, 4)]
    assert all(r["number"] == f"NO-T{r['id']}" for r in rows_)


async def test_handed_over_answers_that_are_long(project: Project) -> None:
    flat = Flat([{"id": n, "name": f"n{n}"} for n in range(1, 101)])

    async def write(request):
        got = await request.json()
        return web.json_response(
            {"results": [{"id": r["id"], "ok": True, "number": f"NO-{r['id']}", "echo": "x" * 800} for r in got]}
        )

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url, write=', results = "results"')
        project.plan(
            "a",
            ("books", SOURCE),
            (
                "books",
                {
                    **ITEMS,
                    "callBackStrategy": {"strategyId": "t", "id": "{{id}}", "number": "{{primaryWriteback.number}}"},
                },
            ),
            options={"batch_size": 100},
        )
        project.plan("t", ("inside", {"api": "callback", "id": "id", "idCheck": False}), ("inside", EMPTY))
        await project.run("a")
        await project.run("t")
    raw = project.story("t", "1")["raw"]
    assert raw.get("number") == "NO-1"
