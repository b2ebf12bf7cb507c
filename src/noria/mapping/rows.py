"""What a source's metadata makes of a row: `beatFlat` takes it apart, `formatResponse` adds fields, `condition` leaves
rows and lines out.

Rows are kept as they came (taken apart where they are flattened). Formats and the leaving out of lines are applied
whenever a row is used, so that a change to the plan counts for rows that are already there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest

from noria.mapping.compiler import Payload, compile_mapping
from noria.mapping.values import Environment, MappingError, as_text, field_at
from noria.messages import Message
from noria.metadata.documents import FilterCondition, Item, Metadata, ResponseFormat
from noria.metadata.formats import WITHOUT_VALUE, format_of
from noria.metadata.macros import Moment
from noria.metadata.paths import at
from noria.metadata.times import parse_time
from noria.metadata.validation import shown

Row = dict[str, Any]
# Places of an element: in the outermost array, in the one inside that element, and so on.
Positions = tuple[int, ...]


class RowRules:
    """A source's `beatFlat`, `formatResponse` and `condition`, ready to be applied to rows."""

    def __init__(self, metadata: Metadata) -> None:
        self.arrays = list(metadata.beatFlat or [])
        self.formats = [_Format(one) for one in metadata.formats()]
        self.groups = [[_Test(one) for one in group] for group in metadata.groups()]
        self._cuts = any("." in test.field for group in self.groups for test in group)
        self._prefixes = {name: name.replace(".", "_") for name in self.arrays}
        rules = msgspec.json.encode([self.arrays, metadata.formatResponse, metadata.condition])
        # Tells indexes of derived fields apart from those made under other rules.
        self.fingerprint = xxh3_64_hexdigest(rules) if self.derives else ""

    @property
    def derives(self) -> bool:
        """Whether a row that is used differs from the row that is kept."""
        return bool(self.formats) or self._cuts

    @property
    def filters(self) -> bool:
        """Whether rows may be left out."""
        return bool(self.groups)

    def split(self, row: Row) -> list[Row]:
        """The rows that `beatFlat` makes of one: a row per element, in the order of the arrays; without any element,
        the head's fields alone. Arrays inside elements are named with both (`details_batch`)."""
        head, roots = row, []
        for name in self.arrays:
            found = at(row, name)
            if isinstance(found, list | dict):
                roots.append((self._prefixes[name], found if isinstance(found, list) else [found]))
            head = _removed(head, name)
        rows: list[Row] = []
        for prefix, elements in roots:
            expanded = _expanded([head | {prefix: elements}], prefix)
            for nested in dict.fromkeys(self._prefixes.values()):
                if nested.startswith(prefix + "_"):
                    expanded = [
                        one for part in expanded for one in (_expanded([part], nested) or [_without(part, nested)])
                    ]
            rows += expanded
        return rows or [head]

    def flattens(self, row: Row) -> bool:
        """Whether a row has something that is taken apart: then its parts are numbered."""
        return any(isinstance(found := at(row, name), list | dict) and found for name in self.arrays)

    def derived(self, row: Row, env: Environment) -> Row:
        """The row as it is used: with formatted fields, without the lines that a condition leaves out. Raises
        `MappingError`."""
        row = self._formatted(row, env)
        return self._filtered(row, env)[0] if self._cuts else row

    def rejected(self, row: Row, env: Environment) -> Message | None:
        """Why a condition leaves the whole row out. A row that can't be formatted is not left out: mapping says so."""
        if not self.groups:
            return None
        try:
            return self._filtered(self._formatted(row, env), env)[1]
        except MappingError:
            return None

    def _formatted(self, row: Row, env: Environment) -> Row:
        if not self.formats:
            return row
        for one in self.formats:
            row = one.applied(row, env.moment)
        return row

    def _filtered(self, row: Row, env: Environment) -> tuple[Row, Message | None]:
        """The row with the lines that are left, or why none of the groups takes it."""
        if not self.groups:
            return row, None
        kept: dict[str, set[Positions]] = {}
        whole: set[str] = set()
        failed: list[str] = []
        passed = False
        for group in self.groups:
            lines, reason = self._group(group, row, env)
            if reason is not None:
                failed.append(reason)
                continue
            passed = True
            for array in {array for one in self.groups for test in one for array in test.arrays(row)}:
                if array in lines:
                    kept[array] = kept.get(array, set()) | lines[array]
                else:
                    whole.add(array)
        if not passed:
            return row, Message("reason.filtered", {"conditions": "; ".join(failed)[:300]})
        # Inner lines first: a line that is left without any goes, too.
        for array in sorted(kept.keys() - whole, key=lambda path: -path.count(".")):
            row = _cut(row, array.split("."), kept[array], ())
        return row, None

    @staticmethod
    def _group(group: list[_Test], row: Row, env: Environment) -> tuple[dict[str, set[Positions]], str | None]:
        """The lines of each array that a group's conditions leave, or the condition that fails."""
        lines: dict[str, set[Positions]] = {}
        for test in group:
            wanted = test.value(row, env)
            found = list(_leaves(row, test.steps))
            if all(leaf.array is None for leaf in found):
                if not test.holds(field_at(row, test.field), wanted, env.moment):
                    return lines, test.shown
                continue
            good = [leaf for leaf in found if test.holds(leaf.value, wanted, env.moment)]
            if test.strict and len(good) < len(found):
                return lines, test.shown
            for array in {leaf.array for leaf in found if leaf.array is not None}:
                everything = {leaf.positions for leaf in found if leaf.array == array}
                left = {leaf.positions for leaf in good if leaf.array == array}
                lines[array] = lines.get(array, everything) & left
            if not any(lines[leaf.array] for leaf in found if leaf.array is not None):
                return lines, test.shown
        return lines, None


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


