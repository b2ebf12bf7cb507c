"""Ways to lose or double records that were found by people told only to break it: targets."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Project
from tests.faults.systems import ITEMS, KEYS, SOURCE, VERIFY, Books, cut, good, later, live, results, table
from tests.servers import listening


async def test_power_loss_reuses_keys_for_other_rows(project: Project) -> None:
    """The last transactions (begin of run, claims) did not reach the disk (or ledger put back from a backup): the next
    run has the same number, so its batches the same keys, with other rows; the target honours keys."""
    books = Books(4)
    project.folder / "noria.db"

    def snapshot() -> None:
        for one in project.folder.glob("noria.db*"):
            shutil.copy(one, str(one) + ".keep")
        books.source[100] = "first"
        books.source[101] = "first"

    def lost() -> None:
        for one in project.folder.glob("noria.db*"):
            if not one.name.endswith(".keep"):
                one.unlink()
        for one in project.folder.glob("*.keep"):
            shutil.copy(one, str(one)[:-5])
        books.source[100] = "second"
        books.source[101] = "second"
        project.clock.time += 60

    async def _write(request: web.Request) -> web.Response:
        return await orig(request)

    orig = books._write
    await live(project, books, snapshot, lost, later(project, 60))
    assert books.kept == dict(books.source), "marked delivered, never written"


@pytest.mark.parametrize("how", ["rest", "bisect"])
async def test_batch_size_1_while_a_batch_is_in_doubt(project: Project, how: str) -> None:
    books = Books(4)
    single = False

    async def write(request: web.Request) -> web.Response:
        body = await request.json()
        rows = [body] if isinstance(body, dict) else body
        books.sends.append((request.headers.get("X-Request-Id", ""), [r["id"] for r in rows]))
        if single and not isinstance(body, dict):
            return web.json_response({"message": "one object expected"}, status=400)
        if len(books.sends) == 1:
            if how == "rest":
                for row in rows[:2]:
                    books.kept[row["id"]] = row["name"]
            return web.Response(status=504)
        for row in rows:
            books.applied.append((row["id"], row["name"]))
            books.kept[row["id"]] = row["name"]
        return web.json_response({"success": True})

    books._write = write
    books.asks = lambda n: web.Response(status=503) if n <= 3 else None

    async with listening(books.routes()) as url:
        project.connections(table(url, f"batch_size = 4, {VERIFY}"))
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"concurrency": 1},
        )
        await project.run("books")
        single = True
        project.connections(table(url, f"batch_size = 1, {VERIFY}"))
        project.clock.time += 400
        await project.run("books")
    assert set(books.kept) == {0, 1, 2, 3}


async def test_update_not_shown_by_verify(project: Project) -> None:
    """verify shows id and name only; qty changed; the send is a 504 that was not carried out."""
    kept: dict[int, dict] = {}
    sends = []
    source = {1: {"id": 1, "name": "n", "qty": 1}}

    async def lst(request):
        return web.json_response({"data": list(source.values()), "total": 1})

    async def write(request):
        rows = await request.json()
        sends.append(rows)
        if len(sends) == 2:
            return web.Response(status=504)
        for r in rows:
            kept[r["id"]] = r
        return web.json_response({"success": True})

    async def has(request):
        one = kept.get(int(request.query["id"]))
        return web.json_response({"data": [{"id": one["id"], "name": one["name"]}] if one else []})

    async with listening([web.get("/list", lst), web.post("/items", write), web.get("/items", has)]) as url:
        project.connections(table(url, f"batch_size = 4, {VERIFY}"))
        target = {
            "api": "/items",
            "method": "POST",
            "request": [{"field": f, "value": f"{{{{{f}}}}}"} for f in ("id", "name", "qty")],
        }
        project.plan("books", ("books", SOURCE), ("books", target))
        await project.run("books")
        source[1]["qty"] = 5
        project.clock.time += 60
        await project.run("books")
        project.clock.time += 9000
        await project.run("books")
    assert str(kept[1]["qty"]) == "5"


async def test_the_targets_own_ids_are_other_rows_ids(project: Project) -> None:
    """Results in the order sent, with the target's own new ids; the refused row has none."""
    books = Books(0)
    books.source = {5: "first", 6: "first", 7: "first"}

    async def write(request):
        rows = await request.json()
        books.sends.append(("", [r["ref"] for r in rows]))
        out = []
        for r in rows:
            if r["ref"] == 7 and len(books.sends) == 1:
                out.append({"id": None, "ok": False, "message": "locked"})
            else:
                books.applied.append((r["ref"], r["name"]))
                out.append({"id": 5 + len(books.applied), "ok": True})
        return web.json_response({"results": out})

    books._write = write
    async with listening(books.routes()) as url:
        project.connections(table(url, f'results = "results", batch_size = 4, {KEYS}'))
        target = {
            "api": "/items",
            "method": "POST",
            "request": [{"field": "ref", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}],
        }
        project.plan("books", ("books", SOURCE), ("books", target))
        for _ in range(3):
            await project.run("books")
            project.clock.time += 9000
    assert sorted(books.applied) == [(5, "first"), (6, "first"), (7, "first")]


