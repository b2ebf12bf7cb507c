"""Programs that speak as Singer's and Airbyte's specifications say, for tests: `python taps.py KIND …`.

They keep to the specifications strictly: a tap refuses a catalog in which nothing is selected, a source a configured
catalog without a sync mode. What they serve stands in the file that their configuration names, as
`{"rows": [...], "how": {...}}`; `how` tells in which way they misbehave.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def say(line: Any) -> None:
    sys.stdout.write((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def load(path: str) -> Any:
    return json.loads(Path(path).read_text("utf-8"))


def served(config: dict[str, Any], after: int) -> tuple[list[tuple[int, str]], dict[str, Any]]:
    """The rows behind a place, as their own texts, and how to serve them."""
    found = load(config["file"])
    rows = [(n, text) for n, text in enumerate(found["rows"], 1) if n > after]
    if config.get("start_id") is not None:
        rows = [(n, text) for n, text in rows if json.loads(text)["id"] >= int(config["start_id"])]
    noted = Path(config["file"]).with_suffix(".log")
    note = {"config": config, "after": after, "pid": os.getpid(), "environ": dict(os.environ)}
    with noted.open("a", encoding="utf-8") as log:
        log.write(json.dumps(note) + "\n")
    return rows, found.get("how") or {}


def misbehave(how: dict[str, Any], row: int, config: dict[str, Any]) -> None:
    """What is to happen after a row."""
    once = Path(config["file"]).with_suffix(".once")
    if row != how.get("at") or (how.get("once") and once.exists()):
        return
    once.touch()
    match how["what"]:
        case "exit":
            sys.stderr.write(f"CRITICAL cannot go on with token {config.get('api_token')}\n")
            sys.exit(3)
        case "junk":
            say("reading page 2 ...")
        case "hang":
            time.sleep(600)
        case "half":
            sys.stdout.write('{"type": "RECORD", "stream": "goods", "rec')
            sys.stdout.flush()
            os._exit(0)
        case "error":
            error = {"message": how["message"], "failure_type": how["failure_type"]}
            say({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1.0, "error": error}})
            sys.exit(1)


def singer(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for name in ("--config", "--catalog", "--state"):
        parser.add_argument(name)
    parser.add_argument("--discover", action="store_true")
    asked = parser.parse_args(arguments)
    config = load(asked.config)
    if asked.discover:
        schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
        metadata = [{"breadcrumb": [], "metadata": {"inclusion": "available"}}]
        streams = [
            {"tap_stream_id": f"shop-{name}", "stream": name, "schema": schema, "metadata": metadata}
            for name in ("goods", "other")
        ]
        say({"streams": streams})
        return
    if asked.catalog:
        chosen = [
            one["stream"]
            for one in load(asked.catalog)["streams"]
            for place in one["metadata"]
            if place["breadcrumb"] == [] and place["metadata"].get("selected")
        ]
        if chosen != ["goods"]:
            sys.stderr.write(f"CRITICAL selected: {chosen}\n")
            sys.exit(1)
    after = load(asked.state)["bookmarks"]["goods"]["after"] if asked.state else 0
    rows, how = served(config, after)
    say({"type": "SCHEMA", "stream": "goods", "schema": {"properties": {}}, "key_properties": ["id"]})
    every = how.get("state_every", 0)
    for said, (number, text) in enumerate(rows, 1):
        say(f'{{"type": "RECORD", "stream": "goods", "record": {text}, "time_extracted": "2026-01-01T00:00:00Z"}}')
        if every and number % every == 0:
            say({"type": "STATE", "value": {"bookmarks": {"goods": {"after": number}}}})
        if said % 5 == 0:
            say({"type": "RECORD", "stream": "other", "record": {"id": number, "name": "not asked for"}})
        misbehave(how, number, config)
    if every and rows:
        say({"type": "STATE", "value": {"bookmarks": {"goods": {"after": rows[-1][0]}}}})


def airbyte(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("check", "discover", "read"))
    parser.add_argument("--config", required=True)
    for name in ("--catalog", "--state", "--manifest-path"):
        parser.add_argument(name)
    asked = parser.parse_args(arguments)
    config = load(asked.config)
    say({"type": "LOG", "log": {"level": "INFO", "message": "starting"}})
    say("a library prints this")
    if asked.verb == "check":
        good = config.get("api_token") == "hush-hush-token"
        status = {"status": "SUCCEEDED"} if good else {"status": "FAILED", "message": "401 Unauthorized"}
        say({"type": "CONNECTION_STATUS", "connectionStatus": status})
        return
    how = load(config["file"]).get("how") or {}
    modes = ["full_refresh"] if how.get("whole") else ["full_refresh", "incremental"]
    stream = {"name": "goods", "json_schema": {"type": "object"}, "supported_sync_modes": modes}
    stream["source_defined_primary_key"] = [["id"]]
    stream["source_defined_cursor"] = not how.get("whole")
    if asked.verb == "discover":
        say({"type": "CATALOG", "catalog": {"streams": [stream]}})
        return
    (configured,) = load(asked.catalog)["streams"]
    assert configured["stream"] == stream and configured["sync_mode"] == modes[-1], configured
    assert configured["destination_sync_mode"] == "append", configured
    after = 0
    if asked.state:
        (state,) = load(asked.state)
        assert state["type"] == "STREAM" and state["stream"]["stream_descriptor"] == {"name": "goods"}, state
        after = state["stream"]["stream_state"]["after"]
    rows, how = served(config, after)
    every = how.get("state_every", 0)
    for said, (number, text) in enumerate(rows, 1):
        say(f'{{"type": "RECORD", "record": {{"stream": "goods", "data": {text}, "emitted_at": 1767225600000}}}}')
        if (every and number % every == 0) or said == len(rows):
            stream_state = {"stream_descriptor": {"name": "goods"}, "stream_state": {"after": number}}
            say({"type": "STATE", "state": {"type": "STREAM", "stream": stream_state}})
        misbehave(how, number, config)


def target(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    config = load(parser.parse_args(arguments).config)
    into, how = Path(config["into"]), config.get("how") or {}
    calls = Path(f"{into}.calls")
    # Several may be at work at once.
    with calls.open("a", encoding="utf-8") as file:
        file.write("x")
    bad = how.get("calls") is None or str(len(calls.read_text("utf-8"))) in how["calls"]
    schema = None
    for number, line in enumerate(sys.stdin):
        message = json.loads(line)
        if message["type"] == "SCHEMA":
            schema = message
            continue
        assert schema is not None and schema["stream"] == message.get("stream", schema["stream"])
        if message["type"] == "RECORD":
            assert message["record"].keys() <= schema["schema"]["properties"].keys()
            with into.open("a", encoding="utf-8") as file:
                file.write(line)
        elif message["type"] == "STATE" and not (bad and how.get("what") == "silent"):
            say(message["value"])
        if bad and how.get("what") == "exit" and number == how["at"]:
            sys.stderr.write(f"CRITICAL {how['said']}\n")
            sys.exit(1)
    Path(f"{into}.schema").write_text(json.dumps(schema), "utf-8")


if __name__ == "__main__":
    {"singer": singer, "airbyte": airbyte, "target": target}[sys.argv[1]](sys.argv[2:])
