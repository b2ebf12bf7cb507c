"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from noria.engine import Workspace
from noria.ledger import open_ledger
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.scheduler.runner import Runner
from noria.scheduler.timetable import Timetable
from tests.conftest import Project
from tests.faults.systems import ITEMS, SOURCE, Flat, connect
from tests.servers import listening


class Off:
    """A machine's clock that is some seconds off."""

    def __init__(self, off: float) -> None:
        self.off = off

    def now(self) -> float:
        return time.time() + self.off

    def steady(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def shared(project: Project, address: str, url: str) -> None:
    project.ledger_url = address
    connect(project, url)
    project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")


async def test_a_worker_whose_clock_is_behind_runs_a_fire_again_and_again(project: Project, postgres: Any) -> None:
    """The leader's clock is right, the worker's 30 s behind (allowed: `_SET_BACK` says clocks differ by up to 120)."""
    flat = Flat([{"id": 1, "name": "x"}])
    ended: list[Any] = []
    async with listening(flat.routes()) as url:
        shared(project, postgres.emptied(), url)
        async with Workspace(load_project(project.folder), clock=Off(-30)) as w:
            stop = asyncio.Event()
            w.ledger.store.synchronize(w.clock.now())
            w.ledger.agenda.want([("books", "extract"), ("books", "deliver")], time.time())
            asyncio.get_running_loop().call_later(6, stop.set)
            await asyncio.wait_for(Runner(w, stop, ended.append).run("books"), 25)
    assert len(ended) == 1, f"one fire, {len(ended)} runs in six seconds"


async def test_a_worker_whose_clock_is_ahead_forgets_a_fire_that_comes_meanwhile(
    project: Project, postgres: Any
) -> None:
    """The worker's clock is 30 s ahead. While its run is under way the leader notes the next fire."""
    flat = Flat([{"id": 1, "name": "x"}])
    ended: list[Any] = []
    original = flat.list
    n = 0

    async def listed(request: web.Request) -> web.Response:
        return await lst(request)

    async with listening([web.get("/list", listed), web.post("/items", flat.write)]) as url:
        shared(project, postgres.emptied(), url)
        async with Workspace(load_project(project.folder), clock=Off(30)) as w:
            w.ledger.store.synchronize(w.clock.now())

            async def lst(request: web.Request) -> web.Response:
                nonlocal n
                n += 1
                answer = await original(request)
                if n == 1:
                    await asyncio.sleep(1)
                    with open_ledger(project.ledger_url, project.folder) as leader:
                        leader.agenda.want([("books", "extract"), ("books", "deliver")], time.time())
                return answer

            w.ledger.agenda.want([("books", "extract"), ("books", "deliver")], time.time())
            await asyncio.wait_for(Runner(w, asyncio.Event(), ended.append).run("books"), 25)
            left = w.ledger.agenda.wanted()
    assert len(ended) == 2 or left, f"the second fire is gone: {len(ended)} run, wanted {left}"


@pytest.mark.parametrize("how", ["not there yet", "half written"])
async def test_a_worker_that_does_not_know_the_plan_yet_eats_its_fire(
    project: Project, postgres: Any, tmp_path: Path, how: str
) -> None:
    """A roll-out: the leader's folder has the plan, this worker's not yet (or the file is just being written)."""
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        shared(project, postgres.emptied(), url)
        file = project.folder / "plans" / "books.json"
        whole = file.read_text("utf-8")
        if how == "half written":
            file.write_text(whole[: len(whole) // 2], "utf-8")
        else:
            file.unlink()
        async with project.workspace() as w:
            w.ledger.agenda.want([("books", "extract"), ("books", "deliver")], w.clock.now())
            await Runner(w, asyncio.Event()).run("books")
            file.write_text(whole, "utf-8")
            w.project = load_project(project.folder)
            await Runner(w, asyncio.Event()).run("books")
    assert len(flat.applied) == 1, "the fire is gone"


async def test_a_fire_whose_note_fails_is_forgotten(project: Project) -> None:
    """The ledger can't be written for a moment, between who leads and what is wanted (a fail-over). The session is
    begun anew (`Worker.run`), with the same timetable."""
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="*/10 * * * *")
        project.clock.time = 1_700_000_000.0 - 1_700_000_000.0 % 600 + 60
        async with project.workspace() as w:
            agenda, runner = w.ledger.agenda, Runner(w, asyncio.Event())
            table = Timetable(agenda, runner.complain)
            agenda.lead(w.clock.now())
            table.tick(runner.plans(), w.clock.now())
            project.clock.time += 600
            agenda.lead(w.clock.now())
            original = w.ledger.store.transaction
            fail = {"n": 1}

            def transaction(holder: Any = None) -> Any:
                if fail["n"]:
                    fail["n"] = 0
                    from noria.ledger.store import unusable

                    raise unusable(psycopg.OperationalError("server closed the connection unexpectedly"))
                return original(holder)

            w.ledger.store.transaction = transaction  # type: ignore[method-assign]
            with pytest.raises(NoriaError):
                table.tick(runner.plans(), w.clock.now())
            project.clock.time += 5
            assert agenda.lead(w.clock.now())
            table.tick(runner.plans(), w.clock.now())
            wanted = [one.plan for one in agenda.wanted()]
    assert "books" in wanted
