"""Schedules: plans at their times, retries when due, changed files at once, broken ones only themselves."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from noria.engine import Finished
from noria.ledger import open_ledger
from noria.metadata.plan import Plan
from noria.metadata.project import load_plan
from noria.scheduler.crontab import next_fire
from noria.scheduler.loop import Scheduler
from noria.scheduler.timetable import Timetable
from tests.conftest import EMPTY, ITEMS, USERS, Project, connections

BOTH_LEDGERS = True

SHANGHAI = ZoneInfo("Asia/Shanghai")
# Ticks of a year are this many seconds apart.
STEP = 600


def at(text: str, tz: ZoneInfo = SHANGHAI) -> float:
    """Epoch seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=tz).timestamp()


@pytest.mark.parametrize(
    ("crontab", "after", "wanted"),
    [
        ("*/10 * * * *", "2026-01-01 00:00:00", "2026-01-01 00:10:00"),
        ("3 2 * * *", "2026-01-01 03:00:00", "2026-01-02 02:03:00"),
        ("2-59/5 8-22 * * *", "2026-01-01 22:58:00", "2026-01-02 08:02:00"),
        ("0 0 ? * 1", "2026-01-01 00:00:00", "2026-01-05 00:00:00"),
    ],
)
def test_next_times(crontab: str, after: str, wanted: str) -> None:
    assert next_fire(crontab, at(after), SHANGHAI) == at(wanted)


