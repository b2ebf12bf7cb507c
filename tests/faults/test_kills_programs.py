"""A read of a program that is killed anywhere goes on from a state that it has kept with its rows: none is lost, none is
sent twice, and the read after that begins where this one ended."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import opening
from tests.conftest import Project, connections
from tests.faults.conftest import Killer

TAPS = Path(__file__).parents[1] / "contract" / "taps.py"
ROWS = 25
POINTS = 8
pytestmark = pytest.mark.no_cover
TABLES = """
[connections.shop]
connector = "{kind}"
{command} = "{python} {taps} {kind}"
page = 4

[connections.shop.config]
file = "shop.json"
"""


@pytest.mark.parametrize("state_every", [6, 0], ids=["with states", "without"])
@pytest.mark.parametrize("kind", ["singer", "airbyte"])
async def test_a_read_of_a_program_is_carried_on(
    project: Project, sink: Any, killer: Killer, kind: str, state_every: int
) -> None:
    folder, target = project.folder, sink[0]
    command = "tap" if kind == "singer" else "source"
    own = TABLES.format(kind=kind, command=command, python=sys.executable, taps=TAPS)
    project.connections(connections("http://localhost", sink[1].url) + own)
    columns = [{"field": name, "value": f"{{{{{name}}}}}"} for name in ("id", "name")]
    read = {"api": "goods", "id": "id", "number": "name", "idCheck": True}
    write = {"api": "/items", "method": "POST", "request": columns}
    project.plan("companies", ("shop", read), ("sink", write), options={"batch_size": 4})
    opening.open_store("sqlite:///noria.db", folder).close()
    shutil.copy(folder / "noria.db", folder / "empty.db")

    def serve(rows: int) -> None:
        texts = [json.dumps({"id": n, "name": f"货 {n}"}) for n in range(1, rows + 1)]
        how = {"state_every": state_every, "whole": not state_every}
        (folder / "shop.json").write_text(json.dumps({"rows": texts, "how": how}), "utf-8")

    serve(ROWS)
    _, (steps, status) = await killer(folder, -1)
    assert status == "done"
    for point in range(POINTS):
        for leftover in folder.glob("noria.db*"):
            leftover.unlink()
        shutil.copy(folder / "empty.db", folder / "noria.db")
        target.forget()
        serve(ROWS)
        fatal = 1 + point * int(steps) // POINTS
        code, said = await killer(folder, fatal)
        assert code == -signal.SIGKILL or said[1] == "done", f"step {fatal}: {code} {said}"
        serve(ROWS + 3)
        project.clock.time = time.time() + 1
        finished = await project.run("companies")
        assert finished.status == "done", f"step {fatal}: {finished.error}"
        state = target.state()
        assert (state["unique"], state["duplicates"], state["updates"]) == (ROWS + 3, [], 0), fatal
        assert project.counts("companies") == {"delivered": ROWS + 3}, fatal
        again = await project.run("companies")
        assert (again.counts.staged, again.counts.unchanged) == (0, 0 if state_every else ROWS + 3), fatal
