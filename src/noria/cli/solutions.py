"""`noria demo --solution`: a solution of `plans/` beside simulators of the systems that it connects, and the proof."""

from __future__ import annotations

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from noria.cli.beside import ask, runs, runs_table, simulator, truth
from noria.cli.output import console
from noria.engine import Finished
from noria.ledger import Ledger, ledger_of
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import PROJECT_FILE, load_project

_SERVICE = "/K3Cloud/Kingdee.BOS.WebApi.ServicesStub."
_COLUMNS = ("staged", "unchanged", "delivered", "waiting", "retried", "requests")
# Not secrets: the simulators' own default accounts.
_OKKI = {"OKKI_CLIENT_ID": "demo-client", "OKKI_CLIENT_SECRET": "demo-secret"}
_DINGTALK = {"DINGTALK_APP_KEY": "dingdemo", "DINGTALK_APP_SECRET": "demo-secret"}
_WANGDIAN = {"WANGDIAN_SID": "demo-sid", "WANGDIAN_APPKEY": "demo-key", "WANGDIAN_APPSECRET": "demo-secret"}
_KINGDEE = {"KINGDEE_ACCT_ID": "demo-acct", "KINGDEE_USERNAME": "demo", "KINGDEE_PASSWORD": "demo-password"}


def solution_folder(name: str) -> Traversable:
    """Where a solution is: in the package, or beside it where noria runs out of its repository; raises `NoriaError`."""
    shipped = resources.files("noria").joinpath("solutions", name)
    if shipped.joinpath(PROJECT_FILE).is_file():
        return shipped
    beside = Path(__file__).parents[3] / "plans" / name
    if (beside / PROJECT_FILE).is_file():
        return beside
    raise NoriaError("no_solution", Message("demo.no_solution", {"name": name, "folder": str(beside)}))


def write_solution(name: str, folder: Path) -> None:
    """Copy a solution; raises `NoriaError` where there is a project already."""
    if (folder / PROJECT_FILE).exists():
        message = Message("init.exists", {"path": str(folder / PROJECT_FILE)})
        raise NoriaError("exists", message, path=PROJECT_FILE, hint=Message("init.exists_hint"))
    with resources.as_file(solution_folder(name)) as found:
        shutil.copytree(found, folder, dirs_exist_ok=True)


class Scene(ABC):
    """The systems of a solution. `plans`: in the order in which they run; `main`: the one whose waiting records are
    shown; `environment`: what `noria.toml` names."""

    name: ClassVar[str]
    plans: ClassVar[Sequence[str]]
    main: ClassVar[str]
    systems: dict[str, dict[str, str]]

    @abstractmethod
    def opened(self) -> AbstractContextManager[dict[str, str]]:
        """Both systems, answering; gives the environment."""

    @abstractmethod
    def faults(self) -> int:
        """What goes wrong in the first run; gives how many."""

    @abstractmethod
    def happens(self) -> Message:
        """What happens before the second run: some of what was missing comes."""

    @abstractmethod
    def proof(self, ledger: Ledger) -> dict[str, Any]:
        """What the systems and the ledger have, compared: `equal`, and the figures of `said`."""

    @abstractmethod
    def said(self, proof: dict[str, Any]) -> str:
        """The proof in words."""


