"""Points 3 and 4 of the ways to lose records: a list that seems to end and does not, or seems to go on for ever; a
source that fails and looks as if it had no data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from noria.engine import Finished
from tests.conftest import EMPTY, Project
from tests.faults.systems import SOURCE
from tests.servers import listening

Page = dict[str, Any]
SIZE = 10


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": n} for n in numbers]


class Scripted:
    """A list that answers a page as a function says, given the number asked for and how often something was asked."""

    def __init__(self, page: Callable[[int, int], web.Response | Page]) -> None:
        self.page = page
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.query.get("page", request.query.get("cursor", "")))
        assert len(self.asked) < 200, "it never ends"
        asked = self.asked[-1]
        given = self.page(int(asked) if asked.isdigit() else 0, len(self.asked))
        return given if isinstance(given, web.Response) else web.json_response(given)


async def read(
    project: Project, scripted: Scripted, *, runs: int = 1, envelope: str = "", paging: str = "", request: Any = None
) -> list[Finished]:
    """Runs over the list, an hour apart."""
    finished = []
    paging = paging or f'type = "page", size_param = "size", size = {SIZE}'
    async with listening([web.get("/list", scripted.answer)]) as url:
        settle(project, url, paging, envelope, request)
        for _ in range(runs):
            finished.append(await project.run("list"))
            project.clock.time += 3600
    return finished


def settle(project: Project, url: str, paging: str, envelope: str = "", request: Any = None) -> None:
    """A plan that reads the list."""
    project.connections(
        f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\npaging = {{ {paging} }}\n'
        f'envelope = {{ records = "data", total = "total"{", " if envelope else ""}{envelope} }}\n\n[connections.inside]\nconnector = "noria"\n'
    )
    metadata = {"api": "/list", "id": "id", "idCheck": False, "request": request or []}
    project.plan("list", ("list", metadata), ("inside", EMPTY), options={"start": "2020-01-01"})


def ids(project: Project) -> list[int]:
    return sorted(int(one["id"]) for one in project.records("list"))


def cut(numbers: list[int], page: int) -> list[dict[str, Any]]:
    return rows(*numbers[(page - 1) * SIZE : page * SIZE])


# --- 3: where a list ends


@pytest.mark.parametrize("empty", [{2}, {1}, {2, 3}, {4}])
async def test_a_filter_that_empties_a_page_is_not_the_end(project: Project, empty: set[int]) -> None:
    """With a total that promises more, however many pages show nothing."""
    everything = list(range(45))

    def page(number: int, _: int) -> Page:
        return {"data": [] if number in empty else cut(everything, number), "total": 45}

    [finished] = await read(project, Scripted(page))
    hidden = {n for number in empty for n in everything[(number - 1) * SIZE : number * SIZE]}
    assert finished.status == "done" and ids(project) == [n for n in everything if n not in hidden]


@pytest.mark.parametrize("later", [{}, {"total": 0}])
async def test_a_total_that_is_said_once_promises_as_much(project: Project, later: Page) -> None:
    def page(number: int, _: int) -> Page:
        says = {"total": 45} if number == 1 else later
        return {"data": [] if number in (2, 3) else cut(list(range(45)), number), **says}

    await read(project, Scripted(page))
    assert ids(project) == [*range(10), *range(30, 45)]


async def test_without_a_total_one_emptied_page_is_not_the_end(project: Project) -> None:
    def page(number: int, _: int) -> Page:
        return {"data": [] if number == 3 else cut(list(range(45)), number)}

    await read(project, Scripted(page))
    assert ids(project) == [*range(20), *range(30, 45)]


@pytest.mark.parametrize("word", [True, 1, "true", "Y"])
async def test_where_the_server_says_whether_there_is_more_its_word_counts(project: Project, word: Any) -> None:
    """Also over pages that are short or empty, and against a total that is wrong."""

    def page(number: int, _: int) -> Page:
        data = {1: rows(*range(10)), 2: [], 3: [], 4: rows(40), 5: rows(*range(50, 60))}[number]
        return {"data": data, "total": 3, "more": word if number < 5 else False}

    paging = f'type = "page", size_param = "size", size = {SIZE}, more = "more"'
    await read(project, Scripted(page), paging=paging)
    assert ids(project) == [*range(10), 40, *range(50, 60)]


@pytest.mark.parametrize("says", [{"total": 25}, {"more": True}])
async def test_a_full_page_without_a_cursor_is_a_failure_and_not_the_end(project: Project, says: Page) -> None:
    def page(number: int, _: int) -> Page:
        number = number or 1
        following = {"next": "2"} if number == 1 else {}
        return {"data": rows(*range(10 * number - 10, 10 * number)), **says, **following}

    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}, more = "more"'
    [finished] = await read(project, Scripted(page), paging=paging)
    assert finished.status == "failed" and "20" in str(finished.error)
    assert finished.watermark is None and project.counts("list") == {"delivered": 10}


@pytest.mark.parametrize(
    "ending",
    [{"next": None}, {"next": "", "more": None}, {"next": "scroll"}],
    ids=["no cursor", "an empty cursor", "the same cursor"],
)
async def test_a_cursor_list_that_ends_before_its_total_is_a_failure(project: Project, ending: Page) -> None:
    """However short its last page: the total promises more."""

    def page(number: int, asked: int) -> Page:
        first, last = not scripted.asked[-1], rows(*range(10, 13)) if ending["next"] != "scroll" else []
        return {"data": rows(*range(10)) if first else last, "total": 45, "next": "scroll", **({} if first else ending)}

    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}, more = "more"'
    scripted = Scripted(page)
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "failed" and "45" in str(finished.error) and finished.watermark is None


async def test_rows_that_come_while_a_cursor_list_is_read_are_not_missed_from_it(project: Project) -> None:
    """The total counts them, the cursor's own view does not show them."""

    def page(number: int, asked: int) -> Page:
        number = number or 1
        more = {"next": str(number + 1)} if number < 3 else {}
        return {"data": cut(list(range(25)), number), "total": 24 + asked, **more}

    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}'
    [finished] = await read(project, Scripted(page), paging=paging)
    assert finished.status == "done" and ids(project) == list(range(25))