def _cut(value: Any, steps: list[str], kept: set[Positions], positions: Positions) -> Any:
    """A copy of a value in which the array at the end of a path holds just these lines; arrays on the way lose the
    elements that are left without any."""
    if not steps:
        return [one for i, one in enumerate(value) if (*positions, i) in kept]
    if isinstance(value, list):
        cut = [(one, _cut(one, steps, kept, (*positions, i))) for i, one in enumerate(value)]
        return [new for old, new in cut if new is old or not _emptied(old, new, steps)]
    if not isinstance(value, dict) or not isinstance(value.get(steps[0]), dict | list):
        return value
    return {**value, steps[0]: _cut(value[steps[0]], steps[1:], kept, positions)}


def _emptied(old: Any, new: Any, steps: list[str]) -> bool:
    path = ".".join(steps)
    return bool(field_at(old, path)) and field_at(new, path) == []


def _expanded(rows: list[Row], array: str) -> list[Row]:
    """A row per element of an array; elements that are no objects stand under the array's own name."""
    found: list[Row] = []
    for row in rows:
        elements = row.get(array)
        if not isinstance(elements, list):
            continue
        head = _without(row, array)
        for element in elements:
            fields = element if isinstance(element, dict) else None
            own = {array: element} if fields is None else {f"{array}_{name}": value for name, value in fields.items()}
            found.append(head | own)
    return found


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


def _removed(row: Row, path: str) -> Row:
    """A copy of the row without what stands at a path."""
    first, _, rest = path.partition(".")
    if not rest:
        return _without(row, first)
    return {**row, first: _removed(row[first], rest)} if isinstance(row.get(first), dict) else row


def _replaced(row: Row, path: str, value: Any) -> Row:
    """A copy of the row with another value at a path; the row itself stays as it is."""
    first, _, rest = path.partition(".")
    return {**row, first: _replaced(row[first], rest, value) if rest else value}


# --- conditions -----------------------------------------------------------------------------------------------------


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

    def arrays(self, row: Row) -> set[str]:
        """The arrays that the field leads into, in this row."""
        return {leaf.array for leaf in _leaves(row, self.steps)} - {None}

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


def _number(value: Any) -> Decimal | None:
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
    a_number, b_number = _number(value), _number(wanted)
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
        a, b = _number(value), _number(wanted)
        if a is None or b is None:
            a, b = as_text(value), as_text(wanted)
    return (a > b) - (a < b) in good


# --- formats --------------------------------------------------------------------------------------------------------


