"""What the tests share in which processes die: runs that get a signal, a project whose ledger can be put back."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import opening
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.sink import Sink
from tests.conftest import COMPANIES, DEPARTMENTS, EMPTY, Project, connections, environment
from tests.faults.fleet import ROWS, Fleet
from tests.servers import beside

TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [
        {"field": "id", "value": "{{company_id}}"},
        {"field": "name", "value": "{{name}}"},
        {"field": "top", "value": "_findCollection find name from departments where layer={{nothing}}"},
    ],
}
SMALL_PAGES = {**COMPANIES, "request": [{"field": "count", "value": "5"}]}
ROOT = Path(__file__).parents[2]


class Killer:
    """Runs `companies` in processes of their own, each of which gets a signal before one of its steps."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def __call__(self, folder: Path, fatal: int, name: str = "KILL") -> tuple[int, list[str]]:
        """One run; its exit code (below 0: the signal that ended it), its number of steps and how it ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{folder}\tcompanies\t{fatal}\t{name}\n".encode())
        await self.process.stdin.drain()
        code, *said = (await self.process.stdout.readline()).decode().split()
        return int(code), said


@pytest.fixture
async def killer() -> AsyncIterator[Killer]:
    """Everything is imported once for all of a test's runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.killed_run",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(PYTHONPATH=str(ROOT)),
        cwd=ROOT,
    )
    yield Killer(process)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


class Bench:
    """A project with an empty ledger that can be put back as it was."""

    def __init__(self, project: Project, okki: Any, sink: Any) -> None:
        self.project, self.sink = project, sink[0]
        self.total = okki[0].account.size("companies")
        project.connections(connections(okki[1].url, sink[1].url))
        project.plan("companies", ("okki", SMALL_PAGES), ("sink", TARGET), options={"concurrency": 2, "batch_size": 4})
        project.plan("departments", ("okki", DEPARTMENTS), ("sink", EMPTY))
        # The ledger is there before: what dies is a run, not its creation.
        opening.open_store("sqlite:///noria.db", project.folder).close()
        shutil.copy(project.folder / "noria.db", project.folder / "empty.db")

    def again(self) -> None:
        for leftover in self.project.folder.glob("noria.db*"):
            leftover.unlink()
        shutil.copy(self.project.folder / "empty.db", self.project.folder / "noria.db")
        self.sink.forget()

    async def carried_on(self, point: object) -> None:
        """The next run brings everything to its end, the one after finds nothing to do."""
        self.project.clock.time = time.time() + 1
        finished = await self.project.run("companies")
        state = self.sink.state()
        assert finished.status == "done", f"{point}: {finished.error}"
        assert (state["unique"], state["duplicates"], state["updates"]) == (self.total, [], 0), point
        assert self.project.counts("companies") == {"delivered": self.total}, point
        again = await self.project.run("companies")
        assert (again.counts.unchanged, again.counts.delivered) == (self.total, 0), point


@pytest.fixture
def bench(project: Project, okki: Any, sink: Any) -> Bench:
    return Bench(project, okki, sink)


@pytest.fixture
def fleet(tmp_path: Path, postgres: Any) -> Iterator[Fleet]:
    folder = tmp_path / "project"
    folder.mkdir()
    account = make_account(3, users=0, departments=1, companies=ROWS, orders=0, leads=0, invalid=0)
    sink = Sink(latency=0.1)
    address = postgres.database()
    with beside(Okki(account)) as okki, beside(sink) as running:
        fleet = Fleet(folder, address, okki, (sink, running))
        try:
            yield fleet
        finally:
            fleet.end()
            postgres.drop(address)
