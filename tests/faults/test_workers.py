"""Many workers on one ledger: real processes that are killed, frozen and cut off; a server that is restarted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import Ledger, open_ledger
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import Running
from noria.simulators.sink import Sink
from tests.conftest import COMPANIES, Project, connections
from tests.servers import beside

ROWS = 120
TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [{"field": "id", "value": "{{company_id}}"}, {"field": "name", "value": "{{name}}"}],
}


class Fleet:
    """A project on PostgreSQL with workers that are real processes. Each plan writes the same records to a sink of its
    own path, which tells them apart by plan."""

    def __init__(self, folder: Path, address: str, okki: Running, sink: tuple[Sink, Running]) -> None:
        self.project = Project(folder, address)
        self.address = address
        self.sink = sink[0]
        self.workers: list[subprocess.Popen[bytes]] = []
        write = 'idempotency_header = "Idempotency-Key", batch_size = 5'
        self.project.connections(connections(okki.url, sink[1].url, write))

    def plan(self, key: str, **options: Any) -> None:
        target = {**TARGET, "request": [{"field": "id", "value": f"{key}-{{{{company_id}}}}"}, TARGET["request"][1]]}
        self.project.plan(key, ("okki", {**COMPANIES, "idCheck": False}), ("sink", target), options=options)

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            log = (self.project.folder / f"worker-{len(self.workers)}.log").open("wb")
            command = [sys.executable, "-m", "noria", "worker", "--project", str(self.project.folder), "--json"]
            self.workers.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger(self.address, self.project.folder) as ledger:
            yield ledger

    def want(self, *plans: str) -> None:
        with self.ledger() as ledger:
            ledger.agenda.want([(plan, stage) for plan in plans for stage in ("extract", "deliver")], time.time())

    def runner_of(self, plan: str) -> subprocess.Popen[bytes] | None:
        """The worker that runs a plan now."""
        with self.ledger() as ledger:
            rows = ledger.store.rows(
                "SELECT l.owner FROM leases l JOIN plans p ON p.plan_id = l.plan_id WHERE p.key = :key"
                " AND l.stage = 'run' AND l.expires_at > :now",
                key=plan,
                now=time.time(),
            )
        pids = [int(row.owner.split("/")[1]) for row in rows]
        return next((one for one in self.workers if one.pid in pids), None)

    def done(self) -> bool:
        with self.ledger() as ledger:
            return not ledger.agenda.wanted()

    def logs(self) -> str:
        return "\n".join(file.read_text("utf-8") for file in sorted(self.project.folder.glob("worker-*.log")))

    def until(self, happens: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `happens` gives once it gives anything; an error when it takes far too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = happens()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"it never happened\n{self.logs()[-4000:]}")

    def judge(self, *plans: str) -> None:
        """Every record of every plan is there, once."""
        wanted = {f"{plan}-{1_000_000_000 + n}" for plan in plans for n in range(ROWS)}
        state = self.sink.state()
        assert set(self.sink.rows) == wanted and state["duplicates"] == [], self.logs()[-4000:]
        for plan in plans:
            assert self.project.counts(plan) == {"delivered": ROWS}

    def end(self) -> None:
        for one in self.workers:
            if one.poll() is None:
                one.send_signal(signal.SIGCONT)
                one.kill()
            one.wait(10)


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


def test_work_spreads_and_each_plan_runs_once(fleet: Fleet) -> None:
    plans = [f"p{n}" for n in range(8)]
    for plan in plans:
        fleet.plan(plan)
    fleet.start(3)
    fleet.want(*plans)
    fleet.until(lambda: fleet.done() and len(fleet.sink.rows) == 8 * ROWS)
    fleet.judge(*plans)
    with fleet.ledger() as ledger:
        runs = ledger.store.rows("SELECT plan_id, COUNT(*) AS n FROM runs GROUP BY plan_id")
        assert [row.n for row in runs] == [1] * 8
        present = ledger.agenda.workers()
        assert len(present) == 3 and all(one.version for one in present)
    for one in fleet.workers:
        one.send_signal(signal.SIGTERM)
    assert [one.wait(30) for one in fleet.workers] == [143] * 3
    with fleet.ledger() as ledger:
        assert ledger.agenda.workers() == []


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=["killed", "told to end", "frozen"]
)
def test_a_worker_that_is_gone_in_the_middle_of_a_run_is_replaced(fleet: Fleet, how: signal.Signals) -> None:
    fleet.plan("p", concurrency=1)
    fleet.start(2)
    fleet.want("p")
    fleet.until(lambda: len(fleet.sink.rows) > 10)
    first = fleet.until(lambda: fleet.runner_of("p"))
    first.send_signal(how)
    fleet.until(fleet.done)
    if how == signal.SIGSTOP:
        # It wakes up in the middle of what another has ended meanwhile.
        first.send_signal(signal.SIGCONT)
        fleet.want("p")
        fleet.until(fleet.done)
        assert first.poll() is None
    fleet.judge("p")
    with fleet.ledger() as ledger:
        owners = {row.owner for row in ledger.store.rows("SELECT owner FROM leases WHERE plan_id > 0")}
    assert how == signal.SIGSTOP or not any(f"/{first.pid}/" in owner for owner in owners)


def test_a_database_that_is_restarted_is_waited_for(fleet: Fleet, postgres: Any) -> None:
    plans = ["p", "q", "r"]
    for plan in plans:
        fleet.plan(plan)
    fleet.start(2)
    fleet.want(*plans)
    fleet.until(lambda: len(fleet.sink.rows) > 20)
    postgres.stop()
    time.sleep(1)
    postgres.start()
    fleet.until(fleet.done)
    fleet.judge(*plans)
    assert [one.poll() for one in fleet.workers] == [None, None]


def test_a_worker_needs_a_ledger_that_is_shared(called: Any, project: Project) -> None:
    project.connections("")
    code, _, err = called("worker", "--project", project.folder)
    assert code == 1 and "PostgreSQL" in err
    assert not (project.folder / "noria.db").exists()
