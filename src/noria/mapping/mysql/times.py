"""Dates and times: naive and local, as MySQL has them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from noria.mapping.mysql.values import number, strict, text, whole
from noria.mapping.mysql.weeks import week_of

if TYPE_CHECKING:
    from noria.mapping.values import Environment


_TIME_TEXT = re.compile(
    r"\s*([0-9]{4}|[0-9]{2})[^\w\s]([0-9]{1,2})[^\w\s]([0-9]{1,2})(?![0-9])"
    r"(?:(?:T|\s+)([0-9]{1,2})(?:[^\w\s]([0-9]{1,2})(?:[^\w\s]([0-9]{1,2})(?:\.([0-9]{1,6}))?)?)?)?"
)
_DIGIT_TIME = re.compile(r"\s*([0-9]{14}|[0-9]{8}T[0-9]{6}|[0-9]{12}|[0-9]{8}|[0-9]{6})(?:\.[0-9]*)?\s*\Z")
_CLOCK = re.compile(
    r"\s*(-?)(?:([0-9]{1,2}) )?([0-9]{1,3}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]{1,6})[0-9]*)?)?\s*\Z"
)
_CLOCK_DIGITS = re.compile(r"\s*(-?)([0-9]{1,7})(?:\.([0-9]{1,6})[0-9]*)?\s*\Z")


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
            return _from_digits(digits[1].replace("T", ""))
        match = _TIME_TEXT.match(value)
        if match is None:
            return None
        year, month, day = full_year(match[1]), int(match[2]), int(match[3])
        if match[4] is None:
            return date(year, month, day)
        micro = int((match[7] or "0").ljust(6, "0"))
        return datetime(year, month, day, int(match[4]), int(match[5] or 0), int(match[6] or 0), micro)
    except ValueError:
        return None


def full_year(digits: str) -> int:
    """A year of two digits is one of 1970 to 2069."""
    if len(digits) == 4:
        return int(digits)
    return 2000 + int(digits) if int(digits) < 70 else 1900 + int(digits)


def _from_digits(digits: str) -> date | datetime:
    head = 4 if len(digits) in (8, 14) else 2
    year, rest = full_year(digits[:head]), [int(digits[i : i + 2]) for i in range(head, len(digits), 2)]
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


def timestamp(value: Any, more: Any = "00:00:00") -> datetime | None:
    """TIMESTAMP; with a second argument, that time later."""
    found, later = to_time(value), clock_of(more)
    try:
        return None if found is None or later is None else as_datetime(found) + later
    except OverflowError:
        return None


def clock_of(value: Any) -> timedelta | None:
    """The time of day of a time, or a duration such as `26:05:00` or `260500`."""
    if value is None:
        return None
    if not isinstance(value, date):
        match = _CLOCK_DIGITS.match(value if isinstance(value, str) else text(value) or "")
        if match:
            hours, rest = divmod(int(match[2]), 10_000)
            minutes, seconds = divmod(rest, 100)
            if minutes > 59 or seconds > 59 or hours > 838:
                return None
            micro = int((match[3] or "0").ljust(6, "0"))
            found = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micro)
            return -found if match[1] else found
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
    whole_time = as_datetime(moment)
    return whole_time - as_datetime(whole_time.date())


@strict
def time_part(value: Any) -> str | None:
    """TIME"""
    found = clock_of(value)
    return None if found is None else clock_text(found)


def clock_text(found: timedelta) -> str:
    """A duration as a server writes it, at most 838:59:59."""
    limit = timedelta(hours=838, minutes=59, seconds=59)
    found = min(max(found, -limit), limit)
    seconds = abs(found) // timedelta(seconds=1)
    micro = abs(found).microseconds
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{micro:06}" if micro else "")
    return "-" + shown if found < timedelta(0) else shown


_PARTS: dict[str, Callable[[datetime], int]] = {
    "YEAR": lambda t: t.year,
    "QUARTER": lambda t: (t.month + 2) // 3,
    "MONTH": lambda t: t.month,
    "WEEK": lambda t: week_of(t, 0)[1],
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
    # A text's fraction counts for seconds only.
    count = number(amount) if unit == "SECOND" or not isinstance(amount, str) else whole(amount)
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


@strict
def make_date(year: Any, day: Any) -> date | None:
    """MAKEDATE: the n-th day of a year."""
    first, number_ = whole(year), whole(day)
    if number_ <= 0 or not 0 <= first <= 9999:
        return None
    try:
        return date(full_year(f"{first:02}") if first < 100 else first, 1, 1) + timedelta(days=number_ - 1)
    except OverflowError:
        return None


@strict
def sec_to_time(value: Any) -> str:
    """SEC_TO_TIME"""
    return clock_text(timedelta(seconds=max(-4_000_000, min(4_000_000, int(number(value))))))


@strict
def time_to_sec(value: Any) -> int | None:
    """TIME_TO_SEC"""
    found = clock_of(value)
    return None if found is None else int(found / timedelta(seconds=1))


# The day of year 0 that Python's day 1 is.
_YEAR_ZERO = 365


@strict
def to_days(value: Any) -> int | None:
    """TO_DAYS"""
    found = date_part(value)
    return None if found is None else found.toordinal() + _YEAR_ZERO


@strict
def from_days(value: Any) -> date | None:
    """FROM_DAYS"""
    ordinal = whole(value) - _YEAR_ZERO
    return date.fromordinal(ordinal) if 0 < ordinal <= date.max.toordinal() else None


@strict
def time_diff(a: Any, b: Any) -> str | None:
    """TIMEDIFF: between two times of day, or between two dates with times."""
    dated = [isinstance(one, date) or (isinstance(one, str) and to_time(one) is not None) for one in (a, b)]
    if all(dated):
        first, second = timestamp(a), timestamp(b)
        return None if first is None or second is None else clock_text(first - second)
    start, end = clock_of(a), clock_of(b)
    return None if any(dated) or start is None or end is None else clock_text(start - end)


@strict
def add_time(value: Any, more: Any, direction: int = 1) -> Any:
    """ADDTIME"""
    later = clock_of(more)
    moment = None if isinstance(value, str) and _CLOCK.match(value) else to_time(value)
    start = clock_of(value)
    if later is None or (moment is None and start is None):
        return None
    try:
        if moment is None and start is not None:
            return clock_text(start + later * direction)
        return None if moment is None else as_datetime(moment) + later * direction
    except OverflowError:
        return None


def sub_time(value: Any, more: Any) -> Any:
    """SUBTIME"""
    return add_time(value, more, -1)
