"""The versions of a plan's file: who changed what, and the way back."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from noria.console.access import Denied
from noria.console.diffs import compared
from noria.console.door import Door, number_in
from noria.console.planfiles import Conflict, PlanFiles
from noria.console.render import page
from noria.ledger import Ledger
from noria.ledger.planversions import PlanVersion

_PAGE = 50


class Versions:
    """Shows versions, and restores them."""

    def __init__(self, door: Door, files: PlanFiles) -> None:
        self.door = door
        self.files = files

    def routes(self) -> list[BaseRoute]:
        """A page and an act."""
        opens = self.door.opens
        return [
            Route("/plans/{key}/versions", opens("viewer", self._versions)),
            Route("/plans/{key}/versions/{number}/restore", opens("admin", self._restore), methods=["POST"]),
        ]

    async def _versions(self, request: Request) -> Response:
        """The versions, and what one of them changed."""
        key = str(request.path_params["key"])
        before, wanted = (number_in(request.query_params.get(name)) for name in ("before", "of"))
        now = self.files.of_plan(key)

        def read(ledger: Ledger) -> tuple[list[PlanVersion], str | None, str | None]:
            listed = ledger.plan_versions.page(key, before=before, limit=_PAGE + 1)
            shown = wanted if wanted is not None else next((one.number for one in listed), None)
            if shown is None:
                return listed, None, None
            older = next(iter(ledger.plan_versions.page(key, before=shown, limit=1)), None)
            text = ledger.plan_versions.text(key, shown)
            return listed, text, ledger.plan_versions.text(key, older.number) if older is not None else None

        listed, text, older = await self.door.desk.ask(read)
        if wanted is not None and text is None:
            raise Denied(404, "console.no_such_page")
        versions, more = listed[:_PAGE], len(listed) > _PAGE
        data: dict[str, Any] = {
            "key": key,
            "base": now.digest,
            "versions": versions,
            "of": wanted if wanted is not None else next((one.number for one in versions), None),
            "text": text,
            "changes": compared(_lines(older), _lines(text)),
            "outside": bool(versions) and before is None and versions[0].digest != now.digest,
            "next": versions[-1].number if more else None,
        }
        return page(request, "versions.html", data)

    async def _restore(self, request: Request) -> Response:
        """Put an older text into the file; what is there now stays a version."""
        key, number = str(request.path_params["key"]), number_in(request.path_params["number"]) or 0
        self.files.of_plan(key)
        form = await request.form()
        text = await self.door.desk.ask(lambda ledger: ledger.plan_versions.text(key, number))
        if text is None:
            raise Denied(404, "console.no_such_page")
        who, now = request.state.reader.name, request.state.now
        try:
            await self.files.save(key, text, str(form.get("base", "")), who=who, at=now, note=f"← {number}")
        except Conflict:
            raise Denied(409, "editor.conflict_now") from None
        return await self.door.noted(request, "restore", key, f"/plans/{key}/versions", version=number)


def _lines(text: str | None) -> list[str]:
    return text.replace("\r\n", "\n").split("\n") if text else []
