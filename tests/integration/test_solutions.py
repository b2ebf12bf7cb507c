"""The solutions that people copy, on the simulators, compared with what these know; faults in every step."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from noria.cli.solutions import SOLUTIONS
from noria.engine import Finished
from noria.engine.checking import check_project
from noria.metadata.project import load_project
from noria.simulators.dingtalk import DingTalk
from noria.simulators.kingdee import Kingdee
from noria.simulators.okki import Okki
from noria.simulators.okki_data import Account, make_account
from noria.simulators.server import serve
from noria.simulators.staff import ROOT
from noria.simulators.wangdian import Wangdian
from tests.conftest import Project

PLANS = Path(__file__).parents[2] / "plans"
SERVICE = "/K3Cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService."
# 2024-02-01 08:00 in China, and when the first row of the simulators was modified.
NOW, START = 1_706_745_600.0, "2024-01-05 08:00:00"
STEPS = ("kingdee-customers", "kingdee-materials", "outstock", "submit", "audit", "write-back")
MATCHING = ("dingtalk-departments", "dingtalk-users", "okki-departments", "okki-users", "matches")
COUNT = 24


def copied(name: str, folder: Path, environment: dict[str, str], patch: pytest.MonkeyPatch) -> Project:
    """A solution as somebody copies it, with the environment that it names."""
    shutil.copytree(PLANS / name, folder / name)
    for key, value in environment.items():
        patch.setenv(key, value)
    project = Project(folder / name)
    project.clock.time = NOW
    return project


@dataclass
class Trading:
    """The solution 旺店通 → 金蝶 beside its two systems."""

    project: Project
    wangdian: Wangdian
    kingdee: Kingdee

    async def run(self, *steps: str) -> dict[str, Finished]:
        """One run of these plans, of all when none is named."""
        return {step: await self.project.run(step) for step in steps or STEPS}

    async def settle(self) -> None:
        """Runs until what was refused has been tried again."""
        for _ in range(4):
            self.project.clock.time += 400
            await self.run()

    def bills(self) -> dict[str, Any]:
        return self.kingdee.bills.bills["SAL_OUTSTOCK"]

    def fault(self, step: str, **fault: Any) -> None:
        """A fault of one of the services."""
        self.kingdee.faults.add({"path": f"{SERVICE}{step}.", **fault})

    def written(self) -> dict[str, Any]:
        """What was handed on to be written back."""
        records = self.project.records("write-back", state="delivered")
        stories = [self.project.story("write-back", one["id"]) for one in records]
        return {story["payload"]["stockout_no"]: story["payload"] for story in stories}

    def judge(self, *, but: Collection[str] = ()) -> None:
        """Every document but some is there, once, audited, as the source has it, and its number is written back."""
        wanted = {row["stockout_no"]: row for row in self.wangdian.truth("stockouts") if row["stockout_no"] not in but}
        bills, written = self.bills(), self.written()
        assert bills.keys() == written.keys() == wanted.keys()
        assert self.kingdee.bills.books.duplicates() == []
        for number, row in wanted.items():
            bill = bills[number]
            assert bill.status == "C" and self.kingdee.stored[number].times == 1, number
            shop = int(row["shop_no"][1:])
            assert bill.row["FCustomerID"] == {"FNumber": f"KH{10 + shop}"}
            assert bill.row["FDate"] == row["consign_time"][:10] and bill.row.get("FNote", "") == row["note"]
            lines = [
                (line["FMaterialID"]["FNumber"], exact(line["FRealQty"]), exact(line["FTaxPrice"]))
                for line in bill.row["FEntity"]
            ]
            source = [(one["spec_no"], exact(one["num"]), exact(one["sell_price"])) for one in row["details_list"]]
            assert lines == source, number
            assert total(lines) == total(source) and total(lines) > 0
            assert written[number] == {
                "stockout_no": number,
                "trade_no": row["trade_no"],
                "remark": f"金蝶销售出库单 {number}",
            }


def exact(value: Any) -> Decimal:
    """A number as it was written: never a float."""
    assert not isinstance(value, float)
    return Decimal(str(value))


def total(lines: list[tuple[str, Decimal, Decimal]]) -> Decimal:
    return sum((quantity * price for _, quantity, price in lines), Decimal(0))


@asynccontextmanager
async def traded(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Trading]:
    wangdian = Wangdian(stockouts=COUNT, trades=3, start=START)
    kingdee = Kingdee(materials=30, customers=6, outstock=3, instock=0, start=START)
    async with serve(wangdian) as one, serve(kingdee) as other:
        environment = {
            "WANGDIAN_URL": f"{one.url}/openapi2",
            "WANGDIAN_SID": "demo-sid",
            "WANGDIAN_APPKEY": "demo-key",
            "WANGDIAN_APPSECRET": "demo-secret",
            "KINGDEE_URL": f"{other.url}/K3Cloud",
            "KINGDEE_ACCT_ID": "demo-acct",
            "KINGDEE_USERNAME": "demo",
            "KINGDEE_PASSWORD": "demo-password",
        }
        project = copied("wangdian-kingdee", folder, environment, patch)
        wangdian.now = project.clock.now
        kingdee.clock, kingdee.now = project.clock.steady, project.clock.now
        kingdee.bills.now = project.clock.now
        yield Trading(project, wangdian, kingdee)


@pytest.fixture
async def trading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trading]:
    """Both systems, with 24 deliveries of the shop."""
    async with traded(tmp_path, monkeypatch) as made:
        yield made


async def test_every_delivery_becomes_one_audited_document(trading: Trading) -> None:
    assert check_project(load_project(trading.project.folder), [], trading.project.folder) == []
    first = await trading.run()
    assert all(one.status == "done" for one in first.values()), first
    assert [first[step].counts.delivered for step in STEPS[2:]] == [COUNT] * 4
    trading.judge()
    trading.project.clock.time += 600
    asked = dict(trading.kingdee.requests)
    again = await trading.run()
    assert [again[step].counts.delivered for step in STEPS] == [0] * 6
    assert {key: n for key, n in trading.kingdee.requests.items() if "Query" not in key and "Auth" not in key} == {
        key: n for key, n in asked.items() if "Query" not in key and "Auth" not in key
    }
    trading.judge()


async def test_a_delivery_waits_for_its_material_and_its_customer(trading: Trading) -> None:
    kingdee = trading.kingdee
    material = next(row for row in kingdee.rows["BD_MATERIAL"] if row["FNumber"] == "SKU003")
    customer = next(row for row in kingdee.rows["BD_Customer"] if row["FShortName"] == "S02")
    kingdee.rows["BD_MATERIAL"].remove(material)
    kingdee.rows["BD_Customer"].remove(customer)
    rows = trading.wangdian.truth("stockouts")
    without_material = {
        row["stockout_no"] for row in rows if any(one["spec_no"] == "SKU003" for one in row["details_list"])
    }
    waiting = without_material | {row["stockout_no"] for row in rows if row["shop_no"] == "S02"}
    assert without_material and waiting > without_material
    await trading.run()
    trading.judge(but=waiting)
    reasons = {one["number"]: one["reason"] for one in trading.project.records("outstock", state="pending")}
    assert reasons.keys() == waiting
    for number, reason in reasons.items():
        named = ("kingdee-materials", "FNumber=SKU003"), ("kingdee-customers", "FShortName=S02")
        assert any(plan in reason and key in reason for plan, key in named), (number, reason)
    # The customer comes first; the material is there, but not audited yet.
    kingdee.rows["BD_Customer"].append({**customer, "FModifyDate": "2024-02-01T09:00:00"})
    kingdee.rows["BD_MATERIAL"].append({**material, "FDocumentStatus": "B", "FModifyDate": "2024-02-01T09:00:00"})
    trading.project.clock.time += 3600
    await trading.run()
    trading.judge(but=without_material)
    kingdee.rows["BD_MATERIAL"][-1] |= {"FDocumentStatus": "C", "FModifyDate": "2024-02-01T10:00:00"}
    trading.project.clock.time += 3600
    await trading.run()
    trading.judge()


async def test_a_refused_row_is_tried_again_and_keeps_nobody_back(trading: Trading) -> None:
    number = trading.wangdian.truth("stockouts")[5]["stockout_no"]
    trading.fault("BatchSave", kind="reject", times=1, ids=[number], message="库存不足")
    await trading.run()
    trading.judge(but={number})
    [failed] = trading.project.records("outstock", state="failed")
    assert failed["number"] == number and "库存不足" in failed["reason"]
    await trading.settle()
    trading.judge()


@pytest.mark.parametrize("step", ["BatchSave", "Submit", "Audit"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "when": "before"},
        {"kind": "cut", "when": "after"},
        {"kind": "cut", "when": "middle"},
        {"kind": "after_status", "status": 504},
        {"kind": "truncate"},
        {"kind": "status", "status": 503},
        {"kind": "expire"},
        {"kind": "throttle"},
    ],
    ids=lambda one: "-".join(str(part) for part in one.values()),
)
async def test_an_answer_that_is_lost_leaves_no_second_document(
    trading: Trading, step: str, fault: dict[str, Any]
) -> None:
    trading.fault(step, **fault)
    await trading.run()
    await trading.settle()
    trading.judge()


@pytest.mark.parametrize("questions", [1, 4, 12])
@pytest.mark.parametrize("step", ["BatchSave", "Submit", "Audit"])
async def test_a_lost_answer_that_cannot_be_asked_about_at_once(trading: Trading, step: str, questions: int) -> None:
    await trading.run("kingdee-customers", "kingdee-materials")
    trading.fault(step, kind="cut", when="after")
    trading.fault("ExecuteBillQuery", kind="status", status=503, times=questions)
    await trading.run(*STEPS[2:])
    await trading.settle()
    trading.judge()


async def test_a_step_that_somebody_took_by_hand_is_taken(trading: Trading) -> None:
    """Whoever submits or audits a document in 金蝶 meanwhile has done what the plan was to do."""
    await trading.run(*STEPS[:3])
    numbers = sorted(trading.bills())
    for number in numbers[:3]:
        trading.kingdee.bills.step("SAL_OUTSTOCK", "Submit", "", number)
    trading.kingdee.bills.step("SAL_OUTSTOCK", "Audit", "", numbers[0])
    await trading.run()
    await trading.settle()
    trading.judge()


async def test_a_delivery_counts_from_when_it_has_left(trading: Trading) -> None:
    row = trading.wangdian.truth("stockouts")[4]
    row["status"] = "55"
    await trading.run()
    trading.judge(but={row["stockout_no"]})
    assert [one["number"] for one in trading.project.records("outstock", state="skipped")] == [row["stockout_no"]]
    row |= {"status": "95", "modified": "2024-02-01 08:30:00"}
    trading.project.clock.time += 3600
    await trading.run()
    trading.judge()


async def test_faults_in_every_step_at_once(trading: Trading) -> None:
    refused = trading.wangdian.truth("stockouts")[2]["stockout_no"]
    trading.fault("BatchSave", kind="reject", times=1, ids=[refused], message="库存不足")
    for step in ("ExecuteBillQuery", "BatchSave", "Submit", "Audit"):
        trading.fault(step, kind="expire")
        trading.fault(step, kind="cut", when="after", times=4, every=2)
    await trading.run()
    await trading.settle()
    trading.judge()


# --- 钉钉 and OKKI


def mirrored(dingtalk: DingTalk, *, without: Collection[str] = ()) -> Account:
    """An account in which departments and people have the names they have in 钉钉; some aren't in it."""
    account = make_account(1, users=0, departments=1, companies=0, orders=0, leads=0, invalid=0)
    names = {ROOT: "我的企业"} | {row["dept_id"]: row["name"] for row in dingtalk.departments if row["dept_id"] != ROOT}
    account.departments += [
        {"id": str(5000 + n), "layer": 1, "name": name, "parent_id": "0", "parent_name": "我的企业"}
        for n, (number, name) in enumerate(names.items())
        if number != ROOT
    ]
    ids = {row["name"]: row["id"] for row in account.departments}
    for n, user in enumerate(dingtalk.users):
        if user["userid"] in without:
            continue
        name = names[user["dept_id_list"][0]]
        # Who has an e-mail there has the same here; the name may be another.
        account.users.append(
            {
                "user_id": str(70_000 + n),
                "nickname": f"u{n}",
                "full_name": f"{user['name']}*" if user.get("email") else user["name"],
                "email": user.get("email") or f"other{n}@example.com",
                "enable_flag": "1",
                "department_id": ids[name],
                "department_name": name,
            }
        )
    return account


