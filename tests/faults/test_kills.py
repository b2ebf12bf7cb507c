"""Point 7 of the ways to lose or double records: a process that is killed, asked to end, started twice; a disk that is
full; a ledger that others lock. Nothing is lost, nothing is doubled, and the next run needs no telling."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sqlite3
import sys
from typing import Any

import pytest

from noria.ledger import sqlite, store
from noria.metadata.errors import NoriaError
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import serve
from tests.conftest import Project, environment
from tests.faults.conftest import ROOT, Bench, Killer

# How many points of a run are tried: by SIGKILL, and by SIGTERM.
POINTS, ENDS = 200, 30
# Coverage would double the time, and the processes that die tell it nothing.
pytestmark = pytest.mark.no_cover
PARTS = 10


async def child(*arguments: str, limit: int | None = None) -> tuple[int, str]:
    """A Python process of its own; its exit code and what it printed. `limit`: the largest file it can write, bytes."""

    def small() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(PYTHONPATH=str(ROOT)),
        preexec_fn=small,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def steps_of(bench: Bench, killer: Killer) -> int:
    """How many steps a run has that nobody disturbs."""
    code, (steps, status) = await killer(bench.project.folder, -1)
    assert (code, status) == (0, "done") and int(steps) > POINTS
    return int(steps)


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_run_killed_at_any_step_is_carried_on(bench: Bench, killer: Killer, part: int) -> None:
    steps = await steps_of(bench, killer)
    for point in range(part, POINTS, PARTS):
        fatal = 1 + point * steps // POINTS
        bench.again()
        code, said = await killer(bench.project.folder, fatal)
        # Concurrent sends come in another order from run to run, so that the last steps may not be there.
        assert code == -signal.SIGKILL or (point > POINTS * 0.9 and said[1] == "done"), f"step {fatal}: {code} {said}"
        await bench.carried_on(f"killed before step {fatal} of {steps}")


@pytest.mark.parametrize("part", range(2))
async def test_a_run_asked_to_end_at_any_step_ends_in_order(bench: Bench, killer: Killer, part: int) -> None:
    steps = await steps_of(bench, killer)
    ended = []
    for point in range(part, ENDS, 2):
        fatal = 1 + point * steps // ENDS
        bench.again()
        code, (_, status) = await killer(bench.project.folder, fatal, "TERM")
        ended.append(status)
        assert code == 0 and status in ("stopped", "done"), f"step {fatal}: {code} {status}"
        await bench.carried_on(f"asked to end before step {fatal} of {steps}")
    assert ended.count("stopped") > len(ended) // 2, ended


@pytest.mark.parametrize("kib", [60, 100, 140, 180, 220, 260])
async def test_a_process_on_a_full_disk_loses_nothing(bench: Bench, kib: int) -> None:
    """No file can grow beyond this size: the error names the ledger, and with room again the run is carried on."""
    code, printed = await child(
        "-m", "noria", "run", "companies", "--project", str(bench.project.folder), "--json", limit=kib * 1024
    )
    if code:
        assert "Traceback" not in printed
    await bench.carried_on(f"{kib} KiB")
    assert kib > 200 or code, "there was room"


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 9, 14, 20])
async def test_a_full_database_names_itself_and_loses_nothing(
    project: Project, sink: Any, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database can grow by so many pages: full while staging, while claiming, after the target has answered."""
    account = make_account(3, users=0, departments=1, companies=600, orders=0, leads=0, invalid=0)
    async with serve(Okki(account)) as running:
        bench = Bench(project, (Okki(account), running), sink)
        await _filled(bench, pages, monkeypatch)


async def _filled(bench: Bench, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    full = False
    begin = store.Store.transaction

    def limited(self: store.Store, *how: Any) -> Any:
        size = self._writing.execute("PRAGMA page_count").fetchone()[0]
        if not hasattr(self, "_room"):
            self._room = size + pages  # type: ignore[attr-defined]
        self._writing.execute(f"PRAGMA max_page_count = {self._room}")  # type: ignore[attr-defined]
        return begin(self, *how)

    monkeypatch.setattr(store.Store, "transaction", limited)
    try:
        await bench.project.run("companies")
    except NoriaError as error:
        assert error.code == "ledger" and "full" in str(error), error
        full = True
    monkeypatch.setattr(store.Store, "transaction", begin)
    assert full
    await bench.carried_on(f"{pages} pages")


async def test_a_ledger_that_others_lock_is_waited_for_and_then_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    other = sqlite3.connect(bench.project.folder / "noria.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NoriaError) as caught:
        await bench.project.run("companies")
    assert caught.value.code == "ledger" and "locked" in str(caught.value)
    assert bench.sink.state()["applied"] == 0
    other.execute("ROLLBACK")
    await bench.carried_on("locked from the beginning")


@pytest.mark.parametrize("answered", [0, 1, 3])
async def test_a_ledger_that_is_locked_on_the_way_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    """From the moment on at which the target has answered so many batches nobody can write to the ledger."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    other = sqlite3.connect(bench.project.folder / "noria.db", isolation_level=None, check_same_thread=False)
    apply = bench.sink._apply

    def applied(path: str, rows: list[Any]) -> bytes:
        answer: bytes = apply(path, rows)
        if len(bench.sink.bodies) == answered + 1:
            other.execute("BEGIN IMMEDIATE")
        return answer

    monkeypatch.setattr(bench.sink, "_apply", applied)
    with pytest.raises(NoriaError) as caught:
        await bench.project.run("companies")
    assert caught.value.code == "ledger"
    other.execute("ROLLBACK")
    await bench.carried_on(f"locked after {answered}")


async def test_two_processes_started_for_one_plan(bench: Bench) -> None:
    """One runs, the others say who does; the target is written once."""
    bench.sink.latency = 0.05
    arguments = ("-m", "noria", "run", "companies", "--project", str(bench.project.folder), "--json")
    ended = await asyncio.gather(*(child(*arguments) for _ in range(3)))
    answers = [(code, json.loads(printed)) for code, printed in ended]
    assert any(code == 0 for code, _ in answers)
    assert all(code == 0 or answer["error"]["code"] == "busy" for code, answer in answers), answers
    bench.sink.latency = 0
    await bench.carried_on("three at once")
