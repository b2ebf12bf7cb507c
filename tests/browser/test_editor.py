"""The editor in a real browser: a plan from nothing to its first delivered records, and what must not get lost."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, expect

from noria.console.access import hashed
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.robots import Robots
from noria.simulators.server import serve
from noria.simulators.sink import Sink
from tests.browser.opening import NEEDS_CHROMIUM, browser, served
from tests.conftest import Project

pytestmark = NEEDS_CHROMIUM


@asynccontextmanager
async def blank(project: Project, connections: str) -> AsyncIterator[str]:
    """A project without plans that is served."""
    project.connections(connections)
    (project.folder / "plans").mkdir(exist_ok=True)
    async with served(project) as url:
        yield url


def file_of(project: Project, key: str) -> Any:
    return json.loads((project.folder / "plans" / f"{key}.json").read_text("utf-8"))


async def settled(page: Page) -> None:
    """Until the server has answered what was typed."""
    await page.wait_for_function("() => !document.querySelector('.htmx-request')")


USERS = f"""
[console.users.anna]
password = '{hashed("anna may all")}'
role = "admin"
[alerts.channels.desk]
kind = "webhook"
url = "env:HOOK_URL"
token = "env:HOOK_TOKEN"
language = "zh"
"""


async def test_from_nothing_to_the_first_records_and_the_last_failure(project: Project, monkeypatch: Any) -> None:
    """Log in; build the OKKI plan in the editor: connection and operation, real records, id and number, a parameter, a
    filter, the mapping with completion and what comes out, schedule; save, run. One record fails: an alert arrives, its
    story is read, it is corrected and sent again; another is replayed, and the group vanishes by itself."""
    robots = Robots()
    okki, sink = Okki(make_account(3, users=30, departments=4, companies=0, orders=0, leads=0, invalid=0)), Sink()
    monkeypatch.setenv("OKKI_SECRET", "demo-secret")
    monkeypatch.setenv("HOOK_TOKEN", robots.bearer)
    async with serve(okki) as source, serve(sink) as target, serve(robots) as hooks:
        monkeypatch.setenv("HOOK_URL", f"{hooks.url}/webhook")
        connections = (
            f'[connections.crm]\nconnector = "okki"\nbase_url = "{source.url}"\nclient_id = "demo-client"\n'
            f'client_secret = "env:OKKI_SECRET"\n[connections.erp]\nconnector = "http"\nbase_url = "{target.url}"\n'
            'envelope = { code = "code", success = [200], message = "message" }\n'
            'write = { batch_size = 10, results = "data.results", idempotency_header = "Idempotency-Key" }\n' + USERS
        )
        async with blank(project, connections) as url, browser() as page:
            await page.goto(f"{url}/plans")
            await page.get_by_label("用户").fill("anna")
            await page.get_by_label("密码").fill("anna may all")
            await page.get_by_role("button", name="登录").click()
            await build(page)
            # Two of the records that it will read are refused by the target.
            users = [str(one["user_id"]) for one in okki.account.users]
            sink.faults.add(
                {"kind": "reject", "path": "/items", "ids": users[:2], "times": None, "message": "部门 1234 不存在"}
            )
            await page.get_by_role("button", name="保存并执行").click()
            await expect(page.get_by_role("status")).to_contain_text("已保存，已排队执行")
            await expect(page.locator("#live")).to_contain_text("部分未写入", timeout=30_000)
            made = file_of(project, "users")
            assert made["schedule"] == "*/10 * * * *" and made["source"]["metadata"]["id"] == "user_id"
            assert [one["field"] for one in made["target"]["metadata"]["request"]] == ["id", "full_name", "title"]
            assert made["source"]["metadata"]["request"][0]["field"] == "enable_flag"
            assert len(sink.rows) == 28 and all(row["title"] == f"U-{key}" for key, row in sink.rows.items())
            # The alert is on the page and at the receiver.
            await page.get_by_role("navigation", name="页面", exact=True).get_by_role("link", name="告警").click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text("users", timeout=30_000)
            await expect(page.locator("table.rows tbody tr").first).to_contain_text("已发送", timeout=30_000)
            assert any("users" in one.text or "小满用户" in one.text for one in robots.messages)
            # From the cause to the record, and its story.
            await page.get_by_role("link", name="死信").click()
            await page.get_by_role("link", name="不存在").first.click()
            await expect(page.locator("table.rows tbody tr")).to_have_count(2)
            await page.locator("table.rows tbody tr a.id", has_text=users[0]).click()
            await expect(page.locator("main")).to_contain_text("_function CONCAT('U-', '{{user_id}}')")
            await expect(page.locator("main")).to_contain_text("部门 1234 不存在")
            # It is corrected by hand, once the target takes it.
            sink.faults.active.clear()
            sink.faults.add(
                {"kind": "reject", "path": "/items", "ids": users[1:2], "times": None, "message": "部门 1234 不存在"}
            )
            await page.get_by_role("link", name="修改后重发").click()
            written = page.locator("#payload")
            await written.fill((await written.input_value()).replace(f"U-{users[0]}", "改正"))
            await page.get_by_role("button", name="查看差别").click()
            await expect(page.locator("pre.diff")).to_contain_text("改正")
            await page.get_by_label("原因").first.fill("部门补上了")
            await page.get_by_role("button", name="按修改后的内容发送").click()
            await expect(page.locator("h1")).to_contain_text("已写入", timeout=30_000)
            assert sink.rows[users[0]]["title"] == "改正"
            # The other is sent again as it is, and nothing is left.
            sink.faults.active.clear()
            page.on("dialog", lambda dialog: dialog.accept())
            await page.goto(f"{url}/failures")
            await page.locator("table.rows tbody tr").first.get_by_role("button", name="重新写入").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("没有失败的数据", timeout=30_000)
            await page.goto(f"{url}/plans/users/record?id={users[1]}")
            await expect(page.locator("h1")).to_contain_text("已写入", timeout=30_000)
            assert len(sink.rows) == 30 and sink.rows[users[1]]["title"] == f"U-{users[1]}"
            await page.get_by_role("button", name="English").click()
            await expect(page.locator("h1")).to_contain_text("delivered")
            # It is told as well when it is over.
            await page.goto(f"{url}/alerts")
            await expect(page.get_by_role("heading", level=1)).to_have_text("All is well", timeout=30_000)


async def build(page: Page) -> None:
    """The plan, from an empty form."""
    await page.get_by_role("link", name="新建集成方案").click()
    await page.get_by_label("文件名").fill("users")
    await page.get_by_label("名称", exact=True).fill("小满用户 → ERP")
    # The connection, and an operation that the connector knows.
    await page.locator("[id='f/source/connection']").select_option("crm")
    api = page.locator("[id='f/source/metadata/api']")
    await api.fill("user/li")
    await page.get_by_role("option", name="/v1/user/list").click()
    await expect(api).to_have_value("/v1/user/list")
    # A parameter that the operation has, out of the suggestions.
    await page.get_by_role("button", name="添加参数").click()
    await page.locator("[id='f/source/metadata/request/0/field']").click()
    await page.get_by_role("option", name="enable_flag").click()
    await page.locator("[id='f/source/metadata/request/0/value']").fill("1")
    await page.get_by_role("button", name="读取样本").click()
    await expect(page.get_by_role("status")).to_contain_text("条样本")
    row = page.locator("table.found tbody tr", has=page.get_by_text("user_id", exact=True))
    await row.get_by_role("button", name="主键").click()
    await expect(page.locator("[id='f/source/metadata/id']")).to_have_value("user_id")
    row = page.locator("table.found tbody tr", has=page.get_by_text("nickname", exact=True))
    await row.get_by_role("button", name="编码").click()
    await expect(page.locator("[id='f/source/metadata/number']")).to_have_value("nickname")
    # A filter.
    await page.get_by_role("button", name="添加过滤条件").click()
    await page.locator("[id='f/source/metadata/condition/0/0/field']").fill("nickname")
    await page.locator("[id='f/source/metadata/condition/0/0/logic']").select_option("notnull")
    # The target, and what its fields are made of.
    await page.locator("[id='f/target/connection']").select_option("erp")
    await page.locator("[id='f/target/metadata/api']").fill("/items")
    for name in ("user_id", "full_name"):
        row = page.locator("table.found tbody tr", has=page.get_by_text(name, exact=True))
        await row.get_by_role("button", name="映射").click()
    await expect(page.locator("[id='f/target/metadata/request/1/value']")).to_have_value("{{full_name}}")
    await page.locator("[id='f/target/metadata/request/0/field']").fill("id")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="添加字段").click()
    await page.locator("[id='f/target/metadata/request/2/field']").fill("title")
    formula = page.locator("[id='f/target/metadata/request/2/value']")
    await formula.fill("_function CONCAT('U-', '{{user_id}}'")
    # What is wrong stands at the field, before it is right.
    await expect(page.locator("tr[id='r/target/metadata/request/2'] .why")).not_to_be_empty()
    await formula.fill("_function CONCAT('U-', '{{user_id}}')")
    await expect(page.locator("tr[id='r/target/metadata/request/2'] .out")).to_contain_text("U-")
    await expect(page.locator("#problems")).to_contain_text("没有错误")
    # What is refused is given up on at once.
    await page.get_by_text("noria 选项").click()
    await page.locator("[id='f/options/retry/schedule']").fill("[]")
    await page.locator("[id='f/schedule']").fill("*/10 * * * *")
    await expect(page.get_by_text("接下来：")).to_be_visible()
    await settled(page)


async def test_nothing_is_lost_to_haste(project: Project, monkeypatch: Any) -> None:
    """Answers are slow: what was typed is kept when the text is clicked at once; a button that is pressed twice acts once;
    nothing can be typed into rows that may move; and what the server can't answer takes the place of nothing."""
    rows = [{"field": name, "value": f"{{{{{name}}}}}"} for name in "abcd"]
    plan = {
        "name": "w",
        "source": {"connection": "crm", "metadata": {"api": "/list", "id": "id"}},
        "target": {"connection": "crm", "metadata": {"api": "/items", "request": rows}},
    }

    async def slowly(route: Any) -> None:
        await asyncio.sleep(0.4)
        await route.continue_()

    async def fields(page: Page) -> list[str]:
        await expect(page.locator("#editor:not([inert])")).to_be_visible()
        await settled(page)
        document = json.loads(await page.locator("#text").input_value())
        return [one["field"] for one in document["target"]["metadata"]["request"]]

    connections = '[connections.crm]\nconnector = "http"\nbase_url = "http://127.0.0.1:1"\n'
    async with blank(project, connections) as url, browser(forgiven="503") as page:
        (project.folder / "plans" / "w.json").write_text(json.dumps({**plan, "enabled": False}), "utf-8")
        await page.goto(f"{url}/plans/w/edit")
        await page.route("**/plans/w/edit", slowly)
        await page.locator("[id='f/name']").fill("written in haste")
        await page.locator("#text").click()
        await expect(page.locator("#text")).to_have_value(re.compile("written in haste"))
        await page.locator("button[value='remove:/target/metadata/request/1']").dblclick()
        assert await fields(page) == ["a", "c", "d"]
        await page.locator("button[value='remove:/target/metadata/request/0']").click()
        assert await page.locator("#editor").evaluate("one => one.inert")
        assert await fields(page) == ["c", "d"]
        await page.unroute("**/plans/w/edit")
        await page.route("**/plans/w/edit", lambda route: route.fulfill(status=503, body="the ledger is busy"))
        await page.locator("[id='f/description']").fill("more")
        await expect(page.get_by_role("alert")).to_have_text("the ledger is busy")
        assert await page.locator("#text").count() == 1
        await page.unroute("**/plans/w/edit")
        await page.get_by_role("button", name="保存", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text("已保存")
        assert file_of(project, "w")["name"] == "written in haste"
