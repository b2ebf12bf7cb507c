"""What a careful look at the programs' connectors has found: none of it may come again."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from noria.metadata.clock import FakeClock
from noria.testing.trial import Trial, giving, trial

SECRET = "hush-hush-token"
# The program around a test's own lines: `rec` and `st` say a record and a state, `after` is where to begin.
PROGRAM = """
import json, os, subprocess, sys, time
kind, verb = {kind!r}, sys.argv[1]
given = dict(zip(sys.argv, sys.argv[1:]))
config = json.load(open(given["--config"]))
def say(message): print(json.dumps(message) if not isinstance(message, str) else message, flush=True)
def rec(row, stream="goods"):
    text = row if isinstance(row, str) else json.dumps(row)
    if kind == "singer": say('{{"type": "RECORD", "stream": "%s", "record": %s}}' % (stream, text))
    else: say('{{"type": "RECORD", "record": {{"stream": "%s", "data": %s, "emitted_at": 1}}}}' % (stream, text))
def st(state):
    if kind == "singer": say({{"type": "STATE", "value": state}})
    else:
        said = {{"stream_descriptor": {{"name": "goods"}}, "stream_state": state}}
        say({{"type": "STATE", "state": {{"type": "STREAM", "stream": said}}}})
def after():
    if "--state" not in given: return 0
    state = json.load(open(given["--state"]))
    return (state if kind == "singer" else state[0]["stream"]["stream_state"])["after"]
if "--discover" in sys.argv or verb == "discover":
    if kind == "singer":
        one = {{"tap_stream_id": "goods", "stream": "goods", "schema": {{}}, "metadata": []}}
        say({{"streams": [one, {{**one, "tap_stream_id": "other", "stream": "other"}}]}})
    else:
        modes = ["full_refresh", "incremental"]
        stream = {{"name": "goods", "json_schema": {{}}, "supported_sync_modes": modes, "source_defined_cursor": True}}
        say({{"type": "CATALOG", "catalog": {{"streams": [stream]}}}})
    sys.exit()
