"""The bills that were saved in a simulated 金蝶云星空: their states, what a save must hold, and what a query sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from noria.simulators.books import Books, digest
from noria.simulators.kingdee_data import FORMS, Form, iso
from noria.simulators.samples import BIG
from noria.simulators.wire import Refused

_STATES = {"A": "创建", "B": "审核中", "C": "已审核", "D": "重新审核"}
# operation -> the states it wants, the state it leaves
STEPS = {"Submit": ("AD", "B"), "Audit": ("B", "C"), "UnAudit": ("C", "D"), "Delete": ("AD", "")}


@dataclass
class Bill:
    """A bill or base datum: A created, B submitted, C audited, D to be audited again."""

    form: str
    id: int
    number: str
    row: dict[str, Any]
    created: str
    modified: str
    status: str = "A"


class RowError(Refused):
    """A row that is refused, for one of its fields."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(500, message)
        self.field = field


class Bills:
    """Bills by form and number. `rows`: the seeded rows of every form, which are audited."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]], now: Callable[[], float]) -> None:
        self.rows = rows
        self.now = now
        self.bills: dict[str, dict[str, Bill]] = {form: {} for form in FORMS}
        self.books = Books()
        self._ids = 1_000_000
        self._entries = BIG + 5_000_000

    def save(self, name: str, model: Any, asked: dict[str, Any]) -> Bill:
        """Save one model; raises `RowError`."""
        if not isinstance(model, dict):
            raise RowError("Model", "Model 必须是对象")
        form = FORMS[name]
        model = dict(model)
        number = get(model, form.number)
        number = "" if number is None else str(number)
        bill_id = get(model, form.id)
        known = None
        if bill_id not in (None, 0, "0", ""):
            known = self._changeable(name, str(bill_id), number)
        elif number and self.find(name, number=number) is not None:
            raise RowError(form.number, f"违反字段唯一性要求：编码唯一。[{number}]在当前系统中已经被使用。")
        if flag(asked, "IsVerifyBaseDataField", False):
            self._verify(form, model, known)
        if known is not None:
            return self._change(form, known, model, asked)
        return self._create(form, name, number, model)

    def _changeable(self, name: str, bill_id: str, number: str) -> Bill:
        known = self.find(name, bill_id=bill_id)
        if known is None:
            raise RowError(FORMS[name].id, f"单据不存在：{bill_id}")
        if known.status not in "AD":
            raise RowError(FORMS[name].number, f"单据{_STATES[known.status]}，不能修改：{known.number}")
        if number and number != known.number:
            raise RowError(FORMS[name].number, f"单据编号不能修改：{known.number}")
        return known

    def _create(self, form: Form, name: str, number: str, model: dict[str, Any]) -> Bill:
        identity = number or digest(model)
        self._ids += 1
        given = number or f"{form.prefix}{self._ids}"
        row = {**model, form.number: given}
        for key, lines in entries(form, model).items():
            row[key] = [self._numbered(line) for line in lines]
        at = iso(self.now())
        bill = Bill(name, self._ids, given, row, at, at)
        self.bills[name][given] = bill
        self.books.make(f"{name} {identity}", given, row)
        return bill

    def _change(self, form: Form, bill: Bill, model: dict[str, Any], asked: dict[str, Any]) -> Bill:
        only = {str(field).lower() for field in asked.get("NeedUpDateFields") or []}
        lines = entries(form, model)
        heads = {key: value for key, value in model.items() if key not in lines}
        row = {**bill.row, **{key: v for key, v in heads.items() if not only or key.lower() in only}}
        for key, sent in lines.items():
            row[key] = self._merged(bill.row.get(key) or [], sent, flag(asked, "IsDeleteEntry", True), only)
        bill.row = row
        bill.modified = iso(self.now())
        self.books.write(bill.number, row)
        return bill

    def _merged(
        self, held: list[dict[str, Any]], sent: list[dict[str, Any]], drop: bool, only: set[str]
    ) -> list[dict[str, Any]]:
        """The lines after an update: those that were not sent are gone when `drop`."""
        named = {str(get(line, "FEntryID")): line for line in sent if get(line, "FEntryID")}
        known = {str(line["FEntryID"]) for line in held}
        if set(named) - known:
            raise RowError("FEntryID", f"分录不存在：{sorted(set(named) - known)}")
        lines = []
        for line in held:
            change = named.get(str(line["FEntryID"]))
            if change is not None:
                kept = {k: v for k, v in change.items() if k.lower() != "fentryid"}
                lines.append({**line, **{k: v for k, v in kept.items() if not only or k.lower() in only}})
            elif not drop:
                lines.append(line)
        return [*lines, *(self._numbered(line) for line in sent if not get(line, "FEntryID"))]

    def _numbered(self, line: dict[str, Any]) -> dict[str, Any]:
        self._entries += 1
        return {**line, "FEntryID": self._entries}

    def _verify(self, form: Form, model: dict[str, Any], known: Bill | None) -> None:
        """Whether the customer and the materials that a bill names exist."""
        if form.customer and (known is None or get(model, form.customer) is not None):
            self._exists("BD_Customer", form.customer, get(model, form.customer), "客户")
        for lines in entries(form, model).values():
            for line in lines:
                if get(line, "FEntryID") and get(line, "FMaterialID") is None:
                    continue
                self._exists("BD_MATERIAL", "FMaterialID", get(line, "FMaterialID"), "物料")

    def _exists(self, form: str, field: str, value: Any, title: str) -> None:
        number = get(value, "FNumber") if isinstance(value, dict) else None
        if number in (None, ""):
            raise RowError(field, f"字段“{title}”是必填项")
        found = self.find(form, number=str(number))
        if found is None:
            raise RowError(field, f"{title}不存在：{number}")
        if found.status != "C":
            raise RowError(field, f"{title}未审核：{number}")

    def step(self, name: str, operation: str, bill_id: str, number: str) -> Bill:
        """Submit, audit, take back or delete one bill; raises `RowError` when its state doesn't allow that."""
        bill = self.find(name, bill_id=bill_id, number=number)
        if bill is None:
            raise RowError("", f"单据不存在：{number or bill_id}")
        wanted, left = STEPS[operation]
        if bill.status not in wanted:
            raise RowError(FORMS[name].number, f"单据{_STATES[bill.status]}，不允许 {operation}：{bill.number}")
        if not left:
            self._remove(bill)
            return bill
        bill.status = left
        bill.modified = iso(self.now())
        for row in self._seeded(bill):
            row.update(FDocumentStatus=left, FModifyDate=bill.modified)
        return bill

    def _remove(self, bill: Bill) -> None:
        self.bills[bill.form].pop(bill.number, None)
        self.books.drop(bill.number)
        for row in self._seeded(bill):
            self.rows[bill.form].remove(row)

    def _seeded(self, bill: Bill) -> list[dict[str, Any]]:
        """The seeded rows of a bill: none when it was saved."""
        if bill.number in self.bills[bill.form]:
            return []
        return [row for row in self.rows[bill.form] if row[FORMS[bill.form].number] == bill.number]

    def find(self, name: str, *, bill_id: str = "", number: str = "") -> Bill | None:
        """A bill by its id or number, a saved one or a seeded one."""
        form = FORMS[name]
        for bill in [self.bills[name][number]] if number in self.bills[name] else self.bills[name].values():
            if (number and bill.number == number) or (bill_id and str(bill.id) == bill_id):
                return bill
        for row in self.rows[name]:
            if (number and row[form.number] == number) or (bill_id and str(row[form.id]) == bill_id):
                times = row["FCreateDate"], row["FModifyDate"]
                return Bill(name, row[form.id], row[form.number], dict(row), *times, row["FDocumentStatus"])
        return None

    def shown(self, name: str) -> list[dict[str, Any]]:
        """Every row of a form as a query shows it, saved bills last."""
        found = list(self.rows[name])
        for bill in self.bills[name].values():
            found += flat(FORMS[name], bill)
        return found


