"""Rows that are inserted, deleted or moved while a list is read page by page: none slips past."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from noria.engine.motion import Signs, Usual
from tests.conftest import EMPTY, Project
from tests.servers import MovingList, listening

SINCE = [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}]
Rows = list[dict[str, Any]]


def table(url: str, total: bool = True) -> str:
    return f"""
[connections.list]
connector = "http"
base_url = "{url}"
envelope = {{ records = "data.list", total = "{"data.total" if total else ""}" }}
paging = {{ type = "page", size_param = "size", size = 10 }}

[connections.inside]
connector = "noria"
"""


def rows(count: int, start: int = 0) -> Rows:
    return [{"id": n, "v": 0, "time": "2023-01-01 00:00:00"} for n in range(start, start + count)]


async def read(project: Project, server: MovingList, request: Any = None, runs: int = 1, **options: Any) -> Any:
    """Run a plan over the list; gives the last run."""
    metadata = {"api": "/list", "id": "id", "idCheck": False, "request": request or []}
    async with listening(server.routes()) as url:
        project.connections(table(url, server.counted))
        project.plan("list", ("list", metadata), ("inside", EMPTY), options=options)
        for _ in range(runs):
            finished = await project.run("list")
            project.clock.time += 3600
    return finished


def ids(project: Project) -> set[int]:
    return {int(one["id"]) for one in project.records("list")}


def delete(*wanted: int) -> Callable[[Rows], None]:
    def move(rows: Rows) -> None:
        rows[:] = [row for row in rows if row["id"] not in wanted]

    return move


def insert(*new: int, at: int = 0) -> Callable[[Rows], None]:
    return lambda rows: rows.__setitem__(slice(at, at), [{"id": n, "v": 0, "time": "2023-01-01"} for n in new])


def moved(row_id: int, to: int) -> Callable[[Rows], None]:
    def move(rows: Rows) -> None:
        row = next(row for row in rows if row["id"] == row_id)
        rows.remove(row)
        rows.insert(to if to >= 0 else len(rows), {**row, "v": row["v"] + 1})

    return move


@pytest.mark.parametrize(
    ("moves", "gone"),
    [
        pytest.param({2: delete(3)}, {3}, id="one deleted"),
        pytest.param({3: delete(*range(15))}, set(range(15)), id="more than a page deleted"),
        pytest.param({2: delete(1), 3: delete(12), 4: delete(22)}, {1, 12, 22}, id="one after the other"),
        pytest.param({2: insert(100, 101)}, set(), id="inserted in front"),
        pytest.param({4: moved(35, 0)}, set(), id="moved to the front before it was read"),
        pytest.param({3: moved(2, -1)}, set(), id="moved to the end after it was read"),
        pytest.param({3: moved(2, -1), 5: moved(12, -1), 8: moved(5, -1)}, set(), id="moved again in the second pass"),
    ],
)
async def test_no_row_slips_past(project: Project, moves: Any, gone: set[int]) -> None:
    server = MovingList(rows(45), moves)
    finished = await read(project, server)
    assert finished.status == "done"
    assert ids(project) >= {row["id"] for row in server.rows}
    newest = {one["id"]: one for one in project.records("list")}
    assert len(newest) == len(server.rows) + len(gone & {int(i) for i in newest})


async def test_a_list_that_stands_still_is_read_once(project: Project) -> None:
    server = MovingList(rows(45))
    await read(project, server, SINCE)
    assert len(server.asked) == 5


async def test_a_change_at_one_border_costs_one_page(project: Project) -> None:
    server = MovingList(rows(45), {3: delete(1)})
    await read(project, server)
    assert [one["page"] for one in server.asked].count("2") == 2 and len(server.asked) == 7


async def test_rows_in_front_cost_no_second_pass(project: Project) -> None:
    """What was pushed back is seen again, and what pushed it is looked for where it must be: 5 pages, one border, and
    the front, which shows nothing new."""
    server = MovingList(rows(45), {2: insert(100, 101)})
    await read(project, server)
    assert ids(project) == {*range(45), 100, 101} and len(server.asked) == 5 + 1 + 1


@pytest.mark.parametrize("since", [SINCE, []], ids=["windowed", "whole"])
async def test_without_totals_borders_are_looked_at_where_no_later_read_would_show_the_row(
    project: Project, since: Any
) -> None:
    """A whole list is read again by the next run anyway; a window moves on."""
    server = MovingList(rows(45), {3: delete(1)}, counted=False)
    await read(project, server, since, start="2020-01-01")
    if since:
        assert ids(project) == set(range(45))
    else:
        assert ids(project) == set(range(45)) - {20} and len(server.asked) == 6
        await read(project, server, since)
        assert ids(project) == set(range(45))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("since", [SINCE, []], ids=["windowed", "whole"])
async def test_exactly_a_page_of_new_rows_in_front_makes_a_page_come_again(
    project: Project, counted: bool, since: Any
) -> None:
    """Which is not a server that answers the same page for ever."""
    server = MovingList(rows(45), {3: insert(*range(100, 110))}, counted=counted)
    finished = await read(project, server, since, start="2020-01-01")
    assert finished.status == "done" and ids(project) == {*range(45), *range(100, 110)}


@pytest.mark.parametrize("since", [SINCE, []], ids=["windowed", "whole"])
async def test_a_page_that_was_asked_for_to_be_sure_may_come_again_too(project: Project, since: Any) -> None:
    server = MovingList(rows(35), {5: insert(*range(100, 110))}, counted=False)
    await read(project, server, since, start="2020-01-01")
    assert ids(project) == {*range(35), *range(100, 110)}


async def test_ids_that_a_list_always_shows_twice_are_gone_over_once(project: Project) -> None:
    twice = [*rows(25), *rows(2), *rows(8, 40)]
    server = MovingList(twice)
    await read(project, server, runs=2)
    assert len(server.asked) == 8 + 4, "the second run knows them"


async def test_a_total_that_counts_more_than_is_shown_is_gone_over_once(project: Project) -> None:
    server = MovingList(rows(35))
    shown = MovingList._answer

    async def more(self: MovingList, request: Any) -> Any:
        import json

        from aiohttp import web

        answer = await shown(self, request)
        body = json.loads(answer.body)
        body["data"]["total"] = 39
        return web.json_response(body)

    MovingList._answer = more  # type: ignore[method-assign]
    try:
        await read(project, server, runs=2)
    finally:
        MovingList._answer = shown  # type: ignore[method-assign]
    assert len(server.asked) == 10 + 5


async def test_a_list_that_never_stands_still_is_left_after_three_passes_and_looked_back_on(project: Project) -> None:
    chance = random.Random(1)

    def shuffled(rows: Rows) -> None:
        chance.shuffle(rows)
        rows.append({"id": 1000 + len(rows), "v": 0, "time": "2023-01-01"})

    server = MovingList(rows(45), dict.fromkeys(range(1, 2000), shuffled))
    finished = await read(project, server, SINCE, start="2020-01-01")
    assert finished.status == "done" and finished.watermark == finished.started_at - 3 * 86400
    assert len(server.asked) < 80


def test_signs_are_kept_as_text() -> None:
    signs = Signs.of(None)
    signs.page(10, 45, ["1"], {"1", "2"})
    signs.page(10, 44, ["7"], {"1", "2"})
    again = Signs.of(signs.text())
    assert again == signs and again.pushed == 1 and again.twice and again.short == 26
    assert not again.settled(Usual()) and again.settled(Usual(twice=again.twice, short=26)) is False
    again.ahead = 1
    assert again.settled(Usual(twice=again.twice, short=26))
