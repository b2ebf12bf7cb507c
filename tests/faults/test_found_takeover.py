"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from noria.ledger import ledger_of
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.scheduler.runner import Runner
from tests.conftest import Project
from tests.faults.systems import ITEMS, SOURCE, VERIFY, Books, Flat, connect, later, live, table
from tests.servers import listening


@pytest.mark.parametrize("answer", ["business", "500", "404 page"])
async def test_a_bad_row_keeps_the_good_ones_back_where_asking_fails_for_what_is_not_there(
    project: Project, answer: str
) -> None:
    """Asked for a document that is not there, the target says so with a business code (as ERPs do) or breaks. Row 2 of
    four new rows is bad (400)."""
    books = Books(4)

    async def has(request):
        wanted = int(request.query["id"])
        if wanted in books.kept:
            return web.json_response({"code": 0, "data": [{"id": wanted, "name": books.kept[wanted]}]})
        if answer == "500":
            return web.Response(status=500)
        if answer == "404 page":
            return web.Response(status=404, text="<html>not found</html>", content_type="text/html")
        return web.json_response({"code": 1404, "message": "no such document"})

    books._has = has
    books.refuses = lambda rows, n: (
        web.json_response({"m": "bad"}, status=400) if any(r["id"] == 2 for r in rows) else None
    )
    target = {"envelope": {"code": "code", "success": [0], "message": "message"}}
    source = {"envelope": {"records": "data", "total": "total"}}
    await live(project, books, *[later(project, 90_000)] * 6, write=VERIFY, source=source, target=target)
    assert set(books.kept) == {0, 1, 3}, (project.counts("books"), len(books.sends))


async def _frozen_at_the_limit(
    project: Project, books: Books, meanwhile: Callable[[], None], later: float = 0
) -> dict[int, str] | None:
    """A run whose process is frozen while its second batch waits for the rate limit, after its fence was looked at.
    Its successor takes over after `meanwhile`; then the first wakes up. Then a run after `later` seconds, if any.
    What the target had when the successor had ended; None: it never came to that."""
    clock, original = project.clock, project.clock.sleep
    then: dict[int, str] | None = None

    async def sleep(seconds: float) -> None:
        nonlocal then
        if seconds > 5 and then is None and len(books.sends) == 1:
            then = {}
            with ledger_of(load_project(project.folder)) as ledger, ledger.store.transaction() as c:
                c.run("UPDATE leases SET expires_at = 0")
            meanwhile()
            await project.run("books")
            then = dict(books.kept)
            return
        await original(seconds)

    clock.sleep = sleep  # type: ignore[method-assign]
    async with listening(books.routes()) as url:
        write = f'results = "results", batch_size = 4, {VERIFY}'
        limits = "limits = { per_minute = 1 }"
        project.connections(table(url, write, size=100) + table(url, write, name="out", size=100, more=limits))
        project.plan("books", ("books", SOURCE), ("out", ITEMS), options={"concurrency": 1})
        with suppress(NoriaError):  # superseded
            await project.run("books")
        if later:
            clock.time += later
            await project.run("books")
    return then


async def test_a_frozen_process_does_not_write_the_older_content_after_the_newer(project: Project) -> None:
    books = Books(8)
    then = await _frozen_at_the_limit(project, books, lambda: books.source.update({5: "second"}), 4000)
    assert then is not None and then[5] == "second"
    assert books.kept == books.source, (books.kept, project.counts("books"))


async def test_a_frozen_process_does_not_send_what_its_successor_has_sent(project: Project) -> None:
    books = Books(8)
    assert await _frozen_at_the_limit(project, books, lambda: None) is not None
    assert books.twice() == [], books.sends


async def test_a_ledger_error_in_a_run_eats_its_fire_in_serve(project: Project) -> None:
    """SQLite is locked for a moment (longer than its time-out) while the run stages its first page."""
    flat = Flat([{"id": 1, "name": "x"}])
    async with listening(flat.routes()) as url:
        connect(project, url)
        project.plan("books", ("books", SOURCE), ("books", ITEMS), schedule="0 3 * * *")
        async with project.workspace() as w:
            w.ledger.store._writing.execute("PRAGMA busy_timeout = 100")
            w.ledger.agenda.want([("books", "extract"), ("books", "deliver")], w.clock.now())
            staged, times = w.ledger.staging.stage, 0

            def stage(*args: Any, **how: Any) -> Any:
                nonlocal times
                times += 1
                if times > 1:
                    return staged(*args, **how)
                other = sqlite3.connect(project.folder / "noria.db", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                try:
                    return staged(*args, **how)
                finally:
                    other.execute("ROLLBACK")
                    other.close()

            w.ledger.staging.stage = stage  # type: ignore[method-assign]
            done = await Runner(w, asyncio.Event()).run("books")
            left = [one.plan for one in w.ledger.agenda.wanted()]
    assert flat.applied or left, (done, "the fire is gone, nothing was staged")
