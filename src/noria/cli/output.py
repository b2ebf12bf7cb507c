"""What commands print: tables and progress for people, JSON for machines; nothing else on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from noria.messages import Message, t
from noria.metadata.errors import Problem
from noria.metadata.numbers import written
from noria.metadata.secrets import Redactor
from noria.metadata.times import iso
from noria.monitoring.progress import Counts

_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=lambda value: str(value))

# Tables that go into a file or another program are not folded at a terminal's width.
_PIPED_WIDTH = 240

# The state's colour is never the only sign: its word stands beside it.
STATE_STYLES = {
    "pending": "bright_black",
    "sending": "blue",
    "delivered": "green",
    "failed": "yellow",
    "dead": "red",
    "invalid": "magenta",
    "held": "dark_orange",
    "skipped": "dim",
}


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr; colours only on a terminal."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=None if terminal else _PIPED_WIDTH)


def print_json(value: Any) -> None:
    """One JSON value on a line of stdout."""
    sys.stdout.buffer.write(_ENCODER.encode(value) + b"\n")
    sys.stdout.flush()


def timed(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row whose times of these names (epoch seconds) are ISO 8601."""
    return {**row, **{name: iso(row[name]) for name in names}}


def state_text(state: str) -> str:
    """A state's word in the reader's language, in its colour."""
    return f"[{STATE_STYLES.get(state, '')}]{t('state.' + state)}[/]"


def problem_lines(problems: list[Problem]) -> None:
    """Findings as people read them: what, where, and what would be right."""
    out = console()
    marks = {"error": "[red]✗[/]", "warning": "[yellow]![/]", "hint": "[blue]·[/]"}
    for problem in problems:
        out.print(f"{marks[problem.severity]} ", end="")
        out.print(f"{problem.plan}  {problem.path}", style="bold", markup=False)
        out.print(f"    {problem.message}", markup=False)
        if problem.hint:
            out.print(f"    → {problem.hint}", style="cyan", markup=False)


def table(*columns: str, numbers: int = 0) -> Table:
    """An open, light table; its last `numbers` columns hold figures, which stand at the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, column in enumerate(columns):
        figure = i >= len(columns) - numbers
        made.add_column(column, overflow="fold", justify="right" if figure else "left")
    return made


class LiveProgress:
    """Shows a run's figures while they grow: a bar on a terminal, a line now and then elsewhere. On stderr."""

    def __init__(self, redactor: Redactor, *, quiet: bool = False) -> None:
        self.redactor = redactor
        self.quiet = quiet
        self.out = console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told = time.monotonic()
        self._began = time.monotonic()

    def __enter__(self) -> LiveProgress:
        if self.out.is_terminal and not self.quiet:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                console=self.out,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def moved(self, plan: str, counts: Counts, total: int | None) -> None:
        """Figures have grown."""
        if self.quiet:
            return
        read = counts.staged + counts.unchanged + counts.duplicate
        seconds = max(time.monotonic() - self._began, 0.001)
        figures = t(
            "progress.figures",
            read=read,
            delivered=counts.delivered,
            rate=round((read + counts.delivered) / 2 / seconds),
        )
        if self._bars is not None:
            task = self._tasks.get(plan)
            if task is None:
                task = self._tasks[plan] = self._bars.add_task(plan, total=total, figures=figures)
            self._bars.update(task, completed=read, total=total, figures=figures)
        elif time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            self.out.print(f"{plan}: {figures}", markup=False)

    def said(self, plan: str, message: Message) -> None:
        """Something a person should know at once."""
        if not self.quiet:
            self.out.print(f"{plan}: {self.redactor.clean(str(message))}", markup=False, style="dim")

    def noted(self, plan: str, state: str, ids: Sequence[str], reason: Message) -> None:
        """The summary counts them, and `noria records` lists them."""


def plain(value: Any) -> Any:
    """A decoded value with exact numbers as people read them."""
    return written(value) if isinstance(value, Decimal) else value
