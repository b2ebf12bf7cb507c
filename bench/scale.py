"""`python -m bench.scale`: many workers on one PostgreSQL, with real processes.

Throughput with 1, 2 and 4 workers against a slow target, with many plans and with one; a minute of kills, a freeze and
a restart of the database; a rate limit over four workers; what staging costs on PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web
from tests.postgres import Server
from tests.postgres import server as postgres_server

from bench.measure import beside
from noria.ledger import Ledger, open_ledger
from noria.ledger.arrivals import Arrivals
from noria.ledger.delivery import Attempt
from noria.metadata.project import load_project
from noria.scheduler.loop import TICK_SECONDS
from noria.scheduler.timetable import Timetable

LATENCY = 0.05


class Office:
    """Source and target in one: every plan has a list of its own; the target takes 50 ms, honours keys, counts what it
    was sent, and answers 429 to more than `limit` requests in any second."""

    def __init__(self, rows: int, limit: int = 0) -> None:
        self.rows = rows
        self.limit = limit
        self.applied: dict[str, int] = {}
        self.answered: set[str] = set()
        self.recent: deque[float] = deque()
        self.refused = self.requests = 0
        self.latency = LATENCY

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/list/{plan}", self._list),
                web.post("/items", self._write),
                web.get("/stats", self._stats),
                web.post("/grow", self._grow),
            ]
        )
        return app

    async def _list(self, request: web.Request) -> web.Response:
        plan, page = request.match_info["plan"], int(request.query["page"])
        ids = [f"{plan}-{n}" for n in range(self.rows)][(page - 1) * 100 : page * 100]
        return web.json_response({"data": [{"id": one} for one in ids], "total": self.rows})

    async def _write(self, request: web.Request) -> web.Response:
        import asyncio

        now = time.monotonic()
        if self.limit:
            while self.recent and self.recent[0] <= now - 1.0:
                self.recent.popleft()
            if len(self.recent) >= self.limit:
                self.refused += 1
                return web.Response(status=429)
            self.recent.append(now)
        self.requests += 1
        body = await request.json()
        key = request.headers.get("Idempotency-Key", "")
        if key not in self.answered:
            self.answered.add(key)
            for row in body if isinstance(body, list) else [body]:
                self.applied[row["id"]] = self.applied.get(row["id"], 0) + 1
        await asyncio.sleep(self.latency)
        return web.json_response({"success": True})

    async def _stats(self, _: web.Request) -> web.Response:
        doubled = sum(1 for times in self.applied.values() if times > 1)
        return web.json_response(
            {"applied": len(self.applied), "doubled": doubled, "requests": self.requests, "refused": self.refused}
        )

    async def _grow(self, request: web.Request) -> web.Response:
        self.rows += int(request.query["by"])
        return web.json_response({"rows": self.rows})


def _office() -> None:
    """The process of the source and target: prints its port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--office", action="store_true")
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--latency", type=float, default=LATENCY)
    chosen = parser.parse_args()
    office = Office(chosen.rows, chosen.limit)
    office.latency = chosen.latency
    web.run_app(office.app(), host="127.0.0.1", port=0, print=lambda text: _told(text))


def _told(text: str) -> None:
    port = text.split("127.0.0.1:")[1].split()[0]
    print(port, flush=True)