class People(Scene):
    """钉钉 and OKKI: who is in the one is in the other, but for every tenth; half of these come later."""

    name = "dingtalk-okki"
    plans = ("dingtalk-departments", "dingtalk-users", "okki-departments", "okki-users", "matches")
    main = "matches"

    @contextmanager
    def opened(self) -> Iterator[dict[str, str]]:
        """Both systems; OKKI's departments and users are made after 钉钉's."""
        with (
            simulator("dingtalk", "--users=200", "--departments=12", "--approvals=0", "--per-second=0") as dingtalk,
            simulator("okki", "--users=0", "--departments=1") as okki,
        ):
            self.systems = {"dingtalk": dingtalk, "okki": okki}
            self._mirror()
            yield {"DINGTALK_URL": dingtalk["url"], "OKKI_URL": okki["url"], **_DINGTALK, **_OKKI}

    def _mirror(self) -> None:
        """Departments and users of the same names and e-mails in OKKI."""
        self.people = truth(self.systems["dingtalk"], "users")
        listed = truth(self.systems["dingtalk"], "departments")
        self.names: dict[Any, str] = {1: "我的企业", **{row["dept_id"]: row["name"] for row in listed}}
        self.ids = {row["name"]: str(5000 + n) for n, row in enumerate(listed)} | {"我的企业": "0"}
        top = {"layer": 1, "parent_id": "0", "parent_name": "我的企业"}
        departments = [{"id": self.ids[row["name"]], "name": row["name"], **top} for row in listed]
        self._insert("departments", departments)
        self.users = [self._user(n, person) for n, person in enumerate(self.people)]
        self.late = self.users[5::20]
        away = [one["user_id"] for one in self.users[5::10]]
        self._insert("users", [one for one in self.users if one["user_id"] not in away])
        self.there = {one["user_id"] for one in self.users} - set(away)

    def _user(self, number: int, person: dict[str, Any]) -> dict[str, Any]:
        department = self.names[person["dept_id_list"][0]]
        return {
            "user_id": str(70_000 + number),
            "nickname": f"u{number}",
            "full_name": person["name"],
            "email": person.get("email") or f"other{number}@example.com",
            "enable_flag": "1",
            "department_id": self.ids[department],
            "department_name": department,
        }

    def _insert(self, kind: str, rows: list[dict[str, Any]]) -> None:
        changes = [{"op": "insert", "list": kind, "fields": row} for row in rows]
        ask(self.systems["okki"]["control"] + "/mutate", changes)

    def faults(self) -> int:
        """A token that is no longer valid and an answer that is cut short, in both systems."""
        dingtalk = [{"kind": kind, "path": "/topapi/v2", "skip": 3} for kind in ("expire", "truncate")]
        okki = [{"kind": kind, "path": "/v1/user"} for kind in ("expire", "truncate")]
        ask(self.systems["dingtalk"]["control"] + "/faults", dingtalk)
        ask(self.systems["okki"]["control"] + "/faults", okki)
        return len(dingtalk) + len(okki)

    def happens(self) -> Message:
        """Half of those who are missing get a user."""
        self._insert("users", self.late)
        self.there |= {one["user_id"] for one in self.late}
        return Message("demo.users_come", {"count": len(self.late)})

    def proof(self, ledger: Ledger) -> dict[str, Any]:
        """Each person's match is one of those that two lists laid side by side give; who has none waits."""
        found = {one["userid"]: one for one in payloads(ledger, "matches")}
        wrong = []
        for person in self.people:
            department, email = self.names[person["dept_id_list"][0]], person.get("email")
            key, value = ("email", email) if email else ("full_name", person["name"])
            fitting = {
                one["user_id"]
                for one in self.users
                if one["user_id"] in self.there and (one["department_name"], one[key]) == (department, value)
            }
            own = found.get(person["userid"])
            said = (own["department"], own["okki_department_id"]) if own else (department, self.ids[department])
            match = own["okki_user_id"] if own else None
            if said != (department, self.ids[department]) or (match not in fitting if fitting else match is not None):
                wrong.append(person["userid"])
        waiting = ledger.records.counts(ledger.runs.known_plan("matches") or 0).get("pending", 0)
        equal = not wrong and len(found) + waiting == len(self.people)
        figures = {"people": len(self.people), "matched": len(found), "waiting": waiting}
        return {**figures, "differences": wrong[:20], "equal": equal}

    def said(self, proof: dict[str, Any]) -> str:
        """The proof in words."""
        return t("demo.people_proof" if proof["equal"] else "demo.people_differ", **proof)


