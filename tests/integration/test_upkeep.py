"""Sweep, reconciliation and retention, on whole runs."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from noria.engine import Finished, reconcile_plan, run_plan
from noria.engine.differences import Reconciliation
from noria.engine.retention import prune_project
from noria.engine.sweep import sweep_of
from noria.ledger import ledger_of
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from tests.conftest import COMPANIES, EMPTY, Project, connections
from tests.servers import listening

BOTH_LEDGERS = True

Servers = Any
ITEMS = {
    "api": "/items",
    "method": "POST",
    "request": [{"field": "id", "value": "{{company_id}}"}, {"field": "name", "value": "{{name}}"}],
}
VERIFY = 'verify = { api = "/items", param = "id", records = "data" }'
LISTING = 'listing = { api = "/items", id = "id", records = "data", total = "total" }'
PAGED = 'paging = { type = "page", size_param = "size", size = 10 }\n'


def target(url: str, write: str, more: str = "") -> str:
    return f"""
[connections.target]
connector = "http"
base_url = "{url}"
envelope = {{ code = "code", success = [200], message = "message" }}
{more}write = {{ results = "data.results", idempotency_header = "Idempotency-Key", batch_size = 10, {write} }}
"""


def prepared(
    project: Project, okki: Servers, sink: Servers, write: str = VERIFY, more: str = "", **options: Any
) -> None:
    project.connections(connections(okki[1].url, sink[1].url) + target(sink[1].url, write, more))
    request = [
        {"field": "count", "value": "10"},
        {"field": "start_time", "value": "{{LAST_SYNC_TIME|datetime}}"},
    ]
    source = {**COMPANIES, "idCheck": False, "request": request}
    project.plan("companies", ("okki", source), ("target", ITEMS), options=options)


async def swept(project: Project, **how: Any) -> Finished:
    async with project.workspace() as workspace:
        plan = workspace.project.plan("companies")
        return await run_plan(workspace, plan, swept=sweep_of(plan, project.clock.now(), **how))


async def reconciled(project: Project, *, fixes: bool = False, **how: Any) -> Reconciliation:
    async with project.workspace() as workspace:
        plan = workspace.project.plan("companies")
        window = sweep_of(plan, project.clock.now(), whole=not how, **how)
        return (await reconcile_plan(workspace, plan, wanted=window, fixes=fixes))[1]


async def test_a_sweep_stages_what_is_missing_or_changed_and_nothing_else(
    project: Project, okki: Servers, sink: Servers
) -> None:
    project.clock.time = 1_710_000_000.0
    prepared(project, okki, sink)
    first = await project.run("companies")
    assert first.counts.staged == 45
    # Saved late with an old time, and changed without a new one: no later read asks for these.
    okki[0].account.counts["companies"] = 47
    okki[0].mutate("update", "companies", "1000000003", {"name": "renamed"})
    project.clock.time += 3600
    assert (await project.run("companies")).counts.staged == 0
    found = await swept(project, begin=1_700_000_000.0)
    assert found.status == "done" and found.sweep is not None
    assert found.sweep.missing == ["1000000045", "1000000046"] and found.sweep.changed == ["1000000003"]
    assert (found.counts.staged, found.counts.delivered) == (3, 3)
    assert found.watermark == first.watermark + 3600, "the plan's own watermark stays"
    assert sink[0].rows["1000000003"]["name"] == "renamed" and len(sink[0].rows) == 47
    again = await swept(project, begin=1_700_000_000.0)
    assert (again.counts.staged, again.sweep.missing_count, again.sweep.changed_count) == (0, 0, 0)


async def test_a_sweep_of_everything_asks_without_times(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    project.clock.time = 1_710_000_000.0
    await project.run("companies")
    okki[0].mutate("insert", "companies", None, {"update_time": None})
    project.clock.time += 3600
    assert (await project.run("companies")).counts.staged == 0
    assert (await swept(project, begin=1_700_000_000.0)).counts.staged == 0, "no query by time shows it"
    found = await swept(project, whole=True)
    assert found.sweep is not None and found.sweep.begin is None
    assert found.sweep.missing == ["1000000045"] and "1000000045" in sink[0].rows


async def test_the_default_window_is_three_days_or_what_the_plan_says(
    project: Project, okki: Servers, sink: Servers
) -> None:
    prepared(project, okki, sink)
    async with project.workspace() as workspace:
        plan = workspace.project.plan("companies")
        assert sweep_of(plan, 1_000_000.0).begin == 1_000_000 - 3 * 86400
    prepared(project, okki, sink, sweep={"window": "2h"})
    async with project.workspace() as workspace:
        assert sweep_of(workspace.project.plan("companies"), 1_000_000.0).begin == 1_000_000 - 7200
    prepared(project, okki, sink, sweep={"window": "all"})
    async with project.workspace() as workspace:
        assert sweep_of(workspace.project.plan("companies"), 1_000_000.0).begin is None


async def test_a_sweep_leaves_an_interrupted_read_where_it_stands(
    project: Project, okki: Servers, sink: Servers
) -> None:
    prepared(project, okki, sink)
    okki[0].faults.add({"kind": "status", "status": 500, "path": "/v1/company/list", "skip": 2, "times": 3})
    failed = await project.run("companies")
    assert (failed.status, failed.counts.staged) == ("failed", 20)
    await swept(project, whole=True)
    asked = okki[0].requests["GET /v1/company/list"]
    resumed = await project.run("companies")
    assert resumed.status == "done" and okki[0].requests["GET /v1/company/list"] - asked == 3
    assert project.counts("companies") == {"delivered": 45}


@pytest.mark.parametrize(("write", "more"), [(VERIFY, ""), (LISTING, PAGED)], ids=["verify", "listing"])
async def test_reconciliation_names_what_differs_and_fix_mends_it(
    project: Project, okki: Servers, sink: Servers, write: str, more: str
) -> None:
    prepared(project, okki, sink, write, more)
    await project.run("companies")
    equal = await reconciled(project)
    assert equal.equal() and (equal.source, equal.ledger, equal.target) == (45, 45, 45)
    okki[0].account.counts["companies"] = 46
    okki[0].mutate("update", "companies", "1000000007", {"name": "renamed"})
    okki[0].mutate("delete", "companies", "1000000009", {})
    del sink[0].rows["1000000011"]
    sink[0].rows["1000000012"]["name"] = "altered by hand"
    found = (await reconciled(project)).to_json()
    assert (found["source"], found["ledger"], found["target"]) == (45, 45, 44 if write == LISTING else 43)
    assert found["in_ledger"] == {
        "missing": ["1000000045"],
        "extra": ["1000000009"],
        "changed": ["1000000007"],
        "counts": {"missing": 1, "extra": 1, "changed": 1},
    }
    if write == LISTING:
        assert (found["in_target"]["missing"], found["in_target"]["changed"]) == (["1000000011"], ["1000000012"])
    else:
        assert found["in_target"]["missing"] == ["1000000011", "1000000012"]
    assert found["missing"][:2] == ["1000000045", "1000000011"] and not found["equal"]
    mended = await reconciled(project, fixes=True)
    assert mended.in_ledger.to_json()["counts"] == {"missing": 0, "extra": 1, "changed": 0}
    assert mended.in_target is not None and not mended.in_target.any()
    assert sink[0].rows["1000000012"]["name"] != "altered by hand" and "1000000011" in sink[0].rows
    assert sink[0].rows["1000000007"]["name"] == "renamed"


async def test_what_is_dead_or_waits_is_missing_in_the_target(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    sink[0].faults.add({"kind": "reject", "ids": ["1000000004"], "times": None})
    await project.run("companies")
    found = await reconciled(project)
    assert found.in_target is not None and found.in_target.missing == ["1000000004"] and found.target == 44
    sink[0].faults.active.clear()
    assert (await reconciled(project, fixes=True)).equal()


async def test_a_target_that_only_counts_is_compared_by_its_count(
    project: Project, okki: Servers, sink: Servers
) -> None:
    only = 'listing = { api = "/items", params = { page = 1 }, total = "total", records = "data", only_total = true }'
    prepared(project, okki, sink, only, PAGED)
    await project.run("companies")
    assert (await reconciled(project)).equal()
    del sink[0].rows["1000000011"]
    found = await reconciled(project)
    assert found.target == 44 and found.in_target is not None and found.in_target.counts["missing"] == 1


async def test_what_the_target_has_more_than_once_is_extra(project: Project, okki: Servers, sink: Servers) -> None:
    """However far apart the target lists it."""
    kept: list[dict[str, Any]] = []

    async def post(request: web.Request) -> web.Response:
        rows = await request.json()
        kept.extend(rows)
        results = [{"id": row["id"], "ok": True} for row in rows]
        return web.json_response({"code": 200, "data": {"results": results}})

    async def items(request: web.Request) -> web.Response:
        page, size = int(request.query["page"]), int(request.query["size"])
        return web.json_response({"code": 200, "data": kept[(page - 1) * size : page * size], "total": len(kept)})

    async with listening([web.post("/items", post), web.get("/items", items)]) as url:
        prepared(project, okki, sink, LISTING, PAGED)
        project.connections(connections(okki[1].url, sink[1].url) + target(url, LISTING, PAGED))
        await project.run("companies")
        assert (await reconciled(project)).equal()
        kept.extend([kept[3], kept[3]])
        kept.insert(12, kept[7])
        found = await reconciled(project)
    assert found.in_target is not None and found.in_target.counts == {"missing": 0, "extra": 3, "changed": 0}
    assert sorted(set(found.in_target.extra)) == ["1000000003", "1000000007"] and found.target == 48


async def test_a_window_is_compared_by_itself(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    await project.run("companies")
    okki[0].account.counts["companies"] = 46
    found = await reconciled(project, begin=1_704_000_000.0, end=1_710_000_000.0)
    assert found.in_ledger.missing == ["1000000045"] and found.in_ledger.extra == []
    assert found.target == found.ledger == found.source - 1


async def test_the_empty_operation_has_no_target_to_ask(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    project.plan("companies", ("okki", COMPANIES), ("sink", EMPTY))
    await project.run("companies")
    found = await reconciled(project)
    assert found.equal() and found.target is None and found.in_target is None


def prune(project: Project, now: float, **how: Any) -> dict[str, int]:
    loaded = load_project(project.folder)
    with ledger_of(loaded) as ledger:
        return prune_project(loaded, ledger, now, **how).as_dict()


async def test_old_bodies_payloads_and_tries_go_and_ids_and_hashes_stay(
    project: Project, okki: Servers, sink: Servers
) -> None:
    prepared(project, okki, sink)
    sink[0].faults.add({"kind": "reject", "ids": ["1000000004"], "times": None})
    await project.run("companies")
    before = project.records("companies")
    day = 86400
    assert prune(project, project.clock.time + 80 * day) == dict.fromkeys(
        ("bodies", "payloads", "attempts", "runs", "bytes"), 0
    )
    counted = prune(project, project.clock.time + 400 * day, only_counts=True)
    assert counted == prune(project, project.clock.time + 400 * day)
    # The page and the batch of the record that may be sent again are kept whole.
    assert (counted["bodies"], counted["payloads"], counted["attempts"], counted["runs"]) == (4, 4, 4, 0)
    assert prune(project, project.clock.time + 400 * day)["bytes"] == 0
    assert project.records("companies") == before
    story = project.story("companies", "1000000044")
    assert story["raw"] is None and story["payload"] is None and story["tries"] == []
    assert project.story("companies", "1000000004")["raw"] is not None
    # Nothing is staged or sent again for having been forgotten.
    again = await project.run("companies")
    assert (again.counts.unchanged, again.counts.staged) == (45, 0)
    sink[0].faults.active.clear()
    project.clock.time += 100 * day
    await project.run("companies")
    assert project.counts("companies") == {"delivered": 45} and sink[0].state()["duplicates"] == []
    assert (await reconciled(project)).equal()


async def test_what_other_plans_look_into_is_kept(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    project.plan("users", ("okki", {"api": "/v1/user/list", "id": "user_id"}), ("sink", EMPTY))
    await project.run("companies")
    await project.run("users")
    looking = {"field": "owner", "value": "_findCollection find nickname from users where user_id={{user_id}}"}
    project.plan("companies", ("okki", COMPANIES), ("sink", {**ITEMS, "request": [*ITEMS["request"], looking]}))
    assert prune(project, project.clock.time + 500 * 86400)["bodies"] == 5
    assert project.story("users", "55000001")["raw"] is not None


async def test_a_record_whose_content_is_gone_is_not_sent_as_something_else(
    project: Project, okki: Servers, sink: Servers
) -> None:
    prepared(project, okki, sink)
    await project.run("companies")
    prune(project, project.clock.time + 500 * 86400)
    del sink[0].rows["1000000011"]
    assert not (await reconciled(project)).equal()
    mended = await reconciled(project, fixes=True)
    assert mended.equal() and "1000000011" in sink[0].rows
    assert project.counts("companies") == {"delivered": 45} and len(sink[0].order) == 46
    # What the source has no more can't be had any more, and is not called equal.
    del sink[0].rows["1000000012"]
    prune(project, project.clock.time + 500 * 86400)
    okki[0].mutate("delete", "companies", "1000000012", {})
    mended = await reconciled(project, fixes=True)
    assert mended.in_target is not None and mended.in_target.missing == ["1000000012"]


async def test_what_was_let_go_is_known_again_however_it_is_spelled(project: Project) -> None:
    """Another order of keys, blanks, escapes: no change, before and after."""
    spelled = ['{"id": 1, "name": "北京", "n": 1.50}', '{"n":1.50,"name":"\\u5317\\u4eac","id":1}']
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=f"[{spelled[min(asked, 2) - 1]}]", content_type="application/json")

    async with listening([web.get("/list", answer)]) as url:
        project.connections(
            f'[connections.list]\nconnector = "http"\nbase_url = "{url}"\n[connections.inside]\nconnector = "noria"'
        )
        project.plan("list", ("list", {"api": "/list", "id": "id", "idCheck": False}), ("inside", EMPTY))
        await project.run("list")
        prune(project, project.clock.time + 500 * 86400)
        same = await project.run("list")
        assert (same.counts.unchanged, same.counts.staged) == (1, 0)
        spelled[1] = '{"n":1.5,"name":"北京","id":1}'
        changed = await project.run("list")
    assert (changed.counts.unchanged, changed.counts.staged) == (0, 1), "1.5 is not how 1.50 was written"


async def test_what_can_not_be_mapped_is_not_in_the_target_and_is_taken_up_when_it_can(
    project: Project, okki: Servers, sink: Servers
) -> None:
    prepared(project, okki, sink)
    path = project.folder / "plans" / "companies.json"
    good = path.read_text("utf-8")
    path.write_text(good.replace("{{name}}", "{{name|datetime}}"), "utf-8")
    await project.run("companies")
    assert project.counts("companies") == {"invalid": 45}
    found = await reconciled(project)
    assert found.in_target is not None and found.in_target.counts["missing"] == 45
    path.write_text(good, "utf-8")
    assert (await reconciled(project, fixes=True)).equal()
    assert project.counts("companies") == {"delivered": 45}


async def test_a_broken_plan_or_time_prunes_nothing(project: Project, okki: Servers, sink: Servers) -> None:
    prepared(project, okki, sink)
    await project.run("companies")
    text = (project.folder / "noria.toml").read_text("utf-8")
    (project.folder / "noria.toml").write_text(text + '\n[ledger.keep]\nbodies = "soon"\n', encoding="utf-8")
    with pytest.raises(NoriaError) as caught:
        prune(project, project.clock.time + 500 * 86400)
    assert caught.value.path == "$.ledger.keep"
    (project.folder / "noria.toml").write_text(text + '\n[ledger.keep]\nbodies = "forever"\n', encoding="utf-8")
    (project.folder / "plans" / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(NoriaError):
        prune(project, project.clock.time + 500 * 86400)
    (project.folder / "plans" / "broken.json").unlink()
    assert prune(project, project.clock.time + 500 * 86400)["bodies"] == 0
