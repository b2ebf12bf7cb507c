"""The door that every page and act is behind: who asks, in which language, for what they may, with what can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from noria.console.access import Access, Denied, Reader, forgery_token, refuse_forgery
from noria.console.desk import Desk
from noria.console.render import address, as_json, language_of, page, wants_json
from noria.engine import Workspace
from noria.messages import READER
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan

View = Callable[[Request], Awaitable[Response]]
# What an address has as it is.
_IN_ADDRESSES = ":/%#?=@[]!$&'()*+,;"
# No number in the ledger is larger.
_LARGEST = 2**62


class Door:
    """A project as pages and acts reach it."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        self.workspace = workspace
        self.desk = desk
        self.access = Access(workspace)

    def opens(self, role: str | None, view: View) -> View:
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
                status = {"unknown_plan": 404, "unknown_record": 404, "usage": 409}.get(error.code, 503)
                return page(request, "error.html", {"error": error.to_json()}, status)

        return answer

    async def noted(self, request: Request, what: str, plan: str, back: str, **detail: Any) -> Response:
        """Put what somebody did on record, and say that it is done."""
        reader: Reader = request.state.reader
        now = request.state.now
        await self.desk.ask(lambda ledger: ledger.audit.note(now, reader.name, what, plan, detail))
        return self.done(request, what, plan, back, **detail)

    @staticmethod
    def done(request: Request, what: str, plan: str | None, back: str, **detail: Any) -> Response:
        """What was done, told a program at once and a person on the page that comes next."""
        if wants_json(request):
            return as_json({"done": what, "plan": plan, **detail})
        said = {name: detail.get(name) for name in ("count", "connection", "reason")}
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


def text_in(given: object) -> str | None:
    """A text that was given; None for none. Raises `Denied` for what no ledger can hold."""
    text = str(given or "")
    if "\0" in text or (not text.isascii() and any("\ud800" <= one < "\ue000" for one in text)):
        raise Denied(400, "console.bad_text")
    return text or None


def number_in(given: object) -> int | None:
    """A number that was given; None for none. Raises `Denied` for anything else."""
    text = str(given or "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _LARGEST:
        raise Denied(400, "console.no_such_page")
    return int(text)
