"""The console's pages over real HTTP: what they show, to whom, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from starlette.routing import Route

from noria.console.access import hashed
from noria.console.app import Guarded, Operations
from noria.console.server import serving
from noria.engine import run_plan
from noria.messages import CATALOGUE
from tests.conftest import EMPTY, Project
from tests.servers import listening

BOTH_LEDGERS = True
PAGES = (
    "/",
    "/plans",
    "/plans/p",
    "/plans/p?tab=runs",
    "/plans/p?tab=mapping",
    "/plans/p?tab=schedule",
    "/plans/p?tab=alerts",
    "/plans/p?tab=metadata",
    "/records",
    "/records?plan=p",
    "/records?plan=p&state=invalid",
    "/reconciliation",
    "/reconciliation?plan=p",
    "/failures",
    "/runs",
    "/runs/1",
    "/connections",
    "/plans/p/versions",
    "/alerts",
    "/api",
)
ADMINS = ("/audit", "/new", "/plans/p/edit", "/connection", "/connection?name=here", "/tokens")
NASTY = "<script>alert('x')</script> مرحبا 😀 " + "很长" * 200
USERS = f"""
[console.users.vera]
password = '{hashed("vera looks on")}'
role = "viewer"
[console.users.otto]
password = '{hashed("otto operates")}'
role = "operator"
"""


class Console:
    """A console that is open, and a browser's part of the talk with it."""

    def __init__(self, project: Project, operations: Operations, url: str) -> None:
        self.project = project
        self.operations = operations
        self.url = url
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=headers, allow_redirects=False) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def json(self, path: str) -> Any:
        status, text = await self.get(path, Accept="application/json")
        return status, json.loads(text)

    async def token(self) -> str:
        _, text = await self.get("/login" if self.operations.workspace.project.console.users else "/")
        found = re.search(r'name="token" value="([^"]+)"', text)
        if found is None:
            _, text = await self.get("/")
            found = re.search(r'name="token" value="([^"]+)"', text)
        assert found is not None
        return found[1]

    async def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[int, str]:
        sent = {"token": form.pop("token", None) or await self.token(), **form}
        async with self.session.post(self.url + path, data=sent, headers=headers, allow_redirects=False) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def log_in(self, name: str, password: str, **more: str) -> int:
        return (await self.post("/login", name=name, password=password, **more))[0]


@asynccontextmanager
async def opened(project: Project) -> AsyncIterator[Console]:
    """The console of a project whose plan `p` has run."""
    async with project.workspace() as workspace:
        await run_plan(workspace, workspace.project.plan("p"))
        operations = Operations(workspace)
        async with serving(operations.app(), "127.0.0.1:0") as port:
            found = Console(project, operations, f"http://127.0.0.1:{port}")
            try:
                yield found
            finally:
                await found.session.close()
        operations.close()


