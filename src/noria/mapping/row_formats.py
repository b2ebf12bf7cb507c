"""`formatResponse` of a source: new fields from old ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from noria.mapping.conditions import number_of
from noria.mapping.values import MappingError, as_text, field_at
from noria.messages import Message
from noria.metadata.documents import ResponseFormat
from noria.metadata.formats import format_of
from noria.metadata.macros import Moment
from noria.metadata.paths import at
from noria.metadata.times import parse_time
from noria.metadata.validation import shown

Row = dict[str, Any]


class Format:
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
                return _with(row, array, inner)
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
    number = number_of(int(value) if isinstance(value, bool) else value)
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
