"""Commands that look after what was moved: sweep, reconcile, prune."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from noria.cli.options import HERE, JsonOption, PlanArgument, ProjectOption
from noria.cli.output import LiveProgress, console, print_json, table
from noria.cli.runs import INCOMPLETE, cleaned, interruptible, summary
from noria.engine import Finished, Workspace, reconcile_plan, run_plan
from noria.engine.differences import Differences, Reconciliation
from noria.engine.retention import prune_project
from noria.engine.sweep import Sweep, sweep_of
from noria.ledger import ledger_of, open_ledger
from noria.ledger.moving import move
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import load_project
from noria.metadata.secrets import Redactor, resolve
from noria.metadata.times import iso, start_of

FromOption = Annotated[str | None, typer.Option("--from", help=t("help.from"))]
ToOption = Annotated[str | None, typer.Option("--to", help=t("help.to"))]
AllOption = Annotated[bool, typer.Option("--all", help=t("help.all"))]
# Ids that people are shown of each kind; machines get them all, as far as they are named.
_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("sweep", help=t("help.sweep"))(sweep_command)
    app.command("reconcile", help=t("help.reconcile"))(reconcile_command)
    app.command("prune", help=t("help.prune"))(prune_command)
    app.command("migrate-ledger", help=t("help.migrate_ledger"))(migrate_command)


def sweep_command(
    plan: PlanArgument,
    begin: FromOption = None,
    end: ToOption = None,
    whole: AllOption = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Read a past window again; stage what is missing or changed, and deliver it."""
    loaded = load_project(project)
    chosen = loaded.plan(plan)
    redactor = Redactor()
    with LiveProgress(redactor, quiet=as_json) as progress:

        async def work(stop: asyncio.Event) -> Finished:
            async with Workspace(loaded, observer=progress, redactor=redactor) as workspace:
                window = _window(chosen, workspace.connection(chosen, "source").zone, begin, end, whole)
                delivers = chosen.target_schedule is None
                return await run_plan(workspace, chosen, stop, delivers=delivers, swept=window)

        finished, signalled = interruptible(work)
    if as_json:
        print_json(cleaned(finished.to_json(), redactor))
    else:
        summary(finished, redactor)
        _show_swept(finished.sweep)
    if signalled:
        raise typer.Exit(128 + signalled)
    if finished.status == "failed":
        raise typer.Exit(1)


