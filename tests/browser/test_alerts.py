"""Alerts in a real browser: three runs fail, a robot tells it, the page shows it; they succeed, and it is over."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from noria.simulators.robots import Robots
from noria.simulators.server import serve
from tests.browser.opening import NEEDS_CHROMIUM, Office, browser, console
from tests.browser.opening import office as office
from tests.conftest import Project

pytestmark = NEEDS_CHROMIUM
SETTINGS = """
[alerts]
url = "https://noria.example.com"
[alerts.channels.ops]
kind = "dingtalk"
url = "env:DING_URL"
secret = "env:DING_SECRET"
language = "zh"
"""


async def test_an_alert_comes_and_goes_by_itself(
    project: Project, office: tuple[Office, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    robots = Robots()
    async with serve(robots) as running:
        monkeypatch.setenv("DING_URL", f"{running.url}/robot/send?access_token={robots.token}")
        monkeypatch.setenv("DING_SECRET", robots.secret)
        office[0].refused.clear()
        office[0].closed = True
        async with console(project, office[1], SETTINGS) as url, browser() as page:
            await page.goto(f"{url}/alerts")
            await expect(page.get_by_role("heading", level=1)).to_have_text("一切正常")
            await page.get_by_role("button", name="测试").click()
            await expect(page.get_by_role("status")).to_have_text("测试消息已发到渠道 ops")
            watching = await page.context.new_page()
            await watching.goto(f"{url}/alerts")
            for times in range(1, 4):
                await page.goto(f"{url}/plans/customers")
                await page.get_by_role("button", name="立即执行").click()
                await expect(page.locator("#live table.rows tbody tr")).to_have_count(times, timeout=20_000)
                await expect(page.locator("#live table.rows tbody tr").first).to_contain_text("失败", timeout=20_000)
            # On the page that was open all the time, without a reload.
            await expect(watching.get_by_role("heading", level=1)).to_have_text("1 个告警：customers", timeout=30_000)
            row = watching.locator("table.rows tbody tr").first
            await expect(row).to_contain_text("连续 3 次读取并写入失败")
            await expect(row).to_contain_text(re.compile(r"ops · 已发送"), timeout=30_000)
            assert [one.text.splitlines()[0] for one in robots.messages] == ["noria 测试消息", "noria 告警：客户同步"]
            assert robots.messages[-1].text.endswith("https://noria.example.com/plans/customers")
            await row.get_by_role("button", name="确认").click()
            await expect(watching.get_by_role("status")).to_have_text("已确认 customers 的告警")
            await expect(watching.locator("table.rows tbody tr").first).to_contain_text("local 已确认")
            office[0].closed = False
            await page.get_by_role("button", name="立即执行").click()
            await expect(watching.get_by_role("heading", level=1)).to_have_text("一切正常", timeout=30_000)
            # It is in the history, and the robot is told that, too: ten seconds after the last message at the earliest.
            over = watching.locator("table.rows tr", has_text="连续 3 次读取并写入失败")
            await expect(over).to_contain_text("ops · 已发送", timeout=40_000)
            # By keyboard from elsewhere.
            await page.goto(f"{url}/plans")
            await page.keyboard.press("g")
            await page.keyboard.press("a")
            await expect(page).to_have_title("告警 · noria")
            assert [one.text.splitlines()[0] for one in robots.messages][2:] == ["noria 告警结束：客户同步"]
