"""kill -9 between any two steps of a run: nothing is lost, nothing is doubled, the next run needs no telling."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMPANIES, DEPARTMENTS, EMPTY, Project, connections, environment

TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [
        {"field": "id", "value": "{{company_id}}"},
        {"field": "name", "value": "{{name}}"},
        {"field": "top", "value": "_findCollection find name from departments where layer={{nothing}}"},
    ],
}
PARTS = 6


async def killed(folder: Path, fatal: int) -> tuple[int, str]:
    """The run in a process of its own, killed before step `fatal`; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "killed_run.py"),
        str(folder),
        "companies",
        str(fatal),
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def _prepared(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("companies", ("okki", COMPANIES), ("sink", TARGET), options={"concurrency": 2})
    project.plan("departments", ("okki", DEPARTMENTS), ("sink", EMPTY))
    # The ledger is there before: what is killed is a run, not its creation.
    project.clock.time = 0


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_run_killed_at_any_step_is_carried_on(project: Project, okki: Any, sink: Any, part: int) -> None:
    _prepared(project, okki, sink)
    async with project.workspace() as workspace:
        assert workspace.ledger.identity
    fresh = project.folder / "noria.db"
    empty = project.folder / "empty.db"
    shutil.copy(fresh, empty)
    code, printed = await killed(project.folder, -1)
    assert code == 0
    steps = int(printed)
    assert steps > 100
    import time

    for fatal in range(1 + part, steps, max(1, steps // (10 * PARTS)) * PARTS):
        for leftover in project.folder.glob("noria.db*"):
            leftover.unlink()
        shutil.copy(empty, fresh)
        sink[0].forget()
        code, _ = await killed(project.folder, fatal)
        if code == 0:
            continue  # steps of concurrent sends come in another order from run to run; this one had fewer
        project.clock.time = time.time() + 1
        finished = await project.run("companies")
        state = sink[0].state()
        assert finished.status == "done", f"step {fatal}: {finished.error}"
        assert (state["unique"], state["duplicates"], state["updates"]) == (45, [], 0), f"step {fatal}"
        assert project.counts("companies") == {"delivered": 45}, f"step {fatal}"
        again = await project.run("companies")
        assert (again.counts.unchanged, again.counts.delivered) == (45, 0), f"step {fatal}"
