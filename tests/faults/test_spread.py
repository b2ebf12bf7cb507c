"""One plan's delivery spread over several workers: real processes that are killed, frozen and told to end."""

from __future__ import annotations

import asyncio
import random
import signal
import time

import msgspec
import pytest
from aiohttp import web

from tests.faults.fleet import ROWS, Fleet
from tests.faults.systems import ITEMS, SOURCE, Books, connect
from tests.servers import listening


def test_delivery_of_one_plan_spreads_over_workers(fleet: Fleet) -> None:
    fleet.sink.latency = 0.3
    fleet.plan("p", concurrency=2)
    fleet.ready(3)
    fleet.want("p")
    fleet.until(fleet.done)
    fleet.judge("p")
    runs = fleet.until(fleet.ended)
    assert [(one.kind, one.status) for one in runs] == [("run", "done")] + [("assist", "done")] * 2
    assert all(one.n > 1 for one in runs), runs
    counts = [msgspec.json.decode(one.counts) for one in runs]
    assert counts[0]["delivered"] == ROWS == counts[0]["staged"]
    # What the others did is in the run's figures, too.
    assert 0 < sum(one["delivered"] for one in counts[1:]) < ROWS
    with fleet.ledger() as ledger:
        assert ledger.store.rows("SELECT 1 FROM shares") == []


