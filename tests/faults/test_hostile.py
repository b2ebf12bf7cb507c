"""Hostile metadata ends in a clear error or a right answer, within bounds that the kernel keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noria.mapping import Environment, MappingError, RowRules, compile_mapping, encode, grouping_of
from noria.metadata.check import check_plan
from noria.metadata.documents import Metadata
from noria.metadata.errors import NoriaError
from noria.metadata.macros import Moment
from noria.metadata.plan import Options, Plan, Side
from noria.metadata.validation import validated
from tests.conftest import environment

EXAMPLES = int(os.environ.get("NORIA_EXAMPLES", "150"))


def test_hostile_cases() -> None:
    """Four seconds of processor time a case (the longest takes two where nothing else runs), 700 MB for all of them."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "hostile_cases.py"), "4"],
        capture_output=True,
        text=True,
        env=environment(COVERAGE_PROCESS_START="", COVERAGE_PROCESS_CONFIG=""),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    lines = done.stdout.splitlines()
    assert lines[-1] == f"all {len(lines) - 1}" and len(lines) > 190


# --- fuzz -----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["{{a}}", "{{items.q}}", "{{", "}}", "{{a|date}}", "_function ", "_findCollection find a from b where c=", "_mongoQuery ", "_endFind",
     "'", '"', "\\", "(", ")", ",", "case when ", " then ", " end", "CONCAT(", "SUM(", "1", " + ", "/0", "\x00", "é", "\U0001f600", "__class__", ".", "items", "$eq", "{", "}"]
)  # fmt: skip
TEXT = st.one_of(st.lists(WORDS, max_size=12).map("".join), st.text(max_size=8))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
ITEM: Any = st.deferred(
    lambda: st.fixed_dictionaries(
        {"field": st.one_of(TEXT, st.sampled_from(["a", "b.c", "items"]))},
        optional={
            "value": st.one_of(TEXT, JSON),
            "type": st.one_of(st.sampled_from(["string", "int", "float", "bool", "array", "object"]), TEXT),
            "parser": st.fixed_dictionaries(
                {"name": st.sampled_from(["ConvertJson", "StringToArray", "ArrayToString", "x"])},
                optional={"params": JSON},
            ),
            "children": st.lists(ITEM, max_size=3),
            "parent": TEXT,
            "is_required": st.booleans(),
        },
    )
)
SOURCE = st.fixed_dictionaries(
    {"api": st.just("/x"), "id": st.just("id")},
    optional={
        "condition": st.lists(st.lists(st.fixed_dictionaries({"field": TEXT, "logic": st.sampled_from(["eq", "gt", "between", "in", "isnull", "z"])}, optional={"value": JSON, "strictMode": st.booleans()}), max_size=2), max_size=2),
        "formatResponse": st.lists(st.fixed_dictionaries({"old": st.sampled_from(["a", "items.q", "gone"]), "new": TEXT, "format": st.sampled_from(["date", "round(1)", "implode", "amount", "x("])}), max_size=2),
        "beatFlat": st.lists(st.sampled_from(["items", "a", "items_x"]), max_size=2),
        "response": st.lists(ITEM, max_size=2),
    },
)  # fmt: skip
TARGET = st.fixed_dictionaries(
    {"api": st.just("/y"), "request": st.lists(ITEM, max_size=4)},
    optional={
        "operation": st.fixed_dictionaries({"method": st.sampled_from(["merge", "batchArraySave", "x"])}, optional={"field": TEXT, "rows": JSON, "bodySum": st.lists(TEXT, max_size=2)}),
        "groupCalculate": st.fixed_dictionaries({"headerGroup": st.lists(TEXT, min_size=1, max_size=2)}, optional={"bodyGroup": st.lists(TEXT, max_size=2), "calculate": st.dictionaries(TEXT, st.sampled_from(["$sum", "$avg", "$push", "$max", "$q"]), max_size=2)}),
    },
)  # fmt: skip
ROW = st.fixed_dictionaries(
    {},
    optional={
        "a": JSON,
        "items": st.one_of(JSON, st.lists(st.fixed_dictionaries({}, optional={"q": JSON}), max_size=3)),
    },
)


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
@given(SOURCE, TARGET, st.lists(ROW, min_size=1, max_size=3))
def test_any_document_ends_in_a_clear_error_or_an_answer(source: Any, target: Any, rows: list[Any]) -> None:
    """What `check` passes must run: the only way out for a record is a payload, or a reason."""
    try:
        sides = [validated(one, Metadata)[0] for one in (source, target)]
    except NoriaError as error:
        assert str(error)
        return
    plan = Plan(
        key="p", name="p", path=Path("p.json"), options=Options(),
        source=Side(connection="a", metadata=sides[0], document=source), target=Side(connection="b", metadata=sides[1], document=target),
    )  # fmt: skip
    problems = check_plan(plan, [])
    assert all(str(problem.message) and problem.path.startswith("$") for problem in problems)
    if any(problem.severity == "error" for problem in problems):
        return
    env = Environment(Moment(1_700_000_000, 1_700_086_400), patient=False)
    rules, grouping = RowRules(plan.source.metadata), grouping_of(plan.target.metadata)
    mapping = compile_mapping(plan.target.metadata.items())
    before = msgspec.json.encode(rows)
    used = []
    for row in rows:
        for part in rules.split(row):
            try:
                rules.rejected(part, env)
                used.append(rules.derived(part, env))
            except MappingError as error:
                assert str(error.message)
    documents = used
    if grouping is not None and used:
        try:
            documents = [document for document, _ in grouping.documents(used)]
        except MappingError as error:
            assert str(error.message)
            return
    for one in documents:
        try:
            encode(mapping.payload(one, env))
        except MappingError as error:
            assert str(error.message)
    assert msgspec.json.encode(rows) == before
