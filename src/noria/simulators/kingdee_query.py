"""What a query of a simulated 金蝶云星空 may say: FieldKeys, FilterString, OrderString, and which rows they mean."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from noria.simulators.kingdee_data import Form
from noria.simulators.wire import Refused, whole

MOST, UNLIMITED = 2000, 10_000
_TOKEN = re.compile(
    r"\s*(?:(?P<text>N?'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<op>>=|<=|=|>|<)|(?P<mark>[(),])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*))"
)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.\d+)?)?$")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_KEYS = {"FormId", "FieldKeys", "FilterString", "OrderString", "TopRowCount", "StartRow", "Limit", "SubSystemId"}
Test = Callable[[dict[str, Any]], bool]


def select(form: Form, rows: list[dict[str, Any]], asked: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The fields and the rows that a query asks for; raises `Refused`."""
    unknown = sorted(set(asked) - _KEYS)
    if unknown:
        raise Refused(500, f"未知参数 {unknown}")
    keys = asked.get("FieldKeys")
    if not isinstance(keys, str) or not keys.strip():
        raise Refused(500, "FieldKeys 不能为空，必须是逗号分隔的文本")
    fields = [_field(form, key.strip()) for key in keys.split(",")]
    start, limit, top = (_count(asked, name) for name in ("StartRow", "Limit", "TopRowCount"))
    if limit > MOST:
        raise Refused(500, f"Limit 不能超过 {MOST}")
    tests = _filter(form, asked.get("FilterString") or "")
    found = [row for row in rows if all(test(row) for test in tests)]
    for field, descending in reversed(_order(form, asked.get("OrderString") or "")):
        found.sort(key=lambda row: _sortable(row.get(field)), reverse=descending)
    return fields, found[: top or None][start : start + (limit or UNLIMITED)]


def _field(form: Form, name: str) -> str:
    found = form.named.get(name.lower())
    if found is None:
        raise Refused(500, f"字段不存在：{name}")
    return found


def _count(asked: dict[str, Any], name: str) -> int:
    value = asked.get(name)
    found = 0 if value in (None, "") else whole(value)
    if found is None:
        raise Refused(500, f"{name} 必须是不小于 0 的整数")
    return found


def _order(form: Form, text: object) -> list[tuple[str, bool]]:
    if not isinstance(text, str):
        raise Refused(500, "OrderString 必须是文本")
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, way = part.partition(" ")
        if way.strip().lower() not in ("", "asc", "desc"):
            raise Refused(500, f"OrderString 语法错误：{part}")
        found.append((_field(form, name), way.strip().lower() == "desc"))
    return found


def _sortable(value: Any) -> tuple[int, Any]:
    """A key that sorts numbers, texts and nothing."""
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, int | Decimal) else (2, _dated(str(value)))


# --- FilterString: comparisons joined by `and`


def _filter(form: Form, text: object) -> list[Test]:
    if not isinstance(text, str):
        raise Refused(500, "FilterString 必须是文本")
    tokens = _tokens(text)
    tests: list[Test] = []
    while tokens:
        tests.append(_comparison(form, tokens))
        if tokens and (tokens.pop(0)[1].lower() != "and" or not tokens):
            raise Refused(500, "FilterString 语法错误：只能用 and 连接")
    return tests


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused(500, f"FilterString 语法错误：{text[at : at + 20]}")
        found.append((str(match.lastgroup), match.group().strip()))
        at = match.end()
    return found


def _comparison(form: Form, tokens: list[tuple[str, str]]) -> Test:
    field = _field(form, _take(tokens, "word"))
    if tokens and tokens[0][1].lower() == "in":
        tokens.pop(0)
        values = [_equal(field, value) for value in _listed(tokens)]
        return lambda row: any(test(row) for test in values)
    compare = _COMPARE[_take(tokens, "op")]
    value = _literal(tokens)
    return lambda row: _compared(row.get(field), compare, value)


def _equal(field: str, value: str) -> Test:
    return lambda row: _compared(row.get(field), operator.eq, value)


def _listed(tokens: list[tuple[str, str]]) -> list[str]:
    values = []
    mark = "("
    while mark != ")":
        if _take(tokens, "mark") != mark:
            raise Refused(500, "FilterString 语法错误：in 列表")
        values.append(_literal(tokens))
        mark = "," if tokens and tokens[0][1] == "," else ")"
    if _take(tokens, "mark") != ")":
        raise Refused(500, "FilterString 语法错误：in 列表")
    return values


def _take(tokens: list[tuple[str, str]], kind: str) -> str:
    if not tokens or tokens[0][0] != kind:
        raise Refused(500, f"FilterString 语法错误：{tokens[0][1] if tokens else '意外结束'}")
    return tokens.pop(0)[1]


def _literal(tokens: list[tuple[str, str]]) -> str:
    if tokens and tokens[0][0] == "number":
        return tokens.pop(0)[1]
    return _take(tokens, "text").removeprefix("N")[1:-1].replace("''", "'")


def _compared(held: Any, compare: Callable[[Any, Any], bool], value: str) -> bool:
    if held is None:
        return False
    if isinstance(held, bool):
        return compare(str(int(held)), value)
    if isinstance(held, int | Decimal):
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            raise Refused(500, f"FilterString 类型错误：{value}")
        return compare(Decimal(held), Decimal(value))
    return compare(_dated(str(held)), _dated(value))


def _dated(text: str) -> str:
    """A time in the one form that compares; any other text as it is."""
    match = _DATE.match(text)
    return f"{match[1]} {match[2] or '00:00:00'}" if match else text
