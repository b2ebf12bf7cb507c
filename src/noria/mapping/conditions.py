"""`condition` of a source: which rows it takes, and which lines of theirs."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from noria.mapping.compiler import Payload, compile_mapping
from noria.mapping.values import Environment, as_text, field_at
from noria.messages import Message
from noria.metadata.documents import FilterCondition, Item
from noria.metadata.formats import WITHOUT_VALUE
from noria.metadata.macros import Moment
from noria.metadata.times import parse_time
from noria.metadata.validation import shown

Row = dict[str, Any]
# Places of an element: in the outermost array, in the one inside that element, and so on.
Positions = tuple[int, ...]


class Conditions:
    """Groups of conditions, ready to be applied: a row has to fulfil all conditions of one group."""

    def __init__(self, groups: list[list[FilterCondition]]) -> None:
        self.groups = [[_Test(one) for one in group] for group in groups]
        # Whether lines may be taken out of rows.
        self.cuts = any("." in test.field for group in self.groups for test in group)

    def apply(self, row: Row, env: Environment) -> tuple[Row, Message | None]:
        """The row with the lines that are left, or why none of the groups takes it."""
        if not self.groups:
            return row, None
        removed: dict[str, set[Positions]] | None = None
        failed: list[str] = []
        for group in self.groups:
            gone, reason = self._group(group, row, env)
            if reason is not None:
                failed.append(reason)
            elif removed is None:
                removed = gone
            else:
                # A line is left when one of the groups leaves it.
                removed = {array: removed[array] & gone[array] for array in removed.keys() & gone.keys()}
        if removed is None:
            return row, Message("reason.filtered", {"conditions": "; ".join(failed)[:300]})
        return (_cut(row, "", removed, ()) if any(removed.values()) else row), None

    @staticmethod
    def _group(group: list[_Test], row: Row, env: Environment) -> tuple[dict[str, set[Positions]], str | None]:
        """The lines of each array that a group's conditions take away, or the condition that takes the whole row."""
        gone: dict[str, set[Positions]] = {}
        for test in group:
            wanted = test.value(row, env)
            leaves = list(_leaves(row, test.steps))
            if all(leaf.array is None for leaf in leaves):
                if not test.holds(field_at(row, test.field), wanted, env.moment):
                    return gone, test.shown
                continue
            bad = [leaf for leaf in leaves if not test.holds(leaf.value, wanted, env.moment)]
            for leaf in leaves:
                gone.setdefault(leaf.array or "", set())
            for leaf in bad:
                gone[leaf.array or ""].add(leaf.positions)
            if (test.strict and bad) or all(leaf.positions in gone[leaf.array or ""] for leaf in leaves):
                return gone, test.shown
        return gone, None


class _Leaf(NamedTuple):
    """A value that a path leads to: through which array (None: through none), at which places in it and in those
    around it."""

    array: str | None
    positions: Positions
    value: Any


def _leaves(value: Any, steps: list[str], done: int = 0, positions: Positions = (), array: str | None = None) -> Any:
    """Every `_Leaf` of a path; where the elements of an array are no objects, they are the values themselves."""
    for depth in range(done, len(steps)):
        step = steps[depth]
        if isinstance(value, list) and value and not step.isdecimal():
            for i, element in enumerate(value):
                inside = ".".join(steps[:depth])
                if isinstance(element, dict | list):
                    yield from _leaves(element, steps, depth, (*positions, i), inside)
                else:
                    yield _Leaf(inside, (*positions, i), element)
            return
        value = field_at(value, step) if isinstance(value, dict | list) else None
    yield _Leaf(array, positions, value)


_GONE: Any = object()


def _cut(value: Any, path: str, removed: dict[str, set[Positions]], positions: Positions) -> Any:
    """A copy of the value at a path without the lines that are removed from its arrays; a line whose own lines are all
    removed goes, too (`_GONE`)."""
    if isinstance(value, list):
        left = []
        for i, element in enumerate(value):
            place = (*positions, i)
            if place not in removed.get(path, ()):
                left.append(_cut(element, path, removed, place))
        return [one for one in left if one is not _GONE]
    if not isinstance(value, dict):
        return value
    prefix = f"{path}." if path else ""
    for name in {array[len(prefix) :].partition(".")[0] for array in removed if array.startswith(prefix)}:
        inner = value.get(name)
        if not isinstance(inner, dict | list):
            continue
        cut = _cut(inner, prefix + name, removed, positions)
        if cut is _GONE or (positions and inner and cut == []):
            return _GONE
        value = {**value, name: cut}
    return value


