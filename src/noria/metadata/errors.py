"""What can be wrong, told so that a person knows what to do next: plan, JSON path, value and what would be right."""

from __future__ import annotations

from typing import Literal

import msgspec

from noria.messages import Message

Severity = Literal["error", "warning", "hint"]


class Problem(msgspec.Struct, frozen=True):
    """One finding of a check. `path` is a JSON path such as `$.source.metadata.request[1].value`."""

    message: Message
    path: str = "$"
    hint: Message | None = None
    severity: Severity = "error"
    plan: str = ""

    def to_json(self) -> dict[str, str]:
        """The object that `noria check --json` prints."""
        return {
            "plan": self.plan,
            "path": self.path,
            "message": str(self.message),
            "hint": str(self.hint) if self.hint else "",
            "severity": self.severity,
        }


class NoriaError(Exception):
    """An error with what a person needs next; `code` is a stable word for programs."""

    def __init__(
        self, code: str, message: Message, *, plan: str = "", path: str = "", hint: Message | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.plan = plan
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        return str(self.message)

    def to_json(self) -> dict[str, str]:
        """The object under `error` that `--json` prints."""
        return {
            "code": self.code,
            "message": str(self.message),
            "plan": self.plan,
            "path": self.path,
            "hint": str(self.hint) if self.hint else "",
        }


class InvalidDocument(NoriaError):
    """A plan, a metadata document or a project file with errors: all of them, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__("invalid", first.message, plan=first.plan, path=first.path, hint=first.hint)
        self.problems = problems
