"""What tests in a real browser share: a system, a project that is served, and the browser itself."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from noria.console.app import Operations
from noria.console.server import serving
from noria.metadata.clock import SystemClock
from noria.scheduler.loop import Scheduler
from tests.conftest import Project
from tests.servers import listening

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# `make test` installs it where it may, and CI has it.
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: the console is not tried")


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
async def served(project: Project) -> AsyncIterator[str]:
    """A project that is served: its plans run, its console answers."""
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
async def console(project: Project, url: str, settings: str = "") -> AsyncIterator[str]:
    """A project with one plan, served."""
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
    async with served(project) as found:
        yield found


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
