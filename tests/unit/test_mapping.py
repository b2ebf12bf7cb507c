"""The mapping: values, types, lines, look-ups; exact numbers; metadata is data and never code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.mapping import DECODER, Environment, MappingError, Waiting, compile_mapping, encode
from noria.metadata.documents import Item
from noria.metadata.macros import Moment

MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)


def mapped(items: list[dict[str, Any]], record: str, **env: Any) -> str:
    """The payload's JSON."""
    mapping = compile_mapping(msgspec.convert(items, list[Item]))
    return encode(mapping.payload(DECODER.decode(record), Environment(MOMENT, **env))).decode()


def value(value: Any, record: str = "{}", **item: Any) -> str:
    """One item's value."""
    return mapped([{"field": "v", "value": value, **item}], record)


RECORD = '{"s":"x","i":5,"m":12.10,"big":123456789012345678901234567890,"t":true,"n":null,"e":"","o":{"a":{"b":1}},"d":"2023-11-15 06:13:20","l":[1,2],"k.l":9}'


@pytest.mark.parametrize(
    ("expression", "item", "wanted"),
    [
        ("{{s}}", {}, '{"v":"x"}'),
        ("{{i}}", {"type": "string"}, '{"v":5}'),
        ("{{m}}", {}, '{"v":12.10}'),
        ("{{big}}", {}, '{"v":123456789012345678901234567890}'),
        ("{{t}}", {}, '{"v":true}'),
        ("{{n}}", {}, "{}"),
        ("{{n}}", {"is_required": True}, '{"v":null}'),
        ("{{gone}}", {}, "{}"),
        ("{{gone}}", {"is_required": True}, '{"v":null}'),
        ("{{e}}", {}, '{"v":""}'),
        ("{{o.a.b}}", {}, '{"v":1}'),
        ("{{o}}", {}, '{"v":{"a":{"b":1}}}'),
        ("{{o.x.y.z}}", {}, "{}"),
        ("{{l.1}}", {}, '{"v":2}'),
        ("{{k.l}}", {}, '{"v":9}'),
        ("{{d|date}}", {}, '{"v":"2023-11-15"}'),
        ("{{d|timestamp}}", {}, '{"v":1700000000}'),
        ("{{n|date}}", {}, "{}"),
        ("a{{s}}b{{gone}}c{{m}}", {}, '{"v":"axbc12.10"}'),
        ("{{CURRENT_TIME|datetime}}", {}, '{"v":"2023-11-16 06:13:20"}'),
        ("lit", {}, '{"v":"lit"}'),
        (3, {}, '{"v":3}'),
        (None, {}, "{}"),
        ("{{i}}", {"type": "float"}, '{"v":5}'),
        ("7", {"type": "int"}, '{"v":7}'),
        ("{{t}}", {"type": "int"}, '{"v":1}'),
        ("{{e}}", {"type": "int"}, "{}"),
        ("12.50", {"type": "float"}, '{"v":12.50}'),
        ("1", {"type": "bool"}, '{"v":true}'),
        ("否", {"type": "boolean"}, '{"v":false}'),
        ("{{l}}", {"type": "array"}, '{"v":[1,2]}'),
        ("l", {"type": "array"}, '{"v":[1,2]}'),
    ],
)
def test_values(expression: Any, item: dict[str, Any], wanted: str) -> None:
    assert value(expression, RECORD, **item) == wanted


