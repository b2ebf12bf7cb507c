"""The API: what is declared holds for everybody who asks, and for whatever they ask."""

from __future__ import annotations

import asyncio
import html
import io
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import jsonschema
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from noria.console.access import ROLES, hashed
from noria.console.endpoints import Endpoint
from noria.console.server import serving
from noria.console.tokens import Tokens
from noria.ledger.tokens import new_token
from tests.conftest import Project
from tests.integration.test_console_pages import PAGES, USERS, Console, console

BOTH_LEDGERS = True
ADMIN = f"""
[console.users.ada]
password = '{hashed("ada administers")}'
role = "admin"
"""
PEOPLE = {
    "viewer": ("vera", "vera looks on"),
    "operator": ("otto", "otto operates"),
    "admin": ("ada", "ada administers"),
}
JSON = {"Accept": "application/json"}


async def token_of(shown: Console, role: str, name: str = "", until: float | None = None) -> str:
    """A token, as it is made."""
    token = new_token()
    now = shown.operations.workspace.clock.now()
    await shown.operations.desk.ask(lambda ledger: ledger.tokens.add(name or role, role, token, "ada", now, until))
    return token


def bearing(token: str) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {token}"}


def addressed(one: Endpoint) -> str:
    """An address that an endpoint answers."""
    path = one.path.replace("{key}", "p").replace("{run}", "1").replace("{number}", "1")
    return path.replace("{plan}", "p").replace("{name}", "here")


@asynccontextmanager
async def somebody(shown: Console) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def logged_in(shown: Console, session: aiohttp.ClientSession, role: str) -> str:
    """A session of a role; gives its forms' token."""
    name, password = PEOPLE[role]
    async with session.get(f"{shown.url}/login") as answer:
        token = re.search(r'name="token" value="([^"]+)"', await answer.text())
    assert token is not None
    form = {"token": token[1], "name": name, "password": password}
    async with session.post(f"{shown.url}/login", data=form) as answer:
        text = await answer.text()
    found = re.search(r'name="token" value="([^"]+)"', text)
    assert found is not None and "/logout" in text
    return found[1]


async def asked(session: aiohttp.ClientSession, one: Endpoint, url: str, headers: dict[str, str]) -> int:
    how: dict[str, Any] = {} if one.method == "GET" else {"json": {}}
    async with session.request(
        one.method, url + addressed(one), headers=headers, allow_redirects=False, **how
    ) as answer:
        await answer.read()
        return answer.status


async def test_every_path_is_open_to_whom_it_is_declared(project: Project) -> None:
    """As anybody, logged in, and with a token, each of every role."""
    async with console(project, USERS + ADMIN) as shown:
        declared = [one for one in shown.operations.endpoints() if one.role is not None]
        assert len(declared) > 40
        async with somebody(shown) as session:
            for one in declared:
                assert await asked(session, one, shown.url, JSON) == 401, one.path
                status = await asked(session, one, shown.url, {"Accept": "text/html"})
                assert status == 303, one.path
        for role in ROLES:
            token = await token_of(shown, role)
            async with somebody(shown) as session, somebody(shown) as bare:
                known = await logged_in(shown, session, role)
                for one in declared:
                    may = ROLES.index(role) >= ROLES.index(str(one.role))
                    for who, headers in ((bare, bearing(token)), (session, {**JSON, "X-Token": known})):
                        status = await asked(who, one, shown.url, headers)
                        assert status < 500 and (status not in (401, 403)) == may, (one.path, role, status)
                        assert may or status == 403, (one.path, role, status)
                    # A session's acts need the page's token, also with JSON.
                    if one.method == "POST":
                        assert await asked(session, one, shown.url, JSON) == 403, one.path


