"""What happens, as lines of JSON for machines: with the plan, the run, and the records that it is about."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TextIO

import msgspec

from noria.messages import Message
from noria.metadata.times import iso
from noria.monitoring.progress import Counts

# The run under way in this task.
RUN: ContextVar[int | None] = ContextVar("run", default=None)
# As many ids as a line names.
_NAMED = 20


class JsonLog:
    """Writes a line for everything that is said. `clean` takes secrets out of a text; `now` gives epoch seconds."""

    def __init__(self, clean: Callable[[str], str], now: Callable[[], float], out: TextIO | None = None) -> None:
        self.clean = clean
        self.now = now
        self.out = out or sys.stderr

    def moved(self, plan: str, counts: Counts, total: int | None) -> None:
        """Figures are in the metrics."""

    def said(self, plan: str, message: Message) -> None:
        """Something a person should know at once."""
        self._line(plan, message.key, str(message))

    def noted(self, plan: str, state: str, ids: Sequence[str], reason: Message) -> None:
        """Records that came into a state that a person should know of."""
        self._line(plan, f"record.{state}", str(reason), records=list(ids[:_NAMED]), count=len(ids))

    def _line(self, plan: str, event: str, text: str, **more: Any) -> None:
        line = {"time": iso(self.now()), "plan": plan or None, "run_id": RUN.get(), "event": event, **more}
        line["text"] = self.clean(text)
        print(msgspec.json.encode(line).decode(), file=self.out, flush=True)
