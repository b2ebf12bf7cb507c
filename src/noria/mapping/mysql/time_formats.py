"""Times as text: DATE_FORMAT and its kin."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from noria.mapping.mysql.times import as_datetime, clock_of, date_part, to_time
from noria.mapping.mysql.values import grown, number, strict, text, whole
from noria.mapping.mysql.weeks import DAY_NAMES, MONTH_NAMES, week_of

if TYPE_CHECKING:
    from noria.mapping.values import Environment


def _ordinal(day: int) -> str:
    return f"{day}" + ("th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th"))


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "a": lambda t: DAY_NAMES[t.weekday()][:3],
    "b": lambda t: MONTH_NAMES[t.month - 1][:3],
    "c": lambda t: str(t.month),
    "D": lambda t: _ordinal(t.day),
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: str(t.day),
    "f": lambda t: f"{t.microsecond:06}",
    "H": lambda t: f"{t.hour:02}",
    "h": lambda t: f"{t.hour % 12 or 12:02}",
    "I": lambda t: f"{t.hour % 12 or 12:02}",
    "i": lambda t: f"{t.minute:02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "k": lambda t: str(t.hour),
    "l": lambda t: str(t.hour % 12 or 12),
    "M": lambda t: MONTH_NAMES[t.month - 1],
    "m": lambda t: f"{t.month:02}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "r": lambda t: f"{t.hour % 12 or 12:02}:{t.minute:02}:{t.second:02} {'AM' if t.hour < 12 else 'PM'}",
    "S": lambda t: f"{t.second:02}",
    "s": lambda t: f"{t.second:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "U": lambda t: f"{week_of(t, 0)[1]:02}",
    "u": lambda t: f"{week_of(t, 1)[1]:02}",
    "V": lambda t: f"{week_of(t, 2)[1]:02}",
    "v": lambda t: f"{week_of(t, 3)[1]:02}",
    "W": lambda t: DAY_NAMES[t.weekday()],
    "w": lambda t: str(t.isoweekday() % 7),
    "X": lambda t: f"{week_of(t, 2)[0]:04}",
    "x": lambda t: f"{week_of(t, 3)[0]:04}",
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
}


@lru_cache(512)
def _format_parts(pattern: str) -> tuple[str | Callable[[datetime], str], ...]:
    """A format's literal texts and the functions of its specifiers."""
    parts: list[str | Callable[[datetime], str]] = []
    chars = iter(pattern)
    for char in chars:
        if char == "%":
            specifier = next(chars, "%")
            parts.append(_FORMATS.get(specifier, specifier))
        else:
            parts.append(char)
    return tuple(parts)


@strict
def date_format(value: Any, pattern: Any) -> str | None:
    """DATE_FORMAT"""
    moment, wanted = to_time(value), text(pattern)
    if moment is None or not wanted:
        return None
    whole_time = as_datetime(moment)
    made = "".join(part if isinstance(part, str) else part(whole_time) for part in _format_parts(wanted))
    if len(made) > 4096:
        grown(len(made))
    return made


@strict
def time_format(value: Any, pattern: Any) -> str | None:
    """TIME_FORMAT: a time of day, or a duration that is longer than a day; NULL where the format asks for a date."""
    found, wanted = clock_of(value), text(pattern)
    if found is None or not wanted or DATE_SPECIFIER.search(wanted):
        return None
    seconds = abs(found) // timedelta(seconds=1)
    hours = seconds // 3600
    moment = datetime(2000, 1, 1) + timedelta(seconds=seconds % 86400, microseconds=abs(found).microseconds)
    wanted = wanted.replace("%T", "%H:%i:%s")
    wanted = wanted.replace("%H", f"{hours:02}").replace("%k", str(hours))
    made = "".join(part if isinstance(part, str) else part(moment) for part in _format_parts(wanted))
    return "-" + made if found < timedelta(0) else made


DATE_SPECIFIER = re.compile(r"%[abcDdejMmUuVvWwXxYy]")


def day_name(value: Any) -> str | None:
    """DAYNAME"""
    found = date_part(value)
    return None if found is None else DAY_NAMES[found.weekday()]


def month_name(value: Any) -> str | None:
    """MONTHNAME"""
    found = date_part(value)
    return None if found is None else MONTH_NAMES[found.month - 1]


# WEEK's modes 0 to 7 as the modes of `_week`, and whether the week may be 0.
_WEEK_MODES = {0: 0, 1: 1, 2: 2, 3: 3}


@strict
def week(value: Any, mode: Any = 0) -> int | None:
    """WEEK, modes 0 to 3."""
    found = date_part(value)
    kind = _WEEK_MODES.get(whole(mode))
    return None if found is None or kind is None else week_of(as_datetime(found), kind)[1]


def week_of_year(value: Any) -> int | None:
    """WEEKOFYEAR"""
    return week(value, 3)  # type: ignore[no-any-return]


@strict
def year_week(value: Any, mode: Any = 0) -> int | None:
    """YEARWEEK, modes 0 to 3."""
    found = date_part(value)
    kind = _WEEK_MODES.get(whole(mode))
    if found is None or kind is None:
        return None
    year, number_ = week_of(as_datetime(found), kind | 2)
    return year * 100 + number_


def from_unixtime(env: Environment, value: Any, *pattern: Any) -> Any:
    """FROM_UNIXTIME in the connection's zone; NULL for negative numbers and after the year 9999."""
    if value is None or (pattern and pattern[0] is None):
        return None
    seconds = number(value)
    if seconds < 0:
        return None
    try:
        moment = datetime.fromtimestamp(int(seconds), env.moment.tz).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None
    micro = int((Decimal(seconds) % 1) * 1_000_000)
    moment = moment.replace(microsecond=micro)
    return date_format(moment, pattern[0]) if pattern else moment
