"""Commands that show the ledger: records, record, export."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer

from noria.cli.options import (
    HERE,
    IdOption,
    JsonOption,
    PlanArgument,
    ProjectOption,
    ServerOption,
    StateOption,
    TokenOption,
)
from noria.cli.output import console, print_json, state_text, table, timed
from noria.cli.remote import BODIES, bodies_kept, readable, server_of
from noria.ledger import Ledger, ledger_of
from noria.ledger.overview import overview
from noria.ledger.records import STATES
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.metadata.sheets import cell


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command(help=t("help.records"))(records)
    app.command(help=t("help.record"))(record)
    app.command(help=t("help.export"))(export)
    app.command(help=t("help.status"))(status)


@contextmanager
def _opened(project: Any, reference: str) -> Iterator[tuple[Ledger, int | None, str]]:
    loaded = load_project(project)
    plan = loaded.plan(reference)
    with ledger_of(loaded) as ledger:
        yield ledger, ledger.runs.known_plan(plan.key), plan.key


def _checked(state: str | None) -> None:
    if state is not None and state not in STATES:
        message = Message("replay.state", {"state": state})
        raise NoriaError("usage", message, hint=Message("valid.choices", {"choices": ", ".join(STATES)}))


def records(
    plan: PlanArgument,
    state: StateOption = None,
    record_id: IdOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help=t("help.limit"))] = None,
    full: Annotated[bool, typer.Option("--full", help=t("help.full"))] = False,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """The ledger's records."""
    _checked(state)
    shown_limit = limit if limit is not None or as_json else 50
    there = server_of(server, token)
    if there is not None:
        with there:
            key = there.key(plan)
            rows = there.records(key, state=state, record_id=record_id, limit=shown_limit, full=full and as_json)
            if as_json:
                for row in rows:
                    print_json(row)
            else:
                _show_records(map(_decoded, rows))
                _show_counts(there.counts(key))
        return
    with _opened(project, plan) as (ledger, plan_id, _):
        found: Iterator[dict[str, Any]] = iter(())
        if plan_id is not None:
            found = ledger.records.select(plan_id, state=state, record_id=record_id, limit=shown_limit)
        if as_json:
            for one in found:
                print_json(ledger.records.with_bodies(plan_id, one) if full and plan_id is not None else one)
            return
        _show_records(found)
        if plan_id is not None:
            _show_counts(ledger.records.counts(plan_id))


def _show_records(found: Iterable[Mapping[str, Any]]) -> None:
    shown = table(t("column.id"), t("column.number"), t("column.state"), t("column.attempts"), t("column.reason"))
    for one in found:
        cells = (one["id"] or "-", one["number"] or "-", state_text(one["state"]), str(one["attempts"]))
        shown.add_row(*cells, one["reason"] or "")
    console().print(shown)


def _show_counts(counts: Mapping[str, int]) -> None:
    parts = [f"{t('state.' + name)} {number:,}" for name, number in counts.items() if number]
    console().print(" · ".join(parts) or t("records.none"), style="dim")


