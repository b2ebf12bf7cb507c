"""The console's page of alerts, its acts; the same as figures and as a command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from noria.ledger import ledger_of
from noria.ledger.alerts import Begun
from noria.messages import Message
from noria.metadata.project import load_project
from noria.scheduler.alerting import GAP
from noria.simulators.robots import Robots
from noria.simulators.server import Running, serve
from tests.conftest import Project
from tests.integration.test_console_pages import USERS, Console, console
from tests.servers import beside

BOTH_LEDGERS = True
TOKEN, SECRET = "abc123DEF456", "SEC0123456789abcdef"
CHANNELS = """
[alerts]
url = "https://noria.example.com"
[alerts.channels.ding]
kind = "dingtalk"
url = "env:DING_URL"
secret = "env:DING_SECRET"
quiet = { from = "22:00", to = "08:00" }
[alerts.channels.wecom]
kind = "wecom"
url = "env:WECOM_URL"
"""


@pytest.fixture
async def robots(project: Project, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Robots]:
    made = Robots(token=TOKEN, secret=SECRET, now=project.clock.now)
    async with serve(made) as running:
        _environment(running, monkeypatch)
        yield made


def _environment(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DING_URL", f"{running.url}/robot/send?access_token={TOKEN}")
    monkeypatch.setenv("DING_SECRET", SECRET)
    monkeypatch.setenv("WECOM_URL", f"{running.url}/cgi-bin/webhook/send?key={TOKEN}")


def alerting(shown: Console, count: int, *, ended: int = 0, severity: str = "warning") -> None:
    """Alerts in the ledger, as the scheduler notes them."""
    project = shown.project
    with ledger_of(load_project(project.folder)) as ledger:
        now = project.clock.time
        assert ledger.agenda.lead(now)
        begun = [
            Begun("dead", "dead", f"p{n}", severity, Message("alert.dead", {"count": str(n)}), ("ding", "wecom"))
            for n in range(count)
        ]
        ledger.alerts.change(now, begun, [], [], [])
        over = sorted(ledger.alerts.on(), key=lambda one: one.number)[:ended]
        ledger.alerts.change(now + 90, [], [(one, "over") for one in over], [], ["ding"])
        ledger.agenda.resign()


async def test_what_is_on_comes_first_and_the_history_page_by_page(project: Project, robots: Robots) -> None:
    async with console(project, CHANNELS) as shown:
        _, text = await shown.get("/alerts", **{"Accept-Language": "zh"})
        assert '<h1 class="good">一切正常</h1>' in text and "还没有结束的告警" in text
        alerting(shown, 123, ended=121)
        _, text = await shown.get("/alerts", **{"Accept-Language": "zh"})
        assert '<h1 class="bad">2 个告警：p122、p121</h1>' in text and "/failures?plan=p122" in text
        seen: list[int] = []
        path = "/alerts"
        while path:
            _, data = await shown.json(path)
            assert [one["subject"] for one in data["on"]] == ["p122", "p121"]
            seen += [one["number"] for one in data["ended"]]
            path = f"/alerts?before={data['next']}" if data["next"] else ""
        assert len(seen) == 121 and seen == sorted(set(seen), reverse=True)
        _, data = await shown.json("/alerts")
        # What ended within quiet hours before it was said is on record, and why it was not said.
        told = {one["channel"]: one["state"] for one in data["ended"][0]["told"]}
        assert told == {"ding": "quiet", "wecom": "waiting"}
        assert data["ended"][0]["what"]["text"] == "Records that will not be sent again by themselves: 120"


async def test_a_plans_page_shows_its_alerts_and_those_of_its_connections(project: Project, robots: Robots) -> None:
    rules = """
