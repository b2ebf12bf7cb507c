"""The simulator of 企业微信: as strict as the vendor, and errors told by `errcode` alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from noria.simulators.callbacks import Keys, decrypt, encrypt, opened, signature
from noria.simulators.server import serve
from noria.simulators.staff import FIRST_APPROVAL
from noria.simulators.wecom import SENSITIVE, WeCom
from noria.simulators.wecom_data import TEMPLATES
from noria.simulators.wecom_events import answered, echo, event
from tests.unit.calling import Caller, Clock

KEYS = Keys("tok3n", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wwdemo")


class WeComCaller(Caller):
    """A client of 企业微信."""

    async def sign_in(self, secret: str = "demo-secret", corpid: str = "wwdemo") -> Any:
        async with self.http.get(f"{self.url}/cgi-bin/gettoken?corpid={corpid}&corpsecret={secret}") as answer:
            found = await answer.json()
        self.token = found.get("access_token", self.token)
        return found

    async def get(self, path: str, **query: Any) -> Any:
        return await self._call("GET", path, params={"access_token": self.token, **query})

    async def post(self, path: str, **body: Any) -> Any:
        return await self._call("POST", path, params={"access_token": self.token}, json=body)

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        async with self.http.request(method, f"{self.url}/cgi-bin/{path}", **options) as answer:
            assert answer.status == 200
            return await answer.json()


@pytest.fixture
async def caller() -> AsyncIterator[Any]:
    clock = Clock()
    simulator = WeCom(users=60, seed=3, clock=clock)
    async with serve(simulator) as running, aiohttp.ClientSession() as http:
        made = WeComCaller(http, running.url)
        await made.sign_in()
        yield simulator, made, clock


def window(days: int = 31, **others: Any) -> dict[str, Any]:
    """A query for approvals."""
    end = FIRST_APPROVAL + days * 86400
    return {"starttime": str(FIRST_APPROVAL), "endtime": str(end), "new_cursor": "", "size": 100, **others}


async def test_tokens_are_the_same_until_they_expire_and_told_apart(caller: Any) -> None:
    simulator, call, clock = caller
    first = call.token
    clock.now = 7000.0
    again = await call.sign_in()
    assert (again["access_token"], again["expires_in"]) == (first, 200)
    clock.now = 7200.0
    assert (await call.get("department/list"))["errcode"] == 42001
    call.token = "made up"
    assert (await call.get("department/list"))["errcode"] == 40014
    await call.sign_in()
    assert call.token != first and (await call.get("department/list"))["errcode"] == 0
    assert simulator.state()["tokens_issued"] == 2


async def test_wrong_credentials_and_methods(caller: Any) -> None:
    _, call, _ = caller
    assert (await call.sign_in(secret="no"))["errcode"] == 40001
    assert (await call.sign_in(corpid="no"))["errcode"] == 40013
    assert (await call.post("user/list"))["errcode"] == 43001
    assert (await call.get("message/send"))["errcode"] == 43002


async def test_a_department_comes_with_everything_below_it(caller: Any) -> None:
    simulator, call, _ = caller
    rows = (await call.get("department/list"))["department"]
    assert rows == simulator.truth()["departments"] and rows[0]["parentid"] == 0 and len(rows) == 13
    assert (await call.get("department/list", id=1))["department"][0] == rows[0]
    parents = {row["id"]: row["parentid"] for row in rows}
    branch = [row["id"] for row in (await call.get("department/list", id=rows[1]["id"]))["department"]]
    assert branch[0] == rows[1]["id"] and 3 <= len(branch) < 13
    assert all(parents[number] in branch for number in branch[1:])
    assert not any(parents[number] in branch for number in parents if number not in branch)
    ids = (await call.get("department/simplelist", id=rows[1]["id"]))["department_id"]
    assert [row["id"] for row in ids] == branch and set(ids[0]) == {"id", "parentid", "order"}
    assert max(parents) > 2**53
    for wrong, code in (("999", 60003), ("one", 40058)):
        assert (await call.get("department/list", id=wrong))["errcode"] == code


async def test_people_are_listed_a_department_at_a_time_without_what_new_applications_are_not_told(caller: Any) -> None:
    simulator, call, _ = caller
    rows = []
    for department in simulator.departments:
        found = (await call.get("user/list", department_id=department["id"]))["userlist"]
        assert all(department["id"] in row["department"] for row in found)
        simple = (await call.get("user/simplelist", department_id=department["id"]))["userlist"]
        assert [row["userid"] for row in simple] == [row["userid"] for row in found]
        rows += found
    truth = {row["userid"]: row for row in simulator.truth()["users"]}
    assert {row["userid"]: row for row in rows} == truth and len(rows) > len(truth) == 60
    assert not SENSITIVE & set(rows[0])
    simulator.sensitive = True
    one = await call.get("user/get", userid=rows[0]["userid"])
    assert set(one) - {"errcode", "errmsg"} >= SENSITIVE and one["name"] == rows[0]["name"]
    assert (await call.get("user/get", userid="nobody"))["errcode"] == 60111
    assert (await call.get("user/list"))["errcode"] == 40058
    assert (await call.get("user/list", department_id=999))["errcode"] == 60003


async def test_ids_are_paged_for_contacts_sync_alone(caller: Any) -> None:
    simulator, call, _ = caller
    assert (await call.post("user/list_id", limit=10))["errcode"] == 60011
    await call.sign_in(secret="demo-contacts-secret")
    pairs, cursor = [], ""
    while True:
        page = await call.post("user/list_id", cursor=cursor, limit=17)
        pairs += [(row["userid"], row["department"]) for row in page["dept_user"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sorted(pairs) == sorted((row["userid"], one) for row in simulator.users for one in row["department"])
    assert len(set(pairs)) == len(pairs) > 60
    for wrong in ({"limit": 0}, {"limit": 10001}, {"limit": "10"}, {"cursor": "17"}, {"cursor": 17}):
        assert (await call.post("user/list_id", **wrong))["errcode"] == 40058, wrong
    assert (await call.get("user/list", department_id=1))["errcode"] == 60011
    assert (await call.get("department/simplelist"))["errcode"] == 0


async def test_an_api_that_is_called_too_often_answers_nobody_for_a_minute() -> None:
    clock = Clock()
    async with serve(WeCom(per_minute=2, clock=clock)) as running, aiohttp.ClientSession() as http:
        call = WeComCaller(http, running.url)
        await call.sign_in()
        assert [(await call.get("department/list"))["errcode"] for _ in range(2)] == [0, 0]
        clock.now = 50.0
        assert (await call.get("department/list"))["errcode"] == 45009
        assert (await call.get("department/simplelist"))["errcode"] == 0
        clock.now = 109.0
        assert (await call.get("department/list"))["errcode"] == 45009
        clock.now = 110.0
        assert (await call.get("department/list"))["errcode"] == 0


async def test_faults_and_privilege_answer_as_the_vendor_does(caller: Any) -> None:
    simulator, call, _ = caller
    simulator.faults.add([{"kind": "throttle"}, {"kind": "business", "code": -1, "message": "system busy"}])
    assert [(await call.get("department/list"))["errcode"] for _ in range(3)] == [45009, -1, 0]
    simulator.faults.add({"kind": "expire"})
    assert [(await call.get("department/list"))["errcode"] for _ in range(2)] == [42001, 42001]
    await call.sign_in()
    simulator.privileged = False
    assert (await call.get("department/list"))["errcode"] == 60011
    assert simulator.refused[-1].startswith("/cgi-bin/department/list 60011")


async def test_messages(caller: Any) -> None:
    simulator, call, _ = caller
    known = simulator.users[1]["userid"]
    message = {"msgtype": "text", "agentid": 1000002, "text": {"content": "到货了📦"}}
    sent = await call.post("message/send", touser=f"{known}|nobody", **message)
    assert (sent["errcode"], sent["invaliduser"]) == (0, "nobody") and sent["msgid"]
    assert simulator.messages[0]["text"] == {"content": "到货了📦"}
    for wrong, code in (
        ({"touser": "nobody"}, 81013),
        ({"touser": ""}, 81013),
        ({"touser": [known]}, 40058),
        ({"touser": known, "agentid": "1000002"}, 40056),
        ({"touser": known, "msgtype": "markdown"}, 40008),
        ({"touser": known, "text": {"content": ""}}, 40058),
    ):
        assert (await call.post("message/send", **{**message, **wrong}))["errcode"] == code, wrong
    assert (await call.post("message/send", toparty="1", **message))["errcode"] == 0
    assert len(simulator.messages) == 2


async def test_approvals(caller: Any) -> None:
    simulator, call, _ = caller
    numbers, cursor = [], ""
    while True:
        page = await call.post("oa/getapprovalinfo", **window(new_cursor=cursor, size=7))
        numbers += page["sp_no_list"]
        cursor = page.get("new_next_cursor", "")
        if not cursor:
            break
        last = cursor
    assert numbers == [row["sp_no"] for row in simulator.approvals] and len(set(numbers)) == 45
    assert (await call.post("oa/getapprovalinfo", **window(30, new_cursor=last)))["errcode"] == 40058
    filters = [{"key": "template_id", "value": TEMPLATES[1]}]
    assert len((await call.post("oa/getapprovalinfo", **window(filters=filters)))["sp_no_list"]) == 22
    info = (await call.post("oa/getapprovaldetail", sp_no=numbers[0]))["info"]
    assert info["apply_time"] == FIRST_APPROVAL and info == simulator.truth()["approvals"][0]
    for wrong in (
        window(32),
        window(0),
        window(size=101),
        window(starttime=FIRST_APPROVAL),
        window(filters=[{"key": "unheard", "value": "of"}]),
    ):
        assert (await call.post("oa/getapprovalinfo", **wrong))["errcode"] == 301025, wrong
    assert (await call.post("oa/getapprovaldetail", sp_no="0"))["errcode"] == 301025


def test_an_address_is_verified_by_an_echo() -> None:
    told = echo("1616140317555161061", KEYS, timestamp="1700000000", nonce="n0nce")
    query = told.query
    opened_text = opened(query["echostr"], query["timestamp"], query["nonce"], query["msg_signature"], KEYS)
    assert (opened_text, told.body) == ("1616140317555161061", b"")
    with pytest.raises(ValueError, match="signature"):
        opened(query["echostr"], query["timestamp"], "another", query["msg_signature"], KEYS)


def test_callbacks_go_there_and_back_and_tampering_shows() -> None:
    xml = "<xml><Event><![CDATA[change_contact]]></Event><Name><![CDATA[𠮷祥😀，欢迎]]></Name></xml>"
    told = event(xml, KEYS, timestamp="1700000000", nonce="n0nce", agentid="1000002")
    fields = {child.tag: child.text for child in ElementTree.fromstring(told.body)}
    assert (fields["ToUserName"], fields["AgentID"]) == ("wwdemo", "1000002")
    assert decrypt(str(fields["Encrypt"]), KEYS) == xml
    sealed = encrypt("<xml>好</xml>", KEYS)
    signed = signature(KEYS.token, "1700000001", "abc", sealed)
    answer = (
        f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature>{signed}</MsgSignature>"
        "<TimeStamp>1700000001</TimeStamp><Nonce>abc</Nonce></xml>"
    )
    assert answered(answer.encode(), KEYS) == "<xml>好</xml>" and answered(b"success", KEYS) == "success"
    for wrong in (answer.replace("abc", "abd"), "<!DOCTYPE xml>" + answer, answer.replace("Nonce", "nonce"), "ok"):
        with pytest.raises(ValueError, match=r"answer|signature"):
            answered(wrong.encode(), KEYS)


def test_the_vendors_own_sample_opens() -> None:
    """The sample of the vendor's libraries (WXBizMsgCrypt, verifying an address): nothing here has made it."""
    keys = Keys("QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "wx5823bf96d3bd56c7")
    sealed = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
    signed = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"
    assert opened(sealed, "1409659589", "263014780", signed, keys) == "1616140317555161061"


def test_lengths_are_bytes_and_the_padding_is_to_32() -> None:
    for length, blocks in ((5, 32), (6, 64), (37, 64), (38, 96)):
        assert len(base64.b64decode(encrypt("x" * length, KEYS))) == blocks
    for text in ("", "好" * 4, "好" * 5, "x" * 100):
        assert decrypt(encrypt(text, KEYS, bytes(16)), KEYS) == text
    sealed = encrypt("好", KEYS)
    with pytest.raises(ValueError, match=r"padding|length"):
        decrypt(sealed[:-8] + ("AAAAAAA=" if sealed.endswith("=") else "AAAAAAAA"), KEYS)
    with pytest.raises(ValueError, match="base64"):
        decrypt(sealed + "\n!", KEYS)
