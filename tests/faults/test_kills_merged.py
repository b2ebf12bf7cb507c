"""kill -9 while records are put together into documents: every record ends in exactly one document."""

from __future__ import annotations

import time

import pytest

from tests.conftest import COMPANIES
from tests.faults.conftest import Bench, Killer

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


@pytest.mark.parametrize("part", range(PARTS))
async def test_documents_survive_a_kill_at_any_step(bench: Bench, killer: Killer, part: int) -> None:
    project, sink = bench.project, bench.sink
    project.plan("companies", ("okki", COMPANIES), ("sink", MERGED), options={"batch_size": 2})
    code, said = await killer(project.folder, -1)
    assert code == 0
    steps = int(said[0])
    whole = {key: row["ids"] for key, row in sink.rows.items()}
    assert len(whole) > 2 and sum(len(ids.split(",")) for ids in whole.values()) == 45
    for fatal in range(1 + part, steps, max(1, steps // (7 * PARTS)) * PARTS):
        bench.again()
        code, _ = await killer(project.folder, fatal)
        if code == 0:
            continue
        project.clock.time = time.time() + 1
        finished = await project.run("companies")
        assert finished.status == "done", f"step {fatal}: {finished.error}"
        assert {key: row["ids"] for key, row in sink.rows.items()} == whole, f"step {fatal}"
        assert sink.state()["updates"] == 0, f"step {fatal}"
        assert project.counts("companies") == {"delivered": 45}, f"step {fatal}"
