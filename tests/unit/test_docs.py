"""The documentation: generated pages are up to date, nothing is undocumented, examples work, links lead somewhere."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noria.connectors import CONNECTORS
from noria.metadata.alerts import DEFAULTS, KINDS, AlertSettings
from noria.metadata.check import check_plan
from noria.metadata.check.alerts import alert_problems
from noria.metadata.declared import options_of
from noria.metadata.documents import Item, Metadata
from noria.metadata.plan import PlanDocument
from noria.metadata.project import ProjectDocument, load_plan
from noria.metadata.secrets import literal_secrets
from noria.metadata.validation import problems_in
from noria.simulators.okki_data import make_account

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_UNEXPLAINED = {"formModel", "tableModel", "physicalModel", "display", "enableDisplay", "connections"}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_reference_pages_are_what_the_code_says(lang: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"](lang)
    for name, text in made:
        page = ROOT / "docs" / "reference" / lang / name
        assert page.read_text("utf-8") == text.rstrip() + "\n", f"run `make docs`: {page.name}"


@pytest.mark.parametrize(
    "kind", [Metadata, Item, PlanDocument, ProjectDocument, *(c.settings_type for c in CONNECTORS.values())]
)
def test_every_setting_has_a_meaning_in_both_languages(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for lang in ("zh", "en"):
        monkeypatch.setenv("NORIA_LANG", lang)
        missing = [row["name"] for row in options_of(kind) if not row["meaning"]]
        assert [name for name in missing if name.split(".")[-1] not in _UNEXPLAINED and "parser" not in name] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_tutorials_examples_are_right(lang: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / lang / "tutorial.md").read_text("utf-8")
    table = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])["connections"]["crm"]
    assert CONNECTORS["http"].problems("crm", table, "$") == []
    plan = tmp_path / "customers.json"
    plan.write_text(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0], encoding="utf-8")
    loaded, warnings = load_plan(plan)
    assert warnings == []
    assert [p.message.key for p in check_plan(loaded, [])] == ["check.lookup_plan"], "users is another plan"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_examples_of_files_are_right(lang: str) -> None:
    text = (ROOT / "docs" / lang / "files.md").read_text("utf-8")
    tables = tomllib.loads(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])["connections"]
    assert set(tables) == {"inbox", "store"}
    for name, table in tables.items():
        assert CONNECTORS["file"].problems(name, table, "$") == literal_secrets(table, "$") == []


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_examples_of_alerts_are_right(lang: str) -> None:
    text = (ROOT / "docs" / lang / "operations.md").read_text("utf-8")
    section = re.split(r"^## (?:Alerts|告警)$", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    first, second = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    settings = msgspec.convert(tomllib.loads(first + second)["alerts"], AlertSettings)
    assert (
        alert_problems(settings, ["orders"]) == []
        and problems_in(tomllib.loads(first + second)["alerts"], AlertSettings) == []
    )
    assert {f"`{kind}`" for kind in KINDS} <= set(re.findall(r"^\| (`[a-z]+`)", section, re.MULTILINE))
    for kind, (after, _) in DEFAULTS.items():
        assert re.search(rf"^\| `{kind}` .* `?{after}`?", section, re.MULTILINE), kind


def test_readme_shows_the_two_commands_and_a_user_that_exists() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text and "make test" in text
    account = make_account(1, users=50, departments=8, companies=0, orders=0, leads=0, invalid=0)
    names = {user["nickname"] for user in account.users}
    assert set(re.findall(r"noria record users (\S+)", text)) <= names


def test_pictures_fetch_nothing_from_elsewhere() -> None:
    for picture in (ROOT / "docs").glob("*.svg"):
        text = picture.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!127\.0\.0\.1)(?!www\.textualize\.io)", text), picture.name


def test_example_plans_load() -> None:
    for file in (ROOT / "plans").glob("*.json"):
        assert load_plan(file)[1] == []
    assert {f.stem for f in (ROOT / "plans").glob("*.json")} >= {"okki-users"}
    seed = json.loads((ROOT / "plans" / "okki-users.json").read_text("utf-8"))
    for side in ("source", "target"):
        verbatim = msgspec.json.decode((ROOT / "tests" / "seed" / f"{side}.json").read_bytes())
        assert seed[side]["metadata"] == verbatim
