"""Point 2 of the ways to lose records: the watermark. It is the start of a whole read, by the slower clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from noria.engine import run_plan
from noria.engine.sweep import sweep_of
from noria.metadata.times import parse_time, zone
from tests.conftest import EMPTY, Project
from tests.servers import listening

TZ = zone("Asia/Shanghai")


@pytest.mark.parametrize(
    ("name", "back"),
    [("America/New_York", 1793512800), ("Europe/Berlin", 1792890000), ("Australia/Lord_Howe", 1775314800)],
)
async def test_the_hour_that_comes_twice_is_read_twice(project: Project, name: str, back: int) -> None:
    """Clocks are put back; rows of the second half of it are written with times of before the last read."""
    tz, rows = zone(name), {1: back - 600.0}

    async def answer(request: web.Request) -> web.Response:
        since = request.query["since"]
        shown = [{"id": one} for one, at in rows.items() if str(datetime.fromtimestamp(at, tz))[:19] >= since]
        return web.json_response(shown)

    request = [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}]
    async with listening([web.get("/list", answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\ntimezone = "{name}"\n'
            '[connections.inside]\nconnector = "noria"\n'
        )
        metadata = {"api": "/list", "id": "id", "idCheck": False, "request": request}
        project.plan("list", ("list", metadata), ("inside", EMPTY), options={"start": "2020-01-01"})
        project.clock.time = back - 300.0
        await project.run("list")
        for one, later in enumerate((60, 600, 1500, 3000, 4000), 2):
            project.clock.time = back + later + 30.0
            rows[one] = back + later
            await project.run("list")
            assert len(project.records("list")) == one, later


class Journal:
    """A system that is asked for what changed since a time, in the seconds of its own clock, which is `ahead` of the
    project's. `during[n]` happens while request number n is answered. `closed`: rows of the very second count."""

    def __init__(self, project: Project, *, ahead: float = 0.0, closed: bool = True, says: str = "body") -> None:
        self.project = project
        self.ahead = ahead
        self.closed = closed
        self.says = says
        self.rows: dict[int, float | None] = {}
        self.asked: list[str] = []
        self.during: dict[int, Any] = {}
        self.broken: set[int] = set()

    @property
    def now(self) -> float:
        return self.project.clock.time + self.ahead

    def save(self, *ids: int, at: float | None = None) -> None:
        for one in ids:
            self.rows[one] = self.now if at is None else at

    def untimed(self, one: int) -> None:
        self.rows[one] = None

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.query.get("since", ""))
        number = len(self.asked)
        since = parse_time(self.asked[-1], TZ).timestamp() if self.asked[-1] else None
        if number in self.broken:
            return web.json_response({"error": "down"}, status=503)
        found = []
        for one, saved in self.rows.items():
            second = None if saved is None else int(saved)
            shown = second is not None and since is not None and (second >= since if self.closed else second > since)
            if shown or since is None:
                found.append({"id": one})
        page = int(request.query["page"])
        body: dict[str, Any] = {"data": found[(page - 1) * 5 : page * 5], "total": len(found)}
        headers = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
        if self.says == "header":
            headers = {"Date": formatdate(self.now, usegmt=True)}
        elif self.says == "body":
            body["now"] = int(self.now)
        self.during.get(number, lambda: None)()
        return web.json_response(body, headers=headers)


