"""A crontab's next time, in its zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim


def next_fire(crontab: str, after: float, tz: ZoneInfo) -> float:
    """The first time after `after` (epoch seconds) that a five-field crontab names in zone `tz`, as epoch seconds.

    `?` in the day fields means `*`. Times that a clock change skips or repeats are treated as Debian's cron does.
    """
    return float(next(CronSim(_fields(crontab), datetime.fromtimestamp(after, tz))).timestamp())


def last_fire(crontab: str, before: float, tz: ZoneInfo) -> float:
    """The last time that a crontab names at or before `before`, likewise."""
    # The search begins before the moment it is given, which itself may be named.
    begin = datetime.fromtimestamp(before + 1, tz)
    return float(next(CronSim(_fields(crontab), begin, reverse=True)).timestamp())


def _fields(crontab: str) -> str:
    """A crontab as the library reads it."""
    return " ".join(f.replace("?", "*") if i in (2, 4) else f for i, f in enumerate(crontab.split()))