with open(given["--config"] and {log!r}, "a") as log: log.write(json.dumps([after(), os.getpid()]) + chr(10))
{body}
"""
READ = {"api": "goods", "id": "id", "number": "id", "idCheck": True}


@contextmanager
def saying(
    tmp_path: Path, kind: str, body: str, options: dict[str, Any] | None = None, **table: Any
) -> Iterator[Trial]:
    """A plan that reads a program with these lines."""
    script, log = tmp_path / "program.py", tmp_path / "starts"
    script.write_text(PROGRAM.format(kind=kind, log=str(log), body=textwrap.dedent(body)), "utf-8")
    own = {"connector": kind, "tap" if kind == "singer" else "source": f"{sys.executable} {script}", "page": 4}
    tables = {"shop": {**own, "silence": 20, **table}, "inside": {"connector": "noria"}}
    with trial(FakeClock(), tables) as tried:
        tried.plan(("shop", READ), ("inside", {"api": "写入空操作"}), options or {"retry": {"max": 1, "wait": 0}})
        yield tried


def starts(tmp_path: Path) -> list[int]:
    """From where the program was asked to begin, each time."""
    return [json.loads(line)[0] for line in (tmp_path / "starts").read_text("utf-8").splitlines()]


BOTH = pytest.mark.parametrize("kind", ["singer", "airbyte"])
ROWS = "for n in range(after() + 1, 7): rec({'id': n})\nst({'after': 6})"


@BOTH
@pytest.mark.parametrize("value", ['"\\ud83d"', "NaN"])
async def test_a_row_that_is_no_json_is_shown_and_spoils_no_other(tmp_path: Path, kind: str, value: str) -> None:
    body = f"""
        for n in range(after() + 1, 7): rec({{"id": n}} if n != 3 else '{{"id": 3, "x": {value.replace(chr(92), chr(92) * 2)}}}')
        st({{"after": 6}})
    """
    with saying(tmp_path, kind, body) as tried:
        finished = await tried.run()
        assert (finished.counts.staged, finished.counts.invalid) == (6, 1), str(finished.error)
        assert [one["state"] for one in tried.records()].count("invalid") == 1


async def test_a_record_behind_what_something_else_prints_is_not_taken_for_a_log(tmp_path: Path) -> None:
    body = """
        for n in range(1, 7):
            if n == 3: sys.stdout.write("progress 50% ")
            rec({"id": n}); st({"after": n})
    """
    with saying(tmp_path, "airbyte", body) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "progress 50%" in str(failed.error)
        assert "3" not in tried.raws()


async def test_a_source_that_says_that_it_is_not_all(tmp_path: Path) -> None:
    body = """
        rec({"id": 1})
        status = {"stream_descriptor": {"name": "goods"}, "status": "INCOMPLETE"}
        say({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": status}})
    """
    with saying(tmp_path, "airbyte", body) as tried:
        assert (await tried.run()).status == "failed"


async def test_only_messages_are_messages(tmp_path: Path) -> None:
    body = ROWS + '\nsay({"event": "http", "state": "done", "record": None})'
    with saying(tmp_path, "airbyte", body) as tried:
        assert (await tried.run()).status == "done"
        assert (await tried.run()).status == "done" and starts(tmp_path) == [0, 6]


@pytest.mark.parametrize(
    ("names", "catalog", "rows"),
    [
        # A name that the catalog doesn't have is that of the one stream that was selected.
        (["shop-goods"], "", 6),
        (["other", "shop-goods"], "", 6),
        (["shop-goods", "shop-more"], "", None),
        # Without a catalog nobody knows.
        (["Goods"], "none", None),
        (["Goods", "goods"], "none", 6),
    ],
)
async def test_streams_under_other_names(tmp_path: Path, names: list[str], catalog: str, rows: int | None) -> None:
    body = f"for name in {names!r}:\n    for n in range(1, 7): rec({{'id': n}}, name)\nst({{'after': 6}})"
    with saying(tmp_path, "singer", body, catalog=catalog) as tried:
        finished = await tried.run()
        assert finished.status == ("failed" if rows is None else "done"), finished.error
        assert rows is None or len(tried.raws()) == rows
        assert rows is not None or names[-1 if catalog == "" else 0] in str(finished.error)


@BOTH
@pytest.mark.parametrize("what", ["environment", "nested", "file"])
async def test_another_question_in_whatever_part_of_it_begins_anew(tmp_path: Path, kind: str, what: str) -> None:
    file = tmp_path / "extra.json"
    file.write_text('{"streams": [{"tap_stream_id": "goods", "stream": "goods", "metadata": []}]}', "utf-8")
    table: dict[str, Any] = {
        "environment": {"REGION": "a"},
        "config": {"credentials": {"account": "A", "token": "t-1"}},
    }
    table["catalog" if kind == "singer" else "manifest"] = str(file)
    with saying(tmp_path, kind, ROWS, **table) as tried:
        await tried.run()
        own = tried.project.connections["shop"]
        own["config"]["credentials"]["token"] = "t-2"
        await tried.run()
        assert starts(tmp_path) == [0, 6], "a secret is no question"
        if what == "environment":
            own["environment"]["REGION"] = "b"
        elif what == "nested":
            own["config"]["credentials"]["account"] = "B"
        else:
            file.write_text(file.read_text("utf-8") + "\n", "utf-8")
        await tried.run()
        assert starts(tmp_path) == [0, 6, 0]


@BOTH
@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("held", ["stdout", "stderr"])
async def test_something_that_a_program_leaves_behind_keeps_nobody(
    tmp_path: Path, kind: str, held: str, session: bool
) -> None:
    quiet = "stderr" if held == "stdout" else "stdout"
    body = f"""
        subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, {quiet}=subprocess.DEVNULL, start_new_session={session})
        for n in range(1, 4): rec({{"id": n}})
    """
    with saying(tmp_path, kind, body) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 3), str(finished.error)


@BOTH
async def test_states_within_a_page_are_a_way_forward(tmp_path: Path, kind: str) -> None:
    body = """
        for n in range(after() + 1, min(after() + 4, 13)): rec({"id": n}); st({"after": n})
        if after() + 4 < 13: sys.exit(5)
    """
    with saying(tmp_path, kind, body, page=1000) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 12), str(finished.error)
        assert starts(tmp_path) == [0, 3, 6, 9]


@BOTH
async def test_secrets_under_any_name_and_in_pieces(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PAT", SECRET)
    body = """
        sys.stderr.write("bad " + config["mine"][:5]); sys.stderr.flush(); time.sleep(0.2)
        sys.stderr.write(config["mine"][5:] + " refused" + chr(10)); sys.exit(3)
    """
    with saying(tmp_path, kind, body, config={"mine": "env:SHOP_PAT"}) as tried:
        failed = await tried.run()
        assert "bad *** refused" in str(failed.error)
        assert "hush-" not in str(failed.error) + tried.everything()


@BOTH
async def test_half_a_list_settles_nothing(tmp_path: Path, kind: str) -> None:
    """Two contents of one id are invalid until a whole list shows one; what goes on from a state shows no whole list."""
    body = f"""
        rows = [("A", 1), ("B", 1), ("C", 1), ("D", 1), None, ("A", 2), ("E", 1), ("F", 1), ("G", 1), ("H", 1), ("I", 1)]
        once = {str(tmp_path / "once")!r}
        tried_before = os.path.exists(once)
        for n, row in enumerate(rows):
            if after() and n < 5: continue
            if row is None: st({{"after": 5}})
            elif not tried_before and n == 10: open(once, "w").close(); sys.exit(9)
            elif tried_before and not os.path.exists(once + "2"): sys.exit(9)
            else: rec({{"id": row[0], "v": row[1]}})
    """
    with saying(tmp_path, kind, body, {"retry": {"max": 1, "wait": 0}, "on_change": "skip"}) as tried:
        assert (await tried.run()).status == "failed"
        before = {(one["id"], one["state"]) for one in tried.records()}
        (tmp_path / "once2").touch()
        await tried.run()
        assert ("A", "invalid") in before and ("A", "invalid") in {(o["id"], o["state"]) for o in tried.records()}


# --- targets

TARGET = """
import json, sys
config = json.load(open(sys.argv[2]))
lines = sys.stdin.readlines()
with open(config["into"], "a") as file: file.writelines(lines)
if config.get("fails"): print("cannot go on", file=sys.stderr); sys.exit(1)
print(json.dumps(json.loads(lines[-1])["value"]))
"""


@pytest.mark.parametrize("upserts", [False, True])
@pytest.mark.parametrize(
    ("metadata", "records", "keys"),
    [
        # Without a request a record goes as it came, whatever is said once.
        ({"otherRequest": [{"field": "key_properties", "value": "id"}]}, [{"id": 1, "schema": "s"}], ["id"]),
        ({}, [{"id": 1, "schema": "s"}], []),
        # A field of the row is the row's, as long as nothing of that name is said once.
        ({"request": [{"field": "schema", "value": "{{schema}}"}]}, [{"schema": "s"}], []),
        (
            {"request": [{"field": "schema", "value": "x"}], "otherRequest": [{"field": "schema", "value": "y"}]},
            None,
            [],
        ),
    ],
)
async def test_what_a_target_is_given(
    tmp_path: Path, metadata: dict[str, Any], records: list[Any] | None, keys: list[str], upserts: bool
) -> None:
    script, into = tmp_path / "target.py", tmp_path / "into"
    script.write_text(TARGET, "utf-8")
    own = {"connector": "singer", "target": f"{sys.executable} {script}", "upserts": upserts}
    async with giving([{"id": 1, "schema": "s"}]) as url:
        tables = {
            "lake": {**own, "config": {"into": str(into)}},
            "records": {"connector": "http", "base_url": url},
        }
        with trial(FakeClock(), tables) as tried:
            tried.plan(("records", {"api": "/records", "id": "id"}), ("lake", {"api": "goods", **metadata}), {})
            finished = await tried.run()
            if records is None:
                assert "schema" in str(finished.error) and not into.exists()
                return
            said = [json.loads(line) for line in into.read_text("utf-8").splitlines()]
            assert [one["record"] for one in said if one["type"] == "RECORD"] == records
            assert said[0]["key_properties"] == keys and finished.counts.delivered == 1


@pytest.mark.parametrize("keys", ["id", ""])
async def test_upserts_are_such_only_with_a_key(tmp_path: Path, keys: str) -> None:
    script, into = tmp_path / "target.py", tmp_path / "into"
    script.write_text(TARGET, "utf-8")
    own = {"connector": "singer", "target": f"{sys.executable} {script}", "upserts": True}
    async with giving([{"id": 1, "size": 1}]) as url:
        tables = {
            "lake": {**own, "config": {"into": str(into), "fails": True}},
            "records": {"connector": "http", "base_url": url},
        }
        with trial(FakeClock(), tables) as tried:
            target = {"api": "goods", "otherRequest": [{"field": "key_properties", "value": keys}] if keys else []}
            options = {"on_doubt": "hold", "retry": {"max": 1, "wait": 0, "schedule": [60]}}
            tried.plan(("records", {"api": "/records", "id": "id"}), ("lake", target), options)
            await tried.run()
            tried.clock.time += 7200
            await tried.run()
            times = into.read_text("utf-8").count('"RECORD"')
            assert times > 1 if keys else times == 1
