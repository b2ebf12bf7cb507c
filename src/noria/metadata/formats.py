"""The formats of `formatResponse` and the operators of `condition`: names, parameters, examples that the tests run."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from noria.messages import Message
from noria.metadata.validation import nearest, shown


class FormatSpec(NamedTuple):
    """A format: what its parameter is when it isn't written (None: it takes none), and an example."""

    default: str | None
    zh: str
    en: str
    value: Any
    gives: Any


FORMATS = {
    "date": FormatSpec(None, "日期", "date", "2024-03-15 14:30:25", "2024-03-15"),
    "time": FormatSpec(None, "时刻", "time of day", "2024-03-15 14:30:25", "14:30:25"),
    "dateTime": FormatSpec(None, "日期时间，无秒", "date and time without seconds", 1710484225, "2024-03-15 14:30"),
    "shortDate": FormatSpec(None, "月-日", "month and day", "2024-03-15 14:30:25", "03-15"),
    "shortTime": FormatSpec(None, "时:分", "hour and minute", "2024-03-15 14:30:25", "14:30"),
    "shortDateTime": FormatSpec(None, "月-日 时:分", "both of them", "2024-03-15 14:30:25", "03-15 14:30"),
    "dateDescription": FormatSpec(None, "多久以前", "how long ago, in Chinese", "2023-11-16 04:13:20", "2小时前"),
    "longText": FormatSpec(
        "15", "前 n 个字，过长加 ...", "first n characters", "轻易云数据集成平台", "轻易云数据集成平台"
    ),
    "intval": FormatSpec(None, "截断为整数", "truncated integer", "10.8", 10),
    "round": FormatSpec("2", "四舍五入到 d 位", "rounded", "3.14159", 3.14),
    "amount": FormatSpec(None, "金额文本", "an amount as text", "1000000", "￥1,000,000.00"),
    "implode": FormatSpec(",", "数组连接为文本", "an array as text", ["a", "b"], "a,b"),
}
_BY_CASE = {name.lower(): name for name in FORMATS}
_CALL = re.compile(r"\s*(\w+)\s*(?:\(\s*(?:'([^']*)'|\"([^\"]*)\"|([^'\")]*))\s*\))?\s*\Z")

OPERATORS = {
    "eq": ("等于", "equal"),
    "neq": ("不等于", "not equal"),
    "gt": ("大于", "greater"),
    "egt": ("大于等于", "greater or equal"),
    "lt": ("小于", "less"),
    "elt": ("小于等于", "less or equal"),
    "like": ("包含", "contains"),
    "notlike": ("不包含", "does not contain"),
    "between": ("在两值之间（含）", "between two values, inclusive"),
    "in": ("属于", "one of"),
    "notin": ("不属于", "none of"),
    "isnull": ("为空", "empty"),
    "null": ("同 isnull", "as isnull"),
    "notnull": ("非空", "not empty"),
}
# What other languages call them.
_OTHERS = {
    "=": "eq", "==": "eq", "equal": "eq", "equals": "eq", "!=": "neq", "<>": "neq", "ne": "neq", "notequal": "neq",
    ">": "gt", ">=": "egt", "gte": "egt", "ge": "egt", "<": "lt", "<=": "elt", "lte": "elt", "le": "elt",
    "contains": "like", "notcontains": "notlike", "nin": "notin", "empty": "isnull", "notempty": "notnull",
    "isnotnull": "notnull", "exists": "notnull",
}  # fmt: skip
WITHOUT_VALUE = ("isnull", "null", "notnull")


def format_of(text: str) -> tuple[str, str | None] | None:
    """A format's name and parameter: `implode('|')` is `("implode", "|")`; None when there is no such format."""
    match = _CALL.match(text) if len(text) < 200 else None
    name = _BY_CASE.get(match[1].lower()) if match else None
    if match is None or name is None:
        return None
    given = next((one for one in match.groups()[1:] if one is not None), None)
    default = FORMATS[name].default
    if default is None or given is None or (given == "" and match[2] is None and match[3] is None):
        return name, default
    if default.isdigit():
        return (name, given.strip()) if given.strip().isdigit() and len(given.strip()) < 5 else None
    return name, given


def format_problem(text: str) -> tuple[Message, Message] | None:
    """What is wrong with a format, and what would be right."""
    if format_of(text) is not None:
        return None
    return Message("check.response_format", {"format": shown(text)}), _hint(text.split("(")[0], list(FORMATS))


def operator_problem(name: str) -> tuple[Message, Message] | None:
    """What is wrong with a condition's operator, and what would be right."""
    if name.lower() in OPERATORS:
        return None
    meant = _OTHERS.get(name.lower().replace(" ", "").replace("_", ""))
    hint = Message("valid.did_you_mean", {"name": meant}) if meant else _hint(name, list(OPERATORS))
    return Message("check.operator", {"logic": shown(name)}), hint


def _hint(name: str, known: list[str]) -> Message:
    meant = nearest(name, known)
    return (
        Message("valid.did_you_mean", {"name": meant})
        if meant
        else Message("valid.choices", {"choices": ", ".join(known)})
    )