@asynccontextmanager
async def console(project: Project, settings: str = "") -> AsyncIterator[Console]:
    async def rows(_: web.Request) -> web.Response:
        found = [{"id": f"r{n}", "name": NASTY if n == 3 else f"row {n}"} for n in range(8)]
        return web.json_response({"data": [*found, {"id": "", "name": "none"}]})

    async def items(request: web.Request) -> web.Response:
        rows = await request.json()
        done = [
            {"id": row["id"], "ok": row["id"] not in ("r3", "r5"), "message": f"部门 {row['id']} 不存在"}
            for row in rows
        ]
        return web.json_response({"results": done})

    async with listening([web.get("/list", rows), web.post("/items", items)]) as url:
        project.connections(
            f'[connections.here]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
            f'write = {{ results = "results" }}\n[connections.inside]\nconnector = "noria"\n{settings}'
        )
        target = {
            "api": "/items",
            "method": "POST",
            "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}],
        }
        source = {"api": "/list", "id": "id", "number": "name", "idCheck": True}
        project.plan("p", ("here", source), ("here", target), name="一个方案", schedule="0 2 * * *")
        project.plan("off", ("here", source), ("inside", EMPTY), enabled=False)
        async with opened(project) as found:
            yield found


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_every_page_in_both_languages_and_as_json(
    project: Project, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process's own language is another.
    monkeypatch.setenv("NORIA_LANG", "en" if lang == "zh" else "zh")
    async with console(project) as shown:
        for path in (*PAGES, *ADMINS, "/plans/p/record?id=r3", "/plans/p/record/edit?id=r3"):
            status, text = await shown.get(path, **{"Accept-Language": lang})
            assert status == 200 and "text/html" in shown.headers["Content-Type"], path
            assert f'lang="{"zh-CN" if lang == "zh" else "en"}"' in text
            # Settings are called what they are called in any language; so is what the API takes and gives.
            named = r"<(code|pre)[^>]*>.*?</\1>" if path == "/api" else r"<code>[\w.]*</code>"
            words = re.sub(r"<[^>]*>", " ", re.sub(named, " ", text, flags=re.DOTALL))
            # No key stands where its words should, and no word of the other language.
            assert not [key for key in CATALOGUE if re.search(rf"(?<![\w./]){re.escape(key)}(?![\w.])", words)], path
            if lang == "en":
                own = words.replace("一个方案", "").replace("不存在", "").replace("部门", "").replace("很长", "")
                assert not re.search(r"[\u4e00-\u9fff]", own.replace("中文", "").replace("写入空操作", "")), path
            else:
                assert not re.search(r"\b(staged|delivered|refused|failed|records)\b", words.replace("Records", "")), (
                    path
                )
            policy = shown.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy and "unsafe" not in policy
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text), path
            status, data = await shown.json(path)
            assert status == 200 and isinstance(data, dict)
        assert (await shown.get("/plans/nothing"))[0] == (await shown.get("/runs/4711"))[0] == 404
        assert (await shown.get("/plans/p/record?id=nothing"))[0] == 404
        assert (await shown.get("/records?plan=p&state=x"))[0] == (await shown.get("/records?before=x"))[0] == 400


async def test_what_records_hold_is_shown_and_never_run(project: Project) -> None:
    async with console(project) as shown:
        for path in ("/records?plan=p", "/plans/p/record?id=r3"):
            _, text = await shown.get(path)
            assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "😀" in text
        _, story = await shown.json("/plans/p/record?id=r3")
        assert story["record"]["raw"]["name"] == NASTY and story["record"]["state"] == "failed"


async def test_failures_by_cause_and_their_replay(project: Project) -> None:
    async with console(project) as shown:
        _, found = await shown.json("/failures")
        assert [(one["state"], one["count"]) for one in found["causes"]] == [("failed", 2), ("invalid", 1)]
        cause = found["causes"][0]
        _, listed = await shown.json(f"/records?plan=p&state=failed&cause={cause['cause']}")
        assert [one["id"] for one in listed["records"]] == ["r5", "r3"]
        status, _ = await shown.post("/plans/p/replay", state="failed", cause=cause["cause"])
        assert status == 303
        _, found = await shown.json("/failures")
        assert [one["state"] for one in found["causes"]] == ["invalid"]
        assert {one.stage for one in project.ledger("p", lambda ledger, _: ledger.agenda.wanted())} == {"deliver"}
        _, text = await shown.get("/failures", **{"Accept-Language": "en"})
        assert "to be sent again: 2" in text
        kept = project.ledger("p", lambda ledger, _: ledger.store.rows("SELECT who, what, plan, detail FROM audit"))
        assert [(one.who, one.what, one.plan, json.loads(one.detail)["count"]) for one in kept] == [
            ("local", "replay", "p", 2)
        ]
        assert (await shown.post("/plans/p/replay"))[0] == (await shown.post("/plans/p/replay", state="x"))[0] == 400


