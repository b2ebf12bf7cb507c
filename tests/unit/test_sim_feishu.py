"""The simulator of 飞书: bearer tokens, opaque page tokens, departments by either type of id."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from noria.simulators.__main__ import SYSTEMS
from noria.simulators.feishu import Feishu
from noria.simulators.server import serve
from tests.unit.calling import Caller, Clock

TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"
ROOT_CHILDREN = "/open-apis/contact/v3/departments/0/children"
PEOPLE = "/open-apis/contact/v3/users/find_by_department"


class FeishuCaller(Caller):
    """A client of 飞书."""

    async def sign_in(self, **changed: Any) -> Any:
        body = {"app_id": "cli_demo", "app_secret": "demo-secret", **changed}
        async with self.http.post(self.url + TOKEN, json=body) as answer:
            assert answer.status == 200
            found = await answer.json()
        self.token = found.get("tenant_access_token", self.token)
        return found

    async def get(self, path: str, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.answer("GET", path, params=query, headers=headers)

    async def all(self, path: str, **query: Any) -> list[Any]:
        """Every row of every page."""
        rows, more = [], {}
        while True:
            data = (await self.get(path, **query, **more))["data"]
            rows += data["items"]
            assert data["has_more"] == ("page_token" in data)
            if not data["has_more"]:
                return rows
            more = {"page_token": data["page_token"]}


@pytest.fixture
async def caller() -> AsyncIterator[Any]:
    clock = Clock()
    simulator = Feishu(users=60, seed=3, clock=clock)
    async with serve(simulator) as running, aiohttp.ClientSession() as http:
        made = FeishuCaller(http, running.url)
        await made.sign_in()
        yield simulator, made, clock


async def test_a_token_is_the_same_until_its_end_is_near_and_holds_to_its_end(caller: Any) -> None:
    simulator, call, clock = caller
    first = call.token
    clock.now = 5399.0
    again = await call.sign_in()
    assert (again["tenant_access_token"], again["expire"]) == (first, 1801)
    clock.now = 5400.0
    assert (await call.sign_in())["expire"] == 7200 and call.token != first
    second, call.token = call.token, first
    clock.now = 7199.0
    assert (await call.get(ROOT_CHILDREN))["code"] == 0
    clock.now = 7200.0
    refused = await call.get(ROOT_CHILDREN)
    assert (refused["status"], refused["code"]) == (400, 99991663)
    call.token = second
    assert (await call.get(ROOT_CHILDREN))["code"] == 0 and simulator.tokens.issued == 2


async def test_wrong_credentials_and_headers(caller: Any) -> None:
    _, call, _ = caller
    assert (await call.sign_in(app_secret="no"))["code"] == 10014
    assert (await call.sign_in(app_id="no"))["code"] == 10003
    for header in ("", call.token, f"bearer {call.token}", "Bearer t-madeup"):
        async with call.http.get(call.url + ROOT_CHILDREN, headers={"Authorization": header}) as answer:
            assert (await answer.json())["code"] == 99991663, header


async def test_the_whole_tree_is_below_the_root_or_a_level_at_a_time(caller: Any) -> None:
    simulator, call, _ = caller
    truth = {row["open_department_id"]: row for row in simulator.truth()["departments"]}
    deep = await call.all(ROOT_CHILDREN, fetch_child="true", page_size=5)
    assert {row["open_department_id"]: row for row in deep} == truth and len(deep) == len(truth) == 12
    waiting, found, depths = [("0", 0)], [], set()
    while waiting:
        number, depth = waiting.pop()
        rows = await call.all(f"/open-apis/contact/v3/departments/{number}/children", page_size=2)
        assert all(row["parent_department_id"] == number for row in rows)
        depths.add(depth)
        found += rows
        waiting += [(row["open_department_id"], depth + 1) for row in rows]
    assert {row["open_department_id"]: row for row in found} == truth and max(depths) >= 3


async def test_departments_may_be_named_by_their_other_id(caller: Any) -> None:
    simulator, call, _ = caller
    top = simulator.departments[0]
    path = f"/open-apis/contact/v3/departments/{top['department_id']}/children"
    rows = (await call.get(path, department_id_type="department_id"))["data"]["items"]
    assert rows and all(row["parent_department_id"] == top["department_id"] for row in rows)
    assert (await call.get(path))["code"] == 40004
    own = next(
        row for row in simulator.departments if row["open_department_id"] in simulator.users[2]["department_ids"]
    )
    query = {"department_id": own["department_id"], "department_id_type": "department_id", "page_size": 50}
    people = await call.all(PEOPLE, **query)
    assert people and all(own["department_id"] in row["department_ids"] for row in people)


async def test_people_of_every_department_are_everybody(caller: Any) -> None:
    simulator, call, _ = caller
    numbers = ["0", *(row["open_department_id"] for row in simulator.departments)]
    rows, empty = [], 0
    for number in numbers:
        part = await call.all(PEOPLE, department_id=number, page_size=3)
        empty += not part
        rows += part
    truth = {row["open_id"]: row for row in simulator.truth()["users"]}
    assert {row["open_id"]: row for row in rows} == truth and len(rows) > len(truth) == 60
    assert empty and any("mobile" not in row for row in rows)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"page_size": 51}, 40011),
        ({"page_size": 0}, 40011),
        ({"page_size": "ten"}, 40011),
        ({"fetch_child": "yes"}, 40001),
        ({"department_id_type": "id"}, 40001),
        ({"user_id_type": "id"}, 40001),
        ({"page_token": "2"}, 40012),
    ],
)
async def test_parameters_are_checked(caller: Any, query: Any, code: int) -> None:
    simulator, call, _ = caller
    refused = await call.get(ROOT_CHILDREN, **query)
    assert (refused["status"], refused["code"]) == (400, code)
    assert str(code) in simulator.refused[-1]


async def test_a_page_token_belongs_to_its_query(caller: Any) -> None:
    _, call, _ = caller
    first = (await call.get(ROOT_CHILDREN, fetch_child="true", page_size=5))["data"]
    token = first["page_token"]
    second = await call.get(ROOT_CHILDREN, fetch_child="true", page_size=5, page_token=token)
    assert second["data"]["items"][0] not in first["items"]
    for other in ({"page_size": 5}, {"fetch_child": "true", "page_size": 6}):
        assert (await call.get(ROOT_CHILDREN, **other, page_token=token))["code"] == 40012
    assert (await call.get(PEOPLE, department_id="0", page_token=token))["code"] == 40012
    assert (await call.get(PEOPLE))["code"] == 40004


async def test_too_many_calls_a_second_and_faults() -> None:
    clock = Clock()
    simulator = Feishu(per_second=2, clock=clock)
    async with serve(simulator) as running, aiohttp.ClientSession() as http:
        call = FeishuCaller(http, running.url)
        await call.sign_in()
        answers = [await call.get(ROOT_CHILDREN) for _ in range(3)]
        assert [one["code"] for one in answers] == [0, 0, 99991400] and answers[2]["status"] == 429
        clock.now = 1.0
        simulator.faults.add([{"kind": "throttle"}, {"kind": "business", "code": 40003}, {"kind": "expire"}])
        codes = [(await call.get(ROOT_CHILDREN))["code"] for _ in range(4)]
        assert codes == [99991400, 40003, 99991663, 99991663]
        await call.sign_in()
        assert (await call.get(ROOT_CHILDREN))["code"] == 0


@pytest.mark.parametrize("name", ["dingtalk", "wecom", "feishu"])
def test_each_is_a_program_of_its_own(name: str) -> None:
    parser = argparse.ArgumentParser()
    system = SYSTEMS[name][1]
    system.add_arguments(parser)
    made = system.from_arguments(parser.parse_args(["--users", "7", "--departments", "0", "--seed", "5"]))
    assert made.name == name and len(made.users) == 7
    assert made.state()["max_concurrent"] == 0