class Ticking:
    """A scheduler whose ticks a test makes itself."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.done: list[Finished] = []
        self.workspace = project.workspace()
        self.scheduler = Scheduler(self.workspace, asyncio.Event(), self.done.append)

    async def to(self, when: float) -> list[tuple[str, int]]:
        """Tick at a time; what ran: plan and delivered."""
        self.done.clear()
        self.project.clock.time = when
        self.scheduler.tick(when)
        await self.scheduler.idle()
        return [(one.plan, one.counts.delivered) for one in self.done]


async def test_plans_run_at_their_times_and_files_count_at_once(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="*/10 * * * *")
    ticking = Ticking(project)
    start = at("2026-01-01 00:01:00")
    assert await ticking.to(start) == []
    assert await ticking.to(start + 300) == []
    assert await ticking.to(at("2026-01-01 00:10:00")) == [("users", 30)]
    assert await ticking.to(at("2026-01-01 00:10:05")) == []
    (project.folder / "plans" / "broken.json").write_text("{", encoding="utf-8")
    project.plan("again", ("okki", USERS), ("sink", EMPTY), schedule="*/5 * * * *")
    assert await ticking.to(at("2026-01-01 00:11:00")) == []
    assert sorted(await ticking.to(at("2026-01-01 02:00:00"))) == [("again", 30), ("users", 0)], (
        "missed times count once"
    )
    file = project.folder / "plans" / "again.json"
    plan = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**plan, "enabled": False}), encoding="utf-8")
    assert await ticking.to(at("2026-01-01 03:00:00")) == [("users", 0)]
    await ticking.workspace.close()


async def test_failed_records_are_tried_when_they_are_due(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="0 0 1 1 *")
    sink[0].faults.add({"kind": "reject", "ids": ["55000003"], "times": 1})
    await project.run("users")
    ticking = Ticking(project)
    now = project.clock.time
    assert await ticking.to(now + 10) == []
    reads = okki[0].requests["GET /v1/user/list"]
    assert await ticking.to(now + 25) == [("users", 1)]
    assert okki[0].requests["GET /v1/user/list"] == reads, "only the target's half runs"
    await ticking.workspace.close()


async def test_two_crontabs_extract_and_deliver_apart(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="0 * * * *", target_schedule="30 * * * *")
    ticking = Ticking(project)
    await ticking.to(at("2026-01-01 00:01:00"))
    assert await ticking.to(at("2026-01-01 00:30:00")) == [("users", 0)]
    assert await ticking.to(at("2026-01-01 01:00:00")) == [("users", 0)]
    assert project.counts("users") == {"pending": 30}
    assert await ticking.to(at("2026-01-01 01:30:00")) == [("users", 30)]
    await ticking.workspace.close()


async def test_sweeps_have_a_schedule_of_their_own(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    remedy = {"crontab": "30 */2 * * *"}
    project.plan("users", ("okki", {**USERS, "omissionRemedy": remedy}), ("sink", ITEMS), schedule="0 1 * * *")
    nightly = {"sweep": {"schedule": "15 3 * * *"}}
    project.plan("night", ("okki", USERS), ("sink", EMPTY), options=nightly)
    ticking = Ticking(project)
    assert await ticking.to(at("2026-01-01 00:00:00")) == []
    assert await ticking.to(at("2026-01-01 01:00:00")) == [("users", 30), ("users", 0)], "half past midnight was missed"
    assert await ticking.to(at("2026-01-01 02:30:00")) == [("users", 0)]
    assert ticking.done[0].sweep is not None and ticking.done[0].counts.unchanged == 30
    assert await ticking.to(at("2026-01-01 03:15:00")) == [("night", 30)]
    await ticking.workspace.close()


async def test_what_falls_due_while_a_plan_runs_is_done_after(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    options = {"sweep": {"schedule": "0 * * * *"}}
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="0 * * * *", options=options)
    ticking = Ticking(project)
    await ticking.to(at("2026-01-01 00:30:00"))
    assert [one.sweep is not None for one in ticking.done] == []
    await ticking.to(at("2026-01-01 01:00:00"))
    assert [one.sweep is not None for one in ticking.done] == [False, True]
    await ticking.to(at("2026-01-01 01:00:05"))
    assert ticking.done == []
    await ticking.workspace.close()


async def test_a_clock_that_is_set_back_does_not_silence_a_schedule(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="*/10 * * * *")
    ticking = Ticking(project)
    await ticking.to(at("2026-01-02 00:05:00"))
    assert await ticking.to(at("2026-01-01 00:05:00")) == []
    assert await ticking.to(at("2026-01-01 00:10:00")) == [("users", 30)]
    await ticking.workspace.close()


async def test_times_that_passed_while_nothing_ran_are_made_up_for_once(project: Project, okki: Any, sink: Any) -> None:
    """Over a restart; not for a plan that was paused meanwhile, nor for one whose times were changed."""
    project.connections(connections(okki[1].url, sink[1].url))
    for key in ("users", "paused", "changed"):
        project.plan(key, ("okki", USERS), ("sink", EMPTY), schedule="0 * * * *")
    first = Ticking(project)
    await first.to(at("2026-01-01 00:30:00"))
    assert len(await first.to(at("2026-01-01 01:00:00"))) == 3
    project.plan("paused", ("okki", USERS), ("sink", EMPTY), schedule="0 * * * *", enabled=False)
    assert await first.to(at("2026-01-01 01:00:05")) == []
    await first.workspace.close()
    project.plan("paused", ("okki", USERS), ("sink", EMPTY), schedule="0 * * * *")
    project.plan("changed", ("okki", USERS), ("sink", EMPTY), schedule="0 8 * * *")
    later = Ticking(project)
    assert [plan for plan, _ in await later.to(at("2026-01-01 09:30:00"))] == ["users"]
    assert await later.to(at("2026-01-01 09:30:05")) == []
    assert sorted(plan for plan, _ in await later.to(at("2026-01-01 10:00:00"))) == ["paused", "users"]
    await later.workspace.close()


async def test_what_was_wanted_when_the_process_died_is_run_by_the_next(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", EMPTY), schedule="0 * * * *")
    first = Ticking(project)
    await first.to(at("2026-01-01 00:30:00"))
    project.clock.time = at("2026-01-01 01:00:00")
    first.scheduler.tick(project.clock.time)
    for task in first.scheduler._active.values():
        task.cancel()
    await asyncio.gather(*first.scheduler._active.values(), return_exceptions=True)
    await first.workspace.close()
    later = Ticking(project)
    assert await later.to(at("2026-01-01 01:02:00")) == [("users", 30)]
    assert await later.to(at("2026-01-01 01:02:05")) == []
    await later.workspace.close()


async def test_one_process_looks_at_the_schedules_and_another_when_it_is_silent(
    project: Project, okki: Any, sink: Any
) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", EMPTY), schedule="*/10 * * * *")
    first, second = Ticking(project), Ticking(project)
    await first.to(at("2026-01-01 00:05:00"))
    assert await second.to(at("2026-01-01 00:05:01")) == []
    assert await first.to(at("2026-01-01 00:10:00")) == [("users", 30)]
    assert await second.to(at("2026-01-01 00:10:01")) == []
    assert await second.to(at("2026-01-01 00:20:05")) == [("users", 0)], "the first has been silent"
    assert await first.to(at("2026-01-01 00:20:06")) == []
    first.workspace.ledger.agenda.resign()
    second.workspace.ledger.agenda.resign()
    assert await first.to(at("2026-01-01 00:30:00")) == [("users", 0)]
    await first.workspace.close()
    await second.workspace.close()


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Shanghai"])
@pytest.mark.parametrize("crontab", ["*/10 * * * *", "30 2 * * *", "0 0 1 * *", "20 3 * * 0", "50 23 31 12 *"])
def test_each_time_of_a_year_comes_exactly_once(tmp_path: Path, name: str, crontab: str) -> None:
    """A tick every ten minutes, clocks changed on the way: as often, and when, as a calendar says."""
    tz = ZoneInfo(name)
    plan = planned(tmp_path, schedule=crontab, timezone=name)
    complaints: list[Any] = []
    with open_ledger("sqlite:///l.db", tmp_path) as ledger:
        assert ledger.agenda.lead(0.0)
        table = Timetable(ledger.agenda, lambda *said: complaints.append(said))
        start, end = at("2026-01-01 00:00:00", tz), at("2027-01-01 00:00:00", tz)
        fired: list[float] = []
        now = start
        while now <= end:
            if ("p", "extract") in table.tick([plan], now):
                fired.append(now)
            now += STEP
    assert complaints == [] and fired == wanted_fires(crontab, tz, start, end)


def planned(folder: Path, **how: Any) -> Plan:
    """A plan that has times."""
    project = Project(folder)
    return load_plan(project.plan("p", ("a", USERS), ("b", EMPTY), **how))[0]


def wanted_fires(crontab: str, tz: ZoneInfo, start: float, end: float) -> list[float]:
    """By the wall clock, step by step. A wall time that comes twice counts the first time; one that is skipped
    counts when the clock has jumped. A time given with `*` for the hour goes by what passes instead."""
    minute, hour, day, month, weekday = crontab.split()
    found, seen = [], set()
    wild = hour == "*"
    before = datetime.fromtimestamp(start, tz)
    now = start + STEP
    while now <= end:
        local = datetime.fromtimestamp(now, tz)
        passed = [local.replace(tzinfo=None)]
        jump = (local.replace(tzinfo=None) - before.replace(tzinfo=None)).total_seconds()
        if jump > STEP and not wild:
            passed = [before.replace(tzinfo=None) + timedelta(seconds=STEP * (n + 1)) for n in range(int(jump // STEP))]
        if any(_names(one, minute, hour, day, month, weekday) and (wild or one not in seen) for one in passed):
            found.append(now)
            seen.update(passed)
        before = local
        now += STEP
    return found


def _names(when: datetime, *fields: str) -> bool:
    parts = (when.minute, when.hour, when.day, when.month, (when.weekday() + 1) % 7)
    return all(
        field == "*" or (field.startswith("*/") and part % int(field[2:]) == 0) or field == str(part)
        for field, part in zip(fields, parts, strict=True)
    )
