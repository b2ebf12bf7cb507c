"""Documents as the platform exports them: what is written otherwise is read as what it means, the rest complained of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noria.engine.checking import check_project
from noria.mapping import Environment, MappingError, RowRules, compile_mapping, grouping_of
from noria.metadata.documents import Item, Metadata
from noria.metadata.exports import read_export
from noria.metadata.kinds import kind_of
from noria.metadata.macros import Moment
from noria.metadata.project import load_metadata

MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)


def loaded(folder: Path, **keys: Any) -> Metadata:
    """A target document with these keys, as it is loaded."""
    file = folder / "m.json"
    file.write_text(json.dumps({"api": "/x", "effect": "EXECUTE", **keys}, ensure_ascii=False), "utf-8")
    return load_metadata(file)[0].target.metadata


def items(folder: Path, *given: dict[str, Any]) -> dict[str, Any]:
    """The payload of a record by these items."""
    mapping = compile_mapping(loaded(folder, request=list(given)).items())
    row = {"a": "1", "items": [{"s": 1}, {"s": 2}]}
    return mapping.payload(row, Environment(MOMENT))


@pytest.mark.parametrize(
    ("written", "payload"),
    [
        ({"parser": []}, {"f": "1"}),
        ({"parser": {}}, {"f": "1"}),
        ({"parser": {"name": "", "params": ""}}, {"f": "1"}),
        ({"parser": {"name": None}}, {"f": "1"}),
        ({"parser": [{"name": "ConvertObjectParser", "params": "F"}]}, {"f": {"F": "1"}}),
        ({"parser": '{"name":"ConvertObjectParser","params":"F"}'}, {"f": {"F": "1"}}),
        ({"parser": {"name": "convertObjectParser ", "param": "F"}}, {"f": {"F": "1"}}),
        ({"parser": {"name": "ConvertObjectParser", "params": ["F"]}}, {"f": {"F": "1"}}),
        ({"parser": {"name": "ConvertTwoStageObjectParser", "params": {"params1": "A", "params2": "B"}}}, {"f": {"A": {"B": "1"}}}),
        ({"parser": {"name": "StringToArray", "params": {"separator": ","}}}, {"f": ["1"]}),
        ({"parser": "StringToArray"}, {"f": ["1"]}),
        ({"parser": {"name": "K3WiseHeiHuCustomParser", "params": {"keyName": "c"}}}, {"f": [{"keyName": "c", "keyValue": "1"}]}),
        ({"mapping": []}, {"f": "1"}),
        ({"mapping": {"target": None, "direction": None}}, {"f": "1"}),
        ({"children": []}, {"f": "1"}),
        ({"parent": 0}, {"f": "1"}),
        ({"parent": False, "parent_id": "0"}, {"f": "1"}),
        ({"label": True, "describe": ["x"]}, {"f": "1"}),
        ({"is_required": "true", "value": "{{gone}}"}, {"f": None}),
        ({"is_required": 0, "value": "{{gone}}"}, {}),
        ({"type": "Integer"}, {"f": 1}),
        ({"type": ""}, {"f": "1"}),
        ({"type": None}, {"f": "1"}),
    ],
)  # fmt: skip
def test_an_items_spellings(tmp_path: Path, written: dict[str, Any], payload: dict[str, Any]) -> None:
    assert items(tmp_path, {"field": "f", "value": "{{a}}", **written}) == payload


def test_blank_rows_of_tables_are_no_items(tmp_path: Path) -> None:
    blank = [{"field": "", "label": "备注", "value": ""}, {"label": "x"}, {}]
    assert items(tmp_path, *blank, {"field": "f", "value": "{{a}}"}, *blank) == {"f": "1"}
    assert items(
        tmp_path, {"field": "o", "type": "object", "children": [{"field": ""}, {"field": "f", "value": "1"}]}
    ) == {"o": {"f": "1"}}
    numbered = {"0": {"field": "f", "value": "1"}, "2": {"field": "g", "value": "2"}}
    assert [item.field for item in loaded(tmp_path, request=numbered).items()] == ["f", "g"]


def test_a_value_without_a_field_is_complained_of(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"api": "/x", "request": [{"field": "", "value": "1"}]}', "utf-8")
    assert [p.path for p in check_project(None, [str(tmp_path / "m.json")], tmp_path)] == ["$.request[0].field"]


@pytest.mark.parametrize(
    "keys",
    [
        {"id": "", "number": ""},
        {"number": ["a", "b"]},
        {"pagination": {"pageSize": ""}},
        {"pagination": {"pageSize": 0}},
        {"pagination": {"pageSize": None}},
        {"pagination": []},
        {"formatResponse": [{"old": "", "new": "", "format": ""}]},
        {"condition": [[{"field": "", "logic": "eq", "value": ""}]]},
        {"condition": []},
        {"condition": {}},
        {"omissionRemedy": {"crontab": "", "takeOverRequest": []}},
        {"omissionRemedy": []},
        {"operation": []},
        {"groupCalculate": {}},
        {"response": [{"field": "", "label": ""}]},
        {"request": "", "otherRequest": None},
        {"beatFlat": ""},
    ],
)
def test_what_user_interfaces_leave_empty_is_nothing(tmp_path: Path, keys: dict[str, Any]) -> None:
    metadata = loaded(tmp_path, **keys)
    assert metadata.groups() == [] and metadata.formats() == [] and metadata.items() == [] and metadata.id_paths() == []
    assert grouping_of(metadata) is None and metadata.omissionRemedy is None
    assert metadata.pagination is None or metadata.pagination.pageSize == 100
    assert metadata.number_path() in (None, "a")


def test_numbers_as_text_are_read_with_a_hint(tmp_path: Path) -> None:
    read, hints = read_export({"api": "/x", "pagination": {"pageSize": "50"}, "beatFlat": "a, b"}, Metadata)
    assert read == {"api": "/x", "pagination": {"pageSize": 50}, "beatFlat": ["a", "b"]}
    assert [(hint.path, hint.severity) for hint in hints] == [("$.pagination.pageSize", "hint")]


def test_truth_of_a_document_is_not_written_as_text(tmp_path: Path) -> None:
    """`idCheck` decides what is written twice: a text is a mistake."""
    (tmp_path / "m.json").write_text('{"api": "/x", "id": "a", "idCheck": "true"}', "utf-8")
    assert [p.path for p in check_project(None, [str(tmp_path / "m.json")], tmp_path)] == ["$.idCheck"]


def test_merge_columns_that_are_empty_lists_are_all_of_them(tmp_path: Path) -> None:
    grouping = grouping_of(
        loaded(tmp_path, operation={"method": "merge", "field": "no, wh", "bodyName": "L", "header": [], "body": []})
    )
    assert grouping is not None
    rows = [{"no": "1", "wh": "a", "x": 1}, {"no": "1", "wh": "a", "x": 2}]
    assert grouping.key(rows[0]) == ("1", "a")
    assert grouping.documents(rows)[0][0] == {"no": "1", "wh": "a", "L": [{**row} for row in rows]}
    for missing in ({"wh": "a"}, {"no": "", "wh": "a"}, {"no": None, "wh": "a"}):
        with pytest.raises(MappingError):
            grouping.key(missing)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("INT", "int"), ("bigint(20)", "int"), ("Decimal(10,2)", "float"), ("number", "float"), ("Boolean", "bool"),
     ("List", "array"), ("json", "string"), (" datetime ", "datetime"), (None, "string"), ("", "string"), ("FMoney", "")],
)  # fmt: skip
def test_types_by_other_names(name: str | None, kind: str) -> None:
    assert kind_of(name) == kind


def test_an_item_with_children_is_what_its_type_or_value_says() -> None:
    child = [Item(field="x")]
    assert [Item(field="f", children=child, **how).kind for how in (
        {}, {"value": "items"}, {"type": "list", "value": "items"}, {"type": "object", "value": "items"}, {"type": "array"}
    )] == ["object", "array", "array", "object", "array"]  # fmt: skip


# --- rules of rows, where arrays are in arrays ------------------------------------------------------------------------

DEEP = {"no": 1, "l": [{"q": 1, "s": [{"n": 1}, {"n": 5}]}, {"q": 2, "s": [{"n": 0}]}, {"q": 3}]}


def rules(**keys: Any) -> RowRules:
    import msgspec

    return RowRules(msgspec.convert({"api": "/x", **keys}, Metadata))


def test_conditions_on_lines_of_lines() -> None:
    env = Environment(MOMENT)
    deep = rules(condition=[[{"field": "l.s.n", "logic": "gt", "value": "1"}]])
    assert deep.rejected(DEEP, env) is None
    assert deep.derived(DEEP, env) == {"no": 1, "l": [{"q": 1, "s": [{"n": 5}]}]}
    assert DEEP["l"][0]["s"] == [{"n": 1}, {"n": 5}], "the record itself stays as it is"  # type: ignore[index]
    strict = rules(condition=[[{"field": "l.s.n", "logic": "gt", "value": "1", "strictMode": True}]])
    assert strict.rejected(DEEP, env) is not None
    none = rules(condition=[[{"field": "l.s.n", "logic": "gt", "value": "9"}]])
    assert none.rejected(DEEP, env) is not None
    both = rules(
        condition=[[{"field": "l.s.n", "logic": "gt", "value": "0"}, {"field": "l.q", "logic": "lt", "value": "3"}]]
    )
    assert both.derived(DEEP, env) == {"no": 1, "l": [{"q": 1, "s": [{"n": 1}, {"n": 5}]}]}
    either = rules(
        condition=[[{"field": "l.s.n", "logic": "eq", "value": "0"}], [{"field": "l.s.n", "logic": "eq", "value": "5"}]]
    )
    assert either.derived(DEEP, env) == {"no": 1, "l": [{"q": 1, "s": [{"n": 5}]}, {"q": 2, "s": [{"n": 0}]}]}


def test_formats_in_lines_of_lines() -> None:
    row = {"l": [{"s": [{"t": "2024-03-15 14:30:25"}]}, {"s": []}, 7]}
    made = rules(formatResponse=[{"old": "l.s.t", "new": "l.s.d", "format": "date"}]).derived(row, Environment(MOMENT))
    assert made == {"l": [{"s": [{"t": "2024-03-15 14:30:25", "d": "2024-03-15"}]}, {"s": []}, 7]}
    assert "d" not in row["l"][0]["s"][0]  # type: ignore[index]


@pytest.mark.parametrize("paths", [["o.d", "o.d.b"], ["o.d", "o_d_b"]])
def test_arrays_inside_objects_are_flattened(paths: list[str]) -> None:
    row = {"id": 1, "o": {"x": 1, "d": [{"q": 1, "b": [{"n": 1}, {"n": 2}]}, {"q": 2}]}}
    assert rules(beatFlat=paths).split(row) == [
        {"id": 1, "o": {"x": 1}, "o_d_q": 1, "o_d_b_n": 1},
        {"id": 1, "o": {"x": 1}, "o_d_q": 1, "o_d_b_n": 2},
        {"id": 1, "o": {"x": 1}, "o_d_q": 2},
    ]


def test_an_object_is_flattened_as_an_array_of_one() -> None:
    assert rules(beatFlat=["d"]).split({"id": 1, "d": {"x": 9}}) == [{"id": 1, "d_x": 9}]


@pytest.mark.parametrize(
    ("value", "logic", "wanted", "holds"),
    [("1000", "eq", "1E3", False), ("1", "in", "01,02", False), ("1", "notin", "001", True), (1, "eq", "01", True),
     ("1.0", "eq", "1", True), ("007", "eq", "007", True), ("5", "between", "1,9", True),
     ("2024-03-15 14:30:25", "between", "timestamp:1710000000,1710484225", True),
     ("2024-03-15 14:30:26", "between", "timestamp:1710000000,1710484225", False)],
)  # fmt: skip
def test_codes_are_no_numbers(value: Any, logic: str, wanted: str, holds: bool) -> None:
    made = rules(condition=[[{"field": "a", "logic": logic, "value": wanted}]])
    assert (made.rejected({"a": value}, Environment(MOMENT)) is None) is holds
