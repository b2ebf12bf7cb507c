"""The data of a simulated 小满 OKKI account: seeded, with the field types and traps of the vendor's documents."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from noria.simulators.names import CITIES, GIVEN, PLACES, SURNAMES, WORK

_GIVEN = (*GIVEN, "😀", "·买买提")
_GOODS = ("五金", "灯具", "玩具", "纺织", "陶瓷", "电子")
NEVER = "1970-01-01 00:00:00"
_FIRST_DAY = datetime(2024, 1, 1, 8, 0, 0, tzinfo=UTC)


class Change(NamedTuple):
    """One change of the account's data: `row` is what the row is from then on, None when it is deleted; `at`: when it
    was made, as the vendor writes times (empty where nobody said)."""

    list: str
    op: str
    id: str
    row: dict[str, Any] | None
    at: str = ""


@dataclass
class Account:
    """Users and departments as lists; companies, orders and leads by number, made when asked for.

    `order`: how a list is sorted, "newest" or "oldest" first by update time; as it was made where that isn't said.
    `journal` keeps every change, so that `truth` knows the rows of any moment.
    """

    seed: int
    users: list[dict[str, Any]] = field(default_factory=list)
    departments: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    changed: dict[str, dict[str, dict[str, Any] | None]] = field(default_factory=dict)
    added: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    order: dict[str, str] = field(default_factory=dict)
    journal: list[Change] = field(default_factory=list)
    _first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Every row of a list that a perfect reader would have now."""
        if name in ("users", "departments"):
            return list(getattr(self, name))
        made = [row for row in (self.row(name, n) for n in range(self.size(name))) if row is not None]
        found = [*made, *self.added.get(name, [])]
        order = self.order.get(name)
        if order:
            found.sort(key=lambda row: row["update_time"] or "", reverse=order == "newest")
        return found

    def truth(self, name: str, at: int | None = None) -> list[dict[str, Any]]:
        """The rows of a list after the first `at` changes of the journal (all, when that isn't said), by id."""
        key = KEYS[name]
        found = {str(row[key]): row for row in self._first.get(name) or self.rows(name)}
        for change in self.journal[:at] if name in self._first else []:
            if change.list != name:
                continue
            if change.row is None:
                found.pop(change.id, None)
            else:
                found[change.id] = change.row
        return list(found.values())

    def moves(self, name: str) -> bool:
        """Whether a made list is no longer as it was made."""
        return bool(self.changed.get(name) or self.added.get(name) or self.order.get(name))

    def size(self, name: str) -> int:
        """How many rows a made list was made with, deleted ones included."""
        return self.counts.get(name, 0)

    def row(self, name: str, number: int) -> dict[str, Any] | None:
        """Row `number` of a made list, as it is now; None when it was deleted."""
        made = dict(_made(name, self.seed, number))
        changes = self.changed.get(name, {})
        key = str(made[KEYS[name]])
        if key in changes:
            change = changes[key]
            return None if change is None else {**made, **change}
        return made

    def new_row(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """A row that a made list does not have yet, with these fields."""
        number = self.size(name) + sum(one.list == name and one.op == "insert" for one in self.journal)
        return {**MAKERS[name](self.seed, number), **fields}

    def mutate(self, op: str, name: str, row_id: object, fields: dict[str, Any], at: str = "") -> None:
        """Insert, update or delete a row of a list; raises `KeyError` for a row that isn't there."""
        self._first.setdefault(name, self.rows(name))
        key, wanted = KEYS[name], str(row_id)
        own: list[dict[str, Any]] = (
            getattr(self, name) if name in ("users", "departments") else self.added.setdefault(name, [])
        )
        row: dict[str, Any] | None
        if op == "insert":
            row = fields if name in ("users", "departments") else self.new_row(name, fields)
            own.append(row)
            wanted = str(row[key])
        else:
            place = next((i for i, one in enumerate(own) if str(one[key]) == wanted), None)
            if place is not None:
                row = None if op == "delete" else {**own[place], **fields}
                own[place : place + 1] = [] if row is None else [row]
            elif name in ("users", "departments"):
                raise KeyError(wanted)
            else:
                row = self._change(op, name, wanted, fields)
        self.journal.append(Change(name, op, wanted, row, at))

    def _change(self, op: str, name: str, wanted: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        """Update or delete a row that was made."""
        key = KEYS[name]
        number = int(wanted) - int(MAKERS[name](self.seed, 0)[key])
        row = self.row(name, number) if 0 <= number < self.size(name) else None
        if row is None:
            raise KeyError(wanted)
        changes = self.changed.setdefault(name, {})
        if op == "delete":
            changes[wanted] = None
            return None
        changes[wanted] = {**(changes.get(wanted) or {}), **fields}
        return {**row, **fields}


KEYS = {
    "users": "user_id",
    "departments": "id",
    "companies": "company_id",
    "orders": "order_id",
    "leads": "lead_id",
}


def make_account(
    seed: int, *, users: int, departments: int, companies: int, orders: int, leads: int, invalid: int
) -> Account:
    """An account; `invalid` users have, in turn, an empty nickname, none, or one that another user has."""
    account = Account(seed, counts={"companies": companies, "orders": orders, "leads": leads})
    account.departments = [_department(n) for n in range(max(1, departments))]
    chooser = random.Random(seed)
    account.users = [_user(chooser, n, account.departments) for n in range(users)]
    for n in range(invalid):
        row = _user(chooser, users + n, account.departments)
        if n % 3 == 0:
            row["nickname"] = ""
        elif n % 3 == 1:
            del row["nickname"]
        elif account.users:
            row["nickname"] = account.users[(n * 7) % users]["nickname"]
        account.users.append(row)
    return account


def _department(n: int) -> dict[str, Any]:
    if n == 0:
        return {"id": "0", "layer": 0, "name": "我的企业", "parent_id": "", "parent_name": ""}
    name = f"{PLACES[(n // len(WORK)) % len(PLACES)]}{WORK[n % len(WORK)]}部" + (f"{n}" if n > 50 else "")
    return {"id": str(1000 + n), "layer": 1, "name": name, "parent_id": "0", "parent_name": "我的企业"}


def _user(chooser: random.Random, n: int, departments: list[dict[str, Any]]) -> dict[str, Any]:
    department = departments[chooser.randrange(len(departments))]
    family, given = chooser.choice(SURNAMES), chooser.choice(_GIVEN)
    number = department["id"]
    return {
        "user_id": str(55_000_000 + n),
        "email": f"user{n}@example.com",
        "nickname": f"{family}{given}{n}",
        "full_name": f"{family}{given}",
        "family_name": given,
        "second_name": family,
        "gender": chooser.choice(("0", "1", "2")),
        "position": chooser.choice(("业务员", "经理", "总监", "")),
        "enable_flag": "1",
        "user_mobile": f"138{chooser.randrange(10**8):08d}",
        "employee_no": f"E{n:05d}",
        "ames_email": "",
        # A string in the documents' schema, an integer in their examples: both occur.
        "department_id": int(number) if n % 4 == 3 else number,
        "department_name": department["name"],
        "departments": [{"department_id": int(number), "department_name": department["name"]}],
    }


def _moment(seed: int, number: int) -> str:
    return (_FIRST_DAY + timedelta(seconds=number * 61 + seed % 60)).strftime("%Y-%m-%d %H:%M:%S")


def _company(seed: int, n: int) -> dict[str, Any]:
    chooser = random.Random(seed * 1_000_003 + n)
    name = f"{chooser.choice(CITIES)}{chooser.choice(_GOODS)}进出口有限公司"
    return {
        "company_id": 1_000_000_000 + n,
        "user_id": str(55_000_000 + chooser.randrange(100)),
        "name": f"{name}{n}",
        "short_name": f"{name[:4]}{n}",
        "serial_id": f"C{n:08d}",
        "order_time": NEVER if n % 5 == 0 else _moment(seed, n),
        "create_time": _moment(seed, n),
        "update_time": _moment(seed, n),
        "create_user": 55_000_000 + chooser.randrange(100),
        "last_edit_user": 55_000_000 + chooser.randrange(100),
        "archive_type": chooser.randrange(1, 8),
        "edit_time": _moment(seed, n),
        "external_field_data": {str(9_000_000 + i): f"值{chooser.randrange(1000)}" for i in range(3)},
    }


class Money(str):
    """An amount as the digits it is written with."""

    __slots__ = ()


def _order(seed: int, n: int) -> dict[str, Any]:
    chooser = random.Random(seed * 7_000_003 + n)
    cents = chooser.randrange(100, 10_000_000)
    return {
        "order_id": 2_000_000_000 + n,
        "order_no": f"SO{n:08d}",
        "account_date": _moment(seed, n)[:10],
        "name": f"订单{n}",
        "exchange_rate": Money(f"{chooser.randrange(60000, 75000) / 100:.2f}"),
        "currency": chooser.choice(("USD", "EUR", "CNY")),
        "amount": Money(f"{cents // 100}.{cents % 100:02d}"),
        "company": {"company_id": 1_000_000_000 + chooser.randrange(1000), "name": f"客户{n % 1000}"},
        "users": [{"user_id": str(55_000_000 + chooser.randrange(100)), "rate": 100}],
        "departments_info": [],
        "create_time": _moment(seed, n),
        "update_time": _moment(seed, n),
    }


def _lead(seed: int, n: int) -> dict[str, Any]:
    return {
        "lead_id": 3_000_000_000 + n,
        "name": f"线索{n}",
        "short_name": f"线{n}",
        "serial_id": f"L{n:08d}",
        "order_time": _moment(seed, n),
        "create_time": _moment(seed, n),
        "update_time": _moment(seed, n),
        "edit_time": _moment(seed, n),
    }


MAKERS = {"companies": _company, "orders": _order, "leads": _lead}


@lru_cache(maxsize=1024)
def _made(name: str, seed: int, number: int) -> dict[str, Any]:
    """A row of a made list, which lists that move are asked for again and again; to be copied."""
    return MAKERS[name](seed, number)
