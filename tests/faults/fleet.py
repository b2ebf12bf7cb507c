"""A project on PostgreSQL with workers that are real processes, which tests kill, freeze and cut off."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noria.ledger import Ledger, open_ledger
from noria.simulators.server import Running
from noria.simulators.sink import Sink
from tests.conftest import COMPANIES, Project, connections, environment

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

    def start(self, count: int = 1, source: Path | None = None) -> None:
        """Start workers; `source`: where their noria is, if not this one."""
        for _ in range(count):
            log = (self.project.folder / f"worker-{len(self.workers)}.log").open("wb")
            known = environment(**({"PYTHONPATH": str(source)} if source else {}))
            command = [sys.executable, "-m", "noria", "worker", "--project", str(self.project.folder), "--json"]
            self.workers.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=known))

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger(self.address, self.project.folder) as ledger:
            yield ledger

    def want(self, *plans: str) -> None:
        with self.ledger() as ledger:
            ledger.agenda.want([(plan, stage) for plan in plans for stage in ("extract", "deliver")], time.time())

    def ready(self, count: int) -> None:
        """Start workers, and wait until each says that it is there."""
        self.start(count)
        self.until(lambda: len(self.present()) == count)

    def present(self) -> list[Any]:
        with self.ledger() as ledger:
            return ledger.agenda.workers()

    def runs(self) -> list[Any]:
        """All runs so far, each with how many batches (`n`) it has sent."""
        with self.ledger() as ledger:
            return ledger.store.rows(
                "SELECT r.run_id, r.kind, r.status, r.counts,"
                " (SELECT COUNT(*) FROM batches b WHERE b.run_id = r.run_id) AS n FROM runs r ORDER BY r.run_id"
            )

    def ended(self) -> list[Any]:
        """All runs, once none is under way."""
        runs = self.runs()
        return [] if any(one.status == "running" for one in runs) else runs

    def runner_of(self, plan: str) -> subprocess.Popen[bytes] | None:
        """The worker that runs a plan now."""
        return self._holder(
            "l.stage = 'run' AND l.expires_at > :now AND l.plan_id IN (SELECT p.plan_id FROM plans p WHERE p.key = :key)",
            key=plan,
            now=time.time(),
        )

    def sender(self, stage: str) -> subprocess.Popen[bytes] | None:
        """A worker that leads (`run`) or assists (`assist`) and is sending."""
        return self._holder(
            "l.stage LIKE :stage AND l.run_id IN (SELECT b.run_id FROM batches b WHERE b.state = 'sending')",
            stage=f"{stage}%",
        )

    def reader(self, stage: str) -> subprocess.Popen[bytes] | None:
        """A worker that leads (`run`) or assists (`assist`) and has staged a page of a part."""
        return self._holder(
            "l.stage LIKE :stage AND l.run_id IN (SELECT p.run_id FROM pages p)"
            " AND l.run_id IN (SELECT t.taker FROM parts t)",
            stage=f"{stage}%",
        )

    def _holder(self, which: str, **values: Any) -> subprocess.Popen[bytes] | None:
        """A worker that lives and has such a lease (`l`) of a plan."""
        with self.ledger() as ledger:
            rows = ledger.store.rows(f"SELECT l.owner FROM leases l WHERE l.plan_id > 0 AND {which}", **values)
        pids = [int(row.owner.split("/")[1]) for row in rows]
        return next((one for one in self.workers if one.pid in pids and one.poll() is None), None)

    def woken(self, one: subprocess.Popen[bytes], plan: str) -> None:
        """A frozen worker wakes up in the middle of what others have ended meanwhile, and lives through a further run
        of the plan."""
        one.send_signal(signal.SIGCONT)
        self.want(plan)
        self.until(self.done)
        assert one.poll() is None

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
