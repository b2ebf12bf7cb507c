"""A channel that is tried because somebody wants to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from noria.engine import Workspace
from noria.ledger import Ledger
from noria.messages import Message, language
from noria.metadata.check.findings import nearest_hint
from noria.metadata.errors import NoriaError
from noria.monitoring.telling import trial
from noria.scheduler.alerting import GAP, PAUSES

Ask = Callable[[Callable[[Ledger], Any]], Awaitable[Any]]


async def try_channel(workspace: Workspace, name: str, ask: Ask) -> Message | None:
    """Send a message over a channel of that name; None when it was taken, else why it was not. How it went is kept.

    `ask`: asks the ledger. Raises `NoriaError`: `unknown_channel` where there is none, `soon` where a message was sent
    over it a moment ago.
    """
    project, clock = workspace.project, workspace.clock
    channel = project.alerts.channels.get(name)
    if channel is None:
        hint = nearest_hint(name, project.alerts.channels)
        raise NoriaError("unknown_channel", Message("channel.unknown", {"name": name}), path="$.alerts", hint=hint)
    now = clock.now()
    if not await ask(lambda ledger: ledger.alerts.reserve(name, now, GAP)):
        raise NoriaError("soon", Message("channel.soon", {"name": name, "seconds": round(GAP)}))
    # Imported here: Apprise takes its time to load.
    from noria.monitoring.channels import send

    made = trial(name, channel.language or language())
    error = await send(name, channel, made, project.folder, workspace.redactor, clock.now)
    now = clock.now()
    pause = GAP if error is None else PAUSES[0]
    await ask(lambda ledger: ledger.alerts.went(name, (), now, error, now + pause))
    return error
