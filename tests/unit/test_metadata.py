"""Metadata: times, macros, expressions, validation, plans; what is wrong is said with its path."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.mapping import Environment, compile_mapping
from noria.metadata.check import check_cron, check_plan
from noria.metadata.documents import Item, Metadata
from noria.metadata.errors import InvalidDocument, NoriaError
from noria.metadata.expression_tree import Condition, Literal, Lookup, Macro, Place, Reference, Template
from noria.metadata.expressions import parse
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.paths import MISSING, at, put
from noria.metadata.project import load_plan
from noria.metadata.times import duration, format_time, iso, parse_time, start_of, zone
from noria.metadata.validation import nearest, problems_in, validated
from tests.conftest import SEED

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400, tz=SHANGHAI)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1_700_000_000, "2023-11-15 06:13:20"),
        ("1700000000", "2023-11-15 06:13:20"),
        (1_700_000_000_123, "2023-11-15 06:13:20"),
        ("2023-11-15 06:13:20", "2023-11-15 06:13:20"),
        ("2023-11-15T06:13:20", "2023-11-15 06:13:20"),
        ("2023-11-14T22:13:20Z", "2023-11-15 06:13:20"),
        ("2023-11-14T23:13:20+01:00", "2023-11-15 06:13:20"),
        ("2023/11/15 6:13", "2023-11-15 06:13:00"),
        ("2023-1-5", "2023-01-05 00:00:00"),
        ("20231115061320", "2023-11-15 06:13:20"),
        ("20231115", "2023-11-15 00:00:00"),
        (" 2023-11-15 ", "2023-11-15 00:00:00"),
        ("1970-01-01 00:00:00", "1970-01-01 00:00:00"),
    ],
)
def test_times_as_vendors_write_them(value: Any, wanted: str) -> None:
    assert format_time(value, "datetime", SHANGHAI) == wanted


@pytest.mark.parametrize("value", [None, True, "", "soon", [], "2023-13-01", "99999999999999999999", float("nan")])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_time(value)


def test_suffixes_ignore_case_and_unknown_ones_are_errors() -> None:
    when = "2023-11-15 06:13:20"
    assert format_time(when, "dateTime") == when
    assert format_time(when, "DATE") == "2023-11-15"
    assert format_time(when, "timestamp") == 1_700_000_000
    assert format_time(when, "timestamp_ms") == 1_700_000_000_000
    with pytest.raises(KeyError):
        format_time(when, "datim")


@given(st.integers(0, 4_000_000_000))
def test_a_formatted_time_reads_back(seconds: int) -> None:
    assert format_time(format_time(seconds, "datetime"), "timestamp") == seconds
    assert parse_time(iso(seconds)).timestamp() == seconds


def test_durations_zones_and_starts() -> None:
    assert [duration(d) for d in (90, "90", "90s", "15m", "2h", "3d", "1w")[:1]] == [90.0]
    assert [duration(d) for d in ("90s", "15m", "2h", "3d", "1w")] == [90, 900, 7200, 259200, 604800]
    for bad in ("soon", "3 years", "", True, "-1d"):
        with pytest.raises(ValueError):
            duration(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        zone("Mars/Olympus")
    with pytest.raises(ValueError):
        zone("../etc/passwd")
    assert start_of("1970-01-01 00:00:00") == -8 * 3600
    assert start_of(datetime(2023, 11, 15, 6, 13, 20)) == 1_700_000_000


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("{{LAST_SYNC_TIME}}", 1_700_000_000),
        ("{{LAST_SYNC_TIME|datetime}}", "2023-11-15 06:13:20"),
        ("{{LAST_SYNC_TIME|dateTime}}", "2023-11-15 06:13:20"),
        ("{{LAST_SYNC_TIME}}000", "1700000000000"),
        ("{{ CURRENT_TIME | date }}", "2023-11-16"),
        ("FDate>='{{LAST_SYNC_TIME|datetime}}'", "FDate>='2023-11-15 06:13:20'"),
        ("{{DAYS_AGO_2|date}}", "2023-11-14"),
        ("{{HOUR_AGO_3|datetime}}", "2023-11-16 03:13:20"),
        ("{{MINUTE_AGO_10|timestamp}}", 1_700_086_400 - 600),
        ("{{PAGINATION_PAGE_SIZE}}", 50),
        ("{{PAGINATION_START_ROW}}", 100),
        ("{{PAGINATION_START_PAGE}}", 3),
        ("plain", "plain"),
        (7, 7),
        (None, None),
        ("", None),
    ],
)
def test_request_values(value: Any, wanted: Any) -> None:
    mapping = compile_mapping([Item(field="v", value=value)], source=True)
    request = mapping.payload({}, Environment(MOMENT, position=PagePosition(50, 100, 3)))
    assert request == ({} if wanted is None else {"v": wanted})


def test_expressions_are_told_apart() -> None:
    assert parse("{{a.b|date}}") == Reference("a.b", "date")
    assert parse("{{单据编号}}") == Reference("单据编号")
    assert parse("生产入库单{{no}}") == Template(("生产入库单", Reference("no")))
    assert parse("{{CURRENT_TIME}}") == Macro("CURRENT_TIME")
    assert parse("{{current_time}}") == Reference("current_time")
    found = parse("_findCollection find name from 4a-b where id={{department_id}} FStatus='A' x=1 y=a{{b}}")
    assert found == Lookup(
        Place("name"),
        "4a-b",
        (
            Condition(Place("id"), "eq", Reference("department_id")),
            Condition(Place("FStatus"), "eq", Literal("A")),
            Condition(Place("x"), "eq", Literal("1")),
            Condition(Place("y"), "eq", Template(("a", Reference("b")))),
        ),
    )


@pytest.mark.parametrize(
    "bad",
    [
        "{{a",
        "a}}",
        "{{}}",
        "{{|date}}",
        "{{a|}}",
        "_findCollection find",
        "_findCollection find a from b where c == {{d}}",
        "_findCollection find a from b where {{d}}",
        "_findCollection find a from b",
        "_function 1+",
        "_mongoQuery x y",
    ],
)
def test_malformed_expressions_say_what_would_be_right(bad: str) -> None:
    with pytest.raises(NoriaError) as caught:
        parse(bad)
    assert caught.value.hint is not None


@given(st.text())
def test_parsing_any_text_ends_in_an_expression_or_a_clear_error(text: str) -> None:
    try:
        parse(text)
    except NoriaError as error:
        assert str(error.message) and error.hint


def test_paths() -> None:
    value = {"a": {"b": [{"c": 1}]}, "x.y": 2, "n": None}
    assert at(value, "") is value
    assert at(value, "a.b.0.c") == 1
    assert at(value, "x.y") == 2
    assert at(value, "n") is None
    for nowhere in ("a.z", "a.b.5", "a.b.c", "n.m", "q"):
        assert at(value, nowhere) is MISSING
    target: dict[str, Any] = {}
    put(target, "pager.page_no", 1)
    put(target, "pager.size", 2)
    assert target == {"pager": {"page_no": 1, "size": 2}}


def test_validation_finds_everything_at_once() -> None:
    document = {"api": 1, "idCheck": "yes", "request": [{"label": "x"}, {"field": "a", "childen": []}], "extra": 1}
    found = {problem.path: problem.severity for problem in problems_in(document, Metadata)}
    assert found == {
        "$.api": "error",
        "$.idCheck": "error",
        "$.request[0].field": "error",
        "$.request[1].childen": "warning",
        "$.extra": "hint",
    }
    with pytest.raises(InvalidDocument) as caught:
        validated(document, Metadata)
    assert len(caught.value.problems) == 5 and caught.value.problems[0].severity == "error"


def test_nearest_names() -> None:
    assert nearest("numbr", ["number", "name"]) == "number"
    assert nearest("IDCHECK", ["idCheck"]) == "idCheck"
    assert nearest("zzz", ["number"]) is None


@pytest.mark.parametrize("name", ["source", "target"])
def test_the_seeds_documents_load_verbatim(name: str) -> None:
    document = msgspec.json.decode((SEED / f"{name}.json").read_bytes())
    metadata, problems = validated(document, Metadata)
    assert problems == []
    assert metadata.api == document["api"] and metadata.idCheck is True


def test_several_ids() -> None:
    assert Metadata(api="a", id="x, y").id_paths() == ["x", "y"]
    assert Metadata(api="a", id=["x", "y.z"]).id_paths() == ["x", "y.z"]
    assert Metadata(api="a").id_paths() == []


@pytest.mark.parametrize(
    "good", ["3 2 * * *", "*/30 * * * *", "3 2,3 * * *", "2-59/5 8-22 * * *", "0 0 ? * 1", "0 0 1 * ?"]
)
def test_published_crontabs(good: str) -> None:
    assert check_cron(good, "$") == []


@pytest.mark.parametrize("bad", ["", "* * * *", "60 * * * *", "a b c d e", "0 0 0 * * *", "@daily"])
def test_bad_crontabs(bad: str) -> None:
    assert check_cron(bad, "$.schedule")[0].path == "$.schedule"


def _plan(folder: Path, key: str, looks_into: str | None, uuid: str | None = None) -> Any:
    request = []
    if looks_into:
        request = [{"field": "n", "value": f"_findCollection find name from {looks_into} where id={{{{d}}}}"}]
    document = {
        "uuid": uuid,
        "source": {"connection": "a", "metadata": {"api": "/x", "id": "id"}},
        "target": {"connection": "a", "metadata": {"api": "写入空操作", "request": request}},
    }
    file = folder / f"{key}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return load_plan(file)[0]


def test_plans_that_look_each_other_up_in_a_circle(tmp_path: Path) -> None:
    a, b, c = _plan(tmp_path, "a", "b"), _plan(tmp_path, "b", "c"), _plan(tmp_path, "c", "a")
    found = check_plan(a, [a, b, c])
    assert [p.message.key for p in found] == ["check.lookup_loop"]
    assert "a → b → c → a" in str(found[0].message)


def test_a_look_up_may_name_the_platforms_id(tmp_path: Path) -> None:
    a, b = _plan(tmp_path, "a", "8e620793-bebb"), _plan(tmp_path, "b", None, uuid="8e620793-bebb")
    assert check_plan(a, [a, b]) == []


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    _plan(tmp_path, "p", None)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_plan(file)[0].key == "p"


def test_deep_json_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('{"a":' * 100_000 + "1" + "}" * 100_000, encoding="utf-8")
    with pytest.raises(NoriaError) as caught:
        load_plan(file)
    assert caught.value.code == "bad_json"
