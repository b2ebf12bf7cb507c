"""The console in a real browser: what an operator does in the morning."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright, expect

from noria.console.app import Operations
from noria.console.server import serving
from noria.metadata.clock import SystemClock
from noria.scheduler.loop import Scheduler
from tests.conftest import Project
from tests.servers import listening

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: the console is not tried")


PAGES = (
    "/",
    "/plans",
    "/plans/customers",
    "/plans/customers?tab=mapping",
    "/plans/customers?tab=schedule",
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


class Office:
    """A list and a target that refuses some of it until it is told to take all."""

    def __init__(self) -> None:
        self.refused = {"c3", "c7"}
        self.closed = False
        self.names = {f"c{n}": f"客户 {n}" for n in range(12)}

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/list", self._list), web.post("/items", self._items)]

    async def _list(self, _: web.Request) -> web.Response:
        if self.closed:
            return web.json_response({"message": "没有权限"}, status=403)
        return web.json_response({"data": [{"id": key, "name": name} for key, name in self.names.items()]})

    async def _items(self, request: web.Request) -> web.Response:
        rows = await request.json()
        done = [
            {"id": row["id"], "ok": row["id"] not in self.refused, "message": f"部门 {row['id']} 不存在"}
            for row in rows
        ]
        return web.json_response({"results": done})


@pytest.fixture
async def office() -> AsyncIterator[tuple[Office, str]]:
    office = Office()
    async with listening(office.routes()) as url:
        yield office, url


@asynccontextmanager
async def console(project: Project, url: str, settings: str = "") -> AsyncIterator[str]:
    """A project that is served: its plans run, its console answers."""
    project.connections(
        f'[connections.crm]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
        'write = { results = "results" }\n' + settings
    )
    target = {
        "api": "/items",
        "method": "POST",
        "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}],
    }
    source = {"api": "/list", "id": "id", "number": "name", "idCheck": True}
    project.plan("customers", ("crm", source), ("crm", target), name="客户同步", schedule="0 2 1 1 *")
    project.clock = SystemClock()  # type: ignore[assignment]
    async with project.workspace() as workspace:
        stop = asyncio.Event()
        scheduler = asyncio.create_task(Scheduler(workspace, stop).run())
        operations = Operations(workspace, lambda: not stop.is_set())
        async with serving(operations.app(), "127.0.0.1:0") as port:
            yield f"http://127.0.0.1:{port}"
            stop.set()
        operations.close()
        await scheduler


@asynccontextmanager
async def browser(forgiven: str = "nothing is", **how: Any) -> AsyncIterator[Page]:
    """A page; whatever the browser complains of is an error of ours, unless it names what is `forgiven`."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await (await opened.new_context(**{"locale": "zh-CN", **how})).new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(20_000)
        try:
            yield page
        finally:
            with suppress(Exception):
                await opened.close()
    assert [one for one in complaints if forgiven not in one] == []


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
