"""A project in a temporary folder with one plan, run on a clock that tests turn."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from noria.engine import Finished, Workspace, run_plan
from noria.ledger import ledger_of
from noria.metadata.clock import FakeClock
from noria.metadata.project import LedgerSettings, Project

_KEY = "contract"


class Trial:
    """A plan between a system and the platform itself, or a list of records and a system."""

    def __init__(self, folder: Path, clock: FakeClock, connections: dict[str, dict[str, Any]]) -> None:
        self.clock = clock
        (folder / "plans").mkdir()
        self.project = Project(folder=folder, ledger=LedgerSettings(), connections=connections, warnings=[])

    def plan(self, source: tuple[str, Any], target: tuple[str, Any], options: dict[str, Any]) -> None:
        """Write the plan; both sides are (connection, metadata)."""
        sides = {
            name: {"connection": connection, "metadata": metadata}
            for name, (connection, metadata) in (("source", source), ("target", target))
        }
        text = json.dumps({"name": "contract", **sides, "options": options}, ensure_ascii=False)
        (self.project.folder / "plans" / f"{_KEY}.json").write_text(text, "utf-8")

    async def run(self) -> Finished:
        """One run, whatever becomes of it."""
        async with Workspace(self.project, clock=self.clock) as workspace:
            return await run_plan(workspace, workspace.project.plan(_KEY))

    def records(self, **how: Any) -> list[dict[str, Any]]:
        """The plan's records, as lists show them."""
        with ledger_of(self.project) as ledger:
            number = ledger.runs.known_plan(_KEY)
            return [] if number is None else list(ledger.records.select(number, **how))

    def raws(self) -> dict[str, bytes]:
        """By id each record as it came."""
        with ledger_of(self.project) as ledger:
            number = ledger.runs.known_plan(_KEY)
            if number is None:
                return {}
            ids = {int(one["seq"]): str(one["id"]) for one in ledger.records.select(number)}
            seqs = sorted(ids)
            return {ids[seq]: raw for seq, raw in zip(seqs, ledger.records.raws(number, seqs), strict=True)}

    def everything(self) -> str:
        """Whatever the ledger has of the plan, as text."""
        with ledger_of(self.project) as ledger:
            number = ledger.runs.known_plan(_KEY)
            stories = (
                []
                if number is None
                else [ledger.records.story(number, one["id"]) for one in ledger.records.select(number)]
            )
            runs = ledger.store.rows("SELECT * FROM runs")
            attempts = ledger.store.rows("SELECT * FROM attempts")
        return f"{stories}{runs}{attempts}"


@contextmanager
def trial(clock: FakeClock, connections: dict[str, dict[str, Any]]) -> Iterator[Trial]:
    """A trial in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="noria-") as folder:
        yield Trial(Path(folder), clock, connections)


@asynccontextmanager
async def giving(records: list[dict[str, Any]]) -> AsyncIterator[str]:
    """A server whose `/records` are these; gives its address."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(records, ensure_ascii=False), content_type="application/json")

    app = web.Application()
    app.router.add_get("/records", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
