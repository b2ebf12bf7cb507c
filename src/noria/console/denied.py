"""A request that is not answered as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from noria.messages import Message
from noria.metadata.errors import NoriaError, Problem


class Denied(NoriaError):
    """The HTTP status, and a catalogue key (with its values) that says why."""

    def __init__(
        self,
        status: int,
        key: str,
        values: Mapping[str, Any] | None = None,
        *,
        path: str = "",
        hint: Message | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(key.partition(".")[2], Message(key, values or {}), path=path, hint=hint)
        self.status = status
        self.problems = problems

    def to_json(self) -> dict[str, Any]:
        """The object under `error`; with `problems`, each of what is wrong where there are several."""
        found: dict[str, Any] = super().to_json()
        if self.problems:
            found["problems"] = [one.to_json() for one in self.problems]
        return found
