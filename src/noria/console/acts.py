"""What can be done on the console's pages, each put on record."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from noria.connectors.failures import Failure
from noria.console.answers import Done, Replayed, Tested
from noria.console.asked import EnabledAsked, ReplayAsked
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, does
from noria.console.planfiles import Conflict, PlanFiles
from noria.console.render import address
from noria.engine.preview import source_records
from noria.engine.sampling import moment_of
from noria.ledger import Ledger


class Acts:
    """The acts of a project."""

    def __init__(self, door: Door, files: PlanFiles) -> None:
        self.door = door
        self.files = files

    def endpoints(self) -> list[Endpoint]:
        """Every act."""
        return [
            does("run_now", "/plans/{key}/run", self._run_now, Done),
            does("enable", "/plans/{key}/enabled", self._enable, Done, takes=EnabledAsked),
            does("replay", "/plans/{key}/replay", self._replay, Replayed, takes=ReplayAsked),
            does("test", "/connections/{name}/test", self._test, Tested),
        ]

    async def _test(self, request: Request) -> Response:
        """Ask for the first page of a plan that reads from a connection."""
        name = str(request.path_params["name"])
        plan = next((one for one in self.door.plans() if one.source.connection == name), None)
        if plan is None:
            raise Denied(409, "console.nothing_to_test")
        workspace = self.door.workspace
        moment = moment_of(workspace, plan)
        try:
            records = await source_records(workspace, plan, moment, 1)
        except Failure as failure:
            reason = workspace.redactor.clean(str(failure.message))
            return await self.door.noted(
                request, "test_failed", plan.key, "/connections", connection=name, reason=reason
            )
        return await self.door.noted(request, "test", plan.key, "/connections", connection=name, count=len(records))

    async def _run_now(self, request: Request) -> Response:
        plan, now = self.door.plan_of(request), request.state.now
        if not plan.enabled:
            raise Denied(409, "console.paused")
        await self.door.desk.ask(lambda ledger: ledger.agenda.want([(plan.key, "extract"), (plan.key, "deliver")], now))
        return await self.door.noted(request, "run", plan.key, f"/plans/{plan.key}")

    async def _enable(self, request: Request) -> Response:
        plan, enabled = self.door.plan_of(request), request.state.asked.enabled
        what = "resume" if enabled else "pause"
        try:
            await self.files.switch(plan.key, enabled, who=request.state.reader.name, at=request.state.now)
        except Conflict:
            raise Denied(409, "editor.conflict_now") from None
        return await self.door.noted(request, what, plan.key, f"/plans/{plan.key}")

    async def _replay(self, request: Request) -> Response:
        """Records of a plan go back to be sent: one by its id, or those of a state, of one cause."""
        plan, now = self.door.plan_of(request), request.state.now
        asked: ReplayAsked = request.state.asked
        if not asked.id and asked.state is None and not asked.all:
            raise Denied(400, "console.nothing_chosen")

        def replay(ledger: Ledger) -> int:
            number = ledger.runs.known_plan(plan.key)
            if number is None:
                return 0
            count = ledger.records.replay(
                number, now, state=asked.state, record_id=asked.id, cause=asked.cause, anew=asked.anew
            )
            if count and plan.enabled:
                ledger.agenda.want([(plan.key, "deliver")], now)
            return count

        count = await self.door.desk.ask(replay)
        back = address(f"/plans/{plan.key}/record", id=asked.id) if asked.id else address("/failures")
        detail = {"id": asked.id, "state": asked.state, "cause": asked.cause, "count": count}
        return await self.door.noted(request, "replay", plan.key, back, **detail)
