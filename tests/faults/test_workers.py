"""Many workers on one ledger: real processes that are killed, frozen and cut off; a server that is restarted."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import noria
from noria.ledger.migrations import HEAD
from tests.conftest import Project
from tests.faults.fleet import ROWS, Fleet
from tests.faults.systems import ITEMS, SOURCE, Books, connect
from tests.servers import listening


def test_work_spreads_and_each_plan_runs_once(fleet: Fleet) -> None:
    plans = [f"p{n}" for n in range(8)]
    for plan in plans:
        fleet.plan(plan)
    fleet.start(3)
    fleet.want(*plans)
    fleet.until(lambda: fleet.done() and len(fleet.sink.rows) == 8 * ROWS)
    fleet.judge(*plans)
    with fleet.ledger() as ledger:
        runs = ledger.store.rows("SELECT plan_id, COUNT(*) AS n FROM runs WHERE kind = 'run' GROUP BY plan_id")
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
        fleet.woken(first, "p")
    fleet.judge("p")
    with fleet.ledger() as ledger:
        owners = {row.owner for row in ledger.store.rows("SELECT owner FROM leases WHERE plan_id > 0")}
    assert how == signal.SIGSTOP or not any(f"/{first.pid}/" in owner for owner in owners)


def test_a_database_that_is_restarted_is_waited_for(fleet: Fleet, postgres: Any) -> None:
    plans = ["p", "q", "r"]
    for plan in plans:
        fleet.plan(plan)
    fleet.ready(2)
    fleet.want(*plans)
    fleet.until(lambda: len(fleet.sink.rows) > 20)
    postgres.stop()
    time.sleep(1)
    postgres.start()
    fleet.until(fleet.done)
    fleet.judge(*plans)
    assert [one.poll() for one in fleet.workers] == [None, None], fleet.logs()[-6000:]


class Strict(Books):
    """Refuses what is more than 20 requests in any second, whoever sends them."""

    def __init__(self) -> None:
        super().__init__(30)
        self.recent: deque[float] = deque()
        self.came = self.refused = 0

    def routes(self) -> list[web.RouteDef]:
        def counted(handler: Any) -> Any:
            async def count(request: web.Request) -> web.Response:
                now = time.monotonic()
                while self.recent and self.recent[0] <= now - 1.0:
                    self.recent.popleft()
                self.came += 1
                if len(self.recent) >= 20:
                    self.refused += 1
                    return web.Response(status=429)
                self.recent.append(now)
                return await handler(request)

            return count

        return [web.route(one.method, one.path, counted(one.handler)) for one in super().routes()]


async def test_a_limit_holds_over_all_workers_together(fleet: Fleet) -> None:
    plans = [f"p{n}" for n in range(4)]

    def all_of_it(url: str) -> None:
        connect(fleet.project, url, more="limits = { per_second = 20 }")
        for plan in plans:
            target = {**ITEMS, "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": plan}]}
            fleet.project.plan(plan, ("books", SOURCE), ("books", target), options={"batch_size": 2})
        fleet.ready(4)
        fleet.want(*plans)
        fleet.until(fleet.done)

    strict = Strict()
    async with listening(strict.routes()) as url:
        await asyncio.to_thread(all_of_it, url)
    assert strict.refused == 0 and strict.came >= 4 * 15, (strict.refused, strict.came)
    assert sorted(strict.applied) == sorted((n, plan) for n in range(30) for plan in plans)
    runs = fleet.project.ledger("p0", lambda ledger, _: ledger.store.rows("SELECT owner FROM leases WHERE plan_id > 0"))
    assert len({row.owner for row in runs}) > 1


NEXT_MIGRATION = '''"""What a next version might add: a column of each large table, a table."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New columns, a new table."""
    for table in ("records", "runs", "batches", "plans", "leases"):
        op.add_column(table, sa.Column("later", sa.Text(), nullable=True))
    op.create_table("later", sa.Column("key", sa.Text(), primary_key=True))
'''


def _newer(folder: Path) -> Path:
    """This noria as a later version of itself: with one more migration."""
    copy = folder / "newer"
    shutil.copytree(Path(noria.__file__).parent, copy / "noria", ignore=shutil.ignore_patterns("__pycache__"))
    migrations = copy / "noria/ledger/migrations"
    (migrations / "versions/9999_later.py").write_text(NEXT_MIGRATION.format(head=HEAD), "utf-8")
    declared = migrations / "__init__.py"
    declared.write_text(declared.read_text("utf-8").replace(f'HEAD = "{HEAD}"', 'HEAD = "9999"'), "utf-8")
    return copy


def test_workers_of_two_versions_side_by_side_lose_no_run(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, then = [f"p{n}" for n in range(4)], [f"q{n}" for n in range(12)]
    for plan in first + then:
        fleet.plan(plan, concurrency=1)
    # So slow that the newer ones come in the middle of it.
    fleet.sink.latency = 0.5
    fleet.start(2)
    older = list(fleet.workers)
    fleet.want(*first)
    fleet.until(lambda: len(fleet.sink.rows) > 30)
    # The test looks at the ledger like an older process that is at work: it was open before the newer one came.
    with fleet.ledger() as ledger:
        monkeypatch.setattr(fleet, "ledger", lambda: nullcontext(ledger))
        monkeypatch.setattr(fleet.project, "ledger", lambda key, ask: ask(ledger, ledger.runs.known_plan(key)))
        fleet.start(2, source=_newer(tmp_path))
        fleet.until(lambda: ledger.store.rows("SELECT 1 FROM alembic_version WHERE version_num = '9999'"))
        assert not fleet.done(), "the older ones had already ended everything"
        fleet.until(lambda: len(ledger.agenda.workers()) == 4)
        fleet.sink.latency = 0.1
        # More than the newer ones take at once, so that the older ones begin some in the newer schema too.
        fleet.want(*then)
        fleet.until(lambda: any(fleet.runner_of(plan) in older for plan in then))
        for one in older:
            one.send_signal(signal.SIGTERM)
        fleet.until(fleet.done)
        assert [one.wait(30) for one in older] == [143, 143]
        assert [one.poll() for one in fleet.workers[2:]] == [None, None]
        fleet.judge(*first, *then)
        statuses = {row.status for row in ledger.store.rows("SELECT status FROM runs")}
        # A run that an older one stopped when told to end is gone on with in a run of its own.
        assert statuses == {"done", "stopped"}, [line for line in fleet.logs().splitlines() if '"done"' not in line]


def test_a_worker_needs_a_ledger_that_is_shared(called: Any, project: Project) -> None:
    project.connections("")
    code, _, err = called("worker", "--project", project.folder)
    assert code == 1 and "PostgreSQL" in err
    assert not (project.folder / "noria.db").exists()
