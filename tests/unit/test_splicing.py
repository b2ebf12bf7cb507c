"""Changes in a JSON text: what was to change has changed, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.metadata.splicing import Written, inserted, moved, pointer, spans, steps, with_value, without

TEXT = """{
  "name": "一个", "number": 1.10,
  "big": 123456789012345678901234567890,
  "unknown": {"x" : [1,2 ,  3e5]},
  "list": [
    {"field": "a", "value": "{{a}}"},
    {"field": "b"}
  ],
  "none": null,
  "empty": {},
  "nothing": []
}
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("name",), "两个", '"一个"', '"两个"'),
        (("list", 0, "value"), "x", '"{{a}}"', '"x"'),
        (("list", 1, "value"), 5, '{"field": "b"}', '{"field": "b", "value": 5}'),
        (("none", "a", "b"), True, '"none": null', '"none": {"a": {"b": true}}'),
        (("empty", "a"), "x", '"empty": {}', '"empty": {\n    "a": "x"\n  }'),
        (("unknown", "y"), [], "3e5]}", '3e5], "y": []}'),
        (("nothing", 0), {"field": "c"}, '"nothing": []', '"nothing": [\n    {"field": "c"}\n  ]'),
        (("options", "retry", "tries"), 5, '"nothing": []', '"nothing": [],\n  "options": {"retry": {"tries": 5}}'),
    ],
)
def test_only_what_was_to_change_changes(path: tuple[str | int, ...], value: Any, old: str, new: str) -> None:
    assert with_value(TEXT, path, value) == TEXT.replace(old, new)


def test_removing_inserting_and_moving() -> None:
    assert without(TEXT, ("name",)) == TEXT.replace('"name": "一个", ', "")
    assert without(TEXT, ("nothing",)) == TEXT.replace(',\n  "nothing": []', "")
    assert without(TEXT, ("nowhere", "x")) == TEXT
    both = without(without(TEXT, ("list", 1)), ("list", 0))
    assert json.loads(both)["list"] == []
    assert json.loads(inserted(TEXT, ("list",), 1, {"field": "z"}))["list"][1] == {"field": "z"}
    assert '\n    {"field": "z"},\n    {"field": "a"' in inserted(TEXT, ("list",), 0, {"field": "z"})
    assert json.loads(inserted(TEXT, ("other",), 0, 1))["other"] == [1]
    for where, place in ((("list",), 2), (("nothing",), 0), (("unknown", "x"), 3), (("other",), 0)):
        more = json.loads(inserted(TEXT, where, place, {"a": 1}, {"b": [2]}))
        for key in where:
            more = more[key]
        assert more[-2:] == [{"a": 1}, {"b": [2]}], where
    assert '\n    {"c": 1},\n    {"d": 2}\n  ]' in inserted(TEXT, ("list",), 2, {"c": 1}, {"d": 2})
    swapped = moved(TEXT, ("list", 0), 1)
    assert [one["field"] for one in json.loads(swapped)["list"]] == ["b", "a"]
    assert moved(swapped, ("list", 1), -1) == TEXT
    assert moved(TEXT, ("list", 0), -1) == moved(TEXT, ("list", 1), 1) == TEXT


def test_a_text_is_put_in_as_it_is_written() -> None:
    pasted = Written('{\n"api": "/x",\n  "n": 1.00, "n2": 1E2}')
    put = with_value(TEXT, ("none",), pasted)
    assert '"none": {\n  "api": "/x",\n    "n": 1.00, "n2": 1E2},' in put and json.loads(put)["none"]["n"] == 1.0
    assert '"a": {"b": [1.00]}' in with_value(TEXT, ("empty", "a", "b", 0), Written("1.00"))
    assert "1.10" in put and "123456789012345678901234567890" in put and "[1,2 ,  3e5]" in put


@pytest.mark.parametrize("text", ["", "{", "[1,]", "[1 2]", '{"a" 1}', "{a: 1}", "1 2", "nul", '{"a": }', "[,]", '"x'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        spans(text)


def test_what_stands_in_the_way_is_not_written_over() -> None:
    with pytest.raises(ValueError, match="/name/x"):
        with_value(TEXT, ("name", "x"), 1)


def test_pointers() -> None:
    assert steps("/list/0/value", spans(TEXT)) == ("list", 0, "value")
    assert steps("/empty/0", spans(TEXT)) == ("empty", "0")
    assert steps("/new/0/a~1b", spans(TEXT)) == ("new", 0, "a/b")
    assert pointer(("list", 0, "a/b~")) == "/list/0/a~1b~0"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


def _paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, one in inner for path in _paths(one, (*here, key)))]


@given(st.dictionaries(st.text(max_size=4), _JSON, max_size=4), _JSON, st.sampled_from([None, 1, 4]), st.data())
def test_the_text_means_what_the_same_change_of_the_value_means(
    document: dict[str, Any], value: Any, indent: int | None, data: st.DataObject
) -> None:
    text = json.dumps(document, ensure_ascii=data.draw(st.booleans()), indent=indent)
    path = data.draw(st.sampled_from(_paths(document)))
    expected = json.loads(text)
    holder = expected
    for key in path[:-1]:
        holder = holder[key]
    if not path:
        assert json.loads(with_value(text, path, value)) == value
        return
    holder[path[-1]] = value
    assert json.loads(with_value(text, path, value)) == expected
    assert steps(pointer(path), spans(text)) == path
    del holder[path[-1]]
    assert json.loads(without(text, path)) == expected
