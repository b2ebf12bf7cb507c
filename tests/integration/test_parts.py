"""Sources that are read in parts: time windows that the vendor limits, one list for each department."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from aiohttp import web

from noria.connectors.registry import CONNECTORS
from noria.engine import reconcile_plan, run_plan
from noria.engine.partitions import windows
from noria.engine.sweep import sweep_of
from noria.metadata.plan import Split
from tests.conftest import EMPTY, Project, connections
from tests.servers import listening

BOTH_LEDGERS = True

SHANGHAI = ZoneInfo("Asia/Shanghai")
SHAPE = "%Y-%m-%d %H:%M:%S"
ORDERS = {
    "api": "/orders",
    "id": "id",
    "idCheck": False,
    "request": [
        {"field": "from", "value": "{{LAST_SYNC_TIME|datetime}}"},
        {"field": "to", "value": "{{CURRENT_TIME|datetime}}"},
    ],
}
STAFF = {"api": "/staff", "id": "id", "idCheck": False}


class Office:
    """Orders, of which no more than seven days may be asked for at once; staff by department; departments level by
    level. `without`: the end of a window that an answer leaves out."""

    def __init__(self, now: datetime, without: str = "") -> None:
        self.now = now
        self.without = without
        self.orders: dict[str, datetime] = {}
        self.windows: list[tuple[datetime, datetime]] = []
        self.below: dict[str, list[str]] = {"": ["1", "2"], "1": ["11", "12"], "12": ["121"]}
        self.staff: dict[str, list[str]] = {"1": ["ann"], "11": ["bob", "cy"], "121": ["di", "bob"], "2": []}
        self.departments: list[str] = []
        self.fails: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/orders", self._orders),
            web.get("/staff", self._staff),
            web.get("/departments", self._departments),
        ]

    async def _orders(self, request: web.Request) -> web.Response:
        first, last = (
            datetime.strptime(request.query[name], SHAPE).replace(tzinfo=SHANGHAI) for name in ("from", "to")
        )
        if last - first > timedelta(days=7):
            return web.json_response({"code": 40, "message": "时间间隔不能超过7天"})
        if request.query["from"] in self.fails:
            return web.json_response({"code": 50, "message": "查询失败"})
        page, size = int(request.query["page"]), int(request.query["size"])
        if page == 1:
            self.windows.append((first, last))
        found = [
            {"id": one, "at": at.strftime(SHAPE)}
            for one, at in self.orders.items()
            if first <= at <= last
            and not (self.without == "begin" and at == first)
            and not (self.without == "end" and at == last)
        ]
        return web.json_response({"code": 0, "data": found[(page - 1) * size : page * size], "total": len(found)})

    async def _staff(self, request: web.Request) -> web.Response:
        department = request.query.get("dept")
        if not department:
            return web.json_response({"code": 41, "message": "缺少参数 dept"})
        if department in self.fails:
            return web.json_response({"code": 50, "message": "查询失败"})
        self.departments.append(department)
        found = [{"id": one} for one in self.staff.get(department, [])]
        return web.json_response({"code": 0, "data": found, "total": len(found)})

    async def _departments(self, request: web.Request) -> web.Response:
        found = [{"dept": {"id": one}} for one in self.below.get(request.query.get("parent", ""), [])]
        return web.json_response({"code": 0, "data": found, "total": len(found)})


def connect(project: Project, url: str) -> None:
    project.connections(
        f'[connections.office]\nconnector = "http"\nbase_url = "{url}"\n'
        'envelope = { code = "code", success = [0], message = "message", records = "data", total = "total" }\n'
        'paging = { type = "page", size_param = "size", size = 5 }\n[connections.inside]\nconnector = "noria"\n'
    )


def orders(project: Project, days: int, **options: Any) -> None:
    start = datetime.fromtimestamp(project.clock.now(), SHANGHAI) - timedelta(days=days)
    options = {"split": {"window": "7d"}, "start": start.strftime(SHAPE), "retry": {"tries": 1}, **options}
    project.plan("orders", ("office", ORDERS), ("inside", EMPTY), options=options)


def office_of(project: Project, **how: Any) -> Office:
    return Office(datetime.fromtimestamp(project.clock.now(), SHANGHAI).replace(microsecond=0), **how)


def test_windows_cover_everything_and_none_is_longer() -> None:
    for begin, end, length in ((0.0, 100.0, 7.0), (0.0, 21.0, 7.0), (5.0, 5.0, 7.0), (0.0, 3.0, 7.0)):
        found = list(windows(begin, end, length))
        assert found[0][0] == begin and found[-1][1] == end
        assert all(0 <= last - first <= length for first, last in found)
        assert all(one[1] == other[0] for one, other in pairwise(found))


@pytest.mark.parametrize("without", ["", "begin", "end"])
async def test_a_source_that_shows_seven_days_at_most_is_read_whole(project: Project, without: str) -> None:
    office = office_of(project, without=without)
    office.orders = {f"o{n}": office.now - timedelta(hours=9 * n + 1) for n in range(100)}
    async with listening(office.routes()) as url:
        connect(project, url)
        orders(project, 40)
        # One at the very edge of two windows.
        start = datetime.fromtimestamp(project.clock.now(), SHANGHAI).replace(microsecond=0) - timedelta(days=40)
        office.orders["edge"] = start + timedelta(days=7)
        first = await project.run("orders")
        assert first.error is None and project.counts("orders") == {"delivered": 101}, first.error
        assert (len(office.windows), first.counts.staged) == (6, 101)
        assert first.watermark == first.started_at
        office.windows.clear()
        project.clock.time += 86400.0
        office.orders["new"] = office.now + timedelta(hours=3)
        second = await project.run("orders")
        assert (second.counts.staged, len(office.windows)) == (1, 1)
        assert second.watermark == second.started_at
    assert project.ledger("orders", lambda ledger, plan: ledger.store.rows("SELECT 1 FROM parts")) == []


async def test_what_one_part_lacks_is_read_in_the_next_run_and_the_rest_not_again(project: Project) -> None:
    office = office_of(project)
    office.orders = {f"o{n}": office.now - timedelta(hours=9 * n + 1) for n in range(100)}
    async with listening(office.routes()) as url:
        connect(project, url)
        orders(project, 40, split={"window": "7d", "at_once": 1})
        probe = await project.run("orders")
        assert probe.error is None
        third = sorted(office.windows)[2][0]

        project.plan("again", ("office", ORDERS), ("inside", EMPTY), options=_options(project, "orders"))
        office.windows.clear()
        office.fails.add(third.strftime(SHAPE))
        broken = await project.run("again")
        assert broken.status == "failed" and "查询失败" in str(broken.error) and broken.watermark is None
        # The error names the part, and the others were read.
        assert f"{third:%Y-%m-%d %H:%M:%S}" in str(broken.error) and len(office.windows) == 5
        office.windows.clear()
        office.fails.clear()
        whole = await project.run("again")
    assert whole.status == "done" and project.counts("again") == {"delivered": 100}
    assert [first for first, _ in office.windows] == [third]
    # What is there counts from where the first of the two began to read.
    assert whole.watermark == broken.started_at


def _options(project: Project, key: str) -> Any:
    return json.loads((project.folder / "plans" / f"{key}.json").read_text("utf-8"))["options"]


async def test_a_split_that_was_changed_begins_the_read_anew(project: Project) -> None:
    office = office_of(project)
    office.orders = {f"o{n}": office.now - timedelta(hours=9 * n + 1) for n in range(100)}
    async with listening(office.routes()) as url:
        connect(project, url)
        orders(project, 40, split={"window": "30d"})
        refused = await project.run("orders")
        assert refused.status == "failed" and "不能超过7天" in str(refused.error)
        orders(project, 40, split={"window": "3d"})
        whole = await project.run("orders")
    assert whole.status == "done" and len(office.windows) == 14
    assert project.counts("orders") == {"delivered": 100}


async def test_one_list_for_each_department_however_deep(project: Project) -> None:
    office = office_of(project)
    split = {"param": "dept", "api": "/departments", "value": "dept.id", "below": "parent"}
    async with listening(office.routes()) as url:
        connect(project, url)
        project.plan("staff", ("office", STAFF), ("inside", EMPTY), options={"split": split})
        first = await project.run("staff")
        assert first.error is None and set(office.departments) == {"1", "11", "12", "121", "2"}
        # One is in two of them.
        assert project.counts("staff") == {"delivered": 4}
        again = await project.run("staff")
        assert (again.counts.staged, again.counts.delivered) == (0, 0)
        office.below["2"] = ["21"]
        office.staff["21"] = ["ed"]
        third = await project.run("staff")
    assert (third.counts.staged, project.counts("staff")) == (1, {"delivered": 5})


async def test_values_that_the_plan_names_itself(project: Project) -> None:
    office = office_of(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        options = {"split": {"param": "dept", "values": [11, "121", 11]}}
        project.plan("staff", ("office", STAFF), ("inside", EMPTY), options=options)
        await project.run("staff")
    assert sorted(office.departments) == ["11", "121"] and project.counts("staff") == {"delivered": 3}


async def test_sweeps_and_comparisons_ask_for_parts_too(project: Project) -> None:
    office = office_of(project)
    office.orders = {f"o{n}": office.now - timedelta(hours=9 * n + 1) for n in range(100)}
    async with listening(office.routes()) as url:
        connect(project, url)
        orders(project, 40)
        await project.run("orders")
        # Saved late, with times that were read already.
        office.orders |= {f"late{n}": office.now - timedelta(days=12 * n + 1) for n in range(3)}
        async with project.workspace() as workspace:
            plan, now = workspace.project.plan("orders"), project.clock.now()
            compared, found = await reconcile_plan(workspace, plan, wanted=sweep_of(plan, now, whole=True))
            assert compared.error is None and found.in_ledger.missing == ["late0", "late1", "late2"]
            swept = await run_plan(workspace, plan, swept=sweep_of(plan, now, begin=now - 20 * 86400))
            assert swept.error is None and swept.sweep is not None and sorted(swept.sweep.missing) == ["late0", "late1"]
            swept = await run_plan(workspace, plan, swept=sweep_of(plan, now, whole=True))
            assert swept.error is None and swept.sweep is not None and swept.sweep.missing == ["late2"]
            _, found = await reconcile_plan(workspace, plan, wanted=sweep_of(plan, now, whole=True))
            assert found.equal() and (found.source, found.ledger) == (103, 103)
    assert max(last - first for first, last in office.windows) <= timedelta(days=7)


async def test_a_preview_shows_the_newest_part(project: Project, called: Any) -> None:
    office = office_of(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        project.plan(
            "staff", ("office", STAFF), ("inside", EMPTY), options={"split": {"param": "dept", "values": ["1", "2"]}}
        )
        from noria.engine.preview import source_records
        from noria.metadata.macros import Moment

        async with project.workspace() as workspace:
            plan = workspace.project.plan("staff")
            records = await source_records(workspace, plan, Moment(0.0, project.clock.now()), 1)
    assert records == [b'{"id": "ann"}'] and office.departments == ["2", "1"]


async def test_more_parts_than_anybody_can_mean(project: Project) -> None:
    office = office_of(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        orders(project, 4000, split={"window": 60})
        refused = await project.run("orders")
    assert refused.status == "failed" and "5760000" in str(refused.error)


TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}],
}


@pytest.mark.parametrize("id_check", [True, False])
async def test_an_id_in_two_parts_is_what_it_would_be_in_one_list(project: Project, id_check: bool) -> None:
    """With other contents: ambiguous where ids are checked, in a split list as in a whole one."""
    contents = {one: [{"id": n, "name": f"{one} {n}"} for n in range(3)] for one in ("1", "2")}
    applied: list[str] = []

    async def staff(request: web.Request) -> web.Response:
        asked = [request.query["dept"]] if "dept" in request.query else ["1", "2"]
        rows = [row for one in asked for row in contents[one]]
        page, size = int(request.query["page"]), int(request.query["size"])
        return web.json_response({"code": 0, "data": rows[(page - 1) * size : page * size], "total": len(rows)})

    async def items(request: web.Request) -> web.Response:
        applied.extend(row["name"] for row in await request.json())
        return web.json_response({"code": 0})

    found = {}
    async with listening([web.get("/staff", staff), web.post("/items", items)]) as url:
        connect(project, url)
        for key, options in (
            ("whole", {}),
            ("parts", {"split": {"param": "dept", "values": ["1", "2"], "at_once": 1}}),
        ):
            source = {"api": "/staff", "id": "id", "idCheck": id_check}
            project.plan(key, ("office", source), ("office", TARGET), options=options)
            applied.clear()
            statuses = [(await project.run(key)).status for _ in range(2)]
            found[key] = (statuses, project.counts(key), sorted(applied))
            contents["2"] = contents["1"]
            found[key] += ((await project.run(key)).status, project.counts(key))
            contents["2"] = [{"id": n, "name": f"2 {n}"} for n in range(3)]
    assert found["parts"][:2] == found["whole"][:2]
    if id_check:
        # What is in question no more leaves the invalid ones.
        assert found["parts"] == found["whole"] and found["parts"][1] == {"delivered": 3, "invalid": 3}


async def test_a_list_of_values_that_shows_none_is_an_error(project: Project) -> None:
    office = office_of(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        split = {"param": "dept", "api": "/departments", "value": "id"}
        project.plan("staff", ("office", STAFF), ("inside", EMPTY), options={"split": split})
        wrong = await project.run("staff")
        assert wrong.status == "failed" and wrong.watermark is None and "id" in str(wrong.error)
        office.below = {}
        split["value"] = "dept.id"
        project.plan("staff", ("office", STAFF), ("inside", EMPTY), options={"split": split})
        none = await project.run("staff")
    assert none.status == "failed" and none.watermark is None


class Shops:
    """Documents by shop, changed from one time to another; a list of shops, which may fail, or lose one while it is
    read."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.documents: dict[str, tuple[str, datetime]] = {}
        self.shops = [str(n) for n in range(1, 8)]
        self.broken: set[str] = set()
        self.closes = ""

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.project.clock.now(), SHANGHAI).replace(microsecond=0)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/documents", self._documents), web.get("/shops", self._shops)]

    async def _shops(self, request: web.Request) -> web.Response:
        if "list" in self.broken:
            return web.json_response({"code": 50, "message": "busy"})
        page, size = int(request.query["page"]), int(request.query["size"])
        found = [{"id": one} for one in self.shops[(page - 1) * size : page * size]]
        answer = web.json_response({"code": 0, "data": found, "total": len(self.shops)})
        if self.closes in self.shops:
            self.shops.remove(self.closes)
        return answer

    async def _documents(self, request: web.Request) -> web.Response:
        shop = request.query["shop"]
        if shop in self.broken:
            return web.json_response({"code": 50, "message": "broken"})
        first, last = (
            datetime.strptime(request.query[name], SHAPE).replace(tzinfo=SHANGHAI) for name in ("from", "to")
        )
        found = [{"id": one} for one, (of, at) in self.documents.items() if of == shop and first <= at <= last]
        return web.json_response({"code": 0, "data": found, "total": len(found)})


