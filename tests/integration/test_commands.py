"""The commands as a user's shell sees them: exit codes, JSON, twenty broken inputs, real processes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SEED, environment

NORIA = [sys.executable, "-m", "noria"]


def noria(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [*NORIA, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=env or environment(),
        timeout=120,
        check=False,
    )


@contextmanager
def simulator(name: str, *arguments: str) -> Iterator[dict[str, str]]:
    """`noria simulate NAME` as a process."""
    process = subprocess.Popen(
        [*NORIA, "simulate", name, *arguments], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Both simulators as processes."""
    with (
        simulator("okki", "--users=40", "--departments=6", "--orders=30", "--invalid=2") as okki,
        simulator("sink") as sink,
    ):
        yield okki, sink


@pytest.fixture
def folder(tmp_path: Path, servers: Any, called: Any) -> Path:
    """`noria init`, with the simulators' addresses."""
    code, _, _ = called("init", tmp_path / "p", "--json")
    assert code == 0
    file = tmp_path / "p" / "noria.toml"
    text = file.read_text("utf-8").replace("http://127.0.0.1:8901", servers[0]["url"])
    file.write_text(text.replace("http://127.0.0.1:8902", servers[1]["url"]), encoding="utf-8")
    return tmp_path / "p"


def test_the_whole_way_in_real_processes(folder: Path) -> None:
    """init → check → run → records → record → replay → export, each by its own process."""
    checked = noria("check", "--project", folder, "--json")
    assert checked.returncode == 0 and all(p["severity"] != "error" for p in json.loads(checked.stdout))
    ran = noria("run", "users", "departments", "--project", folder, "--json")
    assert ran.returncode == 3, ran.stderr
    departments, users = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (departments["plan"], users["plan"]) == ("departments", "users"), "the plan looked into goes first"
    assert (users["staged"], users["delivered"], users["invalid"]) == (42, 40, 2)
    assert set(users) >= set(
        "plan run_id status staged unchanged duplicate delivered failed dead invalid skipped held watermark pages"
        " requests started_at finished_at error".split()
    )
    listed = [json.loads(line) for line in noria("records", "users", "--project", folder, "--json").stdout.splitlines()]
    assert len(listed) == 42
    assert set(listed[0]) >= set("id number state reason attempts staged_at delivered_at hash".split())
    story = json.loads(noria("record", "users", listed[0]["id"], "--project", folder, "--json").stdout)
    assert story["payload"]["user_id"] == listed[0]["id"] == story["raw"]["nickname"]
    assert story["history"][0]["state"] == "pending" and "tries" in story
    replayed = json.loads(noria("replay", "users", "--project", folder, "--json").stdout)
    assert replayed["replayed"] == 0
    exported = noria("export", "users", "--format", "csv", "--project", folder).stdout
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert len(rows) == 42 and json.loads(rows[0]["payload"])["user_id"] == rows[0]["id"].lstrip("'")
    lines = noria("export", "users", "--project", folder).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [one["id"] for one in listed]


def test_human_output_in_both_languages(folder: Path) -> None:
    for lang, word in (("zh", "已写入"), ("en", "delivered")):
        env = environment(NORIA_LANG=lang)
        noria("run", "departments", "--project", folder, env=env)
        out = noria("records", "departments", "--project", folder, env=env).stdout
        assert word in out and "我的企业" in out