@pytest.mark.parametrize("ends", [True, False], ids=["the last page has no cursor", "an empty page is the end"])
@pytest.mark.parametrize("at", [2, 3, 4, 5])
async def test_a_page_that_a_scroll_passed_over_while_its_answer_was_lost_is_read_again(
    project: Project, at: int, ends: bool
) -> None:
    """The cursor is the same for every page, and the server goes on whenever it is asked."""
    served = 0
    cuts = [at]

    def page(number: int, asked: int) -> web.Response | Page:
        nonlocal served
        served = served + 1 if scripted.asked[-1] else 1
        data = cut(list(range(45)), served)
        if asked in cuts:
            return web.Response(status=502)
        return {"data": data, "next": None if ends and served >= 5 else "scroll"}

    scripted = Scripted(page)
    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}'
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "done" and ids(project) == list(range(45))


async def test_a_scroll_that_was_interrupted_begins_anew(project: Project) -> None:
    """Which page it would give now is not known."""
    served, broken = 0, True

    def page(number: int, asked: int) -> web.Response | Page:
        nonlocal served
        served = served + 1 if scripted.asked[-1] else 1
        if broken and served == 3:
            return web.Response(status=401)
        return {"data": cut(list(range(45)), served), "next": "scroll"}

    scripted = Scripted(page)
    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}'
    async with listening([web.get("/list", scripted.answer)]) as url:
        settle(project, url, paging)
        assert (await project.run("list")).status == "failed"
        assert ids(project) == list(range(20))
        broken = False
        assert (await project.run("list")).status == "done"
    assert ids(project) == list(range(45))


@pytest.mark.parametrize("total", ["45", 45.0, " 45 "])
async def test_a_total_that_is_written_as_text_counts(project: Project, total: Any) -> None:
    def page(number: int, _: int) -> Page:
        return {"data": [] if number in (2, 3) else cut(list(range(45)), number), "total": total}

    await read(project, Scripted(page))
    assert ids(project) == [*range(10), *range(30, 45)]


@pytest.mark.parametrize("total", [True, False])
async def test_offsets_go_on_behind_an_emptied_page(project: Project, total: bool) -> None:
    def page(number: int, _: int) -> Page:
        offset = int(scripted.asked[-1])
        data = [] if 10 <= offset < 20 + 10 * total else rows(*range(offset, min(offset + SIZE, 45)))
        return {"data": data, **({"total": 45} if total else {})}

    scripted = Scripted(page)
    paging = f'type = "offset", offset_param = "page", size_param = "size", size = {SIZE}'
    await read(project, scripted, paging=paging)
    assert ids(project) == [*range(10), *range(30 if total else 20, 45)]


def refusal(status: int, code: int = 0) -> web.Response:
    return web.json_response({"code": code, "message": "the system is busy"}, status=status)


