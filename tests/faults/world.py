"""A world for generated schedules: a simulated account that does not stand still, a target that keeps count, one plan
between them, and clocks that the schedule moves. A schedule is a list of plain steps, so that it can be kept as JSON.

What is demanded of noria, whatever happens:

- after every step: no row that the source shows is out of reach, that is, older than the next read's window and not
  staged as it is; each record is in exactly one state, and the states add up;
- a target that honours keys (or is asked, or whose sends in doubt are held) is never written the same content of an
  id twice, and never an older one after a newer one;
- when things have quieted down: the target has what the source has.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from noria.engine import Finished, run_plan
from noria.engine.sweep import sweep_of
from noria.ledger import ledger_of, open_ledger, runs
from noria.ledger.processes import host
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.okki_motion import Motion
from noria.simulators.server import serve
from noria.simulators.sink import Sink
from noria.simulators.wire import shown
from tests.conftest import Project, connections
from tests.faults.fatal import DyingSteps, Killed

Step = list[Any]
LIST = "companies"
ROWS = 23
# What a query by time can show of a change, and what it can't.
SHOWN = ("insert", "burst", "update", "delete")
HIDDEN = ("late", "untimed", "silent")
# Longer than a border between two pages is trusted.
_AWHILE = 90.0
_TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [{"field": "id", "value": "{{company_id}}"}, {"field": "name", "value": "{{name}}"}],
}
_DOUBT = {
    "keys": 'idempotency_header = "Idempotency-Key", ',
    "verify": 'verify = { api = "/items", param = "id", records = "data" }, ',
    "hold": "",
}


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of world. `doubt`: how sends in doubt are settled (keys, verify, hold). `windowed`: the plan asks only
    for what changed. `order`: the list's ("newest", "oldest" first, "" as it was made)."""

    doubt: str = "keys"
    windowed: bool = False
    order: str = ""
    batch: int = 5
    concurrency: int = 1
    overlap: int = 60
    skew: float = 0.0
    target_down: str = "stage"


class Schedule(msgspec.Struct, frozen=True):
    """A world and what happens in it."""

    shape: Shape
    steps: list[Step]


class KeepingSink(Sink):
    """A target that knows, besides, which names of an id it was written, one after the other."""

    def forget(self) -> None:
        super().forget()
        self.names: dict[str, list[str]] = {}

    def _apply(self, path: str, rows: list[Any]) -> bytes:
        before = len(self.order)
        answer = super()._apply(path, rows)
        applied = set(self.order[before:])
        for row in rows:
            if str(row["id"]) in applied:
                self.names.setdefault(str(row["id"]), []).append(row["name"])
        return answer


class Seen(NamedTuple):
    """What the ledger has: the newest staged name of every id, from when on the next read asks (as the vendor writes
    times), the states' counts."""

    staged: dict[str, str]
    low: str
    counts: dict[str, int]


