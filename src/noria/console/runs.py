"""Runs: when they took place, what each did and met; a run that is under way is asked to stop."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from noria.console.access import Reader
from noria.console.answers import Cancelled, RunPage, RunsPage
from noria.console.asked import RunsAsked
from noria.console.charts import span_of
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, does, shows
from noria.console.render import page
from noria.ledger import Ledger
from noria.ledger.browsing import RunStands


class RunPages:
    """The pages of runs."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """Every page and act."""
        return [
            shows("runs", "/runs", self._runs, RunsPage, takes=RunsAsked),
            shows("run", "/runs/{run}", self._run, RunPage),
            does("cancel", "/runs/{run}/cancel", self._cancel, Cancelled),
        ]

    async def _runs(self, request: Request) -> Response:
        asked: RunsAsked = request.state.asked

        def read(ledger: Ledger) -> list[RunStands]:
            number = ledger.runs.known_plan(asked.plan) if asked.plan else None
            if asked.plan and number is None:
                return []
            return ledger.browsing.runs(number, before=asked.before, limit=asked.limit + 1)

        runs, more = cut(await self.door.desk.ask(read), asked.limit)
        shown = RunsPage(
            plan=asked.plan,
            runs=runs,
            span=span_of(runs, request.state.now),
            next=runs[-1].run_id if more else None,
        )
        return page(request, "runs.html", shown)

    async def _run(self, request: Request) -> Response:
        number = request.path_params["run"]
        found = await self.door.desk.ask(lambda ledger: ledger.browsing.whole_run(number))
        if found is None:
            raise Denied(404, "console.no_such_run")
        return page(request, "run.html", RunPage(**found._asdict()))

    async def _cancel(self, request: Request) -> Response:
        """Ask a run to stop; the process that it is in sees that within a second."""
        number = request.path_params["run"]
        reader: Reader = request.state.reader
        plan = await self.door.desk.ask(lambda ledger: ledger.runs.cancel(number, reader.name, request.state.now))
        if plan is None:
            raise Denied(409, "console.not_running")
        return self.door.done(request, "cancel", plan, f"/runs/{number}", run=number)