class _Format:
    """One entry of `formatResponse`."""

    def __init__(self, entry: ResponseFormat) -> None:
        self.old, self.new, self.text = entry.old, entry.new, entry.format
        name, self.parameter = format_of(entry.format) or (entry.format, None)
        self.convert = _FORMATS.get(name)

    def applied(self, row: Row, moment: Moment) -> Row:
        """The row with the new field. Where the old one is in lines, each line has its own."""
        return self._applied(row, self.old, self.new, moment)

    def _applied(self, row: Row, old: str, new: str, moment: Moment) -> Row:
        steps = old.split(".")
        for depth in range(1, len(steps)):
            array = ".".join(steps[:depth])
            lines = at(row, array)
            if isinstance(lines, list) and not steps[depth].isdecimal():
                rest, own = ".".join(steps[depth:]), new.removeprefix(array + ".")
                inner = [self._applied(one, rest, own, moment) if isinstance(one, dict) else one for one in lines]
                return _replaced(row, array, inner)
        return self._set(row, field_at(row, old), new, moment)

    def _set(self, row: Row, value: Any, new: str, moment: Moment) -> Row:
        if value is None or self.convert is None:
            return row
        try:
            formatted = value if value == "" else self.convert(value, self.parameter or "", moment)
        except (ValueError, OverflowError, InvalidOperation):
            if not moment.lenient:
                values = {"path": self.old, "value": shown(as_text(value)), "format": self.text}
                raise MappingError(Message("mapping.not_formattable", values)) from None
            formatted = value
        return _with(row, new, formatted)


def _with(row: Row, path: str, value: Any) -> Row:
    """A copy of the row with a value at a path, whatever is on the way."""
    first, _, rest = path.partition(".")
    inner = row.get(first)
    return {**row, first: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


Convert = Callable[[Any, str, Moment], Any]


def _time(pattern: str) -> Convert:
    def convert(value: Any, parameter: str, moment: Moment) -> Any:
        if isinstance(value, str) and value.startswith("0000-00-00"):
            return ""
        return parse_time(value, moment.tz).astimezone(moment.tz).strftime(pattern)

    return convert


def _description(value: Any, parameter: str, moment: Moment) -> str:
    then = parse_time(value, moment.tz)
    seconds = int(moment.now - then.timestamp())
    for size, word in (
        (31_536_000, "年"),
        (2_592_000, "个月"),
        (604_800, "周"),
        (86_400, "天"),
        (3600, "小时"),
        (60, "分钟"),
    ):
        if seconds >= size:
            count = seconds // size
            return "一年前" if word == "年" and count == 1 else f"{count}{word}前"
    return "刚刚" if seconds >= 0 else datetime.fromtimestamp(then.timestamp(), moment.tz).strftime("%Y-%m-%d %H:%M")


def _decimal(value: Any) -> Decimal:
    number = _number(int(value) if isinstance(value, bool) else value)
    if number is None or abs(number.adjusted()) > 60:
        raise ValueError(value)
    return number


def _long_text(value: Any, parameter: str, moment: Moment) -> str:
    text, most = as_text(value), int(parameter)
    return text if len(text) <= most else text[:most] + "..."


def _round(value: Any, parameter: str, moment: Moment) -> int | Decimal:
    digits = min(int(parameter), 30)
    rounded = _decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return int(rounded) if digits == 0 else rounded


def _amount(value: Any, parameter: str, moment: Moment) -> str:
    number = _decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{'-' if number < 0 else ''}￥{abs(number):,f}"


def _implode(value: Any, parameter: str, moment: Moment) -> Any:
    return parameter.join(map(as_text, value)) if isinstance(value, list) else value


_FORMATS: dict[str, Convert] = {
    "date": _time("%Y-%m-%d"),
    "time": _time("%H:%M:%S"),
    "dateTime": _time("%Y-%m-%d %H:%M"),
    "shortDate": _time("%m-%d"),
    "shortTime": _time("%H:%M"),
    "shortDateTime": _time("%m-%d %H:%M"),
    "dateDescription": _description,
    "longText": _long_text,
    "intval": lambda value, parameter, moment: int(_decimal(value).to_integral_value(ROUND_DOWN)),
    "round": _round,
    "amount": _amount,
    "implode": _implode,
}