async def test_a_connection_is_tried_and_no_secret_is_shown(project: Project) -> None:
    settings = '[connections.other]\nconnector = "http"\nbase_url = "http://127.0.0.1:9/"\nauth = { type = "bearer", token = "hush-hush-1" }\n'
    async with console(project, settings) as shown:
        project.plan("far", ("other", {"api": "/x", "id": "id"}), ("inside", EMPTY), options={"retry": {"tries": 1}})
        _, data = await shown.json("/connections")
        assert {one["name"]: one["reads"] for one in data["connections"]} == {
            "here": ["off", "p"],
            "inside": [],
            "other": ["far"],
        }
        assert (await shown.post("/connections/here/test"))[0] == 303
        assert "第一页有 9 条" in (await shown.get("/connections", **{"Accept-Language": "zh"}))[1]
        assert (await shown.post("/connections/other/test"))[0] == 303
        _, text = await shown.get("/connections", **{"Accept-Language": "en"})
        assert 'class="said bad"' in text and "other (plan far)" in text
        assert (await shown.post("/connections/inside/test"))[0] == 409
        _, changes = await shown.json("/audit")
        assert [one["what"] for one in changes["changes"]] == ["test_failed", "test"]
        for path in ("/connections", "/audit", "/plans/far"):
            assert "hush-hush" not in (await shown.get(path))[1]


async def test_a_plan_is_run_paused_and_resumed(project: Project) -> None:
    async with console(project) as shown:
        assert (await shown.post("/plans/p/run"))[0] == 303
        wanted = project.ledger("p", lambda ledger, _: ledger.agenda.wanted())
        assert {(one.plan, one.stage) for one in wanted} == {("p", "extract"), ("p", "deliver")}
        file = project.folder / "plans" / "p.json"
        before = json.loads(file.read_text("utf-8"))
        assert (await shown.post("/plans/p/enabled", enabled="false"))[0] == 303
        assert json.loads(file.read_text("utf-8")) == {**before, "enabled": False}
        assert (await shown.post("/plans/p/run"))[0] == 409
        assert (await shown.post("/plans/p/enabled", enabled="true"))[0] == 303
        assert json.loads(file.read_text("utf-8")) == {**before, "enabled": True}
        assert [one.name for one in file.parent.iterdir() if one.name.startswith(".")] == []


async def test_changes_are_taken_from_our_own_pages_only(project: Project) -> None:
    async with console(project) as shown:
        assert (await shown.post("/plans/p/run", token="guessed"))[0] == 403
        assert (await shown.post("/plans/p/run", headers={"Origin": "http://evil.example"}))[0] == 403
        assert (await shown.post("/plans/p/run", headers={"Origin": shown.url}))[0] == 303
        async with aiohttp.ClientSession() as other, other.post(f"{shown.url}/plans/p/run") as answer:
            assert answer.status == 403


async def test_without_users_only_this_machine_is_answered(project: Project) -> None:
    async with console(project) as shown:
        assert (await shown.get("/", Host="noria.example"))[0] == 403
        assert (await shown.get("/", **{"X-Forwarded-For": "203.0.113.9"}))[0] == 403
        assert (await shown.get("/", Host="localhost"))[0] == 200
        # What machines ask is answered whoever asks.
        assert (await shown.get("/healthz", Host="noria.example"))[0] == 200


async def test_with_users_everybody_logs_in_and_does_what_the_role_allows(project: Project) -> None:
    async with console(project, USERS) as shown:
        for path in PAGES:
            status, _ = await shown.get(path)
            assert status == 303 and shown.headers["Location"].startswith("/login?to="), path
            assert (await shown.json(path))[0] == 401
        assert (await shown.post("/plans/p/run"))[0] == 303 and shown.headers["Location"].startswith("/login")
        assert await shown.log_in("vera", "vera looks on", to="/runs") == 303 and shown.headers["Location"] == "/runs"
        for path in PAGES:
            assert (await shown.get(path))[0] == 200
        _, text = await shown.get("/plans/p")
        assert "/plans/p/run" not in text and "/plans/p/replay" not in text
        for path, form in (("run", {}), ("enabled", {"enabled": "false"}), ("replay", {"state": "failed"})):
            assert (await shown.post(f"/plans/p/{path}", **form))[0] == 403
        assert (await shown.post("/logout"))[0] == 303 and (await shown.get("/plans"))[0] == 303
        assert await shown.log_in("otto", "otto operates") == 303
        assert [(await shown.get(path))[0] for path in ADMINS] == [403] * len(ADMINS)
        assert (await shown.post("/plans/p/run"))[0] == 303
        # Somebody whose password has changed is no longer logged in.
        users = shown.operations.workspace.project.console.users
        users["otto"] = type(users["otto"])(password=hashed("another one"), role="operator")
        assert (await shown.get("/plans"))[0] == 303


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example/", "/\t/evil.example"])
async def test_logging_in_leads_nowhere_else(project: Project, to: str) -> None:
    async with console(project, USERS) as shown:
        assert await shown.log_in("vera", "vera looks on", to=to) == 303 and shown.headers["Location"] == "/"


