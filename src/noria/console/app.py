"""The web application: the console's pages, `/healthz`, `/readyz`, `/metrics`, `/hooks/<plan>`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router, request_response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Sent

from noria.console.acts import Acts
from noria.console.alerts import AlertPages
from noria.console.connections import Connections
from noria.console.denied import Denied
from noria.console.desk import Desk
from noria.console.door import Door
from noria.console.editor import Editor
from noria.console.endpoints import Endpoint, does, shows
from noria.console.hooks import Pushed, Refused, event_of
from noria.console.lists import Lists
from noria.console.live import Live
from noria.console.login import Login
from noria.console.metrics import Figures
from noria.console.pages import Pages
from noria.console.planfiles import PlanFiles
from noria.console.reconciling import Reconciling
from noria.console.reference import Reference
from noria.console.render import HERE
from noria.console.runs import RunPages
from noria.console.stories import Stories
from noria.console.tokens import Tokens
from noria.console.versions import Versions
from noria.engine import Workspace
from noria.ledger.overview import overview
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.secrets import resolve

# What an event or a form may hold at most, in bytes.
_LARGEST = 1024 * 1024
# And the editor's, which has a plan's whole text and the same again in its fields, each character as up to nine.
_LARGEST_PLAN = 16 * _LARGEST
_EDITOR = re.compile(r"/new\Z|/plans/[^/]+/edit\Z")
# How long somebody stays logged in, in seconds.
_SESSION_SECONDS = 12 * 3600
# A page runs and shows nothing but what we serve, stands in no other, and sends forms to us only.
_GUARDS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Guarded:
    """Says with every page what a browser may do with it, and takes no form that is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with the headers."""

        async def guarded(message: Sent) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _GUARDS.items():
                    headers.setdefault(name, value)
                if not str(scope.get("path", "")).startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
                elif scope.get("query_string"):
                    # Another file has another address.
                    headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")
            await send(message)

        most = _LARGEST_PLAN if _EDITOR.match(str(scope.get("path", ""))) else _LARGEST
        await self.app(scope, _bounded(receive, Denied(413, "console.too_large"), most), guarded)


async def _nowhere(_: Request) -> Response:
    raise Denied(404, "console.no_such_page")


def _bounded(receive: Receive, too_large: Exception, most: int = _LARGEST) -> Receive:
    """A body that raises once it is larger than what we take, whatever its length says."""
    size = 0

    async def bounded() -> Sent:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise too_large
        return message

    return bounded


class _Sessions:
    """Keeps who is logged in, in cookies that are signed with a key from the ledger."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self.app = app
        self.desk = desk
        self._signed: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, once the key is known."""
        if self._signed is None:
            try:
                key = await self.desk.key()
            except NoriaError as error:
                await PlainTextResponse(str(error), status_code=503)(scope, receive, send)
                return
            self._signed = SessionMiddleware(
                self.app, secret_key=key, session_cookie="noria", max_age=_SESSION_SECONDS, same_site="lax"
            )
        await self._signed(scope, receive, send)


class Operations:
    """What the pages look at. `alive`: whether the process does what it is there for."""

    def __init__(self, workspace: Workspace, alive: Callable[[], bool] = lambda: True) -> None:
        self.workspace = workspace
        self.alive = alive
        self.desk = Desk(workspace.project)
        self.door = Door(workspace, self.desk)
        self.reference = Reference(self.endpoints)
        self.figures = Figures(
            lambda: overview(workspace.ledger.store, workspace.ledger.agenda, workspace.clock.now()),
            lambda: (workspace.ledger.alerts.on(), list(workspace.ledger.alerts.channels().values())),
        )

    def app(self) -> Starlette:
        """The application. Close it with `close`."""
        live = Live(self.desk, self.workspace.clock, self.alive)
        console = [
            *self.door.routes(self._console()),
            *Login(self.door).routes(),
            Route("/events", self.door.opens("viewer", live.events)),
            # Pages are not compressed: they hold tokens beside what others write.
            Mount("/static", GZipMiddleware(StaticFiles(directory=HERE / "static"))),
        ]
        pages = Router(console, default=request_response(self.door.opens(None, _nowhere)))
        app = Starlette(routes=[Route(one.path, one.view, methods=[one.method]) for one in self._machines()])
        # Not mounted: a mount takes no path with a line break in it.
        app.router.default = Guarded(_Sessions(pages, self.desk))
        return app

    def endpoints(self) -> list[Endpoint]:
        """All that is declared."""
        return [*self._console(), *self._machines()]

    def _console(self) -> list[Endpoint]:
        """What people and programs ask for, behind the door."""
        door, files = self.door, PlanFiles(self.workspace, self.desk)
        return [
            *Pages(door).endpoints(),
            *Editor(door, files).endpoints(),
            *Connections(door).endpoints(),
            *Versions(door, files).endpoints(),
            *Acts(door, files).endpoints(),
            *Stories(door).endpoints(),
            *Lists(door).endpoints(),
            *RunPages(door).endpoints(),
            *Reconciling(door).endpoints(),
            *AlertPages(door).endpoints(),
            *Tokens(door).endpoints(),
            *self.reference.endpoints(),
        ]

    def _machines(self) -> list[Endpoint]:
        """What watches the process, and systems that push; answered whoever asks."""
        return [
            shows("healthz", "/healthz", self._healthy, str, role=None, errors=(503,)),
            shows("readyz", "/readyz", self._ready, str, role=None, errors=(503,)),
            shows("metrics", "/metrics", self._metrics, str, role=None),
            does("hook", "/hooks/{plan}", self._hook, dict[str, Any], role=None, errors=(400, 401, 413, 503)),
            shows("hook_asked", "/hooks/{plan}", self._hook, str, role=None, errors=(400, 401, 413, 503)),
        ]

    def close(self) -> None:
        """Let go of the ledger."""
        self.desk.close()

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("ok") if self.alive() else PlainTextResponse("stopping", status_code=503)

    async def _ready(self, _: Request) -> Response:
        """Whether the ledger can be used."""
        try:
            self.workspace.ledger.store.tuples("SELECT 1 FROM facts LIMIT 1")
        except NoriaError as error:
            return PlainTextResponse(str(error), status_code=503)
        return PlainTextResponse("ok") if self.alive() else PlainTextResponse("stopping", status_code=503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self.figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _hook(self, request: Request) -> Response:
        """An event: kept before it is answered, once however often it comes."""
        key = str(request.path_params["plan"])
        try:
            body = await Request(request.scope, _bounded(request.receive, Refused(413, "too large"))).body()
        except Refused as refused:
            return self._refused(key, refused)
        plan = self.workspace.project.enabled(key)
        hook = plan.options.webhook if plan is not None else None
        if hook is None:
            return self._refused(key, Refused(404, "no such plan, or it takes no events"))
        clock = self.workspace.clock
        try:
            secret = resolve(hook.secret, self.workspace.project.folder)
            self.workspace.redactor.hide(secret)
            token = resolve(hook.token, self.workspace.project.folder)
            self.workspace.redactor.hide(*([token] if token else []))
            headers = {name.lower(): value for name, value in request.headers.items()}
            event = event_of(hook, secret, token, Pushed(request.query_params, headers, body), clock.now())
            ledger = self.workspace.ledger
            if not event.asks:
                ledger.agenda.hooked(key, event.message, ledger.store.pack(body), clock.now())
        except Refused as refused:
            return self._refused(key, refused)
        except NoriaError as error:
            self.workspace.observer.said(key, Message("hook.refused", {"why": str(error)}))
            return JSONResponse({"error": "unavailable"}, status_code=503)
        return PlainTextResponse(event.answer) if isinstance(event.answer, str) else JSONResponse(event.answer)

    def _refused(self, key: str, refused: Refused) -> Response:
        self.workspace.observer.said(key, Message("hook.refused", {"why": str(refused)}))
        return JSONResponse({"error": "refused"}, status_code=refused.status)
