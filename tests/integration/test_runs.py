"""Runs, end to end in one process: real HTTP to simulators, a real SQLite ledger, a clock that doesn't wait."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from noria.engine import Workspace, run_plan
from noria.ledger.processes import owner
from noria.metadata.errors import InvalidDocument, NoriaError
from tests.conftest import COMPANIES, DEPARTMENTS, EMPTY, ITEMS, SEED, USERS, Project, connections
from tests.servers import listening

BOTH_LEDGERS = True

Servers = Any
JOINED = {
    "api": "/items",
    "method": "POST",
    "idCheck": True,
    "request": [
        {"field": "user_id", "value": "{{user_id}}"},
        {
            "field": "department_name",
            "value": "_findCollection find name from departments where id={{department_id}}",
        },
    ],
}


@pytest.fixture
def ready(project: Project, okki: Servers, sink: Servers) -> Project:
    """Users into the sink; departments kept for look-ups."""
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS))
    project.plan("departments", ("okki", DEPARTMENTS), ("sink", EMPTY))
    return project


async def test_an_id_with_a_nul_character_is_invalid_and_disturbs_nobody(project: Project) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response([{"id": "a\0b", "name": "x"}, {"id": "a", "name": "y\0z"}, {"id": "c", "name": "\0"}])

    async with listening([web.get("/list", answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\n[connections.inside]\nconnector = "noria"'
        )
        metadata = {"api": "/list", "id": "id", "number": "name", "idCheck": True}
        project.plan("list", ("list", metadata), ("inside", EMPTY))
        for _ in range(3):
            finished = await project.run("list")
            assert finished.error is None and project.counts("list") == {"delivered": 2, "invalid": 1}
    [invalid] = project.records("list", state="invalid")
    assert "NUL" in invalid["reason"]
    assert [one["number"] for one in project.records("list", state="delivered")] == ["yz", "c"]


async def test_every_record_arrives_once_and_a_second_run_sends_nothing(ready: Project, sink: Servers) -> None:
    first = await ready.run("users")
    again = await ready.run("users")
    assert (first.status, first.counts.staged, first.counts.delivered) == ("done", 30, 30)
    assert (again.status, again.counts.unchanged, again.counts.delivered) == ("done", 30, 0)
    assert sink[0].state()["applied"] == 30
    assert ready.counts("users") == {"delivered": 30}


async def test_pages_of_a_list_are_all_read_and_sent_in_batches(ready: Project, sink: Servers) -> None:
    ready.plan(
        "companies",
        ("okki", COMPANIES),
        ("sink", {**ITEMS, "request": [{"field": "id", "value": "{{company_id}}"}]}),
    )
    finished = await ready.run("companies")
    assert (finished.counts.pages, finished.counts.staged) == (5, 45)
    assert len(sink[0].rows) == 45
    assert sink[0].state()["largest_batch"] == 10


async def test_department_zero_is_joined(ready: Project, okki: Servers, sink: Servers) -> None:
    ready.plan("joined", ("okki", USERS), ("sink", JOINED))
    await ready.run("departments")
    finished = await ready.run("joined")
    names = {d["id"]: d["name"] for d in okki[0].account.departments}
    wanted = {u["user_id"]: names[str(u["department_id"])] for u in okki[0].account.users}
    assert finished.status == "done"
    assert {key: row["department_name"] for key, row in sink[0].rows.items()} == wanted
    assert "我的企业" in wanted.values()


async def test_users_wait_for_their_department_and_go_when_it_arrives(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    ready.plan("joined", ("okki", USERS), ("sink", JOINED))
    first = await ready.run("joined")
    assert (first.counts.delivered, first.counts.waiting, first.status) == (0, 30, "incomplete")
    waiting = ready.records("joined", state="pending")
    assert len(waiting) == 30
    assert all("departments" in one["reason"] and "id=" in one["reason"] for one in waiting)
    late = okki[0].account.departments.pop()
    await ready.run("departments")
    second = await ready.run("joined")
    missing = sum(str(u["department_id"]) == late["id"] for u in okki[0].account.users)
    assert missing > 0
    assert (second.counts.delivered, second.counts.waiting) == (30 - missing, missing)
    okki[0].account.departments.append(late)
    await ready.run("departments")
    third = await ready.run("joined")
    assert (third.counts.delivered, third.status) == (missing, "done")
    assert len(sink[0].order) == len(set(sink[0].order)) == 30


async def test_a_wait_ends_with_an_empty_value_or_as_invalid(ready: Project, sink: Servers) -> None:
    ready.plan("empty", ("okki", USERS), ("sink", JOINED), options={"lookup": {"wait": "1h"}})
    ready.plan("strict", ("okki", USERS), ("sink", JOINED), options={"lookup": {"wait": 0, "missing": "invalid"}})
    await ready.run("empty")
    ready.clock.time += 3601
    late = await ready.run("empty")
    assert (late.counts.delivered, late.counts.waiting) == (30, 0)
    assert all("department_name" not in row for row in sink[0].rows.values())
    strict = await ready.run("strict")
    assert (strict.counts.invalid, strict.status) == (30, "incomplete")


async def test_missing_ids_are_kept_with_their_reason_and_never_written(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    users = okki[0].account.users
    users[3] = {**users[3], "user_id": ""}
    del users[4]["user_id"]
    users[5] = {**users[5], "user_id": {"a": 1}}
    first = await ready.run("users")
    again = await ready.run("users")
    assert (first.counts.staged, first.counts.invalid, first.counts.delivered) == (30, 3, 27)
    assert (again.counts.staged, again.counts.unchanged, again.counts.invalid) == (0, 30, 3)
    reasons = [one["reason"] for one in ready.records("users", state="invalid")]
    assert len(reasons) == 3 and all("user_id" in reason for reason in reasons)
    assert len(sink[0].rows) == 27
    assert ready.counts("users") == {"delivered": 27, "invalid": 3}


async def test_without_id_check_a_record_without_id_is_known_by_its_content(ready: Project, okki: Servers) -> None:
    del okki[0].account.users[4]["user_id"]
    ready.plan("strict", ("okki", {**USERS, "idCheck": False}), ("sink", EMPTY))
    finished = await ready.run("strict")
    assert (finished.counts.delivered, finished.counts.invalid) == (29, 1), "the target checks ids"
    ready.plan("loose", ("okki", {**USERS, "idCheck": False}), ("sink", {**EMPTY, "idCheck": False}))
    finished = await ready.run("loose")
    assert (finished.counts.delivered, finished.counts.invalid) == (30, 0)
    assert (await ready.run("loose")).counts.unchanged == 30


async def test_without_id_check_an_id_that_comes_twice_is_overwritten(ready: Project, okki: Servers) -> None:
    users = okki[0].account.users
    users.append({**users[0], "full_name": "later"})
    ready.plan("loose", ("okki", {**USERS, "idCheck": False}), ("sink", ITEMS))
    finished = await ready.run("loose")
    assert (finished.counts.delivered, finished.counts.invalid, finished.status) == (30, 0, "done")
    story = ready.story("loose", users[0]["user_id"])
    assert story["payload"]["name"] == "later" and [one["kind"] for one in story["versions"]] == ["overwritten"]
    ready.plan("checked", ("okki", USERS), ("sink", ITEMS))
    finished = await ready.run("checked")
    assert (finished.counts.delivered, finished.counts.invalid) == (30, 1)


async def test_an_id_of_several_fields_tells_records_apart(project: Project) -> None:
    from aiohttp import web

    from tests.servers import listening

    lines = [
        {"o": "1", "l": 1},
        {"o": "1", "l": 2},
        {"o": "1|2", "l": "3"},
        {"o": "1", "l": "2|3"},
        {"o": 0, "l": {"x": 1}},
    ]

    async def items(_: web.Request) -> web.Response:
        return web.json_response(lines)

    async with listening([web.get("/items", items)]) as url:
        project.connections(f'[connections.a]\nconnector = "http"\nbase_url = "{url}"\n')
        project.plan("p", ("a", {"api": "/items", "id": "o,l", "number": "o"}), ("a", EMPTY))
        finished = await project.run("p")
    assert (finished.counts.delivered, finished.counts.invalid) == (4, 1)
    assert [one["id"] for one in project.records("p", state="delivered")] == ["1|1", "1|2", "1\\|2|3", "1|2\\|3"]
    assert [one["number"] for one in project.records("p")][:3] == ["1", "1", "1|2"]


async def test_an_ambiguous_id_is_kept_until_a_later_read_shows_one(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    users = okki[0].account.users
    twin = {**users[0], "full_name": "another"}
    users.append(twin)
    first = await ready.run("users")
    assert (first.counts.delivered, first.counts.invalid) == (30, 1)
    story = ready.story("users", users[0]["user_id"])
    assert story["state"] == "delivered"
    assert [other["raw"]["full_name"] for other in story["also"]] == ["another"]
    assert "different contents" in story["also"][0]["reason"]
    assert (await ready.run("users")).counts.invalid == 1
    users.remove(twin)
    settled = await ready.run("users")
    assert (settled.counts.invalid, settled.status) == (0, "done")
    assert ready.counts("users") == {"delivered": 30}
    versions = ready.story("users", users[0]["user_id"])["versions"]
    assert [(v["kind"], v["raw"]["full_name"]) for v in versions] == [("resolved", "another")]


async def test_changed_content_is_kept_as_duplicate_under_id_check(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    await ready.run("users")
    okki[0].mutate("update", "users", "55000002", {"full_name": "changed"})
    second = await ready.run("users")
    third = await ready.run("users")
    assert (second.counts.duplicate, second.counts.delivered, second.status) == (1, 0, "done")
    assert (third.counts.duplicate, third.counts.unchanged) == (0, 30)
    story = ready.story("users", "55000002")
    assert [v["raw"]["full_name"] for v in story["versions"]] == ["changed"]
    assert [entry["state"] for entry in story["history"]] == ["pending", "sending", "delivered", "duplicate"]
    assert sink[0].rows["55000002"]["name"] != "changed"


@pytest.mark.parametrize("how", [{"idCheck": False}, {"options": {"on_change": "deliver"}}])
async def test_changed_content_is_delivered_again_where_the_plan_says_so(
    ready: Project, okki: Servers, sink: Servers, how: dict[str, Any]
) -> None:
    source = {**USERS, "idCheck": how.get("idCheck", True)}
    ready.plan("users", ("okki", source), ("sink", ITEMS), options=how.get("options", {}))
    await ready.run("users")
    okki[0].mutate("update", "users", "55000002", {"full_name": "changed"})
    second = await ready.run("users")
    assert (second.counts.staged, second.counts.delivered) == (1, 1)
    assert sink[0].rows["55000002"]["name"] == "changed"
    assert ready.counts("users") == {"delivered": 30}
    assert [v["kind"] for v in ready.story("users", "55000002")["versions"]] == ["superseded"]


async def test_an_update_while_the_older_content_is_on_its_way_is_sent_after_it(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    """The first run leaves everything failed; in the second the old content is sent while the new one is read."""
    ready.plan("users", ("okki", {**USERS, "idCheck": False}), ("sink", ITEMS))
    sink[0].faults.add({"kind": "status", "status": 503, "times": 9})
    await ready.run("users")
    okki[0].mutate("update", "users", "55000002", {"full_name": "changed"})
    ready.clock.time += 21
    sink[0].faults.active.clear()
    sink[0].faults.add({"kind": "status", "status": 503, "times": 1})
    finished = await ready.run("users")
    assert finished.status == "done"
    assert sink[0].rows["55000002"]["name"] == "changed"
    assert sink[0].state()["duplicates"] == []
    assert ready.counts("users") == {"delivered": 30}


async def test_the_same_content_spelled_differently_is_unchanged(project: Project, sink: Servers) -> None:
    from aiohttp import web

    from tests.servers import listening

    answers = [
        b'[{"id":1,"a":"\\u5f20","n":1.10}]',
        '[ {"n": 1.10, "a": "张", "id": 1} ]'.encode(),
        b'[{"id":1,"a":"\\u5f20","n":1.2}]',
    ]

    async def items(_: web.Request) -> web.Response:
        return web.Response(body=answers.pop(0), content_type="application/json")

    async with listening([web.get("/items", items)]) as url:
        project.connections(f'[connections.a]\nconnector = "http"\nbase_url = "{url}"\n')
        project.plan("p", ("a", {"api": "/items", "id": "id", "idCheck": False}), ("a", EMPTY))
        counts = [(await project.run("p")).counts for _ in range(3)]
    assert [(c.staged, c.unchanged) for c in counts] == [(1, 0), (0, 1), (1, 0)]


async def test_the_seed_runs_verbatim_on_the_vendors_shape(ready: Project, okki: Servers) -> None:
    source = json.loads((SEED / "source.json").read_text("utf-8"))
    target = json.loads((SEED / "target.json").read_text("utf-8"))
    ready.plan("seed", ("okki", source), ("sink", target))
    finished = await ready.run("seed")
    assert (finished.status, finished.counts.delivered) == ("done", 30)
    assert okki[0].refused == []


async def test_the_watermark_is_the_reads_start_and_requests_overlap(project: Project, sink: Servers) -> None:
    from aiohttp import web

    from tests.servers import listening

    asked: list[str] = []
    fail = [False]

    async def items(request: web.Request) -> web.Response:
        asked.append(request.query["since"])
        project.clock.time += 500
        return web.json_response({"error": 1}, status=500) if fail[0] else web.json_response([])

    source = {
        "api": "/items",
        "id": "id",
        "request": [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}],
    }
    async with listening([web.get("/items", items)]) as url:
        project.connections(f'[connections.a]\nconnector = "http"\nbase_url = "{url}"\n')
        project.plan("p", ("a", source), ("a", EMPTY), options={"overlap": 60, "start": "2020-01-01 00:00:00"})
        project.clock.time = 1_700_000_000
        first = await project.run("p")
        fail[0] = True
        failed = await project.run("p")
        fail[0] = False
        await project.run("p")
    assert first.watermark == 1_700_000_000
    assert failed.status == "failed" and failed.watermark == first.watermark
    assert asked[0] == "2020-01-01 00:00:00"
    assert set(asked[1:]) == {"2023-11-15 06:12:20"}  # 1,700,000,000 less 60 s, in Asia/Shanghai


async def test_default_start_is_the_epoch_in_the_connections_zone(ready: Project) -> None:
    from noria.engine.job import Job
    from noria.engine.staged import moment_of
    from noria.ledger.reads import Read
    from noria.metadata.times import format_time

    async with ready.workspace() as workspace:
        plan = workspace.project.plan("users")
        run = workspace.ledger.runs.begin("users", "", "run", 1.0)
        job = Job(workspace, plan, run, workspace.connection(plan, "source"), workspace.connection(plan, "target"))
        moment = moment_of(job, Read(1, 100.0, None))
    assert format_time(moment.last_sync, "datetime", moment.tz) == "1970-01-01 00:00:00"


async def test_retries_in_the_run_then_the_schedule_then_dead(ready: Project, sink: Servers) -> None:
    sink[0].faults.add({"kind": "status", "status": 503, "times": None})
    started = ready.clock.time
    first = await ready.run("users")
    assert (first.status, first.counts.failed) == ("incomplete", 30)
    assert ready.clock.slept.count(5.0) >= 2
    waits = []
    for _ in range(5):
        due = ready.records("users", state="failed")
        assert len(due) == 30
        waits.append(
            round(
                ready.ledger("users", lambda ledger, plan: ledger.delivery.next_due(plan, ready.clock.time))
                - ready.clock.time
            )
        )
        early = await ready.run("users")
        assert early.counts.failed == 0, "not before it is due"
        ready.clock.time = (
            ready.ledger("users", lambda ledger, plan: ledger.delivery.next_due(plan, ready.clock.time)) + 30
        )
        await ready.run("users")
    assert ready.counts("users") == {"dead": 30}
    for seen, wanted in zip(waits, (20, 300, 3600, 14400, 72000), strict=True):
        assert wanted - 40 <= seen <= wanted
    assert ready.clock.time > started
    sink[0].faults.active.clear()
    assert (await ready.run("users")).counts.delivered == 0
    replayed = ready.ledger("users", lambda ledger, plan: ledger.records.replay(plan, ready.clock.time, state="dead"))
    assert replayed == 30
    final = await ready.run("users")
    assert (final.counts.delivered, ready.counts("users")) == (30, {"delivered": 30})
    assert ready.records("users", limit=1)[0]["attempts"] == 3 * 6 + 1


async def test_a_partial_failure_marks_exactly_the_rows_that_failed(ready: Project, sink: Servers) -> None:
    bad = ["55000003", "55000017"]
    sink[0].faults.add(
        [
            {"kind": "reject", "ids": bad, "message": "部门不存在", "times": None},
            {"kind": "shuffle", "times": None},
        ]
    )
    finished = await ready.run("users")
    assert (finished.counts.delivered, finished.counts.failed) == (28, 2)
    failed = ready.records("users", state="failed")
    assert sorted(one["id"] for one in failed) == bad
    assert all("部门不存在" in one["reason"] for one in failed)
    assert ready.counts("users") == {"delivered": 28, "failed": 2}
    sink[0].faults.active.clear()
    ready.clock.time += 21
    assert (await ready.run("users")).counts.delivered == 2
    assert sink[0].state()["duplicates"] == []


async def test_one_poison_row_is_found_and_the_others_get_through(ready: Project, sink: Servers) -> None:
    sink[0].faults.add({"kind": "poison", "ids": ["55000013"], "message": "poison", "times": None})
    finished = await ready.run("users")
    assert (finished.counts.delivered, finished.counts.dead) == (29, 1)
    assert [one["id"] for one in ready.records("users", state="dead")] == ["55000013"]
    assert sink[0].state()["duplicates"] == []


async def test_a_business_code_against_a_record_is_tried_again_later(ready: Project, sink: Servers) -> None:
    sink[0].faults.add({"kind": "business", "code": 404, "message": "部门不存在", "times": None})
    first = await ready.run("users")
    assert (first.counts.delivered, first.counts.dead) == (0, 0)
    assert ready.counts("users") == {"failed": 30}
    assert all("部门不存在" in one["reason"] for one in ready.records("users", state="failed"))
    sink[0].faults.active.clear()
    ready.clock.time += 21
    assert (await ready.run("users")).counts.delivered == 30


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "when": "after"},
        {"kind": "cut", "when": "middle"},
        {"kind": "after_status", "status": 504},
    ],
)
async def test_a_send_in_doubt_is_repeated_under_the_same_key(
    ready: Project, sink: Servers, fault: dict[str, Any]
) -> None:
    sink[0].faults.add(fault)
    finished = await ready.run("users")
    assert (finished.status, finished.counts.delivered) == ("done", 30)
    assert sink[0].state()["duplicates"] == []
    assert sink[0].replayed == 1


async def test_without_keys_a_send_in_doubt_is_verified(ready: Project, okki: Servers, sink: Servers) -> None:
    text = connections(okki[1].url, sink[1].url).replace(
        'idempotency_header = "Idempotency-Key"',
        'verify = { api = "/items", param = "id", records = "data" }',
    )
    ready.connections(text)
    sink[0].faults.add({"kind": "cut", "when": "after", "path": "/items", "skip": 1})
    finished = await ready.run("users")
    assert (finished.status, finished.counts.delivered) == ("done", 30)
    assert sink[0].state()["duplicates"] == []


@pytest.mark.parametrize(
    ("choice", "states", "twice"),
    [("hold", {"delivered": 20, "held": 10}, 0), ("resend", {"delivered": 30}, 10)],
)
async def test_without_keys_or_verification_the_plan_decides(
    ready: Project, okki: Servers, sink: Servers, choice: str, states: dict[str, int], twice: int
) -> None:
    ready.connections(connections(okki[1].url, sink[1].url).replace(', idempotency_header = "Idempotency-Key"', ""))
    ready.plan("users", ("okki", USERS), ("sink", ITEMS), options={"on_doubt": choice})
    sink[0].faults.add({"kind": "cut", "when": "after", "skip": 1})
    await ready.run("users")
    assert ready.counts("users") == states
    assert len(sink[0].state()["duplicates"]) == twice
    ready.ledger("users", lambda ledger, plan: ledger.records.replay(plan, ready.clock.time))
    await ready.run("users")
    assert ready.counts("users") == {"delivered": 30}, "a person may send what was held"


async def test_throttling_waits_as_told_and_uses_up_no_try(ready: Project, sink: Servers) -> None:
    sink[0].faults.add({"kind": "throttle", "retry_after": 7, "times": 8})
    ready.plan("users", ("okki", USERS), ("sink", ITEMS), options={"concurrency": 1})
    finished = await ready.run("users")
    assert (finished.status, finished.counts.delivered) == ("done", 30)
    assert any(abs(pause - 7.0) < 0.01 for pause in ready.clock.slept)


async def test_a_source_that_fails_ends_the_run_and_keeps_what_came(ready: Project, okki: Servers) -> None:
    ready.plan("companies", ("okki", COMPANIES), ("sink", EMPTY))
    okki[0].faults.add({"kind": "status", "status": 500, "path": "/v1/company/list", "skip": 2, "times": None})
    failed = await ready.run("companies")
    assert (failed.status, failed.counts.staged, failed.counts.delivered) == ("failed", 20, 20)
    assert failed.error is not None and "500" in str(failed.error)
    assert failed.watermark is None
    okki[0].faults.active.clear()
    before = okki[0].requests["GET /v1/company/list"]
    resumed = await ready.run("companies")
    assert (resumed.status, resumed.counts.staged) == ("done", 25)
    assert okki[0].requests["GET /v1/company/list"] - before == 3, "it goes on where it stood"
    assert ready.counts("companies") == {"delivered": 45}


async def test_an_old_interrupted_read_begins_anew(ready: Project, okki: Servers) -> None:
    ready.plan("companies", ("okki", COMPANIES), ("sink", EMPTY), options={"resume": 100})
    okki[0].faults.add({"kind": "status", "status": 500, "path": "/v1/company/list", "skip": 2, "times": 3})
    await ready.run("companies")
    ready.clock.time += 101
    again = await ready.run("companies")
    assert (again.counts.staged, again.counts.unchanged) == (25, 20)


@pytest.mark.parametrize("kind", ["truncate", "html", "empty", "status", "cut", "throttle", "expire"])
async def test_faults_of_the_source_lose_nothing(ready: Project, okki: Servers, kind: str) -> None:
    ready.plan("companies", ("okki", COMPANIES), ("sink", EMPTY))
    okki[0].faults.add({"kind": kind, "path": "/v1/company/list", "every": 2, "times": 3})
    finished = await ready.run("companies")
    assert (finished.status, finished.counts.staged, finished.counts.delivered) == ("done", 45, 45)


async def test_wrong_credentials_fail_the_run_without_showing_them(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OKKI_CLIENT_SECRET", "wrong-secret-value")
    finished = await ready.run("users")
    assert finished.status == "failed"
    assert "invalid_client" in str(finished.error) and "wrong-secret-value" not in str(finished.error)


async def test_a_target_that_refuses_credentials_gives_the_records_back(
    project: Project, okki: Servers, sink: Servers
) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS))
    sink[0].faults.add({"kind": "status", "status": 401, "times": None})
    finished = await project.run("users")
    assert finished.status == "failed"
    assert sum(project.counts("users").values()) == 30 and "delivered" not in project.counts("users")
    sink[0].faults.active.clear()
    assert (await project.run("users")).counts.delivered == 30


async def test_one_active_run_a_plan(ready: Project) -> None:
    async with ready.workspace() as workspace:
        runs = workspace.ledger.runs
        plan_id = runs.plan_id("users")
        runs.begin("users", "", "run", ready.clock.now())
        with pytest.raises(NoriaError) as caught:
            await run_plan(workspace, workspace.project.plan("users"))
        assert caught.value.code == "busy"
        with workspace.ledger.store.transaction() as c:
            c.run("UPDATE leases SET owner = 'gone/1/2' WHERE plan_id = :p", {"p": plan_id})
        ready.clock.time += 31
        assert (await run_plan(workspace, workspace.project.plan("users"))).status == "done"
    assert owner().count("/") == 2


async def test_an_unreadable_row_is_invalid_and_hides_no_other(project: Project) -> None:
    from aiohttp import web

    from tests.servers import listening

    async def items(_: web.Request) -> web.Response:
        return web.Response(
            body=b'[{"id":1},5,null,{"id":"2","n":1e999999999},{"id":3}]', content_type="application/json"
        )

    async with listening([web.get("/items", items)]) as url:
        project.connections(f'[connections.a]\nconnector = "http"\nbase_url = "{url}"\n')
        target = {**EMPTY, "request": [{"field": "id", "value": "{{id}}"}]}
        project.plan("p", ("a", {"api": "/items", "id": "id"}), ("a", target))
        finished = await project.run("p")
    assert (finished.counts.staged, finished.counts.delivered, finished.counts.invalid) == (5, 3, 2)


async def test_mapping_errors_make_a_record_invalid_with_field_and_value(ready: Project) -> None:
    target = {**EMPTY, "request": [{"field": "n", "type": "int", "value": "{{full_name}}"}]}
    ready.plan("bad", ("okki", USERS), ("sink", target))
    finished = await ready.run("bad")
    assert finished.counts.invalid == 30
    assert "n is" in ready.records("bad", limit=1)[0]["reason"]


async def test_an_invalid_plan_does_not_begin(ready: Project) -> None:
    ready.plan(
        "bad",
        ("okki", {**USERS, "condition": [[{"field": "a", "logic": "equals", "value": "1"}]]}),
        ("sink", EMPTY),
    )
    with pytest.raises(InvalidDocument):
        await ready.run("bad")


async def test_a_stopped_run_keeps_everything_and_the_next_goes_on(
    ready: Project, okki: Servers, sink: Servers
) -> None:
    ready.plan(
        "companies",
        ("okki", COMPANIES),
        ("sink", {**ITEMS, "request": [{"field": "id", "value": "{{company_id}}"}]}),
    )
    stop = asyncio.Event()
    stop.set()
    async with Workspace(ready.workspace().project, clock=ready.clock) as workspace:
        stopped = await run_plan(workspace, workspace.project.plan("companies"), stop)
    assert stopped.status == "stopped"
    finished = await ready.run("companies")
    assert finished.status == "done"
    assert len(sink[0].rows) == 45 and sink[0].state()["duplicates"] == []


async def test_the_empty_operation_posts_to_its_endpoint_in_utf8(ready: Project, sink: Servers) -> None:
    after = json.loads((SEED / "transform-after.json").read_text("utf-8"))
    before = (SEED / "transform-before.json").read_bytes()
    from aiohttp import web

    from tests.servers import listening

    async def items(_: web.Request) -> web.Response:
        return web.Response(body=before, content_type="application/json")

    async with listening([web.get("/items", items)]) as url:
        ready.connections(
            f'[connections.a]\nconnector = "http"\nbase_url = "{url}"\n[connections.sink]\nconnector = "http"\nbase_url = "{sink[1].url}"\n'
        )
        target = {
            **EMPTY,
            "request": [
                {"field": "id", "value": "{{userId}}"},
                {"field": "name", "value": "{{userName}}"},
                {"field": "dept_id", "value": "{{departmentId}}"},
            ],
        }
        ready.plan(
            "t",
            ("a", {"api": "/items", "id": "userId"}),
            ("sink", target),
            options={"endpoint": "/api/写入空操作"},
        )
        finished = await ready.run("t")
    assert finished.status == "done"
    assert list(sink[0].rows.values()) == after
    assert sink[0].state()["paths"] == ["/api/写入空操作"]


async def test_the_seeds_sample_is_kept_whole(ready: Project) -> None:
    from aiohttp import web

    from tests.servers import listening

    sample = (SEED / "source-sample.json").read_bytes()
    seen: list[tuple[str, str]] = []

    async def users(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], request.query["now"]))
        return web.Response(body=sample, content_type="application/json")

    async with listening([web.get("/v1/user/list", users)]) as url:
        ready.connections(
            f'[connections.okki]\nconnector = "okki"\nbase_url = "{url}"\ntoken = "env:OKKI_CLIENT_SECRET"\n'
            f'[connections.q]\nconnector = "http"\nbase_url = "{url}"\n'
        )
        source = json.loads((SEED / "source.json").read_text("utf-8"))
        target = json.loads((SEED / "target.json").read_text("utf-8"))
        ready.plan("seed", ("okki", source), ("q", target))
        assert (await ready.run("seed")).status == "done"
    story = ready.story("seed", "user123")
    assert story["raw"] == story["payload"] == json.loads(sample)[0]
    assert seen == [("Bearer demo-secret", "1970-01-01 00:00:00")]
