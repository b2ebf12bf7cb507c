"""How findings are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.validation import nearest


def nearest_hint(name: str, known: Iterable[str]) -> Message:
    """The name that was meant, or all there are."""
    choices = list(known)
    meant = nearest(name, choices)
    if meant:
        return Message("valid.did_you_mean", {"name": meant})
    return Message("valid.choices", {"choices": ", ".join(choices) or "-"})


def warning(text: str, path: str, hint: Message, **values: Any) -> Problem:
    """A finding that may be meant so."""
    return Problem(Message(text, values), path, hint, "warning")


def hint(text: str, path: str, hint_: Message, **values: Any) -> Problem:
    """A finding that changes nothing."""
    return Problem(Message(text, values), path, hint_, "hint")


def error(text: str, path: str, hint: str | None = None, **values: Any) -> Problem:
    """A finding that stops the plan."""
    return Problem(Message(text, values), path, Message(hint, values) if hint else None)