def shops(project: Project, **split: Any) -> None:
    source = {"api": "/documents", "id": "id", "idCheck": False, "request": ORDERS["request"]}
    options = {"split": {"param": "shop", "api": "/shops", "at_once": 1, **split}, "retry": {"tries": 1}}
    project.plan("p", ("office", source), ("inside", EMPTY), options=options)


async def test_the_parts_of_a_read_that_is_over_say_nothing_of_the_next(project: Project) -> None:
    office = Shops(project)
    office.shops = ["1", "2"]
    async with listening(office.routes()) as url:
        connect(project, url)
        shops(project)
        office.documents = {
            "a": ("1", office.now() - timedelta(hours=1)),
            "b": ("2", office.now() - timedelta(hours=1)),
        }
        office.broken = {"2"}
        assert (await project.run("p")).status == "failed"
        # Longer than a read is continued after: the next is a read of its own, whose list of shops fails.
        project.clock.time += 2 * 3600
        office.documents["new"] = ("1", office.now() - timedelta(minutes=30))
        office.broken = {"list"}
        assert (await project.run("p")).status == "failed"
        office.broken = set()
        project.clock.time += 60
        done = await project.run("p")
    assert done.status == "done" and {one["id"] for one in project.records("p")} == {"a", "b", "new"}


