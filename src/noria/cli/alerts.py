"""`noria alerts`: what is on; and a channel that is tried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from noria.cli.options import HERE, JsonOption, ProjectOption
from noria.cli.output import console, print_json, table, timed
from noria.engine import Workspace
from noria.ledger import Ledger, ledger_of
from noria.ledger.alerts import Alert, ChannelStands
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.monitoring.telling import lasted, worded
from noria.scheduler.trial import try_channel

ChannelArgument = Annotated[str, typer.Argument(help=t("help.channel"), show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help=t("help.alerts"), invoke_without_command=True)
    group.callback()(alerts)
    group.command("test", help=t("help.alerts_test"))(test_command)
    app.add_typer(group, name="alerts")


def alerts(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """What is on, and which channels fail."""
    if context.invoked_subcommand is not None:
        return
    loaded, now = load_project(project), time.time()
    with ledger_of(loaded) as ledger:
        on, channels = ledger.alerts.on(), ledger.alerts.channels()
    failing = [one for name, one in channels.items() if one.error is not None and name in loaded.alerts.channels]
    if as_json:
        print_json({"on": [_as_json(one) for one in on], "failing": [_failing(one) for one in failing]})
        return
    out = console()
    if on:
        shown = table(*(t(f"console.{name}") for name in ("severity", "about", "what", "lasted", "acknowledge")))
        for one in on:
            seen = t("console.acknowledged_by", who=one.acknowledged_by) if one.acknowledged_by else ""
            what = str(worded(one.what)) if one.what is not None else ""
            severity = t(f"console.severity_{one.severity}")
            shown.add_row(severity, one.subject, what, str(lasted(max(0.0, now - one.began_at))), seen)
        out.print(shown)
    else:
        out.print(t("console.all_well"), style="green", markup=False)
    for channel in failing:
        out.print(f"{t('console.channel_fails', name=channel.name)} {channel.error}", style="yellow", markup=False)


def test_command(channel: ChannelArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Send a message over a channel. Raises `NoriaError` where it was not taken."""
    loaded = load_project(project)

    async def work() -> Message | None:
        async with Workspace(loaded) as workspace:

            async def ask(question: Callable[[Ledger], Any]) -> Any:
                return question(workspace.ledger)

            return await try_channel(workspace, channel, ask)

    error = asyncio.run(work())
    if error is not None:
        raise NoriaError("channel", error, path=f"$.alerts.channels.{channel}")
    if as_json:
        print_json({"sent": channel})
        return
    console().print(t("done.channel", connection=channel), style="green", markup=False)


def _as_json(one: Alert) -> dict[str, Any]:
    what = str(worded(one.what)) if one.what is not None else None
    return timed({**one._asdict(), "what": what}, "began_at", "ended_at", "acknowledged_at")


def _failing(one: ChannelStands) -> dict[str, Any]:
    return timed({**asdict(one), "error": str(one.error)}, "tried_at", "sent_at", "next_at", "failing_since")
