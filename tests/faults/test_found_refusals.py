"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan
from noria.engine.sweep import sweep_of
from tests.conftest import Project
from tests.faults.systems import ITEMS, KEYS, SOURCE, VERIFY, Books, Flat, connect, later, live
from tests.servers import listening


async def test_keyed_and_verified_batch_refused_after_half_was_written(project: Project) -> None:
    """Writes the first two rows, then refuses the batch (400): keys and verify are both declared."""
    books = Books(4)

    def half(rows, number):
        if number > 1:
            return None
        for row in rows[:2]:
            books.kept[row["id"]] = row["name"]
            books.applied.append((row["id"], row["name"]))
        return web.json_response({"message": "row 3 is bad"}, status=400)

    books.refuses = half
    await live(project, books, later(project, 100), write=f"{KEYS}, {VERIFY}")
    assert books.twice() == []


async def test_refused_batch_of_rows_that_were_there_before(project: Project) -> None:
    """First sync into a target that has the rows already (older content); verify shows ids only; row 2 is bad."""
    books = Books(4)
    books.kept = dict.fromkeys(range(4), "from before")

    async def has(request):
        wanted = int(request.query["id"])
        return web.json_response({"data": [{"id": wanted}] if wanted in books.kept else []})

    books._has = has
    books.refuses = lambda rows, n: (
        web.json_response({"m": "bad"}, status=400) if any(r["id"] == 2 for r in rows) else None
    )
    await live(project, books, later(project, 100), write=VERIFY)
    delivered = project.counts("books").get("delivered", 0)
    assert delivered == len(books.applied), (project.counts("books"), books.applied)


async def test_refused_batch_of_rows_that_were_there_before_some_fields(project: Project) -> None:
    """As above; verify shows id and name, which are the same; `price`, which is new, doesn't show."""
    flat = Flat([{"id": n, "name": "x", "price": 5} for n in range(4)])

    async def write(request):
        got = await request.json()
        if any(str(r["id"]) == "2" for r in got):
            return web.json_response({"m": "bad"}, status=400)
        flat.applied += got
        return web.json_response({"success": True})

    async def listing(request):
        return web.json_response({"data": [{"id": request.query["id"], "name": "x"}]})

    flat.write, flat.listing = write, listing
    async with listening(flat.routes()) as url:
        connect(project, url)
        text = (project.folder / "noria.toml").read_text().replace('idempotency_header = "X-Request-Id"', VERIFY)
        (project.folder / "noria.toml").write_text(text)
        target = {**ITEMS, "request": [*ITEMS["request"], {"field": "price", "value": "{{price}}"}]}
        project.plan("books", ("books", SOURCE), ("books", target))
        await project.run("books")
    assert project.counts("books").get("delivered", 0) == len(flat.applied), (project.counts("books"), flat.applied)


@pytest.mark.parametrize("kind", ["shuffled", "twice"])
async def test_results_by_the_source_s_numbers_in_another_order(project: Project, kind: str) -> None:
    """Payload: {code: <source id>}; the results name the source's id as `id`, in another order; one is refused."""
    flat = Flat([{"id": n, "name": "x"} for n in (11, 12, 13, 14)])
    first = True

    async def write(request):
        nonlocal first
        got = await request.json()
        if not first:
            flat.applied += got
            return web.json_response({"results": [{"id": r["code"], "ok": True} for r in got]})
        first = False
        if kind == "shuffled":
            flat.applied += [r for r in got if str(r["code"]) != "11"]
            # A target that works in parallel: as they are ready; 11 is refused.
            answer = [{"id": n, "ok": n != 11} for n in (14, 12, 13, 11)]
        else:
            flat.applied += [r for r in got if str(r["code"]) != "14"]
            # A result a line: 11 has two, 14 was not written and has none.
            answer = [{"id": n, "ok": True} for n in (11, 11, 12, 13)]
        return web.json_response({"results": answer})

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url, write=', results = "results"')
        target = {**ITEMS, "request": [{"field": "code", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}]}
        project.plan("books", ("books", SOURCE), ("books", target))
        for _ in range(3):
            await project.run("books")
            project.clock.time += 400
    have = sorted(int(r["code"]) for r in flat.applied)
    assert have == [11, 12, 13, 14], (have, project.counts("books"))


