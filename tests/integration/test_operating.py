"""Runs and reconciliations in the console: what they show, how they are asked for and stopped; figures by the hour."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from noria.engine import reconcile_plan
from noria.engine.sweep import Sweep
from noria.scheduler.loop import Scheduler
from tests.conftest import Project
from tests.integration.test_console_pages import USERS, Console
from tests.integration.test_story import Office, again, audit, correct, office, shown

BOTH_LEDGERS = True


class Slow(Office):
    """A target that answers when it is told to."""

    def __init__(self, rows: dict[str, dict[str, Any]]) -> None:
        super().__init__(rows, set())
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def _items(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self.go.wait()
        return await super()._items(request)


async def test_a_run_is_cancelled_from_the_console_and_not_taken_up_again(project: Project) -> None:
    there = Slow({f"r{n}": {"id": f"r{n}", "no": f"N{n}", "name": f"n{n}"} for n in range(40)})
    there.go.set()
    rows, there.rows = there.rows, {}
    async with shown(project, there, options={"batch_size": 2, "concurrency": 1}) as console:
        there.rows, there.asked = rows, asyncio.Event()
        there.go.clear()
        assert (await console.post("/plans/p/run"))[0] == 303
        ended: list[Any] = []
        scheduler = Scheduler(console.operations.workspace, asyncio.Event(), ended.append)
        scheduler.tick(project.clock.now())
        await there.asked.wait()
        _, listed = await console.json("/runs?plan=p")
        run = listed["runs"][0]
        assert run["status"] == "running"
        _, text = await console.get(f"/runs/{run['run_id']}")
        assert f"/runs/{run['run_id']}/cancel" in text
        assert (await console.post(f"/runs/{run['run_id']}/cancel"))[0] == 303
        # Nobody cancels it twice.
        assert (await console.post(f"/runs/{run['run_id']}/cancel"))[0] == 409
        await asyncio.sleep(0)
        job_stopped = asyncio.create_task(scheduler.idle())
        while not project.ledger("p", lambda ledger, _: ledger.browsing.whole_run(run["run_id"]).run.cancelled_by):
            await asyncio.sleep(0.05)
        # What was being sent is finished; the rest is left.
        await asyncio.sleep(1.2)
        there.go.set()
        await job_stopped
        _, found = await console.json(f"/runs/{run['run_id']}")
        assert (found["run"]["status"], found["run"]["cancelled_by"]) == ("stopped", "local")
        assert 0 < len(there.bodies) < 40 and [one.cancelled for one in ended] == [True]
        assert project.ledger("p", lambda ledger, _: ledger.agenda.wanted()) == []
        assert ("local", "cancel", {"run": run["run_id"]}) in audit(project)
        assert "cancelled this run" in (await console.get(f"/runs/{run['run_id']}", **{"Accept-Language": "en"}))[1]
        assert (await again(console)).status == "done" and project.counts("p") == {"delivered": 40}
        assert sorted(body["id"] for body in there.bodies) == sorted(there.rows)


async def test_a_run_tells_what_it_did_and_what_went_wrong(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        _, found = await console.json("/runs/1")
        assert {(one["id"], one["state"]) for one in found["mishaps"]} == {("r3", "failed"), ("r5", "failed")}
        assert found["run"]["counts"]["pages"] == 1 and found["pace"][-1][1:] == [6, 4, 2]
        _, text = await console.get("/runs/1", **{"Accept-Language": "en"})
        assert "<polyline" in text and "seq=4" in text and "waited for limits" in text
        _, text = await console.get("/runs")
        assert 'class="when"' in text
        assert (await console.get("/runs/99"))[0] == 404 and (await console.post("/runs/1/cancel"))[0] == 409


async def test_figures_by_the_hour_are_those_of_the_ledger(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        _, seen = await console.json("/")
        assert seen["hours"][-1][1] == 4 and len(seen["hours"]) == 24 and seen["today"]["delivered"] == 4
        _, plans = await console.json("/plans")
        assert plans["hours"]["p"][-1][1] == 4
        project.clock.time += 3600
        there.refused.clear()
        there.rows["r9"] = {"id": "r9", "no": "N9", "name": "n9"}
        await again(console)
        _, seen = await console.json("/plans/p")
        assert [figure for _, figure in seen["hours"][-2:]] == [4, 3]
        _, text = await console.get("/", **{"Accept-Language": "en"})
        assert "records delivered per hour" in text and '<rect class="bar"' in text
        rows = project.ledger(
            "p", lambda ledger, _: ledger.store.tuples("SELECT SUM(staged), SUM(delivered) FROM tallies")
        )
        assert [tuple(map(int, row)) for row in rows] == [(7, 7)]


async def test_a_plans_mapping_and_schedule_in_plain_words(project: Project) -> None:
    when = {"schedule": "0 2 * * *", "target_schedule": "*/5 * * * *", "timezone": "America/New_York"}
    async with shown(project, office(), **when) as console:
        _, found = await console.json("/plans/p?tab=mapping")
        words = {one["path"]: one["words"]["text"] for one in found["mapping"]}
        await console.post("/language", lang="en", to="/")
        _, text = await console.get("/plans/p?tab=mapping")
        assert "a text with name in it" in text and "for each line of lines" in text and "always C" in text
        assert set(words) == {"id", "name", "amount", "kind", "lines", "lines[].sku"}
        _, found = await console.json("/plans/p?tab=schedule")
        assert [(one["kind"], len(one["at"])) for one in found["times"]] == [("extract", 5), ("deliver", 5)]
        # Times are those of the plan's zone.
        assert (await console.get("/plans/p?tab=schedule"))[1].count(" 02:00</time>") == 5
        _, seen = await console.json("/")
        assert [one["kind"] for one in seen["coming"]] == ["deliver", "extract"]


async def test_a_reconciliation_is_asked_for_kept_and_what_is_missing_swept(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        await console.post("/language", lang="en", to="/")
        assert "Nothing has been reconciled yet" in (await console.get("/reconciliation"))[1]
        there.rows["late"] = {"id": "late", "no": "L", "name": "late"}
        there.rows["r1"]["name"] = NASTY_NAME
        assert (await console.post("/plans/p/reconcile", days="0"))[0] == 303
        assert "a reconciliation is wanted" in (await console.get("/reconciliation?plan=p"))[1]
        ended: list[Any] = []
        scheduler = Scheduler(console.operations.workspace, asyncio.Event(), ended.append)
        scheduler.tick(project.clock.now())
        await scheduler.idle()
        _, found = await console.json("/reconciliation?plan=p")
        newest = found["newest"]
        assert (newest["source"], newest["ledger"], newest["target"], newest["differences"]) == (7, 6, None, 2)
        assert newest["sides"]["ledger"]["missing"] == ["late"] and newest["sides"]["ledger"]["changed"] == ["r1"]
        assert (found["days"][0]["staged"], found["days"][0]["delivered"]) == (6, 4)
        assert found["days"][0]["reconciled"]["differences"] == 2 and len(found["days"]) == 14
        _, text = await console.get("/reconciliation?plan=p")
        assert "Read this window again, and stage and deliver what p lacks or has otherwise: 2?" in text
        assert "Plans that differ: 1" in (await console.get("/reconciliation"))[1]
        assert (await console.post("/plans/p/sweep", reconciliation="99"))[0] == 404
        assert (await console.post("/plans/p/sweep", reconciliation=str(newest["number"])))[0] == 303
        assert (await console.post("/plans/p/reconcile", days="7"))[0] == 303
        scheduler.tick(project.clock.now())
        await scheduler.idle()
        assert "late" in [one["id"] for one in project.records("p", state="delivered")]
        _, found = await console.json("/reconciliation?plan=p")
        assert (
            len(found["history"]) == 2 and found["newest"]["differences"] == 0 and found["newest"]["begin"] is not None
        )
        assert [what for _, what, _ in audit(project)] == ["reconcile", "reconcile", "sweep"]
        assert project.ledger("p", lambda ledger, _: ledger.agenda.wanted()) == []
        assert (await console.post("/plans/p/reconcile", days="3"))[0] == 400


NASTY_NAME = "<script>alert('x')</script> مرحبا"


async def test_only_whole_comparisons_are_kept(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        workspace = console.operations.workspace
        plan = workspace.project.plan("p")
        stop = asyncio.Event()
        stop.set()
        await reconcile_plan(workspace, plan, stop, wanted=Sweep(None, project.clock.now()))
        assert project.ledger("p", lambda ledger, _: ledger.reconciliations.latest()) == []
        done, found = await reconcile_plan(workspace, plan, wanted=Sweep(None, project.clock.now()))
        (kept,) = project.ledger("p", lambda ledger, _: ledger.reconciliations.latest())
        assert (kept.run_id, kept.plan, kept.differences) == (done.run_id, "p", 0)
        assert kept.found == json.loads(json.dumps(found.to_json()))


async def test_what_was_written_by_hand_is_there_for_a_reconciliation(project: Project) -> None:
    """A record that a person wrote into the target is neither missing there nor sent again."""
    there = office()
    rows: dict[str, Any] = {}

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"data": list(rows.values())})

    there.routes = lambda: [*Office.routes(there), web.get("/items", listed)]  # type: ignore[method-assign]
    write = 'results = "results", listing = { api = "/items", id = "id", records = "data" }'
    async with shown(project, there, write=write) as console:
        rows |= {body["id"]: body for body in there.bodies}
        for record_id in ("r3", "r5"):
            seq = str(project.records("p", record_id=record_id)[0]["seq"])
            assert (await console.post("/plans/p/record/done", seq=seq, reason="typed in"))[0] == 303
            rows[record_id] = {"id": record_id, "name": "typed in by a person"}
        workspace, everything = console.operations.workspace, Sweep(None, project.clock.now())
        there.bodies.clear()
        _, found = await reconcile_plan(workspace, workspace.project.plan("p"), wanted=everything, fixes=True)
        assert found.equal() and found.target == 6, found.to_json()
        await again(console)
        assert there.bodies == []


async def test_asking_for_runs_is_for_operators_on_our_own_pages(project: Project) -> None:
    there = office()
    async with shown(project, there, settings=USERS) as console:
        assert await console.log_in("vera", "vera looks on") == 303
        acts = {"/plans/p/reconcile": {"days": "0"}, "/plans/p/sweep": {"reconciliation": "1"}, "/runs/1/cancel": {}}
        _, text = await console.get("/reconciliation?plan=p")
        assert "/plans/p/reconcile" not in text
        for path, form in acts.items():
            assert (await console.post(path, **form))[0] == 403
        await console.post("/logout")
        assert await console.log_in("otto", "otto operates") == 303
        for path, form in acts.items():
            assert (await console.post(path, token="guessed", **form))[0] == 403
        assert project.ledger("p", lambda ledger, _: ledger.agenda.wanted()) == [] and audit(project) == []
        assert (await console.post("/plans/p/reconcile", days="0"))[0] == 303
        assert [(who, what) for who, what, _ in audit(project)] == [("otto", "reconcile")]


async def test_who_assists_in_a_run_stops_with_it(project: Project) -> None:
    async with shown(project, office()):

        def look(ledger: Any, _: int) -> None:
            now = project.clock.now()
            lead = ledger.runs.begin("p", "p", "run", now, "same")
            helper = ledger.assists.join(lead.plan_id, 3, now, "same")
            assert not ledger.runs.cancelled(lead) and not ledger.runs.cancelled(helper)
            assert ledger.runs.cancel(helper.run_id, "otto", now) is None
            assert ledger.runs.cancel(lead.run_id, "otto", now) == "p"
            assert ledger.runs.cancelled(lead) and ledger.runs.cancelled(helper)
            ledger.runs.finish(lead, "stopped", now, {})
            # Nobody stops for who was cancelled before.
            after = ledger.runs.begin("p", "p", "run", now + 1, "same")
            assert not ledger.runs.cancelled(after)

        project.ledger("p", look)


async def test_what_is_kept_of_people_and_comparisons_is_let_go_in_time(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        assert (await correct(console, "r3", '{"id": "r3", "name": "right"}'))[0] == 303
        assert (await correct(console, "r5", '{"id": "r5", "name": "wrong"}'))[0] == 303
        there.refused.add("wrong")
        await again(console)
        workspace = console.operations.workspace
        for _ in range(2):
            await reconcile_plan(workspace, workspace.project.plan("p"), wanted=Sweep(None, project.clock.now()))
            project.clock.time += 7200

        def look(ledger: Any, plan: int) -> tuple[list[int], int, int]:
            edits = sorted(ledger.edits.newest(plan, range(10)))
            return edits, len(ledger.reconciliations.page(plan)), len(ledger.tallies.hours(0, plan))

        def prune(ledger: Any, _: int) -> None:
            before = project.clock.now()
            ledger.pruning.prune(bodies=None, payloads=before, attempts=None, runs=before)

        assert project.ledger("p", look) == ([4, 6], 2, 1)
        project.ledger("p", prune)
        # What may still be sent is kept, and the newest comparison.
        assert project.ledger("p", look) == ([6], 1, 0)


async def test_connections_show_how_far_their_limits_are_used(project: Project) -> None:
    there = office()
    limits = (
        'limits = { per_minute = 50, concurrent = 2, endpoints = { "/items" = { per_second = 0.2 } } }\n'
        '[connections.robot]\nconnector = "http"\nbase_url = "http://127.0.0.1:9"\nlimits = { vendor = "dingtalk" }\n'
        '[connections.wrong]\nconnector = "http"\nbase_url = "http://127.0.0.1:9"\nlimits = { per_second = "many" }\n'
    )

    async def used(console: Console) -> dict[str, Any]:
        _, data = await console.json("/connections")
        return {one["name"]: one for one in data["connections"]}

    async with shown(project, there, settings=limits, options={"batch_size": 6}) as console:
        requests = (await console.json("/runs/1"))[1]["run"]["counts"]["requests"]
        found = await used(console)
        assert requests == 2
        assert [tuple(use.values()) for use in found["here"]["uses"]] == [
            ("", 60.0, 2, 50),
            ("", 0.0, 0, 2),
            ("/items", 5.0, 1, 1),
        ]
        assert [use["most"] for use in found["robot"]["uses"]] == [20] and found["wrong"]["uses"] == []
        _, text = await console.get("/connections", **{"Accept-Language": "zh"})
        assert "<b>2</b> / 50 每 1 分钟" in text and "<b>0</b> / 2 同时" in text and "要求等待" not in text
        workspace = console.operations.workspace
        connection = workspace.connection(workspace.project.plan("p"), "source")
        async with connection.transport.gate.place("/list"):
            # A second is not waited for in between: what was sent is as long ago as this clock says.
            assert [use["used"] for use in (await used(console))["here"]["uses"]] == [3, 1, 1]
        connection.transport.gate.hold(90)
        found = await used(console)
        assert found["here"]["held_until"] == pytest.approx(project.clock.now() + 90, abs=1)
        assert found["robot"]["held_until"] is None
        assert "对方要求等待到" in (await console.get("/connections", **{"Accept-Language": "zh"}))[1]
        project.clock.time += 100
        found = await used(console)
        assert [use["used"] for use in found["here"]["uses"]] == [0, 0, 0] and found["here"]["held_until"] is None
