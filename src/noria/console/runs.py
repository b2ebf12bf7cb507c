"""Runs: when they took place, what each did and met; a run that is under way is asked to stop."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from noria.console.access import Denied, Reader
from noria.console.charts import span_of
from noria.console.door import Door, number_in, text_in
from noria.console.render import page
from noria.ledger import Ledger
from noria.ledger.browsing import RunStands

_PAGE = 50


class RunPages:
    """The pages of runs."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def routes(self) -> list[BaseRoute]:
        """Every page and act, each with the role that it takes."""
        opens = self.door.opens
        return [
            Route("/runs", opens("viewer", self._runs)),
            Route("/runs/{run}", opens("viewer", self._run)),
            Route("/runs/{run}/cancel", opens("operator", self._cancel), methods=["POST"]),
        ]

    async def _runs(self, request: Request) -> Response:
        key, before = text_in(request.query_params.get("plan")), number_in(request.query_params.get("before"))

        def read(ledger: Ledger) -> list[RunStands]:
            number = ledger.runs.known_plan(key) if key else None
            return [] if key and number is None else ledger.browsing.runs(number, before=before, limit=_PAGE + 1)

        found = await self.door.desk.ask(read)
        runs, more = found[:_PAGE], len(found) > _PAGE
        data = {
            "plan": key,
            "runs": runs,
            "span": span_of(runs, request.state.now),
            "next": runs[-1].run_id if more else None,
        }
        return page(request, "runs.html", data)

    async def _run(self, request: Request) -> Response:
        number = number_in(request.path_params["run"]) or 0
        found = await self.door.desk.ask(lambda ledger: ledger.browsing.whole_run(number))
        if found is None:
            raise Denied(404, "console.no_such_run")
        return page(request, "run.html", found._asdict())

    async def _cancel(self, request: Request) -> Response:
        """Ask a run to stop; the process that it is in sees that within a second."""
        number = number_in(request.path_params["run"]) or 0
        reader: Reader = request.state.reader
        plan = await self.door.desk.ask(lambda ledger: ledger.runs.cancel(number, reader.name, request.state.now))
        if plan is None:
            raise Denied(409, "console.not_running")
        return self.door.done(request, "cancel", plan, f"/runs/{number}", run=number)
