"""The parsers that an item may name: their parameters, what they do, and an example that the tests run."""

from __future__ import annotations

from typing import Any, NamedTuple

from noria.messages import Message
from noria.metadata.documents import Parser
from noria.metadata.validation import nearest, shown


class ParserSpec(NamedTuple):
    """A parser: which parameters it needs, what it does, an example value and what becomes of it."""

    needs: tuple[str, ...]
    zh: str
    en: str
    example: dict[str, Any]
    value: Any
    gives: Any


PARSERS = {
    "ConvertObjectParser": ParserSpec(
        ("params",),
        "值 → 以参数为键的对象",
        "the value under the parameter as key",
        {"params": "FNumber"},
        "CH01",
        {"FNumber": "CH01"},
    ),
    "ConvertTwoStageObjectParser": ParserSpec(
        ("params1", "params2"),
        "值 → 两层对象",
        "the value two objects deep",
        {"params1": "FStaff", "params2": "FNumber"},
        "E1",
        {"FStaff": {"FNumber": "E1"}},
    ),
    "StringToArray": ParserSpec(
        (), "文本按分隔符拆成数组，空为 []", "splits a text; nothing is []", {"params": ","}, "a,b", ["a", "b"]
    ),
    "ArrayToString": ParserSpec((), "数组以分隔符连接", "joins an array", {"params": ","}, ["a", "b"], "a,b"),
    "ConvertJson": ParserSpec(
        (),
        "JSON 对象 → Key/Value 数组",
        "a JSON object as an array of Key and Value",
        {},
        '{"1033":"x"}',
        [{"Key": 1033, "Value": "x"}],
    ),
    "K3WiseHeiHuCustomParser": ParserSpec(
        ("keyName",),
        "值 → keyName/keyValue",
        "the value as keyName and keyValue",
        {"params": "color"},
        "red",
        [{"keyName": "color", "keyValue": "red"}],
    ),
    "workflowRequestTableFields": ParserSpec(
        ("fieldId",),
        "值 → 流程表单字段",
        "the value as a field of a workflow form",
        {"view": 1, "edit": 0, "fieldId": 7},
        "x",
        {"fieldName": "v", "fieldValue": "x", "view": 1, "edit": 0, "fieldId": 7},
    ),
}


_BY_CASE = {name.lower(): name for name in PARSERS}


def parser_name(parser: Parser) -> str:
    """The parser that is meant, whatever the case of its name."""
    return _BY_CASE.get(parser.name.lower(), parser.name)


def parser_problem(parser: Parser) -> tuple[Message, Message] | None:
    """What is wrong with a parser, and what would be right."""
    spec = PARSERS.get(parser_name(parser))
    if spec is None:
        meant = nearest(parser.name, list(PARSERS))
        hint = (
            Message("valid.did_you_mean", {"name": meant})
            if meant
            else Message("valid.choices", {"choices": ", ".join(PARSERS)})
        )
        return Message("check.unknown_parser", {"name": shown(parser.name)}), hint
    if spec.needs == ("params1", "params2") and parser.params1 is None and parser.params is not None:
        both = parser.params if isinstance(parser.params, list) else str(parser.params).split(",")
        missing = [] if len(both) > 1 else ["params2"]
    elif spec.needs == ("keyName",):
        missing = [] if parser.params not in (None, "") or parser.keyName else ["params"]
    else:
        missing = [name for name in spec.needs if getattr(parser, name) in (None, "")]
    if missing:
        values = {"name": parser.name, "missing": ", ".join(missing)}
        return Message("check.parser_params", values), Message(
            "check.parser_params_hint", {"example": shown(spec.example)}
        )
    return None
