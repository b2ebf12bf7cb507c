"""Rows: conditions, formats, flattening; documents: merging and grouping; items: the flat form, parsers, maps."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noria.engine.identity import arrivals_of
from noria.mapping import Environment, MappingError, RowRules, compile_mapping, encode, grouping_of
from noria.mapping.sql import carried_out
from noria.metadata.check import OPERATIONS
from noria.metadata.documents import Item, Metadata, tree_of
from noria.metadata.errors import NoriaError
from noria.metadata.formats import FORMATS
from noria.metadata.formats import OPERATORS as CONDITIONS
from noria.metadata.functions import FUNCTIONS
from noria.metadata.macros import Moment
from noria.metadata.parsers import PARSERS
from noria.metadata.valuemaps import load_table, tables_beside

MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)
ENV = Environment(MOMENT)


def metadata(**more: Any) -> Metadata:
    return msgspec.convert({"api": "/x", "id": "id", **more}, Metadata)


def passes(logic: str, wanted: Any, value: Any, **more: Any) -> bool:
    rules = RowRules(metadata(condition=[[{"field": "v", "logic": logic, "value": wanted, **more}]]))
    return rules.rejected({"v": value}, ENV) is None


@pytest.mark.parametrize(
    ("logic", "wanted", "yes", "no"),
    [
        ("eq", "1", [1, "1", "1.0", Decimal("1.00"), True], [2, "", None, "a", False, [1]]),
        ("eq", "甲", ["甲"], ["乙", "甲 ", None]),
        ("eq", "true", [True], [False, None, "x"]),
        ("neq", "1", [2, "", None, "a"], [1, "1.0"]),
        ("gt", "5", [6, "10", "5.01"], [5, "", None, "4.99", {}]),
        ("egt", 5, [5, "5.0", 9], [4]),
        ("lt", "5", [4, "-1"], [5, "", None]),
        ("elt", "5", [5, "4"], ["5.1"]),
        ("gt", "b", ["c", "ba"], ["a", "b"]),
        ("like", "试", ["测试", "试一"], ["", None, "测"]),
        ("notlike", "试", ["", None, "测"], ["测试"]),
        ("between", "100,500", [100, "500", 250.5], [99, "501", None]),
        ("between", ["100", "500"], [100], [501]),
        ("in", "a, b,3", ["a", "b", 3, "3.0"], ["c", "", None]),
        ("in", ["a", 3], ["a", "3"], ["4"]),
        ("notin", "a,b", ["c", None, ""], ["a", "b"]),
        ("isnull", None, [None, "", [], {}], [0, "0", False]),
        ("null", None, [None], [0]),
        ("notnull", None, [0, "0", False, [1]], [None, ""]),
        ("egt", "timestamp:1700000000", ["2023-11-15 06:13:20", 1_700_000_000_000, "2024-01-01"], ["2023-11-15 06:13:19", "", None, "x"]),
        ("lt", "timestamp:{{CURRENT_TIME}}", ["2023-11-16 06:13:19"], ["2023-11-16 06:13:20"]),
        ("eq", "{{w}}", [], [1]),
    ],
)  # fmt: skip
def test_operators(logic: str, wanted: Any, yes: list[Any], no: list[Any]) -> None:
    assert [passes(logic, wanted, value) for value in yes] == [True] * len(yes)
    assert [passes(logic.upper(), wanted, value) for value in no] == [False] * len(no)


def test_every_operator_of_the_table_is_tested() -> None:
    marks = test_operators.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {case[0] for case in marks} == set(CONDITIONS)


LINES = {"id": 1, "kind": "x", "items": [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}, {"n": 3, "s": "a"}]}


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ([[{"field": "items.n", "logic": "gt", "value": 1}]], [2, 3]),
        ([[{"field": "items.n", "logic": "gt", "value": 1, "strictMode": True}]], None),
        ([[{"field": "items.n", "logic": "gt", "value": 0, "strictMode": True}]], [1, 2, 3]),
        ([[{"field": "items.n", "logic": "gt", "value": 9}]], None),
        ([[{"field": "items.n", "logic": "gt", "value": 1}, {"field": "items.s", "logic": "eq", "value": "a"}]], [3]),
        (
            [[{"field": "items.n", "logic": "eq", "value": 1}], [{"field": "items.n", "logic": "eq", "value": 3}]],
            [1, 3],
        ),
        (
            [[{"field": "items.n", "logic": "eq", "value": 1}], [{"field": "kind", "logic": "eq", "value": "x"}]],
            [1, 2, 3],
        ),
        ([[{"field": "items.n", "logic": "eq", "value": 1}], [{"field": "kind", "logic": "eq", "value": "y"}]], [1]),
        ([{"field": "kind", "logic": "eq", "value": "x"}, {"field": "items.n", "logic": "lt", "value": 2}], [1]),
        ([[{"field": "items.0.n", "logic": "eq", "value": 1}]], [1, 2, 3]),
    ],
)
def test_conditions_on_lines(condition: Any, left: list[int] | None) -> None:
    rules = RowRules(metadata(condition=condition))
    before = encode(LINES)
    if left is None:
        assert rules.rejected(LINES, ENV) is not None
    else:
        assert rules.rejected(LINES, ENV) is None
        assert [line["n"] for line in rules.derived(LINES, ENV)["items"]] == left
    assert encode(LINES) == before


@pytest.mark.parametrize("name", FORMATS)
def test_every_formats_example(name: str) -> None:
    spec = FORMATS[name]
    rules = RowRules(metadata(formatResponse=[{"old": "a", "new": "b", "format": name}]))
    assert encode(rules.derived({"a": spec.value}, ENV)["b"]) == encode(spec.gives)


@pytest.mark.parametrize(
    ("fmt", "value", "wanted"),
    [
        ("longText(3)", "轻易云集成", "轻易云..."),
        ("implode('|')", [1, "a"], "1|a"),
        ("implode(' ')", ["a", "b"], "a b"),
        ("round(0)", "2.5", 3),
        ("round", "-2.555", Decimal("-2.56")),
        ("intval", -1.9, -1),
        ("amount", "-5", "-￥5.00"),
        ("datetime", "2024-03-15 14:30:25", "2024-03-15 14:30"),
        ("date", "0000-00-00 00:00:00", ""),
        ("date", "", ""),
        ("dateDescription", 1_700_086_390, "刚刚"),
        ("dateDescription", 1_700_086_400 - 86_400 * 400, "一年前"),
        ("implode", "no list", "no list"),
    ],
)
def test_formats(fmt: str, value: Any, wanted: Any) -> None:
    rules = RowRules(metadata(formatResponse=[{"old": "a", "new": "o.b", "format": fmt}]))
    row = {"a": value, "o": {"c": 1}}
    assert rules.derived(row, ENV)["o"] == {"c": 1, "b": wanted}
    assert row == {"a": value, "o": {"c": 1}}


def test_what_cannot_be_formatted_is_said_or_left() -> None:
    rules = RowRules(metadata(formatResponse=[{"old": "a", "new": "b", "format": "date"}]))
    with pytest.raises(MappingError) as caught:
        rules.derived({"a": "soon"}, ENV)
    assert "soon" in str(caught.value.message) and "date" in str(caught.value.message)
    lenient = Environment(Moment(0, 0, lenient=True))
    assert rules.derived({"a": "soon"}, lenient)["b"] == "soon"
    assert "b" not in rules.derived({"x": 1}, ENV)


def ids(rows: list[dict[str, Any]], **more: Any) -> list[str | None]:
    return arrivals_of(metadata(**more), MOMENT)([encode(row) for row in rows]).ids


def test_flattened_ids() -> None:
    row = {"id": "A", "l": [{"k": 1}, {"k": 2}], "m": [{"z": 3}]}
    assert ids([row], beatFlat=["l"]) == ["A-1", "A-2"]
    assert ids([row], beatFlat=["l", "m"]) == ["A-1", "A-2", "A-3"]
    assert ids([row], beatFlat=["l"], id="l_k") == ["1", "2"], "an element's own id needs no number"
    assert ids([{"id": "A", "l": []}, {"id": "B"}], beatFlat=["l"]) == ["A", "B"]
    found = arrivals_of(metadata(beatFlat=["l"]), MOMENT)([b"broken", encode(row)])
    assert found.ids[1:] == ["A-1", "A-2"] and 0 in found.invalid


def test_two_arrays_give_their_own_rows() -> None:
    rows = RowRules(metadata(beatFlat=["l", "m"])).split({"id": 1, "l": [{"k": 1}], "m": [{"z": 2}, 5]})
    assert rows == [{"id": 1, "l_k": 1}, {"id": 1, "m_z": 2}, {"id": 1, "m": 5}]


def test_grouping_without_columns_keeps_every_line() -> None:
    spec = metadata(operation={"method": "merge", "field": "no", "bodyName": "d"})
    grouping = grouping_of(spec)
    assert grouping is not None
    rows = [{"no": 1, "a": 1}, {"no": 1, "a": 1}]
    assert grouping.documents(rows) == [({"no": 1, "d": [{"no": 1, "a": 1}, {"no": 1, "a": 1}]}, [0, 1])]


def test_every_calculation() -> None:
    calculate = {
        "a": "$sum",
        "b": "$avg",
        "c": "$min",
        "d": "$max",
        "e": "$push",
        "f": "$addToSet",
        "g": "$first",
        "h": "$last",
    }
    spec = metadata(groupCalculate={"headerGroup": ["k"], "calculate": calculate})
    grouping = grouping_of(spec)
    assert grouping is not None
    rows = [{"k": 1, **dict.fromkeys("abcdefgh", value)} for value in (3, 1, 1)]
    document, positions = grouping.documents(rows)[0]
    assert positions == [0, 1, 2]
    assert encode(document) == b'{"k":1,"a":5,"b":1.6667,"c":1,"d":3,"e":[3,1,1],"f":[3,1],"g":3,"h":1}'
    assert OPERATIONS == ("batchArraySave", "merge")


def test_the_flat_form_is_the_same_tree() -> None:
    flat = msgspec.convert(
        [
            {"field": "h", "type": "object"},
            {"field": "a", "parent": "h", "value": "1"},
            {"field": "l", "type": "array", "parent": "h", "value": "items", "id": "x1"},
            {"field": "l.s", "parent": "l", "value": "{{items.s}}"},
            {"field": "t", "parent_id": "x1", "value": "{{items.n}}"},
            {"field": "z", "value": "2", "parent": None},
        ],
        list[Item],
    )
    payload = compile_mapping(tree_of(flat)).payload({"items": [{"s": "a", "n": 1}]}, ENV)
    assert payload == {"h": {"a": "1", "l": [{"s": "a", "t": 1}]}, "z": "2"}
    circle = msgspec.convert([{"field": "a", "parent": "b"}, {"field": "b", "parent": "a"}], list[Item])
    assert [one.field for one in tree_of(circle)] == ["a", "b"]


@pytest.mark.parametrize("name", PARSERS)
def test_every_parsers_example(name: str) -> None:
    spec = PARSERS[name]
    given = {key: value for key, value in spec.example.items()}
    item = {"field": "v", "value": "{{x}}", "parser": {"name": name, **given}}
    payload = compile_mapping(msgspec.convert([item], list[Item])).payload({"x": spec.value}, ENV)
    assert payload == {"v": spec.gives}


def test_every_declared_function_is_carried_out_and_no_other() -> None:
    operators = {name for name in carried_out() if not name.isidentifier()}
    own = {"DIV", "NEG", "AND", "OR", "XOR", "NOT", "IS", "IN", "BETWEEN", "LIKE", "REGEXP", "REAL", "DISTINCT", "CASE"}
    assert carried_out() - operators - own == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_functions_example(name: str) -> None:
    row = {"items": [{"qty": 2, "name": "a"}, {"qty": 3, "name": "b"}]}
    item = Item(field="v", value="_function " + FUNCTIONS[name].example)
    value = compile_mapping([item]).payload(row, ENV)["v"]
    shown = format(value, "f") if isinstance(value, Decimal) else str(value)
    if name == "AVG":
        shown = encode(value).decode()
    assert shown == FUNCTIONS[name].gives


def test_value_maps_from_files(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.csv").write_text(
        "源值,源名称,目标值,目标名称\n1,男,M,male\n2,女,F,female\n1,again,X,x\n", "utf-8-sig"
    )
    (tmp_path / "maps" / "b.csv").write_text("x,label,y,label\n", "utf-8")
    (tmp_path / "maps" / "c.json").write_text('[{"source": 1, "target": true}]', "utf-8")
    tables = tables_beside(tmp_path / "plans" / "p.json")
    assert tables["a"].forward == {"1": "M", "2": "F"} and tables["a"].backward == {"M": "1", "F": "2", "X": "1"}
    assert tables["b"].forward == {"x": "y"} and tables["c"].forward == {"1": True}
    (tmp_path / "maps" / "d.csv").write_text("only\none\n", "utf-8")
    with pytest.raises(NoriaError) as caught:
        load_table(tmp_path / "maps" / "d.csv")
    assert caught.value.code == "bad_map" and "d.csv" in str(caught.value)
