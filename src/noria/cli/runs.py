"""Commands that move records: run, preview, replay."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from noria.cli.options import (
    HERE,
    IdOption,
    JsonOption,
    PlanArgument,
    PlansArgument,
    ProjectOption,
    ServerOption,
    StateOption,
    TokenOption,
)
from noria.cli.output import LiveProgress, console, print_json, state_text, table
from noria.cli.remote import server_of
from noria.engine import Finished, Workspace, run_plan
from noria.engine.answers import decoded
from noria.engine.collector import rare_collections
from noria.engine.preview import NO_MATTER, asked_by, default_moment, preview, source_records
from noria.engine.sampling import moment_of
from noria.ledger import ledger_of
from noria.ledger.records import REPLAYABLE
from noria.mapping import encode
from noria.messages import Message, t
from noria.metadata.check import check_plan, lookups_in
from noria.metadata.documents import Item, items_from
from noria.metadata.errors import InvalidDocument, NoriaError
from noria.metadata.files import read_json, read_text
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan
from noria.metadata.project import Project, is_metadata, load_metadata, load_project
from noria.metadata.secrets import Redactor

T = TypeVar("T")
INCOMPLETE = 3


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command(help=t("help.run"))(run)
    app.command("preview", help=t("help.preview"))(preview_command)
    app.command("fields", help=t("help.fields"))(fields_command)
    app.command(help=t("help.replay"))(replay)


def run(
    plans: PlansArgument,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """One run of each plan: plans that others look into go first. A server runs them by itself."""
    there = server_of(server, token)
    if there is not None:
        with there:
            for key in [there.key(reference) for reference in plans]:
                there.run(key)
                if as_json:
                    print_json({"plan": key, "wanted": True})
                else:
                    console().print(t("done.run", plan=key), style="green", markup=False)
        return
    loaded = load_project(project)
    chosen = in_order([loaded.plan(reference) for reference in plans])
    redactor = Redactor()
    with LiveProgress(redactor, quiet=as_json) as progress:

        async def work(stop: asyncio.Event) -> list[Finished]:
            finished = []
            async with Workspace(loaded, observer=progress, redactor=redactor) as workspace:
                for plan in chosen:
                    finished.append(await run_plan(workspace, plan, stop))
                    if stop.is_set():
                        break
            return finished

        finished, signalled = interruptible(work)
    for one in finished:
        if as_json:
            print_json(cleaned(one.to_json(), redactor))
        else:
            summary(one, redactor)
    if signalled:
        raise typer.Exit(128 + signalled)
    if any(one.status == "failed" for one in finished):
        raise typer.Exit(1)
    if any(one.counts.troubled() for one in finished):
        raise typer.Exit(INCOMPLETE)


def in_order(plans: list[Plan]) -> list[Plan]:
    """Plans in the order given, except that one which another looks into, or takes rows from, goes before it."""
    ordered: list[Plan] = []
    begun: list[Plan] = []

    def needs(plan: Plan, other: Plan) -> bool:
        handed_to = (other.target.metadata.callBackStrategy or {}).get("strategyId")
        looks = any(other.answers_to(lookup.plan) for lookup, _ in lookups_in(plan))
        return looks or (isinstance(handed_to, str) and plan.answers_to(handed_to))

    def add(plan: Plan) -> None:
        if plan in begun:
            return
        begun.append(plan)
        for other in plans:
            if other is not plan and needs(plan, other):
                add(other)
        ordered.append(plan)

    for plan in plans:
        add(plan)
    return ordered


def interruptible(work: Callable[[asyncio.Event], Awaitable[T]]) -> tuple[T, int]:
    """Run `work`; the first SIGINT or SIGTERM asks it to stop, a second ends the process at once.

    Gives its result and the signal, 0 when there was none.
    """
    received: list[int] = []

    async def main() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def signalled(number: int) -> None:
            if received:
                os._exit(128 + number)
            received.append(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            if sys.platform == "win32":
                signal.signal(number, lambda n, _: loop.call_soon_threadsafe(signalled, n))
            else:
                loop.add_signal_handler(number, signalled, number)
        return await work(stop)

    with rare_collections():
        return asyncio.run(main()), (received[0] if received else 0)


def cleaned(value: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """A result whose texts hold no secret."""
    return {key: redactor.clean(one) if isinstance(one, str) else one for key, one in value.items()}


def summary(finished: Finished, redactor: Redactor) -> None:
    """How a run ended, for people."""
    out = console()
    good = {"done": "green", "incomplete": "yellow", "failed": "red", "stopped": "yellow"}[finished.status]
    out.print(f"[bold]{finished.plan}[/]  [{good}]{t('status.' + finished.status)}[/]")
    counts = finished.counts.as_dict()
    shown = table(*(t("count." + name) for name, number in counts.items() if number or name in _ALWAYS), numbers=99)
    shown.add_row(*(f"{number:,}" for name, number in counts.items() if number or name in _ALWAYS))
    out.print(shown)
    if finished.error:
        out.print(redactor.clean(str(finished.error)), style="red", markup=False)


_ALWAYS = ("staged", "unchanged", "delivered")


def fields_command(
    plan: PlanArgument,
    input_file: Annotated[Path | None, typer.Option("--input", help=t("help.input"))] = None,
    project: ProjectOption = HERE,
) -> None:
    """The `response` items that a plan's first record shows; JSON, to be pasted into the source's metadata."""
    loaded, chosen = _to_preview(plan, project)
    records = input_records(input_file) if input_file is not None else _first_record(loaded, chosen)
    row = decoded(records[0]) if records else {}
    if isinstance(row, Message):
        raise NoriaError("input", row, plan=plan, hint=Message("preview.input_hint"))
    print_json([_without_defaults(item) for item in items_from(row)])


def _without_defaults(item: Item) -> dict[str, Any]:
    built: dict[str, Any] = {"field": item.field, "label": item.label, "type": item.type, "describe": item.describe}
    if item.parent:
        built["parent"] = item.parent
    if item.children:
        built["children"] = [_without_defaults(child) for child in item.children]
    return built


def _first_record(project: Project | None, plan: Plan) -> list[bytes]:
    """A record of the ledger, or where there is none of the source."""
    if project is None or not plan.source.connection:
        raise NoriaError(
            "usage", Message("preview.needs_input"), plan=plan.key, hint=Message("preview.needs_input_hint")
        )
    if _ledger_exists(project):
        with ledger_of(project) as ledger:
            plan_id = ledger.runs.known_plan(plan.key)
            first = next(ledger.records.select(plan_id, limit=1), None) if plan_id is not None else None
            if plan_id is not None and first is not None:
                return [bytes(ledger.records.with_bodies(plan_id, first)["raw"])]
    return _from_source(project, plan, 1, Redactor())[0][:1]


def preview_command(
    plan: PlanArgument,
    input_file: Annotated[Path | None, typer.Option("--input", help=t("help.input"))] = None,
    pages: Annotated[int, typer.Option("--pages", min=1, help=t("help.pages"))] = 1,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Records → payloads; writes nothing."""
    loaded, chosen = _to_preview(plan, project)
    errors = [p for p in check_plan(chosen, loaded.plans()[0] if loaded else []) if p.severity == "error"]
    errors = [p for p in errors if p.message.key not in NO_MATTER]
    if errors:
        raise InvalidDocument(errors)
    redactor = Redactor()
    if input_file is not None:
        records, moment = input_records(input_file), default_moment(time.time())
    elif loaded is None or not chosen.source.connection:
        message = Message("preview.needs_input")
        raise NoriaError("input", message, plan=plan, hint=Message("preview.needs_input_hint"))
    else:
        records, moment = _from_source(loaded, chosen, pages, redactor)
    ledger = None
    if loaded is not None and any(lookups_in(chosen)) and _ledger_exists(loaded):
        ledger = ledger_of(loaded)
    try:
        asked = asked_by(chosen, loaded.plans()[0], ledger) if loaded else {}
        results = preview(chosen, records, moment, ledger, asked)
    finally:
        if ledger is not None:
            ledger.close()
    if as_json:
        print_json(results)
        return
    _show_preview(results)