def flat(form: Form, bill: Bill) -> list[dict[str, Any]]:
    """A saved bill as a query shows it: a row a line."""
    lines = [line for lines in entries(form, bill.row).values() for line in lines] or [{}]
    own: dict[str, Any] = {form.id: bill.id, form.number: bill.number, "FDocumentStatus": bill.status}
    own |= {"FCreateDate": bill.created, "FModifyDate": bill.modified}
    rows = []
    for line in lines:
        row = {field: _value(line, bill.row, field) for field in form.fields}
        rows.append({**row, **own, **({form.entry_id: line.get("FEntryID")} if form.entry else {})})
    return rows


def _value(line: dict[str, Any], head: dict[str, Any], path: str) -> Any:
    for place in (line, head):
        value: Any = place
        for name in path.split("."):
            value = get(value, name) if isinstance(value, dict) else None
        if isinstance(value, list):
            value = next((one.get("Value") for one in value if isinstance(one, dict)), None)
        if value is not None:
            return value if isinstance(value, str | int | Decimal) else str(value)
    return None


def entries(form: Form, model: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The lines of a model, by the key that it gives them; raises `RowError` when they are no list of objects."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key, value in model.items():
        if form.entry and key.lower() == form.entry.lower():
            if not isinstance(value, list) or not all(isinstance(line, dict) for line in value):
                raise RowError(key, f"{key} 必须是对象数组")
            found[key] = value
    return found


def get(model: dict[str, Any], name: str) -> Any:
    """A field of a model; case doesn't matter."""
    if name in model:
        return model[name]
    return next((value for key, value in model.items() if key.lower() == name.lower()), None)


def flag(asked: dict[str, Any], name: str, default: bool) -> bool:
    """An option that is true, false, or the text of one of them."""
    value = asked.get(name)
    return default if value in (None, "") else str(value).lower() == "true"