def test_a_killed_run_is_carried_on(folder: Path, servers: Any) -> None:
    """SIGKILL while a batch's answer is pending: nothing is lost, nothing is doubled."""
    from urllib.request import Request, urlopen

    sink = servers[1]
    urlopen(Request(sink["control"] + "/reset", data=b"", method="POST")).close()
    file = folder / "plans" / "users.json"
    plan = json.loads(file.read_text("utf-8"))
    write = {"results": "data.results", "idempotency_header": "Idempotency-Key", "batch_size": 5}
    plan["options"] = {"endpoint": "/items", "concurrency": 2, "target": {"write": write}}
    file.write_text(json.dumps(plan), encoding="utf-8")
    noria("run", "departments", "--project", folder)
    hang = json.dumps({"kind": "cut", "when": "after", "skip": 2, "times": 3}).encode()
    slow = json.dumps({"kind": "slow", "seconds": 30, "skip": 4, "times": 2}).encode()
    for fault in (hang, slow):
        urlopen(Request(sink["control"] + "/faults", data=fault)).close()
    process = subprocess.Popen([*NORIA, "run", "users", "--project", str(folder), "--json"], env=environment())
    try:
        while json.loads(urlopen(sink["control"] + "/state").read())["requests"].get("POST /items", 0) < 5:
            assert process.poll() is None
    finally:
        process.kill()
    urlopen(Request(sink["control"] + "/faults", method="DELETE")).close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, but nobody has buried it yet
    ran = noria("run", "users", "--project", folder, "--json")
    process.wait()
    assert ran.returncode == 3, ran.stderr
    state = json.loads(urlopen(sink["control"] + "/state").read())
    assert (state["unique"], state["duplicates"]) == (40, [])
    states = [
        json.loads(line)["state"]
        for line in noria("records", "users", "--project", folder, "--json").stdout.splitlines()
    ]
    assert (states.count("delivered"), states.count("invalid"), len(states)) == (40, 2, 42)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_in_order(folder: Path, servers: Any, number: int, code: int) -> None:
    from urllib.request import Request, urlopen

    fault = json.dumps({"kind": "throttle", "path": "/v1/user/list", "retry_after": 120, "times": 1}).encode()
    urlopen(Request(servers[0]["control"] + "/faults", data=fault)).close()
    process = subprocess.Popen(
        [*NORIA, "run", "users", "--project", str(folder)],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "429" in line or "throttled" in line
    process.send_signal(number)
    assert process.wait(30) == code
    process.stderr.close()


def test_preview_gives_the_articles_transform_exactly(called: Any, tmp_path: Path) -> None:
    target = {
        "api": "写入空操作",
        "method": "POST",
        "idCheck": True,
        "request": [
            {"field": "id", "value": "{{userId}}"},
            {"field": "name", "value": "{{userName}}"},
            {"field": "dept_id", "value": "{{departmentId}}"},
        ],
    }
    file = tmp_path / "target.json"
    file.write_text(json.dumps(target), encoding="utf-8")
    code, out, _ = called("preview", file, "--input", SEED / "transform-before.json", "--json")
    results = json.loads(out)
    assert code == 0
    assert [one["payload"] for one in results] == json.loads((SEED / "transform-after.json").read_text("utf-8"))
    assert {one["state"] for one in results} == {"pending"}


def test_preview_reads_a_live_page_and_writes_nothing(folder: Path, called: Any) -> None:
    code, out, _ = called("preview", "users", "--project", folder, "--json")
    results = json.loads(out)
    assert code == 0 and len(results) == 42
    assert sum(one["state"] == "invalid" for one in results) == 2
    assert not (folder / "noria.db").exists()


def test_preview_of_jsonl_keeps_order_and_names_the_bad_line(folder: Path, called: Any, tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text('{"nickname":"a","full_name":"甲"}\n\n{"nickname":""}\n', encoding="utf-8")
    _, out, _ = called("preview", "users", "--input", file, "--project", folder, "--json")
    assert [(one["id"], one["state"]) for one in json.loads(out)] == [("a", "pending"), (None, "invalid")]
    file.write_text('{"nickname":"a"}\n{"nickname":\n', encoding="utf-8")
    code, out, _ = called("preview", "users", "--input", file, "--project", folder, "--json")
    assert code == 1 and json.loads(out)["error"]["path"].endswith(":2")


def test_init_overwrites_nothing(folder: Path, called: Any) -> None:
    before = (folder / "noria.toml").read_text("utf-8")
    code, out, _ = called("init", folder, "--json")
    assert code == 1 and json.loads(out)["error"]["code"] == "exists"
    assert (folder / "noria.toml").read_text("utf-8") == before


def test_connectors_are_described(called: Any) -> None:
    code, out, _ = called("connectors", "--json")
    assert code == 0 and {one["name"] for one in json.loads(out)} >= {"http", "noria", "okki"}
    _, out, _ = called("connectors", "okki", "--json")
    described = json.loads(out)
    paths = {e["path"]: e for e in described["endpoints"]}
    assert set(paths["/v1/company/list"]["parameters"]) >= {"start_index", "count", "start_time"}
    assert {"client_id", "client_secret", "limits.per_second"} <= {o["name"] for o in described["options"]}
    _, out, _ = called("connectors", "http")
    assert "write.idempotency_header" in out


@pytest.mark.parametrize("arguments", [("run",), ("nonsense",), ("records", "users", "--limit", "x"), ("replay",)])
def test_wrong_usage_is_exit_2(called: Any, arguments: tuple[str, ...]) -> None:
    code, _, err = called(*arguments)
    assert code == 2 and err
    code, out, _ = called(*arguments, "--json")
    assert code == 2 and json.loads(out)["error"]["code"] == "usage"


# --- broken inputs: (what to break, the command, a piece of the path, a piece of the message or hint)

GOOD_USERS = {
    "name": "users",
    "source": {"connection": "okki", "metadata": {"api": "/v1/user/list", "id": "nickname", "method": "GET"}},
    "target": {"connection": "qeasy", "metadata": {"api": "写入空操作", "idCheck": True}},
}


def _plan(**changes: Any) -> str:
    document = json.loads(json.dumps(GOOD_USERS))
    for path, value in changes.items():
        *outer, last = path.split("__")
        place = document
        for step in outer:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(document, ensure_ascii=False)


def _item(value: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"field": "f", "type": "string", "value": value, **more}]


BROKEN: list[tuple[str, str, str, str, str]] = [
    ("bad json", "plans/users.json", '{"name": "x",\n  "source": ]}', "$", "line 2"),
    ("not utf-8", "plans/users.json", "\udcff", "$", "UTF-8"),
    ("not an object", "plans/users.json", "[1]", "$", "object"),
    ("missing source", "plans/users.json", _plan(source=None), "$.source", "missing"),
    (
        "missing api",
        "plans/users.json",
        _plan(source__metadata__api=None),
        "$.source.metadata.api",
        "missing",
    ),
    ("missing id", "plans/users.json", _plan(source__metadata__id=None), "$.source.metadata.id", "no id"),
    (
        "wrong type",
        "plans/users.json",
        _plan(source__metadata__request={"a": 1}),
        "$.source.metadata.request",
        "array",
    ),
    (
        "wrong type deep",
        "plans/users.json",
        _plan(source__metadata__request=[{"field": 5}]),
        "$.source.metadata.request[0].field",
        "text",
    ),
    (
        "wrong idCheck",
        "plans/users.json",
        _plan(source__metadata__idCheck="true"),
        "$.source.metadata.idCheck",
        "true or false",
    ),
    (
        "braces in id",
        "plans/users.json",
        _plan(source__metadata__id="{{nickname}}"),
        "$.source.metadata.id",
        "braces",
    ),
    (
        "unknown connection",
        "plans/users.json",
        _plan(source__connection="oki"),
        "$.source.connection",
        "okki",
    ),
    (
        "unknown macro",
        "plans/users.json",
        _plan(source__metadata__request=_item("{{LAST_SYNC_TIM|datetime}}")),
        "$.source.metadata.request[0].value",
        "LAST_SYNC_TIME",
    ),
    (
        "unknown format",
        "plans/users.json",
        _plan(target__metadata__request=_item("{{a|datetim}}")),
        "$.target.metadata.request[0].value",
        "datetime",
    ),
    (
        "unbalanced braces",
        "plans/users.json",
        _plan(target__metadata__request=_item("{{a")),
        "$.target.metadata.request[0].value",
        "{{field}}",
    ),
    (
        "bad literal",
        "plans/users.json",
        _plan(target__metadata__request=_item("abc", type="int")),
        "$.target.metadata.request[0].value",
        "abc",
    ),
    (
        "bad look-up",
        "plans/users.json",
        _plan(target__metadata__request=_item("_findCollection find name from departments")),
        "$.target.metadata.request[0].value",
        "where",
    ),
    (
        "look-up into nothing",
        "plans/users.json",
        _plan(target__metadata__request=_item("_findCollection find name from department where id={{d}}")),
        "$.target.metadata.request[0].value",
        "departments",
    ),
    (
        "looks itself up",
        "plans/users.json",
        _plan(target__metadata__request=_item("_findCollection find name from users where id={{d}}")),
        "$.target.metadata.request[0].value",
        "itself",
    ),
    ("bad cron", "plans/users.json", _plan(schedule="61 * * * *"), "$.schedule", "crontab"),
    ("six-field cron", "plans/users.json", _plan(schedule="0 0 * * * *"), "$.schedule", "five fields"),
    ("bad option", "plans/users.json", _plan(options={"on_doubt": "guess"}), "$.options.on_doubt", "resend"),
    (
        "negative batch",
        "plans/users.json",
        _plan(options={"batch_size": 0}),
        "$.options.batch_size",
        "at least 1",
    ),
    ("bad start", "plans/users.json", _plan(options={"start": "yesterday"}), "$.options.start", "2020-01-01"),
    (
        "bad duration",
        "plans/users.json",
        _plan(options={"lookup": {"wait": "soon"}}),
        "$.options.lookup.wait",
        "15m",
    ),
    (
        "not yet",
        "plans/users.json",
        _plan(target__metadata__distributionOrg="1,2"),
        "$.target.metadata.distributionOrg",
        "not supported yet",
    ),
    (
        "secret in the plan",
        "plans/users.json",
        _plan(options={"source": {"client_secret": "s3cr3t-value"}}),
        "$.options.source.client_secret",
        "env:",
    ),
    (
        "bad override",
        "plans/users.json",
        _plan(options={"target": {"write": {"batch_size": "many"}}}),
        "$.options.target.write.batch_size",
        "integer",
    ),
    ("bad toml", "noria.toml", "[connections.okki\n", "$", "TOML"),
    (
        "literal secret",
        "noria.toml",
        '[connections.okki]\nconnector = "okki"\nclient_id = "a"\nclient_secret = "s3cr3t-value"\n',
        "$.connections.okki.client_secret",
        "env:CLIENT_SECRET",
    ),
    (
        "unknown connector",
        "noria.toml",
        '[connections.okki]\nconnector = "oki"\n',
        "$.connections.okki.connector",
        "okki",
    ),
    (
        "no connector",
        "noria.toml",
        '[connections.okki]\nbase_url = "http://a"\n',
        "$.connections.okki.connector",
        "names no connector",
    ),
    (
        "missing variable",
        "noria.toml",
        '[connections.okki]\nconnector = "okki"\nclient_id = "env:NOT_SET_ANYWHERE"\nclient_secret = "env:OKKI_CLIENT_SECRET"\n',
        "$.connections.okki.client_id",
        "NOT_SET_ANYWHERE",
    ),
    (
        "missing secret file",
        "noria.toml",
        '[connections.okki]\nconnector = "okki"\nclient_id = "file:no/such"\nclient_secret = "env:OKKI_CLIENT_SECRET"\n',
        "$.connections.okki.client_id",
        "no/such",
    ),
    (
        "no credentials",
        "noria.toml",
        '[connections.okki]\nconnector = "okki"\n',
        "$.connections.okki.client_id",
        "client_secret",
    ),
    (
        "bad url",
        "noria.toml",
        '[connections.qeasy]\nconnector = "http"\nbase_url = "example.com"\n',
        "$.connections.qeasy.base_url",
        "https://",
    ),
    (
        "bad zone",
        "noria.toml",
        '[connections.qeasy]\nconnector = "http"\nbase_url = "http://a"\ntimezone = "Shanghai"\n',
        "$.connections.qeasy.timezone",
        "Asia/Shanghai",
    ),
    (
        "bad paging",
        "noria.toml",
        '[connections.qeasy]\nconnector = "http"\nbase_url = "http://a"\npaging = { type = "pages" }\n',
        "$.connections.qeasy.paging.type",
        "offset",
    ),
    (
        "incomplete auth",
        "noria.toml",
        '[connections.qeasy]\nconnector = "http"\nbase_url = "http://a"\nauth = { type = "basic" }\n',
        "$.connections.qeasy.auth.username",
        "basic",
    ),
]


@pytest.mark.parametrize(("what", "file", "content", "path", "words"), BROKEN, ids=[one[0] for one in BROKEN])
def test_broken_inputs_are_told_apart(
    tmp_path: Path, called: Any, what: str, file: str, content: str, path: str, words: str
) -> None:
    """Exit 1, the JSON path, what would be right, in both languages; no traceback, no secret, no half-made file."""
    called("init", tmp_path)
    (tmp_path / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    code, out, err = called("check", "--project", tmp_path, "--json")
    problems = [one for one in json.loads(out) if one["severity"] == "error"]
    assert code == 1 and err == ""
    match = [one for one in problems if one["path"] == path]
    assert match, problems
    assert any(words in one["message"] + " " + one["hint"] for one in match), match
    assert all(one["plan"] for one in problems)
    code, out, err = called("check", "--project", tmp_path)
    assert code == 1 and "Traceback" not in out + err and "s3cr3t-value" not in out + err
    code, out, err = called("preview" if "secret in" in what else "run", "users", "--project", tmp_path, "--json")
    assert code == 1 and set(json.loads(out)["error"]) >= {"code", "message", "plan", "path", "hint"}
    assert "s3cr3t-value" not in out + err
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_broken_inputs_speak_chinese_too(tmp_path: Path, called: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORIA_LANG", "zh")
    called("init", tmp_path)
    (tmp_path / "plans" / "users.json").write_text(_plan(schedule="61 * * * *"), encoding="utf-8")
    _, out, _ = called("check", "--project", tmp_path, "--json")
    assert any("不是有效的 crontab" in one["message"] and "五段" in one["hint"] for one in json.loads(out))


def test_a_broken_plan_stops_only_itself(folder: Path, called: Any) -> None:
    (folder / "plans" / "broken.json").write_text("{", encoding="utf-8")
    code, out, _ = called("run", "departments", "--project", folder, "--json")
    assert code == 0 and json.loads(out)["delivered"] == 6


def test_unknown_keys_are_warned_of_and_harmless(folder: Path, called: Any) -> None:
    file = folder / "plans" / "departments.json"
    plan = json.loads(file.read_text("utf-8"))
    plan["source"]["metadata"]["numbr"] = "x"
    file.write_text(json.dumps(plan), encoding="utf-8")
    code, out, _ = called("check", "departments", "--project", folder, "--json")
    warning = next(one for one in json.loads(out) if one["path"] == "$.source.metadata.numbr")
    assert code == 0 and warning["severity"] == "warning" and "number" in warning["hint"]
    assert called("run", "departments", "--project", folder, "--json")[0] == 0


def test_no_project_and_no_plan(tmp_path: Path, called: Any) -> None:
    for arguments in (("run", "x"), ("records", "x"), ("check",)):
        code, out, err = called(*arguments, "--project", tmp_path)
        assert code == 1 and "noria init" in out + err
    called("init", tmp_path)
    code, out, _ = called("run", "user", "--project", tmp_path, "--json")
    assert code == 1 and "users" in json.loads(out)["error"]["hint"]
    code, out, _ = called("record", "users", "nobody", "--project", tmp_path, "--json")
    assert code == 1 and json.loads(out)["error"]["code"] == "unknown_record"


def test_metadata_may_be_a_file_of_its_own(folder: Path, called: Any) -> None:
    (folder / "plans" / "meta").mkdir()
    (folder / "plans" / "meta" / "source.json").write_bytes((SEED / "source.json").read_bytes())
    (folder / "plans" / "meta" / "target.json").write_bytes((SEED / "target.json").read_bytes())
    plan = {
        "name": "查询小满用户-关联部门",
        "source": {"connection": "okki", "metadata": "meta/source.json"},
        "target": {"connection": "qeasy", "metadata": "meta/target.json"},
    }
    (folder / "plans" / "seed.json").write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
    code, out, _ = called("run", "查询小满用户-关联部门", "--project", folder, "--json")
    assert code == 3 and json.loads(out)["delivered"] == 40
    code, out, _ = called("check", SEED / "source.json", "--json")
    assert code == 0


def test_the_demo_proves_itself(called: Any) -> None:
    code, out, _ = called("demo", "--users", "120", "--departments", "5", "--json")
    result = json.loads(out)
    assert code == 0 and result["equal"] and result["source"] == result["ledger"] == result["sink"] == 120
    assert result["second"][1]["delivered"] == 0 and result["second"][1]["unchanged"] == 123


def test_fields_lists_what_the_first_record_shows(folder: Path, called: Any) -> None:
    row = {
        "id": 1,
        "price": 1.5,
        "ok": True,
        "o": {"a": "x"},
        "items": [{"sku": None}, {"sku": "a", "n": 2}],
        "none": None,
    }
    (folder / "r.json").write_text(json.dumps([row]), "utf-8")
    code, out, _ = called("fields", "users", "--input", folder / "r.json", "--project", folder)
    found = {item["field"]: item for item in json.loads(out)}
    assert code == 0 and {name: item["type"] for name, item in found.items()} == {
        "id": "int", "price": "float", "ok": "bool", "o": "object", "items": "array", "none": "string",
    }  # fmt: skip
    children = {child["field"]: (child["type"], child["parent"]) for child in found["items"]["children"]}
    assert children == {"sku": ("string", "items"), "n": ("int", "items")}
    code, out, _ = called("fields", "users", "--project", folder)
    assert code == 0 and "user_id" in {item["field"] for item in json.loads(out)}, "from the source"
    called("run", "users", "--project", folder, "--json")
    code, again, _ = called("fields", "users", "--project", folder)
    assert code == 0 and {item["field"] for item in json.loads(again)} == {item["field"] for item in json.loads(out)}


def test_preview_shows_the_expression_behind_each_field(folder: Path, called: Any) -> None:
    (folder / "r.json").write_text('[{"user_id": "7", "department_id": 1, "nickname": "n"}]', "utf-8")
    code, out, _ = called("preview", "users", "--input", folder / "r.json", "--project", folder, "--json")
    one = json.loads(out)[0]
    assert code == 0 and one["raw"] == {"user_id": "7", "department_id": 1, "nickname": "n"}
    fields = {field["path"]: field for field in one["fields"]} if one["fields"] else {}
    if one["payload"] is not None:
        assert (
            fields["user_id"]["expression"] == "{{user_id}}" and fields["user_id"]["value"] == one["payload"]["user_id"]
        )
    metadata = {
        "api": "/x",
        "request": [
            {"field": "a", "label": "甲", "value": "x{{user_id}}"},
            {"field": "l", "type": "array", "value": "items", "children": [{"field": "b", "value": "{{items.b}}"}]},
        ],
    }
    (folder / "m.json").write_text(json.dumps(metadata), "utf-8")
    (folder / "r.json").write_text('[{"user_id": "7", "items": [{"b": 1}, {"c": 2}]}]', "utf-8")
    code, out, _ = called("preview", folder / "m.json", "--input", folder / "r.json", "--json")
    assert json.loads(out)[0]["fields"] == [
        {"path": "a", "label": "甲", "expression": "x{{user_id}}", "value": "x7"},
        {"path": "l", "label": None, "expression": "items"},
        {"path": "l[0].b", "label": None, "expression": "{{items.b}}", "value": 1},
    ]
    code, out, _ = called("preview", folder / "m.json", "--input", folder / "r.json")
    assert code == 0 and "x{{user_id}}" in out and '"x7"' in out and '"user_id": "7"' in out


def test_schema_prints_what_editors_read(called: Any) -> None:
    for arguments, title in (((), "noria plan"), (("metadata",), "noria metadata")):
        code, out, _ = called("schema", *arguments)
        assert code == 0 and json.loads(out)["title"] == title
    assert called("schema", "plans")[0] != 0
