"""Alerts: what begins and ends them, who hears of it, once, whatever happens in between."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from noria.engine import Workspace, reconcile_plan
from noria.engine.sweep import sweep_of
from noria.ledger.agenda import SCHEDULER_SECONDS
from noria.ledger.alerts import Alert, Begun
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import start_of
from noria.scheduler.alerting import GAP, PAUSES
from noria.scheduler.loop import Scheduler
from noria.simulators.robots import Robots
from noria.simulators.server import serve
from tests.conftest import EMPTY, Project
from tests.servers import listening

BOTH_LEDGERS = True

ROBOTS = """
[alerts]
url = "https://noria.example.com"
[alerts.channels.ding]
kind = "dingtalk"
url = "env:DING_URL"
secret = "env:DING_SECRET"
"""
EVERYBODY = (
    ROBOTS
    + """
[alerts.channels.wecom]
kind = "wecom"
url = "env:WECOM_URL"
language = "zh"
[alerts.channels.feishu]
kind = "feishu"
url = "env:FEISHU_URL"
secret = "env:DING_SECRET"
[alerts.channels.hook]
kind = "webhook"
url = "env:HOOK_URL"
token = "env:HOOK_TOKEN"
"""
)
TOKEN, SECRET = "abc123DEF456", "SEC0123456789abcdef"


class Source:
    """A list that a plan reads: how it answers, and what it holds."""

    def __init__(self) -> None:
        self.status = 200
        self.rows: list[dict[str, Any]] = [{"id": "a"}]
        self.accepted = True

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/list", self._list), web.post("/items", self._items)]

    async def _list(self, _: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"message": f"/x?access_token=tell-nobody {SECRET} is wrong"}, status=self.status)
        return web.json_response({"data": self.rows})

    async def _items(self, request: web.Request) -> web.Response:
        rows = await request.json()
        done = [{"id": row["id"], "ok": self.accepted, "message": "部门不存在"} for row in rows]
        return web.json_response({"results": done})


class Office:
    """A project with a plan `orders`, the source it reads, the robots that people listen to, a scheduler whose looks a
    test makes itself."""

    def __init__(self, project: Project, source: Source, robots: Robots, url: str) -> None:
        self.project = project
        self.source = source
        self.robots = robots
        self.url = url
        self.workspace: Workspace = project.workspace()
        self.scheduler = Scheduler(self.workspace, asyncio.Event())

    def settings(self, alerts: str) -> None:
        self.project.connections(
            f'[connections.crm]\nconnector = "http"\nbase_url = "{self.url}"\nenvelope = {{ records = "data" }}\n'
            f'write = {{ results = "results" }}\n[connections.inside]\nconnector = "noria"\n{alerts}'
        )

    def plan(self, key: str = "orders", **more: Any) -> None:
        source = {"api": "/list", "id": "id", "idCheck": True}
        options = {"retry": {"tries": 1, "schedule": []}, **more.pop("options", {})}
        self.project.plan(key, ("crm", source), more.pop("target", ("inside", EMPTY)), options=options, **more)

    async def look(self, later: float = 5.0) -> list[str]:
        """One look, so many seconds later; what was heard meanwhile."""
        before = len(self.robots.messages)
        self.project.clock.time += later
        self.scheduler.tick(self.project.clock.time)
        await self.scheduler.idle()
        return [one.text for one in self.robots.messages[before:]]

    async def until(self, when: str) -> list[str]:
        """Looks every four minutes up to a time, and what was heard."""
        heard: list[str] = []
        clock, end = self.project.clock, start_of(when)
        if end - clock.time > 30 * 86400:
            clock.time = end - 240
        while clock.time < end:
            heard += await self.look(min(240.0, end - clock.time))
        return heard

    async def run(self, key: str = "orders") -> None:
        """Have a plan run, as somebody would from the console."""
        self.workspace.ledger.agenda.want([(key, "extract"), (key, "deliver")], self.project.clock.time)

    async def fail(self, times: int = 3, key: str = "orders") -> list[str]:
        """Runs that fail, then a look."""
        self.source.status = 403
        heard: list[str] = []
        for _ in range(times):
            await self.run(key)
            heard += await self.look()
        return heard + await self.look()

    async def restart(self) -> None:
        """As a new process would: nothing is known but what is kept."""
        self.workspace.ledger.agenda.resign()
        await self.workspace.close()
        self.workspace = self.project.workspace()
        self.scheduler = Scheduler(self.workspace, asyncio.Event())

    @property
    def on(self) -> list[Alert]:
        return self.workspace.ledger.alerts.on()


@pytest.fixture
async def office(project: Project, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    source, robots = Source(), Robots(token=TOKEN, secret=SECRET, bearer="hook-bearer-1", now=project.clock.now)
    async with listening(source.routes()) as url, serve(robots) as running:
        for name, value in {
            "DING_URL": f"{running.url}/robot/send?access_token={TOKEN}",
            "DING_SECRET": SECRET,
            "WECOM_URL": f"{running.url}/cgi-bin/webhook/send?key={TOKEN}",
            "FEISHU_URL": f"{running.url}/open-apis/bot/v2/hook/{TOKEN}",
            "HOOK_URL": f"{running.url}/webhook",
            "HOOK_TOKEN": "hook-bearer-1",
        }.items():
            monkeypatch.setenv(name, value)
        (project.folder / "noria.toml").write_text("", encoding="utf-8")
        project.connections("")
        made = Office(project, source, robots, url)
        made.settings(ROBOTS)
        made.plan(name="订单同步")
        await made.look()
        yield made
        await made.workspace.close()


async def test_runs_that_failed_in_a_row_begin_one_alert_and_the_next_good_one_ends_it(office: Office) -> None:
    assert await office.fail(2) == [] and office.on == []
    (began,) = await office.fail(1)
    assert began.startswith(
        "noria alert: 订单同步\n[critical] 订单同步 (orders)\nRuns failed in a row (read and deliver): 3"
    )
    assert "https://noria.example.com/plans/orders" in began
    # It holds: no second message, however often it is looked at; it is told in newer words where people look.
    assert await office.fail(2) == [] and await office.look(3600) == []
    (alert,) = office.on
    assert alert.what is not None and alert.what.values["count"] == 5
    office.source.status = 200
    await office.run()
    await office.look()
    (ended,) = await office.look(GAP)
    assert ended.startswith("noria alert over: 订单同步\n[over] 订单同步 (orders)\n") and office.on == []
    assert await office.look(3600) == []


async def test_no_secret_is_told(office: Office) -> None:
    (began,) = await office.fail()
    kept = office.workspace.ledger.store.tuples("SELECT what FROM alerts")
    for text in (began, json.dumps(kept)):
        assert "is wrong" in text and "tell-nobody" not in text and TOKEN not in text
    assert SECRET not in began


async def test_records_given_up_on_are_one_alert_until_somebody_has_seen_to_them(office: Office) -> None:
    office.source.accepted = False
    office.source.rows = [{"id": f"r{n}"} for n in range(7)]
    office.plan(target=("crm", {"api": "/items", "request": [{"field": "id", "value": "{{id}}"}]}))
    await office.run()
    heard = await office.look() + await office.look()
    assert len(heard) == 1 and "[warning]" in heard[0] and ": 7" in heard[0] and "/failures?plan=orders" in heard[0]
    office.source.rows += [{"id": "r7"}]
    await office.run()
    assert await office.look() + await office.look(GAP) == [] and office.on[0].what is not None
    assert office.on[0].what.values["count"] == "8"
    office.source.accepted = True
    ledger = office.workspace.ledger
    number = ledger.runs.known_plan("orders")
    assert number is not None and ledger.records.replay(number, office.project.clock.time, state="dead") == 8
    await office.run()
    (ended,) = await office.look() + await office.look()
    assert "[over]" in ended and office.on == []


async def test_other_states_only_where_the_rule_names_them(office: Office) -> None:
    office.source.rows = [{"id": ""}, {"id": "a"}]
    await office.run()
    assert await office.look() + await office.look() == []
    office.settings(ROBOTS + '[alerts.rules.dead]\nstates = ["dead", "invalid"]\n')
    (began,) = await office.look()
    assert ": 1" in began


async def test_a_plan_behind_its_schedule(office: Office) -> None:
    office.settings(ROBOTS + '[alerts.rules.failures]\nenabled = false\n[alerts.rules.lag]\nafter = "30m"\n')
    await office.until("2026-03-02 00:10:00")
    office.plan(schedule="0 * * * *")
    # It came into being now: of the years before nothing was due.
    assert await office.until("2026-03-02 00:50:00") == []
    office.source.status = 403
    assert await office.until("2026-03-02 01:29:00") == []
    (began,) = await office.until("2026-03-02 01:35:00")
    assert "Behind schedule: a read was due at 2026-03-02 01:00, none has ever reached its end" in began
    assert await office.until("2026-03-02 01:55:00") == []
    office.source.status = 200
    (ended,) = await office.until("2026-03-02 02:05:00")
    assert "[over]" in ended
    # What is read in time is not worth a word.
    assert await office.until("2026-03-02 04:50:00") == []
    office.source.status = 403
    (began,) = await office.until("2026-03-02 05:40:00")
    assert "due at 2026-03-02 05:00, the last whole one began at 2026-03-02 04:0" in began
    # Who pauses a plan wants to hear nothing more of it.
    office.plan(schedule="0 * * * *", enabled=False)
    (ended,) = await office.look()
    assert "[plan paused]" in ended
    assert await office.until("2026-03-02 08:10:00") == []
    # Nor at once when it goes on, for what was not done meanwhile.
    office.plan(schedule="0 * * * *")
    assert await office.until("2026-03-02 08:55:00") == []


async def test_after_nobody_has_looked_for_a_while_there_is_time_to_make_up(office: Office) -> None:
    office.settings(ROBOTS + '[alerts.rules.failures]\nenabled = false\n[alerts.rules.lag]\nafter = "30m"\n')
    await office.until("2026-03-02 00:10:00")
    office.plan(schedule="0 * * * *")
    await office.until("2026-03-02 02:10:00")
    await office.restart()
    office.source.status = 403
    assert await office.look(9 * 3600) == [] and await office.until("2026-03-02 11:30:00") == []
    (began,) = await office.until("2026-03-02 11:50:00")
    assert "the last whole one began at 2026-03-02 02:0" in began


async def test_what_is_wanted_and_nobody_runs(office: Office) -> None:
    look = office.scheduler.runner.look
    for _ in range(29):
        # Asked for again and again, as a retry that is due is: it waits since the first time.
        await office.run()
        office.project.clock.time += 120
        look(office.project.clock.time)
        await office.scheduler.runner.alerting.idle()
    assert [one.text for one in office.robots.messages] == []
    office.project.clock.time += 120
    look(office.project.clock.time)
    await office.scheduler.runner.alerting.idle()
    (began,) = [one.text for one in office.robots.messages]
    assert "done by nobody: deliver" in began
    (ended,) = await office.look(GAP) + await office.look()
    assert "[over]" in ended


async def test_what_is_wanted_again_while_it_runs_waits_from_then_on(office: Office) -> None:
    agenda, vitals, now = office.workspace.ledger.agenda, office.workspace.ledger.vitals, office.project.clock.time
    agenda.want([("orders", "extract")], now)
    taken = agenda.wanted()
    agenda.want([("orders", "extract")], now + 3000)
    assert [one.first for one in vitals.asked(now)] == [now]
    agenda.done(taken)
    assert [one.first for one in vitals.asked(now)] == [now + 3000]


async def test_who_looks_no_more_changes_nothing(office: Office) -> None:
    """A process that was away for too long, and does not know it, can neither begin nor send."""
    now = office.project.clock.time
    async with office.project.workspace() as beside:
        assert beside.ledger.agenda.lead(now + 60)
        alerts = office.workspace.ledger.alerts
        begun = Begun("dead", "dead", "orders", "warning", Message("alert.dead", {"count": "1"}), ("ding",))
        for act in (lambda: alerts.change(now, [begun], [], [], []), lambda: alerts.try_("ding", [], now, now)):
            with pytest.raises(NoriaError) as caught:
                act()
            assert caught.value.code == "superseded"
    assert office.on == [] and alerts.channels() == {}


async def test_nothing_new_received_for_a_while(office: Office) -> None:
    office.settings(ROBOTS + '[alerts.rules.orders-come]\nkind = "silence"\nafter = "6h"\nplans = ["orders"]\n')
    office.plan("others")
    await office.run()
    await office.run("others")
    assert await office.look() == []
    assert await office.look(6 * 3600 - 20) == []
    await office.run()
    assert await office.look() == [], "the same records once more are nothing new"
    (began,) = await office.look(30)
    assert "Nothing new or changed was received since" in began and "orders" in began and "others" not in began
    office.source.rows += [{"id": "b"}]
    await office.run()
    (ended,) = await office.look() + await office.look(GAP)
    assert "[over]" in ended


def _jwt(exp: float) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "noria", "exp": int(exp)})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


async def test_fixed_tokens_that_run_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    now, day = office.project.clock.time, 86400.0
    token = _jwt(now + 8 * day)
    monkeypatch.setenv("CRM_TOKEN", token)
    written = datetime.fromtimestamp(now + 40 * day, UTC).strftime("%Y-%m-%d")
    auth = '[connections.{}]\nconnector = "http"\nbase_url = "{}"\nauth = {{ type = "bearer", token = "env:CRM_TOKEN" {}}}\n'
    dated = auth.format("dated", office.url, f', expires = "{written}"')
    unused = auth.format("unused", office.url, "")
    office.settings(auth.format("jwt", office.url, "") + dated + unused + ROBOTS)
    for name in ("jwt", "dated"):
        office.project.plan(name, (name, {"api": "/list", "id": "id"}), ("inside", EMPTY))
    assert await office.look() == []
    (began,) = await office.look(1.1 * day)
    assert "[warning] jwt" in began and "runs out at" in began and token not in began
    assert [one.subject for one in office.on] == ["jwt"], "what no plan uses may run out"
    assert began.endswith("https://noria.example.com/connections")
    assert await office.look(7 * day) == [] and "ran out" in str(office.on[0].what)
    monkeypatch.setenv("CRM_TOKEN", _jwt(now + 400 * day))
    (ended,) = await office.look(120)
    assert "[over] jwt" in ended
    (began,) = await office.look(26 * day)
    assert "[warning] dated" in began


async def test_differences_that_the_newest_reconciliation_found(office: Office) -> None:
    await office.run()
    await office.look()

    async def compared() -> None:
        plan = office.workspace.project.plan("orders")
        whole = sweep_of(plan, office.project.clock.time, whole=True)
        await reconcile_plan(office.workspace, plan, wanted=whole)

    await compared()
    assert await office.look() == []
    office.source.rows += [{"id": "b"}, {"id": "c"}]
    await compared()
    (began,) = await office.look()
    assert began.endswith("https://noria.example.com/reconciliation?plan=orders")
    assert "found differences: 2" in began and await office.look(3600) == []
    await office.run()
    await office.look()
    await compared()
    (ended,) = await office.look()
    assert "[over]" in ended


async def test_what_begins_in_one_look_is_one_message(office: Office) -> None:
    office.settings(EVERYBODY)
    for key in ("b", "c"):
        office.plan(key)
    office.source.status = 403
    for _ in range(3):
        for key in ("orders", "b", "c"):
            await office.run(key)
        await office.look()
    await office.look()
    by_robot = {one.robot: one.text for one in office.robots.messages}
    assert (
        sorted(by_robot)
        == sorted(one.robot for one in office.robots.messages)
        == ["dingtalk", "feishu", "webhook", "wecom"]
    )
    assert by_robot["dingtalk"].startswith("noria alerts: 3 on, 0 over\n")
    assert (
        by_robot["wecom"].startswith("noria 告警：3 个开始，0 个结束\n")
        and "连续 3 次读取并写入失败" in by_robot["wecom"]
    )
    for text in by_robot.values():
        assert all(f"/plans/{key}" in text for key in ("orders", "b", "c"))
    hook = next(one.body for one in office.robots.messages if one.robot == "webhook")
    assert [(one["phase"], one["kind"]) for one in hook["alerts"]] == [("began", "failures")] * 3
    assert {(one["subject"], one["name"]) for one in hook["alerts"]} == {("orders", "订单同步"), ("b", "b"), ("c", "c")}
    assert office.robots.refused == []


async def test_many_at_once_fit_into_what_a_robot_takes(office: Office) -> None:
    office.settings(EVERYBODY)
    plans = [f"方案{'很长的名字' * 5}{n}" for n in range(60)]
    for key in plans:
        office.plan(key)
    await office.look()
    with office.workspace.ledger.store.transaction() as c:
        for key in plans:
            c.run("INSERT INTO plans (key, name) VALUES (:key, :key)", {"key": key})
            c.run(
                "INSERT INTO failing (plan_id, kind, runs, since, run_id)"
                " SELECT plan_id, 'run', 3, :now, 0 FROM plans WHERE key = :key",
                {"key": key, "now": office.project.clock.time},
            )
    await office.look()
    assert len(office.robots.messages) == 4 and office.robots.refused == []
    wecom = next(one.text for one in office.robots.messages if one.robot == "wecom")
    assert wecom.startswith("noria 告警：60 个开始") and "另有" in wecom and "https://noria.example.com/alerts" in wecom


QUIET = ROBOTS + 'quiet = { from = "22:00", to = "08:00" }\nzone = "Asia/Shanghai"\n'


async def test_quiet_hours_hold_back_and_drop_nothing_silently(office: Office) -> None:
    office.settings(QUIET + EVERYBODY.removeprefix(ROBOTS))
    for key in ("brief", "told"):
        office.plan(key)
    await office.look(start_of("2026-03-02 21:00:00") - office.project.clock.time)
    await office.fail(key="told")
    assert {one.robot for one in office.robots.messages} == {"dingtalk", "wecom", "feishu", "webhook"}
    await office.look(start_of("2026-03-02 22:30:00") - office.project.clock.time)
    office.robots.messages.clear()
    await office.fail(key="orders")
    await office.fail(key="brief")
    assert len(office.on) == 3 and {one.robot for one in office.robots.messages} == {"wecom", "feishu", "webhook"}
    office.source.status = 200
    for key in ("brief", "told"):
        await office.run(key)
    await office.look()
    await office.look(start_of("2026-03-03 07:59:00") - office.project.clock.time)
    assert not [one for one in office.robots.messages if one.robot == "dingtalk"]
    await office.look(90)
    (morning,) = [one.text for one in office.robots.messages if one.robot == "dingtalk"]
    # What still holds; that what had been told before is over; and nothing of what began and ended in between.
    assert morning.startswith("noria alerts: 1 on, 1 over") and "brief" not in morning
    assert "[critical] 订单同步 (orders)" in morning and "[over] told" in morning
    ended = office.workspace.ledger.alerts.ended()
    notices = office.workspace.ledger.alerts.notices([one.number for one in ended])
    kept = {one.subject: [(n.phase, n.state) for n in notices[one.number] if n.channel == "ding"] for one in ended}
    assert kept == {"brief": [("began", "quiet")], "told": [("began", "sent"), ("ended", "sent")]}


async def test_a_new_process_says_nothing_twice_and_forgets_nothing(office: Office) -> None:
    (_,) = await office.fail()
    for _ in range(3):
        await office.restart()
        assert await office.look(60) == []
    assert len(office.on) == 1
    office.source.status = 200
    await office.run()
    await office.restart()
    (ended,) = await office.look() + await office.look(GAP)
    assert "[over]" in ended


async def test_two_processes_send_one_message(office: Office) -> None:
    async with office.project.workspace() as beside:
        other = Scheduler(beside, asyncio.Event())
        office.source.status = 403
        for _ in range(4):
            await office.run()
            for scheduler in (office.scheduler, other):
                scheduler.tick(office.project.clock.time)
                await scheduler.idle()
            office.project.clock.time += 5
        assert len(office.robots.messages) == 1
        # The one that looked is silent for long enough: the other goes on, with what is written.
        office.project.clock.time += 60
        office.source.status = 200
        await office.run()
        for _ in range(3):
            office.project.clock.time += GAP
            other.tick(office.project.clock.time)
            await other.idle()
            office.scheduler.tick(office.project.clock.time)
            await office.scheduler.idle()
        assert [one.text.splitlines()[1][:6] for one in office.robots.messages] == ["[criti", "[over]"]


async def test_a_channel_that_is_down_is_tried_again_and_the_others_get_theirs(office: Office) -> None:
    office.settings(EVERYBODY)
    office.robots.faults.add({"kind": "status", "path": "/robot/send", "status": 502, "times": None})
    await office.fail()
    assert {one.robot for one in office.robots.messages} == {"wecom", "feishu", "webhook"}
    ding = office.workspace.ledger.alerts.channels()["ding"]
    assert str(ding.error) == "answered HTTP 502" and ding.in_a_row == 1
    tried = office.robots.requests["POST /robot/send"]
    await office.look(PAUSES[0] - 10)
    assert office.robots.requests["POST /robot/send"] == tried
    for pause in PAUSES:
        await office.look(pause)
    assert office.robots.requests["POST /robot/send"] == tried + len(PAUSES)
    office.robots.faults.active.clear()
    office.robots.messages.clear()
    heard = await office.look(PAUSES[-1])
    assert len(heard) == 1 and "[critical]" in heard[0] and office.robots.messages[0].robot == "dingtalk"
    ding = office.workspace.ledger.alerts.channels()["ding"]
    assert ding.error is None and ding.in_a_row == 0 and ding.failing_since is None
    assert (ding.sent, ding.failed) == (1, len(PAUSES) + 1)


async def test_what_ended_before_it_could_be_said_is_said_as_over(office: Office) -> None:
    office.robots.faults.add({"kind": "status", "path": "/robot/send", "status": 502, "times": 1})
    assert await office.fail() == []
    office.source.status = 200
    await office.run()
    await office.look()
    (both,) = await office.look(PAUSES[0])
    assert both.startswith("noria alert over") and "[over]" in both and await office.look(600) == []


@pytest.mark.parametrize(
    ("change", "channel", "error"),
    [
        ({"DING_SECRET": "SECwrong"}, "ding", "refused with code 310000: sign not match"),
        ({"DING_URL": "{}/robot/send?access_token=another"}, "ding", "refused with code 300005: token is not exist"),
        ({"WECOM_URL": "{}/cgi-bin/webhook/send?key=another"}, "wecom", "refused with code 93000: invalid webhook url"),
        (
            {"DING_SECRET": "SECwrong"},
            "feishu",
            "refused with code 19021: sign match fail or timestamp is not within one hour",
        ),
        (
            {"HOOK_TOKEN": "another"},
            "hook",
            "answered HTTP 401",
        ),
        (
            {"DING_URL": "http://127.0.0.1:9/robot/send?access_token=abc"},
            "ding",
            "can't be reached: [Errno 111] Connection refused",
        ),
        (
            {"HOOK_URL": "{}/nowhere"},
            "hook",
            "answered HTTP 404",
        ),
        ({"WECOM_URL": "nonsense"}, "wecom", "its settings can't be used: this value can't be used"),
    ],
)
async def test_what_a_vendor_refuses_counts_as_not_sent(
    office: Office, change: dict[str, str], channel: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = os.environ["HOOK_URL"].removesuffix("/webhook")
    for name, value in change.items():
        monkeypatch.setenv(name, value.format(base))
    office.settings(EVERYBODY)
    await office.fail()
    stands = office.workspace.ledger.alerts.channels()
    assert str(stands[channel].error) == error
    assert [one for one in office.on if office.workspace.ledger.alerts.notices([one.number])[one.number]]
    assert TOKEN not in str(stands) and SECRET not in str(stands) and "hook-bearer-1" not in str(stands)


async def test_a_signature_made_by_a_clock_that_is_wrong_is_refused(office: Office) -> None:
    ahead = office.robots.now
    office.robots.now = lambda: ahead() - 3700
    await office.fail()
    assert office.robots.refused == ["310000 invalid timestamp"]


async def test_a_robot_is_never_asked_more_than_it_takes(office: Office) -> None:
    """Four minutes in which a plan fails and recovers every two seconds."""
    office.settings(EVERYBODY + "[alerts.rules.failures]\nafter = 1\n")
    for n in range(120):
        office.source.status = 200 if n % 2 else 403
        await office.run()
        await office.look(2)
    assert office.robots.refused == []
    wecom = [one.at for one in office.robots.messages if one.robot == "wecom"]
    assert max(sum(at <= one < at + 60 for one in wecom) for at in wecom) <= 20
    alerts = office.workspace.ledger.alerts
    numbers = [one.number for one in (*alerts.on(), *alerts.ended(limit=200))]
    await office.look(GAP)
    states = {n.state for notices in alerts.notices(numbers).values() for n in notices}
    assert len(numbers) == 60 and states == {"sent"}


async def test_acknowledged_alerts_are_quiet_until_they_end(office: Office) -> None:
    office.robots.faults.add({"kind": "status", "path": "/robot/send", "status": 502, "times": 1})
    await office.fail()
    (alert,) = office.on
    alerts = office.workspace.ledger.alerts
    assert alerts.acknowledge(alert.number, "otto", office.project.clock.time) is not None
    assert alerts.acknowledge(alert.number, "vera", office.project.clock.time) is None
    assert await office.look(600) == [] and office.on[0].acknowledged_by == "otto"
    office.source.status = 200
    await office.run()
    assert await office.look() + await office.look(60) == [] and office.on == []
    # The next time is another alert.
    assert len(await office.fail()) == 1


async def test_a_channel_or_rule_that_is_gone(office: Office) -> None:
    office.robots.faults.add({"kind": "status", "path": "/robot/send", "status": 502, "times": 1})
    await office.fail()
    office.settings("")
    assert await office.look(600) == []
    (notices,) = office.workspace.ledger.alerts.notices([office.on[0].number]).values()
    assert [one.state for one in notices] == ["gone"]
    office.settings("[alerts.rules.failures]\nenabled = false\n")
    await office.look()
    assert office.on == [] and office.workspace.ledger.alerts.ended()[0].why == "gone"


async def test_what_is_long_over_is_let_go_of_with_the_runs(office: Office) -> None:
    ledger = office.workspace.ledger
    await office.fail()
    office.source.status = 200
    await office.run()
    await office.look()
    assert len(await office.fail()) == 2
    keep: dict[str, Any] = {"bodies": None, "payloads": None, "attempts": None}
    ledger.pruning.prune(**keep, runs=office.project.clock.time - 1000)
    assert len(ledger.alerts.ended()) == 1
    ledger.pruning.prune(**keep, runs=office.project.clock.time + 1)
    assert ledger.alerts.ended() == [] and len(office.on) == 1
    assert ledger.store.tuples("SELECT DISTINCT alert_id FROM notices") == [(office.on[0].number,)]


async def test_a_file_that_can_not_be_read_changes_nothing(office: Office) -> None:
    (_,) = await office.fail()
    (office.project.folder / "plans" / "orders.json").write_text("{", encoding="utf-8")
    assert await office.look(60) == [] and len(office.on) == 1


async def test_rules_for_some_plans_and_some_channels(office: Office) -> None:
    office.settings(
        EVERYBODY
        + '[alerts.rules.orders]\nkind = "failures"\nafter = 1\nplans = ["orders"]\nchannels = ["hook"]\nseverity = "warning"\n'
    )
    office.plan("others")
    await office.fail(1)
    assert [one.robot for one in office.robots.messages] == ["webhook"] and office.on[0].severity == "warning"
    await office.fail(2, "others")
    assert len(office.robots.messages) == 1
    await office.fail(1, "others")
    assert len(office.robots.messages) == 5
    # A rule of its own takes the plan out of the one for all.
    await office.fail(3)
    assert len(office.robots.messages) == 5


async def test_a_channel_for_what_is_critical_only(office: Office) -> None:
    office.settings(ROBOTS + 'severity = "critical"\n[alerts.rules.dead]\nstates = ["invalid"]\n')
    office.source.rows = [{"id": ""}]
    await office.run()
    assert await office.look() + await office.look() == [] and len(office.on) == 1
    assert len(await office.fail()) == 1


async def test_mail(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []

    class Mailbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            received.append(envelope)
            return "250 taken"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        controller = Controller(Mailbox(), hostname="127.0.0.1", port=free.getsockname()[1])
    controller.start()
    try:
        office.settings(
            '[alerts.channels.mail]\nkind = "email"\nhost = "127.0.0.1"\nsecurity = "none"\n'
            f'port = {controller.port}\nfrom = "noria@example.com"\nto = ["it@example.com", "boss@example.com"]\nlanguage = "zh"\n'
        )
        await office.fail()
    finally:
        controller.stop()
    message = message_from_bytes(received[0].content, policy=policy.default)
    assert {one for envelope in received for one in envelope.rcpt_tos} == {"it@example.com", "boss@example.com"}
    assert str(message["Subject"]) == "noria 告警：订单同步" and "noria@example.com" in str(message["From"])
    body = message.get_body(("plain",))
    assert body is not None and "连续 3 次读取并写入失败" in body.get_content()
    assert office.workspace.ledger.alerts.channels()["mail"].error is None
    # Nobody listens any more.
    office.source.status = 200
    await office.run()
    await office.look()
    await office.look(GAP)
    assert "Connection refused" in str(office.workspace.ledger.alerts.channels()["mail"].error)


async def test_looking_costs_the_same_however_many_plans_and_records(office: Office) -> None:
    """A look asks a fixed number of questions, none of which goes through a table that grows with records or time."""
    asked: list[tuple[str, dict[str, Any]]] = []
    store = office.workspace.ledger.store
    read = store.tuples

    def counted(statement: str, **values: Any) -> Any:
        asked.append((statement, values))
        return read(statement, **values)

    store.tuples = counted  # type: ignore[method-assign]
    look = office.scheduler.runner.alerting.look
    look(office.workspace.project.plans()[0], office.project.clock.time, set())
    few = len(asked)
    for n in range(40):
        office.plan(f"p{n}", schedule="0 2 * * *")
    await office.look()
    asked.clear()
    look(office.workspace.project.plans()[0], office.project.clock.time, set())
    assert len(asked) == few
    if not office.project.ledger_url:
        steps = [row[3] for one, values in asked for row in read(f"EXPLAIN QUERY PLAN {one}", **values)]
        through = [
            step for step in steps if re.match(r"SCAN (e|r|n|records|runs|exceptions|pages|batches|events)\b", step)
        ]
        assert [step for step in through if "USING INDEX notices_waiting" not in step] == [] and steps


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from noria.engine import Workspace, reconcile_plan
from noria.engine.sweep import sweep_of
from noria.ledger.alerts import Alerts
from noria.metadata.clock import FakeClock
from noria.metadata.project import load_project
from noria.scheduler.alerting import Alerting
from noria.scheduler.loop import Scheduler

folder, now, where = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "noted":
    Alerting._send = die
else:
    Alerts.went = die

async def main():
    async with Workspace(load_project(folder), clock=FakeClock(now)) as workspace:
        scheduler = Scheduler(workspace, asyncio.Event())
        scheduler.tick(now)
        await scheduler.idle()

asyncio.run(main())
"""


@pytest.mark.parametrize(("where", "times"), [("noted", 1), ("sent", 2)])
async def test_a_process_that_is_killed_loses_no_message(office: Office, where: str, times: int) -> None:
    """Killed after it was noted that an alert began: the next process says so. Killed after that was sent, before it
    could be noted: it is said once more, which is the price of losing none."""
    office.settings("[alerts.rules.failures]\nenabled = false\n")
    await office.fail()
    assert office.on == []
    office.settings(ROBOTS)
    office.workspace.ledger.agenda.resign()
    now = office.project.clock.time + 60
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(office.project.folder), str(now), where
    )
    assert await child.wait() == -signal.SIGKILL
    assert len(office.robots.messages) == times - 1 and len(office.on) == 1
    office.project.clock.time = now
    await office.look(SCHEDULER_SECONDS + 1)
    assert len(office.robots.messages) == 1, "what may just be on its way is not sent at once"
    await office.look(PAUSES[0])
    await office.look(PAUSES[0])
    await office.look(3600)
    assert len(office.robots.messages) == times and len(office.on) == 1
