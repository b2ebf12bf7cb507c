"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Project
from tests.faults.systems import SINCE
from tests.faults.test_sources import Scripted, read, rows


@pytest.mark.parametrize(
    "says",
    [
        {"query": {"status": "failed"}},
        {"errorCode": "00000", "errorMessage": "ok"},
        {"error": {"code": 0, "message": ""}},
        {"errcode": "0000"},
        {"error": "success"},
    ],
    ids=["echoes the query", "alibaba's code of success", "error with code 0", "errcode 0000", "error: success"],
)
async def test_an_empty_page_of_a_server_that_is_well(project: Project, says: Any) -> None:
    """No code is declared. Without a total an empty page is always read at the end; it used to be the end."""

    def page(number: int, _: int):
        return {"data": rows(*range(15)[(number - 1) * 10 : number * 10]), **says}

    ended = await read(project, Scripted(page), runs=2, request=SINCE)
    assert [one.status for one in ended] == ["done", "done"], str(ended[0].error)


async def test_a_list_of_bare_arrays_where_other_answers_have_a_code(project: Project) -> None:
    """The connection declares the code that most answers carry; this list answers with bare arrays (the filled pages
    are taken). The empty one is its end."""

    def page(number: int, _: int):
        return web.json_response(rows(*range(15)[(number - 1) * 10 : number * 10]))

    ended = await read(project, Scripted(page), runs=2, envelope='code = "code", success = [0]', request=SINCE)
    assert [one.status for one in ended] == ["done", "done"], str(ended[0].error)


async def test_behind_the_end_there_is_a_404_with_a_page(project: Project) -> None:
    """Django's Http404, IIS: 404 comes with an HTML page, for JSON lists too."""

    def page(number: int, _: int):
        if number > 2:
            return web.Response(
                status=404, text="<!doctype html><html>Invalid page (3)</html>", content_type="text/html"
            )
        return {"data": rows(*range(15)[(number - 1) * 10 : number * 10])}

    ended = await read(project, Scripted(page), runs=2, request=SINCE)
    assert [one.status for one in ended] == ["done", "done"], str(ended[0].error)


async def test_a_total_that_knows_nothing_of_the_window(project: Project) -> None:
    """total counts the whole table, the rows are filtered by time: nothing has changed in this window."""
    n = 0

    def page(number: int, _: int):
        return {"data": rows(*range(15)[(number - 1) * 10 : number * 10]) if not n else [], "total": 15}

    s = Scripted(page)
    [_first] = await read(project, s, request=SINCE)
    n = 1
    ended = await read(project, s, runs=2, request=SINCE)
    assert [one.status for one in ended] == ["done", "done"], str(ended[0].error)


async def test_more_is_said_by_full_pages_and_pages_are_clamped(project: Project) -> None:
    """`more` = "the page is full"; behind the last page the last is shown again. 20 rows, 10 a page."""

    def page(number: int, _: int):
        data = rows(*range(20)[(min(number, 2) - 1) * 10 : min(number, 2) * 10])
        return {"data": data, "more": len(data) == 10}

    ended = await read(
        project,
        Scripted(page),
        runs=2,
        paging='type = "page", size_param = "size", size = 10, more = "more"',
        request=SINCE,
    )
    assert [one.status for one in ended] == ["done", "done"], str(ended[0].error)
