"""The door that every page and act is behind: who asks, in which language, for what they may, with what can be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from noria.console.access import Access, Reader, forgery_token, refuse_forgery
from noria.console.bearers import Bearers, bearer
from noria.console.denied import Denied
from noria.console.desk import Desk
from noria.console.endpoints import IN_PATH, Asked, Endpoint, View, asked_of, body_of, fitted, sent_json, typed
from noria.console.render import address, as_json, language_of, page, wants_json
from noria.engine import Workspace
from noria.messages import READER
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan

# What an address has as it is.
_IN_ADDRESSES = ":/%#?=@[]!$&'()*+,;"


class Door:
    """A project as pages and acts reach it."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        self.workspace = workspace
        self.desk = desk
        self.access = Access(workspace)
        self.bearers = Bearers(desk, workspace.clock)

    def routes(self, endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
        """What is declared, as it is reached."""
        return [self._route(one) for one in endpoints]

    def _route(self, endpoint: Endpoint) -> Route:
        in_path: Any = msgspec.defstruct("InPath", [(one, IN_PATH[one]) for one in endpoint.in_path()], bases=(Asked,))

        async def view(request: Request) -> Response:
            found = fitted(typed({name: [value] for name, value in request.path_params.items()}, in_path), in_path)
            request.path_params.update(msgspec.structs.asdict(found))
            request.state.asked = await asked_of(request, endpoint)
            return await endpoint.view(request)

        return Route(endpoint.path, self.opens(endpoint.role, view), methods=[endpoint.method])

    def opens(self, role: str | None, view: View) -> View:
        """A view for readers of a role; None: for everybody that may ask at all."""

        async def answer(request: Request) -> Response:
            READER.set(language_of(request))
            request.state.now = self.workspace.clock.now()
            shown = bearer(request)
            # Who shows a token has no session, and is given none.
            request.state.token = forgery_token(request.session) if shown is None else ""
            try:
                request.state.reader = reader = await self._reader(request, shown)
                if role is not None and reader is None:
                    if wants_json(request) or request.headers.get("hx-request"):
                        raise Denied(401, "console.log_in_first")
                    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                    return RedirectResponse(address("/login", to=here), 303)
                if role is not None and reader is not None and not reader.may(role):
                    raise Denied(403, "console.not_yours")
                if request.method == "POST" and shown is None and not self._program(request):
                    given = request.headers.get("x-token") or (await body_of(request)).get("token")
                    refuse_forgery(request, str(given or ""))
                return await view(request)
            except NoriaError as error:
                status = _status(error)
                if request.headers.get("hx-request"):
                    # It is said on the page that asked, and takes the place of nothing there.
                    return PlainTextResponse(" ".join(map(str, filter(None, (error.message, error.hint)))), status)
                answer = page(request, "error.html", {"error": error.to_json()}, status)
                if status == 401:
                    answer.headers["WWW-Authenticate"] = "Bearer"
                return answer

        return answer

    async def _reader(self, request: Request, shown: str | None) -> Reader | None:
        """Who asks: whose token it is where one is shown, whatever else would let them in."""
        if shown is not None:
            return await self.bearers.reader(request, shown)
        return self.access.reader(request)

    def _program(self, request: Request) -> bool:
        """Whether nobody's browser can have been made to send this: JSON without a session, from nowhere. So the
        commands can act where the console is open to this machine."""
        browsed = any(name in request.headers for name in ("cookie", "origin", "sec-fetch-site"))
        return self.access.open and sent_json(request) and not browsed

    async def noted(self, request: Request, what: str, plan: str | None, back: str, **detail: Any) -> Response:
        """Put what somebody did on record, and say that it is done."""
        await self.note(request, what, plan, **detail)
        return self.done(request, what, plan, back, **detail)

    async def note(self, request: Request, what: str, plan: str | None, **detail: Any) -> None:
        """Put what somebody did on record."""
        reader: Reader = request.state.reader
        now = request.state.now
        await self.desk.ask(lambda ledger: ledger.audit.note(now, reader.name, what, plan, detail))

    @staticmethod
    def done(request: Request, what: str, plan: str | None, back: str, **detail: Any) -> Response:
        """What was done, told a program at once and a person on the page that comes next."""
        if wants_json(request):
            return as_json({"done": what, "plan": plan, **detail})
        said = {name: detail.get(name) for name in ("count", "connection", "reason", "name")}
        request.session["done"] = {"what": what, "plan": plan, **said}
        if request.headers.get("hx-request"):
            # Only a part of the page was asked for, and the whole is to change.
            return Response(headers={"HX-Redirect": quote(back, safe=_IN_ADDRESSES)})
        return RedirectResponse(back, 303)

    def plans(self) -> list[Plan]:
        """The plans whose files can be read."""
        return self.workspace.project.plans()[0]

    def plan_of(self, request: Request) -> Plan:
        """The plan of the address; raises `Denied`."""
        key = str(request.path_params["key"])
        found = next((one for one in self.plans() if one.key == key), None)
        if found is None:
            raise Denied(404, "console.no_such_plan")
        return found


def _status(error: NoriaError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, Denied):
        return error.status
    missing = {"unknown_plan": 404, "unknown_record": 404, "unknown_token": 404}
    return {**missing, "usage": 409, "exists": 409, "expires": 400}.get(error.code, 503)
