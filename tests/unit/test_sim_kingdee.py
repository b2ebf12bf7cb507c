"""The simulated 金蝶云星空: sessions and signatures, queries, and bills saved, submitted and audited row by row."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from noria.simulators.kingdee import Kingdee
from noria.simulators.server import serve

NOW = 1_706_000_000
LOST = "会话信息已丢失，请重新登录"
STUB = "/K3Cloud/Kingdee.BOS.WebApi.ServicesStub."
LOGIN = {"acctID": "demo-acct", "username": "demo", "password": "demo-password", "lcid": 2052}
BILL = {
    "FDate": "2024-01-20",
    "FCustomerID": {"FNumber": "KH10"},
    "FEntity": [{"FMaterialID": {"FNUMBER": "SKU001"}, "FRealQty": 2, "FAmount": Decimal("0.1000")}],
}


class Client:
    """A client whose session keeps the cookies."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def post(self, service: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        text = json.dumps(body, ensure_ascii=False, default=float)
        address = f"{self.url}{STUB}{service}.common.kdsvc"
        async with self.http.post(address, data=text.encode(), headers=headers) as answer:
            assert answer.status == 200
            return json.loads(await answer.text(), parse_float=Decimal)

    async def call(self, method: str, data: Any, form: str = "SAL_OUTSTOCK") -> Any:
        return await self.post(f"DynamicFormService.{method}", {"formid": form, "data": data})

    async def query(self, form: str, fields: str, filters: str = "", **others: Any) -> Any:
        data = {"FormId": form, "FieldKeys": fields, "FilterString": filters, **others}
        return await self.post("DynamicFormService.ExecuteBillQuery", {"data": data})

    async def batch(self, models: list[Any], **options: Any) -> Any:
        return (await self.call("BatchSave", {"Model": models, **options}))["Result"]["ResponseStatus"]


@pytest.fixture
async def place() -> AsyncIterator[tuple[Kingdee, Client, list[float]]]:
    clock = [0.0]
    simulator = Kingdee(clock=lambda: clock[0], now=lambda: NOW)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http, serve(simulator) as running:
        client = Client(http, running.url)
        assert (await client.post("AuthService.ValidateUser", LOGIN))["LoginResultType"] == 1
        yield simulator, client, clock


def failure(reply: Any) -> Any:
    """The error of a query."""
    return reply[0][0]["Result"]["ResponseStatus"]


async def test_logins_in_both_forms(place: Any) -> None:
    simulator, client, _ = place
    wrong = await client.post("AuthService.ValidateUser", {**LOGIN, "password": "x"})
    assert (wrong["LoginResultType"], wrong["KDSVCSessionId"]) == (0, None)
    listed = {"parameters": ["demo-acct", "demo", "demo-password", 2052]}
    assert (await client.post("AuthService.ValidateUser", listed))["LoginResultType"] == 1
    assert (await client.post("AuthService.ValidateUser", {**LOGIN, "lcid": 1}))["LoginResultType"] == -1
    lost = (await client.post("AuthService.ValidateUser", {**LOGIN, "acctID": "x"}))["Result"]["ResponseStatus"]
    assert (lost["ErrorCode"], lost["MsgCode"], lost["Errors"][0]["Message"]) == (500, 1, LOST)
    secret = {
        "acctID": "demo-acct",
        "username": "demo",
        "appId": simulator.app_id,
        "appSecret": "demo-secret",
        "lcid": 2052,
    }
    assert (await client.post("AuthService.LoginByAppSecret", secret))["KDSVCSessionId"]
    assert simulator.sessions_issued == 3