@pytest.mark.parametrize("role", ["nobody", "viewer"])
async def test_whatever_is_linked_is_reached_and_nothing_else(project: Project, role: str) -> None:
    """Follow every link and form, as somebody who looks on and as somebody who has not logged in."""
    async with console(project, USERS + ADMIN) as shown, somebody(shown) as session:
        if role != "nobody":
            await logged_in(shown, session, role)
        starts = [
            "/",
            "/login",
            *PAGES,
            *(addressed(one) for one in shown.operations.endpoints() if one.method == "GET"),
        ]
        waiting, seen, forms = list(dict.fromkeys(starts)), set(starts), set()
        reached = set()
        while waiting:
            path = waiting.pop()
            if path == "/events":
                continue
            async with session.get(shown.url + path, allow_redirects=False) as answer:
                text = await answer.text()
                assert answer.status < 500, path
                if answer.status == 200:
                    reached.add(urlsplit(path).path)
                if "html" not in answer.headers.get("Content-Type", ""):
                    continue
            links = re.findall(r'(?:href|src|hx-get)="([^"#]+)"', text)
            for link in (html.unescape(one) for one in links):
                target = urlsplit(urljoin(shown.url + path, link))
                assert target.netloc == urlsplit(shown.url).netloc, link
                whole = target.path + (f"?{target.query}" if target.query else "")
                if whole not in seen and len(seen) < 500:
                    seen.add(whole)
                    waiting.append(whole)
            forms |= {
                (method.lower(), urlsplit(urljoin(shown.url + path, html.unescape(action))).path)
                for method, action in re.findall(r'<form[^>]*method="(\w+)"[^>]*action="([^"]*)"', text)
            }
        own = {"/login"} if role == "nobody" else {"/logout"}
        posted = {path for method, path in forms if method == "post"}
        assert posted - {"/records/export"} == {"/language", *own}, posted
        declared = shown.operations.endpoints()
        admins = {addressed(one) for one in declared if one.role in ("operator", "admin") and one.method == "GET"}
        assert admins and not reached & admins
        if role == "nobody":
            machines = {one.path for one in declared if one.role is None}
            assert {path for path in reached if not path.startswith("/static/")} == {"/login"} | machines - {
                "/hooks/{plan}"
            }
        else:
            assert {"/", "/plans", "/plans/p", "/records", "/runs/1", "/failures", "/api"} <= reached
        for path in posted | {addressed(one) for one in declared if one.method == "POST" and one.role is not None}:
            async with session.post(shown.url + path, allow_redirects=False) as answer:
                assert answer.status < 500
                assert answer.status in (303, 403), (path, answer.status)
                if answer.status == 303:
                    assert answer.headers["Location"].startswith("/login"), path


async def test_a_token_is_shown_once_used_and_revoked(project: Project) -> None:
    async with console(project, USERS + ADMIN) as shown, somebody(shown) as session:
        known = await logged_in(shown, session, "admin")
        form = {"token": known, "name": "ci", "role": "operator", "expires": "1d"}
        async with session.post(f"{shown.url}/tokens", data=form) as answer:
            text = await answer.text()
            assert answer.status == 200 and "noria" not in str(answer.cookies.get("noria", ""))
        token = re.search(r"noria_[\w-]{43}", text)
        assert token is not None
        headers = bearing(token[0])
        async with session.post(f"{shown.url}/tokens", data=form, headers=JSON) as answer:
            assert answer.status == 409 and (await answer.json())["error"]["code"] == "exists"
        async with somebody(shown) as bare:
            async with bare.post(f"{shown.url}/plans/p/run", json={}, headers=headers) as answer:
                assert (answer.status, await answer.json()) == (200, {"done": "run", "plan": "p"})
                assert "Set-Cookie" not in answer.headers
            # Without saying that JSON is wanted, too.
            async with bare.get(f"{shown.url}/plans", headers={"Authorization": headers["Authorization"]}) as answer:
                assert answer.headers["Noria-Api"] == "1" and (await answer.json())["plans"][0]["key"] == "off"
            _, listed = await reading(bare, f"{shown.url}/audit", bearing(await token_of(shown, "admin")))
            assert [(one["who"], one["what"]) for one in listed["changes"]] == [("token:ci", "run"), ("ada", "token")]
            assert token[0] not in str(listed)
            async with session.get(f"{shown.url}/tokens") as answer:
                assert token[0] not in await answer.text()
            async with session.post(f"{shown.url}/tokens/ci/revoke", data={"token": known}, headers=JSON) as answer:
                assert answer.status == 200
            status, found = await reading(bare, f"{shown.url}/plans", headers)
            assert (status, found["error"]["code"]) == (401, "bad_token") and token[0] not in str(found)
        async with session.post(f"{shown.url}/tokens/ci/revoke", data={"token": known}, headers=JSON) as answer:
            assert answer.status == 404
        kept = str(await shown.operations.desk.ask(lambda ledger: ledger.store.tuples("SELECT * FROM tokens, audit")))
        assert token[0] not in kept