@pytest.mark.parametrize(("status", "code"), [(200, 503), (200, 404), (403, 0), (400, 0)])
async def test_a_refusal_behind_a_short_page_is_a_failure_and_not_the_end(
    project: Project, status: int, code: int
) -> None:
    """The server gives 64 rows at once, of 200, and is busy when asked for the next: nothing says that it has ended."""

    def page(number: int, _: int) -> web.Response | Page:
        return refusal(status, code) if number > 1 else {"code": 0, "data": rows(*range(64))}

    envelope = 'code = "code", success = [0], message = "message"'
    paging = 'type = "page", size_param = "size", size = 100'
    [finished] = await read(project, Scripted(page), envelope=envelope, paging=paging)
    assert finished.status == "failed" and finished.watermark is None and len(ids(project)) == 64


@pytest.mark.parametrize(
    ("status", "code", "counted", "end"),
    [
        (404, 0, False, "[]"),
        (416, 0, False, "[]"),
        (400, 0, True, "[]"),
        (200, 77, False, "[77]"),
        (422, 0, False, "[422]"),
    ],
)
@pytest.mark.parametrize("count", [15, 20])
async def test_what_a_refusal_behind_the_end_looks_like(
    project: Project, status: int, code: int, counted: bool, end: str, count: int
) -> None:
    """No such page after a short one; anything, once the total is reached; what the connection declares."""

    def page(number: int, _: int) -> web.Response | Page:
        data = cut(list(range(count)), number)
        return {"code": 0, "data": data, **({"total": count} if counted else {})} if data else refusal(status, code)

    envelope = 'code = "code", success = [0]'
    paging = f'type = "page", size_param = "size", size = {SIZE}, end = {end}'
    [finished] = await read(project, Scripted(page), envelope=envelope, paging=paging)
    known = count == 15 or counted or end != "[]"
    assert finished.status == ("done" if known else "failed") and ids(project) == list(range(count))


async def test_more_rows_counted_than_shown_on_an_unpaged_list_is_a_failure(project: Project) -> None:
    [finished] = await read(project, Scripted(lambda *_: {"data": rows(1, 2), "total": 40}), paging='type = "none"')
    assert finished.status == "failed" and "40" in str(finished.error) and finished.watermark is None


async def test_a_full_last_page_is_followed_by_another_look(project: Project) -> None:
    """Rows that came since the total was counted are on the page after."""
    everything = list(range(20))

    def page(number: int, _: int) -> Page:
        shown = cut(everything, number)
        total = len(everything)
        if number == 2 and len(everything) == 20:
            everything.extend(range(20, 26))
        return {"data": shown, "total": total}

    await read(project, Scripted(page))
    assert ids(project) == list(range(26))


@pytest.mark.parametrize("totals", [[45, 46, 46, 46, 46], [45, 0, 0, 0, 0], [45, None, None, None, None]])
async def test_a_total_that_changes_or_is_said_once(project: Project, totals: list[int | None]) -> None:
    everything = list(range(45))

    def page(number: int, _: int) -> Page:
        if number == 2 and totals[1] == 46 and len(everything) == 45:
            everything.append(45)
        total = totals[min(number, 5) - 1]
        return {"data": cut(everything, number), **({} if total is None else {"total": total})}

    await read(project, Scripted(page))
    assert ids(project) == everything


@pytest.mark.parametrize("total", [True, False])
async def test_a_short_page_in_the_middle_is_not_the_end(project: Project, total: bool) -> None:
    def page(number: int, _: int) -> Page:
        data = cut(list(range(45)), number)
        return {"data": data[:3] if number == 2 else data, **({"total": 45} if total else {})}

    await read(project, Scripted(page))
    assert ids(project) == [*range(13), *range(20, 45)]


@pytest.mark.parametrize("kind", ["page", "offset", "cursor"])
async def test_a_server_that_answers_the_last_page_again_for_ever_ends(project: Project, kind: str) -> None:
    everything = list(range(30))

    def page(number: int, asked: int) -> Page:
        data = cut(everything, min(asked, 3))
        return {"data": data, "next": f"c{asked}"}

    paging = f'type = "{kind}", next = "next", size_param = "size", size = {SIZE}'
    scripted = Scripted(page)
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "done" and ids(project) == everything and len(scripted.asked) < 10


async def test_a_server_that_goes_round_in_a_circle_ends(project: Project) -> None:
    """Cursors that lead from the last page to the first."""
    scripted = Scripted(lambda _, asked: {"data": cut(list(range(40)), (asked - 1) % 4 + 1), "next": f"c{asked % 4}"})
    paging = f'type = "cursor", next = "next", size_param = "size", size = {SIZE}'
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "done" and ids(project) == list(range(40))


