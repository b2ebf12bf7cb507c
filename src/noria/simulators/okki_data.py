"""The data of a simulated 小满 OKKI account: seeded, with the field types and traps of the vendor's documents."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林罗高"
_GIVEN = (
    "伟",
    "芳",
    "秀英",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "洋",
    "艳",
    "勇",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "霞",
    "𠮷祥",
    "😀",
    "·买买提",
)
_WORK = ("销售", "市场", "采购", "财务", "物流", "客服", "研发", "人事", "质检", "法务")
_PLACES = ("华东", "华南", "华北", "西南", "海外")
_CITIES = ("深圳", "杭州", "宁波", "义乌", "东莞", "苏州")
_GOODS = ("五金", "灯具", "玩具", "纺织", "陶瓷", "电子")
NEVER = "1970-01-01 00:00:00"
_FIRST_DAY = datetime(2024, 1, 1, 8, 0, 0, tzinfo=UTC)


@dataclass
class Account:
    """Users and departments as lists; companies, orders and leads by number, made when asked for."""

    seed: int
    users: list[dict[str, Any]] = field(default_factory=list)
    departments: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    changed: dict[str, dict[str, dict[str, Any] | None]] = field(default_factory=dict)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Every row of a list that a perfect reader would have now."""
        if name == "users":
            return list(self.users)
        if name == "departments":
            return list(self.departments)
        return [row for row in (self.row(name, n) for n in range(self.size(name))) if row is not None]

    def size(self, name: str) -> int:
        """How many rows a made list has, deleted ones included."""
        return self.counts.get(name, 0)

    def row(self, name: str, number: int) -> dict[str, Any] | None:
        """Row `number` of a made list, as it is now; None when it was deleted."""
        made = MAKERS[name](self.seed, number)
        changes = self.changed.get(name, {})
        key = str(made[KEYS[name]])
        if key in changes:
            change = changes[key]
            return None if change is None else {**made, **change}
        return made


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
    name = f"{_PLACES[(n // len(_WORK)) % len(_PLACES)]}{_WORK[n % len(_WORK)]}部" + (f"{n}" if n > 50 else "")
    return {"id": str(1000 + n), "layer": 1, "name": name, "parent_id": "0", "parent_name": "我的企业"}


def _user(chooser: random.Random, n: int, departments: list[dict[str, Any]]) -> dict[str, Any]:
    department = departments[chooser.randrange(len(departments))]
    family, given = chooser.choice(_SURNAMES), chooser.choice(_GIVEN)
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
    name = f"{chooser.choice(_CITIES)}{chooser.choice(_GOODS)}进出口有限公司"
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