@dataclass
class Matching:
    """The solution 钉钉 ↔ OKKI beside its two systems."""

    project: Project
    dingtalk: DingTalk
    okki: Okki

    async def run(self) -> dict[str, Finished]:
        return {key: await self.project.run(key) for key in MATCHING}

    def matches(self) -> dict[str, Any]:
        """What was found for each person."""
        return {
            one["id"]: self.project.story("matches", one["id"])["payload"]
            for one in self.project.records("matches", state="delivered")
        }

    def wanted(self) -> dict[str, Any]:
        """What two lists that are laid side by side give."""
        names = {row["dept_id"]: row["name"] for row in self.dingtalk.departments} | {ROOT: "我的企业"}
        departments = {row["name"]: row["id"] for row in self.okki.account.departments}
        by_email = {(one["department_name"], one["email"]): one["user_id"] for one in self.okki.account.users}
        by_name = {(one["department_name"], one["full_name"]): one["user_id"] for one in self.okki.account.users}
        found = {}
        for user in self.dingtalk.users:
            department, email = names[user["dept_id_list"][0]], user.get("email")
            match = by_email.get((department, email)) if email else by_name.get((department, user["name"]))
            if match is not None:
                found[user["userid"]] = {
                    "userid": user["userid"],
                    "name": user["name"],
                    **({"email": email} if email else {}),
                    "department": department,
                    "okki_department_id": departments[department],
                    "okki_user_id": match,
                }
        return found