def _decoded(row: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """A record as it came from a server, apart from its bodies."""
    return bodies_kept({name: one if name in BODIES else msgspec.json.decode(one) for name, one in row.items()})


def record(
    plan: PlanArgument,
    record_id: Annotated[str, typer.Argument(metavar="ID", help=t("help.record_id"))],
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """One record's whole story."""
    there = server_of(server, token)
    if there is not None:
        with there:
            key = there.key(plan)
            told = there.story(key, record_id)
        if told is None:
            raise _unknown(record_id, key)
        if as_json:
            print_json(told)
        else:
            show_story(readable(told))
        return
    with _opened(project, plan) as (ledger, plan_id, key):
        story = ledger.records.story(plan_id, record_id) if plan_id is not None else None
        if story is None:
            raise _unknown(record_id, key)
        if as_json:
            print_json(story)
        else:
            show_story(story)


def _unknown(record_id: str, key: str) -> NoriaError:
    message = Message("record.unknown", {"id": record_id, "plan": key})
    return NoriaError("unknown_record", message, plan=key, hint=Message("record.unknown_hint", {"plan": key}))


def show_story(story: Mapping[str, Any], longest: int = 4000) -> None:
    """A record's story for people: raw, payload, states, tries. Texts are cut at `longest` characters."""
    out = console()
    out.print(f"[bold]{story['number'] or story['id']}[/]  {state_text(story['state'])}")
    if story["reason"]:
        out.print(f"  {story['reason']}", markup=False)
    out.print(t("story.raw"), style="bold")
    out.print(f"  {_compact(story['raw'], longest)}", markup=False)
    out.print(t("story.payload"), style="bold")
    out.print(f"  {_compact(story['payload'], longest)}", markup=False)
    out.print(t("story.history"), style="bold")
    for entry in story["history"]:
        word = state_text(entry["state"]) if entry["state"] in STATES else t("state." + entry["state"])
        out.print(f"  {entry['time']}  {word}  ", end="")
        out.print(entry["reason"] or "", markup=False)
    if story["tries"]:
        out.print(t("story.tries"), style="bold")
    for one in story["tries"]:
        out.print(
            f"  {one['started_at']}  {t('outcome.' + one['outcome'])}  {one['status'] or ''}  {one['request']}"
            f"  {one['seconds'] * 1000:.0f} ms",
            markup=False,
        )
        if one["answer"] or one["reason"]:
            out.print(f"    {(one['reason'] or one['answer'])[: min(longest, 300)]}", markup=False, style="dim")


def _compact(raw: Any, longest: int) -> str:
    text = "-" if raw is None else bytes(raw).decode("utf-8", "replace")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def export(
    plan: PlanArgument,
    fmt: Annotated[str, typer.Option("--format", help=t("help.format"))] = "jsonl",
    state: StateOption = None,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Records with payloads, on stdout."""
    _checked(state)
    if fmt not in ("jsonl", "csv"):
        message = Message("export.format", {"format": fmt})
        raise NoriaError("usage", message, hint=Message("valid.choices", {"choices": "jsonl, csv"}))
    there = server_of(server, token)
    if there is not None:
        with there:
            rows = there.records(there.key(plan), state=state, full=True)
            _export(rows if fmt == "jsonl" else map(_decoded, rows), fmt)
        return
    with _opened(project, plan) as (ledger, plan_id, _):
        if plan_id is not None:
            select = ledger.records.select(plan_id, state=state)
            _export((ledger.records.with_bodies(plan_id, one) for one in select), fmt)


def _export(found: Iterable[Mapping[str, Any]], fmt: str) -> None:
    if fmt == "jsonl":
        for one in found:
            print_json(one)
    else:
        columns = [
            "id",
            "number",
            "state",
            "reason",
            "attempts",
            "staged_at",
            "delivered_at",
            "hash",
            "raw",
            "payload",
        ]
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        for one in found:
            bodies = {name: bytes(one[name]).decode() for name in BODIES if one[name] is not None}
            writer.writerow(cell({**one, **bodies}[column]) for column in columns)


def status(
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """How everything stands."""
    there = server_of(server, token)
    if there is not None:
        with there:
            found = there.overview()
    else:
        with ledger_of(load_project(project)) as ledger:
            found = overview(ledger.store, ledger.agenda, time.time())
    if as_json:
        print_json(
            {
                "plans": [timed(asdict(one), "watermark", "last_ended") for one in found.plans],
                "workers": [timed(asdict(one), "started_at", "seen_at") for one in found.workers],
                "lost": found.lost,
                "queue": found.queue,
            }
        )
        return
    names = ("plan", "last", "lag", "queued", "trouble", "running", "wanted")
    shown = table(*(t(f"status.{name}") for name in names), numbers=99)
    for one in found.plans:
        trouble = ", ".join(f"{state_text(state)} {count}" for state, count in sorted(one.counts.items()))
        lag = "" if one.lag is None else str(timedelta(seconds=round(one.lag)))
        shown.add_row(
            one.key, one.last_status or "", lag, f"{one.queued:,}", trouble, one.running or "", ", ".join(one.wanted)
        )
    console().print(shown)
    console().print(
        t("status.workers", count=len(found.workers), lost=len(found.lost), queue=found.queue), markup=False
    )