@pytest.mark.parametrize("kind", ["page", "offset"])
async def test_a_server_that_ignores_where_a_page_begins_is_a_failure_as_long_as_the_total_says_more(
    project: Project, kind: str
) -> None:
    scripted = Scripted(lambda *_: {"data": rows(*range(10)), "total": 450})
    paging = f'type = "{kind}", size_param = "size", size = {SIZE}'
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "failed" and finished.watermark is None and "450" in str(finished.error)


@pytest.mark.parametrize(
    ("kind", "cursors"), [("page", ["-"]), ("cursor", ["a", "b"]), ("cursor", ["a", "b", "c"]), ("cursor", [])]
)
async def test_a_server_that_says_more_for_ever_and_shows_nothing_ends_as_a_failure(
    project: Project, kind: str, cursors: list[str]
) -> None:
    def page(_: int, asked: int) -> Page:
        following = cursors[asked % len(cursors)] if cursors else f"c{asked}"
        return {"data": rows(*range(10)) if asked == 1 else [], "more": True, "next": following}

    scripted = Scripted(page)
    paging = f'type = "{kind}", next = "next", more = "more", size_param = "size", size = {SIZE}'
    [finished] = await read(project, scripted, paging=paging)
    assert finished.status == "failed" and finished.watermark is None and "empty" in str(finished.error)
    assert len(scripted.asked) < (10 if len(cursors) > 1 else 110)


async def test_links_to_the_next_page_in_several_headers_and_between_quoted_commas(project: Project) -> None:
    def page(number: int, _: int) -> web.Response:
        answer = web.json_response({"data": cut(list(range(45)), number or 1)})
        following = (number or 1) + 1
        answer.headers.add("Link", '</list?page=1>; rel="first"; title="first, \\"<all>\\"; rel=next"')
        if number % 2 and following < 6:
            answer.headers.add("Link", f'</list?page={following}>; title="a, <b>; c"; rel="next"')
        elif following < 6:
            answer.headers.add("Link", f'</list?page=5>; rel="last", </list?page={following}>; rel="last next"')
        return answer

    paging = f'type = "link", size_param = "size", size = {SIZE}'
    await read(project, Scripted(page), paging=paging)
    assert ids(project) == list(range(45))


@pytest.mark.parametrize("kind", ["page", "cursor"])
async def test_a_read_is_not_continued_at_another_address(project: Project, kind: str) -> None:
    """The pages that were read were those of another system."""
    broken = True
    paging = f'type = "{kind}", next = "next", size_param = "size", size = {SIZE}'

    def page(number: int, _: int) -> web.Response | Page:
        number = number or 1
        if broken and number == 3:
            return web.Response(status=401)
        data = cut(list(range(45) if broken else range(100, 145)), number)
        return {"data": data, "total": 45, "next": str(number + 1) if number < 5 else None}

    [finished] = await read(project, Scripted(page), paging=paging)
    assert finished.status == "failed"
    broken = False
    project.clock.time -= 3600
    [finished] = await read(project, Scripted(page), paging=paging)
    assert finished.status == "done" and ids(project) == [*range(20), *range(100, 145)]


# --- 4: a source that fails

HTML = web.Response(text="<html><body>登录</body></html>", content_type="text/html", charset="utf-8").text
FAILURES: dict[str, tuple[Callable[[], web.Response], str]] = {
    "an error in HTTP 200": (lambda: web.json_response({"code": 500, "message": "系统繁忙", "data": []}), "系统繁忙"),
    "an error without data": (lambda: web.json_response({"code": 40001, "message": "no right"}), "no right"),
    "an error without a code": (lambda: web.json_response({"message": "no right"}), "no right"),
    "HTML with status 200": (lambda: web.Response(text=str(HTML), content_type="text/html"), "JSON"),
    "HTML said to be JSON": (lambda: web.Response(text=str(HTML), content_type="application/json"), "JSON"),
    "truncated JSON": (lambda: web.Response(text='{"code": 0, "data": [{"id": 1}, {"i'), "JSON"),
    "nothing at all": (lambda: web.Response(body=b""), "empty"),
    "null": (lambda: web.Response(text="null"), "list"),
    "no list where it should be": (lambda: web.json_response({"code": 0, "data": {"rows": []}}), "list"),
    "a server error": (lambda: web.Response(status=500, text="boom"), "500"),
    "a gateway that gives up": (lambda: web.Response(status=504), "504"),
    "not found": (lambda: web.Response(status=404, text="nope"), "404"),
    "no content": (lambda: web.Response(status=204), "empty"),
    "a redirect to a login page": (lambda: web.Response(status=302, headers={"Location": "/login"}), ""),
}


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("name", FAILURES)
async def test_a_failing_source_is_never_no_data(project: Project, name: str, at: int) -> None:
    """Not on the first page and not in the middle; the watermark stays, and the next run reads on."""
    failing, said = FAILURES[name]
    broken = True

    def page(number: int, _: int) -> web.Response | Page:
        if broken and number == at:
            return failing()
        return {"code": 0, "data": cut(list(range(45)), number), "total": 45}

    scripted = Scripted(page)
    envelope = 'code = "code", success = [0], message = "message"'
    [finished] = await read(project, scripted, envelope=envelope)
    assert finished.status == "failed" and finished.watermark is None
    assert said in str(finished.error)
    assert ids(project) == list(range((at - 1) * SIZE))
    broken = False
    project.clock.time -= 3000
    [finished] = await read(project, scripted, envelope=envelope)
    assert finished.status == "done" and ids(project) == list(range(45)) and finished.watermark is not None