async def test_an_unused_session_is_lost(place: Any) -> None:
    _, client, clock = place
    for clock[0] in (1199.0, 2398.0):
        assert await client.query("BD_MATERIAL", "FNumber", Limit=1) == [["SKU000"]]
    clock[0] = 3598.0
    status = failure(await client.query("BD_MATERIAL", "FNumber"))
    assert (status["ErrorCode"], status["MsgCode"], status["Errors"][0]["Message"]) == (500, 1, LOST)
    assert (await client.batch([BILL]))["MsgCode"] == 1


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, True),
        ({"x-api-timestamp": str(NOW - 301)}, False),
        ({"X-Api-Signature": "AAAA"}, False),
        ({"X-Kd-Signature": "AAAA"}, False),
        ({"X-Kd-Appdata": base64.b64encode(b"demo-acct,other,2052,0").decode()}, False),
        ({"X-Kd-Appkey": "other"}, False),
    ],
)
async def test_signed_requests_need_no_session(place: Any, changes: dict[str, str], right: bool) -> None:
    simulator, client, _ = place
    client.http.cookie_jar.clear()
    said = "demo-acct,demo,2052,0"
    hidden = base64.b64decode(simulator.app_id.split("_")[1])
    key = base64.b64encode(bytes(a ^ b for a, b in zip(hidden, b"0054f397c6234378b09ca7d3e5debce7", strict=False)))
    path = f"{STUB}DynamicFormService.ExecuteBillQuery.common.kdsvc".replace("/", "%2F")
    text = f"POST\n{path}\n\nx-api-nonce:7\nx-api-timestamp:{changes.get('x-api-timestamp', NOW)}\n"

    def mac(key: bytes, message: str) -> str:
        return base64.b64encode(hmac.new(key, message.encode(), hashlib.sha256).hexdigest().encode()).decode()

    headers = {
        "X-Api-ClientID": "100001",
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": str(NOW),
        "x-api-nonce": "7",
        "x-api-signheaders": "x-api-timestamp,x-api-nonce",
        "X-Api-Signature": mac(key, text),
        "X-Kd-Appkey": simulator.app_id,
        "X-Kd-Appdata": base64.b64encode(said.encode()).decode(),
        "X-Kd-Signature": mac(b"demo-secret", simulator.app_id + said),
        **changes,
    }
    data = {"FormId": "BD_MATERIAL", "FieldKeys": "FNumber", "Limit": 1}
    reply = await client.post("DynamicFormService.ExecuteBillQuery", {"data": data}, headers)
    assert (reply == [["SKU000"]]) is right and bool(simulator.refused) is not right


async def test_queries_page_filter_and_order(place: Any) -> None:
    simulator, client, _ = place
    seen: list[Any] = []
    while len(seen) % 7 == 0:
        seen += await client.query(
            "SAL_OUTSTOCK", "FEntity_FEntryID,FAmount", OrderString="FEntity_FEntryID ASC", StartRow=len(seen), Limit=7
        )
    assert seen == [[row["FEntity_FEntryID"], row["FAmount"]] for row in simulator.truth("SAL_OUTSTOCK")]
    rows = simulator.truth("BD_MATERIAL")
    at = rows[30]["FModifyDate"]
    text = f"FModifyDate>='{at.replace('T', ' ')}' and FUseOrgId.fnumber='100'"
    found = await client.query("BD_MATERIAL", "FNumber, FMaterialGroup.FNumber", text)
    assert found == [
        [row["FNumber"], row["FMaterialGroup.FNumber"]]
        for row in rows
        if row["FModifyDate"] >= at and row["FUseOrgId.FNumber"] == "100"
    ]
    some = await client.query("BD_MATERIAL", "FNumber", "FNumber IN ('SKU003', 'SKU001') AND FMATERIALID < 100003")
    assert some == [["SKU001"]]
    assert await client.query("BD_MATERIAL", "FNumber", OrderString="FNumber desc", TopRowCount=1) == [["SKU059"]]


@pytest.mark.parametrize(
    "asked",
    [
        {"FieldKeys": "FNumber,FColour"},
        {"FieldKeys": ["FNumber"]},
        {"FormId": "BD_Nothing"},
        {"Limit": 2001},
        {"StartRow": -1},
        {"FilterString": "FNumber='x' or FName='y'"},
        {"FilterString": "FNumber='x' and"},
        {"FilterString": "FNumber like 'x'"},
        {"FilterString": "FColour='x'"},
        {"FilterString": "FMATERIALID>'x'"},
        {"OrderString": "FNumber sideways"},
    ],
)
async def test_wrong_queries_answer_a_nested_list(place: Any, asked: dict[str, Any]) -> None:
    data = {"FormId": "BD_MATERIAL", "FieldKeys": "FNumber", **asked}
    reply = await place[1].post("DynamicFormService.ExecuteBillQuery", {"data": data})
    assert failure(reply)["IsSuccess"] is False and failure(reply)["MsgCode"] == 0


