"""企业微信 keeps the contract: people by department, messages to people, a robot; and approvals in windows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from noria.metadata.clock import FakeClock
from noria.simulators.robots import Robots
from noria.simulators.server import serve
from noria.simulators.staff import FIRST_APPROVAL
from noria.simulators.wecom import WeCom
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import trial

TEXT = {
    "field": "text",
    "type": "object",
    "children": [{"field": "content", "value": "{{id}}|{{name}}|{{amount}}|{{code}}"}],
}
SECRET = "hush-hush-wecom"


def told(texts: list[str]) -> dict[str, tuple[int, Any]]:
    """Messages by the record's id that each begins with."""
    found = [text.split("|") for text in texts]
    return {text[0]: (sum(one[0] == text[0] for one in found), text) for text in found}


class TestWeCom(ConnectorContract):
    connector = "wecom"

    def system(self, clock: FakeClock) -> System:
        made = WeCom(secret=SECRET, users=60, departments=40, per_minute=20, clock=clock.steady, now=clock.now)

        def grow() -> None:
            made.users.insert(0, {**made.users[-1], "userid": f"new-{len(made.users)}", "name": "新人 😀"})

        return System(
            simulator=made,
            table=lambda url: {
                "base_url": url,
                "corpid": "wwdemo",
                "corpsecret": SECRET,
                # A request that is under way counts when it arrives.
                "limits": {"vendor": "wecom", "per_minute": 10},
            },
            wrong={"corpsecret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1"),
            reads=Reads(
                metadata={"api": "cgi-bin/user/list", "method": "GET", "id": "userid", "number": "name"}
                | {"idCheck": True},
                truth=lambda: {row["userid"]: json.dumps(row) for row in made.truth()["users"]},
                path="/cgi-bin/user/list",
                grow=grow,
            ),
            writes=Writes(
                metadata={
                    "api": "/cgi-bin/message/send",
                    "method": "POST",
                    "request": [
                        {"field": "agentid", "type": "int", "value": "1000002"},
                        {"field": "touser", "value": made.users[0]["userid"]},
                        {"field": "msgtype", "value": "text"},
                        TEXT,
                    ],
                },
                stored=lambda: told([one["text"]["content"] for one in made.messages]),
                path="/cgi-bin/message/send",
                once=False,
                batch=1,
            ),
            names_waits=False,
            limited=lambda: sum("45009" in one for one in made.refused),
        )


class TestWeComRobot(ConnectorContract):
    connector = "wecom"

    def system(self, clock: FakeClock) -> System:
        made = Robots(token=SECRET, now=clock.now)
        return System(
            simulator=made,
            table=lambda url: {"base_url": url, "robot_key": SECRET},
            wrong={"robot_key": "not-the-key-1"},
            secrets=(SECRET, "not-the-key-1"),
            writes=Writes(
                metadata={
                    "api": "/cgi-bin/webhook/send",
                    "method": "POST",
                    "request": [{"field": "msgtype", "value": "text"}, TEXT],
                },
                stored=lambda: told([one.text for one in made.messages]),
                path="/cgi-bin/webhook",
                once=False,
                batch=1,
            ),
            expires=False,
        )

    async def test_no_more_than_twenty_messages_a_minute(self) -> None:
        """Beyond them the robot would refuse."""
        async with self._writing(45) as (system, writes, tried):
            assert (await tried.run()).status == "done"
            assert len(writes.stored()) == 45 and system.simulator.refused == []
            assert sum(tried.clock.slept) >= 60


async def read(
    made: WeCom, clock: FakeClock, metadata: dict[str, Any], secret: str = SECRET
) -> tuple[Any, dict[str, Any]]:
    """One run over a list: how it finished, and what it read by id."""
    async with serve(made) as running:
        table = {"connector": "wecom", "base_url": running.url, "corpid": "wwdemo", "corpsecret": secret}
        with trial(clock, {"system": table, "inside": {"connector": "noria"}}) as tried:
            tried.plan(("system", {"idCheck": True, **metadata}), ("inside", {"api": "写入空操作"}), {})
            finished = await tried.run()
            return finished, {key: json.loads(raw) for key, raw in tried.raws().items()}


@pytest.mark.parametrize("kind", ["int", "string"])
async def test_approvals_are_read_in_windows_with_their_details(kind: str) -> None:
    """In the platform's own metadata the source names the detail's address, and numbers for times."""
    clock = FakeClock(FIRST_APPROVAL + 100 * 86400.0)
    made = WeCom(secret=SECRET, approvals=450, clock=clock.steady, now=clock.now)
    request = [
        {"field": "starttime", "type": kind, "value": "{{LAST_SYNC_TIME}}"},
        {"field": "endtime", "type": kind, "value": "{{CURRENT_TIME}}"},
        {"field": "size", "type": "int", "value": "100"},
        {"field": "cursor", "type": "int", "value": "0"},
    ]
    metadata = {"api": "/cgi-bin/oa/getapprovaldetail", "method": "POST", "id": "sp_no", "number": "sp_no"}
    finished, found = await read(made, clock, {**metadata, "request": request})
    assert finished.status == "done" and made.refused == [], (str(finished.error), made.refused)
    assert found == {row["sp_no"]: row for row in made.truth()["approvals"]} and len(found) == 450


async def test_ids_of_people_and_departments_with_the_secret_of_contacts_sync() -> None:
    clock = FakeClock()
    made = WeCom(contacts_secret=SECRET, users=60, clock=clock.steady, now=clock.now)
    request = [{"field": "limit", "type": "int", "value": "7"}]
    metadata = {"api": "/cgi-bin/user/list_id", "method": "POST", "id": "userid,department", "number": "userid"}
    finished, found = await read(made, clock, {**metadata, "request": request})
    assert finished.status == "done" and made.refused == [], (str(finished.error), made.refused)
    assert {(row["userid"], row["department"]) for row in found.values()} == {
        (row["userid"], one) for row in made.users for one in row["department"]
    }


async def test_departments_are_one_list() -> None:
    clock = FakeClock()
    made = WeCom(secret=SECRET, clock=clock.steady, now=clock.now)
    metadata = {"api": "/cgi-bin/department/list", "method": "GET", "id": "id", "number": "name"}
    _, found = await read(made, clock, metadata)
    assert found == {str(row["id"]): row for row in made.departments}
