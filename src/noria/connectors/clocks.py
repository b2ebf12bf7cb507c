"""How far a system's clock and ours are apart, as its answers tell."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from noria.connectors.transport import Answer
from noria.metadata.paths import MISSING, at
from noria.metadata.times import parse_time

# A difference of more than this is a broken header, not a clock: ours, too, may be wrong by days.
_MOST = 400 * 86_400.0
# Times without a zone are often not in the zone that they are said to be in: of such a time only what lies within the
# half hour is believed.
_STEP = 1800.0
# No two zones are further apart than this.
_MOST_ZONES = 26 * 3600.0


def clock_skew(answer: Answer, received_at: float, now_path: str, tz: ZoneInfo) -> float | None:
    """Seconds that a system's clock is ahead of ours (below 0: behind), from the time in the body at `now_path` and the
    `Date` header of an answer that came at `received_at`; the one further behind counts. None when neither says."""
    found = (_of_header(answer, received_at), _of_body(answer, received_at, now_path, tz))
    believed = [skew for skew in found if skew is not None and abs(skew) <= _MOST]
    return min(believed) if believed else None


def _of_header(answer: Answer, received_at: float) -> float | None:
    date = answer.headers.get("Date")
    if not date or answer.headers.get("Age"):
        return None
    try:
        return parsedate_to_datetime(date).timestamp() - received_at
    except (TypeError, ValueError):
        return None


def _of_body(answer: Answer, received_at: float, path: str, tz: ZoneInfo) -> float | None:
    if not path:
        return None
    try:
        said: Any = at(msgspec.json.decode(answer.body), path)
        if said is MISSING:
            return None
        skew = parse_time(said, tz).timestamp() - received_at
    except (msgspec.DecodeError, RecursionError, ValueError, TypeError):
        return None
    if abs(skew) > _MOST_ZONES:
        return skew
    return skew - round(skew / _STEP) * _STEP
