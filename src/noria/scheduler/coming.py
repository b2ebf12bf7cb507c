"""When plans run next, as their schedules say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cronsim import CronSimError

from noria.engine.sweep import sweep_schedule
from noria.metadata.plan import Plan
from noria.metadata.times import DEFAULT_ZONE, zone
from noria.scheduler.crontab import next_fire


@dataclass(frozen=True, slots=True, order=True)
class Coming:
    """A time at which a plan is to run (epoch seconds), and what of it: extract, deliver, run (both), sweep."""

    at: float
    plan: str
    name: str
    kind: str


@lru_cache(maxsize=4096)
def _next(crontab: str, minute: int, tz: str) -> float | None:
    try:
        return next_fire(crontab, minute * 60.0, zone(tz))
    except (ValueError, CronSimError, StopIteration):
        return None


def coming(plans: Iterable[Plan], now: float, most: int = 8) -> list[Coming]:
    """The next times of the plans that are switched on, the soonest first; each schedule once."""
    found: list[Coming] = []
    for plan in plans:
        if not plan.enabled:
            continue
        for kind, crontab in schedules(plan):
            at = _next(crontab, int(now // 60), plan.timezone or DEFAULT_ZONE.key)
            if at is not None:
                found.append(Coming(at, plan.key, plan.name, kind))
    return sorted(found)[:most]


def times(plan: Plan, crontab: str, now: float, count: int = 5) -> list[float]:
    """The next times of one of a plan's crontabs."""
    found: list[float] = []
    after = now
    for _ in range(count):
        try:
            after = next_fire(crontab, after, plan.zone)
        except (ValueError, CronSimError, StopIteration):
            break
        found.append(after)
    return found


def schedules(plan: Plan) -> list[tuple[str, str]]:
    """A plan's crontabs, each with the kind of run that it begins."""
    source = "run" if plan.target_schedule is None else "extract"
    each = ((source, plan.schedule), ("deliver", plan.target_schedule), ("sweep", sweep_schedule(plan)))
    return [(kind, crontab) for kind, crontab in each if crontab is not None]
