"""The JSON Schemas: as the types say, and good for an editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from noria.metadata.schema import NAMES, rendered, shipped
from tests.conftest import SEED

DOCUMENTS = sorted((Path(__file__).parent.parent / "documents").glob("*.json"))
PLANS = sorted((Path(__file__).parent.parent.parent / "plans").glob("*.json"))


def errors(name: str, document: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads(shipped(name)))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shipped_is_what_the_types_say(name: str) -> None:
    assert shipped(name) == rendered(name), "run `make docs`"
    jsonschema.Draft202012Validator.check_schema(json.loads(shipped(name)))


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.stem)
def test_published_style_documents_are_valid(file: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    assert errors("metadata", document["source"]) == [] and errors("metadata", document["target"]) == []
    sides = {side: {"connection": "x", "metadata": document[side]} for side in ("source", "target")}
    assert errors("plan", {"$schema": "plan.schema.json", **sides}) == []


def test_the_seed_and_the_projects_plans_are_valid() -> None:
    for name in ("source", "target"):
        assert errors("metadata", json.loads((SEED / f"{name}.json").read_text("utf-8"))) == []
    assert PLANS
    for file in PLANS:
        assert errors("plan", json.loads(file.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"id": "a"}, "$"),
        ({"api": 1}, "$.api"),
        ({"api": "a", "idCheck": "yes"}, "$.idCheck"),
        ({"api": "a", "request": [{"label": "x"}]}, "$.request"),
        ({"api": "a", "request": [{"field": "f", "children": [{"field": ""}]}]}, "$.request"),
        ({"api": "a", "request": [{"field": "f", "parser": {"name": "Nope"}}]}, "$.request"),
        ({"api": "a", "condition": [[{"field": "a", "logic": "equals"}]]}, "$.condition"),
        ({"api": "a", "operation": {"method": "merg"}}, "$.operation"),
    ],
)
def test_what_is_wrong_is_marked(document: Any, place: str) -> None:
    assert any(error.startswith(place) for error in errors("metadata", document))


def test_an_editor_is_offered_names_and_explanations() -> None:
    definitions = json.loads(shipped("plan"))["$defs"]
    item = definitions["Item"]["properties"]
    assert "array" in item["type"]["anyOf"][0]["enum"] and "|" in item["value"]["description"]
    assert "ConvertObjectParser" in definitions["Parser"]["properties"]["name"]["anyOf"][0]["enum"]
    assert "notlike" in definitions["FilterCondition"]["properties"]["logic"]["anyOf"][0]["enum"]
    described = [one for one in definitions["Metadata"]["properties"].values() if "description" in one]
    assert len(described) == len(definitions["Metadata"]["properties"])