async def test_no_token_may_more_than_who_makes_it(project: Project) -> None:
    """Also if less than an admin could make them."""
    async with console(project, USERS) as shown, somebody(shown) as session:
        door = shown.operations.door
        opened = [replace(one, role="viewer") for one in Tokens(door).endpoints()]
        app = Starlette(routes=door.routes(opened), middleware=[Middleware(SessionMiddleware, secret_key="x")])
        token = await token_of(shown, "operator")
        async with serving(app, "127.0.0.1:0") as port:
            for role, status in (("viewer", 200), ("operator", 200), ("admin", 403)):
                sent = {"name": f"of-{role}", "role": role}
                url = f"http://127.0.0.1:{port}/tokens"
                async with session.post(url, json=sent, headers=bearing(token)) as answer:
                    assert answer.status == status, role
        listed = await shown.operations.desk.ask(lambda ledger: ledger.tokens.page())
        assert {one.name for one in listed} == {"operator", "of-viewer", "of-operator"}


async def reading(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> tuple[int, Any]:
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.json()


async def test_a_token_that_does_not_hold_opens_nothing(project: Project) -> None:
    """Nor does what would let its bearer in without it: a session, or the open door of this machine."""
    async with console(project) as shown, somebody(shown) as session:
        clock = project.clock
        token = await token_of(shown, "admin", until=clock.now() + 60)
        assert (await reading(session, f"{shown.url}/plans", JSON))[0] == 200
        assert (await reading(session, f"{shown.url}/plans", bearing(token)))[0] == 200
        # A token is answered wherever it comes from; without users nobody else is.
        assert (await reading(session, f"{shown.url}/plans", {**bearing(token), "Host": "noria.example"}))[0] == 200
        assert (await reading(session, f"{shown.url}/plans", {**JSON, "Host": "noria.example"}))[0] == 403
        clock.time += 60
        for wrong in (token, "noria_" + "x" * 43, "", "é"):
            async with session.get(f"{shown.url}/plans", headers={"Authorization": f"bearer {wrong}"}) as answer:
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), wrong
        assert (await reading(session, f"{shown.url}/plans", JSON))[0] == 200


async def test_guessing_a_token_is_slow_and_locks_out_nobody_who_has_one(project: Project) -> None:
    async with console(project, USERS) as shown, somebody(shown) as session:
        used, fresh = await token_of(shown, "viewer", "used"), await token_of(shown, "viewer", "fresh")
        url = f"{shown.url}/plans"
        assert (await reading(session, url, bearing(used)))[0] == 200
        guesses = [reading(session, url, bearing(f"noria_{n}")) for n in range(12)]
        assert sorted(status for status, _ in await asyncio.gather(*guesses)) == [401] * 5 + [429] * 7
        # Who guesses right by now is refused all the same; who has been let in before is not.
        assert (await reading(session, url, bearing(fresh)))[0] == 429
        assert (await reading(session, url, bearing(used)))[0] == 200
        project.clock.time += 301
        assert (await reading(session, url, bearing(fresh)))[0] == 200


async def test_when_a_token_was_used_is_noted_once_a_minute(project: Project) -> None:
    async with console(project) as shown, somebody(shown) as session:
        token = await token_of(shown, "viewer")

        async def used() -> float | None:
            assert (await reading(session, f"{shown.url}/plans", bearing(token)))[0] == 200
            return (await shown.operations.desk.ask(lambda ledger: ledger.tokens.page()))[0].used_at

        first = project.clock.now()
        assert await used() == first
        project.clock.time += 59
        assert await used() == first
        project.clock.time += 1
        assert await used() == first + 60


async def test_without_users_a_program_of_this_machine_acts_and_no_page_from_elsewhere(project: Project) -> None:
    async with console(project) as shown, somebody(shown) as session:
        url = f"{shown.url}/plans/p/run"
        async with session.post(url, json={}, headers=JSON) as answer:
            assert answer.status == 200
        for headers in (
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Cookie": "noria=x"},
            {"Origin": shown.url},
        ):
            async with (
                aiohttp.ClientSession() as other,
                other.post(url, json={}, headers={**JSON, **headers}) as answer,
            ):
                assert answer.status == 403, headers
        async with aiohttp.ClientSession() as other, other.post(url, data={}, headers=JSON) as answer:
            assert answer.status == 403
        plain = {**JSON, "Content-Type": "text/plain"}
        async with aiohttp.ClientSession() as other, other.post(url, data="{}", headers=plain) as answer:
            assert answer.status == 415