@pytest.mark.parametrize(
    ("expression", "type_"),
    [
        ("{{s}}", "int"),
        ("{{m}}", "int"),
        ("{{s}}", "float"),
        ("{{s}}", "bool"),
        ("{{o}}", "int"),
        ("{{s|date}}", "string"),
        ("{{big|date}}", "string"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_record(expression: str, type_: str) -> None:
    with pytest.raises(MappingError) as caught:
        value(expression, RECORD, type=type_)
    assert "v" in str(caught.value.message) or "date" in str(caught.value.message)


def test_nested_objects_and_dotted_fields() -> None:
    items = [
        {
            "field": "head",
            "type": "object",
            "children": [{"field": "a", "value": "{{s}}"}, {"field": "n", "value": None}],
        },
        {"field": "none", "type": "object", "children": [{"field": "a", "value": "{{gone}}"}]},
        {"field": "p.q", "value": 1},
        {"field": "p.r", "value": 2},
    ]
    assert mapped(items, RECORD) == '{"head":{"a":"x"},"p":{"q":1,"r":2}}'


LINES = {
    "field": "FEntity",
    "type": "array",
    "value": "items",
    "children": [
        {"field": "sku", "value": "{{items.sku}}"},
        {"field": "no", "value": "{{no}}"},
        {"field": "qty", "value": "{{qty}}", "type": "int"},
    ],
}


def test_lines_take_the_current_line_and_the_head() -> None:
    record = '{"no":"A1","items":[{"sku":"a","qty":"1"},{"sku":"b","qty":2}]}'
    assert mapped([LINES], record) == '{"FEntity":[{"sku":"a","no":"A1","qty":1},{"sku":"b","no":"A1","qty":2}]}'


def test_no_lines_and_flat_sources() -> None:
    assert mapped([LINES], '{"no":"A1","items":[]}') == "{}"
    assert mapped([LINES], '{"no":"A1","qty":3}') == '{"FEntity":[{"no":"A1","qty":3}]}'
    assert mapped([LINES], "{}") == "{}"


def test_lines_in_lines() -> None:
    items = [
        {
            "field": "L",
            "type": "array",
            "value": "items",
            "children": [
                {
                    "field": "b",
                    "type": "array",
                    "value": "items.lots",
                    "children": [
                        {"field": "lot", "value": "{{items.lots.id}}"},
                        {"field": "sku", "value": "{{items.sku}}"},
                    ],
                },
            ],
        }
    ]
    record = '{"items":[{"sku":"a","lots":[{"id":1},{"id":2}]},{"sku":"b","lots":[{"id":3}]}]}'
    assert (
        mapped(items, record) == '{"L":[{"b":[{"lot":1,"sku":"a"},{"lot":2,"sku":"a"}]},{"b":[{"lot":3,"sku":"b"}]}]}'
    )


LOOKUP = [{"field": "name", "value": "_findCollection find name from deps where id={{department_id}}"}]


def test_look_ups_ask_for_texts_and_take_native_values() -> None:
    mapping = compile_mapping(msgspec.convert(LOOKUP, list[Item]))
    env = Environment(MOMENT)
    keys = [mapping.lookups[0].keys({"department_id": d}, env) for d in (0, "0", 101, None, "", [1])]
    assert keys == [[("0",)], [("0",)], [("101",)], [], [], []]
    assert mapped(LOOKUP, '{"department_id":0}', found=[{("0",): "根"}]) == '{"name":"根"}'
    assert mapped(LOOKUP, '{"department_id":0}', found=[{("0",): None}]) == "{}"
    assert mapped(LOOKUP, "{}", found=[{}]) == "{}"


def test_an_unanswered_look_up_waits_or_is_empty_or_invalid() -> None:
    with pytest.raises(Waiting) as waiting:
        mapped(LOOKUP, '{"department_id":7}', found=[{}])
    assert waiting.value.key == ("7",)
    assert mapped(LOOKUP, '{"department_id":7}', found=[{}], patient=False) == "{}"
    with pytest.raises(MappingError):
        mapped(LOOKUP, '{"department_id":7}', found=[{}], patient=False, missing_is_invalid=True)


def test_look_ups_in_lines_ask_for_every_line() -> None:
    items = [
        {
            "field": "L",
            "type": "array",
            "value": "items",
            "children": [
                {"field": "n", "value": "_findCollection find name from m where code={{items.sku}} org={{org}}"}
            ],
        }
    ]
    mapping = compile_mapping(msgspec.convert(items, list[Item]))
    env = Environment(MOMENT)
    row = {"org": 1, "items": [{"sku": "a"}, {"sku": "b"}]}
    assert mapping.lookups[0].keys(row, env) == [("a", "1"), ("b", "1")]
    assert mapping.lookups[0].keys({"org": 1}, env) == []
    env.found = [{("a", "1"): "A", ("b", "1"): "B"}]
    assert mapping.payload(row, env) == {"L": [{"n": "A"}, {"n": "B"}]}


def test_no_request_passes_the_record_whole() -> None:
    mapping = compile_mapping([])
    assert mapping.whole and mapping.payload({"a": 1}, Environment(MOMENT)) == {"a": 1}


_NAMES = st.text(min_size=1).filter(str.strip)


@given(_NAMES, st.text().filter(lambda s: "{" not in s and "}}" not in s and not s.lstrip().startswith("_")), _NAMES)
def test_hostile_names_and_literals_stay_data(name: str, literal: str, path: str) -> None:
    """Whatever a field, a literal or a path is called, it never becomes code."""
    items: list[dict[str, Any]] = [{"field": name.replace(".", "_"), "value": literal}]
    clean = path.replace("{", "").replace("}", "").replace("|", "").strip()
    if clean:
        items.append({"field": "ref", "value": "{{" + clean + "}}"})
    mapping = compile_mapping(msgspec.convert(items, list[Item]))
    payload = mapping.payload({clean: "seen"}, Environment(MOMENT))
    assert payload.get(name.replace(".", "_")) == (payload.get("ref") if name == "ref" else literal or None)


@pytest.mark.parametrize("name", ["__class__", "__import__('os')", "row", "env", "out", "k1", "]; raise SystemExit; ["])
def test_names_of_the_generated_code_mean_nothing(name: str) -> None:
    assert mapped([{"field": name, "value": "{{" + name + "}}"}], msgspec.json.encode({name: 1}).decode()) == (
        msgspec.json.encode({name: 1}).decode()
    )


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_money_keeps_its_digits(amount: Any) -> None:
    text = format(amount, "f")
    assert value("{{a}}", f'{{"a":{text}}}') == f'{{"v":{text}}}'