@pytest.fixture
async def matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Matching]:
    """Both systems, with 40 people in 8 departments; who is in OKKI, a test says."""
    dingtalk = DingTalk(users=40, departments=8, approvals=0, seed=4)
    okki = Okki(mirrored(dingtalk))
    async with serve(dingtalk) as one, serve(okki) as other:
        environment = {
            "DINGTALK_URL": one.url,
            "DINGTALK_APP_KEY": "dingdemo",
            "DINGTALK_APP_SECRET": "demo-secret",
            "OKKI_URL": other.url,
        }
        project = copied("dingtalk-okki", tmp_path, environment, monkeypatch)
        okki.now = okki.api.now = okki.api.mover.now = project.clock.now
        yield Matching(project, dingtalk, okki)


async def test_each_person_finds_their_user_once(matching: Matching) -> None:
    assert check_project(load_project(matching.project.folder), [], matching.project.folder) == []
    assert sum(len(user["dept_id_list"]) > 1 for user in matching.dingtalk.users) > 3
    assert matching.dingtalk.users[0]["dept_id_list"] == [ROOT]
    first = await matching.run()
    assert all(one.status == "done" for one in first.values()), first
    assert matching.matches() == matching.wanted() and len(matching.matches()) == 40
    again = await matching.run()
    assert [one.counts.delivered for one in again.values()] == [0] * 5
    assert matching.project.counts("matches") == {"delivered": 40}


