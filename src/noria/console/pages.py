"""The console's pages: what each shows, what can be done on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from noria.connectors.failures import Failure
from noria.console.access import Access, Denied, Reader, forgery_token, refuse_forgery
from noria.console.desk import Desk
from noria.console.render import HERE, address, as_json, language_of, page, wants_json
from noria.engine import Workspace
from noria.engine.preview import source_records
from noria.engine.staged import first_sync
from noria.ledger import Ledger
from noria.ledger.browsing import TROUBLE, Cause
from noria.ledger.overview import Overview, PlanStands, overview
from noria.ledger.records import STATES
from noria.messages import READER
from noria.metadata.editing import set_enabled
from noria.metadata.errors import NoriaError
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan

View = Callable[[Request], Awaitable[Response]]
_PAGE = 50
# How often the ledger is looked at while somebody watches, in seconds.
_LOOK_SECONDS = 1.0
_PULSE = (
    "SELECT COALESCE(SUM(next_seq), 0), COALESCE(SUM(claimed_seq), 0), (SELECT COALESCE(MAX(run_id), 0) FROM runs),"
    " (SELECT COUNT(*) FROM leases WHERE expires_at > :now), (SELECT COUNT(*) FROM wanted),"
    " (SELECT COALESCE(MAX(updated_at), 0) FROM exceptions), (SELECT COALESCE(MAX(batch_id), 0) FROM batches)"
    " FROM plans"
)


class Pages:
    """The pages of a project. `alive`: whether the process does what it is there for."""

    def __init__(self, workspace: Workspace, desk: Desk, alive: Callable[[], bool]) -> None:
        self.workspace = workspace
        self.desk = desk
        self.alive = alive
        self.access = Access(workspace.project.console, workspace.project.folder, workspace.clock)

    def routes(self) -> list[BaseRoute]:
        """Every page and act, each with the role that it takes."""
        return [
            Route("/", self._for("viewer", self._overview)),
            Route("/plans", self._for("viewer", self._plans)),
            Route("/plans/{key}", self._for("viewer", self._plan)),
            Route("/plans/{key}/run", self._for("operator", self._run_now), methods=["POST"]),
            Route("/plans/{key}/enabled", self._for("operator", self._enable), methods=["POST"]),
            Route("/plans/{key}/record", self._for("viewer", self._record)),
            Route("/plans/{key}/replay", self._for("operator", self._replay), methods=["POST"]),
            Route("/records", self._for("viewer", self._records)),
            Route("/failures", self._for("viewer", self._failures)),
            Route("/runs", self._for("viewer", self._runs)),
            Route("/runs/{run:int}", self._for("viewer", self._run)),
            Route("/connections", self._for("viewer", self._connections)),
            Route("/connections/{name}/test", self._for("operator", self._test), methods=["POST"]),
            Route("/audit", self._for("admin", self._audit)),
            Route("/events", self._for("viewer", self._events)),
            Route("/login", self._for(None, self._login)),
            Route("/login", self._for(None, self._log_in), methods=["POST"]),
            Route("/logout", self._for(None, self._log_out), methods=["POST"]),
            Route("/language", self._for(None, self._language), methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]

    def _for(self, role: str | None, view: View) -> View:
        """A view for readers of a role; None: for everybody that may ask at all."""

        async def answer(request: Request) -> Response:
            READER.set(language_of(request))
            request.state.now = self.workspace.clock.now()
            request.state.token = forgery_token(request.session)
            try:
                request.state.reader = reader = self.access.reader(request)
                if role is not None and reader is None:
                    if wants_json(request):
                        raise Denied(401, "console.log_in_first")
                    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                    return RedirectResponse(address("/login", to=here), 303)
                if role is not None and reader is not None and not reader.may(role):
                    raise Denied(403, "console.not_yours")
                if request.method == "POST":
                    await refuse_forgery(request)
                return await view(request)
            except Denied as denied:
                return page(request, "error.html", {"error": denied.key}, denied.status)
            except NoriaError as error:
                missing = error.code in ("unknown_plan", "unknown_record")
                return page(request, "error.html", {"error": error.to_json()}, 404 if missing else 503)

        return answer

    async def _overview(self, request: Request) -> Response:
        now = request.state.now
        found, causes = await self.desk.ask(lambda ledger: (self._stands(ledger, now), ledger.browsing.causes()))
        keys = await self._keys()
        plans = {one.key: one for one in self._files()}
        waiting: dict[str, int] = {}
        for one in causes:
            key = keys.get(one.plan_id, "?")
            waiting[key] = waiting.get(key, 0) + one.count
        failed = [one for one in found.plans if one.last_status == "failed" and one.key in plans]
        data = {
            "plans": found.plans,
            "plan_count": len(plans),
            "waiting": waiting,
            "failed": [one.key for one in failed],
            "causes": [_cause(one, keys.get(one.plan_id, "?")) for one in causes[:8]],
            "workers": found.workers,
            "lost": found.lost,
            "queue": found.queue,
            "runs": await self.desk.ask(lambda ledger: ledger.browsing.runs(limit=8)),
        }
        return page(request, "overview.html", data)

    async def _plans(self, request: Request) -> Response:
        now = request.state.now
        found = await self.desk.ask(lambda ledger: self._stands(ledger, now))
        stands = {one.key: one for one in found.plans}
        shown = [self._shown(one, stands.get(one.key)) for one in self._files()]
        broken = [error.to_json() for error in self.workspace.project.plans()[1]]
        return page(request, "plans.html", {"plans": shown, "broken": broken})

    async def _plan(self, request: Request) -> Response:
        plan, now = self._plan_of(request), request.state.now

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(plan.key)
            stands = next((one for one in self._stands(ledger, now).plans if one.key == plan.key), None)
            if number is None:
                return stands, dict.fromkeys(STATES, 0), [], []
            return (
                stands,
                ledger.browsing.counts(number),
                ledger.browsing.runs(number, limit=10),
                (ledger.browsing.causes(plan_id=number)),
            )

        stands, counts, runs, causes = await self.desk.ask(read)
        data = {
            "plan": self._shown(plan, stands),
            "counts": counts,
            "runs": runs,
            "causes": [_cause(one, plan.key) for one in causes],
            "source": plan.source.document,
            "target": plan.target.document,
        }
        return page(request, "plan.html", data)

    async def _records(self, request: Request) -> Response:
        query = request.query_params
        files = self._files()
        key = query.get("plan") or (files[0].key if files else "")
        state, text, cause = query.get("state") or None, query.get("q") or None, query.get("cause") or None
        if state is not None and state not in STATES:
            raise Denied(400, "console.no_such_state")
        try:
            before = int(query["before"]) if query.get("before") else None
        except ValueError:
            raise Denied(400, "console.no_such_page") from None

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(key)
            if number is None:
                return [], dict.fromkeys(STATES, 0)
            rows = ledger.browsing.page(number, state=state, cause=cause, text=text, before=before, limit=_PAGE + 1)
            return rows, ledger.browsing.counts(number)

        rows, counts = await self.desk.ask(read)
        data = {
            "plan": key,
            "plans": [one.key for one in files],
            "state": state,
            "q": text,
            "cause": cause,
            "before": before,
            "counts": counts,
            "records": rows[:_PAGE],
            "next": rows[_PAGE - 1]["seq"] if len(rows) > _PAGE else None,
        }
        return page(request, "records.html", data)

    async def _record(self, request: Request) -> Response:
        plan, record_id = self._plan_of(request), request.query_params.get("id", "")

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(plan.key)
            return None if number is None else ledger.records.story(number, record_id)

        story = await self.desk.ask(read)
        if story is None:
            raise Denied(404, "console.no_such_record")
        return page(request, "record.html", {"plan": plan.key, "record": story})

    async def _failures(self, request: Request) -> Response:
        key = request.query_params.get("plan") or None

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(key) if key else None
            return [] if key and number is None else ledger.browsing.causes(TROUBLE, number)

        causes, keys = await self.desk.ask(read), await self._keys()
        shown = [_cause(one, keys.get(one.plan_id, "?")) for one in causes]
        return page(request, "failures.html", {"plan": key, "causes": shown})

    async def _runs(self, request: Request) -> Response:
        query = request.query_params
        key = query.get("plan") or None
        before = int(query["before"]) if query.get("before", "").isdigit() else None

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(key) if key else None
            return [] if key and number is None else ledger.browsing.runs(number, before=before, limit=_PAGE + 1)

        runs = await self.desk.ask(read)
        last = runs[_PAGE - 1].run_id if len(runs) > _PAGE else None
        return page(request, "runs.html", {"plan": key, "runs": runs[:_PAGE], "next": last})

    async def _run(self, request: Request) -> Response:
        number = int(request.path_params["run"])
        found = await self.desk.ask(lambda ledger: ledger.browsing.run(number))
        if found is None:
            raise Denied(404, "console.no_such_run")
        return page(request, "run.html", {"run": found})

    async def _connections(self, request: Request) -> Response:
        """What `noria.toml` connects to, and which plans use it; never a secret, nor where it is kept."""
        project, files = self.workspace.project, self._files()
        shown = [
            {
                "name": name,
                "connector": str(table.get("connector", "")),
                "address": self.workspace.redactor.clean(str(table.get("base_url", ""))),
                "limits": table.get("limits") or {},
                "reads": [plan.key for plan in files if plan.source.connection == name],
                "writes": [plan.key for plan in files if plan.target.connection == name],
            }
            for name, table in project.connections.items()
        ]
        return page(request, "connections.html", {"connections": shown})

    async def _test(self, request: Request) -> Response:
        """Ask for the first page of a plan that reads from a connection."""
        name = str(request.path_params["name"])
        plan = next((one for one in self._files() if one.source.connection == name), None)
        if plan is None:
            raise Denied(409, "console.nothing_to_test")
        zone = self.workspace.connection(plan, "source").zone
        moment = Moment(first_sync(plan, zone), request.state.now, zone, plan.options.lenient)
        try:
            records = await source_records(self.workspace, plan, moment, 1)
        except Failure as failure:
            reason = self.workspace.redactor.clean(str(failure.message))
            return await self._done(request, "test_failed", plan.key, "/connections", connection=name, reason=reason)
        return await self._done(request, "test", plan.key, "/connections", connection=name, count=len(records))

    async def _audit(self, request: Request) -> Response:
        """Who changed what."""
        before = request.query_params.get("before", "")

        def read(ledger: Ledger) -> Any:
            return ledger.store.rows(
                "SELECT audit_id, at, who, what, plan, detail FROM audit WHERE audit_id < :before"
                " ORDER BY audit_id DESC LIMIT :n",
                before=int(before) if before.isdigit() else 2**62,
                n=_PAGE + 1,
            )

        rows = await self.desk.ask(read)
        shown = [
            {
                "at": row.at,
                "who": row.who,
                "what": row.what,
                "plan": row.plan,
                "detail": msgspec.json.decode(row.detail) if row.detail else {},
            }
            for row in rows[:_PAGE]
        ]
        following = rows[_PAGE - 1].audit_id if len(rows) > _PAGE else None
        return page(request, "audit.html", {"changes": shown, "next": following})

    async def _run_now(self, request: Request) -> Response:
        plan, now = self._plan_of(request), request.state.now
        if not plan.enabled:
            raise Denied(409, "console.paused")
        await self.desk.ask(lambda ledger: ledger.agenda.want([(plan.key, "extract"), (plan.key, "deliver")], now))
        return await self._done(request, "run", plan.key, f"/plans/{plan.key}")

    async def _enable(self, request: Request) -> Response:
        plan, form = self._plan_of(request), await request.form()
        enabled = form.get("enabled") == "true"
        set_enabled(plan.path, enabled)
        return await self._done(request, "resume" if enabled else "pause", plan.key, f"/plans/{plan.key}")

    async def _replay(self, request: Request) -> Response:
        """Records of a plan go back to be sent: one by its id, or those of a state, of one cause."""
        plan, form, now = self._plan_of(request), await request.form(), request.state.now
        record_id, state, cause = (str(form[name]) if form.get(name) else None for name in ("id", "state", "cause"))
        if state is not None and state not in TROUBLE:
            raise Denied(400, "console.no_such_state")
        if record_id is None and state is None:
            raise Denied(400, "console.nothing_chosen")

        def replay(ledger: Ledger) -> int:
            number = ledger.runs.known_plan(plan.key)
            if number is None:
                return 0
            count = ledger.records.replay(number, now, state=state, record_id=record_id, cause=cause)
            if count and plan.enabled:
                ledger.agenda.want([(plan.key, "deliver")], now)
            return count

        count = await self.desk.ask(replay)
        back = address(f"/plans/{plan.key}/record", id=record_id) if record_id else address("/failures")
        detail = {"id": record_id, "state": state, "cause": cause, "count": count}
        return await self._done(request, "replay", plan.key, back, **detail)

    async def _done(self, request: Request, what: str, plan: str, back: str, **detail: Any) -> Response:
        reader: Reader = request.state.reader
        await self.desk.note(request.state.now, reader.name, what, plan, **detail)
        if wants_json(request):
            return as_json({"done": what, "plan": plan, **detail})
        said = {name: detail.get(name) for name in ("count", "connection", "reason")}
        request.session["done"] = {"what": what, "plan": plan, **said}
        return RedirectResponse(back, 303)

    async def _events(self, request: Request) -> Response:
        """Says when something in the ledger has changed; the pages then ask for themselves again."""

        def look(ledger: Ledger) -> Any:
            return ledger.store.tuples(_PULSE, now=ledger.store.time(self.workspace.clock.now()))[0]

        async def pulses() -> AsyncIterator[str]:
            before: Any = None
            silent = 0.0
            while self.alive() and not await request.is_disconnected():
                pulse = await self.desk.ask(look)
                if pulse != before:
                    if before is not None:
                        yield "event: changed\ndata: now\n\n"
                    before, silent = pulse, 0.0
                elif silent >= 15:
                    yield ": still here\n\n"
                    silent = 0.0
                silent += _LOOK_SECONDS
                await asyncio.sleep(_LOOK_SECONDS)

        return StreamingResponse(pulses(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _login(self, request: Request) -> Response:
        if self.access.open or request.state.reader is not None:
            return RedirectResponse("/", 303)
        return page(request, "login.html", {"to": request.query_params.get("to", "/"), "error": None})

    async def _log_in(self, request: Request) -> Response:
        form = await request.form()
        to = _inside(str(form.get("to", "/")))
        try:
            # Checking a password takes its time on purpose.
            request.state.reader = await asyncio.to_thread(
                self.access.log_in, request, str(form.get("name", "")), str(form.get("password", ""))
            )
        except Denied as denied:
            return page(request, "login.html", {"to": to, "error": denied.key}, denied.status)
        return RedirectResponse(to, 303)

    async def _log_out(self, request: Request) -> Response:
        request.session.clear()
        return RedirectResponse("/login", 303)

    async def _language(self, request: Request) -> Response:
        form = await request.form()
        chosen = "en" if form.get("lang") == "en" else "zh"
        answer = RedirectResponse(_inside(str(form.get("to", "/"))), 303)
        answer.set_cookie("lang", chosen, max_age=31_536_000, samesite="lax", httponly=True)
        return answer

    def _files(self) -> list[Plan]:
        return self.workspace.project.plans()[0]

    def _plan_of(self, request: Request) -> Plan:
        """The plan of the address; raises `Denied`."""
        key = str(request.path_params["key"])
        found = next((one for one in self._files() if one.key == key), None)
        if found is None:
            raise Denied(404, "console.no_such_plan")
        return found

    async def _keys(self) -> dict[int, str]:
        rows = await self.desk.ask(lambda ledger: ledger.store.tuples("SELECT plan_id, key FROM plans"))
        return {int(number): str(key) for number, key in rows}

    @staticmethod
    def _stands(ledger: Ledger, now: float) -> Overview:
        return overview(ledger.store, ledger.agenda, now)

    @staticmethod
    def _shown(plan: Plan, stands: PlanStands | None) -> dict[str, Any]:
        """A plan as lists show it."""
        return {
            "key": plan.key,
            "name": plan.name,
            "enabled": plan.enabled,
            "schedule": plan.schedule,
            "target_schedule": plan.target_schedule,
            "source": {"connection": plan.source.connection, "api": plan.source.metadata.api},
            "target": {"connection": plan.target.connection, "api": plan.target.metadata.api},
            "stands": stands or PlanStands(plan.key, plan.name),
        }


def _cause(one: Cause, plan: str) -> dict[str, Any]:
    """A cause as lists show it, with its plan's key."""
    return {**vars(one), "plan": plan}


def _inside(to: str) -> str:
    """An address of ours; anything else becomes the first page."""
    safe = to.startswith("/") and not to.startswith(("//", "/\\")) and "\\" not in to and to.isprintable()
    return to if safe else "/"
