"""Many workers on one ledger: real processes that are killed, frozen and cut off; a server that is restarted."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.conftest import Project
from tests.faults.fleet import ROWS, Fleet


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
