"""What is believed of another system's clock."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from noria.connectors.clocks import clock_skew
from noria.connectors.transport import Answer
from noria.metadata.times import zone

NOW = 1_700_000_000.0
DAY = 86_400.0


def skew(body: Any = None, date: float | None = None, **headers: str) -> float | None:
    """The skew of an answer that came at `NOW`."""
    if date is not None:
        headers["Date"] = formatdate(date, usegmt=True)
    answer = Answer(status=200, headers=headers, body=msgspec.json.encode(body or {}), request="GET /", seconds=0.1)
    return clock_skew(answer, NOW, "meta.now", zone("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("body", "date", "wanted"),
    [
        (None, None, None),
        (None, NOW - 40, -40),
        ({"meta": {"now": "2023-11-15 06:13:00"}}, None, -20),  # 1,700,000,000 is 06:13:20 in Shanghai
        ({"meta": {"now": int(NOW) + 90}}, None, 90),
        ({"meta": {"now": "2023-11-14 22:13:00"}}, None, -20),  # in UTC, although nobody says so
        ({"meta": {"now": int(NOW) - 30}}, NOW + 10, -30),  # the one further behind counts
        ({"meta": {"now": int(NOW - 900 * DAY) - 700}}, None, None),  # no clock is years off: that is something else
        ({"meta": {"now": "soon"}}, None, None),
        (None, NOW - 3 * DAY, -3 * DAY),
        (None, NOW - 900 * DAY, None),
        ({"meta": {"now": int(NOW - 3 * DAY)}}, None, -3 * DAY),  # further off than any zone
    ],
)
def test_clock_skew(body: Any, date: float | None, wanted: float | None) -> None:
    assert skew(body, date) == wanted


def test_the_date_of_a_cached_answer_says_nothing() -> None:
    assert skew(None, NOW - 40, Age="30") is None