class Trade(Scene):
    """旺店通 and 金蝶: one of the materials comes later."""

    name = "wangdian-kingdee"
    plans = ("kingdee-customers", "kingdee-materials", "outstock", "submit", "audit", "write-back")
    main = "outstock"

    @contextmanager
    def opened(self) -> Iterator[dict[str, str]]:
        """Both systems; goods are SKU000 to SKU024, and the last one is no material yet."""
        with (
            simulator("wangdian", "--stockouts=60", "--trades=0") as wangdian,
            simulator("kingdee", "--materials=24", "--customers=6", "--outstock=0", "--instock=0") as kingdee,
        ):
            self.systems = {"wangdian": wangdian, "kingdee": kingdee}
            addresses = {"WANGDIAN_URL": f"{wangdian['url']}/openapi2", "KINGDEE_URL": f"{kingdee['url']}/K3Cloud"}
            yield {**addresses, **_WANGDIAN, **_KINGDEE}

    def faults(self) -> int:
        """Sessions that are gone, and answers that are lost after the document was saved, submitted, audited."""
        forms = f"{_SERVICE}DynamicFormService."
        faults = [
            {"kind": "expire", "path": f"{forms}ExecuteBillQuery."},
            {"kind": "cut", "when": "after", "path": f"{forms}BatchSave."},
            {"kind": "expire", "path": f"{forms}BatchSave.", "skip": 1},
            {"kind": "after_status", "status": 504, "path": f"{forms}Submit."},
            {"kind": "cut", "when": "after", "path": f"{forms}Audit."},
        ]
        ask(self.systems["kingdee"]["control"] + "/faults", faults)
        return len(faults)

    def happens(self) -> Message:
        """Somebody makes the material that is missing."""
        url = self.systems["kingdee"]["url"] + _SERVICE
        account = {"acctID": "demo-acct", "username": "demo", "password": "demo-password", "lcid": 2052}
        login = json.loads(ask(f"{url}AuthService.ValidateUser.common.kdsvc", account))
        model = {"FNumber": "SKU024", "FName": "新物料", "FForbidStatus": "A"}
        data = {"formid": "BD_MATERIAL", "data": {"IsAutoSubmitAndAudit": True, "Model": model}}
        session = {"kdservice-sessionid": login["KDSVCSessionId"]}
        ask(f"{url}DynamicFormService.Save.common.kdsvc", data, session)
        return Message("demo.material_comes", {"number": "SKU024"})

    def proof(self, ledger: Ledger) -> dict[str, Any]:
        """Each delivery is one audited document of its lines, and its number is written back; or it waits."""
        rows = {row["stockout_no"]: row for row in truth(self.systems["wangdian"], "stockouts")}
        lines: dict[str, list[dict[str, Any]]] = {}
        for line in truth(self.systems["kingdee"], "SAL_OUTSTOCK"):
            lines.setdefault(line["FBillNo"], []).append(line)
        written = {one["stockout_no"] for one in payloads(ledger, "write-back")}
        plan = ledger.runs.known_plan("outstock") or 0
        waiting = {one["number"] for one in ledger.records.select(plan, state="pending")}
        twice = json.loads(ask(self.systems["kingdee"]["control"] + "/state"))["duplicates"]
        wrong = [
            number
            for number, row in rows.items()
            if number not in waiting and (number not in written or _held(lines.get(number, [])) != _wanted(row))
        ]
        total = sum(
            (quantity * price for found in lines.values() for _, quantity, price in _figures(found)), Decimal(0)
        )
        odd = waiting & lines.keys() or lines.keys() - rows.keys()
        return {
            "deliveries": len(rows),
            "documents": len(lines),
            "written_back": len(written),
            "waiting": len(waiting),
            "total": f"{total:.4f}",
            "duplicates": len(twice),
            "differences": wrong[:20],
            "equal": not wrong and not twice and not odd and len(lines) + len(waiting) == len(rows),
        }

    def said(self, proof: dict[str, Any]) -> str:
        """The proof in words."""
        return t("demo.trade_proof" if proof["equal"] else "demo.trade_differs", **proof)


def _figures(lines: list[dict[str, Any]]) -> list[tuple[str, Decimal, Decimal]]:
    return [
        (line["FMaterialID.FNumber"], Decimal(str(line["FRealQty"])), Decimal(str(line["FTaxPrice"]))) for line in lines
    ]


def _held(lines: list[dict[str, Any]]) -> tuple[Any, ...]:
    """A document: its states, its customers, its lines."""
    states = {line["FDocumentStatus"] for line in lines}
    return states, {line["FCustomerID.FNumber"] for line in lines}, sorted(_figures(lines))