async def test_who_has_no_user_waits_says_so_and_is_marked_in_the_end(matching: Matching) -> None:
    users = matching.dingtalk.users
    by_email = next(user for user in users if user.get("email"))
    by_name = next(user for user in users if not user.get("email") and user["dept_id_list"] != [ROOT])
    lost = {users[0]["userid"], by_email["userid"], by_name["userid"]}
    whole = matching.okki.account
    matching.okki.api.account = mirrored(matching.dingtalk, without=lost)
    await matching.run()
    assert matching.matches() == matching.wanted() and len(matching.matches()) == 37
    reasons = {one["id"]: one["reason"] for one in matching.project.records("matches", state="pending")}
    assert reasons.keys() == lost and all("okki-users" in reason for reason in reasons.values())
    assert f"email={by_email['email']}" in reasons[by_email["userid"]]
    assert f"full_name={by_name['name']}" in reasons[by_name["userid"]]
    assert "department_name=我的企业" in reasons[users[0]["userid"]]
    # One of them comes; the others are marked when they have waited long enough.
    found = [one for one in whole.users if one["email"] == by_email["email"]]
    matching.okki.account.users += found
    matching.project.clock.time += 3600
    await matching.run()
    assert matching.matches() == matching.wanted() and len(matching.matches()) == 38
    matching.project.clock.time += 8 * 86_400
    await matching.run()
    marked = {one["id"]: one["reason"] for one in matching.project.records("matches", state="invalid")}
    assert marked.keys() == lost - {by_email["userid"]}
    assert "okki_user_id" in marked[by_name["userid"]] and by_name["name"] in marked[by_name["userid"]]
    # They come after all, and somebody asks for them again.
    matching.okki.api.account = whole
    await matching.project.run("okki-users")
    project = matching.project
    project.ledger("matches", lambda ledger, plan: ledger.records.replay(plan, project.clock.now(), state="invalid"))
    await matching.run()
    assert matching.matches() == matching.wanted() and len(matching.matches()) == 40


