"""What a `value` of metadata says, once it is parsed: the kinds of expressions, and what is inside one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from noria.metadata.sql import Sql

# Of a look-up's conditions: as `_mongoQuery` writes them, as the ledger knows them.
OPERATORS = {
    "$eq": "eq",
    "$ne": "neq",
    "$gt": "gt",
    "$gte": "egt",
    "$lt": "lt",
    "$lte": "elt",
    "$in": "in",
    "$nin": "notin",
    "$regex": "regex",
    "$exists": "exists",
}
RECORD_FIELDS = ("id", "number", "status", "created_at", "response_at")


@dataclass(frozen=True)
class Literal:
    """A value that stands for itself."""

    value: Any


@dataclass(frozen=True)
class Reference:
    """`{{path}}` or `{{path|format}}`: a field of the current row."""

    path: str
    format: str | None = None


@dataclass(frozen=True)
class Macro:
    """A system macro. `seconds_ago` is set for `DAYS_AGO_n` and its kin."""

    name: str
    format: str | None = None
    seconds_ago: int | None = None


@dataclass(frozen=True)
class Template:
    """Text with macros or references in it; the result is text."""

    parts: tuple[str | Reference | Macro, ...]


@dataclass(frozen=True)
class Structure:
    """An object or array whose texts hold macros; evaluated member by member."""

    members: tuple[tuple[str, Expression], ...] | None = None
    elements: tuple[Expression, ...] | None = None


@dataclass(frozen=True)
class Place:
    """A value of a stored record: in its `content`, in the target's `response`, or of the `record` itself
    (`RECORD_FIELDS`)."""

    path: str
    part: str = "content"


@dataclass(frozen=True)
class Condition:
    """One condition of a look-up: a stored value, an operator (`OPERATORS`' values), and what it is compared with."""

    place: Place
    operator: str
    value: Expression


@dataclass(frozen=True)
class Lookup:
    """`_findCollection find FIELD from PLAN where A={{b}} …` or `_mongoQuery`: a value of another plan's record."""

    wanted: Place
    plan: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Operand:
    """A value that is bound into an SQL expression. `quoted`: it stood between quotes, so it is text."""

    value: Reference | Macro | Lookup
    quoted: bool


@dataclass(frozen=True)
class Function:
    """`_function`: an SQL expression over bound values. `text` is what the author wrote, `spans` where its operands
    stand in it."""

    text: str
    tree: Sql
    operands: tuple[Operand, ...]
    spans: tuple[tuple[int, int], ...]

    def names(self) -> list[str]:
        """What each operand is called in messages."""
        return [self.text[start:end].strip("{}").strip() for start, end in self.spans]


Expression = Literal | Reference | Macro | Template | Structure | Lookup | Function


def parts_of(expression: Expression) -> Iterator[Expression]:
    """An expression and every one inside it."""
    waiting: list[Expression] = [expression]
    while waiting:
        one = waiting.pop(0)
        yield one
        match one:
            case Template(parts):
                waiting = [part for part in parts if not isinstance(part, str)] + waiting
            case Structure(members, elements):
                waiting = [value for _, value in members or ()] + list(elements or ()) + waiting
            case Lookup(conditions=conditions):
                waiting = [condition.value for condition in conditions] + waiting
            case Function(operands=operands):
                waiting = [operand.value for operand in operands] + waiting
            case _:
                pass


def atoms(expression: Expression) -> list[Reference | Macro]:
    """Every reference and macro in an expression, in order."""
    return [one for one in parts_of(expression) if isinstance(one, Reference | Macro)]


def pasted(function: Function, texts: list[str]) -> str:
    """A `_function`'s text with texts in the places of its operands."""
    pieces, end = [], 0
    for (start, after), text in zip(function.spans, texts, strict=True):
        pieces += [function.text[end:start], text]
        end = after
    return "".join([*pieces, function.text[end:]])
