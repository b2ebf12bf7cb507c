"""Commands that look at runs, failures and changes, and switch plans on and off; here or on a server."""

from __future__ import annotations

import asyncio
import getpass
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from noria.cli.options import (
    HERE,
    JsonOption,
    LimitOption,
    PlanArgument,
    ProjectOption,
    ServerOption,
    TokenOption,
)
from noria.cli.output import console, print_json, state_text, table
from noria.cli.remote import CauseRow, RunRow, server_of
from noria.engine import Workspace
from noria.ledger import Ledger, ledger_of
from noria.ledger.browsing import TROUBLE, Cause, RunStands
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import Project, load_project
from noria.metadata.times import iso

OnePlan = Annotated[str | None, typer.Argument(metavar="[PLAN]", help=t("help.plans_all"), show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("runs", help=t("help.runs"))(runs_command)
    app.command(help=t("help.failures"))(failures)
    app.command(help=t("help.audit"))(audit)
    app.command(help=t("help.pause"))(pause)
    app.command(help=t("help.resume"))(resume)


def runs_command(
    plan: OnePlan = None,
    limit: LimitOption = 20,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest runs."""
    there = server_of(server, token)
    found: list[RunRow] | list[RunStands]
    if there is not None:
        with there:
            found = there.runs(there.key(plan) if plan is not None else None, limit)
    else:
        loaded = load_project(project)
        with ledger_of(loaded) as ledger:
            number, known = _number(loaded, ledger, plan)
            found = ledger.browsing.runs(number, limit=limit) if known else []
    if as_json:
        for one in found:
            print_json(_run(one))
        return
    names = ("run", "plan", "kind", "status", "began", "took", "staged")
    heads = (*(t(f"console.{name}") for name in names), t("state.delivered"), t("console.troubled"))
    shown = table(*heads, numbers=4)
    for one in found:
        took = "" if one.finished_at is None else f"{one.finished_at - one.started_at:.1f} s"
        counts = one.counts
        troubled = sum(counts.get(state, 0) for state in TROUBLE)
        figures = (counts.get("staged", 0), counts.get("delivered", 0), troubled)
        shown.add_row(
            str(one.run_id),
            one.plan,
            t(f"run.kind_{one.kind}"),
            t(f"run.status_{one.status}"),
            (iso(one.started_at) or "")[:19],
            took,
            *(f"{figure:,}" for figure in figures),
        )
    console().print(shown)


def _run(one: RunRow | RunStands) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "plan": one.plan,
        "kind": one.kind,
        "status": one.status,
        "started_at": iso(one.started_at),
        "finished_at": iso(one.finished_at),
        "counts": one.counts,
        "error": _text(one.error),
    }


def failures(
    plan: OnePlan = None,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Records in trouble, by cause."""
    there = server_of(server, token)
    found: list[CauseRow] | list[Cause]
    if there is not None:
        with there:
            found = there.causes(there.key(plan) if plan is not None else None)
    else:
        loaded = load_project(project)
        with ledger_of(loaded) as ledger:
            number, known = _number(loaded, ledger, plan)
            found = ledger.browsing.causes(plan_id=number) if known else []
    if as_json:
        for one in found:
            row = {"plan": one.plan, "state": one.state, "cause": one.cause, "count": one.count}
            times = {"first": iso(one.first), "last": iso(one.last)}
            print_json({**row, **times, "reason": _text(one.reason), "example": one.example})
        return
    if not found:
        console().print(t("console.no_failures"), style="green", markup=False)
        return
    shown = table(*(t(f"console.{name}") for name in ("count", "state", "plan", "cause", "last_seen")))
    for one in found:
        cells = (f"{one.count:,}", state_text(one.state), one.plan, _text(one.reason) or t("console.no_reason"))
        shown.add_row(*cells, (iso(one.last) or "")[:19])
    console().print(shown)


def audit(
    limit: LimitOption = 50,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who changed what."""
    there = server_of(server, token)
    if there is not None:
        with there:
            found = there.changes(limit)
    else:
        with ledger_of(load_project(project)) as ledger:
            found = ledger.audit.page(limit=limit)
    if as_json:
        for one in found:
            print_json({**asdict(one), "at": iso(one.at)})
        return
    shown = table(*(t(f"console.{name}") for name in ("when", "user", "plan", "change")))
    for one in found:
        detail = {"count": 0, "connection": None, "reason": None, "name": None, **one.detail}
        said = t(f"done.{one.what}", **{**detail, "plan": one.plan})
        shown.add_row((iso(one.at) or "")[:19], one.who, one.plan or "", said)
    console().print(shown)


def pause(
    plan: PlanArgument,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """From now on the plan is not run on its schedule."""
    _switch(plan, project, server, token, as_json, enabled=False)


def resume(
    plan: PlanArgument,
    project: ProjectOption = HERE,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """The plan is run on its schedule again."""
    _switch(plan, project, server, token, as_json, enabled=True)


def _switch(plan: str, project: Any, server: str | None, token: str | None, as_json: bool, *, enabled: bool) -> None:
    there = server_of(server, token)
    if there is not None:
        with there:
            key = there.key(plan)
            there.enable(key, enabled)
    else:
        loaded = load_project(project)
        key = loaded.plan(plan).key
        asyncio.run(_switch_here(loaded, key, enabled))
    if as_json:
        print_json({"plan": key, "enabled": enabled})
    else:
        console().print(t("done.resume" if enabled else "done.pause", plan=key), style="green", markup=False)


async def _switch_here(loaded: Project, key: str, enabled: bool) -> None:
    """As the console does it: a version of the file is kept, and it is put on record."""
    # Imported here: the console takes its time.
    from noria.console.desk import Desk
    from noria.console.planfiles import Conflict, PlanFiles

    who, now, what = getpass.getuser(), time.time(), "resume" if enabled else "pause"
    desk = Desk(loaded)
    try:
        async with Workspace(loaded) as workspace:
            try:
                await PlanFiles(workspace, desk).switch(key, enabled, who=who, at=now)
            except Conflict:
                raise NoriaError("conflict", Message("editor.conflict_now"), plan=key) from None
            await desk.ask(lambda ledger: ledger.audit.note(now, who, what, key, {}))
    finally:
        desk.close()


def _number(loaded: Project, ledger: Ledger, plan: str | None) -> tuple[int | None, bool]:
    """A plan's number in the ledger, and whether there is anything of it; of all plans where none is named."""
    if plan is None:
        return None, True
    number = ledger.runs.known_plan(loaded.plan(plan).key)
    return number, number is not None


def _text(said: Any) -> str | None:
    """A message's words, put into words here or where it was answered."""
    return None if said is None else said.text if isinstance(getattr(said, "text", None), str) else str(said)