def _to_preview(reference: str, folder: Path) -> tuple[Project | None, Plan]:
    path = Path(reference)
    if path.is_file() and is_metadata(read_json(path, path.stem)):
        return None, load_metadata(path)[0]
    project = load_project(folder)
    return project, project.plan(reference)


def _ledger_exists(project: Project) -> bool:
    _, _, file = project.ledger.url.partition(":///")
    return not project.ledger.url.startswith("sqlite") or (project.folder / file).is_file()


def _from_source(project: Project, plan: Plan, pages: int, redactor: Redactor) -> tuple[list[bytes], Moment]:
    async def read() -> tuple[list[bytes], Moment]:
        async with Workspace(project, redactor=redactor) as workspace:
            moment = moment_of(workspace, plan)
            return await source_records(workspace, plan, moment, pages), moment

    return asyncio.run(read())


def input_records(path: Path) -> list[bytes]:
    """A file's records: a JSON array, or one JSON value a line; raises `NoriaError` that names the line."""
    text = read_text(path).strip()
    if text.startswith("["):
        read_json(path)
        return [bytes(raw) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
    try:
        return (
            [bytes(msgspec.json.decode(text, type=msgspec.Raw))]
            if text.startswith("{") and "\n" not in text
            else _lines(path, text)
        )
    except msgspec.DecodeError:
        return _lines(path, text)


def _lines(path: Path, text: str) -> list[bytes]:
    records = []
    try:
        whole = msgspec.json.decode(text)
        if isinstance(whole, dict):
            return [text.encode()]
    except msgspec.DecodeError:
        pass
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            values = {"path": path.name, "line": number, "column": 1, "reason": str(error)}
            message = Message("file.bad_json", values)
            raise NoriaError(
                "bad_json", message, path=f"{path.name}:{number}", hint=Message("preview.input_hint")
            ) from None
        records.append(line.encode())
    return records


# Columns from which the record and its payload stand beside each other.
_SIDE_BY_SIDE = 90


def _pretty(raw: bytes) -> str:
    """A record's JSON over several lines, with its own digits."""
    try:
        return msgspec.json.format(raw, indent=2).decode("utf-8", "replace")
    except (msgspec.DecodeError, RecursionError):
        return raw.decode("utf-8", "replace")


def _mapped_fields(result: dict[str, Any]) -> RenderableType:
    """Each field of a payload with its value and the expression behind it; the payload alone where the plan has no
    items."""
    if result["payload"] is None:
        return Text("")
    if not result["fields"]:
        return Text(_pretty(encode(result["payload"])))
    shown = table(t("column.field"), t("column.value"), t("column.expression"))
    for one in result["fields"]:
        value = encode(one["value"]).decode() if "value" in one else ""
        expression = one["expression"]
        text = expression if isinstance(expression, str) else "" if expression is None else encode(expression).decode()
        shown.add_row(Text(one["path"]), Text(value, style="green"), Text(text, style="cyan"))
    return shown


def _show_preview(results: list[dict[str, Any]]) -> None:
    out = console()
    for one in results:
        out.print(f"[bold]{one['number'] or one['id'] or '-'}[/]  {state_text(one['state'])}", highlight=False)
        if one["reason"]:
            out.print(f"  {one['reason']}", markup=False)
        raw = Text(_pretty(bytes(one["raw"])), style="dim")
        mapped = _mapped_fields(one)
        if out.width >= _SIDE_BY_SIDE:
            both = Table(box=None, pad_edge=True, show_header=False, expand=True)
            both.add_column(ratio=2, overflow="fold")
            both.add_column(ratio=3, overflow="fold")
            both.add_row(raw, mapped)
            out.print(both)
        else:
            out.print(Padding(raw, (0, 0, 0, 2)))
            out.print(Padding(mapped, (0, 0, 0, 2)))
    out.print(t("preview.count", count=len(results)))


def replay(
    plan: PlanArgument,
    state: StateOption = None,
    record_id: IdOption = None,
    anew: Annotated[bool, typer.Option("--anew", help=t("help.anew"))] = False,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Failed, dead and held records go back to pending."""
    if state is not None and state not in REPLAYABLE:
        message = Message("replay.state", {"state": state})
        raise NoriaError("usage", message, hint=Message("valid.choices", {"choices": ", ".join(REPLAYABLE)}))
    there = server_of(server, token)
    if there is not None:
        with there:
            key = there.key(plan)
            count = there.replay(key, state=state, record_id=record_id, anew=anew)
    else:
        loaded = load_project(project)
        key = loaded.plan(plan).key
        with ledger_of(loaded) as ledger:
            plan_id = ledger.runs.known_plan(key)
            count = 0
            if plan_id is not None:
                count = ledger.records.replay(plan_id, time.time(), state=state, record_id=record_id, anew=anew)
    if as_json:
        print_json({"plan": key, "replayed": count})
    else:
        console().print(t("replay.done", count=count))