@asynccontextmanager
async def served(project: Project, journal: Journal) -> AsyncIterator[None]:
    """The system answers, and the project knows where."""
    async with listening([web.get("/list", journal.answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\n'
            'envelope = { records = "data", total = "total", now = "now" }\n'
            'paging = { type = "page", size_param = "size", size = 5 }\n\n[connections.inside]\nconnector = "noria"\n'
        )
        yield


async def runs(project: Project, journal: Journal, *between: Any, **options: Any) -> set[int]:
    """Runs an hour apart, the first one now, with something happening before each of the others; the ids staged."""
    async with served(project, journal):
        request = [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}]
        metadata = {"api": "/list", "id": "id", "idCheck": False, "request": request}
        options = {"start": "2020-01-01", "retry": {"tries": 1}, **options}
        project.plan("list", ("list", metadata), ("inside", EMPTY), options=options)
        await project.run("list")
        for happens in between:
            project.clock.time += 3600
            happens()
            await project.run("list")
    return {int(one["id"]) for one in project.records("list")}


def nothing() -> None:
    """Nothing happens before this run."""


async def test_it_is_the_start_of_the_read_and_not_its_end(project: Project) -> None:
    """What is saved while the read is under way, behind its back, is read by the next."""
    journal = Journal(project, says="nothing")
    journal.save(*range(8))

    def passes() -> None:
        journal.save(99)
        project.clock.time += 900

    journal.during = {2: passes}
    assert await runs(project, journal, nothing, overlap=0) == {*range(8), 99}


async def test_a_failed_run_does_not_move_it(project: Project) -> None:
    journal = Journal(project)
    journal.save(*range(8))
    journal.broken = {2, 3, 4}
    # The read is broken off for longer than it is continued, so that it begins anew.
    assert await runs(project, journal, nothing, nothing, lambda: journal.save(50), overlap=0) == {*range(8), 50}
    assert journal.asked[0] == journal.asked[2] == journal.asked[3] == "2020-01-01 00:00:00"


@pytest.mark.parametrize("says", ["body", "header"])
@pytest.mark.parametrize("overlap", [0, 60])
@pytest.mark.parametrize("ahead", [-1.4, -45.0, -700.0, 900.0])
async def test_the_slower_of_two_clocks_counts(project: Project, ahead: float, overlap: int, says: str) -> None:
    """Saved just after the read by the source's clock, which stands before ours."""
    journal = Journal(project, ahead=ahead, says=says)
    journal.save(*range(3))
    first = project.clock.time
    journal.during = {1: lambda: journal.save(77)}
    assert await runs(project, journal, nothing, overlap=overlap) == {0, 1, 2, 77}
    assert parse_time(journal.asked[-1], TZ).timestamp() <= first + min(0.0, ahead)


async def test_without_a_word_of_the_source_the_overlap_bears_the_difference(project: Project) -> None:
    journal = Journal(project, ahead=-50, says="nothing")
    journal.during = {1: lambda: journal.save(77)}
    assert await runs(project, journal, nothing) == {77}


@pytest.mark.parametrize("closed", [True, False], ids=["from, inclusive", "after, exclusive"])
async def test_both_kinds_of_interval_ends_with_many_records_on_one_second(project: Project, closed: bool) -> None:
    """Eight rows of the second in which the read begins, four of them saved after their page was read."""
    journal = Journal(project, closed=closed)
    second = float(int(project.clock.time))
    for one in range(4):
        journal.save(one, at=second)
    journal.during = {1: lambda: [journal.save(one, at=second) for one in range(10, 14)]}
    assert await runs(project, journal, nothing) == {0, 1, 2, 3, 10, 11, 12, 13}


async def test_what_is_saved_late_with_an_old_time_is_for_the_overlap_and_then_the_sweep(project: Project) -> None:
    journal = Journal(project)
    journal.save(*range(3))
    within = project.clock.time + 3600 - 50

    def late() -> None:
        journal.save(20, at=within)
        journal.save(21, at=project.clock.time - 5000)

    assert await runs(project, journal, nothing, late) == {0, 1, 2, 20}
    async with served(project, journal), project.workspace() as workspace:
        plan = workspace.project.plan("list")
        swept = await run_plan(workspace, plan, swept=sweep_of(plan, project.clock.now()))
    assert swept.sweep is not None and swept.sweep.missing == ["21"]


async def test_a_record_without_a_time_is_found_by_a_sweep_of_everything(project: Project) -> None:
    """No query by time returns it; where the time may be left out, a sweep of everything asks without."""
    journal = Journal(project)
    journal.save(1)
    assert await runs(project, journal, lambda: journal.untimed(30)) == {1}
    async with served(project, journal), project.workspace() as workspace:
        plan = workspace.project.plan("list")
        swept = await run_plan(workspace, plan, swept=sweep_of(plan, project.clock.now(), whole=True))
    assert swept.sweep is not None and swept.sweep.missing == ["30"]


async def test_a_clock_set_back_looks_back_a_sweeps_window(project: Project) -> None:
    """Nobody knows what happened in the hours that the clock has twice."""
    journal = Journal(project)
    journal.save(1)

    def back() -> None:
        project.clock.set -= 7200
        journal.save(2, at=project.clock.time - 4000)

    assert await runs(project, journal, back) == {1, 2}
    assert parse_time(journal.asked[-1], TZ).timestamp() < project.clock.time - 2 * 86400