async def test_stuck_behind_a_doubt_whose_content_was_replaced(project: Project) -> None:
    """The target keeps an error under the key; the source's record is corrected; nothing helps any more."""
    books = Books(1)
    first_key: list[str] = []

    def refuses(rows, number):
        key = books.sends[-1][0]
        if not first_key:
            first_key.append(key)
        if key == first_key[0]:
            return web.Response(status=500, text="stored answer")
        return None

    books.refuses = refuses

    def update() -> None:
        books.source[0] = "second"
        project.clock.time += 60

    def replay() -> None:
        project.ledger("books", lambda ledger, plan: ledger.records.replay(plan, project.clock.time, anew=True))
        project.clock.time += 90_000

    await live(project, books, update, *[later(project, 90_000)] * 8, replay, replay, later(project, 90_000))
    assert books.kept == {0: "second"}


async def test_asked_before_the_pause_and_not_after(project: Project) -> None:
    """A gateway gives up (504); the target behind it is done 3 s later. It is asked at once, waits 5 s, sends again."""
    books = Books(4)
    pending: list[Any] = []

    def settle() -> None:
        for at, rows in pending[:]:
            if project.clock.time >= at:
                pending.remove((at, rows))
                for r in rows:
                    books.applied.append((r["id"], r["name"]))
                    books.kept[r["id"]] = r["name"]

    def refuses(rows, number):
        settle()
        if number == 1:
            pending.append((project.clock.time + 3, rows))
            return web.Response(status=504)
        return None

    books.refuses = refuses
    books.asks = lambda n: settle()
    await live(project, books, later(project, 60), write=VERIFY)
    assert books.twice() == []


async def test_silent_rows_that_show_late_with_keys_and_verify(project: Project) -> None:
    books = Books(4)
    books.says = lambda rows, number: web.json_response({"results": results(rows[:2])}) if number == 1 else None
    start = project.clock.time
    # the search index lags by 10 s
    books.asks = lambda n: web.json_response({"data": []}) if project.clock.time < start + 10 else None
    await live(project, books, later(project, 60), write=f"{KEYS}, {VERIFY}")
    assert books.twice() == []


@pytest.mark.parametrize("write", [KEYS, ""])
async def test_bytes_that_are_no_utf8_in_the_answer(project: Project, write: str) -> None:
    """A message in GBK inside the results."""
    books = Books(2)
    body = (
        b'{"results":[{"id":0,"ok":true,"message":"\xb3\xc9\xb9\xa6"},{"id":1,"ok":true,"message":"\xb3\xc9\xb9\xa6"}]}'
    )
    books.says = lambda rows, number: web.Response(body=body, content_type="application/json")
    books.heeds_keys = False
    errors = []
    for _ in range(3):
        try:
            await live(project, books, write=write)
        except Exception as e:  # noqa: BLE001
            errors.append(repr(e)[:100])
        project.clock.time += 90_000
    assert not errors and books.twice() == []


async def test_a_time_out_as_business_code(project: Project) -> None:
    """HTTP 200 with code 15 isp.remote-service-timeout: it was written."""
    books = Books(4)
    books.says = lambda rows, number: (
        web.json_response({"code": 15, "message": "remote service timeout, result unknown"})
        if number == 1
        else web.json_response(good(rows))
    )
    source = {"envelope": {"records": "data", "total": "total"}}
    target = {"envelope": {"code": "code", "success": [0], "doubt": [15], "message": "message"}}
    await live(project, books, later(project, 60), source=source, target=target)
    assert books.twice() == []


