"""Coming and going: logging in and out, and the language that somebody reads in."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.render import page


class Login:
    """Lets people in."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def routes(self) -> list[BaseRoute]:
        """What everybody may ask for."""
        opens = self.door.opens
        return [
            Route("/login", opens(None, self._login)),
            Route("/login", opens(None, self._log_in), methods=["POST"]),
            Route("/logout", opens(None, self._log_out), methods=["POST"]),
            Route("/language", opens(None, self._language), methods=["POST"]),
        ]

    async def _login(self, request: Request) -> Response:
        if self.door.access.open or request.state.reader is not None:
            return RedirectResponse("/", 303)
        return page(request, "login.html", {"to": request.query_params.get("to", "/"), "error": None})

    async def _log_in(self, request: Request) -> Response:
        form = await request.form()
        to = _inside(str(form.get("to", "/")))
        try:
            # Checking a password takes its time on purpose.
            request.state.reader = await asyncio.to_thread(
                self.door.access.log_in, request, str(form.get("name", "")), str(form.get("password", ""))
            )
        except Denied as denied:
            return page(request, "login.html", {"to": to, "error": str(denied)}, denied.status)
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


def _inside(to: str) -> str:
    """An address of ours; anything else becomes the first page."""
    safe = to.startswith("/") and not to.startswith(("//", "/\\")) and "\\" not in to and to.isprintable()
    return to if safe else "/"
