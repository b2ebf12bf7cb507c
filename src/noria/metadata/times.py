"""Points in time as plans and vendors write them: parsing, formatting, zones.

Inside noria a time is epoch seconds. A text without a zone is in the connection's zone (default Asia/Shanghai).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

DEFAULT_ZONE = ZoneInfo("Asia/Shanghai")

# Suffixes of a macro or field, compared without case (metadata-dialect 3.2).
FORMATS = ("datetime", "date", "time", "timestamp", "timestamp_ms")

_USUAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\Z")
_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]+)?$")
_CHINESE = re.compile(r"([0-9]{4})年([0-9]{1,2})(?:月([0-9]{1,2})日?)?月?")
_CHINESE_CLOCK = re.compile(r"([0-9]{1,2})[时点]([0-9]{1,2})分(?:([0-9]{1,2})秒)?")
_DATE = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})(?:[-/.]([0-9]{1,2}))?(?![0-9])")
# From this size on a number can't be seconds (it would be the year 5138): it is milliseconds.
_MILLISECONDS = 100_000_000_000


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name; raises `ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(name) from error


def parse_time(value: object, tz: ZoneInfo = DEFAULT_ZONE) -> datetime:
    """An aware time from epoch seconds or milliseconds (a number, or a text of at least nine digits), ISO 8601,
    `YYYY-MM-DD[ HH:MM[:SS]]`, also with `/`, `.` or 年月日, `YYYY-MM`, `YYYYMMDD` or `YYYYMMDDHHMMSS`; 24:00:00 is the
    next day's begin. Raises `ValueError` for anything else."""
    if isinstance(value, bool) or value is None:
        raise ValueError(value)
    if isinstance(value, int | float | Decimal):
        return _from_epoch(value, tz)
    if not isinstance(value, str):
        raise ValueError(value)
    text = value.strip()
    if _DIGITS.match(text):
        if len(text) == 14:
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=tz)
        if len(text) == 8:
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=tz)
        if 0 < len(text.partition(".")[0].lstrip("-")) < 9 and text.strip("-0."):
            raise ValueError(value)  # a day's number, a year, a code: no epoch that anybody writes
        return _from_epoch(float(text), tz)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = _read(text)
    return parsed.replace(tzinfo=tz) if parsed.tzinfo is None else parsed.astimezone(tz)


def _read(text: str) -> datetime:
    """A time in another spelling than ISO 8601: one or two digits, other marks between them, 24:00:00."""
    if len(text) > 60:
        raise ValueError(text)
    text = _CHINESE_CLOCK.sub(r"\1:\2:\3", _CHINESE.sub(r"\1-\2-\3 ", text)).replace(": ", " ").strip(" -:")
    text = _DATE.sub(lambda m: f"{m[1]}-{m[2]:0>2}-{m[3] or 1:0>2}", text, count=1)
    text = re.sub(r"(?<![0-9.+:])([0-9])(?=:)|(?<=:)([0-9])(?![0-9])", lambda m: "0" + m[0], text)
    text = re.sub(r"(?<=[0-9])\s+(?=[0-9])", " ", text)
    if "24:00" in text[11:16]:
        return datetime.fromisoformat(text.replace("24:00", "00:00", 1)) + timedelta(days=1)
    return datetime.fromisoformat(text)


def _from_epoch(seconds: float | Decimal, tz: ZoneInfo) -> datetime:
    if isinstance(seconds, Decimal):
        seconds = float(seconds)
    try:
        if not -_MILLISECONDS < seconds < _MILLISECONDS:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, tz)
    except (OverflowError, OSError) as error:
        raise ValueError(seconds) from error


def is_format(name: str) -> bool:
    """Whether a suffix is one of `FORMATS`."""
    return name.lower() in FORMATS


def format_time(value: object, fmt: str, tz: ZoneInfo = DEFAULT_ZONE) -> str | int:
    """A time in one of `FORMATS`; raises `KeyError` for an unknown format, `ValueError` for what is no time."""
    if fmt not in FORMATS:
        fmt = fmt.lower()
        if fmt not in FORMATS:
            raise KeyError(fmt)
    if value.__class__ is str and _USUAL.match(value):
        # The vendors' usual spelling, in the zone that it is shown in.
        moment = datetime.fromisoformat(value)
        if fmt.startswith("timestamp"):
            moment = moment.replace(tzinfo=tz)
    elif value.__class__ is int:
        moment = _from_epoch(value, tz)
    else:
        moment = parse_time(value, tz)
    if fmt == "timestamp":
        return int(moment.timestamp())
    if fmt == "timestamp_ms":
        return int(moment.timestamp() * 1000)
    shown = moment.isoformat(" ")
    return shown[:19] if fmt == "datetime" else shown[:10] if fmt == "date" else shown[11:19]


def iso(seconds: float | None, tz: ZoneInfo | None = DEFAULT_ZONE) -> str | None:
    """Epoch seconds as ISO 8601 with its offset, to the millisecond: how noria prints times for programs."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz or UTC).isoformat(timespec="milliseconds")


def start_of(value: object, tz: ZoneInfo = DEFAULT_ZONE) -> float:
    """Epoch seconds of a time that a person wrote in a plan or on the command line (text, number or TOML date); raises
    `ValueError`."""
    return shown_time(_start_of(value, tz))


def shown_time(seconds: float) -> float:
    """A time that can be shown in every zone: this one, or the nearest."""
    return min(max(seconds, EARLIEST), LATEST)


def earliest_written(seconds: float, tz: ZoneInfo) -> float:
    """The time from which on to ask for what was written at `seconds` or later in local times without a zone: where the
    clocks are about to be put back, the hour that comes twice is written as before."""
    now, later = (datetime.fromtimestamp(shown_time(at), tz).utcoffset() for at in (seconds, seconds + _SOON))
    assert now is not None and later is not None
    return seconds - max(0.0, (now - later).total_seconds())


def _start_of(value: object, tz: ZoneInfo) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=tz)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=tz).timestamp()
    try:
        return parse_time(value, tz).timestamp()
    except OverflowError as error:
        raise ValueError(value) from error


_DURATION = re.compile(r"\s*([0-9]{1,10})\s*(s|m|h|d|w)\s*$")
# Clocks are put back by less than this, in seconds.
_SOON = 3 * 3600
# The first and the last moment that can be shown in every zone, in epoch seconds.
EARLIEST, LATEST = -62_135_510_400.0, 253_402_214_400.0


def duration(value: str | int | float) -> float:
    """Seconds of `90`, `"90s"`, `"15m"`, `"2h"`, `"3d"` or `"1w"`; raises `ValueError` for anything else, also for
    negative ones."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < 1e12:
            raise ValueError(value)
        return float(value)
    match = _DURATION.match(str(value))
    if match is None:
        raise ValueError(value)
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
