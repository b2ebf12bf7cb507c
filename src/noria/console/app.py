"""The web application: `/healthz`, `/readyz`, `/metrics`, `/hooks/<plan>`."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from noria.console.hooks import Refused, event_of
from noria.console.metrics import Figures
from noria.engine import Workspace
from noria.ledger.overview import overview
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.secrets import resolve

# What an event may hold at most, in bytes.
_LARGEST = 1024 * 1024


class Operations:
    """What the pages look at. `alive`: whether the process does what it is there for."""

    def __init__(self, workspace: Workspace, alive: Callable[[], bool] = lambda: True) -> None:
        self.workspace = workspace
        self.alive = alive
        self.figures = Figures(lambda: overview(workspace.ledger.store, workspace.ledger.agenda, workspace.clock.now()))

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/healthz", self._healthy),
                Route("/readyz", self._ready),
                Route("/metrics", self._metrics),
                Route("/hooks/{plan}", self._hook, methods=["POST"]),
            ]
        )

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
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return self._refused(key, Refused(413, "too large"))
        plan = self.workspace.project.enabled(key)
        hook = plan.options.webhook if plan is not None else None
        if hook is None:
            return self._refused(key, Refused(404, "no such plan, or it takes no events"))
        clock = self.workspace.clock
        try:
            secret = resolve(hook.secret, self.workspace.project.folder)
            self.workspace.redactor.hide(secret)
            headers = {name.lower(): value for name, value in request.headers.items()}
            event = event_of(hook, secret, headers, body, clock.now())
            ledger = self.workspace.ledger
            ledger.agenda.hooked(key, event.message, ledger.store.pack(body), clock.now())
        except Refused as refused:
            return self._refused(key, refused)
        except NoriaError as error:
            self.workspace.observer.said(key, Message("hook.refused", {"why": str(error)}))
            return JSONResponse({"error": "unavailable"}, status_code=503)
        return JSONResponse(event.answer)

    def _refused(self, key: str, refused: Refused) -> Response:
        self.workspace.observer.said(key, Message("hook.refused", {"why": str(refused)}))
        return JSONResponse({"error": "refused"}, status_code=refused.status)