async def test_a_department_that_is_missing_is_named(matching: Matching) -> None:
    gone = matching.okki.account.departments.pop()
    people = {
        user["userid"]
        for user in matching.dingtalk.users
        if {row["dept_id"]: row["name"] for row in matching.dingtalk.departments}[user["dept_id_list"][0]]
        == gone["name"]
    }
    assert people
    await matching.run()
    reasons = {one["id"]: one["reason"] for one in matching.project.records("matches", state="pending")}
    assert reasons.keys() == people
    assert all("okki-departments" in one and f"name={gone['name']}" in one for one in reasons.values())


@pytest.mark.parametrize("kind", ["expire", "truncate", "cut", "throttle"])
async def test_faults_of_both_systems_change_nothing(matching: Matching, kind: str) -> None:
    matching.dingtalk.faults.add({"kind": kind, "path": "/topapi/v2", "times": 4, "every": 5})
    matching.okki.faults.add({"kind": kind, "path": "/v1/user"})
    await matching.run()
    matching.project.clock.time += 3600
    await matching.run()
    assert matching.matches() == matching.wanted() and len(matching.matches()) == 40


# --- the command


@pytest.mark.parametrize(
    ("name", "waiting", "whole"), [("dingtalk-okki", [20, 10, 10], 200), ("wangdian-kingdee", [4, 0, 0], 60)]
)
def test_a_demo_of_each_solution_proves_itself(
    name: str, waiting: list[int], whole: int, tmp_path: Path, called: Any
) -> None:
    code, out, err = called("demo", "--solution", name, tmp_path / "copy", "--json")
    result = json.loads(out)
    assert code == 0 and result["equal"], err
    assert [proof["waiting"] for proof in result["proofs"]] == waiting
    assert all(proof["differences"] == [] for proof in result["proofs"])
    assert [proof.get("people", proof.get("deliveries")) for proof in result["proofs"]] == [whole] * 3
    assert sum(one["delivered"] for one in result["third"]) == 0
    text = (tmp_path / "copy" / "noria.toml").read_text("utf-8")
    assert 'secret = "env:' in text and "demo-secret" not in text
    code, out, err = called("demo", "--solution", name, tmp_path / "copy", "--json")
    assert code != 0 and "noria.toml" in err + out, "it overwrites nothing"


def test_an_unknown_solution_is_named_with_those_there_are(called: Any) -> None:
    code, out, err = called("demo", "--solution", "okki-sap")
    assert code == 2 and "okki-sap" in out + err and "wangdian-kingdee" in out + err


def test_solutions_are_shipped_and_hold_no_secret() -> None:
    settings = tomllib.loads((PLANS.parent / "pyproject.toml").read_text("utf-8"))
    shipped = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(shipped.values()) == {f"noria/solutions/{name}" for name in SOLUTIONS}
    assert set(shipped) == {f"plans/{folder.parent.name}" for folder in PLANS.glob("*/noria.toml")}
    for folder in shipped:
        connections = tomllib.loads((PLANS.parent / folder / "noria.toml").read_text("utf-8"))["connections"]
        values = [value for one in connections.values() for key, value in one.items() if key != "connector"]
        assert all(value.startswith("env:") for value in values)
