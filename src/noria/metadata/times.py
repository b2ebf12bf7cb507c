"""Points in time as plans and vendors write them: parsing, formatting, zones.

Inside noria a time is epoch seconds. A text without a zone is in the connection's zone (default Asia/Shanghai).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

DEFAULT_ZONE = ZoneInfo("Asia/Shanghai")

# Suffixes of a macro or field, compared without case (metadata-dialect 3.2).
FORMATS = ("datetime", "date", "time", "timestamp", "timestamp_ms")

_DIGITS = re.compile(r"-?\d+(\.\d+)?$")
# From this size on a number can't be seconds (it would be the year 5138): it is milliseconds.
_MILLISECONDS = 100_000_000_000


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name; raises `ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(name) from error


def parse_time(value: object, tz: ZoneInfo = DEFAULT_ZONE) -> datetime:
    """An aware time from epoch seconds or milliseconds (number or text), ISO 8601, `YYYY-MM-DD[ HH:MM[:SS]]`,
    `YYYY/MM/DD…`, `YYYYMMDD` or `YYYYMMDDHHMMSS`. Raises `ValueError` for anything else."""
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
        return _from_epoch(float(text), tz)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = datetime.fromisoformat(_padded(text.replace("/", "-")))
    return parsed.replace(tzinfo=tz) if parsed.tzinfo is None else parsed.astimezone(tz)


def _padded(text: str) -> str:
    """`2024-1-5 8:00` with two digits everywhere, as ISO 8601 wants it."""
    return re.sub(r"(?<![\d.+])(\d)(?=[-: T]|$)", r"0\1", text) if not text[:1].isspace() else text


def _from_epoch(seconds: float | Decimal, tz: ZoneInfo) -> datetime:
    if isinstance(seconds, Decimal):
        seconds = float(seconds)
    try:
        if not -_MILLISECONDS < seconds < _MILLISECONDS:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, tz)
    except (OverflowError, OSError) as error:
        raise ValueError(seconds) from error


def format_time(value: object, fmt: str, tz: ZoneInfo = DEFAULT_ZONE) -> str | int:
    """A time in one of `FORMATS`; raises `KeyError` for an unknown format, `ValueError` for what is no time."""
    if fmt not in FORMATS:
        fmt = fmt.lower()
        if fmt not in FORMATS:
            raise KeyError(fmt)
    if value.__class__ is str and len(value) == 19 and value[10] == " " and value[4] == "-" == value[7]:
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
    """Epoch seconds of a time that a person wrote in a plan or on the command line (text, number or TOML date)."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=tz)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=tz).timestamp()
    return parse_time(value, tz).timestamp()


_DURATION = re.compile(r"\s*(\d+)\s*(s|m|h|d|w)\s*$")


def duration(value: str | int | float) -> float:
    """Seconds of `90`, `"90s"`, `"15m"`, `"2h"`, `"3d"` or `"1w"`; raises `ValueError` for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.match(str(value))
    if match is None:
        raise ValueError(value)
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]
