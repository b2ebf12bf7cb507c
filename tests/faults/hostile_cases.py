"""Hostile metadata and records, each loaded, checked, compiled and run. Prints one line a case: name, how it ended.

Run as a process of its own under limits of memory and processor time: `python hostile_cases.py SECONDS_A_CASE`.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from noria.engine.answers import decoded
from noria.engine.checking import check_project
from noria.engine.identity import arrivals_of
from noria.mapping import Environment, MappingError, RowRules, compile_mapping, encode, grouping_of
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.project import load_plan

RECORD = b'{"a":"1","b":2,"items":[{"q":1},{"q":2}]}'
MEGABYTES = 700


def whole(target: dict[str, Any], source: dict[str, Any] | None = None) -> bytes:
    document = {
        "source": {"connection": "a", "metadata": {"api": "/x", "id": "id", **(source or {})}},
        "target": {"connection": "b", "metadata": {"api": "/y", **target}},
    }
    return json.dumps(document, ensure_ascii=True).encode()


def value(text: Any, **more: Any) -> bytes:
    return whole({"request": [{"field": "f", "value": text, **more}]})


def function(text: str) -> bytes:
    return value("_function " + text)


def with_request(items: str) -> bytes:
    head = '{"source":{"connection":"a","metadata":{"api":"/x","id":"id"}},"target":{"connection":"b","metadata":{"api":"/y","request":'
    return (head + items + "}}}").encode("utf-8", "surrogatepass")


def cases() -> Iterator[tuple[str, bytes, bytes]]:
    """Name, plan, record."""
    for depth in (20, 60, 1000, 10_000):
        items = '[{"field":"a","type":"object","children":' * depth + '[{"field":"b","value":"1"}]' + "}]" * depth
        yield f"children {depth} deep", with_request(items), RECORD
    yield (
        "children wide",
        whole(
            {
                "request": [
                    {
                        "field": "l",
                        "type": "array",
                        "value": "items",
                        "children": [{"field": f"f{i}", "value": "{{items.q}}"} for i in range(5000)],
                    }
                ]
            }
        ),
        RECORD,
    )
    for depth in (100, 400, 100_000):
        yield (
            f"array {depth} deep",
            with_request('[{"field":"f","value":' + "[" * depth + '"{{a}}"' + "]" * depth + "}]"),
            RECORD,
        )
    yield "json text deep", value("[" * 50_000 + "]" * 50_000, type="array"), RECORD
    yield "megabyte literal", value("x" * 1_000_000), RECORD
    yield "megabyte of braces", value("{{" * 500_000), RECORD
    yield "megabyte of macros", value("{{a}}" * 200_000), RECORD
    yield "megabyte name", value("{{" + "a" * 1_000_000 + "}}"), RECORD
    yield "megabyte path", value("{{" + "a." * 500_000 + "a}}"), RECORD
    yield "many conditions", value("_findCollection find a from b where " + "c={{d}} " * 7000), RECORD
    yield "unclosed quotes", value("_findCollection find a from b where " + "c='{{d}} " * 6000), RECORD
    yield "deep mongo", value('_mongoQuery p findField=a where={"a":' + "[" * 20_000 + "]" * 20_000 + "}"), RECORD
    yield "nested look-ups", value("_findCollection find a from b where c=" * 1500 + "{{a}}"), RECORD
    yield "long sum", function("1+" * 8000 + "1"), RECORD
    for depth in (15, 30, 100, 8000):
        yield f"parentheses {depth}", function("(" * depth + "1" + ")" * depth), RECORD
        yield f"case {depth}", function("case when {{a}} then " * depth + "1" + " end" * depth), RECORD
        yield f"functions {depth}", function("ABS(" * depth + "1" + ")" * depth), RECORD
        yield f"not {depth}", function("NOT " * depth + "1"), RECORD
        yield f"minus {depth}", function("- " * depth + "1"), RECORD
    yield "many branches", function("case {{a}} " + "when 2 then 3 " * 1000 + "end"), RECORD
    yield "many operands", function("CONCAT(" + ",".join(["'{{a}}'"] * 1500) + ")"), RECORD
    for text in (
        "REPEAT('x',1000000000)", "REPEAT(REPEAT(REPEAT('x',10000),10000),1000)", "LPAD('x',2000000000,'y')", "SPACE(99999999999)",
        "POW(POW(9999,99),99)", "POW(2,-99999)", "SQRT(-1)", "*".join(["99999999999999999999"] * 700), "ROUND(1.5,2000000000)",
        "TRUNCATE(1.5,-2000000000)", "1<<99999999999", "CAST('1e400' AS DECIMAL(65,30))", "CAST(1 AS DECIMAL(99999,99999))",
        "'" + "9" * 15_000 + "'+0", "'1e999999'*1", "DATE_ADD('9999-12-31', INTERVAL 99999999999999 YEAR)", "FROM_UNIXTIME(99999999999999999)",
        "DATE_ADD('2000-01-01', INTERVAL '1e300' SECOND)", "REPEAT('a',50000) REGEXP '(a+)+$b'", "REPEAT('a',60) REGEXP '^(a|aa)+b$'",
        "'a' REGEXP '(('", "'a' REGEXP '((a{500}){500}){9}'", "REPEAT('a',10000) LIKE '" + "%a" * 300 + "%b'", "FORMAT(1,99999)",
        "LENGTH(CONCAT(SPACE(16000000),SPACE(16000000)))", "REPLACE(REPEAT('a',100000),'a',REPEAT('b',100000))",
        "JSON_EXTRACT(CONCAT(REPEAT('[',100000),REPEAT(']',100000)),'$')", "JSON_EXTRACT('{}','$" + "[0]" * 5000 + "')", "REVERSE('\x00')",
        "STR_TO_DATE('" + "1" * 9000 + "','" + "%Y" * 3000 + "')", "DATE_FORMAT(NOW(),'" + "%W" * 8000 + "')", "ELT(99999999999999999999,1,2)",
        "1/{{b}}/0", "{{b}} DIV 0", "MOD({{a}},0)", "SUM({{items.q}}/{{items.gone}})", "UNIX_TIMESTAMP('0000-00-00')", "CHAR(65)", "@x", "x.y",
        "`a`", "(select 1)", "1 union select 2", "sleep(9)", "load_file('/etc/passwd')", "1 into outfile '/tmp/x'", "benchmark(1,1)", "/* x */ 1", "1 # c",
        "'a' 'b'", "N'a'", "0x41", "b'1'", "DATE '2020-01-01'", "INTERVAL 1 DAY", "*", "", "(1,2)", "1 as x", "distinct 1", "CONCAT(DISTINCT 'a')",
    ):  # fmt: skip
        yield f"function {text[:40]!r}", function(text), RECORD
    for name, content in (
        ("long integer", b"9" * 5000), ("exponent", b"1e999999999"), ("small", b"1e-999999999"), ("zero", b"0e999999999"),
        ("text exponent", b'"1e999999999"'), ("long text", b'"' + b"1" * 100_000 + b'"'), ("deep", b"[" * 50_000 + b"]" * 50_000),
        ("nul", b'"\\u0000"'), ("half", b'"\\ud800"'), ("bytes", b'"\xff\xfe"'),
    ):  # fmt: skip
        for text in ("{{a}}", "x{{a}}", "{{a|datetime}}", "_function {{a}}*2", "_function CONCAT('{{a}}',1)"):
            yield f"record {name} {text}", value(text), b'{"a":' + content + b"}"
        for kind in ("int", "float", "bool"):
            yield f"record {name} as {kind}", value("{{a}}", type=kind), b'{"a":' + content + b"}"
    names = [
        "__class__",
        "__proto__",
        "constructor",
        "__init__.__globals__",
        "k1",
        "row",
        "env",
        "out",
        "v",
        "import os",
        'a"]}',
        "e1",
        "x1",
        "sql",
    ]
    yield (
        "names of Python",
        whole({"request": [{"field": name, "value": "{{" + name + "}}"} for name in names]}),
        b'{"__class__":1,"row":2,"env":3}',
    )
    yield "attributes", value("{{a.__class__.__mro__}}"), RECORD
    yield "code in names", whole({"request": [{"field": 'f"]; raise SystemExit #', "value": '{{a"]}}'}]}), RECORD
    yield "code in texts", function("CONCAT('\"); raise SystemExit', {{a}})"), RECORD
    yield (
        "newlines in names",
        whole({"request": [{"field": "f\n    raise SystemExit\n", "value": "{{a\nraise}}"}]}),
        RECORD,
    )
    yield "half characters", with_request('[{"field":"f","value":"\\ud800{{a}}"}]'), RECORD
    yield "not UTF-8", b'{"source":"\xff"}', RECORD
    yield "dots", whole({"request": [{"field": ".".join(["a"] * 5000), "value": "1"}]}), RECORD
    yield (
        "field over field",
        whole(
            {"request": [{"field": "a", "value": "1"}, {"field": "a.b", "value": "2"}, {"field": "a", "value": "3"}]}
        ),
        RECORD,
    )
    yield (
        "ten thousand items",
        whole({"request": [{"field": f"f{i}", "value": "{{a}}-{{b}}"} for i in range(10_000)]}),
        RECORD,
    )
    yield (
        "chain of parents",
        whole(
            {
                "request": [
                    {"field": f"f{i}", "type": "object", "parent": f"f{i - 1}" if i else None} for i in range(3000)
                ]
            }
        ),
        RECORD,
    )
    yield (
        "circle of parents",
        whole({"request": [{"field": f"f{i}", "type": "object", "parent": f"f{(i + 1) % 9}"} for i in range(9)]}),
        RECORD,
    )
    yield (
        "deep condition",
        whole({}, {"condition": [[{"field": "a" + ".a" * 50_000, "logic": "eq", "value": "1"}]]}),
        RECORD,
    )
    yield "many rules", whole({}, {"condition": [[{"field": "a", "logic": "eq", "value": "{{a}}"}] * 2000]}), RECORD
    yield (
        "format",
        whole({}, {"formatResponse": [{"old": "a", "new": "b", "format": "round(" + "9" * 1000 + ")"}]}),
        RECORD,
    )
    yield "flatten", whole({}, {"beatFlat": ["items"] * 20_000}), RECORD
    # What a reviewer broke it with.
    yield "group by nothing", whole({"groupCalculate": {"headerGroup": []}}), RECORD
    yield "rows of many digits", whole({"operation": {"method": "merge", "field": "a", "rows": "9" * 5000}}), RECORD
    yield "lines of many digits", whole({"groupCalculate": {"headerGroup": ["a"], "bodyMaxLine": "9" * 5000}}), RECORD
    for text in (
        "1e", ":b²", ":b0", "CONCAT('{{a}}', :b0)", "JSON_UNQUOTE(JSON_EXTRACT('{{j}}','$.a'))", "IFNULL(JSON_EXTRACT('{{j}}','$.a'),'')",
        "JSON_EXTRACT('{{j}}','$.a')+1", "IF(1,'a' COLLATE utf8mb4_bin,'x')", "GREATEST('a',{{b}}/3)", "CAST(1/3 AS JSON)", "CAST(CAST('a' AS BINARY) AS CHAR)",
        "REGEXP_REPLACE('1','(1)','\\\\2')", "NOW()" + " + INTERVAL 1 DAY" * 330,
        "STR_TO_DATE(CONCAT('2024-01-05',SPACE(20000),'x'),'%Y-%m-%d %H:%i:%s')", "STR_TO_DATE(REPEAT('a',100000),'%W %M %e')",
        "REPEAT('ab',100000) LIKE CONCAT('%',REPEAT('ab',2500),'c%')", "REPEAT('ab',100000) LIKE '%a_a%b_%zzz%'",
        "CONCAT(" + ",".join(["REPEAT('x',16000000)"] * 100) + ")", "REGEXP_REPLACE(REPEAT('a',20000),'.',REPEAT('b',20000))",
        "CONCAT_WS(REPEAT('x',16000000)," + ",".join(["'a'"] * 300) + ")", "HEX(REPEAT('a',16000000))", "TO_BASE64(REPEAT('a',16000000))",
        "TRIM('ab' FROM REPEAT('ab',8000000))", "UPPER(REPEAT('é',8000000))", "REPEAT('é',100000)='x'", "JSON_EXTRACT('[1]'" + ",'$'" * 3000 + ")",
        "CONV('z',36,2)", "EXP(99999)", "LN(0)", "UUID()", "RAND()", "MAKEDATE(9999,400)", "FROM_DAYS(99999999999)", "SEC_TO_TIME(1e300)",
    ):  # fmt: skip
        yield f"function {text[:40]!r}", function(text), b'{"a":"1","b":2,"j":"{\\"a\\":\\"x\\"}","items":[{"q":1}]}'
    yield "long ago", value("{{DAYS_AGO_999999|date}}"), RECORD
    yield (
        "long ago in a request",
        whole({}, {"request": [{"field": "f", "value": "{{DAYS_AGO_999999|datetime}}"}]}),
        RECORD,
    )
    yield (
        "bad suffix in a condition",
        whole({}, {"condition": [[{"field": "a", "logic": "eq", "value": "{{a|dat}}"}]]}),
        RECORD,
    )
    yield (
        "long ago in a condition",
        whole({}, {"condition": [[{"field": "a", "logic": "gt", "value": "{{DAYS_AGO_999999|date}}"}]]}),
        RECORD,
    )
    yield (
        "deep new field",
        whole({}, {"formatResponse": [{"old": "a", "new": "a" + ".b" * 5000, "format": "longText"}]}),
        RECORD,
    )
    yield (
        "long index",
        whole({}, {"condition": [[{"field": "items." + "9" * 5000, "logic": "eq", "value": "1"}]]}),
        RECORD,
    )
    yield "long index in a path", value("{{items." + "9" * 900 + "}}"), RECORD
    for content in (b'{"--5":1}', b'{"' + b"9" * 5000 + b'":1}'):
        yield (
            "json keys",
            value("{{a}}", parser={"name": "ConvertJson"}),
            b'{"a":' + json.dumps(content.decode()).encode() + b"}",
        )
    for number in (b"1e400", b'"1e400"', b"1.8e308", b'"1,234.50"', b'"abc"'):
        record = b'{"a":"1","n":' + number + b"}"
        yield (
            "sum of the vast",
            whole({"operation": {"method": "merge", "field": "a", "bodySum": ["n"], "body": ["a"]}}),
            record,
        )
        for how in ("$sum", "$avg", "$min"):
            yield (
                f"{how} of the vast",
                whole({"groupCalculate": {"headerGroup": ["a"], "bodyName": "l", "calculate": {"n": how}}}),
                record,
            )
    misspelled = [{"field": f"f{i}", "value": f"{{{{fiield_{i}}}}}"} for i in range(500)]
    yield (
        "many misspellings",
        whole(
            {"request": misspelled}, {"response": [{"field": "id"}, *({"field": f"field_{i}"} for i in range(2000))]}
        ),
        RECORD,
    )
    yield (
        "schedule of many digits",
        whole({}, {}).replace(b'{"source"', b'{"schedule":"' + b"9" * 5000 + b' * * * *","source"'),
        RECORD,
    )
    yield (
        "wait without end",
        whole({}, {}).replace(b'{"source"', b'{"options":{"lookup":{"wait":"' + b"9" * 400 + b'd"}},"source"'),
        RECORD,
    )
    yield "huge literal", with_request('[{"field":"f","value":' + "9" * 100_000 + "}]"), RECORD


def outcome(folder: Path, plan: bytes, record: bytes) -> str:
    """How it ends: `refused`, `invalid`, `skipped` or `mapped`; anything else is a defect and raises."""
    file = folder / "p.json"
    file.write_bytes(plan)
    errors = [one for one in check_project(None, [str(file)], folder) if one.severity == "error"]
    if errors:
        assert all(str(one.message) for one in errors)
        return f"refused {str(errors[0].message)[:60]!r}"
    loaded, _ = load_plan(file)
    moment = Moment(1, 2)
    env = Environment(moment, patient=False)
    compile_mapping(loaded.source.metadata.items(), loaded.maps, source=True).payload({}, env)
    mapping = compile_mapping(loaded.target.metadata.items(), loaded.maps)
    grouping = grouping_of(loaded.target.metadata)
    arrived = arrivals_of(loaded.source.metadata, moment, refuses_missing=False)([record])
    try:
        row = decoded(arrived.raws[0])
        if isinstance(row, Message):
            return f"invalid {row.key}"
        row = RowRules(loaded.source.metadata).derived(row, env)
        if grouping is not None:
            row = grouping.documents([row, row])[0][0] if grouping.key(row) is not None else row
        payload = mapping.payload(row, Environment(moment, patient=False))
        return f"{'skipped' if arrived.skipped else 'mapped'} {len(encode(payload))}"
    except MappingError as error:
        return f"invalid {str(error.message)[:60]!r}"


def main(seconds: int) -> None:
    """Every case, within so much processor time each on average and `MEGABYTES` of memory."""
    listed = list(cases())
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with tempfile.TemporaryDirectory() as folder:
        for name, plan, record in listed:
            # The kernel ends the process when a single case takes longer.
            limit = int(spent) + seconds + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            print(ascii(name), end=" ", flush=True)
            print(ascii(outcome(Path(folder), plan, record)), flush=True)
            usage = resource.getrusage(resource.RUSAGE_SELF)
            spent = usage.ru_utime + usage.ru_stime
    print("all", len(listed))


if __name__ == "__main__":
    main(int(sys.argv[1]))