def _wanted(row: dict[str, Any]) -> tuple[Any, ...]:
    """The document that a delivery is to become."""
    lines = [(one["spec_no"], Decimal(str(one["num"])), Decimal(str(one["sell_price"]))) for one in row["details_list"]]
    return {"C"}, {f"KH{10 + int(row['shop_no'][1:])}"}, sorted(lines)


def payloads(ledger: Ledger, key: str) -> list[dict[str, Any]]:
    """What a plan has delivered."""
    plan = ledger.runs.known_plan(key) or 0
    found = [ledger.records.with_bodies(plan, one) for one in ledger.records.select(plan, state="delivered")]
    return [json.loads(msgspec.json.encode(one["payload"])) for one in found]


def _hurried(folder: Path) -> None:
    """A demo's plans try again after a second."""
    for file in (folder / "plans").glob("*.json"):
        plan = json.loads(file.read_text("utf-8"))
        plan["options"] = {**plan.get("options", {}), "retry": {"wait": 1}}
        file.write_text(json.dumps(plan, ensure_ascii=False, indent=2), encoding="utf-8")


SOLUTIONS: dict[str, type[Scene]] = {scene.name: scene for scene in (People, Trade)}


class Solution:
    """A solution's demo: three runs, with faults in the first, something that comes before the second."""

    def __init__(self, scene: type[Scene], folder: Path, *, quiet: bool) -> None:
        self.scene = scene()
        self.folder = folder
        self.quiet = quiet
        self.out = console()

    def run(self) -> dict[str, Any]:
        """From beginning to end; gives its figures."""
        scene, started = self.scene, time.monotonic()
        write_solution(scene.name, self.folder)
        _hurried(self.folder)
        with ExitStack() as stack:
            os.environ.update(stack.enter_context(scene.opened()))
            addresses = " · ".join(f"{name} {one['url']}" for name, one in scene.systems.items())
            self._say(t("demo.solution", name=scene.name, folder=self.folder, systems=addresses))
            faults = scene.faults()
            first = self._runs()
            reasons = self._reasons()
            proofs = [self._proof()]
            event = scene.happens()
            second = self._runs()
            proofs.append(self._proof())
            third = self._runs()
            proofs.append(self._proof())
            still = sum(one.counts.delivered for one in third) == 0
            equal = still and all(proof["equal"] for proof in proofs)
        seconds = round(time.monotonic() - started, 2)
        finished = {"first": first, "second": second, "third": third}
        if not self.quiet:
            self._tell(finished, faults, reasons, event, proofs, equal=equal, seconds=seconds)
        shown = {name: [one.to_json() for one in ran] for name, ran in finished.items()}
        return {**shown, "faults": faults, "proofs": proofs, "seconds": seconds, "equal": equal}

    def _runs(self) -> list[Finished]:
        return runs(self.folder, self.scene.plans, quiet=self.quiet)

    def _proof(self) -> dict[str, Any]:
        with ledger_of(load_project(self.folder)) as ledger:
            return self.scene.proof(ledger)

    def _reasons(self) -> list[tuple[str, str]]:
        """Some that wait, and for what."""
        with ledger_of(load_project(self.folder)) as ledger:
            plan = ledger.runs.known_plan(self.scene.main) or 0
            found = ledger.records.select(plan, state="pending", limit=3)
            return [(str(one["number"] or one["id"]), str(one["reason"])) for one in found]

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.out.print(text)

    def _tell(
        self,
        finished: dict[str, list[Finished]],
        faults: int,
        reasons: list[tuple[str, str]],
        event: Message,
        proofs: list[dict[str, Any]],
        *,
        equal: bool,
        seconds: float,
    ) -> None:
        out = self.out
        out.print()
        out.print(runs_table([(t("demo." + name), ran) for name, ran in finished.items()], _COLUMNS))
        out.print(t("demo.solution_faults", count=faults), style="dim")
        out.print(f"\n[bold]{t('demo.waiting')}[/]")
        for number, reason in reasons:
            out.print(f"  {number}  {reason}", markup=False)
        out.print(str(event), style="dim")
        out.print()
        for name, proof in zip(finished, proofs, strict=True):
            out.print(f"{t('demo.' + name)}: {self.scene.said(proof)}", style="green" if proof["equal"] else "red")
        if equal:
            out.print(t("demo.solution_end", seconds=f"{seconds:.1f}"), style="green")
