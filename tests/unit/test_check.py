"""`check`: every finding of the language with its place, its severity and what would be right, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noria.engine.checking import check_project
from noria.messages import CATALOGUE
from noria.metadata.errors import Problem

S, T = "$.source.metadata", "$.target.metadata"


def found(folder: Path, source: dict[str, Any], target: dict[str, Any], **more: Any) -> list[Problem]:
    """All problems of a plan whose metadata has these changes, as `check` finds them."""
    document = {
        "source": {"connection": "a", "metadata": {"api": "/x", "id": "id", **source}},
        "target": {"connection": "b", "metadata": {"api": "/y", **target}},
        **more,
    }
    file = folder / "p.json"
    file.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return check_project(None, [str(file)], folder)


def item(value: Any = None, **more: Any) -> dict[str, Any]:
    return {"request": [{"field": "f", "value": value, **more}]}


RESPONSE = {"response": [
    {"field": "id"}, {"field": "name"}, {"field": "amount", "type": "float"},
    {"field": "items", "type": "array", "children": [{"field": "sku"}, {"field": "qty"}]}, {"field": "o", "type": "object"},
]}  # fmt: skip

# (source, target, further keys of the plan) → (message, path, severity)
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, str, str]] = [
    ({}, item("{{a"), {}, "expression.unbalanced", f"{T}.request[0].value", "error"),
    ({}, item("{{a}}" * 20_000), {}, "expression.too_long", f"{T}.request[0].value", "error"),
    ({}, item("{{" + "a." * 600 + "}}"), {}, "expression.name_too_long", f"{T}.request[0].value", "error"),
    ({}, item("{{}}"), {}, "expression.empty_macro", f"{T}.request[0].value", "error"),
    ({}, item("_findCollection find"), {}, "expression.lookup", f"{T}.request[0].value", "error"),
    ({}, item("_findCollection find a from b"), {}, "expression.lookup_where", f"{T}.request[0].value", "error"),
    ({}, item("_mongoQuery p where={}"), {}, "expression.mongo", f"{T}.request[0].value", "error"),
    ({}, item('_mongoQuery p findField=a where={"a":{"$near":1}}'), {}, "expression.mongo_operator", f"{T}.request[0].value", "error"),
    ({}, item("_function 1+"), {}, "function.syntax", f"{T}.request[0].value", "error"),
    ({}, item("_function CONCAT('a'"), {}, "function.syntax_expected", f"{T}.request[0].value", "error"),
    ({}, item("_function "), {}, "function.empty", f"{T}.request[0].value", "error"),
    ({}, item("_function CONCAT（'a'，'b'）"), {}, "function.full_width", f"{T}.request[0].value", "error"),
    ({}, item("_function COUNT(*)"), {}, "function.count_lines", f"{T}.request[0].value", "error"),
    ({}, item("_function COUNT(1)"), {}, "function.count_lines", f"{T}.request[0].value", "error"),
    ({}, item("_function CONCAT('{{a}}', :b0)"), {}, "function.unsupported", f"{T}.request[0].value", "error"),
    ({}, item("_function IFF(1,2)+CONCATT(2)"), {}, "function.unknown", f"{T}.request[0].value", "error"),
    ({}, item("_function 1, 2"), {}, "function.not_an_expression", f"{T}.request[0].value", "error"),
    ({}, item("_function 1; drop table x"), {}, "function.not_an_expression", f"{T}.request[0].value", "error"),
    ({}, item("_function '" + "x" * 70_000 + "'"), {}, "function.too_long", f"{T}.request[0].value", "error"),
    ({}, item("_function " + "(" * 400 + "1" + ")" * 400), {}, "function.too_deep", f"{T}.request[0].value", "error"),
    ({}, item("_function (select 1)"), {}, "function.unsupported", f"{T}.request[0].value", "error"),
    ({}, item("_function 1e999"), {}, "function.number", f"{T}.request[0].value", "error"),
    ({}, item("_function status = 1"), {}, "function.bare_word", f"{T}.request[0].value", "error"),
    ({}, item("_function REPLAC('a','b','c')"), {}, "function.unknown", f"{T}.request[0].value", "error"),
    ({}, item("_function LEFT('a')"), {}, "function.arguments", f"{T}.request[0].value", "error"),
    ({}, item("_function DATE_ADD(NOW(), INTERVAL 1 MOON)"), {}, "function.unit", f"{T}.request[0].value", "error"),
    ({}, item("_function CAST('a' AS UUID)"), {}, "function.cast", f"{T}.request[0].value", "error"),
    ({}, item("_function 'open"), {}, "function.open_quote", f"{T}.request[0].value", "error"),
    ({}, item("_function _findCollection find a from b where c={{d}}"), {}, "function.open_lookup", f"{T}.request[0].value", "error"),
    ({}, item("_function SUM(SUM({{a}}))"), {}, "function.nested_aggregate", f"{T}.request[0].value", "error"),
    ({}, item("{{a|datum}}"), {}, "check.unknown_format", f"{T}.request[0].value", "error"),
    ({}, item("{{a|datum}}"), {"options": {"lenient": True}}, "check.unknown_format", f"{T}.request[0].value", "warning"),
    ({}, item("{{LAST_SYNC_TIM}}"), {}, "check.unknown_macro", f"{T}.request[0].value", "error"),
    (item("{{CURENT_TIME}}"), {}, {}, "check.unknown_macro", f"{S}.request[0].value", "error"),
    (item("_findCollection find a from b where c=1"), {}, {}, "check.lookup_in_source", f"{S}.request[0].value", "error"),
    ({"condition": [[{"field": "a", "logic": "eq", "value": "_findCollection find a from b where c=1"}]]}, {}, {}, "check.lookup_here", f"{S}.condition[0][0].value", "error"),
    ({}, item("_findCollection find a from nowhere where c=1"), {}, "check.lookup_plan", f"{T}.request[0].value", "error"),
    ({}, item("_findCollection find a from p where c=1"), {}, "check.lookup_itself", f"{T}.request[0].value", "error"),
    ({}, item("x", type="strng"), {}, "check.item_type", f"{T}.request[0].type", "warning"),
    ({}, item("x", parser={"name": "ConvertObjectParse"}), {}, "check.unknown_parser", f"{T}.request[0].parser", "error"),
    ({}, item("x", parser={"name": "ConvertObjectParser"}), {}, "check.parser_params", f"{T}.request[0].parser", "error"),
    ({}, item("x", parser={"name": "ConvertTwoStageObjectParser", "params1": "a"}), {}, "check.parser_params", f"{T}.request[0].parser", "error"),
    ({}, item("x", mapping={"target": "none"}), {}, "check.no_map", f"{T}.request[0].mapping.target", "error"),
    ({}, item("x", mapping={"target": "m", "direction": "back"}), {"options": {"maps": {"m": {}}}}, "valid.not_a_choice", f"{T}.request[0].mapping.direction", "error"),
    ({}, {}, {"options": {"maps": {"m": [{"a": 1}]}}}, "map.unreadable", "$.options.maps", "error"),
    ({}, item("x", is_required=True, type="int"), {}, "check.literal_type", f"{T}.request[0].value", "error"),
    ({}, item(None, is_required=True), {}, "check.required", f"{T}.request[0].value", "warning"),
    (item(None, is_required=True), {}, {}, "check.required", f"{S}.request[0].value", "warning"),
    ({"formatResponse": [{"old": "a", "new": "b", "format": "rond(2)"}]}, {}, {}, "check.response_format", f"{S}.formatResponse[0].format", "error"),
    ({"condition": [[{"field": "a", "logic": "equal", "value": 1}]]}, {}, {}, "check.operator", f"{S}.condition[0][0].logic", "error"),
    ({"condition": [[{"field": "a", "logic": "gt"}]]}, {}, {}, "check.condition_value", f"{S}.condition[0][0].value", "error"),
    ({}, {"operation": {"method": "merg"}}, {}, "check.operation", f"{T}.operation.method", "error"),
    ({}, {"operation": {"method": "merge"}}, {}, "check.merge_field", f"{T}.operation.field", "error"),
    ({}, {"operation": {"method": "batchArraySave", "rows": 0}}, {}, "check.count", f"{T}.operation.rows", "error"),
    ({}, {"groupCalculate": {"headerGroup": ["a"], "calculate": {"b": "$sun"}}}, {}, "check.calculation", f"{T}.groupCalculate.calculate.b", "error"),
    ({}, {"groupCalculate": {"headerGroup": ["a"], "bodyMaxLine": -1}}, {}, "check.count", f"{T}.groupCalculate.bodyMaxLine", "error"),
    ({}, {"request": [{"field": "a", "parent": "heads", "value": "1"}, {"field": "head", "type": "object"}]}, {}, "check.no_parent", f"{T}.request[0].parent", "warning"),
    ({}, {"request": [{"field": "a", "parent": "b", "type": "object"}, {"field": "b", "parent": "a", "type": "object"}]}, {}, "check.own_parent", f"{T}.request[0].parent", "warning"),
    ({}, {"request": [{"field": f"f{i}", "type": "object", "parent": f"f{i - 1}" if i else None} for i in range(60)]}, {}, "check.too_many_parents", f"{T}.request[55].parent", "error"),
    ({}, {"request": [{"field": "a..b", "value": "1"}]}, {}, "check.field", f"{T}.request[0].field", "error"),
    ({}, item("x", type="object", children=[{"field": "a"}]), {}, "check.value_and_children", f"{T}.request[0].value", "warning"),
    ({}, item(None, type="int", children=[{"field": "a"}]), {}, "check.children_type", f"{T}.request[0].children", "warning"),
    ({}, {"request": [{"field": "a", "value": "1"}, {"field": "a", "value": "2"}]}, {}, "check.duplicate", f"{T}.request[1].field", "warning"),
    ({}, {"request": [{"field": "a", "value": "1"}], "otherRequest": [{"field": "a", "value": "2"}]}, {}, "check.duplicate", f"{T}.otherRequest[0].field", "warning"),
    (RESPONSE, item("{{nmae}}"), {}, "check.unknown_field", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("items", type="array", children=[{"field": "a", "value": "{{items.skuu}}"}]), {}, "check.unknown_field", f"{T}.request[0].children[0].value", "warning"),
    (RESPONSE, item("{{items.sku}}"), {}, "check.into_lines", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("_function CONCAT('{{items.sku}}','x')"), {}, "check.into_lines", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{amount.date}}"), {}, "check.unknown_field", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{items[0].sku}}"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{items|date}}"), {}, "check.type_conflict", f"{T}.request[0].type", "error"),
    (RESPONSE, item("{{zzzzz}}"), {}, "check.unknown_field", f"{T}.request[0].value", "hint"),
    (RESPONSE, item("_function {{nmae}}+1"), {}, "check.unknown_field", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("itemz", type="array", children=[{"field": "a"}]), {}, "check.unknown_field", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("name"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("items.sku"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("no-{name}"), {}, "check.single_braces", f"{T}.request[0].value", "hint"),
    (RESPONSE, item("{name|date}"), {}, "check.single_braces", f"{T}.request[0].value", "hint"),
    (RESPONSE, item("name|date"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("${name}"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("｛｛name｝｝"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{name｜date}}"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{{name}}}"), {}, "check.no_braces", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("{{name}} "), {}, "check.spaces", f"{T}.request[0].value", "hint"),
    (item("LAST_SYNC_TIME|datetime"), {}, {}, "check.no_braces", f"{S}.request[0].value", "warning"),
    ({}, item("{{lastSyncTime|datetime}}"), {}, "check.unknown_macro", f"{T}.request[0].value", "error"),
    ({}, item("{{$now}}"), {}, "check.unknown_macro", f"{T}.request[0].value", "error"),
    ({}, item("{{DAYS_AGO_999999|date}}"), {}, "check.too_long_ago", f"{T}.request[0].value", "warning"),
    ({}, item("_functoin 1+1"), {}, "check.prefix", f"{T}.request[0].value", "warning"),
    ({}, item("_Function 1+1"), {}, "check.prefix", f"{T}.request[0].value", "warning"),
    ({}, item("_findcollection find a from b where c=1"), {}, "check.prefix", f"{T}.request[0].value", "warning"),
    ({}, item("备注： _function 1+1"), {}, "check.prefix", f"{T}.request[0].value", "warning"),
    ({}, item("{{name}}x", type="int"), {}, "check.text_type", f"{T}.request[0].value", "warning"),
    ({}, item("maybe", type="bool"), {}, "check.literal_type", f"{T}.request[0].value", "error"),
    ({}, item(1.5, type="int"), {}, "check.literal_type", f"{T}.request[0].value", "error"),
    ({}, item("NaN", type="float"), {}, "check.literal_type", f"{T}.request[0].value", "error"),
    ({}, item("yesterday", type="date"), {}, "check.literal_type", f"{T}.request[0].value", "warning"),
    ({}, item("x", type="xyzzy"), {}, "check.item_type", f"{T}.request[0].type", "hint"),
    ({}, item("_function {{a}}/0"), {}, "check.division", f"{T}.request[0].value", "error"),
    ({}, item("_function DATE_FORMAT('{{a}}','yyyy-MM-dd')"), {}, "check.time_format", f"{T}.request[0].value", "warning"),
    ({}, item("_function JSON_EXTRACT('{{a}}','a.b')"), {}, "check.json_path", f"{T}.request[0].value", "error"),
    ({}, item("_function '{{a}}' REGEXP '['"), {}, "check.regex", f"{T}.request[0].value", "error"),
    ({}, {"request": [{"field": "{{f}}", "value": "1"}]}, {}, "check.field_text", f"{T}.request[0].field", "warning"),
    ({}, {"request": [{"field": "a.b", "value": "1"}, {"field": "a", "type": "object", "children": [{"field": "b", "value": "2"}]}]}, {}, "check.duplicate", f"{T}.request[1].children[0].field", "warning"),
    (RESPONSE | {"id": "idd"}, {}, {}, "check.unknown_field", f"{S}.id", "warning"),
    (RESPONSE | {"id": "o"}, {}, {}, "check.type_conflict", f"{S}.id", "error"),
    ({"number": "a|date"}, {}, {}, "check.id_braces", f"{S}.number", "error"),
    (RESPONSE | {"condition": [[{"field": "nmae", "logic": "eq", "value": 1}]]}, {}, {}, "check.unknown_field", f"{S}.condition[0][0].field", "warning"),
    ({"condition": [[{"field": "a", "logic": "eq", "value": "{{a|datum}}"}]]}, {}, {}, "check.unknown_format", f"{S}.condition[0][0].value", "error"),
    ({"condition": [[{"field": "a", "logic": "egt", "value": "{{CURENT_TIME}}"}]]}, {}, {}, "check.unknown_macro", f"{S}.condition[0][0].value", "error"),
    ({"condition": [[{"field": "a", "logic": "between", "value": "5"}]]}, {}, {}, "check.compared", f"{S}.condition[0][0].value", "error"),
    ({"condition": [[{"field": "a", "logic": "in", "value": "5，6"}]]}, {}, {}, "check.compared", f"{S}.condition[0][0].value", "warning"),
    ({"condition": [[{"field": "a", "logic": "like", "value": "%5%"}]]}, {}, {}, "check.compared", f"{S}.condition[0][0].value", "hint"),
    ({"condition": [[{"field": "a", "logic": "gt", "value": "timestamp:soon"}]]}, {}, {}, "check.time", f"{S}.condition[0][0].value", "error"),
    ({"condition": [[]]}, {}, {}, "check.empty_group", f"{S}.condition[0]", "hint"),
    (RESPONSE | {"formatResponse": [{"old": "nmae", "new": "b", "format": "date"}]}, {}, {}, "check.unknown_field", f"{S}.formatResponse[0].old", "warning"),
    ({"formatResponse": [{"old": "{{a}}", "new": "b", "format": "date"}]}, {}, {}, "check.id_braces", f"{S}.formatResponse[0].old", "error"),
    ({"formatResponse": [{"old": "a", "new": "b", "format": "date"}, {"old": "c", "new": "b", "format": "date"}]}, {}, {}, "check.duplicate", f"{S}.formatResponse[1].new", "warning"),
    (RESPONSE | {"beatFlat": ["itmes"]}, {}, {}, "check.unknown_field", f"{S}.beatFlat[0]", "warning"),
    (RESPONSE | {"beatFlat": ["amount"]}, {}, {}, "check.type_conflict", f"{S}.beatFlat[0]", "error"),
    ({"beatFlat": ["{{a}}"]}, {}, {}, "check.id_braces", f"{S}.beatFlat[0]", "error"),
    ({"effect": "QERY"}, {}, {}, "check.effect", f"{S}.effect", "warning"),
    ({"effect": "EXECUTE"}, {}, {}, "check.swapped", f"{S}.effect", "warning"),
    ({"method": "GETT"}, {}, {}, "check.method", f"{S}.method", "warning"),
    ({"delay": -5}, {}, {}, "valid.too_small", f"{S}.delay", "error"),
    (RESPONSE, {"operation": {"method": "merge", "field": "nmae"}}, {}, "check.unknown_field", f"{T}.operation.field", "warning"),
    ({}, {"operation": {"method": "merge", "field": "{{a}}"}}, {}, "check.id_braces", f"{T}.operation.field", "error"),
    ({}, {"operation": {"method": "merge", "field": "a"}, "groupCalculate": {"headerGroup": ["a"]}}, {}, "check.two_groupings", f"{T}.operation", "warning"),
    ({}, {"groupCalculate": {"headerGroup": ["a", ""]}}, {}, "check.column_empty", f"{T}.groupCalculate.headerGroup", "error"),
    ({}, {"groupCalculate": {"headerGroup": []}}, {}, "valid.too_few", f"{T}.groupCalculate.headerGroup", "error"),
    ({}, {"callBackStrategy": {"strategyId": "p", "a": "{{b|datum}}"}}, {}, "check.unknown_format", f"{T}.callBackStrategy.a", "error"),
    ({}, {}, {"options": {"concurrency": 10**9}}, "check.out_of_range", "$.options.concurrency", "error"),
    ({}, {}, {"options": {"endpoint": "x"}}, "check.endpoint", "$.options.endpoint", "error"),
    ({}, {}, {"options": {"sweep": {"window": 0}}}, "check.duration", "$.options.sweep.window", "error"),
    (RESPONSE, item("{{items}}", type="int"), {}, "check.type_conflict", f"{T}.request[0].type", "error"),
    (RESPONSE, item("amount", type="array", children=[{"field": "a"}]), {}, "check.type_conflict", f"{T}.request[0].value", "error"),
    ({"omissionRemedy": {"crontab": "* * *"}}, {}, {}, "check.cron", f"{S}.omissionRemedy.crontab", "error"),
    ({"omissionRemedy": {"crontab": "1 1 * * *", "takeOverRequest": [{"field": "a", "value": "{{DAY_AGO}}"}]}}, {}, {}, "check.unknown_macro", f"{S}.omissionRemedy.takeOverRequest[0].value", "error"),
    ({"id": "{{id}}"}, {}, {}, "check.id_braces", f"{S}.id", "error"),
    ({"id": None}, {}, {}, "check.no_id", f"{S}.id", "error"),
    ({}, {"callBackStrategy": {"a": "{{b}}"}}, {}, "check.callback_plan", f"{T}.callBackStrategy.strategyId", "error"),
    ({}, {"callBackStrategy": {"strategyId": "nowhere"}}, {}, "check.no_taker", f"{T}.callBackStrategy.strategyId", "error"),
    ({}, {"callBackStrategy": {"strategyId": "p"}}, {}, "check.callback_loop", f"{T}.callBackStrategy.strategyId", "error"),
    (RESPONSE, item("_findCollection find nmae from p where id=1"), {}, "check.unknown_looked_up", f"{T}.request[0].value", "warning"),
    (RESPONSE, item("_findCollection find name from p where zzzz=1"), {}, "check.unknown_looked_up", f"{T}.request[0].value", "hint"),
    ({}, {"callBackStrategy": {"strategyId": "p", "a": "{{"}}, {}, "expression.unbalanced", f"{T}.callBackStrategy.a", "error"),
    ({}, {"distributionOrg": "1"}, {}, "check.not_yet", f"{T}.distributionOrg", "error"),
    ({}, {}, {"schedule": "x"}, "check.cron", "$.schedule", "error"),
    ({}, {}, {"options": {"split": {}}}, "check.split_nothing", "$.options.split", "error"),
    ({}, {}, {"options": {"split": {"window": "7d"}}}, "check.split_window", "$.options.split.window", "error"),
    (item("{{LAST_SYNC_TIME}}"), {}, {"options": {"split": {"window": "7d"}}}, "check.split_window", "$.options.split.window", "error"),
    (item("{{LAST_SYNC_TIME}}-{{CURRENT_TIME}}"), {}, {"options": {"split": {"window": "x"}}}, "check.duration", "$.options.split.window", "error"),
    ({}, {}, {"options": {"split": {"param": "d"}}}, "check.split_values", "$.options.split.values", "error"),
    ({}, {}, {"options": {"split": {"window": "1d", "api": "/d"}}}, "check.split_param", "$.options.split.param", "error"),
    ({}, {}, {"options": {"split": {"param": "d", "values": [1], "below": "p"}}}, "check.split_below", "$.options.split.below", "error"),
    ({}, {}, {"options": {"start": "x"}}, "check.time", "$.options.start", "error"),
    ({}, {}, {"options": {"lookup": {"wait": "x"}}}, "check.duration", "$.options.lookup.wait", "error"),
    ({"reqest": []}, {}, {}, "valid.unknown_key", f"{S}.reqest", "warning"),
    ({"uiColour": []}, {}, {}, "valid.unknown_key", f"{S}.uiColour", "hint"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "more", "key", "path", "severity"), CASES)
def test_findings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: dict[str, Any],
    target: dict[str, Any],
    more: dict[str, Any],
    key: str,
    path: str,
    severity: str,
) -> None:
    problems = found(tmp_path, source, target, **more)
    mine = [problem for problem in problems if problem.path == path and problem.message.key == key]
    assert [problem.severity for problem in mine] == [severity], problems
    texts = []
    for lang in ("zh", "en"):
        monkeypatch.setenv("NORIA_LANG", lang)
        texts.append((str(mine[0].message), str(mine[0].hint)))
        assert all(texts[-1]) and "None" not in texts[-1]
    assert texts[0][0] != texts[1][0]


def test_every_message_of_the_check_is_among_the_cases() -> None:
    """Loops are tested with three plans, connections with their connectors; nested values at the hostile inputs."""
    elsewhere = {
        "check.at_most",
        "check.callback_source",
        "check.same_name",
        "map.row",
        "map.shape",
        "check.lookup_loop",
        "check.summary",
        "function.operand",
        "expression.too_deep",
    }
    keys = {
        key
        for key in CATALOGUE
        if key.startswith(("check.", "expression.", "function.", "map.")) and not key.endswith("hint")
    }
    assert keys - elsewhere == {case[3] for case in CASES if not case[3].startswith("valid.")}


def test_all_at_once(tmp_path: Path) -> None:
    problems = found(
        tmp_path,
        {**RESPONSE, "condition": [[{"field": "a", "logic": "x", "value": 1}]], "formatResponse": [{"old": "a", "new": "b", "format": "x"}]},
        {"request": [{"field": "a", "value": "{{x"}, {"field": "a", "value": "_function nope(1)"}], "operation": {"method": "x"}},
    )  # fmt: skip
    assert {problem.message.key for problem in problems} >= {
        "check.operator", "check.response_format", "expression.unbalanced", "function.unknown", "check.duplicate", "check.operation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (RESPONSE, item("items", type="array", children=[{"field": "a", "value": "{{items.sku}}"}])),
        (
            RESPONSE,
            {
                "request": [
                    {"field": "l", "type": "array", "value": "items"},
                    {"field": "a", "value": "{{items.sku}}", "parent": "l"},
                ]
            },
        ),
        (RESPONSE, item("_function SUM({{items.qty}})")),
        (RESPONSE, item("{{items.sku}}", parser={"name": "ArrayToString", "params": ","})),
        (RESPONSE, item("{{o.anything}}")),
        ({"response": [{"field": "id"}, {"field": "order_list.oid"}]}, item("{{order_list.oid}}")),
        (
            {
                "response": [{"field": "id"}, {"field": "d", "type": "array", "children": [{"field": "q"}]}],
                "beatFlat": ["d"],
            },
            item("{{d.d_q}}"),
        ),
        (
            {},
            item("x", parent="elsewhere", children=None)
            | {
                "request": [
                    {"field": "o", "type": "object", "children": [{"field": "a", "value": "1", "parent": "other"}]}
                ]
            },
        ),
        ({}, item("x", type="varchar(32)")),
        ({}, item("{{LAST_SYNC_TIME}}000", type="int")),
        ({**RESPONSE, "autoFillResponse": True}, item("{{zzzz}}")),
        ({**RESPONSE, "beatFlat": ["items"]}, item("{{items_sku}}")),
        ({**RESPONSE, "formatResponse": [{"old": "id", "new": "id_new", "format": "date"}]}, item("{{id_new}}")),
        (RESPONSE, item("{{items.0.sku}}")),
        ({}, item("{{anything}}")),
        (
            RESPONSE,
            {
                **item("details", type="array", children=[{"field": "a", "value": "{{details.sku}}"}]),
                "operation": {"method": "merge", "field": "id", "bodyName": "details"},
            },
        ),
        (
            {"response": [{"field": "id"}, {"field": "h", "type": "object"}, {"field": "x", "parent": "h"}]},
            item("{{h.x}}"),
        ),
    ],
)
def test_what_is_right_is_not_complained_of(tmp_path: Path, source: dict[str, Any], target: dict[str, Any]) -> None:
    assert found(tmp_path, source, target) == []


def test_what_is_wrong_in_one_place_does_not_hide_the_rest(tmp_path: Path) -> None:
    """Types, keys, expressions, schedules, options, missing files: one look finds them all."""
    (tmp_path / "p.json").write_text(
        json.dumps(
            {
                "schedule": 5,
                "timezone": "Mars/Olympus",
                "source": {"connection": "a", "metadata": {"api": 5, "id": "id", "request": [{"value": "1"}, {"field": "t", "value": "{{CURENT_TIME}}"}, 7]}},
                "target": {"metadata": {"api": "/y", "request": "x", "otherRequest": [{"field": "f", "type": 3, "value": "_function nope(1)"}]}},
                "options": {"concurrency": "many", "endpoint": "x", "retry": {"wait": -1}},
            }
        ),
        "utf-8",
    )  # fmt: skip
    errors = {p.path for p in check_project(None, [str(tmp_path / "p.json")], tmp_path) if p.severity == "error"}
    assert errors == {
        "$.schedule", "$.timezone", f"{S}.api", f"{S}.request[0].field", f"{S}.request[1].value", f"{S}.request[2]",
        "$.target.connection", f"{T}.request", f"{T}.otherRequest[0].type", f"{T}.otherRequest[0].value",
        "$.options.concurrency", "$.options.endpoint", "$.options.retry.wait",
    }  # fmt: skip
    files = {
        "source": {"connection": "a", "metadata": "no.json"},
        "target": {"connection": "b", "metadata": "none.json"},
    }
    (tmp_path / "q.json").write_text(json.dumps(files), "utf-8")
    errors = {p.path for p in check_project(None, [str(tmp_path / "q.json")], tmp_path) if p.severity == "error"}
    assert errors == {S, T}


def test_a_key_that_is_there_twice_is_told(tmp_path: Path) -> None:
    text = '{"api": "/x", "id": "a", "id": "b", "request": [{"field": "f", "field": "g", "value": "1"}]}'
    (tmp_path / "m.json").write_text(text, "utf-8")
    problems = check_project(None, [str(tmp_path / "m.json")], tmp_path)
    assert {p.path for p in problems if p.message.key == "valid.duplicate_key"} == {"$.id", "$.request[0].field"}


def test_a_document_alone_may_name_what_is_not_there(tmp_path: Path) -> None:
    """Its look-ups and maps belong to a project that it has not been put into yet."""
    document = {"api": "/y", "effect": "EXECUTE", "request": [
        {"field": "f", "value": "_findCollection find a from 8e62-x where b={{c}}"}, {"field": "g", "value": "{{h}}", "mapping": {"target": "6433d2"}}]}  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(document), "utf-8")
    problems = check_project(None, [str(tmp_path / "m.json")], tmp_path)
    assert {(p.path, p.severity) for p in problems} == {
        ("$.request[0].value", "warning"),
        ("$.request[1].mapping.target", "warning"),
    }
    (tmp_path / "s.json").write_text('{"api": "/x", "effect": "QUERY"}', "utf-8")
    assert [p.path for p in check_project(None, [str(tmp_path / "s.json")], tmp_path)] == ["$.id"]