async def test_a_batch_fails_row_by_row(place: Any) -> None:
    simulator, client, _ = place
    unknown = {**BILL, "FBillNo": "B2", "FEntity": [{"FMaterialID": {"FNumber": "nothing"}}]}
    models = [
        {**BILL, "FBillNo": "B1"},
        unknown,
        {**BILL, "FBillNo": "B1"},
        {**BILL, "FCustomerID": {"FNumber": "x"}},
        BILL,
    ]
    status = await client.batch(models, IsVerifyBaseDataField="true", NeedReturnFields=["FBillNo"])
    assert status["IsSuccess"] is False
    assert [(one["DIndex"], one["FieldName"]) for one in status["Errors"]] == [
        (1, "FMaterialID"),
        (2, "FBillNo"),
        (3, "FCustomerID"),
    ]
    assert [one["DIndex"] for one in status["SuccessEntitys"]] == [0, 4]
    assert status["SuccessEntitys"][1]["Number"].startswith("XSCKD")
    assert simulator.stored["B1"].row["FEntity"][0]["FAmount"] == Decimal("0.1")
    assert (await client.batch([unknown]))["IsSuccess"] is True
    assert (await client.query("SAL_OUTSTOCK", "FBillNo,FDocumentStatus", "FBillNo='B1'")) == [["B1", "A"]]


async def test_bills_go_from_saved_to_submitted_to_audited(place: Any) -> None:
    simulator, client, _ = place
    await client.batch([{**BILL, "FBillNo": "B1"}])

    async def step(operation: str, *numbers: str) -> list[str]:
        status = (await client.call(operation, {"Numbers": list(numbers)}))["Result"]["ResponseStatus"]
        return [one["Number"] for one in status["SuccessEntitys"]]

    assert await step("Audit", "B1") == []
    assert await step("Submit", "B1", "nothing") == ["B1"]
    assert await step("Delete", "B1") == []
    assert await step("Audit", "B1") == ["B1"]
    shown = (await client.call("View", {"Number": "B1"}))["Result"]["Result"]
    assert shown["DocumentStatus"] == "C" and shown["FEntity"][0]["FEntryID"] > 2**53
    changed = await client.batch([{"FID": shown["Id"], "FNote": "x"}])
    assert "不能修改" in changed["Errors"][0]["Message"]
    assert await step("UnAudit", "B1") == await step("Delete", "B1") == ["B1"]
    assert simulator.stored == {} and await client.query("SAL_OUTSTOCK", "FID", "FBillNo='B1'") == []
    await client.batch([{**BILL, "FBillNo": "B3"}], IsAutoSubmitAndAudit=True)
    assert await client.query("SAL_OUTSTOCK", "FDocumentStatus", "FBillNo='B3'") == [["C"]]


@pytest.mark.parametrize(("keep", "count"), [("false", 2), ("", 1)])
async def test_lines_that_are_not_sent_are_deleted_by_default(place: Any, keep: str, count: int) -> None:
    simulator, client, _ = place
    two = {**BILL, "FBillNo": "B1", "FEntity": BILL["FEntity"] * 2}  # type: ignore[operator]
    bill_id = (await client.batch([two]))["SuccessEntitys"][0]["Id"]
    lines = simulator.stored["B1"].row["FEntity"]
    model = {"FID": bill_id, "FEntity": [{"FEntryID": lines[1]["FEntryID"], "FRealQty": 9}]}
    assert (await client.batch([model], IsDeleteEntry=keep))["IsSuccess"] is True
    after = simulator.stored["B1"]
    assert (len(after.row["FEntity"]), after.row["FEntity"][-1]["FRealQty"], after.times) == (count, 9, 2)


async def test_what_was_made_twice_is_told(place: Any) -> None:
    simulator, client, _ = place
    for _ in range(2):
        await client.call("Save", {"Model": BILL})
        await client.call("Save", {"Model": {**BILL, "FBillNo": "B1"}})
    [double] = simulator.state()["duplicates"]
    assert double["times"] == 2 and len(simulator.refused) == 1


async def test_faults_have_the_vendors_form(place: Any) -> None:
    simulator, client, _ = place
    simulator.faults.add([{"kind": "business", "message": "系统忙"}, {"kind": "expire"}])
    assert failure(await client.query("BD_MATERIAL", "FNumber"))["Errors"][0]["Message"] == "系统忙"
    assert [(await client.batch([BILL]))["MsgCode"] for _ in range(2)] == [1, 1]
    await client.post("AuthService.ValidateUser", LOGIN)
    simulator.faults.add({"kind": "reject", "ids": ["B1"], "message": "库存不足"})
    status = await client.batch([BILL, {**BILL, "FBillNo": "B1"}])
    assert [(one["DIndex"], one["Message"]) for one in status["Errors"]] == [(1, "库存不足")]
