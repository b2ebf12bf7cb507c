"""The editor: a plan as a form, with its text beside it, on real records, until it is saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from noria.connectors.failures import Failure
from noria.console.answers import Saved, SheetPage
from noria.console.asked import SheetAsked
from noria.console.denied import Denied
from noria.console.diffs import compared
from noria.console.door import Door
from noria.console.endpoints import Endpoint, body_of, does, shows
from noria.console.fields import changed
from noria.console.planfiles import KEY, LONGEST_KEY, Conflict, FileText, PlanFiles, digest_of
from noria.console.planform import PlanForm
from noria.console.render import as_json, page, wants_json
from noria.console.samples import MOST_RECORDS, Samples
from noria.console.steps import BLANK_PLAN, carried_out, pasted
from noria.engine.drafts import Draft, draft_of, shown_by
from noria.engine.preview import default_moment
from noria.engine.sampling import FoundList, SampleField, fields_in, lists_in_answer, moment_of, rows_of, sample
from noria.ledger import Ledger
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.expressions import MACRO_NAMES
from noria.metadata.functions import FUNCTIONS
from noria.metadata.macros import Moment
from noria.metadata.times import FORMATS
from noria.scheduler.coming import times

_CRONS = ("*/5 * * * *", "*/10 * * * *", "*/30 * * * *", "0 * * * *", "0 */2 * * *", "0 2 * * *", "0 2 * * 1")
_ZONES = ("Asia/Shanghai", "Asia/Hong_Kong", "Asia/Tokyo", "Europe/Berlin", "Europe/London", "America/New_York", "UTC")
# Times of a schedule that are shown.
_NEXT = 3


@dataclass
class Sheet:
    """What lies on the table while somebody edits: the text, the file it began from, the sample, what was said, and
    what was made of the text last."""

    key: str
    new: bool
    text: str
    base: str
    sample: str = ""
    looked_at: int = 0
    typed: dict[str, str] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    lists: list[FoundList] = field(default_factory=list)
    theirs: FileText | None = None
    draft: Draft | None = None


class Editor:
    """Writes plans."""

    def __init__(self, door: Door, files: PlanFiles) -> None:
        self.door = door
        self.files = files
        self.samples = Samples()

    def endpoints(self) -> list[Endpoint]:
        """The editor, an admin's."""
        gives, edit = SheetPage | Saved, "/plans/{key}/edit"
        return [
            shows("new_plan", "/new", self._new, SheetPage, role="admin"),
            does("make_plan", "/new", self._step, gives, takes=SheetAsked, role="admin"),
            shows("edit_plan", edit, self._edit, SheetPage, role="admin"),
            does("change_plan", edit, self._step, gives, takes=SheetAsked, role="admin"),
        ]

    async def _new(self, request: Request) -> Response:
        return await self._shown(request, Sheet("", True, BLANK_PLAN, ""))

    async def _edit(self, request: Request) -> Response:
        key = str(request.path_params["key"])
        now = self.files.of_plan(key)
        sheet = Sheet(key, False, now.text.replace("\r\n", "\n"), now.digest)
        sheet.sample = await self._from_ledger(request, key)
        return await self._shown(request, sheet)

    async def _step(self, request: Request) -> Response:
        """What was put into the form, and the button that was pressed."""
        asked: SheetAsked = request.state.asked
        sheet = await self._laid_out(request, asked)
        step = asked.do
        word, _, argument = step.partition(":")
        try:
            if word == "paste":
                sheet.text = pasted(sheet.text, asked.pasted, "target" if argument == "target" else "source")
            elif word == "look" and argument.isdecimal():
                sheet.looked_at = int(argument[:6])
            elif word == "mine" and not sheet.new:
                # Also when it is gone: then it is written anew.
                sheet.base = self.files.read(sheet.key).digest
            elif word not in ("save", "run", "sample"):
                fields = self._fields(request, sheet) if word in ("map", "map_all") else []
                sheet.text = carried_out(sheet.text, step, fields)
        except ValueError as error:
            sheet.said.append(("bad", str(Message("editor.not_done", {"reason": str(error)}))))
        if word == "sample":
            await self._fetch(request, sheet)
        if word in ("save", "run"):
            return await self._save(request, sheet, asked.note.strip()[:200], run=word == "run")
        return await self._shown(request, sheet)

    async def _laid_out(self, request: Request, asked: SheetAsked) -> Sheet:
        """The text with what was put into the fields made of it; a text that was changed itself goes first."""
        new = "key" not in request.path_params
        key = asked.key.strip() if new else str(request.path_params["key"])
        text = asked.text.replace("\r\n", "\n")
        sheet = Sheet(key, new, text, asked.base, asked.sample, looked_at=asked.looked_at)
        if asked.shown == digest_of(text):
            sent = await body_of(request)
            fields = sent.multi_items() if isinstance(sent, FormData) else sent.items()
            given = [(name, str(value)) for name, value in fields if ":/" in name]
            try:
                sheet.text, sheet.typed = changed(text, given)
            except ValueError:
                # It is no JSON, which is said with the text.
                sheet.typed = {}
        return sheet

    async def _save(self, request: Request, sheet: Sheet, note: str, *, run: bool) -> Response:
        """Write the file, unless something stands against it."""
        if not KEY.match(sheet.key) or len(sheet.key.encode()) > LONGEST_KEY:
            return await self._refused(request, sheet, "editor.bad_key", 400)
        draft = self._draft(sheet)
        enabled = draft.plan is None or draft.plan.enabled
        if sheet.typed or draft.plan is None or (draft.errors() and enabled):
            return await self._refused(request, sheet, "editor.mend_first", 400)
        if self.files.holds_secret(sheet.key, sheet.text):
            return await self._refused(request, sheet, "editor.secret_inside", 400)
        who, now = request.state.reader.name, request.state.now
        try:
            saved = await self.files.save(sheet.key, sheet.text, sheet.base, who=who, at=now, note=note or None)
        except Conflict as conflict:
            sheet.theirs = conflict.now
            return await self._refused(request, sheet, "editor.taken" if sheet.new else "editor.conflict", 409)
        runs = run and enabled
        if runs:
            wanted = [(sheet.key, "extract"), (sheet.key, "deliver")]
            await self.door.desk.ask(lambda ledger: ledger.agenda.want(wanted, now))
        detail = {"note": note, "new": sheet.new, "base": saved.digest}
        return await self.door.noted(
            request, "save_run" if runs else "save", sheet.key, f"/plans/{sheet.key}", **detail
        )

    async def _refused(self, request: Request, sheet: Sheet, key: str, status: int) -> Response:
        if wants_json(request):
            raise Denied(status, key, problems=self._draft(sheet).problems)
        sheet.said.append(("bad", str(Message(key))))
        return await self._shown(request, sheet, status)

    async def _fetch(self, request: Request, sheet: Sheet) -> None:
        """Real records of the source, or why there are none, and where in its answer there might be some."""
        plan = self._draft(sheet).plan
        workspace, clean = self.door.workspace, self.door.workspace.redactor.clean
        if plan is None:
            sheet.said.append(("bad", str(Message("editor.mend_first"))))
            return
        try:
            records = await sample(workspace, plan, MOST_RECORDS)
            if records:
                sheet.sample, sheet.looked_at = self.samples.keep(request.state.reader.name, records), 0
                sheet.said.append(("", str(Message("editor.sampled", {"count": len(records)}))))
            else:
                sheet.said.append(("bad", str(Message("editor.nothing_came"))))
        except Failure as failure:
            sheet.said.append(("bad", clean(str(failure.message))))
            records = []
        except NoriaError as error:
            sheet.said.append(("bad", clean(f"{error.message} {error.hint or ''}".strip())))
            return
        if not records:
            try:
                sheet.lists = await lists_in_answer(workspace, plan)
            except Failure:
                # That there is no answer has been said.
                sheet.lists = []

    async def _from_ledger(self, request: Request, key: str) -> str:
        """The newest records of a plan that has run, as a sample."""

        def read(ledger: Ledger) -> list[bytes]:
            number = ledger.runs.known_plan(key)
            if number is None:
                return []
            newest = ledger.browsing.page(number, limit=20)
            return ledger.records.raws(number, [one["seq"] for one in newest])[::-1]

        records = [one for one in await self.door.desk.ask(read) if one]
        return self.samples.keep(request.state.reader.name, records) if records else ""

    def _draft(self, sheet: Sheet) -> Draft:
        """What the text is; checked once as long as it is the same."""
        if sheet.draft is None or sheet.draft.text != sheet.text:
            path = self.files.path(sheet.key or "new")
            sheet.draft = draft_of(self.door.workspace.project, path, sheet.text)
        return sheet.draft

    def _records(self, request: Request, sheet: Sheet) -> list[bytes]:
        return self.samples.of(request.state.reader.name, sheet.sample) or []

    def _fields(self, request: Request, sheet: Sheet) -> list[SampleField]:
        draft = self._draft(sheet)
        records = self._records(request, sheet)
        return fields_in(rows_of(draft.plan, records, self._moment(draft))) if draft.plan is not None else []

    def _moment(self, draft: Draft) -> Moment:
        assert draft.plan is not None
        try:
            return moment_of(self.door.workspace, draft.plan)
        except NoriaError:
            # Without a connection that can be used, in the usual zone.
            return default_moment(self.door.workspace.clock.now())

    async def _shown(self, request: Request, sheet: Sheet, status: int = 200) -> Response:
        draft, project = self._draft(sheet), self.door.workspace.project
        records = self._records(request, sheet)
        results: list[dict[str, Any]] | None = None
        fields: list[SampleField] = []
        if draft.plan is not None and records:
            moment = self._moment(draft)
            fields = fields_in(rows_of(draft.plan, records, moment))
            results = await self.door.desk.ask(lambda ledger: shown_by(draft, records, moment, ledger, project))
        looked_at = min(sheet.looked_at, len(results) - 1) if results else 0
        result = results[looked_at] if results else None
        form = PlanForm(draft, project, result["payload"] if result else None, sheet.typed)
        data = {
            "key": sheet.key,
            "new": sheet.new,
            "text": sheet.text,
            "base": sheet.base,
            "problems": form.problems(),
            "sample": sheet.sample,
            "results": results,
            "fields": fields,
        }
        if wants_json(request):
            return as_json(data, status)
        fires = [] if draft.plan is None else _fires(draft, request.state.now)
        data |= {
            "sides": form,
            "sheet": sheet,
            "shown": digest_of(sheet.text),
            "looked_at": looked_at,
            "result": result,
            "records": len(records),
            "fires": fires,
            "suggested": self._suggested(form, fields),
            "theirs": None
            if sheet.theirs is None
            else compared(sheet.theirs.text.splitlines(), sheet.text.splitlines()),
        }
        if request.headers.get("hx-request"):
            return page(request, "editor_form.html", data)
        return page(request, "editor.html", data, status)

    def _suggested(self, form: PlanForm, fields: list[SampleField]) -> dict[str, Iterable[tuple[str, str]]]:
        """Lists of what may be put into fields, by their names, each with a remark."""
        paths = [(one.path, _short(one.example)) for one in fields]
        plans = [(one.key, one.name) for one in self.door.plans()]
        taken = [(name, "") for name in form.target_parameters()] or [(one.path, "") for one in fields]
        return {
            "crons": [(one, "") for one in _CRONS],
            "zones": [(one, "") for one in _ZONES],
            "fields": paths,
            "macros": [*((one, "") for one in MACRO_NAMES), *((f"{one}|datetime", "") for one in MACRO_NAMES[:2])],
            "formats": [(one, "") for one in FORMATS],
            "functions": [(one.usage, one.zh) for one in FUNCTIONS.values()],
            "plans": plans,
            "parameters": [(one, "") for one in form.parameters()],
            "target-fields": taken,
            "maps": [(one, "") for one in (form.draft.plan.maps if form.draft.plan is not None else ())],
            "source-apis": [(one.path, one.name) for one in form.endpoints("source")],
            "target-apis": [("写入空操作", ""), *((one.path, one.name) for one in form.endpoints("target"))],
        }


def _fires(draft: Draft, now: float) -> list[float]:
    """The next times of a draft's schedule; none where it has no schedule, or one that is wrong."""
    plan = draft.plan
    if plan is None or not plan.schedule or any(one.path in ("$.schedule", "$.timezone") for one in draft.errors()):
        return []
    return times(plan, plan.schedule, now, _NEXT)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
