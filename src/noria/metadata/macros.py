"""System macros and their values: times that belong to a run, positions that belong to a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from noria.metadata.expression_tree import Macro
from noria.metadata.times import DEFAULT_ZONE, format_time, shown_time


@dataclass(frozen=True)
class Moment:
    """The times a run works with, in epoch seconds, and the zone that times without one are in."""

    last_sync: float
    now: float
    tz: ZoneInfo = DEFAULT_ZONE
    lenient: bool = False


@dataclass(frozen=True)
class PagePosition:
    """Where a page begins: its size in rows, its row offset from 0 and its number from 1."""

    size: int = 100
    row: int = 0
    page: int = 1


def macro_value(macro: Macro, moment: Moment, position: PagePosition | None = None) -> Any:
    """A macro's value: epoch seconds for times, formatted when it has a suffix. An unknown suffix raises `KeyError`
    unless the plan is lenient."""
    if macro.name.startswith("PAGINATION_"):
        place = position or PagePosition()
        return {
            "PAGINATION_PAGE_SIZE": place.size,
            "PAGINATION_START_ROW": place.row,
            "PAGINATION_START_PAGE": place.page,
        }[macro.name]
    if macro.seconds_ago is not None:
        seconds = moment.now - macro.seconds_ago
    else:
        seconds = moment.last_sync if macro.name == "LAST_SYNC_TIME" else moment.now
    if macro.format is None or macro.format.lower() == "timestamp":
        # The first run's LAST_SYNC_TIME is midnight in the connection's zone, which may be before the epoch.
        seconds = max(seconds, 0)
    return formatted(int(shown_time(seconds)), macro.format, moment)


def formatted(value: Any, fmt: str | None, moment: Moment) -> Any:
    """A value with its suffix applied, nothing for a zero date; a lenient plan leaves it as it is when the suffix is
    unknown."""
    if fmt is None:
        return value
    if value.__class__ is str and value.startswith("0000-00-00"):
        return ""
    try:
        return format_time(value, fmt, moment.tz)
    except KeyError:
        if moment.lenient:
            return value
        raise
