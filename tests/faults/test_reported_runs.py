"""Ways to lose or double records that were found by people told only to break it: runs, clocks and processes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan
from noria.engine import run as run_module
from noria.engine.sweep import sweep_of
from noria.ledger.processes import host
from noria.metadata.errors import NoriaError
from tests.conftest import EMPTY, Project
from tests.faults.systems import ITEMS, SINCE, SOURCE, VERIFY, Books, Flat, connect, cut, live, table
from tests.faults.test_sources import ids, rows
from tests.servers import listening


async def test_a_ledger_that_is_locked_during_a_heartbeat(project: Project, monkeypatch: Any) -> None:
    """A backup holds the ledger while the source is slow: the run says done, with two pages of five read."""
    import threading

    monkeypatch.setattr("noria.ledger.sqlite._BUSY_SECONDS", 0.3)
    monkeypatch.setattr(run_module, "_HEARTBEAT_SECONDS", 0.1)

    async def answer(request):
        page = int(request.query["page"])
        if page == 3:
            other = sqlite3.connect(project.folder / "noria.db", isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(0.55, lambda: other.execute("ROLLBACK")).start()
            await asyncio.sleep(1.0)
        return web.json_response({"data": rows(*range(45)[(page - 1) * 10 : page * 10]), "total": 45})

    status = None
    async with listening([web.get("/list", answer)]) as url:
        connect(project, url)
        project.plan("list", ("books", SOURCE), ("inside", EMPTY))
        # the failing heartbeat blocks for the busy time-out, so the lock is let go by a thread
        try:
            f = await project.run("list")
            status, _error = f.status, f.error
        except NoriaError as e:
            status, _error = "raised", e
    assert status != "done" or len(ids(project)) == 45


async def test_the_machine_wakes_up_and_cron_starts_the_plan_again(project: Project) -> None:
    """A machine (VM) is suspended for two minutes while a run is under way. The wall clock jumps, the lease has run out;
    cron starts the plan before the first run's next heartbeat (5 s on the monotonic clock). Both send the same records."""
    flat = Flat([{"id": n, "name": "x"} for n in range(20)])
    gate, first = asyncio.Event(), asyncio.Event()
    orig = flat.write
    n = 0

    async def write(request):
        nonlocal n
        n += 1
        if n == 1:
            first.set()
            await gate.wait()
        await asyncio.sleep(0.02)
        return await orig(request)

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"concurrency": 1},
        )
        a = asyncio.create_task(project.run("books"))
        await asyncio.wait_for(first.wait(), 5)
        project.clock.time += 120
        b = asyncio.create_task(project.run("books"))
        await asyncio.sleep(0.1)
        gate.set()
        await asyncio.wait_for(asyncio.gather(a, b, return_exceptions=True), 20)
    seen = [r["id"] for r in flat.applied]
    assert len(seen) == len(set(seen)), sorted(x for x in seen if seen.count(x) > 1)


async def test_idcheck_and_a_second_pass_while_a_batch_waits_for_room(project: Project) -> None:
    """idCheck: create only. Rows 2 and 3 are about to be sent (they wait for room); the second pass over the list shows
    row 2 changed, and takes it for never sent."""
    flat = Flat([{"id": n, "name": "first"} for n in range(6)])
    passes = 0
    release = asyncio.Event()
    orig = flat.write
    sent = 0

    async def lst(request):
        nonlocal passes
        page = int(request.query["page"])
        if page == 1:
            passes += 1
            if passes == 2:
                flat.rows[2]["name"] = "second"
        if passes == 2 and page == 3:
            asyncio.get_running_loop().call_later(0.3, release.set)
        return web.json_response({"data": flat.rows[(page - 1) * 2 : page * 2], "total": 7})

    async def write(request):
        nonlocal sent
        sent += 1
        if sent == 1:
            await asyncio.wait_for(release.wait(), 5)
        return await orig(request)

    flat.list, flat.write = lst, write
    async with listening(flat.routes()) as url:
        connect(project, url, size=2)
        project.plan(
            "books",
            ("books", {"api": "/list", "id": "id"}),
            ("books", ITEMS),
            options={"concurrency": 1, "batch_size": 2},
        )
        await asyncio.wait_for(project.run("books"), 20)
    assert len([r for r in flat.applied if str(r["id"]) == "2"]) == 1


@pytest.mark.parametrize("bad", [200])
async def test_new_records_behind_many_that_are_refused(project: Project, bad: int) -> None:
    """A closed period: 200 records are refused one by one (a code inside an HTTP 200). A good one comes after; runs every ten minutes
    for three days."""
    flat = Flat([{"id": n, "name": "bad"} for n in range(bad)])
    orig = flat.write

    async def write(request):
        got = await request.json()
        if (got if isinstance(got, dict) else got[0])["name"] == "bad":
            return web.json_response({"success": False, "message": "period closed"})
        if isinstance(got, dict):
            flat.applied.append(got)
            return web.json_response({"success": True})
        return await orig(request)

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url, size=500)
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"concurrency": 1, "batch_size": 1},
        )
        await project.run("books")
        flat.rows.append({"id": 1000, "name": "good"})
        for _ in range(3):
            project.clock.time += 600
            await project.run("books")
    assert flat.applied


