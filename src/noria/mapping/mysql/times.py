"""Dates and times: naive and local, as MySQL has them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from noria.mapping.mysql.values import number, strict, text, whole

if TYPE_CHECKING:
    from noria.mapping.values import Environment


_TIME_TEXT = re.compile(
    r"\s*(\d{4}|\d{2})[^\w\s](\d{1,2})[^\w\s](\d{1,2})"
    r"(?:(?:[T ]\s*)(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?)?"
)
_DIGIT_TIME = re.compile(r"\s*(\d{14}|\d{12}|\d{8}|\d{6})(?:\.\d*)?\s*\Z")
_CLOCK = re.compile(r"\s*(-?)(?:(\d+) )?(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?\s*\Z")


def to_time(value: Any) -> date | datetime | None:
    """A date or date-time from MySQL's ways of writing one; None for what is none."""
    if value is None or isinstance(value, date):
        return value
    if isinstance(value, int | Decimal):
        value = str(int(value))
        value = value.zfill(6 if len(value) <= 6 else 8 if len(value) <= 8 else 12 if len(value) <= 12 else 14)
    digits = _DIGIT_TIME.match(value)
    try:
        if digits:
            return _from_digits(digits[1])
        match = _TIME_TEXT.match(value)
        if match is None:
            return None
        year, month, day = _year(match[1]), int(match[2]), int(match[3])
        if match[4] is None:
            return date(year, month, day)
        micro = int((match[7] or "0").ljust(6, "0"))
        return datetime(year, month, day, int(match[4]), int(match[5] or 0), int(match[6] or 0), micro)
    except ValueError:
        return None


def _year(digits: str) -> int:
    if len(digits) == 4:
        return int(digits)
    return 2000 + int(digits) if int(digits) < 70 else 1900 + int(digits)


def _from_digits(digits: str) -> date | datetime:
    head = 4 if len(digits) in (8, 14) else 2
    year, rest = _year(digits[:head]), [int(digits[i : i + 2]) for i in range(head, len(digits), 2)]
    return date(year, rest[0], rest[1]) if len(rest) == 2 else datetime(year, *rest)  # type: ignore[arg-type]