@dataclass
class World:
    """One of them. `perform` takes a step, `quiet` lets everything settle, `judge` compares."""

    folder: Path
    shape: Shape
    steps: DyingSteps
    okki: Okki = field(init=False)
    sink: KeepingSink = field(init=False)
    project: Project = field(init=False)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self.project = Project(self.folder)
        clock = self.project.clock
        account = make_account(7, users=0, departments=1, companies=ROWS, orders=0, leads=0, invalid=0)
        account.order[LIST] = self.shape.order
        self.okki = Okki(account, clock=clock.steady, now=lambda: clock.steady() + self.shape.skew)
        self.sink = KeepingSink(keys=self.shape.doubt == "keys")

    async def __aenter__(self) -> World:
        self._stack = AsyncExitStack()
        source = await self._stack.enter_async_context(serve(self.okki))
        target = await self._stack.enter_async_context(serve(self.sink))
        write = f"{_DOUBT[self.shape.doubt]}batch_size = {self.shape.batch}"
        self.project.connections(connections(source.url, target.url, write))
        request = [{"field": "count", "value": "5"}]
        if self.shape.windowed:
            request.append({"field": "start_time", "value": "{{LAST_SYNC_TIME|datetime}}"})
        metadata = {"api": "/v1/company/list", "id": "company_id", "idCheck": False, "request": request}
        options = {
            "concurrency": self.shape.concurrency,
            "overlap": self.shape.overlap,
            "target_down": self.shape.target_down,
            "on_doubt": "hold" if self.shape.doubt == "hold" else "resend",
        }
        self.project.plan("plan", ("okki", metadata), ("sink", _TARGET), options=options)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    # --- what happens

    async def perform(self, step: Step) -> None:
        """Take a step, then look whether everything is still within reach."""
        kind, *rest = step
        await getattr(self, f"_{kind}")(*rest)
        if kind in ("run", "sweep", "change", "replay"):
            self.judge_reach()

    async def _run(self, fatal: int | None = None) -> Finished | None:
        """One run, which dies at step number `fatal`; None when it died."""
        return await self._until_death(fatal, swept=False)

    async def _sweep(self, fatal: int | None = None, whole: bool = False) -> Finished | None:
        return await self._until_death(fatal, swept=True, whole=whole)

    async def _until_death(self, fatal: int | None, *, swept: bool, whole: bool = False) -> Finished | None:
        self.steps.arm(fatal)
        try:
            async with self.project.workspace() as workspace:
                plan = workspace.project.plan("plan")
                wanted = sweep_of(plan, self.project.clock.now(), whole=whole) if swept else None
                return await run_plan(workspace, plan, swept=wanted)
        except Killed:
            return None
        except NoriaError:
            # What an error of the ledger looks like to a process that is dying.
            if not self.steps.dead:
                raise
            return None
        finally:
            self.steps.arm(None)

    async def _change(self, kinds: list[str]) -> None:
        """Changes of the source while nobody reads it."""
        self.project.clock.time += _AWHILE
        for kind in kinds:
            self.okki.api.mover.change(LIST, kind, self.chance)

    async def _moving(self, kinds: list[str], rate: float, times: int, seed: int) -> None:
        """From now on the list moves while it is read."""
        motion = Motion(seed=seed, rate=rate, times=times, kinds=kinds, order=self.shape.order)
        self.okki.api.mover.set(motion)

    async def _source_fault(self, fault: dict[str, Any]) -> None:
        self.okki.faults.add({**fault, "path": "/v1/company"})

    async def _target_fault(self, fault: dict[str, Any]) -> None:
        self.sink.faults.add({**fault, "path": "/items"})

    async def _wait(self, seconds: float) -> None:
        self.project.clock.time += seconds

    async def _set_clock(self, seconds: float) -> None:
        """Somebody sets the machine's clock; the vendor's goes on."""
        self.project.clock.set += seconds

    async def _replay(self) -> None:
        def replay(ledger: Any, plan: int) -> None:
            for state in ("failed", "dead"):
                ledger.records.replay(plan, self.project.clock.now(), state=state)

        if self._look() is not None:
            self.project.ledger("plan", replay)

    async def quiet(self) -> None:
        """Nothing goes wrong any more, the source stands still, time goes on, and at last everything is swept."""
        self.okki.faults.active.clear()
        self.sink.faults.active.clear()
        self.okki.api.mover.set(Motion(rate=0, times=0, order=self.shape.order))
        self.project.clock.set = 0.0
        for _ in range(2):
            self.project.clock.time += 80_000
            await self._run()
        self.judge_reach()
        await self._replay()
        await self._sweep(None, True)
        self.project.clock.time += 80_000
        finished = await self._run()
        assert finished is not None and finished.error is None, finished

    # --- what is demanded

    def judge_reach(self) -> None:
        """The watermark is never past a row that isn't staged, and no record is in two states or none."""
        seen = self._look()
        if seen is None:
            return
        for row in self.okki.account.rows(LIST):
            record_id = str(row["company_id"])
            if seen.staged.get(record_id) == row["name"] or (row["update_time"] or "") >= seen.low:
                continue
            assert self._hidden(record_id, row), f"{record_id} is out of reach: {row['update_time']} < {seen.low}"
        assert sum(seen.counts.values()) == len(seen.staged) and not seen.counts["invalid"], seen.counts

    def judge(self) -> None:
        """At the end: the target has what the source has, nothing twice, nothing older after something newer."""
        wanted = {str(row["company_id"]): row["name"] for row in self.okki.account.rows(LIST)}
        have = {key: row["name"] for key, row in self.sink.rows.items()}
        held = self._held()
        assert {key for key in wanted if have.get(key) != wanted[key]} <= held, self._report(wanted, have)
        assert set(have) - set(wanted) <= self._deleted()
        assert self.sink.state()["duplicates"] == []
        states = set(self.project.counts("plan"))
        assert states <= ({"delivered", "held"} if self.shape.doubt == "hold" else {"delivered"}), states
        for record_id, names in self.sink.names.items():
            places = [_version(name) for name in names]
            assert places == sorted(places), f"{record_id}: {names}"

    def _report(self, wanted: dict[str, str], have: dict[str, str]) -> str:
        return "\n".join(f"{key}: {have.get(key)} != {wanted[key]}" for key in wanted if have.get(key) != wanted[key])

    def _look(self) -> Seen | None:
        """What the ledger has; None before the first run."""
        with ledger_of(load_project(self.folder)) as ledger:
            plan = ledger.runs.known_plan("plan")
            if plan is None:
                return None
            rows = ledger.store.rows("SELECT id, page_id, position FROM records WHERE plan_id = :p", p=plan)
            names = [
                (row.id, msgspec.json.decode(ledger.records.pages.raw(row.page_id, row.position))["name"])
                for row in rows
            ]
            staged = dict(names)
            assert len(staged) == len(names), "an id has two records"
            watermark = ledger.reads.watermark(plan)
            whole = watermark is None or not self.shape.windowed
            low = "" if whole else shown(watermark - self.shape.overlap)
            return Seen(staged, low, ledger.records.counts(plan))

    def _hidden(self, record_id: str, row: dict[str, Any]) -> bool:
        """Whether no query by time could have shown the row's last change, which is what sweeps are for."""
        last = [change for change in self.okki.account.journal if change.id == record_id]
        return bool(last) and last[-1].at != row["update_time"]

    def _deleted(self) -> set[str]:
        return {change.id for change in self.okki.account.journal if change.op == "delete"}

    def _held(self) -> set[str]:
        return {str(one["id"]) for one in self.project.records("plan", state="held")}


def _version(name: str) -> int:
    """Which change of the journal gave a row its name; a row's first name is the oldest."""
    return int(name.rpartition("~")[2]) if "~" in name else -1


def _dying(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What tasks of a process that is gone had to say is of no interest."""
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


@cache
def _empty_ledger() -> bytes:
    """A ledger in which nothing is yet, made once."""
    with tempfile.TemporaryDirectory() as folder:
        open_ledger("sqlite:///noria.db", Path(folder)).close()
        return (Path(folder) / "noria.db").read_bytes()


async def live(schedule: Schedule, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """A whole schedule, from an empty ledger to a quiet end; raises `AssertionError` for what must not be."""
    asyncio.get_running_loop().set_exception_handler(_dying)
    # Who died left a lease behind; of a process that is gone.
    patch.setattr(runs, "owner", lambda: f"{host()}/{2**22 + 1}/dead")
    (folder / "noria.db").write_bytes(_empty_ledger())
    steps = DyingSteps()
    steps.watch(patch)
    async with World(folder, schedule.shape, steps) as world:
        for step in schedule.steps:
            await world.perform(step)
        await world.quiet()
        world.judge()