@pytest.mark.parametrize(
    ("body", "code", "path", "says"),
    [
        (b"{", "not_json", "", "not JSON"),
        (b"[]", "not_an_object", "", "an object"),
        (b'{"state": "gone"}', "not_a_choice", "$.state", '"gone"'),
        (b'{"state": 1}', "wrong_type", "$.state", "1"),
        (b'{"states": "dead"}', "unknown_key", "$.states", "states"),
        (b'{"id": "a\\u0000b"}', "bad_text", "$.id", "characters"),
        (b'{"id": "' + b"x" * 2001 + b'"}', "bad_value", "$.id", "xxx"),
        (b"{}", "nothing_chosen", "", "nothing"),
    ],
)
async def test_what_does_not_fit_is_told_with_its_place(
    project: Project, body: bytes, code: str, path: str, says: str
) -> None:
    async with console(project) as shown, somebody(shown) as session:
        headers = {**JSON, "Content-Type": "application/json"}
        url = f"{shown.url}/plans/p/replay"
        async with session.post(url, data=body, headers={**headers, "Accept-Language": "en"}) as answer:
            found = (await answer.json())["error"]
            assert (answer.status, found["code"], found["path"]) == (400, code, path) and says in found["message"]
        async with session.post(url, data=body, headers={**headers, "Accept-Language": "zh"}) as answer:
            assert re.search(r"[\u4e00-\u9fff]", (await answer.json())["error"]["message"])
        large = io.BytesIO(b'{"id": "' + b"x" * 1024 * 1024 + b'"}')
        async with session.post(url, data=large, headers=headers) as answer:
            assert answer.status == 413 and (await answer.json())["error"]["code"] == "too_large"


def strict(schema: Any) -> Any:
    """A schema that takes nothing that it doesn't name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(one) for name, one in schema.items()}
    return (
        {"additionalProperties": False, **made}
        if isinstance(schema.get("properties"), dict) and "type" in schema
        else made
    )


async def test_every_answer_is_as_the_document_says_and_no_more(project: Project) -> None:
    async with console(project, USERS + ADMIN) as shown, somebody(shown) as session:
        token = await token_of(shown, "admin")
        _, document = await reading(session, f"{shown.url}/openapi.json", bearing(token))
        jsonschema.Draft202012Validator.check_schema({"$ref": "#/x", "x": document["components"]["schemas"]})
        own = {"components": strict(document["components"])}
        pages = [
            *PAGES,
            "/plans/p/record?id=r3",
            "/plans/p/record?id=r1",
            "/plans/p/record/edit?id=r3",
            "/audit",
            "/tokens",
        ]
        for path in [*pages, "/new", "/plans/p/edit", "/connection?name=here", "/runs?limit=1", "/runs/4711"]:
            template = next(
                one.path
                for one in sorted(shown.operations.endpoints(), key=lambda one: one.path.count("{"))
                if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one.path), urlsplit(path).path)
            )
            status, data = await reading(session, shown.url + path, bearing(token))
            content = document["paths"][template]["get"]["responses"][str(status)]["content"]["application/json"]
            jsonschema.Draft202012Validator({**own, **strict(content["schema"])}).validate(data)


async def test_lists_are_read_page_by_page(project: Project) -> None:
    async with console(project) as shown, somebody(shown) as session:
        ids, query = [], "limit=2"
        while True:
            _, found = await reading(session, f"{shown.url}/records?plan=p&{query}", JSON)
            assert len(found["records"]) <= 2
            ids += [one["id"] for one in found["records"]]
            if found["next"] is None:
                break
            query = f"limit=2&before={found['next']['before']}"
        _, whole = await reading(session, f"{shown.url}/records?plan=p", JSON)
        assert ids == [one["id"] for one in whole["records"]] and len(ids) == 9
        for limit in ("0", "201", "x", "-1"):
            assert (await reading(session, f"{shown.url}/runs?limit={limit}", JSON))[0] == 400


async def test_nothing_that_can_be_asked_breaks_it(project: Project, tmp_path: Path) -> None:
    """Schemathesis makes requests up for the whole document, and looks at every answer."""
    async with console(project, USERS + ADMIN) as shown:
        # More wrong tokens than anybody may show are part of it.
        shown.operations.door.bearers.guesses.count = lambda keys: None  # type: ignore[method-assign]
        token = await token_of(shown, "admin", "x" * 90)
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
            "response_schema_conformance,ignored_auth,unsupported_method"
        )
        made = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{shown.url}/openapi.json",
            *("--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1"),
            *("--generation-deterministic", "--warnings", "off", "--no-color"),
            *("--continue-on-failure", "--request-timeout", "20", "-H", f"Authorization: Bearer {token}"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await made.communicate()
        assert made.returncode == 0, told.decode()[-20_000:]
        assert "No issues found" in told.decode()
