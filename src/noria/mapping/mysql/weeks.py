"""Names of days and months, numbers of weeks."""

from __future__ import annotations

from datetime import datetime

MONTH_NAMES = "January February March April May June July August September October November December".split()
DAY_NAMES = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def week_of(moment: datetime, mode: int) -> tuple[int, int]:
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
    return week_of(datetime(moment.year - 1, 12, 31), mode)
