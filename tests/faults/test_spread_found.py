"""What a look at spread delivery by somebody told only to break it has found: real worker processes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
from aiohttp import web

from tests.conftest import EMPTY
from tests.faults.fleet import Fleet
from tests.faults.systems import ITEMS, SOURCE, Books, connect, good, table
from tests.faults.test_spread import Halls
from tests.servers import listening


async def carried_out(fleet: Fleet, books: Books, work: Any) -> None:
    """`work(url)` beside a source and target, in a thread."""
    async with listening(books.routes()) as url:
        await asyncio.to_thread(work, url)


def begin(fleet: Fleet, workers: int = 3) -> None:
    fleet.ready(workers)
    fleet.want("p")


class Shared(Halls):
    """Two halls each show the same ids, under other names; one row of all has no id."""

    HALLS, EACH = 30, 200

    async def _list(self, request: web.Request) -> web.Response:
        hall, page, size = int(request.query["hall"]), int(request.query["page"]), int(request.query["size"])
        own = range(hall // 2 * self.EACH, (hall // 2 + 1) * self.EACH)
        rows: list[dict[str, Any]] = [{"id": n, "name": f"hall {hall}"} for n in own[(page - 1) * size : page * size]]
        if (hall, page) == (self.HALLS - 1, 2):
            rows[0]["id"] = ""
        return web.json_response({"data": rows, "total": self.EACH})


async def test_what_two_parts_show_is_written_once_under_id_check_and_counted(fleet: Fleet) -> None:
    def work(url: str) -> None:
        connect(fleet.project, url, size=100)
        split = {"param": "hall", "values": list(range(Shared.HALLS)), "at_once": 1}
        source = {**SOURCE, "idCheck": True}
        fleet.project.plan("p", ("books", source), ("books", ITEMS), options={"split": split, "batch_size": 50})
        begin(fleet)
        fleet.until(fleet.done, 100)

    await carried_out(fleet, halls := Shared(), work)
    ids = [key for key, _ in halls.applied]
    assert len(ids) == len(set(ids)) == halls.HALLS * halls.EACH // 2
    run = fleet.until(fleet.ended)[0]
    counts = msgspec.json.decode(run.counts)
    found = fleet.project.counts("p")
    # The same id with another content is ambiguous, whichever process read which of the two.
    assert found == {"delivered": len(ids), "invalid": len(ids)} and run.status == "incomplete"
    assert (counts["staged"], counts["delivered"], counts["invalid"]) == (2 * len(ids), len(ids), len(ids))


async def test_reading_alone_is_counted_too(fleet: Fleet) -> None:
    def work(url: str) -> None:
        connect(fleet.project, url, size=10)
        split = {"param": "hall", "values": list(range(Halls.HALLS)), "at_once": 1}
        fleet.project.plan("p", ("books", SOURCE), ("inside", EMPTY), options={"split": split})
        begin(fleet)
        fleet.until(fleet.done)

    await carried_out(fleet, halls := Halls(), work)
    counts = msgspec.json.decode(fleet.until(fleet.ended)[0].counts)
    whole = halls.HALLS * halls.EACH
    assert (counts["staged"], counts["delivered"]) == (whole, whole)
    assert counts["requests"] == len(halls.served)


class Slow(Books):
    """A write takes its time; the target knows neither keys nor a way to be asked."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.begun: list[int] = []
        self.elsewhere = 0

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.post("/new", self._new)]

    async def _write(self, request: web.Request) -> web.Response:
        rows = await request.json()
        self.begun += [row["id"] for row in rows]
        await asyncio.sleep(0.5)
        return await super()._write(request)

    async def _new(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.json_response(good([{"id": 0} for _ in await request.json()]))


async def test_only_what_was_sent_is_held_when_a_whole_host_is_gone(fleet: Fleet) -> None:
    def work(url: str) -> None:
        fleet.project.connections(table(url, 'results = "results"', size=100))
        options = {"concurrency": 2, "batch_size": 2, "on_doubt": "hold"}
        fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options=options)
        begin(fleet)
        fleet.until(lambda: fleet.sender("assist"))
        fleet.until(lambda: len(books.begun) > 20)
        for one in fleet.workers:
            one.kill()
        fleet.start(1)
        fleet.until(lambda: fleet.done() and fleet.ended(), 120)

    await carried_out(fleet, books := Slow(90), work)
    held = {int(one["id"]) for one in fleet.project.records("p", state="held")}
    # Three workers with two requests of two records under way, and none of what they had only taken up. A request that
    # was noted but had not arrived when its process died is in doubt as well: who died can't tell.
    assert 0 < len(held) <= 3 * 2 * 2 and set(books.begun) <= held | {key for key, _ in books.applied}
    assert fleet.project.counts("p") == {"delivered": 90 - len(held), "held": len(held)}
    assert books.twice() == []


