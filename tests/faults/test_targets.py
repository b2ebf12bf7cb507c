"""Points 5, 6, 8 and 9 of the ways to lose or double records: sends in doubt, batches that half fail, updates that
overtake, targets that are throttled or away."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Project
from tests.faults.systems import KEYS, VERIFY, Books, cut, good, later, live, results

# --- 5: nobody knows whether it was written


async def test_a_send_in_doubt_keeps_its_key_over_tries_runs_and_restarts(project: Project) -> None:
    """Cut off in three tries of the first run and in one of the second; every run opens the ledger anew."""
    books = Books(4)
    books.says = lambda rows, number: cut() if number <= 4 else None
    books.heeds_keys = False
    ended = await live(project, books, later(project), later(project, 400))
    assert [one.counts.delivered for one in ended] == [0, 4, 0]
    assert len(books.sends) == 5 and len({key for key, _ in books.sends}) == 1
    assert books.sends[0][0]


@pytest.mark.parametrize("written", [True, False], ids=["it was written", "it was not"])
async def test_a_target_that_can_be_asked_is_asked_and_written_once(project: Project, written: bool) -> None:
    books = Books(4)
    if written:
        books.says = lambda rows, number: cut() if number == 1 else None
    else:
        books.refuses = lambda rows, number: web.Response(status=504) if number == 1 else None
    [finished] = await live(project, books, write=VERIFY)
    assert finished.status == "done" and books.twice() == [] and set(books.kept) == {0, 1, 2, 3}
    assert len(books.sends) == (1 if written else 2)


async def test_what_can_not_be_asked_now_is_not_sent_again_before_it_was(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number == 1 else None
    books.asks = lambda number: web.Response(status=503) if number <= 4 else None
    first, second = await live(project, books, later(project), write=VERIFY)
    assert (first.status, first.counts.delivered) == ("incomplete", 0)
    assert (second.status, second.counts.delivered) == ("done", 4)
    assert books.twice() == [] and len(books.sends) == 1


async def test_half_of_a_batch_that_was_written_is_not_written_again(project: Project) -> None:
    books = Books(4)

    def half(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        if number > 1:
            return None
        books.kept |= {row["id"]: row["name"] for row in rows[:2]}
        books.applied += [(row["id"], row["name"]) for row in rows[:2]]
        return web.Response(status=502)

    books.refuses = half
    [finished] = await live(project, books, write=VERIFY)
    assert finished.counts.delivered == 4 and books.twice() == []
    assert books.sends[1][1] == [2, 3]


@pytest.mark.parametrize("status", [409, 422, 400, 500, 200])
async def test_a_batch_in_doubt_is_sent_under_no_other_key(project: Project, status: int) -> None:
    """It was written, and what a repeat under its key is answered says neither so nor otherwise: that the first one is
    still at work, an error that is kept under the key, a business code."""
    books = Books(4)
    until = project.clock.time + 50_000

    def refuses(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        if number == 1 or project.clock.time > until:
            return None
        return web.json_response({"code": 77, "message": "the same request came before"}, status=status)

    books.refuses = refuses
    books.says = lambda rows, number: cut() if number == 1 else web.json_response(good(rows))
    target = {"envelope": {"code": "code", "success": [0], "message": "message"}}
    source = {"envelope": {"records": "data", "total": "total"}}
    ended = await live(
        project, books, *[later(project, 20_000)] * 4, later(project, 90_000), source=source, target=target
    )
    assert len({key for key, _ in books.sends}) == 1 and books.twice() == []
    assert ended[0].counts.delivered == 0 and ended[-1].counts.dead == 0
    assert project.counts("books") == {"delivered": 4}


async def test_rows_that_the_target_does_not_show_yet_go_under_the_key_of_those_it_shows(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number == 1 else None
    shown = books.kept

    class Slow(dict[int, str]):
        """What is asked for shows with a delay."""

        def __contains__(self, key: object) -> bool:
            return dict.__contains__(self, key) and (key in (0, 1) or len(books.sends) > 1)

    books.kept = Slow(shown)
    [finished] = await live(project, books, write=f"{KEYS}, {VERIFY}")
    assert finished.counts.delivered == 4 and books.twice() == []
    assert len({key for key, _ in books.sends}) == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_not_found_is_an_answer_to_whether_it_is_there(project: Project, status: int) -> None:
    books = Books(4)
    books.refuses = lambda rows, number: web.Response(status=504) if number == 1 else None
    books.asks = lambda number: web.json_response({"message": "no such item"}, status=status)
    [finished] = await live(project, books, write=VERIFY)
    assert finished.counts.delivered == 4 and len(books.sends) == 2


async def test_a_page_for_people_is_no_answer_to_whether_it_is_there(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number == 1 else None
    page = "<html><body>404</body></html>"
    books.asks = lambda number: web.Response(status=404, text=page, content_type="text/html") if number == 1 else None
    await live(project, books, later(project), write=VERIFY)
    assert project.counts("books") == {"delivered": 4} and len(books.sends) == 1


async def test_a_replaced_record_is_asked_for_by_its_id_where_its_payload_does_not_say_it(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number == 1 else None
    books.asks = lambda number: web.Response(status=503) if number <= 6 else None

    def update() -> None:
        project.clock.time += 30
        books.source[2] = "second"

    async def has(request: web.Request) -> web.Response:
        request = request.clone(rel_url=request.rel_url.with_query(id=request.query["ref"]))
        return await Books._has(books, request)

    books._has = has  # type: ignore[method-assign]
    verify = 'verify = { api = "/items", param = "ref", records = "data" }'
    await live(project, books, update, later(project, 400), write=verify)
    assert books.twice() == [] and [name for key, name in books.applied if key == 2] == ["first", "second"]


@pytest.mark.parametrize(("on_doubt", "sends", "state"), [("hold", 1, "held"), ("resend", 2, "delivered")])
async def test_where_neither_helps_the_plan_decides(project: Project, on_doubt: str, sends: int, state: str) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number == 1 else None
    await live(project, books, later(project, 90_000), write="", on_doubt=on_doubt)
    assert len(books.sends) == sends and project.counts("books") == {state: 4}


# --- 6: a batch of which a part fails


@pytest.mark.parametrize("ids", [True, False], ids=["with ids, in another order", "without ids, in the order sent"])
async def test_an_error_for_single_rows_inside_http_200(project: Project, ids: bool) -> None:
    books = Books()

    def says(rows: list[dict[str, Any]], number: int) -> web.Response:
        made = results(rows, 1, 6, 7, ids=ids)
        return web.json_response({"results": made[::-1] if ids else made})

    books.says = says
    [finished] = await live(project, books)
    assert (finished.counts.delivered, finished.counts.failed) == (9, 3)
    assert {one["id"] for one in project.records("books", state="failed")} == {"1", "6", "7"}
    assert "locked" in project.records("books", state="failed")[0]["reason"]


@pytest.mark.parametrize("ids", [True, False])
async def test_fewer_results_than_rows_are_settled_by_asking(project: Project, ids: bool) -> None:
    """The target wrote one of the two rows it says nothing of."""
    books = Books(4)

    def refuses(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        if number > 1:
            return None
        wrote = rows[:3]
        books.kept |= {row["id"]: row["name"] for row in wrote}
        books.applied += [(row["id"], row["name"]) for row in wrote]
        return web.json_response({"results": results(rows[:2], ids=ids)})

    books.refuses = refuses
    first, second = await live(project, books, later(project), write=VERIFY)
    assert (first.counts.delivered, second.counts.delivered) == (3, 1)
    assert books.twice() == [] and set(books.kept) == {0, 1, 2, 3}


async def test_rows_without_a_result_are_held_where_the_plan_says_so(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: web.json_response({"results": results(rows[:2])})
    await live(project, books, later(project, 90_000), write="", on_doubt="hold")
    assert project.counts("books") == {"delivered": 2, "held": 2} and len(books.sends) == 1


async def test_fewer_results_and_no_answer_to_the_question_stay_in_doubt(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: web.json_response({"results": results(rows[:2])}) if number == 1 else None
    books.asks = lambda number: web.Response(status=503) if number <= 3 else None
    first, second = await live(project, books, later(project), write=VERIFY)
    assert (first.counts.delivered, second.counts.delivered) == (0, 4)
    assert books.twice() == [] and len(books.sends) == 1


@pytest.mark.parametrize("status", [400, 422, 200])
async def test_one_poison_row_is_found_and_named_and_the_good_ones_get_through(project: Project, status: int) -> None:
    """Refused at the first try: by a status, or by a code inside an HTTP 200."""
    books = Books()

    def refuses(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        if all(row["id"] != 5 for row in rows):
            return None
        return web.json_response({"code": 7, "message": "row is bad"}, status=status)

    books.refuses = refuses
    books.says = lambda rows, number: web.json_response(good(rows))
    source = {"envelope": {"records": "data", "total": "total"}}
    target = {"envelope": {"code": "code", "success": [0], "message": "message"}}
    [finished] = await live(project, books, source=source, target=target)
    assert finished.counts.delivered == 11
    [bad] = [one for one in project.records("books") if one["state"] != "delivered"]
    assert bad["id"] == "5" and "row is bad" in bad["reason"] and books.twice() == []


@pytest.mark.parametrize(
    ("write", "delivered"),
    [(VERIFY, [8, 3, 0]), ("", [8, 3, 0]), (f"{KEYS}, {VERIFY}", [8, 2, 1])],
    ids=["asked", "resent", "asked, with keys"],
)
async def test_a_row_that_breaks_the_target_is_found_in_later_rounds(
    project: Project, write: str, delivered: list[int]
) -> None:
    """A plain 500 for the whole batch every time: at first it may be the target's own trouble."""
    books = Books()
    books.refuses = lambda rows, number: web.Response(status=500) if any(row["id"] == 5 for row in rows) else None
    ended = await live(project, books, later(project), later(project, 300), write=write)
    assert [one.counts.delivered for one in ended] == delivered and books.twice() == []
    [bad] = project.records("books", state="failed")
    assert bad["id"] == "5"