async def test_held_newer_content_is_invisible_to_reconcile(project: Project) -> None:
    flat = Flat([{"id": 1, "name": "a"}])

    async def write(request):
        request.transport.abort()
        return web.Response()

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        text = (project.folder / "noria.toml").read_text().replace('idempotency_header = "X-Request-Id", ', "")
        (project.folder / "noria.toml").write_text(text)
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", ITEMS),
            options={"on_doubt": "hold"},
        )
        await project.run("books")
        assert project.counts("books") == {"held": 1}
        flat.rows[0]["name"] = "b"
        project.clock.time += 60
        await project.run("books")
        assert project.counts("books") == {"held": 1}
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert flat.applied == []
    assert not rec.equal(), rec.to_json()


async def test_reconcile_takes_an_overwritten_content_for_the_record_s(project: Project) -> None:
    flat = Flat([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
    async with listening(flat.routes()) as url:
        connect(project, url, write=', listing = { api = "/items", records = "data", total = "total" }')
        project.plan("books", ("books", SOURCE), ("books", ITEMS))
        await project.run("books")
        assert [r["name"] for r in flat.applied] == ["b"]
        del flat.rows[1]
        project.clock.time += 60
        async with project.workspace() as w:
            plan = w.project.plan("books")
            _, rec = await reconcile_plan(w, plan, wanted=sweep_of(plan, project.clock.now(), whole=True))
    assert not rec.equal(), rec.to_json()


@pytest.mark.parametrize("shape", ["echo", "wrapped"])
async def test_a_target_that_echoes_a_record_whose_status_is_failed(project: Project, shape: str) -> None:
    """A REST target answers with the object that it made, as most do; the record's own status is "failed"."""
    flat = Flat([{"id": 1, "name": "x", "status": "failed"}])
    applied: list[Any] = []
    keys: set[str] = set()

    async def write(request):
        got = await request.json()
        if request.headers.get("X-Request-Id") not in keys:
            keys.add(request.headers["X-Request-Id"])
            applied.append(got)
        return web.json_response(got if shape == "echo" else {"data": got}, status=201)

    flat.write = write
    async with listening(flat.routes()) as url:
        connect(project, url)
        text = (project.folder / "noria.toml").read_text().replace("batch_size = 4", "batch_size = 1")
        (project.folder / "noria.toml").write_text(text)
        target = {**ITEMS, "request": [*ITEMS["request"], {"field": "status", "value": "{{status}}"}]}
        project.plan("books", ("books", SOURCE), ("books", target))
        for _ in range(3):
            await project.run("books")
            project.clock.time += 4000
    assert len(applied) == 1 and project.counts("books") == {"delivered": 1}, (applied, project.counts("books"))


async def test_verify_that_answers_nothing_with_a_bare_empty_array(project: Project) -> None:
    """The send never arrived; the target is asked, says `[]`; a business code is declared for its writes."""
    books = Books(2)

    async def has(request):
        wanted = int(request.query["id"])
        return web.json_response([{"id": wanted, "name": books.kept[wanted]}] if wanted in books.kept else [])

    books._has = has
    books.refuses = lambda rows, n: web.Response(status=504) if n == 1 else None
    v = 'verify = { api = "/items", param = "id", records = "" }'
    target = {"envelope": {"code": "code", "success": [0]}}
    source = {"envelope": {"records": "data", "total": "total"}}
    await live(project, books, *[later(project, 90_000)] * 6, write=v, source=source, target=target)
    assert set(books.kept) == {0, 1}, project.counts("books")


async def test_an_update_with_an_empty_field_that_the_target_leaves_out(project: Project) -> None:
    """The target can be asked and leaves out what is null. An update's answer was lost."""
    source = [{"id": 1, "name": "a", "note": None}]
    applied: list[Any] = []

    async def lst(request):
        return web.json_response({"data": source if request.query.get("page") == "1" else [], "total": 1})

    async def write(request):
        [got] = await request.json()
        applied.append(got)
        if len(applied) == 2:
            request.transport.abort()
        return web.json_response({"ok": True})

    async def has(request):
        return web.json_response({"data": [{k: v for k, v in applied[-1].items() if v is not None}] if applied else []})

    async with listening([web.get("/list", lst), web.post("/items", write), web.get("/items", has)]) as url:
        connect(project, url)
        text = (project.folder / "noria.toml").read_text().replace('idempotency_header = "X-Request-Id"', VERIFY)
        (project.folder / "noria.toml").write_text(text)
        project.plan(
            "books",
            ("books", SOURCE),
            ("books", {"api": "/items", "method": "POST"}),
        )
        await project.run("books")
        source[0]["name"] = "b"
        project.clock.time += 60
        await project.run("books")
    assert [a["name"] for a in applied] == ["a", "b"], applied