async def test_nobody_assists_with_another_version_of_the_plan(fleet: Fleet) -> None:
    def work(url: str) -> None:
        fleet.project.connections(table(url, 'results = "results"', size=100))
        options = {"concurrency": 2, "batch_size": 2}
        file = fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options=options)
        begin(fleet, 1)
        fleet.until(lambda: len(books.begun) > 4)
        document = json.loads(file.read_text("utf-8"))
        document["target"]["metadata"]["api"] = "/new"
        file.write_text(json.dumps(document), "utf-8")
        fleet.start(1)
        fleet.until(fleet.done)

    await carried_out(fleet, books := Slow(48), work)
    assert books.elsewhere == 0 and sorted(key for key, _ in books.applied) == list(range(48))
    assert [one.kind for one in fleet.runs()] == ["run"]


async def test_rows_over_which_a_target_breaks_down_do_not_make_it_unavailable(fleet: Fleet) -> None:
    bad = set(range(0, 320, 3))

    class Breaks(Books):
        async def _write(self, request: web.Request) -> web.Response:
            await asyncio.sleep(0.05)
            if bad & {row["id"] for row in await request.json()}:
                return web.json_response({"message": "oops"}, status=500)
            return await super()._write(request)

    def work(url: str) -> None:
        fleet.project.connections(table(url, 'results = "results"', size=320))
        options = {"concurrency": 2, "batch_size": 40, "retry": {"tries": 1, "wait": 0, "schedule": [3, 4000]}}
        fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options=options)
        begin(fleet)
        fleet.until(lambda: [one for one in fleet.runs() if one.kind == "deliver" and one.status != "running"], 90)
        fleet.until(fleet.ended, 90)

    await carried_out(fleet, books := Breaks(320), work)
    assert {one.status for one in fleet.runs()} <= {"done", "incomplete"}
    assert sorted(key for key, _ in books.applied) == sorted(set(range(320)) - bad)


async def test_a_run_that_several_processes_work_on_is_cancelled_in_all_of_them(fleet: Fleet) -> None:
    def work(url: str) -> None:
        fleet.project.connections(table(url, 'results = "results"', size=100))
        options = {"concurrency": 2, "batch_size": 2}
        fleet.project.plan("p", ("books", SOURCE), ("books", ITEMS), options=options)
        begin(fleet)
        fleet.until(lambda: fleet.sender("assist"))
        fleet.until(lambda: len(books.begun) > 20)
        with fleet.ledger() as ledger:
            run = next(one.run_id for one in fleet.runs() if one.kind != "assist" and one.status == "running")
            assert ledger.runs.cancel(run, "somebody", time.time()) == "p"
        stopped = fleet.until(fleet.ended)
        # What was under way is finished, nothing else is begun, and nobody takes the rest up again.
        counts, begun = fleet.project.counts("p"), len(books.begun)
        assert {one.kind: one.status for one in stopped}["run"] == "stopped"
        assert counts == {"delivered": begun, "pending": 200 - begun} and begun < 200
        assert fleet.done()
        begin_again(fleet)
        fleet.until(lambda: fleet.done() and fleet.ended(), 120)

    await carried_out(fleet, books := Slow(200), work)
    assert fleet.project.counts("p") == {"delivered": 200} and books.twice() == []


def begin_again(fleet: Fleet) -> None:
    fleet.want("p")
    fleet.until(lambda: any(one.status == "running" for one in fleet.runs()))
