"""The compiled mapping against the plain interpreter, over generated plans and records."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from noria.mapping import Environment, MappingError, Waiting, compile_mapping
from noria.metadata.documents import Item
from noria.metadata.macros import Moment
from noria.metadata.valuemaps import table_of
from tests.interpreter import interpret, remembered

MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)
EXAMPLES = int(os.environ.get("NORIA_EXAMPLES", "250"))
TABLES = {"m": table_of([("1", "one"), ("a", 7), ("x", None)])}
FOUND = {("1",): "first", ("a",): None, ("5", "a"): 9, ("x",): "1"}

# Few names, so that references meet fields of the head, of lines, of lines of lines, and nothing.
NAMES = st.sampled_from(["a", "b", "c", "items", "subs", "o", "x.y"])
PATHS = st.sampled_from(
    ["a", "b", "c", "o", "o.a", "o.o.b", "items", "items.a", "items.b", "items.subs", "items.subs.a", "subs", "subs.a", "subs.b",
     "x.y", "items.0.a", "gone", "o.gone.a", "items.o.a"]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 20), st.sampled_from(["", "1", "a", "x", "5", "12.50", "2023-11-15 06:13:20", "é中"]),
    st.decimals(-9, 9, places=2).map(lambda d: d + Decimal("0.00")),
)  # fmt: skip
OBJECTS = st.deferred(lambda: st.dictionaries(st.sampled_from(["a", "b", "o", "subs"]), VALUES, max_size=3))
VALUES = st.one_of(SCALARS, SCALARS, OBJECTS, st.lists(st.one_of(OBJECTS, SCALARS), max_size=3))
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "a": SCALARS,
        "b": SCALARS,
        "c": VALUES,
        "o": OBJECTS,
        "items": st.one_of(st.lists(st.one_of(OBJECTS, OBJECTS, SCALARS), max_size=3), SCALARS),
        "subs": st.lists(OBJECTS, max_size=2),
        "x.y": SCALARS,
    },
)
MACROS = st.sampled_from(["LAST_SYNC_TIME", "CURRENT_TIME|datetime", "DAYS_AGO_2|date", "LAST_SYNC_TIME|timestamp_ms"])
REFERENCES = st.one_of(PATHS.map(lambda p: "{{" + p + "}}"), MACROS.map(lambda m: "{{" + m + "}}"))
LOOKUPS = st.one_of(
    PATHS.map(lambda p: f"_findCollection find n from p where id={{{{{p}}}}}"),
    st.tuples(PATHS, PATHS).map(lambda p: f"_findCollection find n from p where id={{{{{p[0]}}}}} k={{{{{p[1]}}}}}"),
    PATHS.map(
        lambda p: f"_findCollection find n from p where id=_findCollection find n from p where id={{{{{p}}}}} _endFind"
    ),
)
BARE = PATHS.map(lambda p: "{{" + p + "}}")
SQL = st.deferred(
    lambda: st.one_of(
        BARE,
        BARE.map(lambda b: f"'{b}'"),
        BARE.map(lambda b: f"'<{b}>'"),
        st.sampled_from(["1", "'a'", "2.50", "NULL", "''"]),
        st.tuples(SQL, st.sampled_from("+-*/%"), SQL).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(SQL, st.sampled_from(["=", "<", ">=", "<>"]), SQL).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(SQL, SQL, SQL).map(lambda p: f"IF({p[0]},{p[1]},{p[2]})"),
        st.tuples(SQL, SQL, SQL, SQL).map(lambda p: f"CASE {p[0]} WHEN {p[1]} THEN {p[2]} ELSE {p[3]} END"),
        st.tuples(SQL, SQL, SQL).map(lambda p: f"CASE WHEN {p[0]} AND NOT {p[1]} THEN {p[2]} END"),
        st.tuples(SQL, SQL).map(lambda p: f"CONCAT({p[0]},{p[1]})"),
        st.tuples(SQL, SQL).map(lambda p: f"IFNULL({p[0]},{p[1]})"),
        SQL.map(lambda s: f"ROUND({s},1)"),
        SQL.map(lambda s: f"LEFT({s},2)"),
        st.tuples(SQL, SQL).map(lambda p: f"({p[0]} IN ({p[1]},'a',1) OR {p[1]} IS NULL)"),
        LOOKUPS.map(lambda text: text if text.endswith("_endFind") and text.count("_find") == 1 else text + " _endFind"),
        st.tuples(st.sampled_from(["SUM", "MAX", "COUNT", "AVG", "GROUP_CONCAT"]), BARE).map(lambda p: f"{p[0]}({p[1]})"),
    )
)  # fmt: skip
TEXTS = st.one_of(
    REFERENCES,
    REFERENCES,
    st.tuples(REFERENCES, st.sampled_from(["", "-", "000"]), REFERENCES).map("".join),
    st.sampled_from(["lit", "", "7"]),
    LOOKUPS,
    SQL.map(lambda sql: "_function " + sql),
    PATHS.map(lambda p: "{{" + p + "|date}}"),
)
PARSERS = st.sampled_from(
    [None, None, None, {"name": "ConvertObjectParser", "params": "F"}, {"name": "StringToArray", "params": ","},
     {"name": "ArrayToString", "params": "/"}, {"name": "ConvertTwoStageObjectParser", "params1": "P", "params2": "Q"}]
)  # fmt: skip
LEAF = st.fixed_dictionaries(
    {
        "field": st.sampled_from(["f", "g", "h", "n.f", "n.g"]),
        "value": st.one_of(
            TEXTS, st.none(), st.integers(0, 3), st.lists(TEXTS, max_size=2), st.dictionaries(NAMES, TEXTS, max_size=2)
        ),
        "type": st.sampled_from(["string", "string", "string", "int", "float", "bool", "array", "object"]),
        "is_required": st.sampled_from([False, False, True]),
        "parser": PARSERS,
        "mapping": st.sampled_from([None, None, {"target": "m"}, {"target": "m", "direction": "reverse"}]),
    }
)
ITEM = st.deferred(
    lambda: st.one_of(
        LEAF,
        LEAF,
        st.fixed_dictionaries(
            {
                "field": st.sampled_from(["list", "obj", "n"]),
                "type": st.sampled_from(["array", "array", "object"]),
                "value": st.sampled_from(["items", "{{items}}", "subs", "items.subs", "", "o.subs", "a"]),
                "children": st.lists(ITEM, min_size=1, max_size=3),
            }
        ),
    )
)


def outcome(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except (MappingError, Waiting) as error:
        return type(error).__name__, getattr(getattr(error, "message", None), "key", "")


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
@example(
    [{"field": "f", "value": "_function ({{a}} + ({{o}} = ({{a}} = {{a}})))", "type": "string"}], [{"o": {}}], False
)
@given(st.lists(ITEM, min_size=1, max_size=5), st.lists(ROWS, min_size=1, max_size=3), st.booleans())
def test_compiled_and_interpreted_agree(items: list[dict[str, Any]], rows: list[dict[str, Any]], patient: bool) -> None:
    tree = msgspec.convert(items, list[Item])
    mapping = compile_mapping(tree, TABLES)
    for row in rows:
        before = repr(row)
        env = Environment(MOMENT, patient=patient)
        env.found = [FOUND] * len(mapping.lookups)
        plain = Environment(MOMENT, patient=patient)
        plain.found = {"p": FOUND}  # type: ignore[assignment]
        compiled = outcome(mapping.payload, row, env)
        interpreted = outcome(interpret, tree, row, plain, TABLES, remembered)
        assert repr(compiled) == repr(interpreted), (items, row)
        assert repr(row) == before, "a mapping must not change the record"
        for planned in mapping.lookups:
            planned.keys(row, env)
