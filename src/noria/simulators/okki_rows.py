"""Rows of a simulated 小满 OKKI account: seeded, with the field types and traps of the vendor's documents."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from noria.simulators.names import CITIES, GIVEN, PLACES, SURNAMES, WORK
from noria.simulators.okki_facts import facts

_GIVEN = (*GIVEN, "😀", "·买买提")
_GOODS = ("五金", "灯具", "玩具", "纺织", "陶瓷", "电子")
NEVER = "1970-01-01 00:00:00"
_FIRST_DAY = datetime(2024, 1, 1, 8, 0, 0, tzinfo=UTC)


def department(n: int) -> dict[str, Any]:
    if n == 0:
        return {"id": "0", "layer": 0, "name": "我的企业", "parent_id": "", "parent_name": ""}
    name = f"{PLACES[(n // len(WORK)) % len(PLACES)]}{WORK[n % len(WORK)]}部" + (f"{n}" if n > 50 else "")
    return {"id": str(1000 + n), "layer": 1, "name": name, "parent_id": "0", "parent_name": "我的企业"}


def user(chooser: random.Random, n: int, departments: list[dict[str, Any]]) -> dict[str, Any]:
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


def _order(seed: int, n: int) -> dict[str, Any]:
    chooser = random.Random(seed * 7_000_003 + n)
    cents = chooser.randrange(100, 10_000_000)
    return {
        "order_id": 2_000_000_000 + n,
        "order_no": f"SO{n:08d}",
        "account_date": _moment(seed, n)[:10],
        "name": f"订单{n}",
        "exchange_rate": Decimal(f"{chooser.randrange(60000, 75000) / 100:.2f}"),
        "currency": chooser.choice(("USD", "EUR", "CNY")),
        "amount": Decimal(f"{cents // 100}.{cents % 100:02d}"),
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


def _document(name: str, seed: int, n: int) -> dict[str, Any]:
    """A row of a list of which nothing is known but its columns."""
    own, chooser = facts().lists[name], random.Random(f"{name}/{seed}/{n}")
    row = {column: _value(kind, chooser, f"{own.title}{n}", _moment(seed, n)) for column, kind in own.columns.items()}
    row[own.id] = str(own.first + n) if own.columns[own.id] == "string" else own.first + n
    if own.number:
        row[own.number] = number_of(name, n)
    if "system_flag" in row:
        row["system_flag"] = "01"[n == 0]
    return row


def _value(kind: str, chooser: random.Random, text: str, moment: str) -> Any:
    match kind:
        case "integer":
            return chooser.randrange(1, 5)
        case "amount":
            return Decimal(chooser.randrange(100, 10_000_000)).scaleb(-2)
        case "time":
            return moment
        case "date":
            return moment[:10]
        case "currency":
            return chooser.choice(("USD", "EUR", "CNY"))
        case "array" | "object":
            return [] if kind == "array" else {}
        case _:
            return text


def number_of(name: str, n: int) -> str:
    """The number that row `n` of a list is given."""
    prefix = {"companies": "C", "orders": "SO", "leads": "L"}.get(name) or name[:3].upper()
    return f"{prefix}{n:08d}"


MAKERS: dict[str, Callable[[int, int], dict[str, Any]]] = {"companies": _company, "orders": _order, "leads": _lead}


@lru_cache(maxsize=1024)
def made(name: str, seed: int, number: int) -> dict[str, Any]:
    """A row of a made list, which lists that move are asked for again and again; to be copied."""
    maker = MAKERS.get(name)
    return maker(seed, number) if maker else _document(name, seed, number)


def key_of(name: str) -> str:
    """The column of a list's ids."""
    return facts().lists[name].id


def first_id(name: str, seed: int) -> int:
    """The id of a made list's first row."""
    return int(made(name, seed, 0)[key_of(name)])