@pytest.mark.parametrize("who", ["run", "assist"], ids=["who leads", "who assists"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_worker_that_is_gone_while_several_send_is_made_up_for(fleet: Fleet, who: str, how: signal.Signals) -> None:
    fleet.sink.latency = 0.3
    fleet.plan("p", concurrency=2)
    fleet.ready(3)
    fleet.want("p")
    fleet.until(lambda: fleet.sender("assist"))
    one = fleet.until(lambda: fleet.sender(who))
    one.send_signal(how)
    fleet.until(fleet.done)
    if how == signal.SIGSTOP:
        fleet.woken(one, "p")
    fleet.judge("p")


class Restless(Books):
    """Its list shows the same ids again and again, each time with newer content, as soon as something of the page before
    is on its way to the target, which takes its time."""

    def __init__(self, ids: int, pages: int) -> None:
        super().__init__(0)
        self.ids, self.pages = ids, pages
        self.served: list[str] = []
        self.chance = random.Random(3)
        self.begun: list[tuple[int, str]] = []

    async def _list(self, request: web.Request) -> web.Response:
        page = int(request.query["page"])
        for _ in range(100):
            if page == 1 or any(name == str(page - 2) for _, name in self.begun):
                break
            await asyncio.sleep(0.02)
        if page > self.pages:
            return web.json_response({"data": []})
        self.served.append(str(page))
        return web.json_response({"data": [{"id": n, "name": str(page)} for n in range(self.ids)]})

    async def _write(self, request: web.Request) -> web.Response:
        self.begun += [(row["id"], row["name"]) for row in await request.json()]
        await asyncio.sleep(self.chance.uniform(0.02, 0.4))
        return await super()._write(request)


async def test_newer_content_waits_for_the_older_also_where_another_sends_that(fleet: Fleet) -> None:
    def all_of_it(url: str) -> None:
        connect(fleet.project, url, size=12)
        fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options={"concurrency": 2, "batch_size": 2})
        fleet.ready(3)
        fleet.want("p")
        fleet.until(fleet.done)

    books = Restless(ids=12, pages=4)
    async with listening(books.routes()) as url:
        await asyncio.to_thread(all_of_it, url)
    for n in range(books.ids):
        came = [name for key, name in books.applied if key == n]
        # Some were overtaken before they were sent; none came after what was newer, and none twice.
        served = iter(books.served)
        assert all(one in served for one in came) and came[-1] == books.served[-1], (came, books.served)
    runs = fleet.runs()
    assert runs[0].status == "done" and any(one.n for one in runs[1:]), fleet.logs()[-4000:]


@pytest.mark.parametrize("status", [503, 401])
def test_a_target_that_goes_down_while_several_send_is_left_alone(fleet: Fleet, status: int) -> None:
    fleet.sink.latency = 0.3
    fleet.plan("p", concurrency=2, batch_size=2, retry={"tries": 1, "wait": 0, "schedule": [3600]})
    fleet.ready(3)
    fleet.want("p")
    fleet.until(lambda: fleet.sender("assist"))
    fleet.sink.faults.add({"kind": "status", "status": status, "path": "/items", "times": None})
    runs = fleet.until(fleet.ended)
    # After so many in a row, or at the first refusal, none of the three begins another; each had two under way.
    assert fleet.sink.faults.active[0].fired <= 3 * ((10 if status == 503 else 1) + 2)
    assert (runs[0].kind, runs[0].status) == ("run", "failed") and any(one.n for one in runs[1:])
    with fleet.ledger() as ledger:
        assert ledger.store.rows("SELECT 1 FROM shares UNION SELECT 1 FROM batches WHERE state = 'sending'") == []
        assert ledger.store.rows("SELECT 1 FROM exceptions WHERE state = 'dead'") == []
    fleet.sink.faults.active.clear()
    with fleet.ledger() as ledger:
        ledger.records.replay(ledger.runs.plan_id("p"), time.time(), state="failed")
    fleet.want("p")
    fleet.until(fleet.done)
    fleet.judge("p")


def test_rows_that_are_refused_while_several_send_are_in_the_run_s_figures(fleet: Fleet) -> None:
    fleet.plan("p", concurrency=2)
    refused = [f"p-{1_000_000_000 + n}" for n in range(0, ROWS, 10)]
    fleet.sink.faults.add({"kind": "reject", "path": "/items", "ids": refused, "times": None})
    fleet.ready(3)
    fleet.want("p")
    runs = fleet.until(fleet.ended)
    counts = [msgspec.json.decode(one.counts) for one in runs]
    assert (counts[0]["delivered"], counts[0]["failed"]) == (ROWS - 12, 12)
    assert runs[0].status == "incomplete" and sum(one["delivered"] for one in counts[1:]) > 0


class Halls(Books):
    """A list for each of many halls, of several pages, which take their time."""

    HALLS, EACH = 20, 30

    def __init__(self) -> None:
        super().__init__(0)
        self.served: list[str] = []

    async def _list(self, request: web.Request) -> web.Response:
        hall, page, size = int(request.query["hall"]), int(request.query["page"]), int(request.query["size"])
        await asyncio.sleep(0.15)
        self.served.append(f"{hall}.{page}")
        own = range(hall * self.EACH, (hall + 1) * self.EACH)
        rows = [{"id": n, "name": f"hall {hall}"} for n in own[(page - 1) * size : page * size]]
        return web.json_response({"data": rows, "total": self.EACH})


@pytest.mark.parametrize(
    ("who", "how"),
    [("", signal.SIGCONT), ("run", signal.SIGKILL), ("assist", signal.SIGTERM), ("assist", signal.SIGSTOP)],
    ids=["none is gone", "who leads is killed", "who assists is told to end", "who assists is frozen"],
)
async def test_a_source_with_parts_is_read_by_several(fleet: Fleet, who: str, how: signal.Signals) -> None:
    def all_of_it(url: str) -> None:
        connect(fleet.project, url, size=10)
        split = {"param": "hall", "values": list(range(Halls.HALLS)), "at_once": 2}
        fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options={"split": split})
        fleet.ready(3)
        fleet.want("p")
        if who:
            fleet.until(lambda: fleet.reader("assist"))
            fleet.until(lambda: fleet.reader(who)).send_signal(how)
        fleet.until(fleet.done)

    halls = Halls()
    async with listening(halls.routes()) as url:
        await asyncio.to_thread(all_of_it, url)
    assert sorted(key for key, _ in halls.applied) == list(range(halls.HALLS * halls.EACH)), fleet.logs()[-4000:]
    assert fleet.project.counts("p") == {"delivered": halls.HALLS * halls.EACH}
    with fleet.ledger() as ledger:
        rows = ledger.store.rows(
            "SELECT r.kind FROM pages p JOIN runs r ON r.run_id = p.run_id GROUP BY r.run_id, r.kind"
        )
        assert sorted(row.kind for row in rows)[-1] == "run" and len(rows) >= 3
        last = ledger.runs.latest(ledger.runs.plan_id("p"), 9)
        assert ledger.reads.watermark(ledger.runs.plan_id("p")) is not None
        assert ledger.store.rows("SELECT 1 FROM parts") == []
    assert next(one["status"] for one in last if one["kind"] == "run") == "done", last
    if not who:
        # Each page was asked for once, whoever asked.
        assert len(set(halls.served)) == len(halls.served)
