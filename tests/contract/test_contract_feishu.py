"""飞书 keeps the contract: people by department, and a robot whose messages are signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from noria.connectors.feishu import robot_sign
from noria.metadata.clock import FakeClock
from noria.simulators.feishu import Feishu
from noria.simulators.robots import Robots
from noria.simulators.server import serve
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import trial

SECRET, ROBOT = "hush-hush-feishu", "hush-hush-robot"
CHILDREN = "/open-apis/contact/v3/departments/0/children"


class TestFeishu(ConnectorContract):
    connector = "feishu"

    def system(self, clock: FakeClock) -> System:
        made = Feishu(app_secret=SECRET, users=90, departments=4, per_second=8, clock=clock.steady, now=clock.now)

        def grow() -> None:
            made.users.insert(0, {**made.users[-1], "open_id": f"ou_new{len(made.users)}", "name": "新人 😀"})

        return System(
            simulator=made,
            table=lambda url: {
                "base_url": url,
                "app_id": "cli_demo",
                "app_secret": SECRET,
                # A request that is under way counts when it arrives.
                "limits": {"per_second": 4},
            },
            wrong={"app_secret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1"),
            reads=Reads(
                metadata={
                    "api": "open-apis/contact/v3/users/find_by_department",
                    "method": "GET",
                    "id": "open_id",
                    "number": "name",
                    "idCheck": True,
                    "request": [{"field": "page_size", "value": "7"}],
                },
                truth=lambda: {row["open_id"]: json.dumps(row) for row in made.truth()["users"]},
                path="/open-apis/contact/v3/users",
                grow=grow,
            ),
            names_waits=False,
            limited=lambda: sum("99991400" in one for one in made.refused),
        )


class TestFeishuRobot(ConnectorContract):
    connector = "feishu"

    def system(self, clock: FakeClock) -> System:
        made = Robots(token=ROBOT, secret=SECRET, now=clock.now)

        def stored() -> dict[str, tuple[int, Any]]:
            texts = [one.text.split("|") for one in made.messages]
            return {text[0]: (sum(one[0] == text[0] for one in texts), text) for text in texts}

        text = {"field": "text", "value": "{{id}}|{{name}}|{{amount}}|{{code}}"}
        return System(
            simulator=made,
            table=lambda url: {"base_url": url, "robot_token": ROBOT, "robot_secret": SECRET},
            wrong={"robot_secret": "not-the-secret-1"},
            secrets=(SECRET, ROBOT, "not-the-secret-1"),
            writes=Writes(
                metadata={
                    "api": "/open-apis/bot/v2/hook",
                    "method": "POST",
                    "request": [
                        {"field": "msg_type", "value": "text"},
                        {"field": "content", "type": "object", "children": [text]},
                    ],
                },
                stored=stored,
                path="/open-apis/bot",
                once=False,
                batch=1,
            ),
            expires=False,
        )

    async def test_no_more_than_five_messages_a_second(self) -> None:
        """And a hundred a minute."""
        async with self._writing(120) as (system, writes, tried):
            assert (await tried.run()).status == "done" and len(writes.stored()) == 120
            times = [one.at for one in system.simulator.messages]
            assert times[99] - times[0] >= 19 and times[100] - times[0] >= 60

    async def test_neither_the_address_nor_the_signature_shows(self) -> None:
        """What was sent is kept without what proved it."""
        async with self._writing(2) as (system, _, tried):
            system.simulator.faults.add({"kind": "status", "status": 400, "path": "/open-apis/bot"})
            finished = await tried.run()
            sign = system.simulator.messages[0].body["sign"]
            self._hides(system, finished, tried)
            assert sign not in tried.everything()


@pytest.mark.parametrize(
    ("secret", "stamp", "sign"),
    [
        # openssl dgst -sha256 -mac HMAC -macopt key:"$stamp
        # $secret" -binary < /dev/null | base64
        ("demo", "1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
        ("密钥", "1700000000", "cyn+2wyXar1IIl3eihT1dIzSxsVv1BFWCgy6prBcWJM="),
    ],
)
def test_a_robots_signature(secret: str, stamp: str, sign: str) -> None:
    assert robot_sign(secret, stamp) == sign


@pytest.mark.parametrize("api", [CHILDREN, CHILDREN[1:]])
async def test_departments_below_one(api: str) -> None:
    clock = FakeClock()
    made = Feishu(app_secret=SECRET, departments=70, clock=clock.steady, now=clock.now)
    async with serve(made) as running:
        table = {"connector": "feishu", "base_url": running.url, "app_id": "cli_demo", "app_secret": SECRET}
        with trial(clock, {"system": table, "inside": {"connector": "noria"}}) as tried:
            request = [{"field": "fetch_child", "type": "bool", "value": "true"}]
            metadata = {"api": api, "method": "GET", "id": "open_department_id", "number": "name", "request": request}
            tried.plan(("system", metadata), ("inside", {"api": "写入空操作"}), {})
            assert (await tried.run()).status == "done" and made.refused == []
            found = {key: json.loads(raw) for key, raw in tried.raws().items()}
    assert found == {row["open_department_id"]: row for row in made.truth()["departments"]} and len(found) == 70