async def test_under_keys_alone_it_is_found_when_a_person_says_so(project: Project) -> None:
    """The 500 may be the answer to a send that was carried out and is kept under its key: no other key by itself."""
    books = Books()
    books.refuses = lambda rows, number: web.Response(status=500) if any(row["id"] == 5 for row in rows) else None
    await live(project, books, *[later(project, 90_000)] * 6)
    assert project.counts("books") == {"delivered": 8, "dead": 4}
    assert len({key for key, sent in books.sends if 5 in sent}) == 1
    assert "500" in project.records("books", state="dead")[0]["reason"]

    def replay() -> None:
        project.ledger("books", lambda ledger, plan: ledger.records.replay(plan, project.clock.time, anew=True))

    await live(project, books, replay, later(project))
    assert project.counts("books") == {"delivered": 11, "failed": 1} and books.twice() == []
    [bad] = project.records("books", state="failed")
    assert bad["id"] == "5"


# --- 8: an update overtakes


async def test_newer_content_waits_for_the_older_one_that_is_in_doubt_and_is_sent_after(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: cut() if number <= 3 else None
    books.asks = lambda number: web.Response(status=503) if number <= 6 else None

    def update() -> None:
        books.source[2] = "second"

    def update_later() -> None:
        project.clock.time += 30

    await live(project, books, update, update_later, later(project, 400), write=VERIFY)
    assert [name for key, name in books.applied if key == 2] == ["first", "second"]
    assert books.twice() == [] and project.counts("books") == {"delivered": 4}


async def test_an_update_while_the_older_content_is_being_sent_is_sent_after_it(project: Project) -> None:
    """It arrives with a sweep between the send and its answer; the newest is what the target has in the end."""
    books = Books(4)

    def says(rows: list[dict[str, Any]], number: int) -> None:
        if number == 1:
            books.source[1] = "second"

    books.says = says
    await live(project, books, later(project, 0))
    assert [name for key, name in books.applied if key == 1] == ["first", "second"]


# --- 9: throttled, or away


async def test_an_hour_of_throttling_uses_up_nothing(project: Project) -> None:
    books = Books()
    until = project.clock.time + 3600

    def refuses(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        left = until - project.clock.time
        return web.Response(status=429, headers={"Retry-After": str(int(left))}) if left > 0 else None

    books.refuses = refuses
    ended = await live(project, books, *[later(project, 300)] * 13)
    assert ended[0].status == "incomplete" and ended[-1].status == "done"
    assert project.counts("books") == {"delivered": 12} and books.twice() == []
    # While it lasts a run asks no more than once, and only for what has not been refused for so long yet.
    assert len(books.sends) == 3 + 3
    assert max(one["attempts"] for one in project.records("books")) <= 2


async def test_throttling_without_a_word_how_long_is_waited_out(project: Project) -> None:
    books = Books()
    until = project.clock.time + 3600
    books.refuses = lambda rows, number: web.Response(status=429) if project.clock.time < until else None
    ended = await live(project, books, *[later(project, 600)] * 8)
    assert project.counts("books") == {"delivered": 12} and ended[-1].counts.dead == 0
    assert len(books.sends) < 80


@pytest.mark.parametrize("reads", ["stage", "pause"])
async def test_a_target_that_is_down_for_a_day_loses_nothing(project: Project, reads: str) -> None:
    """The source side goes on, or pauses, as the plan says; nothing expires, whatever the retry schedule."""
    books, down = Books(60), True
    books.refuses = lambda rows, number: web.Response(status=503) if down else None

    def grows() -> None:
        project.clock.time += 1800
        books.source[len(books.source)] = "first"

    await live(project, books, *[grows] * 47, target_down=reads)
    staged = len(project.records("books"))
    assert staged == (107 if reads == "stage" else 60)
    assert set(project.counts("books")) <= {"failed", "pending"}
    down = False
    await live(project, books, later(project, 90_000), later(project, 90_000), target_down=reads)
    assert project.counts("books") == {"delivered": 107} and books.twice() == []


async def test_the_storm_of_retries_afterwards_obeys_the_rate_limit(project: Project) -> None:
    books = Books(200)
    until = project.clock.time + 3600
    times: list[float] = []

    def refuses(rows: list[dict[str, Any]], number: int) -> web.Response | None:
        times.append(project.clock.time)
        return web.Response(status=503) if project.clock.time < until else None

    books.refuses = refuses
    limits = "limits = { per_minute = 10 }"
    await live(project, books, *[later(project, 600)] * 8, later(project, 90_000), more=limits, concurrency=4)
    assert project.counts("books") == {"delivered": 200}
    assert all(sum(start <= one < start + 60 for one in times) <= 10 for start in times)
