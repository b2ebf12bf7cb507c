"""The versions of a plan's file: who changed what, and the way back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from noria.console.answers import Restored, VersionsPage
from noria.console.asked import RestoreAsked, VersionsAsked
from noria.console.denied import Denied
from noria.console.diffs import compared
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, does, shows
from noria.console.planfiles import Conflict, PlanFiles
from noria.console.render import page
from noria.ledger import Ledger
from noria.ledger.planversions import PlanVersion


class Versions:
    """Shows versions, and restores them."""

    def __init__(self, door: Door, files: PlanFiles) -> None:
        self.door = door
        self.files = files

    def endpoints(self) -> list[Endpoint]:
        """A page and an act."""
        restore = "/plans/{key}/versions/{number}/restore"
        return [
            shows("versions", "/plans/{key}/versions", self._versions, VersionsPage, takes=VersionsAsked),
            does("restore", restore, self._restore, Restored, takes=RestoreAsked, role="admin"),
        ]

    async def _versions(self, request: Request) -> Response:
        """The versions, and what one of them changed."""
        key = str(request.path_params["key"])
        asked: VersionsAsked = request.state.asked
        before, wanted = asked.before, asked.of
        now = self.files.of_plan(key)

        def read(ledger: Ledger) -> tuple[list[PlanVersion], str | None, str | None]:
            listed = ledger.plan_versions.page(key, before=before, limit=asked.limit + 1)
            shown = wanted if wanted is not None else next((one.number for one in listed), None)
            if shown is None:
                return listed, None, None
            older = next(iter(ledger.plan_versions.page(key, before=shown, limit=1)), None)
            text = ledger.plan_versions.text(key, shown)
            return listed, text, ledger.plan_versions.text(key, older.number) if older is not None else None

        listed, text, older = await self.door.desk.ask(read)
        if wanted is not None and text is None:
            raise Denied(404, "console.no_such_page")
        versions, more = cut(listed, asked.limit)
        shown = VersionsPage(
            key=key,
            base=now.digest,
            versions=versions,
            of=wanted if wanted is not None else next((one.number for one in versions), None),
            text=text,
            changes=compared(_lines(older), _lines(text)),
            outside=bool(versions) and before is None and versions[0].digest != now.digest,
            next=versions[-1].number if more else None,
        )
        return page(request, "versions.html", shown)

    async def _restore(self, request: Request) -> Response:
        """Put an older text into the file; what is there now stays a version."""
        key, number = str(request.path_params["key"]), request.path_params["number"]
        self.files.of_plan(key)
        asked: RestoreAsked = request.state.asked
        text = await self.door.desk.ask(lambda ledger: ledger.plan_versions.text(key, number))
        if text is None:
            raise Denied(404, "console.no_such_page")
        who, now = request.state.reader.name, request.state.now
        try:
            await self.files.save(key, text, asked.base, who=who, at=now, note=f"← {number}")
        except Conflict:
            raise Denied(409, "editor.conflict_now") from None
        return await self.door.noted(request, "restore", key, f"/plans/{key}/versions", version=number)


def _lines(text: str | None) -> list[str]:
    return text.replace("\r\n", "\n").split("\n") if text else []
