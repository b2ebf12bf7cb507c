"""The simulators: as strict as the vendor's documents, faults on demand, honest accounts of what happened."""

from __future__ import annotations

import argparse
import ast
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import noria.simulators
from noria.simulators.__main__ import SYSTEMS
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import serve
from noria.simulators.sink import Sink

TOKEN = {
    "grant_type": "client_credentials",
    "client_id": "demo-client",
    "client_secret": "demo-secret",
    "scope": "user company",
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def okki() -> AsyncIterator[tuple[Okki, str, Clock]]:
    clock = Clock()
    account = make_account(2, users=40, departments=6, companies=30, orders=12, leads=3, invalid=3)
    simulator = Okki(account, clock=clock)
    async with serve(simulator) as running:
        yield simulator, running.url, clock


async def authorized(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """The header of a fresh token."""
    async with http.post(f"{url}/v1/oauth2/access_token", json=TOKEN) as answer:
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


async def get(http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON."""
    async with http.get(url, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


def test_simulators_import_nothing_of_the_product() -> None:
    for file in Path(noria.simulators.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert all(not n.startswith("noria") or n.startswith("noria.simulators") for n in names), file


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"scope": "user everything"}, "invalid_scope"),
        ({"client_id": ""}, "invalid_request"),
        ({"grant_type": "password"}, "invalid_credentials"),
    ],
)
@pytest.mark.parametrize("body", ["json", "data"])
async def test_oauth_errors_are_bare_and_400(
    okki: Any, http: aiohttp.ClientSession, body: str, change: dict[str, str], error: str
) -> None:
    async with http.post(f"{okki[1]}/v1/oauth2/access_token", **{body: {**TOKEN, **change}}) as answer:
        reply = await answer.json()
    assert answer.status == 400 and reply["error"] == error and set(reply) == {"error", "error_description", "message"}


async def test_tokens_expire_and_are_required(okki: Any, http: aiohttp.ClientSession) -> None:
    _, url, clock = okki
    headers = await authorized(http, url)
    assert (await get(http, f"{url}/v1/user/list", headers))[1]["code"] == 200
    clock.now = 28800.0
    status, body = await get(http, f"{url}/v1/user/list", headers)
    assert status == 401 and body["error"] == "access_denied"
    assert (await get(http, f"{url}/v1/user/list"))[0] == 401


async def test_users_have_the_documents_traps(okki: Any, http: aiohttp.ClientSession) -> None:
    _, url, _ = okki
    headers = await authorized(http, url)
    users = (await get(http, f"{url}/v1/user/list", headers))[1]["data"]
    departments = (await get(http, f"{url}/v1/user/departmentList", headers))[1]["data"]
    assert isinstance(users, list) and all(isinstance(u["user_id"], str) for u in users)
    assert {type(u["department_id"]) for u in users} == {str, int}
    assert any(str(u["department_id"]) == "0" for u in users)
    assert departments["list"][0] == {"id": "0", "layer": 0, "name": "我的企业", "parent_id": "", "parent_name": ""}
    assert departments["count"] == 6
    assert len(users) == 43 and sum(not u.get("nickname") for u in users) == 2
    info = (await get(http, f"{url}/v1/user/departmentInfo?department_id=0", headers))[1]["data"]
    assert (info["id"], info["layer"]) == (0, "0")
    one = (await get(http, f"{url}/v1/user/info?user_id=55000001", headers))[1]["data"]
    assert one["user_id"] == "55000001"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/user/list?now=1", 400),
        ("/v1/user/list?enable_flag=7", 400),
        ("/v1/company/list?start_index=0", 400),
        ("/v1/company/list?count=501", 400),
        ("/v1/company/list?count=ten", 400),
        ("/v1/company/list?start_time=yesterday", 400),
        ("/v1/user/info", 404),
        ("/v1/nothing/list", 404),
        ("/v1/invoices/order/list", 403),
    ],
)
async def test_business_errors_come_with_http_200(okki: Any, http: aiohttp.ClientSession, path: str, code: int) -> None:
    status, body = await get(http, okki[1] + path, await authorized(http, okki[1]))
    assert (status, body["code"]) == (200, code)


async def test_wrong_methods_are_refused(okki: Any, http: aiohttp.ClientSession) -> None:
    headers = await authorized(http, okki[1])
    async with http.post(f"{okki[1]}/v1/user/list", headers=headers) as answer:
        assert answer.status == 405


async def test_lists_page_count_and_filter(okki: Any, http: aiohttp.ClientSession) -> None:
    simulator, url, _ = okki
    headers = await authorized(http, url)
    first = (await get(http, f"{url}/v1/company/list", headers))[1]["data"]
    assert (len(first["list"]), first["count"], first["totalItem"]) == (10, 30, 30)
    last = (await get(http, f"{url}/v1/company/list?start_index=4&count=10", headers))[1]["data"]
    assert last["list"] == []
    cut = first["list"][4]["update_time"].replace(" ", "%20")
    window = (await get(http, f"{url}/v1/company/list?start_time={cut}&count=100", headers))[1]["data"]
    assert len(window["list"]) == window["count"] == 26
    simulator.mutate("update", "companies", 1_000_000_000, {"name": "改"})
    simulator.mutate("delete", "companies", 1_000_000_001, {})
    after = (await get(http, f"{url}/v1/company/list?count=100", headers))[1]["data"]
    assert after["count"] == 29 and after["list"][0]["name"] == "改"


async def test_faults_skip_repeat_and_count(http: aiohttp.ClientSession) -> None:
    async with serve(Sink()) as running:
        fault = {"kind": "status", "status": 503, "skip": 1, "every": 2, "times": 2, "path": "/a"}
        async with http.post(running.control + "/faults", json=fault) as answer:
            assert answer.status == 200
        seen = [(await http.post(f"{running.url}/a", json={"id": n})).status for n in range(8)]
        assert seen == [200, 200, 503, 200, 503, 200, 200, 200]
        assert (await get(http, running.control + "/faults"))[1][0]["fired"] == 2
        async with http.post(running.control + "/faults", json={"kind": "magic"}) as answer:
            assert answer.status == 400 and "magic" in await answer.text()
        async with http.delete(running.control + "/faults"):
            assert (await get(http, running.control + "/faults"))[1] == []


async def test_the_sinks_account(http: aiohttp.ClientSession) -> None:
    simulator = Sink()
    async with serve(simulator) as running:
        for body, key in (
            ([{"id": 1}, {"id": 2}], "a"),
            ([{"id": 1}, {"id": 2}], "a"),
            ({"id": 1}, "b"),
            ({"list": [{"id": 2, "x": 1}]}, "c"),
            ([{"x": 1}], "d"),
        ):
            async with http.post(f"{running.url}/写入", json=body, headers={"Idempotency-Key": key}) as answer:
                assert answer.status == 200
        _, state = await get(http, running.control + "/state")
        assert (state["applied"], state["unique"], state["replayed"], state["updates"], state["rejected"]) == (
            4,
            2,
            1,
            1,
            1,
        )
        assert state["duplicates"] == [{"id": "1", "times": 2}]
        for data, status in ((b"{", 400), (b'"x"', 400), ("张".encode("gbk"), 400)):
            async with http.post(running.url + "/x", data=data, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == status
        async with http.post(running.url + "/x", data=b"{}", headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415


@pytest.mark.parametrize("name", sorted(SYSTEMS))
async def test_every_simulator_is_made_of_its_arguments(http: aiohttp.ClientSession, name: str) -> None:
    parser = argparse.ArgumentParser()
    SYSTEMS[name][1].add_arguments(parser)
    simulator = SYSTEMS[name][1].from_arguments(parser.parse_args([]))
    assert simulator.name == name
    async with serve(simulator) as running:
        assert set(await (await http.get(running.control + "/state")).json()) == set(simulator.state())


@pytest.mark.parametrize("name", ["okki", "sink"])
def test_a_simulator_is_a_program_with_one_start_line(name: str) -> None:
    process = subprocess.Popen([sys.executable, "-m", "noria.simulators", name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert line["control"] == line["url"] + "/_control" and line["name"] == name
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0 and process.stdout.read() == ""
    process.stdout.close()
