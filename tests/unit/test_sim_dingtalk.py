"""The simulator of 钉钉: as strict as the vendor, in the form of each of its two APIs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from noria.simulators.callbacks import Keys, encrypt, opened, signature
from noria.simulators.dingtalk import DingTalk
from noria.simulators.dingtalk_data import PROCESS_CODES
from noria.simulators.dingtalk_events import answered, event
from noria.simulators.server import serve
from noria.simulators.staff import FIRST_APPROVAL
from tests.unit.calling import Caller, Clock

KEYS = Keys("tok3n", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "dingdemo")
WINDOW = {"start_time": FIRST_APPROVAL * 1000, "end_time": (FIRST_APPROVAL + 90 * 86400) * 1000}


class DingTalkCaller(Caller):
    """A client of 钉钉."""

    async def get(self, path: str, **options: Any) -> Any:
        return await self.answer("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Any:
        return await self.answer("POST", path, json=body, **options)

    async def sign_in(self) -> str:
        answer = await self.get("/gettoken?appkey=dingdemo&appsecret=demo-secret")
        self.token = answer["access_token"]
        return self.token

    async def old(self, path: str, **body: Any) -> Any:
        return await self.post(f"/topapi/{path}?access_token={self.token}", body)

    async def new(self, path: str, body: Any) -> Any:
        return await self.post(path, body, headers={"x-acs-dingtalk-access-token": self.token})


@pytest.fixture
async def caller() -> AsyncIterator[Any]:
    clock = Clock()
    simulator = DingTalk(users=60, seed=3, clock=clock)
    async with serve(simulator) as running, aiohttp.ClientSession() as http:
        made = DingTalkCaller(http, running.url)
        await made.sign_in()
        yield simulator, made, clock


async def test_a_token_is_the_same_until_it_expires_and_asking_again_renews_it(caller: Any) -> None:
    simulator, call, clock = caller
    clock.now = 7000.0
    before = call.token
    assert await call.sign_in() == before and simulator.tokens.issued == 1
    clock.now = 14199.0
    assert (await call.old("v2/department/listsub"))["errcode"] == 0
    clock.now = 14200.0
    refused = await call.old("v2/department/listsub")
    assert (refused["status"], refused["errcode"], "request_id" in refused) == (200, 40014, True)
    new = await call.new("/v1.0/workflow/processes/instanceIds/query", {})
    assert (new["status"], new["code"]) == (400, "InvalidAuthentication") and "requestid" in new
    assert await call.sign_in() != before and simulator.tokens.issued == 2


async def test_wrong_secrets_and_bodies_that_are_no_json(caller: Any) -> None:
    _, call, _ = caller
    wrong = await call.get("/gettoken?appkey=dingdemo&appsecret=no")
    assert (wrong["status"], wrong["errcode"]) == (200, 40089)
    new = await call.post("/v1.0/oauth2/accessToken", {"appKey": "dingdemo", "appSecret": "no"})
    assert (new["status"], new["code"]) == (400, "invalidClientIdOrSecret")
    form = {"appKey": "dingdemo", "appSecret": "demo-secret"}
    async with call.http.post(call.url + "/v1.0/oauth2/accessToken", data=form) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "MissingBody")
    right = await call.post("/v1.0/oauth2/accessToken", form)
    assert right["accessToken"] == call.token and right["expireIn"] == 7200


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("v2/department/listsub", {"dept_id": 424242}, 60003),
        ("v2/department/listsub", {"dept_id": "1"}, 400002),
        ("v2/department/get", {}, 400002),
        ("v2/user/list", {"dept_id": 1, "cursor": 0, "size": 101}, 400002),
        ("v2/user/list", {"dept_id": 1, "cursor": 0, "size": 0}, 400002),
        ("v2/user/list", {"dept_id": 1, "cursor": True, "size": 10}, 400002),
        ("v2/user/list", {"dept_id": 1, "size": 10}, 400002),
        ("v2/user/list", {"dept_id": 9, "cursor": 0, "size": 100}, 60003),
        ("user/listid", {"dept_id": 1, "unheard": "of"}, 0),
        ("v2/user/get", {"userid": 7}, 400002),
        ("v2/nothing", {}, 22),
    ],
)
async def test_parameters_are_checked(caller: Any, path: str, body: Any, code: int) -> None:
    simulator, call, _ = caller
    assert (await call.old(path, **body))["errcode"] == code
    assert (not simulator.refused) == (code == 0)


async def test_the_tree_and_its_people_are_read_completely(caller: Any) -> None:
    simulator, call, _ = caller
    waiting, depths, rows, departments = [(1, 0)], set(), [], []
    while waiting:
        number, depth = waiting.pop()
        depths.add(depth)
        below = (await call.old("v2/department/listsub", dept_id=number))["result"]
        ids = (await call.old("v2/department/listsubid", dept_id=number))["result"]["dept_id_list"]
        assert ids == [row["dept_id"] for row in below]
        departments += below
        waiting += [(row["dept_id"], depth + 1) for row in below]
        cursor: int | None = 0
        while cursor is not None:
            page = (await call.old("v2/user/list", dept_id=number, cursor=cursor, size=2))["result"]
            assert page["has_more"] == ("next_cursor" in page)
            rows += page["list"]
            cursor = page.get("next_cursor")
    truth = simulator.truth()
    assert {row["userid"]: row for row in rows} == {row["userid"]: row for row in truth["users"]}
    assert len(rows) == sum(len(row["dept_id_list"]) for row in truth["users"]) > 60
    assert sorted(row["dept_id"] for row in departments) == sorted(row["dept_id"] for row in truth["departments"])
    assert max(depths) >= 3 and max(row["dept_id"] for row in departments) > 2**53
    peopled = {number for row in rows for number in row["dept_id_list"]}
    assert any(row["dept_id"] not in peopled for row in departments)
    assert {"😀", "م"} <= set("".join(row["name"] for row in rows))


async def test_more_calls_a_second_than_allowed_are_refused_an_api_at_a_time() -> None:
    clock = Clock()
    async with (
        serve(DingTalk(per_second=2, clock=clock)) as running,
        aiohttp.ClientSession() as http,
    ):
        call = DingTalkCaller(http, running.url)
        await call.sign_in()
        codes = [(await call.old("v2/department/listsub"))["errcode"] for _ in range(3)]
        assert codes == [0, 0, 90018]
        assert (await call.old("v2/department/get", dept_id=1))["errcode"] == 0
        query = {"processCode": PROCESS_CODES[0], "startTime": 0, "nextToken": 0, "maxResults": 1}
        for _ in range(2):
            assert (await call.new("/v1.0/workflow/processes/instanceIds/query", query))["status"] == 200
        last = await call.new("/v1.0/workflow/processes/instanceIds/query", query)
        assert (last["status"], last["code"]) == (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")
        clock.now = 1.0
        assert (await call.old("v2/department/listsub"))["errcode"] == 0


async def test_a_missing_permission_is_told_in_a_wrapper() -> None:
    simulator = DingTalk(permissions=frozenset({"departments"}))
    async with serve(simulator) as running, aiohttp.ClientSession() as http:
        call = DingTalkCaller(http, running.url)
        await call.sign_in()
        refused = await call.old("user/listid", dept_id=1)
        assert (refused["errcode"], refused["sub_code"]) == (88, "60011") and "members" in refused["sub_msg"]
        assert (await call.old("v2/department/listsubid"))["errcode"] == 0


async def test_faults_speak_each_apis_language(caller: Any) -> None:
    simulator, call, _ = caller
    simulator.faults.add([{"kind": "throttle", "path": "/topapi"}, {"kind": "throttle", "path": "/v1.0/workflow"}])
    assert (await call.old("v2/department/listsub"))["errcode"] == 90018
    assert (await call.new("/v1.0/workflow/processes/instanceIds/query", {}))["status"] == 403
    simulator.faults.add([{"kind": "business", "code": -1, "message": "系统繁忙"}, {"kind": "expire"}])
    assert (await call.old("v2/department/listsub"))["errcode"] == -1
    assert [(await call.old("v2/department/listsub"))["errcode"] for _ in range(2)] == [40014, 40014]
    await call.sign_in()
    assert (await call.old("v2/department/listsub"))["errcode"] == 0


async def test_work_notifications(caller: Any) -> None:
    simulator, call, _ = caller
    path, msg = "message/corpconversation/asyncsend_v2", {"msgtype": "text", "text": {"content": "到货了📦"}}
    sent = await call.old(path, agent_id=3001, userid_list="manager1000,u2", msg=msg)
    assert sent["errcode"] == 0 and sent["task_id"] > 2**53
    assert simulator.messages[0]["users"] == ["manager1000", "u2"] and simulator.messages[0]["msg"] == msg
    for wrong in (
        {"userid_list": ",".join(map(str, range(101)))},
        {"userid_list": ["u1"]},
        {"userid_list": ""},
        {"to_all_user": "true"},
        {"to_all_user": True, "agent_id": 1},
        {"to_all_user": True, "msg": json.dumps(msg)},
        {"to_all_user": True, "msg": {"msgtype": "text", "markdown": {}}},
    ):
        assert (await call.old(path, **{"agent_id": 3001, "msg": msg, **wrong}))["errcode"] == 400002, wrong
    assert len(simulator.messages) == 1


async def test_approvals_page_in_both_apis(caller: Any) -> None:
    _, call, _ = caller
    old: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        body = {"process_code": PROCESS_CODES[0], **WINDOW, "cursor": cursor, "size": 20}
        page = (await call.old("processinstance/listids", **body))["result"]
        old += page["list"]
        cursor = page.get("next_cursor")
    new: list[str] = []
    token: int | None = 0
    while token is not None:
        query = {"processCode": PROCESS_CODES[0], "startTime": WINDOW["start_time"], "endTime": WINDOW["end_time"]}
        answer = await call.new(
            "/v1.0/workflow/processes/instanceIds/query", {**query, "nextToken": token, "maxResults": 7}
        )
        new += answer["result"]["list"]
        token = answer["result"].get("nextToken")
    assert old == new and len(set(old)) == 23
    shown = (await call.old("processinstance/get", process_instance_id=old[0]))["process_instance"]
    assert shown["create_time"] == "2024-01-01 09:00:00" and shown["form_component_values"][0]["name"] == "金额"
    header = {"x-acs-dingtalk-access-token": call.token}
    detail = await call.get(f"/v1.0/workflow/processInstances?processInstanceId={old[0]}", headers=header)
    assert detail["result"]["createTime"] == "2024-01-01T01:00Z" and detail["result"]["title"] == shown["title"]
    for wrong in ({"size": 21}, {"process_code": "PROC-NONE"}, {"start_time": "2024-01-01"}, {"end_time": 1}):
        body = {"process_code": PROCESS_CODES[0], **WINDOW, "cursor": 0, "size": 20, **wrong}
        assert (await call.old("processinstance/listids", **body))["errcode"] == 400002, wrong


async def test_an_approval_that_is_applied_for_is_listed_at_its_time(caller: Any) -> None:
    simulator, call, _ = caller
    simulator.now = lambda: 1_800_000_000.0
    values = [{"name": "金额", "value": "12.50"}]
    body = {"process_code": PROCESS_CODES[1], "originator_user_id": simulator.users[0]["userid"], "dept_id": 1}
    made = await call.old("processinstance/create", **body, form_component_values=values)
    window = {"process_code": PROCESS_CODES[1], "start_time": 1_800_000_000_000, "cursor": 0, "size": 20}
    listed = await call.old("processinstance/listids", **window)
    assert listed["result"]["list"] == [made["process_instance_id"]]
    assert (await call.old("processinstance/create", **body, form_component_values=[{"name": 1}]))["errcode"] == 400002


@pytest.mark.parametrize("old_names", [False, True])
def test_callbacks_go_there_and_back_and_tampering_shows(old_names: bool) -> None:
    what = {"EventType": "user_add_org", "UserId": ["𠮷祥😀"], "备注": "新员工入职，欢迎"}
    told = event(what, KEYS, timestamp="1700000000", nonce="n0nce", old_names=old_names)
    encrypted = json.loads(told.body)["encrypt"]
    signed = told.query["signature" if old_names else "msg_signature"]
    assert "\n" not in encrypted and json.loads(opened(encrypted, "1700000000", "n0nce", signed, KEYS)) == what
    with pytest.raises(ValueError, match="signature"):
        opened(encrypted, "1700000001", "n0nce", signed, KEYS)
    sealed = encrypt("success", KEYS)
    fields = {"encrypt": sealed, "timeStamp": "1700000009", "nonce": "abc"}
    answer = {**fields, "msg_signature": signature(KEYS.token, "1700000009", "abc", sealed)}
    assert answered(json.dumps(answer).encode(), KEYS) == "success"
    for wrong in ({"msg_signature": "0" * 40}, {"timeStamp": 1700000009}, {"more": "x"}):
        with pytest.raises(ValueError, match=r"answer|signature"):
            answered(json.dumps({**answer, **wrong}).encode(), KEYS)
    other = encrypt("success", Keys(KEYS.token, KEYS.aes_key, "another"))
    forged = {**answer, "encrypt": other, "msg_signature": signature(KEYS.token, "1700000009", "abc", other)}
    with pytest.raises(ValueError, match="owner"):
        answered(json.dumps(forged).encode(), KEYS)
