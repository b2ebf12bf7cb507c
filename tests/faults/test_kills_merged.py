"""kill -9 while records are put together into documents: every record ends in exactly one document."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from tests.conftest import COMPANIES, Project, connections
from tests.faults.test_kills import Killer, killer

MERGED = {
    "api": "/items",
    "method": "POST",
    "operation": {
        "method": "merge",
        "field": "archive_type",
        "bodyName": "details",
        "header": ["archive_type"],
        "body": ["company_id"],
    },
    "request": [
        {"field": "id", "value": "{{archive_type}}"},
        {"field": "ids", "value": "_function GROUP_CONCAT({{details.company_id}})"},
    ],
}
PARTS = 3
__all__ = ["killer"]


@pytest.mark.parametrize("part", range(PARTS))
async def test_documents_survive_a_kill_at_any_step(
    project: Project, okki: Any, sink: Any, killer: Killer, part: int
) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("companies", ("okki", COMPANIES), ("sink", MERGED), options={"batch_size": 2})
    project.clock.time = 0
    async with project.workspace() as workspace:
        assert workspace.ledger.identity
    fresh, empty = project.folder / "noria.db", project.folder / "empty.db"
    shutil.copy(fresh, empty)
    code, said = await killer(project.folder, -1)
    assert code == 0
    steps = int(said[0])
    whole = {key: row["ids"] for key, row in sink[0].rows.items()}
    assert len(whole) > 2 and sum(len(ids.split(",")) for ids in whole.values()) == 45
    for fatal in range(1 + part, steps, max(1, steps // (7 * PARTS)) * PARTS):
        for leftover in project.folder.glob("noria.db*"):
            leftover.unlink()
        shutil.copy(empty, fresh)
        sink[0].forget()
        code, _ = await killer(project.folder, fatal)
        if code == 0:
            continue
        project.clock.time = time.time() + 1
        finished = await project.run("companies")
        assert finished.status == "done", f"step {fatal}: {finished.error}"
        assert {key: row["ids"] for key, row in sink[0].rows.items()} == whole, f"step {fatal}"
        assert sink[0].state()["updates"] == 0, f"step {fatal}"
        assert project.counts("companies") == {"delivered": 45}, f"step {fatal}"
