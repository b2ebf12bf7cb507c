"""A person corrects two records; then a process that sends them is killed at any of its steps: each arrives as it was
corrected, once, and nothing else changes."""

from __future__ import annotations

import shutil
import signal
import time

import pytest

from noria.ledger.byhand import Who
from tests.faults.conftest import Bench, Killer

# How many points of a run are tried.
POINTS = 60
pytestmark = pytest.mark.no_cover
PARTS = 4
REFUSED = ("1000000003", "1000000011")


async def prepared(bench: Bench) -> None:
    """Everything is delivered but two records, which are corrected; the ledger as it is then can be put back."""
    bench.sink.faults.add({"kind": "reject", "path": "/items", "times": None, "ids": list(REFUSED), "message": "no"})
    assert (await bench.project.run("companies")).counts.failed == len(REFUSED)
    project = bench.project
    project.clock.time = time.time()

    def correct(ledger: object, plan: int) -> None:
        for record in project.records("companies", state="failed"):
            body = b'{"id":"%s","name":"by hand"}' % record["id"].encode()
            who = Who("otto", project.clock.now(), "typo", "companies")
            ledger.by_hand.correct(plan, [record["seq"]], who, body, None)  # type: ignore[attr-defined]

    project.ledger("companies", correct)
    for file in project.folder.glob("noria.db*"):
        shutil.copy(file, project.folder / f"before-{file.name}")


def put_back(bench: Bench) -> None:
    for file in bench.project.folder.glob("noria.db*"):
        file.unlink()
    for file in bench.project.folder.glob("before-noria.db*"):
        shutil.copy(file, bench.project.folder / file.name.removeprefix("before-"))
    bench.sink.forget()
    bench.sink.faults.active.clear()


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_corrected_record_arrives_once_whenever_its_sender_is_killed(
    bench: Bench, killer: Killer, part: int
) -> None:
    await prepared(bench)
    put_back(bench)
    code, (steps, status) = await killer(bench.project.folder, -1)
    assert (code, status) == (0, "done") and int(steps) > 30
    killed = 0
    for point in range(part, POINTS, PARTS):
        put_back(bench)
        fatal = 1 + point * int(steps) // POINTS
        code, said = await killer(bench.project.folder, fatal)
        assert code == -signal.SIGKILL or said[1] == "done", f"step {fatal}: {code} {said}"
        killed += code == -signal.SIGKILL
        bench.project.clock.time = time.time() + 1
        finished = await bench.project.run("companies")
        assert finished.status == "done", f"step {fatal}: {finished.error}"
        state = bench.sink.state()
        assert (state["unique"], state["duplicates"], state["updates"]) == (len(REFUSED), [], 0), f"step {fatal}"
        assert {key: row["name"] for key, row in bench.sink.rows.items()} == dict.fromkeys(REFUSED, "by hand")
        assert bench.project.counts("companies") == {"delivered": bench.total}, f"step {fatal}"
        for record in REFUSED:
            edit = bench.project.story("companies", record)["edits"][-1]
            assert edit["payload"]["name"] == "by hand" and edit["batch"] is not None, f"step {fatal}"
    assert killed > POINTS // PARTS // 2