def as_datetime(value: date | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def now(env: Environment) -> datetime:
    """NOW(): when the run began, in the connection's zone."""
    return datetime.fromtimestamp(int(env.moment.now), env.moment.tz).replace(tzinfo=None)


def today(env: Environment) -> date:
    """CURDATE()"""
    return now(env).date()


def clock(env: Environment) -> str:
    """CURTIME()"""
    return now(env).strftime("%H:%M:%S")


def utc(env: Environment) -> datetime:
    """UTC_TIMESTAMP()"""
    return datetime.fromtimestamp(int(env.moment.now), UTC).replace(tzinfo=None)


def date_part(value: Any) -> date | None:
    """DATE"""
    found = to_time(value)
    return found.date() if isinstance(found, datetime) else found


def timestamp(value: Any) -> datetime | None:
    """TIMESTAMP"""
    found = to_time(value)
    return None if found is None else as_datetime(found)


def clock_of(value: Any) -> timedelta | None:
    """The time of day of a time, or a duration such as `26:05:00`."""
    if isinstance(value, str):
        match = _CLOCK.match(value)
        if match:
            if int(match[4]) > 59 or int(match[5] or 0) > 59:
                return None
            found = timedelta(
                days=int(match[2] or 0),
                hours=int(match[3]),
                minutes=int(match[4]),
                seconds=int(match[5] or 0),
                microseconds=int((match[6] or "0").ljust(6, "0")),
            )
            return -found if match[1] else found
    moment = to_time(value)
    if moment is None:
        return None
    whole = as_datetime(moment)
    return whole - as_datetime(whole.date())


@strict
def time_part(value: Any) -> str | None:
    """TIME"""
    found = clock_of(value)
    if found is None:
        return None
    seconds = abs(found) // timedelta(seconds=1)
    micro = abs(found).microseconds
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{micro:06}" if micro else "")
    return "-" + shown if found < timedelta(0) else shown


_PARTS: dict[str, Callable[[datetime], int]] = {
    "YEAR": lambda t: t.year,
    "QUARTER": lambda t: (t.month + 2) // 3,
    "MONTH": lambda t: t.month,
    "WEEK": lambda t: _week(t, 0)[1],
    "DAY": lambda t: t.day,
    "DAYOFWEEK": lambda t: t.isoweekday() % 7 + 1,
    "WEEKDAY": lambda t: t.weekday(),
    "DAYOFYEAR": lambda t: t.timetuple().tm_yday,
}


@strict
def part(unit: str, value: Any) -> int | None:
    """EXTRACT, YEAR, MONTH, …"""
    if unit in ("HOUR", "MINUTE", "SECOND", "MICROSECOND"):
        clock_ = clock_of(value)
        if clock_ is None:
            return None
        seconds = abs(clock_) // timedelta(seconds=1)
        return {
            "HOUR": seconds // 3600,
            "MINUTE": seconds // 60 % 60,
            "SECOND": seconds % 60,
            "MICROSECOND": abs(clock_).microseconds,
        }[unit]
    moment = to_time(value)
    return None if moment is None else _PARTS[unit](as_datetime(moment))


def last_day(value: Any) -> date | None:
    """LAST_DAY"""
    found = to_time(value)
    return None if found is None else date(found.year, found.month, monthrange(found.year, found.month)[1])


_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


@strict
def date_add(value: Any, amount: Any, unit: str, direction: int = 1) -> date | datetime | None:
    """DATE_ADD: a month more than 31 January is the last of February. NULL outside the years 1 to 9999."""
    moment = to_time(value)
    if moment is None:
        return None
    count = number(amount)
    try:
        if unit in _MONTHS:
            total = moment.year * 12 + moment.month - 1 + whole(count) * _MONTHS[unit] * direction
            year, month = divmod(total, 12)
            return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
        if unit == "MICROSECOND":
            return as_datetime(moment) + timedelta(microseconds=whole(count) * direction)
        # Fractions count for seconds only, as in MySQL.
        exact = count if unit == "SECOND" else whole(count)
        step = timedelta(microseconds=int(exact * _SECONDS[unit] * 1_000_000) * direction)
        return (moment if unit in ("DAY", "WEEK") else as_datetime(moment)) + step
    except (ValueError, OverflowError):
        return None


def date_sub(value: Any, amount: Any, unit: str) -> Any:
    """DATE_SUB"""
    return date_add(value, amount, unit, -1)


@strict
def timestamp_add(unit: str, amount: Any, value: Any) -> Any:
    """TIMESTAMPADD"""
    return date_add(value, amount, unit)


@strict
def timestamp_diff(unit: str, a: Any, b: Any) -> int | None:
    """TIMESTAMPDIFF: whole units from a to b."""
    first, second = to_time(a), to_time(b)
    if first is None or second is None:
        return None
    start, end = as_datetime(first), as_datetime(second)
    if unit in _MONTHS:
        low, high = min(start, end), max(start, end)
        months = (high.year - low.year) * 12 + high.month - low.month
        if (high.day, high.time()) < (low.day, low.time()):
            months -= 1
        months //= _MONTHS[unit]
        return months if end >= start else -months
    size = timedelta(microseconds=1) if unit == "MICROSECOND" else timedelta(seconds=_SECONDS[unit])
    whole = abs(end - start) // size
    return whole if end >= start else -whole


@strict
def date_diff(a: Any, b: Any) -> int | None:
    """DATEDIFF"""
    first, second = date_part(a), date_part(b)
    return None if first is None or second is None else (first - second).days


def unix_timestamp(env: Environment, *value: Any) -> Any:
    """UNIX_TIMESTAMP in the connection's zone; 0 before 1970."""
    if not value:
        return int(env.moment.now)
    found = to_time(value[0])
    if found is None:
        return None
    whole = as_datetime(found)
    seconds = int(whole.replace(tzinfo=env.moment.tz, microsecond=0).timestamp())
    if seconds < 0:
        return 0
    return seconds + Decimal(whole.microsecond) / 1_000_000 if whole.microsecond else seconds


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


_MONTH_NAMES = "January February March April May June July August September October November December".split()
_DAY_NAMES = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _ordinal(day: int) -> str:
    return f"{day}" + ("th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th"))


