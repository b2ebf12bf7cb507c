"""Reasons as they are stored: a catalogue key with its values, so that they can be read in either language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from noria.messages import Message


def stored(message: Message | None) -> str | None:
    """A message as the ledger keeps it."""
    if message is None:
        return None
    return msgspec.json.encode([message.key, _plain(message.values)]).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {"message": [value.key, _plain(value.values)]}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def read(text: str | None) -> Message | None:
    """A stored message."""
    if not text:
        return None
    key, values = msgspec.json.decode(text)
    return Message(key, {k: _message(v) for k, v in values.items()})


def _message(value: Any) -> Any:
    if isinstance(value, dict) and "message" in value:
        key, values = value["message"]
        return Message(key, {k: _message(v) for k, v in values.items()})
    return value


def words(text: str) -> Iterator[str]:
    """What a stored message tells of its record: its values, which are the same in every language."""
    waiting: list[Any] = [msgspec.json.decode(text)[1]]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, dict):
            waiting += [one["message"][1]] if "message" in one else one.values()
        elif one is not None:
            yield str(one)
