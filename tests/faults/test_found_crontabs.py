"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import asyncio

import pytest

from noria.scheduler.loop import Scheduler
from tests.conftest import Project
from tests.faults.systems import ITEMS, SOURCE, Flat, connect
from tests.servers import listening


@pytest.mark.parametrize(
    "what",
    [
        "feb30",
        "bad",
        "quartz",
        "gbk",
        "zone",
        "folder",
        "sweepfeb30",
        "feb29mon",
        "deep",
        "year",
        "link",
        "list",
        "priv",
        "toml",
        "badzone",
    ],
)
async def test_one_strange_plan_does_not_stop_the_others(project: Project, what: str) -> None:
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")
        bad = project.folder / "plans" / "a-bad.json"

        def plan(**rest):
            project.plan("a-bad", ("books", SOURCE), ("books", ITEMS), **rest)

        if what == "feb30":
            plan(schedule="0 0 30 2 *")
        if what == "bad":
            plan(schedule="61 * * * *")
        if what == "quartz":
            plan(schedule="0 0/10 * * * ?")
        if what == "gbk":
            bad.write_bytes('{"name":"中文"}'.encode("gbk"))
        if what == "zone":
            plan(schedule="* * * * *", timezone="Asia/Nowhere")
        if what == "badzone":
            plan(schedule="* * * * *", timezone="../etc")
        if what == "folder":
            bad.mkdir()
        if what == "sweepfeb30":
            plan(schedule="* * * * *", options={"sweep": {"schedule": "0 0 30 2 *"}})
        if what == "feb29mon":
            plan(schedule="0 0 29 2 *")
        if what == "deep":
            bad.write_text("[" * 20000)
        if what == "year":
            plan(schedule="0 0 1 1 *", options={"sweep": {"schedule": "0 0 31 4 *"}})
        if what == "link":
            bad.symlink_to(project.folder / "nowhere.json")
        if what == "list":
            bad.write_text("[1]")
        if what == "priv":
            bad.write_text("")
        if what == "toml":
            pass
        async with project.workspace() as w:
            s = Scheduler(w, asyncio.Event())
            if what == "toml":
                (project.folder / "noria.toml").write_bytes("# 中".encode("gbk"))
            for _ in range(4):
                s.tick(project.clock.now())
                await s.idle()
                project.clock.time += 61
    assert len(flat.applied) == 1


async def test_serve_ends_when_the_ledger_is_locked_for_a_while(project: Project) -> None:
    """Somebody compacts the ledger (or a backup holds it) for longer than the time-out: `noria serve` ends."""
    import sqlite3

    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="* * * * *")
        async with project.workspace() as w:
            w.ledger.store._writing.execute("PRAGMA busy_timeout = 100")
            stop = asyncio.Event()
            serve = asyncio.create_task(Scheduler(w, stop).run())
            await asyncio.sleep(0.2)
            other = sqlite3.connect(project.folder / "noria.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.5)
            other.execute("ROLLBACK")
            other.close()
            await asyncio.sleep(0.1)
            alive = not serve.done()
            stop.set()
            await asyncio.gather(serve, return_exceptions=True)
    assert alive, serve.exception()
