"""A record corrected and sent again, many chosen at once, keys: in a real browser."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.opening import NEEDS_CHROMIUM, Office, browser, console, office
from tests.conftest import Project

pytestmark = NEEDS_CHROMIUM
__all__ = ["office"]


async def run_once(page: Page, url: str) -> None:
    await page.goto(f"{url}/plans/customers")
    await page.locator("form[action$='/run'] button").click()
    await expect(page.locator("#live")).to_contain_text("incomplete", timeout=20_000)


async def test_a_record_is_corrected_and_sent_again(project: Project, office: tuple[Office, str]) -> None:
    async with console(project, office[1]) as url, browser(locale="en-GB") as page:
        await run_once(page, url)
        await page.goto(f"{url}/plans/customers/record?id=c3")
        row = page.locator("table.fields tbody tr").nth(1)
        await expect(row).to_contain_text("{{name}}")
        await expect(row).to_contain_text("客户 3")
        await page.get_by_role("link", name="Edit and resend").click()
        text = page.get_by_label("what is sent (a JSON object)")
        await text.fill('{"id": "c3", "name": }')
        await page.get_by_role("button", name="Show what changes").click()
        await expect(page.get_by_role("alert")).to_contain_text("line 1, column 22")
        await expect(text).to_have_attribute("aria-invalid", "true")
        await text.fill('{"id": "c3-new", "name": "<script>alert(1)</script>"}')
        await page.get_by_role("button", name="Show what changes").click()
        await expect(page.locator(".diff .gone").first).to_contain_text('"id": "c3"')
        await expect(page.locator(".diff .new").first).to_contain_text("c3-new")
        await page.get_by_label("why").fill("the target knows it as c3-new")
        await page.get_by_role("button", name="Send as edited").click()
        await expect(page.get_by_role("status")).to_contain_text("to be sent as edited: 1")
        # Without a reload.
        await expect(page.locator("h1")).to_contain_text("delivered", timeout=20_000)
        await expect(page.locator("details.try").first).to_contain_text("the target knows it as c3-new")
        await expect(page.locator(".diff")).to_contain_text("<script>alert(1)</script>")
        await expect(page.get_by_role("link", name="Edit and resend")).to_have_count(0)


async def test_many_are_chosen_by_mouse_and_by_key(project: Project, office: tuple[Office, str]) -> None:
    async with console(project, office[1]) as url, browser(locale="en-GB") as page:
        await run_once(page, url)
        await page.goto(f"{url}/records?plan=customers&state=failed")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await expect(page.locator("[data-chosen]")).to_have_text("chosen: 1")
        await page.locator("[data-all]").check()
        await expect(page.locator("[data-chosen]")).to_have_text("chosen: 2")
        await page.get_by_role("button", name="Skip…").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Skip · records: 2")
        await page.get_by_label("why").fill("not ours")
        await page.get_by_role("button", name="Skip · 2").click()
        await expect(page.get_by_role("status")).to_contain_text("records skipped: 2")
        await page.goto(f"{url}/records?plan=customers&state=skipped")
        await expect(page.locator("tbody tr").first).to_contain_text("not ours")
        # Undone, all that match at once.
        office[0].refused.clear()
        await page.locator("input[name=all]").check()
        await page.get_by_role("button", name="Replay…").click()
        await page.get_by_role("button", name="Replay · 2").click()
        await expect(page.get_by_role("status")).to_contain_text("to be sent again: 2")
        await page.goto(f"{url}/plans/customers/record?id=c7")
        await expect(page.locator("h1")).to_contain_text("delivered", timeout=20_000)


async def test_keys_are_listed_and_r_replays(project: Project, office: tuple[Office, str]) -> None:
    async with console(project, office[1]) as url, browser(locale="en-GB") as page:
        await run_once(page, url)
        await page.goto(f"{url}/plans/customers/record?id=c3")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("replay (on a record's page)")
        # Nothing is replayed behind the list.
        await page.keyboard.press("r")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        questions: list[str] = []

        async def answer(dialog: Any) -> None:
            questions.append(dialog.message)
            await dialog.accept()

        page.on("dialog", answer)
        office[0].refused.clear()
        await page.keyboard.press("r")
        await expect(page.locator("h1")).to_contain_text("delivered", timeout=20_000)
        assert questions == ["Send records of customers again: 1?"]
        await page.get_by_role("button", name="中文").click()
        await page.locator("[data-keys]").click()
        await expect(page.get_by_role("dialog")).to_contain_text("显示这个列表")
