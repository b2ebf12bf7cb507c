"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from aiohttp import web

from noria.engine import Workspace, reconcile_plan
from noria.engine.sweep import sweep_of
from noria.ledger import open_ledger, runs
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.scheduler.runner import Runner
from noria.scheduler.timetable import Timetable
from tests.conftest import Project
from tests.faults.systems import ITEMS, SOURCE, VERIFY, Books, Flat, connect, table
from tests.faults.test_found_fires import Off
from tests.servers import listening


@pytest.mark.parametrize("shape", ["array", "data", "results"])
async def test_rows_that_are_plainly_refused_and_nothing_is_declared(project: Project, shape: str) -> None:
    """Salesforce's sObject Collections: HTTP 200 and [{"success": false, "errors": [...]}, ...]."""
    flat = Flat([{"id": n, "name": "x"} for n in range(3)])

    async def write(request):
        got = await request.json()
        said = [{"success": False, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING"}]} for _ in got]
        return web.json_response(said if shape == "array" else {shape: said})

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
    assert "delivered" not in project.counts("books"), project.counts("books")


def test_a_clock_that_is_set_right_after_it_was_compared_takes_live_runs_away(
    postgres: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    """A worker's machine wakes from suspension with its clock an hour behind; its session begins (`synchronize`); then
    NTP sets the clock. Leases are said to go by the database's clock."""
    address = postgres.emptied()
    with open_ledger(address, tmp_path) as one, open_ledger(address, tmp_path) as two:
        clock = Off(-3600)
        two.store.synchronize(clock.now())
        one.store.synchronize(time.time())
        monkeypatch.setattr(runs, "owner", lambda: "machine-a/1/1")
        run = one.runs.begin("p", "p", "run", time.time())
        one.runs.heartbeat(run, time.time(), {})
        clock.off = 0
        monkeypatch.setattr(runs, "owner", lambda: "machine-b/1/1")
        with pytest.raises(NoriaError, match=r"active|busy|under way|run"):
            two.runs.begin("p", "p", "run", clock.now())


async def test_two_workers_write_one_batch_when_a_clock_was_set(project: Project, postgres: Any) -> None:
    """The same with a target that can be asked: both write."""
    from tests.servers import listening

    books = Books(4)
    project.ledger_url = postgres.emptied()
    slow = asyncio.Event()
    original = books._write

    async def write(request):
        if not slow.is_set():
            slow.set()
            await asyncio.sleep(1.5)
        return await original(request)

    books._write = write
    async with listening(books.routes()) as url:
        project.connections(table(url, f'results = "results", batch_size = 4, {VERIFY}'))
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        clock = Off(-3600)
        async with (
            Workspace(load_project(project.folder), clock=Off(0)) as a,
            Workspace(load_project(project.folder), clock=clock) as b,
        ):
            from noria.engine import run_plan

            b.ledger.store.synchronize(clock.now())
            a.ledger.store.synchronize(time.time())
            first = asyncio.create_task(run_plan(a, a.project.plan("books")))
            await slow.wait()
            clock.off = 0
            with contextlib.suppress(NoriaError):
                await run_plan(b, b.project.plan("books"))
            await asyncio.gather(first, return_exceptions=True)
    assert books.twice() == [], books.sends


async def test_reconcile_by_asking_where_only_ids_show(project: Project) -> None:
    """No listing; the target is asked, and shows ids only. Somebody has changed it. `uncompared` says nothing."""
    books = Books(3)

    async def has(request):
        wanted = int(request.query["id"])
        return web.json_response({"data": [{"id": wanted}] if wanted in books.kept else []})

    books._has = has
    async with listening(books.routes()) as url:
        project.connections(table(url, f'results = "results", batch_size = 4, {VERIFY}'))
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        books.kept = dict.fromkeys(books.kept, "something else")
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert not rec.equal() or rec.uncompared == 3, rec.to_json()


async def test_a_plan_that_is_half_written_at_one_tick_loses_its_fire(project: Project) -> None:
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        file = project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="*/10 * * * *")
        whole = file.read_text("utf-8")
        base = 1_700_000_000.0 - 1_700_000_000.0 % 600
        async with project.workspace() as w:
            agenda, runner = w.ledger.agenda, Runner(w, asyncio.Event())
            table = Timetable(agenda, runner.complain)

            def tick(when: float) -> None:
                project.clock.time = when
                agenda.lead(when)
                table.tick(runner.plans(), when, runner.unreadable)

            tick(base + 300)
            tick(base + 592)
            file.write_text(whole[:40], "utf-8")
            tick(base + 597)
            tick(base + 602)
            file.write_text(whole, "utf-8")
            tick(base + 607)
            tick(base + 612)
            wanted = [one.plan for one in agenda.wanted()]
    assert "books" in wanted