[alerts.rules.dead]
plans = ["off"]
after = 7
"""
    async with console(project, CHANNELS + rules) as shown:
        _, text = await shown.get("/plans/p?tab=alerts", **{"Accept-Language": "zh"})
        assert "没有告警" in text and "还没有结束的告警" in text and '<span class="tag bad">' not in text
        about = [("dead", "p"), ("dead", "off"), ("token", "here"), ("token", "p"), ("lag", "here"), ("lag", "p")]
        with ledger_of(load_project(project.folder)) as ledger:
            now = project.clock.time
            assert ledger.agenda.lead(now)
            what = Message("alert.dead", {"count": "1"})
            begun = [Begun(kind, kind, subject, "warning", what, ("ding",)) for kind, subject in about]
            ledger.alerts.change(now, begun, [], [], [])
            over = [one for one in ledger.alerts.on() if one.kind == "lag"]
            ledger.alerts.change(now + 90, [], [(one, "over") for one in over], [], [])
            ledger.agenda.resign()
        _, data = await shown.json("/plans/p?tab=alerts")
        assert [(one["kind"], one["subject"]) for one in data["alerts"]] == [("token", "here"), ("dead", "p")]
        assert [(one["kind"], one["subject"]) for one in data["alerts_over"]] == [("lag", "p")]
        # Rules count that are about this plan.
        assert [one["name"] for one in data["rules"] if one["kind"] in ("dead", "failures")] == ["failures"]
        _, other = await shown.json("/plans/off?tab=alerts")
        assert [one["after"] for one in other["rules"] if one["kind"] == "dead"] == [7]
        _, first = await shown.json("/plans/p")
        assert len(first["alerts"]) == 2 and first["rules"] == first["alerts_over"] == []
        _, text = await shown.get("/plans/p", **{"Accept-Language": "zh"})
        assert '告警 <span class="tag bad">2</span>' in text
        number = data["alerts"][1]["number"]
        _, text = await shown.get("/plans/p?tab=alerts", **{"Accept-Language": "zh"})
        assert f"/alerts/{number}/acknowledge" in text and "/failures?plan=p" in text


async def test_a_channel_is_tried(project: Project, robots: Robots, monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(project, CHANNELS) as shown:
        assert (await shown.post("/alerts/channels/ding/test"))[0] == 303
        assert "测试消息已发到渠道 ding" in (await shown.get("/alerts", **{"Accept-Language": "zh"}))[1]
        assert [one.robot for one in robots.messages] == ["dingtalk"] and "ding" in robots.messages[0].text
        # Not as often as somebody can click.
        assert (await shown.post("/alerts/channels/ding/test"))[0] == 429
        assert len(robots.messages) == 1
        project.clock.time += GAP
        monkeypatch.setenv("DING_SECRET", "SECwrong")
        assert (await shown.post("/alerts/channels/ding/test"))[0] == 303
        _, text = await shown.get("/alerts", **{"Accept-Language": "zh"})
        assert "对方返回错误码 310000：sign not match" in text and "渠道 ding 发不出消息" in text
        assert "渠道 ding 发不出消息" in (await shown.get("/", **{"Accept-Language": "zh"}))[1]
        assert (await shown.post("/alerts/channels/nobody/test"))[0] == 404
        for path in ("/alerts", "/", "/audit", "/metrics"):
            page = (await shown.get(path))[1]
            assert TOKEN not in page and SECRET not in page and "access_token" not in page, path
        _, changes = await shown.json("/audit")
        assert [(one["what"], one["detail"]["connection"]) for one in changes["changes"]] == [
            ("channel_failed", "ding"),
            ("channel", "ding"),
        ]


async def test_tries_at_the_same_time_are_one(project: Project, robots: Robots) -> None:
    async with console(project, CHANNELS) as shown:
        token = await shown.token()
        tries = [shown.post("/alerts/channels/wecom/test", token=token) for _ in range(5)]
        assert sorted(status for status, _ in await asyncio.gather(*tries)) == [303] + [429] * 4
        assert len(robots.messages) == 1


async def test_an_alert_is_acknowledged_once(project: Project, robots: Robots) -> None:
    async with console(project, CHANNELS + USERS) as shown:
        alerting(shown, 1)
        assert await shown.log_in("vera", "vera looks on") == 303
        _, text = await shown.get("/alerts")
        assert "/acknowledge" not in text and "/test" not in text
        for path in ("/alerts/1/acknowledge", "/alerts/channels/ding/test"):
            assert (await shown.post(path))[0] == 403
        await shown.post("/logout")
        assert await shown.log_in("otto", "otto operates") == 303
        assert (await shown.post("/alerts/1/acknowledge"))[0] == 303
        _, text = await shown.get("/alerts", **{"Accept-Language": "en"})
        assert "The alert of p0 is acknowledged" in text
        assert "acknowledged by otto" in text
        _, data = await shown.json("/alerts")
        (alert,) = data["on"]
        assert (alert["acknowledged_by"], alert["acknowledged_at"]) == ("otto", project.clock.time)
        assert {one["state"] for one in alert["told"]} == {"acknowledged"}
        for number in ("1", "99"):
            assert (await shown.post(f"/alerts/{number}/acknowledge"))[0] == 409
        assert (await shown.post("/alerts/x/acknowledge"))[0] == 400
        kept = project.ledger("p", lambda ledger, _: ledger.audit.page())
        assert [(one.who, one.what, one.plan) for one in kept] == [("otto", "acknowledge", "p0")]


async def test_alerts_on_the_overview_and_as_figures(project: Project, robots: Robots) -> None:
    async with console(project, CHANNELS) as shown:
        alerting(shown, 3, severity="critical")
        _, data = await shown.json("/")
        assert data["alerts"] == ["p2", "p1", "p0"] and data["silent_channels"] == []
        await shown.post("/alerts/channels/wecom/test")
        _, text = await shown.get("/metrics")
        assert 'noria_alerts_active{rule="dead",severity="critical"} 3.0' in text
        assert 'noria_notifications_total{channel="wecom",outcome="sent"} 1.0' in text
        assert 'noria_notifications_total{channel="wecom",outcome="failed"} 0.0' in text


async def test_a_page_that_is_open_hears_of_alerts(project: Project, robots: Robots) -> None:
    async with console(project, CHANNELS) as shown:
        ledger = shown.operations.workspace.ledger
        seen = {ledger.browsing.pulse(project.clock.time)}
        alerting(shown, 1)
        seen.add(ledger.browsing.pulse(project.clock.time))
        alert = ledger.alerts.acknowledge(1, "otto", project.clock.time)
        assert alert is not None
        seen.add(ledger.browsing.pulse(project.clock.time))
        ledger.alerts.went("ding", (), project.clock.time, None, 0.0)
        seen.add(ledger.browsing.pulse(project.clock.time))
        assert len(seen) == 4


def test_alerts_as_a_command(project: Project, called: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Robots(token=TOKEN, secret=SECRET)
    with beside(made) as running:
        _environment(running, monkeypatch)
        project.connections('[connections.inside]\nconnector = "noria"\n' + CHANNELS)
        at = ("--project", project.folder)
        assert called("alerts", *at)[:2] == (0, "All is well\n")
        assert called("alerts", "test", "ding", *at)[0] == 0 and len(made.messages) == 1
        code, out, _ = called("alerts", "test", "ding", "--json", *at)
        assert code == 1 and json.loads(out)["error"]["code"] == "soon"
        code, out, _ = called("alerts", "test", "dingg", "--json", *at)
        assert code == 1 and json.loads(out)["error"]["hint"] == "did you mean ding?"
        monkeypatch.setenv("WECOM_URL", f"{running.url}/cgi-bin/webhook/send?key=another")
        code, _, err = called("alerts", "test", "wecom", *at)
        assert code == 1 and "93000" in err and "another" not in err
        with ledger_of(load_project(project.folder)) as ledger:
            assert ledger.agenda.lead(1_700_000_000.0)
            what = Message("alert.silence", {"since_at": 1_700_000_000.0})
            ledger.alerts.change(
                1_700_000_000.0, [Begun("silence", "silence", "orders", "warning", what, ())], [], [], []
            )
        code, out, _ = called("alerts", *at)
        assert code == 0 and "orders" in out and "Nothing new or changed was received since 2023-11-15 06:13" in out
        assert "Channel wecom can't send" in out and "93000" in out
        code, out, _ = called("alerts", "--json", *at)
        found = json.loads(out)
        assert [one["subject"] for one in found["on"]] == ["orders"] and found["failing"][0]["name"] == "wecom"
        assert found["on"][0]["began_at"].startswith("2023-11-15T06:13:20")