class _Test:
    """One condition, with the value that it compares with."""

    def __init__(self, condition: FilterCondition) -> None:
        self.field = condition.field.strip().removeprefix("{{").removesuffix("}}").strip()
        self.steps = self.field.split(".")
        self.logic = condition.logic.lower()
        self.strict = bool(condition.strictMode)
        self.shown = f"{self.field} {self.logic}" + (
            "" if self.logic in WITHOUT_VALUE else f" {shown(condition.value)}"
        )
        self._payload: Payload = compile_mapping([Item(field="v", value=condition.value)]).payload

    def value(self, row: Row, env: Environment) -> Any:
        return self._payload(row, env).get("v")

    def holds(self, value: Any, wanted: Any, moment: Moment) -> bool:
        match self.logic:
            case "isnull" | "null":
                return _is_empty(value)
            case "notnull":
                return not _is_empty(value)
            case "eq":
                return _equal(value, wanted)
            case "neq":
                return not _equal(value, wanted)
            case "like":
                return as_text(wanted) in as_text(value)
            case "notlike":
                return as_text(wanted) not in as_text(value)
            case "in":
                return any(_equal(value, one) for one in _listed(wanted))
            case "notin":
                return not any(_equal(value, one) for one in _listed(wanted))
            case "between":
                low, high = [*_listed(wanted), None, None][:2]
                if isinstance(low, str) and low.startswith("timestamp:") and ":" not in str(high)[:10]:
                    high = f"timestamp:{high}"
                return _order(value, low, moment, (0, 1)) and _order(value, high, moment, (0, -1))
            case "gt":
                return _order(value, wanted, moment, (1,))
            case "egt":
                return _order(value, wanted, moment, (0, 1))
            case "lt":
                return _order(value, wanted, moment, (-1,))
            case _:
                return _order(value, wanted, moment, (-1, 0))


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, list | dict) and not value)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return [one.strip() for one in as_text(value).split(",")]


def number_of(value: Any) -> Decimal | None:
    """A value as an exact number; None for what is none."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return None
    try:
        number = Decimal(str(value).strip()) if len(str(value)) < 100 else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _equal(value: Any, wanted: Any) -> bool:
    """By value where both are numbers, else by text; true is also 1, and of two texts `01` is not `1`."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        truths = {"true": True, "1": True, "false": False, "0": False}
        a, b = (truths.get(as_text(one).lower()) for one in (value, wanted))
        return a is not None and a is b
    codes = isinstance(value, str) and isinstance(wanted, str) and not (_PLAIN.match(value) and _PLAIN.match(wanted))
    a_number, b_number = number_of(value), number_of(wanted)
    if a_number is not None and b_number is not None and not codes:
        return a_number == b_number
    return as_text(value) == as_text(wanted)


# A text that can only be a number: codes such as 001 and 1E3 are compared as texts.
_PLAIN = re.compile(r"\s*-?(0|[1-9][0-9]*)(\.[0-9]+)?\s*\Z")


def _order(value: Any, wanted: Any, moment: Moment, good: tuple[int, ...]) -> bool:
    """Whether the value stands so to what is wanted (-1 before, 0 equal, 1 after); nothing stands in no order.

    `timestamp:<epoch>` compares as points in time; otherwise numbers by value, everything else by text.
    """
    if _is_empty(value) or _is_empty(wanted):
        return False
    a: Any
    b: Any
    if isinstance(wanted, str) and wanted.startswith("timestamp:"):
        try:
            a = parse_time(value, moment.tz).timestamp()
            b = parse_time(wanted.removeprefix("timestamp:"), moment.tz).timestamp()
        except (ValueError, OverflowError):
            return False
    else:
        a, b = number_of(value), number_of(wanted)
        if a is None or b is None:
            a, b = as_text(value), as_text(wanted)
    return (a > b) - (a < b) in good
