"""`make screenshots`: every page of the console, in both languages, wide and narrow, light and dark, as pictures.

A project with some trouble is run against simulators and looked at with Chromium; pictures go into `screenshots/`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from noria.console.app import Operations
from noria.console.server import serving
from noria.engine import Workspace, reconcile_plan, run_plan
from noria.engine.sweep import sweep_of
from noria.ledger.alerts import Begun
from noria.messages import Message
from noria.metadata.project import load_project
from noria.scheduler.loop import Scheduler
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.robots import Robots
from noria.simulators.server import serve
from noria.simulators.sink import Sink

ROOT = Path(__file__).parents[1]
OUT = ROOT / "screenshots"
PAGES = {
    "overview": "/",
    "plans": "/plans",
    "plan": "/plans/customers",
    "records": "/records?plan=customers",
    "record": "/plans/customers/record?id=1000000025",
    "edit": "/plans/customers/record/edit?id=1000000025",
    "all": "/records",
    "mapping": "/plans/customers?tab=mapping",
    "schedule": "/plans/customers?tab=schedule",
    "plan-alerts": "/plans/stock?tab=alerts",
    "reconciliation": "/reconciliation",
    "reconciled": "/reconciliation?plan=customers",
    "failures": "/failures",
    "runs": "/runs",
    "run": "/runs/2",
    "connections": "/connections",
    "alerts": "/alerts",
    "audit": "/audit",
    "tokens": "/tokens",
    "api": "/api",
    "editor": "/plans/customers/edit",
    "new": "/new",
    "connection": "/connection?name=erp",
    "versions": "/plans/customers/versions",
    "error": "/plans/nothing",
}
PROJECT = """
[connections.okki]
connector = "okki"
base_url = "{okki}"
client_id = "demo-client"
client_secret = "env:DEMO_SECRET"
[connections.erp]
connector = "http"
base_url = "{sink}"
envelope = {{ code = "code", success = [200], message = "message" }}
write = {{ batch_size = 10, results = "data.results", idempotency_header = "Idempotency-Key" }}
limits = {{ per_minute = 600, concurrent = 2, endpoints = {{ "/items" = {{ per_minute = 40 }} }} }}
[connections.inside]
connector = "noria"
[connections.wms]
connector = "http"
base_url = "http://127.0.0.1:9"
limits = {{ timeout = 1 }}
[alerts]
url = "https://noria.example.com"
[alerts.channels."运维群"]
kind = "dingtalk"
url = "env:DEMO_DINGTALK"
secret = "env:DEMO_ROBOT_SECRET"
[alerts.channels."值班"]
kind = "wecom"
url = "env:DEMO_WECOM"
quiet = {{ from = "22:00", to = "08:00" }}
[alerts.rules.dead]
states = ["dead", "invalid"]
"""


def _plan(folder: Path, key: str, source: dict[str, Any], target: dict[str, Any], **rest: Any) -> None:
    sides = {"source": {"connection": "okki", "metadata": source}, "target": target}
    (folder / "plans" / f"{key}.json").write_text(json.dumps({**rest, **sides}, ensure_ascii=False, indent=2), "utf-8")


def _project(folder: Path, okki: str, sink: str) -> None:
    (folder / "plans").mkdir()
    (folder / "noria.toml").write_text(PROJECT.format(okki=okki, sink=sink), "utf-8")
    fields = [{"field": "id", "value": "{{company_id}}"}, {"field": "name", "value": "{{name}}"}]
    companies = {"api": "/v1/company/list", "id": "company_id", "number": "serial_id", "idCheck": True}
    items = {"connection": "erp", "metadata": {"api": "/items", "method": "POST", "request": fields}}
    _plan(folder, "customers", companies, items, name="小满客户 → ERP", schedule="0 2 * * *")
    kept = {"connection": "inside", "metadata": {"api": "写入空操作"}}
    users = {"api": "/v1/user/list", "id": "user_id", "number": "nickname", "idCheck": True}
    _plan(folder, "users", users, kept, name="小满用户 → 写入空操作", schedule="*/10 * * * *")
    departments = {"api": "/v1/user/departmentList", "id": "id", "number": "name"}
    _plan(folder, "departments", departments, kept, enabled=False)
    stock = {"connection": "wms", "metadata": {"api": "/stock", "id": "sku"}}
    document = {"name": "库存同步", "source": stock, "target": kept, "options": {"retry": {"tries": 1}}}
    (folder / "plans" / "stock.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")


async def _alerts(workspace: Workspace, robots: str) -> None:
    """Three runs that fail, one channel that works and one that does not, an alert that is over."""
    os.environ["DEMO_ROBOT_SECRET"] = "SECdemo0123456789"  # noqa: S105 - the simulator's
    os.environ["DEMO_DINGTALK"] = f"{robots}/robot/send?access_token=demo0123456789"
    os.environ["DEMO_WECOM"] = f"{robots}/cgi-bin/webhook/send?key=another"
    for _ in range(3):
        await run_plan(workspace, workspace.project.plan("stock"))
    scheduler, now = Scheduler(workspace, asyncio.Event()), workspace.clock.now()
    scheduler.tick(now)
    await scheduler.idle()
    what = Message("alert.silence", {"since_at": now - 22_000})
    alerts = workspace.ledger.alerts
    alerts.change(now - 400, [Begun("silence", "silence", "users", "warning", what, ("运维群",))], [], [], [])
    alerts.change(now - 30, [], [(one, "over") for one in alerts.on() if one.kind == "silence"], [], [])
    alerts.settle([one for _, one in alerts.waiting()["运维群"]], "sent", now)


async def _change(browser: Browser, url: str) -> None:
    """A field more, by somebody in the editor: what changed, and a second version."""
    page = await browser.new_page(locale="zh-CN")
    await page.goto(f"{url}/plans/customers/edit")
    row = page.locator("table.found tbody tr", has=page.get_by_text("serial_id", exact=True))
    await row.get_by_role("button", name="映射").click()
    await page.locator("[id='f/target/metadata/request/2/value']").wait_for()
    await page.get_by_label("改动说明（可不填）").fill("写入客户编号")
    await page.get_by_role("button", name="保存", exact=True).click()
    await page.wait_for_url(f"{url}/plans/customers")
    await page.close()


async def _shoot(browser: Browser, url: str) -> None:
    for locale in ("zh-CN", "en-GB"):
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                context = await browser.new_context(
                    locale=locale,
                    viewport={"width": width, "height": 800},
                    color_scheme="dark" if scheme == "dark" else "light",
                )
                page = await context.new_page()
                for name, path in PAGES.items():
                    await page.goto(url + path, wait_until="load")
                    shot = OUT / f"{name}-{locale[:2]}-{width}-{scheme}.png"
                    await page.screenshot(path=shot, full_page=width < 1000)
                await context.close()


async def main() -> None:
    """Run the plans, open the console, look at it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    os.environ["DEMO_SECRET"] = "demo-secret"  # noqa: S105 - the simulator's
    okki = Okki(make_account(3, users=60, departments=6, companies=400, orders=0, leads=0, invalid=3))
    sink = Sink()
    refused = [str(1_000_000_000 + n) for n in range(0, 400, 25)]
    sink.faults.add({"kind": "reject", "path": "/items", "times": None, "ids": refused, "message": "部门 1234 不存在"})
    with tempfile.TemporaryDirectory() as folder:
        async with serve(okki) as source, serve(sink) as target, serve(Robots()) as robots:
            _project(Path(folder), source.url, target.url)
            async with Workspace(load_project(Path(folder))) as workspace:
                for key in ("users", "customers", "departments"):
                    await run_plan(workspace, workspace.project.plan(key))
                customers = workspace.project.plan("customers")
                whole = sweep_of(customers, workspace.clock.now(), whole=True)
                await reconcile_plan(workspace, customers, wanted=whole)
                await _alerts(workspace, robots.url)
                operations = Operations(workspace)
                async with serving(operations.app(), "127.0.0.1:0") as port, async_playwright() as playwright:
                    browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                    await _change(browser, f"http://127.0.0.1:{port}")
                    await _shoot(browser, f"http://127.0.0.1:{port}")
                    await browser.close()
                operations.close()
    print(f"{len(list(OUT.iterdir()))} pictures in {OUT.name}/")


if __name__ == "__main__":
    asyncio.run(main())