class Fleet:
    """A project on a new ledger, its workers and what they talk to."""

    def __init__(
        self, database: Server, plans: int, office: str, *, limits: str = "", batch: int = 1, concurrency: int = 1
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="noria-scale-"))
        self.address = database.database()
        self.office = office
        self.workers: list[subprocess.Popen[bytes]] = []
        (self.folder / "plans").mkdir()
        (self.folder / "noria.toml").write_text(
            f'[ledger]\nurl = "{self.address}"\n[connections.office]\nconnector = "http"\nbase_url = "{office}"\n'
            f'envelope = {{ records = "data", total = "total" }}\npaging = {{ type = "page", size_param = "size" }}\n'
            f'write = {{ idempotency_header = "Idempotency-Key", batch_size = {batch} }}\n{limits}\n'
        )
        self.plans = [f"p{n:03d}" for n in range(plans)]
        for key in self.plans:
            plan = {
                "source": {"connection": "office", "metadata": {"api": f"/list/{key}", "id": "id", "idCheck": False}},
                "target": {
                    "connection": "office",
                    "metadata": {"api": "/items", "method": "POST", "request": [{"field": "id", "value": "{{id}}"}]},
                },
                "options": {"concurrency": concurrency},
            }
            (self.folder / "plans" / f"{key}.json").write_text(json.dumps(plan))

    def start(self, concurrency: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "noria", "worker", "--project", str(self.folder), "--json"]
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        process = subprocess.Popen(
            [*command, "--concurrency", str(concurrency)], stdout=log, stderr=subprocess.STDOUT, env=os.environ
        )
        self.workers.append(process)
        return process

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger(self.address, self.folder) as ledger:
            yield ledger

    def want(self) -> None:
        with self.ledger() as ledger:
            ledger.agenda.want([(key, stage) for key in self.plans for stage in ("extract", "deliver")], time.time())

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.office}/stats", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
            return found

    def grow(self, by: int) -> int:
        request = urllib.request.Request(f"{self.office}/grow?by={by}", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(json.load(answer)["rows"])

    def end(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


def office(*arguments: str) -> AbstractContextManager[str]:
    """A source and target; gives its address."""
    return beside("bench.scale", "--office", *arguments)


def throughput(database: Server, plans: int = 200, rows: int = 5) -> None:
    """Seconds for the same work with 1, 2 and 4 workers."""
    print(f"throughput: {plans} plans of {rows} records, one request each, {LATENCY * 1000:.0f} ms an answer")
    taken: dict[int, float] = {}
    for count in (1, 2, 4):
        with office("--rows", str(rows)) as address:
            fleet = Fleet(database, plans, address)
            try:
                for _ in range(count):
                    fleet.start(4)
                _until(lambda fleet=fleet, count=count: _present(fleet) == count)
                fleet.want()
                _until(lambda fleet=fleet: fleet.stats()["applied"] > 0)
                begun = time.monotonic()
                _until(lambda fleet=fleet: fleet.stats()["applied"] == plans * rows, 300)
                taken[count] = time.monotonic() - begun
                assert fleet.stats()["doubled"] == 0
            finally:
                fleet.end()
        print(f"  {count} workers: {taken[count]:5.1f} s   x{taken[1] / taken[count]:.2f}", flush=True)


def one(database: Server, rows: int = 600, latency: float = 0.2) -> None:
    """Seconds for one plan with 1, 2 and 4 workers; with four, one is killed every few seconds in a further run."""
    print(f"one plan: {rows} requests of {latency * 1000:.0f} ms, two at once in each worker")
    taken: dict[int, float] = {}
    for count in (1, 2, 4):
        with office("--rows", str(rows), "--latency", str(latency)) as address:
            fleet = Fleet(database, 1, address, concurrency=2)
            try:
                for _ in range(count):
                    fleet.start(4)
                _until(lambda fleet=fleet, count=count: _present(fleet) == count)
                fleet.want()
                _until(lambda fleet=fleet: fleet.stats()["applied"] > 0)
                begun = time.monotonic()
                _until(lambda fleet=fleet: fleet.stats()["applied"] == rows, 300)
                taken[count] = time.monotonic() - begun
                assert fleet.stats()["doubled"] == 0
            finally:
                fleet.end()
        print(f"  {count} workers: {taken[count]:5.1f} s   x{taken[1] / taken[count]:.2f}", flush=True)
    chance, killed = random.Random(2), 0
    with office("--rows", str(2 * rows), "--latency", str(latency)) as address:
        fleet = Fleet(database, 1, address, concurrency=2)
        try:
            for _ in range(4):
                fleet.start(4)
            _until(lambda: _present(fleet) == 4)
            fleet.want()
            _until(lambda: fleet.stats()["applied"] > 0)
            end = time.monotonic() + 300
            while fleet.stats()["applied"] < 2 * rows and time.monotonic() < end:
                time.sleep(chance.uniform(2, 4))
                victim = chance.choice([one for one in fleet.workers if one.poll() is None])
                victim.kill()
                victim.wait()
                killed += 1
                fleet.start(4)
            found = fleet.stats()
        finally:
            fleet.end()
    print(
        f"  killed {killed} of four at work: {found['applied']} of {2 * rows} at the target, doubled {found['doubled']}"
    )


def kills(database: Server, seconds: float = 60.0, plans: int = 40) -> None:
    """A minute in which workers are killed, one is frozen and the database restarts."""
    print(f"kills: 4 workers, {plans} plans, {seconds:.0f} s")
    chance, killed = random.Random(1), 0
    takeovers: list[float] = []
    with office("--rows", "20") as address:
        fleet = Fleet(database, plans, address, batch=2)
        try:
            for _ in range(4):
                fleet.start(8)
            _until(lambda: _present(fleet) == 4)
            end, restarted, frozen = time.monotonic() + seconds, False, False
            rows = 20
            while time.monotonic() < end:
                time.sleep(chance.uniform(2.5, 4))
                rows = fleet.grow(12)
                fleet.want()
                # While runs are under way: who looks at what is wanted does so every few seconds.
                _until(lambda: any(_held_by(fleet, one.pid) for one in fleet.workers))
                time.sleep(chance.uniform(0.1, 0.8))
                alive = [one for one in fleet.workers if one.poll() is None]
                left = end - time.monotonic()
                if left < seconds * 0.75 and not frozen:
                    frozen = True
                    sleeper = chance.choice(alive)
                    sleeper.send_signal(signal.SIGSTOP)
                    threading.Timer(30, sleeper.send_signal, [signal.SIGCONT]).start()
                elif left < seconds * 0.5 and not restarted:
                    restarted = True
                    database.stop()
                    time.sleep(1)
                    database.start()
                else:
                    victim = chance.choice(alive)
                    held = _held_by(fleet, victim.pid)
                    victim.kill()
                    victim.wait()
                    killed += 1
                    fleet.start(8)
                    if held:
                        threading.Thread(target=_takeover, args=(fleet, victim.pid, held[0], takeovers)).start()
            time.sleep(31)
            fleet.want()
            _until(lambda: fleet.stats()["applied"] == plans * rows, 180)
            found = fleet.stats()
        finally:
            fleet.end()
    print(f"  killed {killed}, frozen 1, database restarted 1")
    print(f"  records at the target {found['applied']} of {plans * rows}, doubled {found['doubled']}")
    if takeovers:
        print(
            f"  take-over: median {statistics.median(takeovers):.1f} s, max {max(takeovers):.1f} s of {len(takeovers)}"
        )


def limit(database: Server, seconds: float = 20.0) -> None:
    """A limit of 20 requests a second over four workers."""
    with office("--rows", "200", "--limit", "20", "--latency", "0.005") as address:
        fleet = Fleet(database, 8, address, limits="limits = { per_second = 20 }")
        try:
            for _ in range(4):
                fleet.start(4)
            _until(lambda: _present(fleet) == 4)
            fleet.want()
            _until(lambda: fleet.stats()["requests"] > 40, 60)
            before = fleet.stats()["requests"]
            time.sleep(seconds)
            found = fleet.stats()
        finally:
            fleet.end()
    used = (found["requests"] - before) / (20 * seconds)
    print(f"limit: 20 a second over 4 workers, {seconds:.0f} s: {used:.1%} used, {found['refused']} refused (429)")


def staging(database: Server, records: int = 60_000) -> None:
    """What staging new records costs, beside SQLite and a bare COPY of the same rows."""
    rows = [
        b'{"id":%d,"name":"customer %d","amount":"%d.50","note":"%s"}' % (n, n, n, b"x" * 300) for n in range(records)
    ]
    seconds: dict[str, float] = {}
    for name in ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory() as folder:
            url = "sqlite:///l.db" if name == "sqlite" else database.database()
            with open_ledger(url, Path(folder)) as ledger:
                run = ledger.runs.begin("p", "p", "run", time.time())
                read = ledger.reads.begin(run, time.time(), "s", 0)
                begun = time.perf_counter()
                for first in range(0, records, 200):
                    part = rows[first : first + 200]
                    ids = [str(n) for n in range(first, first + len(part))]
                    ledger.staging.stage(
                        run,
                        read,
                        number=first // 200,
                        request="GET /x",
                        arrivals=Arrivals(part, [*ids], [*ids]),
                        cursor=None,
                        now=time.time(),
                        delivers_changes=True,
                    )
                seconds[name] = time.perf_counter() - begun
                if name == "postgres":
                    staged = _size(url)
                    begun = time.perf_counter()
                    while due := ledger.delivery.fresh(run.plan_id, ledger.delivery.claimed(run.plan_id), 200):
                        body = b"[" + b",".join(ledger.delivery.raws(due)) + b"]"
                        batch = ledger.delivery.claim(
                            run, "fresh", due, [], body=body, body_path="", key="k", now=1.0, claimed_to=due[-1].seq
                        )
                        assert batch is not None
                        tried = Attempt(time.time(), 0.05, "delivered", "POST /items", 200, None, b'{"success":true}')
                        ledger.delivery.close(
                            run, batch, state="delivered", attempt=tried, failed=[], attempts=1, now=2.0
                        )
                    seconds["claim and close"] = time.perf_counter() - begun
                    sent = _size(url)
    with psycopg.connect(database.database()) as connection:
        connection.execute("CREATE TABLE bare (id TEXT PRIMARY KEY, body BYTEA)")
        begun = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
            for n, row in enumerate(rows):
                copy.write_row((str(n), row))
        connection.commit()
        seconds["copy"] = time.perf_counter() - begun
    each = {name: taken / records * 1e6 for name, taken in seconds.items()}
    print("staging: " + ", ".join(f"{name} {cost:.1f} µs" for name, cost in each.items()) + " a record;")
    print(
        f"  postgres at {seconds['sqlite'] / seconds['postgres']:.2f} of SQLite's speed,"
        f" {seconds['copy'] / seconds['postgres']:.2f} of a bare COPY's"
    )
    empty = _size(database.address("model"))
    print(
        f"  database: {(staged - empty) / records:.0f} bytes a record of {len(rows[0])},"
        f" {(sent - empty) / records:.0f} with what was sent"
    )


def many(database: Server, count: int = 10_000) -> None:
    """So many plans: what looking at them costs while nothing is due, and how late runs begin when all are at once."""
    with office("--rows", "0") as address:
        fleet = Fleet(database, count, address)
        for file in (fleet.folder / "plans").iterdir():
            plan = json.loads(file.read_text())
            plan["schedule"] = "0 0 1 1 *"
            file.write_text(json.dumps(plan))
        # Files that are so new are read anew at each look.
        time.sleep(2.5)
        with fleet.ledger() as ledger:
            asked = 0
            read = ledger.store._read

            def counted(*how: Any) -> Any:
                nonlocal asked
                asked += 1
                return read(*how)

            ledger.store._read = counted  # type: ignore[method-assign, assignment]
            ledger.agenda.lead(time.time())
            table = Timetable(ledger.agenda, lambda key, error: print(key, error))
            costs = []
            for _ in range(4):
                asked, begun = 0, time.process_time()
                ledger.agenda.lead(time.time())
                table.tick(load_project(fleet.folder).plans()[0], time.time())
                costs.append((time.process_time() - begun, asked))
            ledger.agenda.resign()
        idle, queries = costs[-1]
        share, each = idle / TICK_SECONDS, (queries + 1) / TICK_SECONDS
        print(f"plans: {count}, nothing due: first look {costs[0][0]:.1f} s of CPU, then {idle * 1000:.0f} ms a look;")
        print(f"  {share:.1%} of a core, {each:.1f} queries a second")
        try:
            for _ in range(4):
                fleet.start(20)
            _until(lambda: _present(fleet) == 4)
            time.sleep(25)
            begun = time.time()
            fleet.want()

            def ended() -> bool:
                with fleet.ledger() as ledger:
                    done = ledger.store.tuples("SELECT COUNT(*) FROM runs WHERE status = 'done'")
                    return int(done[0][0]) >= count

            _until(ended, 900)
            took = time.time() - begun
            with fleet.ledger() as ledger:
                delays = sorted(row[0] - begun for row in ledger.store.tuples("SELECT started_at FROM runs"))
        finally:
            fleet.end()
    p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    print(f"  all due at once, 4 workers: {count / took:.0f} runs a second; delay median {p50:.0f} s, p99 {p99:.0f} s")


def _size(address: str) -> int:
    with psycopg.connect(address) as connection:
        found: Any = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(found[0])


def _present(fleet: Fleet) -> int:
    with fleet.ledger() as ledger:
        return len(ledger.agenda.workers())


def _held_by(fleet: Fleet, pid: int) -> list[tuple[int, int]]:
    with fleet.ledger() as ledger:
        rows = ledger.store.tuples(
            "SELECT plan_id, owner, fence FROM leases WHERE stage = 'run' AND expires_at > :now", now=time.time()
        )
        return [(row[0], row[2]) for row in rows if f"/{pid}/" in row[1]]


def _takeover(fleet: Fleet, pid: int, held: tuple[int, int], takeovers: list[float]) -> None:
    """Seconds until another process has the plan that a killed one held."""
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        try:
            with fleet.ledger() as ledger:
                row = ledger.store.tuples("SELECT fence FROM leases WHERE plan_id = :p AND stage = 'run'", p=held[0])
        except Exception:  # noqa: BLE001 - the database is being restarted
            row = []
        if row and row[0][0] > held[1]:
            takeovers.append(time.monotonic() - begun)
            return
        time.sleep(0.1)
    takeovers.append(60.0)


def _until(happens: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def main() -> None:
    """Every part, or the ones asked for."""
    parts: dict[str, Callable[[Server], None]] = {
        "throughput": throughput,
        "one": one,
        "limit": limit,
        "staging": staging,
        "kills": kills,
        "many": many,
    }
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--only", choices=tuple(parts), default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="noria-") as folder, postgres_server(Path(folder)) as database:
        for name, part in parts.items():
            if chosen.only in (None, name):
                part(database)


if __name__ == "__main__":
    if "--office" in sys.argv:
        _office()
    else:
        main()