def _week(moment: datetime, mode: int) -> tuple[int, int]:
    """Year and week number; mode 0: Sunday first, from 0; 1: Monday first, from 0; 2 and 3: likewise from 1."""
    monday = mode in (1, 3)
    if mode == 3:
        year, week, _ = moment.isocalendar()
        return year, week
    first = datetime(moment.year, 1, 1)
    weekday = first.weekday() if monday else first.isoweekday() % 7
    offset = (moment - first).days
    if monday:
        # Week 1 has more than three days of the year.
        start = -weekday if weekday <= 3 else 7 - weekday
    else:
        start = 0 if weekday == 0 else 7 - weekday
    if offset >= start:
        return moment.year, (offset - start) // 7 + 1
    if mode == 0 or mode == 1:
        return moment.year, 0
    return _week(datetime(moment.year - 1, 12, 31), mode)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "a": lambda t: _DAY_NAMES[t.weekday()][:3],
    "b": lambda t: _MONTH_NAMES[t.month - 1][:3],
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
    "M": lambda t: _MONTH_NAMES[t.month - 1],
    "m": lambda t: f"{t.month:02}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "r": lambda t: f"{t.hour % 12 or 12:02}:{t.minute:02}:{t.second:02} {'AM' if t.hour < 12 else 'PM'}",
    "S": lambda t: f"{t.second:02}",
    "s": lambda t: f"{t.second:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "U": lambda t: f"{_week(t, 0)[1]:02}",
    "u": lambda t: f"{_week(t, 1)[1]:02}",
    "V": lambda t: f"{_week(t, 2)[1]:02}",
    "v": lambda t: f"{_week(t, 3)[1]:02}",
    "W": lambda t: _DAY_NAMES[t.weekday()],
    "w": lambda t: str(t.isoweekday() % 7),
    "X": lambda t: f"{_week(t, 2)[0]:04}",
    "x": lambda t: f"{_week(t, 3)[0]:04}",
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
    moment = to_time(value)
    if moment is None:
        return None
    whole = as_datetime(moment)
    return "".join(part if isinstance(part, str) else part(whole) for part in _format_parts(text(pattern) or ""))


_READS = {
    "Y": r"(?P<Y>\d{1,4})", "y": r"(?P<y>\d{1,2})", "m": r"(?P<m>\d{1,2})", "c": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})", "e": r"(?P<d>\d{1,2})", "H": r"(?P<H>\d{1,2})", "k": r"(?P<H>\d{1,2})",
    "h": r"(?P<h>\d{1,2})", "I": r"(?P<h>\d{1,2})", "l": r"(?P<h>\d{1,2})", "i": r"(?P<i>\d{1,2})",
    "s": r"(?P<s>\d{1,2})", "S": r"(?P<s>\d{1,2})", "f": r"(?P<f>\d{1,6})", "p": r"(?P<p>[AaPp][Mm])",
    "M": r"(?P<M>[A-Za-z]+)", "b": r"(?P<b>[A-Za-z]{3})", "a": r"[A-Za-z]{3}", "W": r"[A-Za-z]+",
    "j": r"(?P<j>\d{1,3})",
}  # fmt: skip


@lru_cache(512)
def _reader(pattern: str) -> re.Pattern[str] | None:
    pattern = pattern.replace("%T", "%H:%i:%s").replace("%r", "%h:%i:%s %p")
    parts, seen = [], set()
    chars = iter(pattern)
    for char in chars:
        if char == "%":
            specifier = next(chars, "%")
            piece = _READS.get(specifier)
            if piece is None:
                if specifier != "%":
                    return None
                piece = "%"
            if piece in seen and "(?P" in piece:
                return None
            seen.add(piece)
            parts.append(r"\s*" + piece)
        else:
            parts.append(r"\s*" if char.isspace() else r"\s*" + re.escape(char))
    return re.compile("".join(parts))


@strict
def str_to_date(value: Any, pattern: Any) -> Any:
    """STR_TO_DATE: a date, a date-time, or a time of day as the format has parts; NULL for what doesn't fit."""
    reader = _reader(text(pattern) or "")
    match = reader.match(text(value) or "") if reader else None
    if match is None:
        return None
    found = {name: one for name, one in match.groupdict().items() if one is not None}
    names = {"M": _MONTH_NAMES, "b": [name[:3] for name in _MONTH_NAMES]}
    try:
        for key, listed in names.items():
            if key in found:
                found["m"] = str([name.lower() for name in listed].index(found[key].lower()) + 1)
        clock_ = _read_clock(found)
        if not {"Y", "y", "m", "d", "j"} & set(found):
            return f"{clock_[0]:02}:{clock_[1]:02}:{clock_[2]:02}" if clock_ else None
        year = _year(found["Y"].zfill(4 if len(found["Y"]) > 2 else 2)) if "Y" in found else _year(found["y"].zfill(2))
        if "j" in found:
            day = date(year, 1, 1) + timedelta(days=int(found["j"]) - 1)
        else:
            day = date(year, int(found["m"]), int(found["d"]))
    except (ValueError, KeyError):
        return None
    return day if clock_ is None else datetime(day.year, day.month, day.day, *clock_)


def _read_clock(found: dict[str, str]) -> tuple[int, int, int, int] | None:
    """Hour, minute, second and microsecond; None when the format has none of them. Raises `ValueError`."""
    if not {"H", "h", "i", "s", "f"} & set(found):
        return None
    hour = int(found.get("H", 0))
    if "h" in found:
        hour = int(found["h"])
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if found.get("p", "am").lower() == "pm" else 0)
    minute, second = int(found.get("i", 0)), int(found.get("s", 0))
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(hour)
    return hour, minute, second, int(found.get("f", "0").ljust(6, "0"))