async def test_a_list_of_values_that_moves_while_it_is_read_loses_none(project: Project) -> None:
    office = Shops(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        shops(project)
        office.documents = {f"d{n}": (str(n), office.now() - timedelta(hours=1)) for n in range(1, 8)}
        # Shop 6 slips past between the first page and the second.
        office.closes = "1"
        done = await project.run("p")
    assert done.error is None and {one["id"] for one in project.records("p")} == {f"d{n}" for n in range(1, 8)}


async def test_of_a_value_that_is_new_everything_is_read(project: Project) -> None:
    office = Shops(project)
    office.shops = ["1"]
    async with listening(office.routes()) as url:
        connect(project, url)
        shops(project)
        office.documents = {"a": ("1", office.now() - timedelta(days=9)), "b": ("2", office.now() - timedelta(days=9))}
        await project.run("p")
        project.clock.time += 3600
        office.shops = ["1", "2"]
        await project.run("p")
    assert {one["id"] for one in project.records("p")} == {"a", "b"}


async def test_another_number_of_parts_at_once_is_no_other_read(project: Project) -> None:
    office = Shops(project)
    async with listening(office.routes()) as url:
        connect(project, url)
        shops(project)
        office.documents = {f"d{n}": (str(n), office.now() - timedelta(hours=1)) for n in range(1, 8)}
        office.broken = {"3"}
        broken = await project.run("p")
        assert "shop=3" in str(broken.error)
        office.broken = set()
        shops(project, at_once=3)
        done = await project.run("p")
    assert done.status == "done" and done.counts.pages == 1
    assert done.watermark == broken.started_at


async def test_parts_that_a_connector_declares(project: Project, okki: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an endpoint: windows where the plan asks from one time to another, else one list as ever."""
    path = "/v1/company/list"
    connector = CONNECTORS["okki"]
    endpoints = tuple(
        msgspec.structs.replace(one, split=Split(window="30d")) if one.path == path else one
        for one in connector.endpoints
    )
    monkeypatch.setitem(CONNECTORS, "okki", dataclasses.replace(connector, endpoints=endpoints))
    project.clock.time = datetime(2024, 3, 1, tzinfo=SHANGHAI).timestamp()
    project.connections(connections(okki[1].url, okki[1].url))
    dated = [
        {"field": "start_time", "value": "{{LAST_SYNC_TIME|datetime}}"},
        {"field": "end_time", "value": "{{CURRENT_TIME|datetime}}"},
    ]
    for key, request in (("dated", dated), ("whole", [])):
        source = {"api": path, "id": "company_id", "request": request}
        project.plan(key, ("okki", source), ("sink", EMPTY), options={"start": "2023-12-01 00:00:00"})
        before = okki[0].requests.get(f"GET {path}", 0)
        finished = await project.run(key)
        asked = okki[0].requests[f"GET {path}"] - before
        assert finished.error is None and project.counts(key) == {"delivered": 45}
        # 91 days: four windows, those without any company made sure of.
        assert asked >= 4 if key == "dated" else asked == 1