async def test_guessing_a_password_is_slow(project: Project) -> None:
    async with console(project, USERS) as shown:
        assert [await shown.log_in("vera", "wrong") for _ in range(6)] == [401] * 5 + [429]
        assert await shown.log_in("vera", "vera looks on") == 429
        project.clock.time += 301
        assert await shown.log_in("vera", "vera looks on") == 303


async def test_the_language_is_kept(project: Project) -> None:
    async with console(project) as shown:
        assert (await shown.post("/language", lang="en", to="/plans"))[0] == 303
        assert shown.headers["Location"] == "/plans"
        assert 'lang="en"' in (await shown.get("/plans", **{"Accept-Language": "zh"}))[1]


async def test_a_page_that_is_open_hears_of_changes(project: Project) -> None:
    async with console(project) as shown, shown.session.get(f"{shown.url}/events") as events:
        first = asyncio.ensure_future(events.content.readline())
        workspace = shown.operations.workspace
        for _ in range(50):
            await run_plan(workspace, workspace.project.plan("p"))
            done, _ = await asyncio.wait([first], timeout=0.3)
            if done:
                break
        assert await first == b"event: changed\n"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/records?plan=p&before=99999999999999999999", 400),
        ("/records?plan=p&before=-1", 400),
        ("/records?plan=p&before=%D9%A3", 400),
        ("/records?plan=p&q=%00", 400),
        ("/records?plan=%00", 400),
        ("/records?plan=nowhere", 200),
        ("/plans/p?tab=x", 400),
        ("/plans/p/record?seq=x", 400),
        ("/plans/p/record?seq=999", 404),
        ("/plans/p/record/edit?seq=999", 404),
        ("/plans/p/record/edit?id=r1", 409),
        ("/reconciliation?plan=%00", 400),
        ("/reconciliation?plan=nowhere", 200),
        ("/runs?before=x", 400),
        ("/runs/99999999999999999999", 400),
        ("/runs/99999", 404),
        ("/runs/x", 400),
        ("/audit?before=1e3", 400),
        ("/plans/p/record?id=%00", 400),
        ("/plans/p/record?id=nobody", 404),
        ("/plans/%00", 400),
        ("/failures?plan=%00", 400),
        ("/alerts?before=x", 400),
        ("/nowhere", 404),
    ],
)
async def test_an_address_that_nobody_linked_to_is_refused(project: Project, path: str, status: int) -> None:
    async with console(project) as shown:
        assert (await shown.get(path))[0] == status


async def test_nothing_is_reached_that_is_not_declared(project: Project) -> None:
    coming = {("GET", "/login"), ("POST", "/login"), ("POST", "/logout"), ("POST", "/language"), ("GET", "/events")}
    async with console(project) as shown:
        declared = {(one.method, one.path) for one in shown.operations.endpoints()}
        assert set(reached(shown.operations.app().router)) == declared | coming | {("GET", "/static")}


def reached(router: Any) -> Iterator[tuple[str, str]]:
    """Every method and path that an application answers."""
    for route in router.routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or () if method != "HEAD")
        else:
            yield "GET", route.path
    if isinstance(router.default, Guarded):
        yield from reached(router.default.app.app)