async def test_bytes_that_are_no_utf8_when_asked(project: Project) -> None:
    """The target is asked after a cut; what it shows holds GBK bytes: every later run ends there."""
    books = Books(2)
    books.says = lambda rows, n: cut() if n == 1 else None
    books.asks = lambda n: web.Response(
        body=b'{"data":[{"id":0,"name":"\xb3\xc9\xb9\xa6"}]}', content_type="application/json"
    )
    errors = []
    for _ in range(3):
        try:
            await live(project, books, write=VERIFY)
        except Exception as e:  # noqa: BLE001
            errors.append(repr(e)[:80])
        project.clock.time += 90_000
        books.source[5] = "first"
    assert not errors


async def test_a_container_with_the_same_host_name_and_process_number(project: Project) -> None:
    """Killed in a container (host name fixed, process 1); the new one has the same number. The clock was set back by an hour meanwhile."""
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")

        def left(ledger, plan):
            with ledger.store.transaction() as c:
                c.run(
                    "UPDATE leases SET owner = :o, expires_at = :e",
                    {"o": f"{host()}/{os.getpid()}/12345", "e": project.clock.time + 30},
                )

        project.ledger("books", left)
        project.clock.set -= 3600
        busy = 0
        for _ in range(5):
            project.clock.time += 600
            try:
                await project.run("books")
            except NoriaError as e:
                busy += e.code == "busy"
    assert busy == 0


async def test_a_document_whose_head_was_there_before(project: Project) -> None:
    """Lines are merged by their order. A line that comes a day later is sent as a document of the same order; the send is a 504 and was not carried
    out; asked, the target shows the order's head, which is there since yesterday."""
    kept: dict[str, Any] = {}
    sends: list[Any] = []
    lines = [{"id": 1, "bill": "B1", "qty": 5}]

    async def lst(request):
        return web.json_response({"data": lines, "total": len(lines)})

    async def write(request):
        got = await request.json()
        sends.append(got)
        if len(sends) == 2:
            return web.Response(status=504)
        for d in got:
            kept.setdefault(d["bill"], []).append(d["lines"])
        return web.json_response({"success": True})

    async def has(request):
        bill = request.query["bill"]
        return web.json_response({"data": [{"bill": bill, "status": "open"}] if bill in kept else []})

    async with listening([web.get("/list", lst), web.post("/items", write), web.get("/items", has)]) as url:
        asked = 'verify = { api = "/items", param = "bill", records = "data" }'
        project.connections(table(url, f"batch_size = 4, {asked}"))
        target = {
            "api": "/items",
            "method": "POST",
            "operation": {
                "method": "merge",
                "field": "bill",
                "bodyName": "details",
                "header": ["bill"],
                "body": ["id", "qty"],
            },
            "request": [
                {"field": "bill", "value": "{{bill}}"},
                {"field": "status", "value": "open"},
                {"field": "lines", "value": "_function GROUP_CONCAT({{details.id}})"},
            ],
        }
        project.plan("books", ("books", SOURCE), ("books", target))
        await project.run("books")
        project.clock.time += 86400
        lines.append({"id": 2, "bill": "B1", "qty": 7})
        await project.run("books")
    assert [str(x) for x in kept["B1"]] == ["1", "2"]


async def test_fix_against_a_list_that_lags(project: Project) -> None:
    """The target's list is an index that is a minute behind; it can be asked for a record, too, and honours keys."""
    flat = Flat([{"id": n, "name": "x"} for n in range(6)])

    async def one(request):
        found = [r for r in flat.applied if str(r["id"]) == request.query["id"]]
        return web.json_response({"data": found})

    async def index(request):
        return web.json_response({"data": [], "total": 0})

    async with listening([*flat.routes()[:2], web.get("/items", one), web.get("/index", index)]) as url:
        connect(project, url, write=f', listing = {{ api = "/index", records = "data", total = "total" }}, {VERIFY}')
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True), fixes=True)
    assert len(flat.applied) == 6


async def test_pruned_payloads_are_not_compared(project: Project) -> None:
    flat = Flat([{"id": n, "name": "x"} for n in range(6)])
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        project.clock.time += 86400 * 200
        project.ledger(
            "books",
            lambda ledger, plan: ledger.pruning.prune(
                bodies=None, payloads=project.clock.time - 1, attempts=None, runs=None
            ),
        )
        for r in flat.applied:
            r["name"] = "something else"
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert rec.uncompared == 6, "it is said"


async def test_a_cursor_that_has_expired_shows_an_empty_end(project: Project) -> None:
    """A scroll lives five minutes; a forgotten one is answered with no rows and no next, as vendors do. The read is broken off and continued
    half an hour later."""
    broken, expired = True, False

    async def answer(request):
        c = request.query.get("cursor", "")
        at = int(c.split("-")[1]) if c else 0
        if c.startswith("s1") and expired:
            return web.json_response({"data": []})
        if broken and at == 20:
            return web.Response(status=503)
        s = "s2" if expired else "s1"
        nxt = f"{s}-{at + 10}" if at + 10 < 45 else None
        return web.json_response({"data": rows(*range(at, min(at + 10, 45))), "next": nxt})

    async with listening([web.get("/list", answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
            'paging = { type = "cursor", next = "next", size_param = "size", size = 10 }\n[connections.inside]\nconnector = "noria"\n'
        )
        project.plan(
            "list",
            ("list", {"api": "/list", "id": "id", "idCheck": False, "request": SINCE}),
            ("inside", EMPTY),
            options={"start": "2020-01-01"},
        )
        await project.run("list")
        broken, expired = False, True
        project.clock.time += 1800
        await project.run("list")
    assert set(ids(project)) == set(range(45))