@pytest.mark.parametrize(
    "expired",
    [
        lambda: web.Response(status=401),
        lambda: web.json_response({"code": 42001, "message": "access_token expired"}),
    ],
    ids=["HTTP 401", "a code in HTTP 200"],
)
async def test_a_token_that_expires_between_page_7_and_8_is_fetched_anew(project: Project, expired: Any) -> None:
    issued = 0

    async def token(_: web.Request) -> web.Response:
        nonlocal issued
        issued += 1
        return web.json_response({"access_token": f"token-number-{issued}", "expires_in": 7200})

    async def answer(request: web.Request) -> web.Response:
        number = int(request.query["page"])
        if number >= 8 and request.headers["Authorization"] != "Bearer token-number-2":
            response: web.Response = expired()
            return response
        return web.json_response({"code": 0, "data": cut(list(range(95)), number), "total": 95})

    async with listening([web.post("/token", token), web.get("/list", answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\n'
            f'auth = {{ type = "oauth2", token_url = "{url}/token", client_id = "env:OKKI_CLIENT_ID",'
            ' client_secret = "env:OKKI_CLIENT_SECRET" }\n'
            f'paging = {{ type = "page", size_param = "size", size = {SIZE} }}\n'
            'envelope = { records = "data", total = "total", code = "code", success = [0], expired = [42001] }\n\n'
            '[connections.inside]\nconnector = "noria"\n'
        )
        project.plan("list", ("list", SOURCE), ("inside", EMPTY))
        finished = await project.run("list")
    assert finished.status == "done" and ids(project) == list(range(95)) and issued == 2


@pytest.mark.parametrize("kind", ["page", "cursor"])
@pytest.mark.parametrize("body", [True, False], ids=["a code in HTTP 200", "a status"])
async def test_a_server_that_asks_to_restart_paging_is_read_from_its_first_page(
    project: Project, kind: str, body: bool
) -> None:
    """Its snapshot is gone: the list has other rows now, in another order."""
    lists = [list(range(45)), [*range(44, 20, -1), *range(100, 115), *range(20)]]
    restarted = 0

    def page(number: int, asked: int) -> web.Response | Page:
        nonlocal restarted
        at = number or (asked if not restarted else asked - 3)
        if at == 3 and not restarted:
            restarted = 1
            answer = {"code": 1234, "message": "scroll expired"}
            return web.json_response(answer) if body else web.json_response(answer, status=502)
        everything = lists[restarted]
        more = at * SIZE < len(everything)
        return {"code": 0, "data": cut(everything, at), "next": "on" + str(asked) if more else None}

    codes = "1234" if body else "502"
    paging = f'type = "{kind}", next = "next", size_param = "size", size = {SIZE}, restart = [{codes}]'
    scripted = Scripted(page)
    [finished] = await read(project, scripted, paging=paging, envelope='code = "code", success = [0]')
    assert finished.status == "done" and set(ids(project)) >= set(lists[1])


async def test_a_server_that_always_asks_to_restart_is_left_alone_at_last(project: Project) -> None:
    def page(number: int, _: int) -> Page:
        if number == 2:
            return {"code": 1234, "message": "again"}
        return {"code": 0, "data": cut(list(range(45)), number)}

    paging = f'type = "page", size_param = "size", size = {SIZE}, restart = [1234]'
    scripted = Scripted(page)
    [finished] = await read(project, scripted, paging=paging, envelope='code = "code", success = [0]')
    assert finished.status == "failed" and finished.watermark is None and len(scripted.asked) == 8
    assert ids(project) == list(range(10))