def reconcile_command(
    plan: PlanArgument,
    begin: FromOption = None,
    end: ToOption = None,
    fixes: Annotated[bool, typer.Option("--fix", help=t("help.fix"))] = False,
    asks_target: Annotated[bool, typer.Option("--target/--no-target", help=t("help.asks_target"))] = True,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Compare source, ledger and target."""
    loaded = load_project(project)
    chosen = loaded.plan(plan)
    redactor = Redactor()
    with LiveProgress(redactor, quiet=as_json) as progress:

        async def work(stop: asyncio.Event) -> tuple[Finished, Reconciliation]:
            async with Workspace(loaded, observer=progress, redactor=redactor) as workspace:
                whole = begin is None and end is None
                window = _window(chosen, workspace.connection(chosen, "source").zone, begin, end, whole)
                return await reconcile_plan(
                    workspace, chosen, stop, wanted=window, fixes=fixes, asks_target=asks_target
                )

        (finished, found), signalled = interruptible(work)
    if finished.error is not None:
        raise NoriaError("failed", finished.error, plan=chosen.key)
    if signalled:
        raise typer.Exit(128 + signalled)
    if as_json:
        print_json(found.to_json())
    else:
        _show_reconciliation(found)
    if not found.equal():
        raise typer.Exit(INCOMPLETE)


def prune_command(
    only_counts: Annotated[bool, typer.Option("--dry-run", help=t("help.dry_run"))] = False,
    compacts: Annotated[bool, typer.Option("--compact", help=t("help.compact"))] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Let go of bodies, payloads, tries and runs that are older than the project keeps them."""
    loaded = load_project(project)
    with ledger_of(loaded) as ledger:
        pruned = prune_project(loaded, ledger, time.time(), only_counts=only_counts)
        if compacts and not only_counts:
            ledger.pruning.compact()
    figures = pruned.as_dict()
    if as_json:
        print_json({"dry_run": only_counts, **figures})
        return
    shown = table(*(t(f"prune.{name}") for name in figures), numbers=99)
    shown.add_row(*(f"{number:,}" for number in figures.values()))
    console().print(shown)


def migrate_command(
    source: Annotated[str, typer.Argument(metavar="FROM", help=t("help.migrate_from"))],
    target: Annotated[str, typer.Argument(metavar="TO", help=t("help.migrate_to"))],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Move a ledger to another database, proved by counts and digests."""
    here_url, there_url = resolve(source, project), resolve(target, project)
    with open_ledger(here_url, project) as here, open_ledger(there_url, project) as there:
        moved = move(here.store, there.store, time.time())
    if as_json:
        print_json({"tables": [asdict(one) for one in moved]})
        return
    shown = table(*(t(f"move.{name}") for name in ("table", "rows", "digest")), numbers=1)
    for one in moved:
        shown.add_row(one.table, f"{one.rows:,}", one.digest)
    console().print(shown)
    console().print(t("move.done"), style="green", markup=False)


def _window(plan: Plan, tz: ZoneInfo, begin: str | None, end: str | None, whole: bool) -> Sweep:
    first, last = _time(begin, tz), _time(end, tz)
    now = time.time()
    if first is not None and first >= (now if last is None else last):
        raise NoriaError("usage", Message("sweep.backwards"), hint=Message("check.time_hint"))
    if first is not None and whole:
        raise NoriaError("usage", Message("sweep.both"))
    return sweep_of(plan, now, begin=first, end=last, whole=whole)


def _time(text: str | None, tz: ZoneInfo) -> float | None:
    if text is None:
        return None
    try:
        return start_of(text, tz)
    except ValueError:
        raise NoriaError("usage", Message("check.time", {"value": text}), hint=Message("check.time_hint")) from None


def _show_swept(swept: Sweep | None) -> None:
    if swept is None:
        return
    out = console()
    begin = iso(swept.begin) or t("sweep.everything")
    out.print(t("sweep.window", begin=begin, end=iso(swept.end)), style="dim", markup=False)
    for kind, ids, count in (
        ("missing", swept.missing, swept.missing_count),
        ("changed", swept.changed, swept.changed_count),
    ):
        out.print(_named(t(f"sweep.{kind}", count=count), ids, count), markup=False)


def _named(title: str, ids: list[str], count: int) -> str:
    shown = ", ".join(ids[:_SHOWN])
    return f"{title}{': ' + shown if shown else ''}{' …' if count > _SHOWN else ''}"


def _show_reconciliation(found: Reconciliation) -> None:
    out = console()
    counts = table(*(t(f"reconcile.{side}") for side in ("source", "ledger", "target")), numbers=99)
    counts.add_row(*("?" if n is None else f"{n:,}" for n in (found.source, found.ledger, found.target)))
    out.print(counts)
    if found.moving:
        out.print(t("reconcile.moving"), style="yellow", markup=False)
    if found.uncompared:
        out.print(t("reconcile.uncompared", count=found.uncompared), style="yellow", markup=False)
    sides: list[tuple[str, Differences | None]] = [("ledger", found.in_ledger), ("target", found.in_target)]
    for side, differences in sides:
        if differences is None:
            continue
        for kind, count in differences.counts.items():
            if count:
                ids: list[Any] = getattr(differences, kind)
                title = t(f"reconcile.{side}_{kind}", count=count)
                out.print(_named(title, ids, count), style="yellow", markup=False)
    if found.equal():
        out.print(t("reconcile.equal"), style="green", markup=False)
