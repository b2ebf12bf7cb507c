"""Places that a connection names without a root begin at the project's folder, from wherever noria is started."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from noria.metadata.clock import FakeClock
from noria.testing.trial import trial


@pytest.mark.parametrize(
    ("table", "metadata"),
    [
        ({"connector": "file", "folder": "in"}, {"api": "*.jsonl", "id": "id"}),
        (
            {"connector": "sql", "url": "sqlite:///in/own.db"},
            {"api": "select", "id": "id", "request": [{"field": "main_sql", "value": "SELECT id FROM goods LIMIT 9"}]},
        ),
    ],
)
async def test_a_place_without_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], metadata: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with trial(FakeClock(), {"shop": table, "inside": {"connector": "noria"}}) as tried:
        folder = tried.project.folder / "in"
        folder.mkdir()
        (folder / "goods.jsonl").write_text('{"id": 1}\n{"id": 2}\n', "utf-8")
        with sqlite3.connect(folder / "own.db") as made:
            made.executescript("CREATE TABLE goods (id INTEGER); INSERT INTO goods VALUES (1), (2);")
        tried.plan(("shop", metadata), ("inside", {"api": "写入空操作"}), {})
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 2), str(finished.error)
    assert not list(tmp_path.iterdir())
