"""Ways to lose or double records that were found by people told only to break it: clocks, texts and look-ups."""

from __future__ import annotations

import pytest
from aiohttp import web

from tests.conftest import EMPTY, Project
from tests.faults.systems import SINCE, SOURCE, Books, Flat, connect, cut, later, live
from tests.faults.test_sources import Scripted, ids, read, rows
from tests.faults.test_watermarks import Journal, served
from tests.servers import listening


@pytest.mark.parametrize(("says", "days"), [("header", 0.9), ("header", 2), ("body", 2)])
async def test_a_clock_that_is_days_ahead(project: Project, days: float, says: str) -> None:
    """Our clock is two days ahead during one run, and put right after. The plan runs weekly. The source's Date says it, and is not believed."""
    journal = Journal(project, says=says)
    journal.save(1)
    async with served(project, journal):
        metadata = {
            "api": "/list",
            "id": "id",
            "idCheck": False,
            "request": [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}],
        }
        project.plan("list", ("list", metadata), ("inside", EMPTY), options={"start": "2020-01-01"})
        project.clock.set = days * 86400
        await project.run("list")
        project.clock.set = 0
        project.clock.time += 3600
        journal.save(2)
        project.clock.time += 7 * 86400
        await project.run("list")
    assert ids(project) == [1, 2]


async def test_a_read_is_continued_with_other_page_numbers(project: Project) -> None:
    """`first` is put right (the server counts from 0) between an interrupted read and the next."""
    broken = True

    async def answer(request):
        page = int(request.query["page"])
        if broken and page == 3:
            return web.Response(status=500)
        return web.json_response({"data": rows(*range(45)[page * 10 : page * 10 + 10])})

    async with listening([web.get("/list", answer)]) as url:

        def conf(first: int) -> None:
            project.connections(
                f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
                f'paging = {{ type = "page", size_param = "size", size = 10, first = {first} }}\n[connections.inside]\nconnector = "noria"\n'
            )

        conf(1)
        project.plan(
            "list",
            ("list", {"api": "/list", "id": "id", "idCheck": False, "request": SINCE}),
            ("inside", EMPTY),
            options={"start": "2020-01-01"},
        )
        await project.run("list")
        broken = False
        conf(0)
        project.clock.time += 600
        await project.run("list")
    assert set(ids(project)) == set(range(45))


async def test_a_source_s_message_in_gbk(project: Project) -> None:
    """A business error whose text is GBK: neither a failure with a reason, nor a retry; a traceback."""
    body = b'{"code":500,"message":"\xcf\xb5\xcd\xb3\xb7\xb1\xc3\xa6","data":[]}'
    raised = None
    try:
        [_f] = await read(
            project,
            Scripted(lambda n, _: web.Response(body=body, content_type="application/json")),
            envelope='code = "code", success = [0], message = "message"',
        )
    except Exception as e:  # noqa: BLE001
        raised = repr(e)
    assert raised is None


@pytest.mark.parametrize("body", [b'{"message":"no Route matched with those values"}', b"<html>404</html>"])
async def test_any_404_after_a_capped_page(project: Project, body: bytes) -> None:
    """As break_sources C, and the next run does not bring the rows: the window has moved on."""
    everything, n = [{"id": i, "time": "2023-11-14 00:00:00"} for i in range(200)], 0

    async def answer(request):
        nonlocal n
        page = int(request.query["page"])
        if page == 3 and n == 0:
            n += 1
            return web.Response(status=404, body=body)
        shown = [r for r in everything if r["time"] >= request.query["since"]]
        return web.json_response({"data": shown[(page - 1) * 50 : page * 50]})

    async with listening([web.get("/list", answer)]) as url:
        connect(project, url, size=100)
        project.plan(
            "list",
            ("books", {"api": "/list", "id": "id", "idCheck": False, "request": SINCE}),
            ("inside", EMPTY),
            options={"start": "2020-01-01"},
        )
        st = []
        for _ in range(3):
            f = await project.run("list")
            st.append(f.status)
            project.clock.time += 86400
    assert len(ids(project)) == 200


async def test_one_record_is_let_go_anew_and_the_others_with_it(project: Project) -> None:
    """A batch of four in doubt, written. A person says `noria replay books --id 1 --anew`, for that record. The other three go
    out under new keys as well."""
    books = Books(4)
    books.says = lambda rows, n: cut() if n == 1 else None
    books.refuses = lambda rows, n: web.Response(status=503) if n in (2, 3) else None

    def replay() -> None:
        project.clock.time += 60

    await live(project, books, replay, later(project, 400))
    assert {key for key, _ in books.twice()} <= {1}


async def test_a_lookup_into_changed_content(project: Project) -> None:
    """Plan b waits for plan a's record; a's record comes with another value first, then with the one that is asked for, in place of the first."""
    flat = Flat([{"id": 5, "code": "x"}])
    a_rows = [{"id": 1, "code": "y", "name": "ok"}]

    async def a(request):
        return web.json_response({"data": a_rows, "total": 1})

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
        await project.run("b")
        a_rows[0] = {"id": 1, "code": "x", "name": "ok"}
        project.clock.time += 60
        await project.run("a")
        await project.run("b")
    assert flat.applied == [{"id": 5, "name": "ok"}]
