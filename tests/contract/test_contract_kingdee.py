"""金蝶云星空 keeps the contract: lines of 销售出库单 queried, 销售出库单 saved, with a session and with signed requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import open_connection
from noria.connectors.kingdee import KINGDEE
from noria.connectors.target import Row
from noria.ledger.records import rows_of
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.simulators.kingdee import Kingdee
from noria.simulators.server import serve
from noria.simulators.wire import encoded
from noria.testing import ConnectorContract, Reads, System, Writes

COLUMNS = {
    "entry": "FEntity_FEntryID",
    "FBillNo": "FBillNo",
    "note": "FNote",
    "customer": "FCustomerID.FNumber",
    "FTaxPrice": "FTaxPrice",
    "FAmount": "FAmount",
}
_SAVE = [
    {"field": "FBillNo", "value": "{{id}}"},
    {"field": "FNote", "value": "{{name}}"},
    {"field": "FDate", "value": "2024-03-01"},
    {
        "field": "FEntity",
        "type": "array",
        "value": "",
        "children": [{"field": "FTaxPrice", "value": "{{amount}}"}, {"field": "FRealQty", "value": "{{code}}"}],
    },
]


class TestKingdee(ConnectorContract):
    connector = "kingdee"
    signs = False

    def system(self, clock: FakeClock) -> System:
        made = Kingdee(
            password="hush-hush-pass", app_secret="hush-hush-app", outstock=70, clock=clock.steady, now=clock.now
        )
        lines = made.rows["SAL_OUTSTOCK"]
        lines[0]["FNote"] = "部门 😀 مرحبا"

        def table(url: str) -> dict[str, Any]:
            keys = {"app_id": made.app_id, "app_secret": "hush-hush-app"} if self.signs else {}
            keys = keys or {"password": "hush-hush-pass"}
            return {"base_url": f"{url}/K3Cloud/", "acct_id": "demo-acct", "username": "demo", **keys}

        def grow() -> None:
            lines.insert(0, {**lines[0], "FEntity_FEntryID": 10 + len(lines), "FBillNo": "新"})

        def shown(row: dict[str, Any]) -> str:
            return encoded({name: row[key] for name, key in COLUMNS.items()})

        return System(
            simulator=made,
            table=table,
            wrong={"app_secret": "not-the-secret-1"} if self.signs else {"password": "not-the-secret-1"},
            secrets=("hush-hush", "not-the-secret-1"),
            reads=Reads(
                metadata={
                    "api": "executeBillQuery",
                    "method": "POST",
                    "type": "QUERY",
                    "id": "entry",
                    "number": "FBillNo",
                    "idCheck": True,
                    "request": [{"field": name, "value": key} for name, key in COLUMNS.items()],
                    "otherRequest": [
                        {"field": "FormId", "value": "SAL_OUTSTOCK"},
                        {"field": "Limit", "type": "int", "value": "50"},
                    ],
                },
                truth=lambda: {str(row["FEntity_FEntryID"]): shown(row) for row in lines},
                path="/K3Cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.ExecuteBillQuery",
                grow=grow,
            ),
            writes=Writes(
                metadata={
                    "api": "batchSave",
                    "method": "POST",
                    "type": "EXECUTE",
                    "request": _SAVE,
                    "otherRequest": [
                        {"field": "FormId", "value": "SAL_OUTSTOCK"},
                        {"field": "Operation", "value": "BatchSave"},
                        {"field": "IsAutoSubmitAndAudit", "type": "bool", "value": True},
                    ],
                },
                stored=lambda: {key: (one.times, one.row) for key, one in made.stored.items()},
                path="/K3Cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.BatchSave",
                refuse=lambda ids: made.faults.add(
                    {"kind": "reject", "times": None, "ids": ids, "message": "字段“客户”是必填项"}
                ),
                refusal="字段“客户”是必填项",
            ),
            expires=not self.signs,
            names_waits=False,
            business=(500, "业务对象不存在"),
        )


class TestKingdeeSigned(TestKingdee):
    connector = "kingdee"
    signs = True


@pytest.mark.parametrize("api", ["batchSave", "BatchSave", "/batchsave"])
def test_what_is_said_once_is_no_part_of_a_model(api: str) -> None:
    options = {"FormId": "SAL_OUTSTOCK", "Operation": "BatchSave", "IsAutoSubmitAndAudit": True}
    target = written(api, options)
    rows = [{**options, "FBillNo": "A", "FAmount": 1}, {**options, "FBillNo": "B"}]
    body = target.body([json.dumps(row).encode() for row in rows])
    assert json.loads(body) == {
        "formid": "SAL_OUTSTOCK",
        "data": {"IsAutoSubmitAndAudit": True, "Model": [{"FBillNo": "A", "FAmount": 1}, {"FBillNo": "B"}]},
    }
    # What the ledger takes out of the body again makes the same body.
    assert target.body([bytes(one) for one in rows_of(body, target.body_path)]) == body


def test_other_operations_are_of_numbers() -> None:
    target = written("submit", {"FormId": "SAL_OUTSTOCK"})
    body = target.body([b'{"FormId":"SAL_OUTSTOCK","Number":"A"}', b'{"FBillNo":"B"}'])
    assert json.loads(body) == {"formid": "SAL_OUTSTOCK", "data": {"Numbers": ["A", "B"]}}
    assert target.body([bytes(one) for one in rows_of(body, target.body_path)]) == body


def written(api: str, options: dict[str, Any]) -> Any:
    """A target of the connector."""
    table = {"connector": "kingdee", "base_url": "http://k/K3Cloud", "acct_id": "a", "username": "u", "password": "p"}
    connection = open_connection("k", table, Path(), redactor=Redactor())
    return KINGDEE.target(
        connection.transport, connection.settings, api=api, method="POST", batch_size=None, options=options
    )


async def test_a_bill_is_saved_submitted_and_audited_step_by_step() -> None:
    """Each step knows by the bill's state whether it was carried out."""
    clock = FakeClock()
    made = Kingdee(password="hush-hush-pass", clock=clock.steady, now=clock.now)
    async with serve(made) as running:
        table = {"connector": "kingdee", "base_url": f"{running.url}/K3Cloud", "acct_id": "demo-acct"}
        table |= {"username": "demo", "password": "hush-hush-pass"}
        connection = open_connection("k", table, Path(), redactor=Redactor(), clock=clock)
        for api, states in (("save", "A"), ("submit", "B"), ("audit", "C"), ("unaudit", "D")):
            target = KINGDEE.target(
                connection.transport,
                connection.settings,
                api=api,
                method="POST",
                batch_size=None,
                options={"FormId": "SAL_OUTSTOCK"},
            )
            row = Row("1", b'{"FBillNo": "X\'1", "FNote": "one"}')
            assert await target.has(row) is False
            written = await target.send(target.body([row.payload]), "key", [row])
            # Also where the session is gone by now.
            made.faults.add([{"kind": "expire"}])
            assert written.rows == [None] and await target.has(row) is True
            assert made.bills.find("SAL_OUTSTOCK", number="X'1").status == states
            # The number is taken; a step that was taken before, by whomever, is done.
            again = await target.send(target.body([row.payload]), "key", [row])
            assert (again.rows[0] is not None) is (api == "save")
            if api != "save":
                nobody = Row("2", b'{"FBillNo": "nobody"}')
                refused = await target.send(target.body([nobody.payload]), "other", [nobody])
                assert refused.rows[0] is not None
        await connection.close()
