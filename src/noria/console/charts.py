"""Small charts, drawn on the server: no script, no style of their own, a unit and a zero line on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup, escape

from noria.ledger.browsing import RunStands
from noria.ledger.tallies import HOUR
from noria.messages import t
from noria.metadata.times import DEFAULT_ZONE

_WIDE, _HIGH, _LEFT, _FOOT = 640, 132, 52, 20
_RUN_WIDE, _RUN_HIGH = 200, 12


def by_hour(figures: dict[int, int], last: int, count: int = 24) -> list[tuple[int, int]]:
    """A figure for each of the `count` hours up to `last`, nought where nothing happened."""
    return [(hour, figures.get(hour, 0)) for hour in range(last - count + 1, last + 1)]


def bars(points: Sequence[tuple[int, int]], what: str) -> Markup:
    """Figures by the hour as bars. `points`: (hour, figure); `what`: what is counted."""
    if not points:
        return Markup("")
    most = max(value for _, value in points)
    top = _round_up(most)
    base, room = _HIGH - _FOOT, _HIGH - _FOOT - 12
    step = (_WIDE - _LEFT) / len(points)
    drawn = []
    for place, (hour, value) in enumerate(points):
        high = room * value / top
        label = f"{_hour(hour)} · {value:,}"
        drawn.append(
            Markup('<g><title>{0}</title><rect class="{1}" x="{2}" y="{3}" width="{4}" height="{5}"/></g>').format(
                label,
                "bar" if value else "none",
                f"{_LEFT + place * step + 1:.1f}",
                f"{base - max(high, 1):.1f}",
                f"{step - 2:.1f}",
                f"{max(high, 1):.1f}",
            )
        )
    total = sum(value for _, value in points)
    said = t("chart.bars", what=what, total=f"{total:,}", most=f"{most:,}")
    first, last = _hour(points[0][0]), _hour(points[-1][0])
    return _framed(said, top, drawn, first, last)


def spark(points: Sequence[tuple[int, int]], what: str) -> Markup:
    """The same in a table's row: a line over its zero line."""
    most = max((value for _, value in points), default=0)
    total = sum(value for _, value in points)
    said = t("chart.bars", what=what, total=f"{total:,}", most=f"{most:,}")
    if not most:
        return Markup('<svg class="spark" viewBox="0 0 96 20" role="img" aria-label="{0}">{1}</svg>').format(
            said, Markup('<line x1="0" y1="19" x2="96" y2="19"/>')
        )
    step = 96 / max(1, len(points) - 1)
    line = " ".join(f"{place * step:.1f},{19 - 17 * value / most:.1f}" for place, (_, value) in enumerate(points))
    return Markup(
        '<svg class="spark" viewBox="0 0 96 20" role="img" aria-label="{0}"><title>{0}</title>'
        '<polygon points="0,19 {1} 96,19"/><polyline points="{1}"/><line x1="0" y1="19" x2="96" y2="19"/></svg>'
    ).format(said, line)


def span_of(runs: Sequence[RunStands], now: float) -> tuple[float, float]:
    """From when to when runs that are shown together took place."""
    begin = min((run.started_at for run in runs), default=now)
    return begin, max(max((run.finished_at or now for run in runs), default=now), begin + 1.0)


def run_bar(run: RunStands, span: tuple[float, float], now: float) -> Markup:
    """When a run took place, beside the others that are shown."""
    begin, end = span
    scale = _RUN_WIDE / (end - begin)
    x = (run.started_at - begin) * scale
    width = max(2.0, ((run.finished_at or now) - run.started_at) * scale)
    x = min(x, _RUN_WIDE - width)
    return Markup(
        '<svg class="when" viewBox="0 0 {0} {1}" preserveAspectRatio="none" aria-hidden="true">'
        '<line x1="0" y1="6" x2="{0}" y2="6"/><rect class="run-{2}" x="{3}" y="1" width="{4}" height="10"/></svg>'
    ).format(_RUN_WIDE, _RUN_HIGH, run.status, f"{x:.2f}", f"{width:.2f}")


def pace(steps: Sequence[Sequence[float]]) -> Markup:
    """How a run's figures grew: (seconds since it began, staged, delivered, in trouble) from time to time."""
    if len(steps) < 1:
        return Markup("")
    whole = [(0.0, 0.0, 0.0, 0.0), *(tuple(map(float, step)) for step in steps)]
    end = max(whole[-1][0], 0.1)
    top = _round_up(int(max(max(step[1:]) for step in whole)))
    base, room = _HIGH - _FOOT, _HIGH - _FOOT - 12
    lines, names = [], []
    for place, (name, key) in enumerate(
        (("staged", "console.staged"), ("delivered", "state.delivered"), ("troubled", "console.troubled")), 1
    ):
        points = " ".join(
            f"{_LEFT + (_WIDE - _LEFT) * step[0] / end:.1f},{base - room * step[place] / top:.1f}" for step in whole
        )
        lines.append(Markup('<polyline class="line-{0}" points="{1}"/>').format(name, points))
        figure = f"{t(key)} {int(whole[-1][place]):,}"
        names.append(Markup('<span class="key-{0}">{1}</span>').format(name, figure))
    said = t("chart.pace", seconds=f"{end:,.1f}")
    return _framed(said, top, lines, "0 s", f"{end:,.1f} s", names)


def _framed(
    said: str, top: int, drawn: Sequence[Markup], first: str, last: str, names: Sequence[Markup] = ()
) -> Markup:
    """What was drawn, in its frame: nought and `top` beside it, where it begins and ends below it, and above it what
    it shows, with the names of what is drawn."""
    return Markup(
        '<figure class="chart"><figcaption>{said}{names}</figcaption>'
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{said}">'
        '<text x="{axis}" y="16" class="end">{top}</text><text x="{axis}" y="{base}" class="end">0</text>'
        '<line class="faint" x1="{left}" y1="12" x2="{w}" y2="12"/>{drawn}'
        '<line x1="{left}" y1="{base}" x2="{w}" y2="{base}"/>'
        '<text x="{left}" y="{foot}">{first}</text><text x="{w}" y="{foot}" class="end">{last}</text></svg></figure>'
    ).format(
        said=said,
        names=Markup("").join(Markup(" {0}").format(name) for name in names),
        w=_WIDE,
        h=_HIGH,
        axis=_LEFT - 6,
        top=f"{top:,}",
        base=_HIGH - _FOOT,
        left=_LEFT,
        drawn=Markup("").join(drawn),
        foot=_HIGH - 4,
        first=first,
        last=last,
    )


def _round_up(most: int) -> int:
    """The end of an axis: 1, 2 or 5 and noughts."""
    top = 1
    while top < most:
        for factor in (2, 5, 10):
            if top * factor >= most:
                return top * factor
        top *= 10
    return top


def _hour(hour: int) -> str:
    return str(escape(f"{datetime.fromtimestamp(hour * HOUR, DEFAULT_ZONE):%m-%d %H:%M}"))
