"""The compiled mapping beside hand-written Python and beside the plain interpreter of the tests, in one run.

Prints one JSON object: for each case the time of each as a multiple of the compiled one's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from tests.interpreter import interpret, remembered

from noria.mapping import Environment, Key, compile_mapping
from noria.metadata.documents import Item
from noria.metadata.macros import Moment

ZONE = ZoneInfo("Asia/Shanghai")
MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)
FOUND: dict[Key, Any] = {(str(n),): f"部门{n}" for n in range(100)}
Row = dict[str, Any]

FIELDS = [
    {"field": "id", "value": "{{id}}"},
    {"field": "name", "value": "{{name}}"},
    {"field": "code", "value": "{{code}}"},
    {"field": "dept", "value": "_findCollection find name from d where id={{dept}}"},
    {"field": "created", "value": "{{created|datetime}}"},
    {"field": "updated", "value": "{{updated|date}}"},
    {"field": "level", "value": "_function case '{{level}}' when '1' then 'A' when '2' then 'B' else 'C' end"},
    {"field": "title", "value": "{{code}}-{{name}}"},
    {"field": "area", "value": "{{o.a.b}}"},
    {"field": "amount", "value": "{{amount}}", "type": "float"},
    {"field": "qty", "value": "{{qty}}", "type": "int"},
    {"field": "mail", "value": "{{mail}}"},
]
LINES = [
    {"field": "id", "value": "{{id}}"},
    {
        "field": "lines",
        "type": "array",
        "value": "items",
        "children": [
            {"field": "sku", "value": "{{items.sku}}"},
            {"field": "qty", "value": "{{items.qty}}"},
            {"field": "price", "value": "{{items.price}}"},
            {"field": "rate", "value": "{{rate}}"},
        ],
    },
]


def records(count: int) -> list[Row]:
    """Records of twelve fields."""
    return [
        {
            "id": n,
            "name": f"名称{n}",
            "code": f"C{n}",
            "dept": n % 100,
            "created": 1_700_000_000 + n * 61,
            "updated": "2023-11-15 06:13:20",
            "level": str(n % 4),
            "o": {"a": {"b": n}},
            "amount": "12.50",
            "qty": n % 9,
            "phone": None,
            "mail": f"u{n}@example.com",
        }
        for n in range(count)
    ]


def orders(count: int) -> list[Row]:
    """Records with ten lines each."""
    lines = [{"sku": f"s{n}", "qty": n, "price": "3.20"} for n in range(10)]
    return [{"id": n, "rate": "1.5", "items": lines} for n in range(count)]


def fields_by_hand(row: Row, env: Environment) -> Row:
    """What somebody would write for `FIELDS`: nothing that is missing is sent."""
    level, created, updated, amount, qty = (row.get(k) for k in ("level", "created", "updated", "amount", "qty"))
    payload = {
        "id": row.get("id"),
        "name": row.get("name"),
        "code": row.get("code"),
        "dept": FOUND.get((str(row.get("dept")),)),
        "created": datetime.fromtimestamp(created, ZONE).strftime("%Y-%m-%d %H:%M:%S") if created else None,
        "updated": datetime.fromisoformat(updated).strftime("%Y-%m-%d") if updated else None,
        "level": "A" if level == "1" else "B" if level == "2" else "C",
        "title": f"{row.get('code') or ''}-{row.get('name') or ''}",
        "area": ((row.get("o") or {}).get("a") or {}).get("b"),
        "amount": Decimal(amount) if amount not in (None, "") else None,
        "qty": int(qty) if qty not in (None, "") else None,
        "mail": row.get("mail"),
    }
    return {key: value for key, value in payload.items() if value is not None}


def lines_by_hand(row: Row, env: Environment) -> Row:
    """Likewise for `LINES`."""
    lines = []
    for element in row.get("items") or []:
        line = {
            "sku": element.get("sku"),
            "qty": element.get("qty"),
            "price": element.get("price"),
            "rate": row.get("rate"),
        }
        lines.append({key: value for key, value in line.items() if value is not None})
    return {"id": row.get("id"), "lines": lines}


def ratios(
    items: list[Any], rows: list[Row], by_hand: Callable[[Row, Environment], Row], rounds: int
) -> dict[str, float]:
    """The best of several rounds of each, taken in turn, over the compiled mapping's."""
    tree = msgspec.convert(items, list[Item])
    mapping = compile_mapping(tree)
    env = Environment(MOMENT, found=[FOUND] * len(mapping.lookups))
    plain = Environment(MOMENT)
    plain.found = {"d": FOUND}  # type: ignore[assignment]
    ways: dict[str, Callable[[Row, Environment], Row]] = {
        "compiled": mapping.payload,
        "by hand": by_hand,
        "interpreter": lambda row, _: interpret(tree, row, plain),
        "interpreter that parses once": lambda row, _: interpret(tree, row, plain, parse=remembered),
    }
    results = [[way(row, env) for row in rows[:50]] for way in ways.values()]
    assert all(one == results[0] for one in results), "all must give the same"
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            some = rows[:200] if name == "interpreter" else rows
            started = time.perf_counter()
            for row in some:
                way(row, env)
            best[name] = min(best[name], (time.perf_counter() - started) / len(some))
    own = best["compiled"]
    return {
        "times hand-written": own / best["by hand"],
        "times faster than the interpreter": best["interpreter"] / own,
        "times faster than the interpreter that parses once": best["interpreter that parses once"] / own,
        "microseconds": own * 1e6,
    }


def main(rounds: int = 7) -> None:
    """Both cases."""
    found = {
        "12 fields": ratios(FIELDS, records(5000), fields_by_hand, rounds),
        "10 lines": ratios(LINES, orders(1000), lines_by_hand, rounds),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