async def test_a_form_that_is_too_large_is_not_taken(project: Project) -> None:
    async with console(project, USERS) as shown:
        token = await shown.token()

        async def large() -> AsyncIterator[bytes]:
            yield f"token={token}&name=vera&password=".encode()
            for _ in range(17):
                yield b"p" * 65536

        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "en"}
        async with shown.session.post(f"{shown.url}/login", data=large(), headers=headers) as answer:
            assert answer.status == 413 and CATALOGUE["console.too_large"][1] in await answer.text()
        assert await shown.log_in("vera", "vera looks on") == 303


async def test_guesses_at_the_same_time_are_counted_too(project: Project) -> None:
    async with console(project, USERS) as shown:
        token = await shown.token()
        tries = [shown.post("/login", token=token, name="vera", password=f"wrong {n}") for n in range(12)]
        found = sorted(status for status, _ in await asyncio.gather(*tries))
        assert found == [401] * 5 + [429] * 7


async def test_a_connection_says_when_its_token_runs_out(project: Project) -> None:
    settings = '[connections.fixed]\nconnector = "http"\nbase_url = "http://127.0.0.1:1"\nauth = { type = "bearer", token = "env:HOME", expires = "2027-01-01" }\n'
    async with console(project, settings) as shown:
        _, data = await shown.json("/connections")
        ends = {one["name"]: one["expires"] for one in data["connections"]}
        assert ends == {"here": None, "inside": None, "fixed": 1798732800.0}


async def test_a_connection_says_where_it_leads(project: Project) -> None:
    tables = {
        "shop": ("sql", 'url = "postgresql://noria@db/shop"', "postgresql://noria@db/shop"),
        "inbox": ("file", 'folder = "s3://bucket/in"', "s3://bucket/in"),
        "tap": ("singer", 'tap = "taps/bin/tap-github"', "taps/bin/tap-github"),
    }
    settings = "".join(
        f'[connections.{key}]\nconnector = "{kind}"\n{line}\n' for key, (kind, line, _) in tables.items()
    )
    async with console(project, settings) as shown:
        _, data = await shown.json("/connections")
        found = {one["name"]: one["address"] for one in data["connections"]}
        assert all(found[key] == place for key, (_, _, place) in tables.items()), found


async def test_a_file_that_cannot_be_read_needs_somebody(project: Project) -> None:
    """Also on the overview, with its problem and the way to its text; who may not edit is shown no way."""
    async with console(project) as shown:
        _, text = await shown.get("/", **{"Accept-Language": "en"})
        assert "Plans that need you: 1" in text and 'role="alert"' not in text
        (project.folder / "plans" / "q.json").write_text('{"name": ', "utf-8")
        for path in ("/", "/plans"):
            _, text = await shown.get(path, **{"Accept-Language": "en"})
            assert '<a href="/plans/q/edit">q</a>' in text and 'role="alert"' in text, path
            _, data = await shown.json(path)
            assert [(one["plan"], one["path"]) for one in data["broken"]] == [("q", "$")], path
        _, text = await shown.get("/", **{"Accept-Language": "en"})
        assert "Plans that need you: 2" in text and "All is well" not in text
    async with console(project, USERS) as shown:
        assert await shown.log_in("vera", "vera looks on") == 303
        _, text = await shown.get("/", **{"Accept-Language": "en"})
        assert "<b>q</b>" in text and "/plans/q/edit" not in text


async def test_the_overview_is_light(project: Project) -> None:
    """With everything that it brings, as a browser fetches it the first time; what it brings is kept after that."""
    async with console(project) as shown:
        _, text = await shown.get("/")
        total = len(text.encode())
        brought = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
        assert len(brought) >= 4
        for path in brought:
            async with shown.session.get(shown.url + path, auto_decompress=False) as answer:
                assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"], path
                assert answer.content_length is None or answer.content_length == len(await answer.read())
                total += len(await answer.read())
        assert total < 100_000
        assert "Content-Encoding" not in (await shown.session.get(shown.url + "/")).headers
