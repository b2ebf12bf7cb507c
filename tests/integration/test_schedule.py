"""Schedules: plans at their times, retries when due, changed files at once, broken ones only themselves."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from noria.engine import Finished
from noria.scheduler.crontab import next_fire
from noria.scheduler.loop import Scheduler
from tests.conftest import EMPTY, ITEMS, USERS, Project, connections

BOTH_LEDGERS = True

SHANGHAI = ZoneInfo("Asia/Shanghai")


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
    assert await ticking.to(at("2026-01-01 01:00:00")) == [("users", 30)]
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
    assert [one.sweep is not None for one in ticking.done] == [False]
    await ticking.to(at("2026-01-01 01:00:05"))
    assert [one.sweep is not None for one in ticking.done] == [True]
    await ticking.workspace.close()


async def test_a_clock_that_is_set_back_does_not_silence_a_schedule(project: Project, okki: Any, sink: Any) -> None:
    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS), schedule="*/10 * * * *")
    ticking = Ticking(project)
    await ticking.to(at("2026-01-02 00:05:00"))
    assert await ticking.to(at("2026-01-01 00:05:00")) == []
    assert await ticking.to(at("2026-01-01 00:10:00")) == [("users", 30)]
    await ticking.workspace.close()
