"""Ways to lose or double records that were found by people told only to break it: serve, lists and keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan
from noria.engine.sweep import sweep_of
from noria.scheduler.loop import Scheduler
from tests.conftest import Project
from tests.faults.systems import ITEMS, SINCE, SOURCE, VERIFY, Books, Flat, connect, cut, later, live, table
from tests.faults.test_sources import Scripted, ids, read, rows
from tests.servers import listening


async def test_two_results_of_one_row_and_none_of_the_other(project: Project) -> None:
    """Results are a line each: row 0 has two, row 1 was not written and has none."""
    books = Books(2)

    def refuses(rows, n):
        if n > 1:
            return None
        books.kept[0] = "first"
        return web.json_response({"results": [{"id": 0, "ok": True}, {"id": 0, "ok": True}]})

    books.refuses = refuses
    await live(project, books, later(project, 60))
    assert project.counts("books")["delivered"] == len(books.kept)


async def test_a_list_that_names_its_fields_otherwise(project: Project) -> None:
    """The target's list shows other names than a write takes: nothing is compared, and all is equal."""
    flat = Flat([{"id": n, "name": "x"} for n in range(6)])

    async def listing(request):
        return web.json_response(
            {"data": [{"id": r["id"], "fName": "something else"} for r in flat.applied], "total": len(flat.applied)}
        )

    flat.listing = listing
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert rec.uncompared == 6, "it is said"


@pytest.mark.parametrize("shown", [0, 3])
async def test_half_a_page_in_the_middle(project: Project, shown: int) -> None:
    """A page that is empty (or short) once, because a shard did not answer in time; no total; a window that moves on."""
    n = 0

    def page(number: int, _: int):
        nonlocal n
        data = rows(*range(45)[(number - 1) * 10 : number * 10])
        if number == 3 and n == 0:
            n = 1
            return {"data": data[:shown]}
        return {"data": data}

    [_f] = await read(project, Scripted(page), request=SINCE)
    assert set(ids(project)) == set(range(45))


async def test_serve_says_nothing_of_an_unexpected_error(project: Project) -> None:
    """GBK bytes in an answer (break_targets H) under `noria serve`: no run is reported, nobody is told."""
    flat = Flat([{"id": 1, "name": "x"}])

    async def write(request):
        return web.Response(
            body=b'{"results":[{"id":1,"ok":true,"message":"\xb3\xc9\xb9\xa6"}]}', content_type="application/json"
        )

    flat.write = write
    said: list[str] = []
    ended: list[Any] = []
    async with listening(flat.routes()) as url:
        connect(project, url, write=', results = "results"')
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")
        async with project.workspace() as w:

            class Ear:
                def moved(self, *a): ...
                def said(self, plan, message):
                    said.append(str(message))

            w.observer = Ear()
            s = Scheduler(w, asyncio.Event(), ended.append)
            for _ in range(6):
                s.tick(project.clock.now())
                await asyncio.gather(*s._active.values(), return_exceptions=True)
                project.clock.time += 61
    assert ended or any("expected" in x or "codec" in x or "UTF" in x for x in said)


async def test_stuck_with_verify_too(project: Project) -> None:
    """As break_targets E, at a target that can be asked, and answers with rows that show too little to tell."""
    books = Books(1)
    books.says = lambda rows, n: cut() if n == 1 else None
    books.asks = lambda n: web.json_response({"data": [{"title": "?"}]})

    def update() -> None:
        books.source[0] = "second"
        project.clock.time += 60

    def replay() -> None:
        project.clock.time += 90_000

    await live(project, books, update, *[later(project, 90_000)] * 8, replay, replay, write=VERIFY)
    assert books.kept == {0: "second"}


async def test_serve_keeps_a_connection_whose_settings_were_changed(project: Project) -> None:
    """noria.toml gets an idempotency header (or a new token) while `noria serve` runs: plans are read anew, connections are not."""
    flat = Flat([{"id": 1, "name": "x"}])
    seen: list[str] = []
    orig = flat.write

    async def write(request):
        seen.append(request.headers.get("X-Org", ""))
        return await orig(request)

    flat.write = write
    async with listening(flat.routes()) as url:

        def conf(org: str) -> None:
            connect(project, url)
            text = (
                (project.folder / "noria.toml")
                .read_text()
                .replace("envelope =", f'headers = {{ X-Org = "{org}" }}\nenvelope =', 1)
            )
            project.connections(text)

        conf("a")
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")
        async with project.workspace() as w:
            s = Scheduler(w, asyncio.Event())
            for i in range(6):
                if i == 3:
                    conf("b")
                    flat.rows.append({"id": 2, "name": "y"})
                s.tick(project.clock.now())
                await asyncio.gather(*s._active.values(), return_exceptions=True)
                project.clock.time += 61
    assert seen[-1] == "b"


async def test_serve_ends_over_a_half_written_noria_toml(project: Project) -> None:
    """Somebody saves noria.toml while `noria serve` ticks: it is read half-written once. All plans stop, runs under way are abandoned."""
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")
        async with project.workspace() as w:
            stop = asyncio.Event()
            s = Scheduler(w, stop)
            text = (project.folder / "noria.toml").read_text()
            s.tick(project.clock.now())
            project.connections(text[:40])
            error = None
            try:
                s.tick(project.clock.now())
            except Exception as e:  # noqa: BLE001
                error = repr(e)[:120]
            project.connections(text)
            await asyncio.gather(*s._active.values(), return_exceptions=True)
    assert error is None


@pytest.mark.parametrize("plan_batch", [1, 3])
async def test_killed_while_the_rest_of_a_larger_batch_goes_one_by_one(project: Project, plan_batch: int) -> None:
    """As break_targets B, with keys, the plan's `options.batch_size` set to 1, and the death of the second run between claim and answer: the ledger then has a batch of
    two records with a body of one, and no run gets past it."""
    books = Books(4)
    die = False

    async def write(request):
        nonlocal die
        body = await request.json()
        got = [body] if isinstance(body, dict) else body
        books.sends.append(("", [r["id"] for r in got]))
        if len(books.sends) == 1:
            for row in got[:2]:
                books.kept[row["id"]] = row["name"]
            return web.Response(status=504)
        if die:
            await asyncio.sleep(20)
        for row in got:
            books.kept[row["id"]] = row["name"]
        return web.json_response({"success": True})

    books._write = write
    books.asks = lambda n: web.Response(status=503) if n <= 3 else None
    errors = []
    async with listening(books.routes()) as url:
        project.connections(table(url, f"batch_size = 4, {VERIFY}"))
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"concurrency": 1},
        )
        await project.run("books")
        project.connections(table(url, f"batch_size = {plan_batch}, {VERIFY}"))
        project.clock.time += 400
        die = True
        task = asyncio.create_task(project.run("books"))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        die = False
        for _ in range(3):
            project.clock.time += 90_000
            try:
                await asyncio.wait_for(project.run("books"), 20)
            except Exception as e:  # noqa: BLE001
                errors.append(repr(e)[:100])
    assert not errors and set(books.kept) == {0, 1, 2, 3}
