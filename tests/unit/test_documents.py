"""Plans in the style of published ones, of many systems: loaded, checked and mapped. What comes out was worked out by
hand. Numbers with decimals stand as text in the files, because JSON readers make floats of them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docs.language import CHOICES, CONSTRUCTS, Construct

from noria.engine.answers import Asked, rules_of
from noria.engine.identity import arrivals_of
from noria.engine.preview import preview
from noria.ledger import Ledger, open_ledger
from noria.mapping import Environment, compile_mapping, encode
from noria.metadata.check import check_plan
from noria.metadata.documents import Item, Metadata
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.plan import Plan
from noria.metadata.project import load_plan

FOLDER = Path(__file__).parent.parent / "documents"
FILES = sorted(FOLDER.glob("*.json"))
MOMENT = Moment(last_sync=1_700_000_000, now=1_700_086_400)


def plan_of(folder: Path, name: str, document: dict[str, Any]) -> Plan:
    file = folder / f"{name}.json"
    whole = {
        "source": {"connection": "a", "metadata": document["source"]},
        "target": {"connection": "b", "metadata": document["target"]},
        "options": {"maps": document.get("maps", {})},
    }
    file.write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
    return load_plan(file)[0]


def looked_into(folder: Path, ledger: Ledger, name: str, given: dict[str, Any]) -> tuple[Plan, Asked]:
    """A plan that is looked into, with its rows in the ledger."""
    source = {"api": "/x", "id": given["id"]}
    plan = plan_of(folder, name, {"source": source, "target": {"api": "写入空操作"}})
    run = ledger.runs.begin(name, name, "run", 1.0)
    read = ledger.reads.begin(run, 1.0, "s", 0)
    arrivals = arrivals_of(Metadata(api="/x", id=given["id"]), MOMENT)([encode(row) for row in given["rows"]])
    ledger.staging.stage(
        run, read, number=1, request="", arrivals=arrivals, cursor=None, now=1.0, delivers_changes=False
    )
    return plan, Asked(run.plan_id, rules_of(plan))


def same(found: Any, wanted: Any) -> bool:
    """Equal, where a wanted text also stands for an exact decimal with these digits."""
    if isinstance(found, Decimal):
        return isinstance(wanted, str | int) and format(found, "f") == str(wanted)
    if isinstance(found, dict) and isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return type(found) is type(wanted) and bool(found == wanted)


def test_there_are_enough_of_enough_systems() -> None:
    systems = {json.loads(file.read_text("utf-8"))["system"].split(" ")[0] for file in FILES}
    assert len(FILES) >= 25 and len(systems) >= 8


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_published_style_plan(file: Path, tmp_path: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    plan = plan_of(tmp_path, file.stem, document)
    with open_ledger("sqlite:///ledger.db", tmp_path) as ledger:
        others = {
            name: looked_into(tmp_path, ledger, name, given) for name, given in document.get("lookups", {}).items()
        }
        problems = check_plan(plan, [other for other, _ in others.values()])
        assert [problem for problem in problems if problem.severity == "error"] == []
        records = [json.dumps(record, ensure_ascii=False).encode() for record in document["records"]]
        results = preview(plan, records, MOMENT, ledger, {name: asked for name, (_, asked) in others.items()})
    found = [{key: one[key] for key in ("id", "state", "payload")} for one in results]
    assert len(found) == len(document["expected"]), found
    for one, wanted in zip(found, document["expected"], strict=True):
        assert one["id"] == wanted["id"] and one["state"] == wanted["state"], (one, wanted)
        assert same(one["payload"], wanted["payload"]), (one["payload"], wanted["payload"])
    if "request" in document:
        mapping = compile_mapping(plan.source.metadata.items(), source=True)
        size = plan.source.metadata.pagination.pageSize if plan.source.metadata.pagination else 100
        request = mapping.payload({}, Environment(MOMENT, position=PagePosition(size, 0, 1)))
        assert same(request, {name: value for name, value in document["request"].items() if value is not None})


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct.name)
def test_the_references_examples_are_right(construct: Construct, tmp_path: Path) -> None:
    """Each construct of the reference: the plan is without problems, and its example gives what the page says."""
    more = construct.more or {}
    document = {
        "source": {"api": "/list", "id": "id", "idCheck": False, **construct.source},
        "target": {"api": "/save", **construct.target},
        **more,
    }
    plan = plan_of(tmp_path, "example", document)
    with open_ledger("sqlite:///ledger.db", tmp_path) as ledger:
        others = {
            name: looked_into(tmp_path, ledger, name, {"id": "id", "rows": rows})
            for name, rows in more.get("lookups", {}).items()
        }
        problems = check_plan(plan, [other for other, _ in others.values()])
        assert [problem for problem in problems if problem.severity != "hint"] == []
        records = [json.dumps(record, ensure_ascii=False).encode() for record in construct.records]
        results = preview(plan, records, MOMENT, ledger, {name: asked for name, (_, asked) in others.items()})
    found = [one["payload"] for one in results]
    assert len(found) == len(construct.payloads) and all(map(same, found, construct.payloads)), found


def test_every_key_of_the_language_has_an_example() -> None:
    text = json.dumps([[one.name, one.source, one.target] for one in CONSTRUCTS])
    explained = " ".join(zh for zh, _ in CHOICES) + text
    keys = {field.encode_name for field in msgspec.structs.fields(Metadata)} | {
        field.encode_name for field in msgspec.structs.fields(Item)
    }
    plain = {"api", "type", "effect", "method", "id", "number", "name", "label", "describe", "response", "otherResponse",
             "pagination", "delay", "$schema", "parent_id", "formModel", "tableModel", "physicalModel", "display", "enableDisplay", "parser"}  # fmt: skip
    assert {key for key in keys - plain if key not in explained} == set()