async def test_a_flag_that_says_false(project: Project) -> None:
    """envelope.code leads to a boolean, success is left as it is: false == 0."""
    books = Books(4)
    books.refuses = lambda rows, number: web.json_response({"success": False, "message": "period closed"})
    source = {"envelope": {"records": "data", "total": "total"}}
    target = {"envelope": {"code": "success", "message": "message"}, "write": {"results": ""}}
    [_f] = await live(project, books, source=source, target=target)
    assert project.counts("books").get("delivered", 0) == 0


async def test_put_is_sent_twice_below_the_ledger(project: Project) -> None:
    """A target that is PUT to, can be asked, and cuts the connection after it has written."""
    books = Books(8)

    async def write(request):
        rows = await request.json()
        books.sends.append(("", [r["id"] for r in rows]))
        for r in rows:
            books.applied.append((r["id"], r["name"]))
            books.kept[r["id"]] = r["name"]
        if len(books.sends) == 2:
            request.transport.abort()
        return web.json_response(good(rows))

    async with listening(
        [web.get("/list", books._list), web.put("/items", write), web.get("/items", books._has)]
    ) as url:
        project.connections(table(url, f'results = "results", batch_size = 4, {VERIFY}', size=20))
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", {**ITEMS, "method": "PUT"}),
            options={"concurrency": 1},
        )
        await project.run("books")
    assert books.twice() == []


async def test_token_expired_in_200_on_a_write(project: Project) -> None:
    books = Books(4)
    issued = 0

    async def token(_):
        nonlocal issued
        issued += 1
        return web.json_response({"access_token": f"token-number-{issued}", "expires_in": 7200})

    async def write(request):
        if request.headers["Authorization"] in ("Bearer token-number-1", "Bearer token-number-2") or request.headers[
            "Authorization"
        ] not in ("Bearer token-number-1", "Bearer token-number-3"):
            return web.json_response({"code": 42001, "message": "access_token expired"})
        return await Books._write(books, request)

    books._write = write
    books.says = lambda rows, n: web.json_response(good(rows))
    async with listening([*books.routes(), web.post("/token", token)]) as url:
        secret = 'client_id = "env:OKKI_CLIENT_ID", client_secret = "env:OKKI_CLIENT_SECRET"'
        auth = f'auth = {{ type = "oauth2", token_url = "{url}/token", {secret} }}'
        project.connections(table(url, 'results = "results", batch_size = 4', size=20, more=auth))
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"target": {"envelope": {"code": "code", "success": [0], "expired": [42001]}}},
        )
        async with project.workspace() as w:
            from noria.engine import run_plan

            st = []
            for _ in range(5):
                f = await run_plan(w, w.project.plan("books"))
                st.append((f.status, str(f.error)))
                project.clock.time += 600
    assert st[0][0] == "done"


async def test_idcheck_replay_and_change(project: Project) -> None:
    """idCheck (create only): batch in doubt; a person replays; the source changes meanwhile: two documents of one id."""
    books = Books(1)
    books.says = lambda rows, n: cut() if n == 1 else None
    books.refuses = lambda rows, n: web.Response(status=504) if n in (2, 3) else None

    def replay() -> None:
        project.ledger("books", lambda ledger, plan: ledger.records.replay(plan, project.clock.time))
        books.source[0] = "second"

    path = project.folder / "plans" / "books.json"

    def strict(first: Any) -> Any:
        def do() -> None:
            doc = json.loads(path.read_text())
            doc["source"]["metadata"]["idCheck"] = True
            path.write_text(json.dumps(doc))
            first()

        return do

    from noria.engine import run_plan

    await live(project, books)
    books.says = lambda rows, n: None
    async with listening(books.routes()) as url:
        project.connections(
            (project.folder / "noria.toml").read_text().split("base_url")[0]
            + f'base_url = "{url}"\n'
            + "\n".join((project.folder / "noria.toml").read_text().splitlines()[3:])
        )
        strict(replay)()
        for extracts, delivers in ((True, False), (False, True), (True, True)):
            async with project.workspace() as w:
                await run_plan(w, w.project.plan("books"), extracts=extracts, delivers=delivers)
            project.clock.time += 400
    assert [c for _, c in books.applied] == ["first"]
