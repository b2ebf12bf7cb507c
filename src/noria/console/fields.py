"""A JSON text as the fields of a form, and what somebody put into them as changes of that text."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from noria.metadata.errors import Problem
from noria.metadata.splicing import Path, Span, Written, pointer, replaced, spans, steps, with_value, without

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")


@dataclass(frozen=True)
class Field:
    """A field: what it is of (a JSON pointer, or a setting's dotted name), how its value is written (`text`, `name`,
    `choice`, `number`, `truth`, `json`, `secret`), what stands in it, what can be chosen or is suggested (the id of a
    list), what is wrong with it, whether it is still to be filled in."""

    pointer: str
    kind: str
    label: str
    value: str
    hint: str = ""
    choices: Sequence[tuple[str, str]] = ()
    suggests: str = ""
    wrong: Sequence[str] = ()
    todo: bool = False
    code: str = ""

    @property
    def name(self) -> str:
        """The form's name of it."""
        return f"{self.kind}:{self.pointer}" if self.pointer.startswith("/") else f"set:{self.pointer}"


@dataclass
class Fields:
    """The fields of a text. `wrong`: what is wrong, by pointer; `typed`: what can't be written into the text, as it was
    typed, by pointer; `todo`: where something is still to be filled in."""

    text: str
    wrong: dict[str, list[str]] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    todo: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.root = spans(self.text)
        self._within: dict[str, list[str]] = {}
        for place, said in self.wrong.items():
            while True:
                self._within.setdefault(place, []).extend(said)
                if not place:
                    break
                place = place.rpartition("/")[0]

    def field(self, path: Sequence[str | int], kind: str, label: str, **rest: Any) -> Field:
        """The field of a value."""
        where = pointer(path)
        value = self.typed.get(where, shown(self.text, self.root.at(path), kind))
        return Field(where, kind, label, value, wrong=self.wrong_at(where), todo=where in self.todo, **rest)

    def wrong_at(self, where: str) -> list[str]:
        """What is wrong with a value or within it."""
        return self._within.get(where, [])


def worded(problem: Problem) -> str:
    """What is wrong, with what would be right."""
    return f"{problem.message} · {problem.hint}" if problem.hint else str(problem.message)


def default_of(row: dict[str, str]) -> str:
    """What a declared setting is where nothing is said, as a form hints at it."""
    return "" if row["default"] in ("", "null", '""') else row["default"].strip('"')


def shown(text: str, span: Span | None, kind: str) -> str:
    """What stands in the field of a value."""
    if span is None:
        return ""
    written = text[span.start : span.end]
    if kind == "json":
        first, _, rest = written.partition("\n")
        return f"{first}\n{textwrap.dedent(rest)}" if rest else first
    if written.startswith('"'):
        return str(json.loads(written))
    return "" if written == "null" else written


def changed(text: str, given: Iterable[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    """A text with what was put into its fields (name and content), where that is not what stood there; and what can't
    be written, by pointer."""
    typed: dict[str, str] = {}
    root = spans(text)
    there: list[tuple[Span, str]] = []
    others: list[tuple[Path, str | None]] = []
    for name, content in given:
        kind, _, where = name.partition(":")
        path = steps(where, root)
        span = root.at(path)
        content = content.replace("\r\n", "\n")
        if content == shown(text, span, kind):
            continue
        try:
            value = _written(kind, content, "" if span is None else text[span.start : span.end])
        except ValueError:
            typed[where] = content
            continue
        if span is None or value is None or span.opens:
            others.append((path, value))
        else:
            there.append((span, value))
    # What stands there already is changed at once; where something comes or goes, one after the other.
    text = replaced(text, there)
    for path, value in others:
        try:
            text = without(text, path) if value is None else with_value(text, path, value)
        except ValueError:
            typed[pointer(path)] = value or ""
    return text, typed


def _written(kind: str, content: str, before: str) -> str | None:
    """The value that a field's content stands for; None for none. Raises `ValueError` for what is no JSON."""
    if not content.strip():
        return "" if kind == "name" else None
    if kind == "json":
        _value_of(content)
        return Written(content)
    if kind == "truth":
        return Written("true" if content == "true" else "false")
    if kind == "number":
        return Written(content.strip()) if _NUMBER.match(content.strip()) and _is_json(content) else content
    if before and before[0] not in '"n':
        # It was no text before; what is again none stays that.
        with suppress(ValueError):
            if not isinstance(_value_of(content), str):
                return Written(content)
    return content


def _value_of(content: str) -> Any:
    """What a text says as strict JSON; raises `ValueError`."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _is_json(content: str) -> bool:
    with suppress(ValueError):
        _value_of(content)
        return True
    return False
