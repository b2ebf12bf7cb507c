"""The console in a real browser: what an operator does in the morning."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.opening import NEEDS_CHROMIUM, Office, browser, console
from tests.browser.opening import office as office
from tests.conftest import Project

pytestmark = NEEDS_CHROMIUM


PAGES = (
    "/",
    "/plans",
    "/plans/customers",
    "/plans/customers?tab=mapping",
    "/plans/customers?tab=schedule",
    "/plans/customers?tab=alerts",
    "/records",
    "/records?plan=customers",
    "/plans/customers/record/edit?id=c3",
    "/reconciliation",
    "/reconciliation?plan=customers",
    "/plans/customers/record?id=c3",
    "/failures",
    "/runs",
    "/runs/1",
    "/connections",
    "/alerts",
    "/audit",
    "/new",
    "/plans/customers/edit",
    "/plans/customers/versions",
    "/connection",
    "/connection?name=crm",
    "/api",
    "/tokens",
)


async def test_from_the_first_run_to_the_last_failure(project: Project, office: tuple[Office, str]) -> None:
    """Run a plan, see what failed appear by itself, read a record's story, mend the target, replay the cause, see it
    vanish by itself, switch the language, go on by keyboard."""
    async with console(project, office[1]) as url, browser() as page:
        await page.goto(f"{url}/plans")
        await page.get_by_role("link", name="客户同步").click()
        await page.get_by_role("button", name="立即执行").click()
        await expect(page.get_by_role("status")).to_contain_text("已排队执行")
        # Without a reload: the run, and what it left.
        await expect(page.locator("#live")).to_contain_text("部分未写入", timeout=20_000)
        await page.get_by_role("link", name="总览").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("1 个方案需要处理")
        row = page.locator("table.rows tbody tr").first
        await expect(row).to_contain_text("失败")
        await row.get_by_role("link", name="不存在").click()
        await expect(page.locator("table.rows tbody tr")).to_have_count(2)
        await page.get_by_role("link", name="c3").click()
        await expect(page.locator("main")).to_contain_text("部门 c3 不存在")
        await expect(page.locator("pre").first).to_contain_text('"name": "客户 3"')
        await expect(page.locator("details.try")).to_contain_text("HTTP 200")
        # Somebody mends the target.
        office[0].refused.clear()
        await page.get_by_role("link", name="死信").click()
        questions: list[str] = []

        async def answer(dialog: Any) -> None:
            questions.append(dialog.message)
            await dialog.accept()

        page.on("dialog", answer)
        await page.get_by_role("button", name="重新写入").click()
        assert questions == ["把方案 customers 的 2 条数据重新写入？"]
        await expect(page.get_by_role("heading", level=1)).to_have_text("没有失败的数据", timeout=20_000)
        await page.goto(f"{url}/plans/customers/record?id=c3")
        await expect(page.locator("h1")).to_contain_text("已写入")
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("h1")).to_contain_text("delivered")
        await page.wait_for_load_state("load")
        await page.keyboard.press("g")
        await page.keyboard.press("p")
        await expect(page).to_have_title("Plans · noria")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Plans: 1")


@pytest.mark.parametrize("lang", ["zh-CN", "en-GB"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_no_page_is_wider_than_the_screen(
    project: Project, office: tuple[Office, str], lang: str, width: int
) -> None:
    office[0].names["c" + "9" * 120] = "名" * 300
    how = {"locale": lang, "viewport": {"width": width, "height": 800}}
    async with console(project, office[1]) as url, browser(**how) as page:
        await page.goto(f"{url}/plans/customers")
        await page.locator("form[action$='/run'] button").click()
        await expect(page.locator("#live table.rows tbody tr").first).to_be_visible(timeout=20_000)
        for path in PAGES:
            await page.goto(url + path)
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
            assert await page.evaluate("document.querySelectorAll('h1').length") == 1, path


def _axe(folder: Path) -> str:
    """axe-core's script, from the npm registry."""
    done = subprocess.run(
        ["npm", "pack", "--silent", "axe-core@4"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    if done.returncode != 0:
        pytest.skip(f"axe-core could not be fetched, accessibility is not tried: {done.stderr.strip()[:200]}")
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed: accessibility is not tried")
async def test_pages_are_for_everybody(project: Project, office: tuple[Office, str], tmp_path: Path) -> None:
    """axe-core finds nothing serious on any page, light or dark."""
    script = await asyncio.to_thread(_axe, tmp_path)
    found: list[str] = []
    async with console(project, office[1]) as url:
        for scheme in ("light", "dark"):
            # The page's own policy would keep the script out.
            async with browser(color_scheme=scheme, bypass_csp=True) as page:
                await page.goto(f"{url}/plans/customers")
                if scheme == "light":
                    await page.locator("form[action$='/run'] button").click()
                    await expect(page.locator("#live")).to_contain_text("部分未写入", timeout=20_000)
                for path in PAGES:
                    await page.goto(url + path)
                    await page.evaluate(script)
                    result = await page.evaluate("axe.run({resultTypes: ['violations']})")
                    found += [
                        f"{scheme} {path} {one['id']}: {one['nodes'][0]['html'][:120]}"
                        for one in result["violations"]
                        if one["impact"] in ("serious", "critical")
                    ]
    assert found == []
