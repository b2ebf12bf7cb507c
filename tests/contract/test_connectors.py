"""Each connector against its simulator: complete pages, tokens, business errors, and every fault in its class."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from noria.connectors import CONNECTORS, Connection, open_connection
from noria.connectors.failures import Failure
from noria.connectors.target import Row
from noria.mapping import Environment, compile_mapping
from noria.metadata.clock import FakeClock
from noria.metadata.documents import Metadata
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.secrets import Redactor
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import serve
from noria.simulators.sink import Sink
from tests.servers import listening

MOMENT = Moment(last_sync=0, now=1_700_000_000)


def opened(table: dict[str, Any], clock: FakeClock | None = None, redactor: Redactor | None = None) -> Connection:
    """A connection from its table."""
    return open_connection("c", table, Path(), redactor=redactor or Redactor(), clock=clock or FakeClock())


def okki_table(url: str, **more: Any) -> dict[str, Any]:
    """A connection to the OKKI simulator."""
    return {
        "connector": "okki",
        "base_url": url,
        "client_id": "env:OKKI_CLIENT_ID",
        "client_secret": "env:OKKI_CLIENT_SECRET",
        **more,
    }


def source(connection: Connection, **metadata: Any) -> Any:
    """A source on a connection."""
    document = msgspec.convert({"id": "id", **metadata}, Metadata)
    mapping = compile_mapping(document.items(), source=True)

    def build(position: PagePosition | None) -> dict[str, Any]:
        return mapping.payload({}, Environment(MOMENT, position=position))

    return connection.connector.source(connection.transport, connection.settings, document, build)


async def everything(reading: Any) -> tuple[list[Any], int]:
    """Every record of a source, and how many pages it took."""
    rows: list[Any] = []
    cursor, pages = None, 0
    while True:
        page = await reading.fetch(cursor)
        rows += [json.loads(raw) for raw in page.records]
        pages, cursor = pages + 1, page.cursor
        assert pages < 100
        if cursor is None:
            return rows, pages


@pytest.fixture
async def simulated() -> AsyncIterator[tuple[Okki, str]]:
    account = make_account(5, users=200, departments=4, companies=130, orders=33, leads=20, invalid=0)
    simulator = Okki(account)
    async with serve(simulator) as running:
        yield simulator, running.url


# --- okki


@pytest.mark.parametrize("body", ["json", "form"])
@pytest.mark.parametrize("expires", [True, False])
async def test_okki_token_in_both_bodies_with_and_without_expiry(body: str, expires: bool) -> None:
    simulator = Okki(
        make_account(1, users=3, departments=2, companies=0, orders=0, leads=0, invalid=0), expires_in=expires
    )
    async with serve(simulator) as running:
        connection = opened(okki_table(running.url, token_body=body))
        rows, _ = await everything(source(connection, api="/v1/user/list"))
        await connection.close()
    assert len(rows) == 3 and simulator.tokens_issued == 1


async def test_okki_a_server_that_reads_only_forms_is_asked_again_with_one() -> None:
    seen: list[str] = []

    async def token(request: web.Request) -> web.Response:
        seen.append(request.content_type)
        if request.content_type != "application/x-www-form-urlencoded":
            return web.json_response({"error": "invalid_request", "message": "missing grant_type"}, status=400)
        return web.json_response({"access_token": "t0ken-of-a-form", "token_type": "Bearer"})

    async def users(_: web.Request) -> web.Response:
        return web.json_response({"code": 200, "message": "success", "data": [{"id": 1}]})

    async with listening([web.post("/v1/oauth2/access_token", token), web.get("/v1/user/list", users)]) as url:
        connection = opened(okki_table(url))
        rows, _ = await everything(source(connection, api="/v1/user/list"))
        await connection.close()
    assert len(rows) == 1 and seen == ["application/json", "application/x-www-form-urlencoded"]


async def test_okki_one_token_for_many_requests_at_once(simulated: Any) -> None:
    connection = opened(okki_table(simulated[1]))
    readings = [everything(source(connection, api="/v1/user/departmentList")) for _ in range(20)]
    assert {len(rows) for rows, _ in await asyncio.gather(*readings)} == {4}
    assert simulated[0].tokens_issued == 1
    await connection.close()


async def test_okki_a_token_is_renewed_before_it_runs_out(simulated: Any) -> None:
    clock = FakeClock()
    connection = opened(okki_table(simulated[1]), clock)
    await everything(source(connection, api="/v1/user/list"))
    clock.time += 28800 - 30
    await everything(source(connection, api="/v1/user/list"))
    assert simulated[0].tokens_issued == 2
    await connection.close()


@pytest.mark.parametrize("answer_as", [401, 200])
async def test_okki_a_token_that_expires_between_pages_is_renewed_once(simulated: Any, answer_as: int) -> None:
    simulated[0].faults.add({"kind": "expire", "answer_as": answer_as, "path": "/v1/company/list", "skip": 1})
    connection = opened(okki_table(simulated[1]))
    rows, pages = await everything(source(connection, api="/v1/company/list"))
    assert (len(rows), pages, simulated[0].tokens_issued) == (130, 2, 2)
    await connection.close()


async def test_okki_wrong_credentials_are_an_auth_failure_without_the_secret(
    simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OKKI_CLIENT_SECRET", "very-secret-value")
    connection = opened(okki_table(simulated[1]))
    with pytest.raises(Failure) as caught:
        await everything(source(connection, api="/v1/user/list"))
    assert caught.value.kind == "auth" and "invalid_client" in str(caught.value)
    assert "very-secret-value" not in str(caught.value) + str(caught.value.request)
    await connection.close()


async def test_okki_a_missing_scope_is_said_as_the_vendor_says_it(simulated: Any) -> None:
    connection = opened(okki_table(simulated[1], scope="user"))
    with pytest.raises(Failure) as caught:
        await everything(source(connection, api="/v1/company/list"))
    assert caught.value.kind == "permanent" and "no permission company scopes" in str(caught.value)
    await connection.close()


@pytest.mark.parametrize(
    ("api", "name", "size", "pages"),
    [
        ("/v1/user/list", "users", 200, 1),
        ("/v1/user/departmentList", "departments", 4, 1),
        ("/v1/company/list", "companies", 130, 2),
        ("/v1/invoices/order/list", "orders", 33, 1),
        ("/v1/lead/list", "leads", 20, 1),
    ],
)
async def test_okki_lists_are_read_completely_and_in_order(
    simulated: Any, api: str, name: str, size: int, pages: int
) -> None:
    simulator, url = simulated
    connection = opened(okki_table(url))
    rows, read = await everything(source(connection, api=api))
    keys = [next(iter(row.values())) for row in simulator.account.rows(name)]
    assert [next(iter(row.values())) for row in rows] == keys
    assert (len(rows), read) == (size, pages)
    assert simulator.refused == []
    await connection.close()


@pytest.mark.parametrize(
    ("companies", "count"), [(0, 20), (1, 20), (19, 20), (20, 20), (21, 20), (60, 20), (130, 50), (5, 1)]
)
async def test_okki_page_borders_with_literal_start_values(companies: int, count: int) -> None:
    account = make_account(1, users=1, departments=1, companies=companies, orders=0, leads=0, invalid=0)
    request = [{"field": "start_index", "value": "1"}, {"field": "count", "value": str(count)}]
    simulator = Okki(account)
    async with serve(simulator) as running:
        connection = opened(okki_table(running.url))
        rows, _ = await everything(source(connection, api="/v1/company/list", request=request))
        await connection.close()
    assert [row["company_id"] for row in rows] == [1_000_000_000 + n for n in range(companies)]


_PAGED = [e.path for e in CONNECTORS["okki"].endpoints if "start_index" in e.parameters and e.method == "GET"]


@pytest.mark.parametrize("total", ["count", "totalItem"])
@pytest.mark.parametrize("path", _PAGED)
async def test_okki_every_paged_list_is_read_completely(path: str, total: str) -> None:
    """Each list endpoint of the catalogue, with the total under either name."""

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "t0ken-for-lists"})

    async def read(request: web.Request) -> web.Response:
        page, count = int(request.query["start_index"]), int(request.query["count"])
        part = [{"id": n} for n in range(250)][(page - 1) * count : page * count]
        return web.json_response({"code": 200, "message": "success", "data": {"list": part, total: 250}})

    async with listening([web.post("/v1/oauth2/access_token", token), web.get(path, read)]) as url:
        connection = opened(okki_table(url))
        rows, pages = await everything(source(connection, api=path))
        await connection.close()
    assert [row["id"] for row in rows] == list(range(250)) and pages == 3


async def test_connections_are_reused() -> None:
    peers: set[Any] = set()

    async def read(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response([{"id": 1}])

    async with listening([web.get("/list", read)]) as url:
        connection = opened({"connector": "http", "base_url": url})
        for _ in range(10):
            await source(connection, api="/list").fetch(None)
        await connection.close()
    assert len(peers) == 1


async def test_okki_undeclared_parameters_stay_home(simulated: Any) -> None:
    request = [{"field": "now", "value": "{{LAST_SYNC_TIME|datetime}}"}, {"field": "enable_flag", "value": "1"}]
    connection = opened(okki_table(simulated[1]))
    rows, _ = await everything(source(connection, api="/v1/user/list", request=request))
    assert len(rows) == 200 and simulated[0].refused == []
    await connection.close()


async def test_okki_amounts_and_characters_come_as_they_are(simulated: Any) -> None:
    connection = opened(okki_table(simulated[1]))
    page = await source(connection, api="/v1/invoices/order/list").fetch(None)
    assert all(
        str(row["amount"]).encode() in raw
        for row, raw in zip(simulated[0].account.rows("orders"), page.records, strict=True)
    )
    users = await source(connection, api="/v1/user/list").fetch(None)
    assert any("𠮷" in raw.decode() for raw in users.records) and any("😀" in raw.decode() for raw in users.records)
    await connection.close()


@pytest.mark.parametrize(
    "style", [{"token": "env:OKKI_CLIENT_SECRET"}, {"auth": {"type": "bearer", "token": "env:OKKI_CLIENT_SECRET"}}]
)
async def test_okki_speaks_the_articles_shape(style: dict[str, Any]) -> None:
    account = make_account(1, users=6, departments=2, companies=0, orders=0, leads=0, invalid=0)
    simulator = Okki(account, article=True, token="demo-secret")
    request = [{"field": "code"}, {"field": "now", "value": "{{LAST_SYNC_TIME|datetime}}"}]
    async with serve(simulator) as running:
        connection = opened({"connector": "okki", "base_url": running.url, **style})
        page = await source(connection, api="/v1/user/list", request=request).fetch(None)
        await connection.close()
    assert len(page.records) == 6 and "now=" in page.request and "code" not in page.request


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        ({"kind": "throttle", "retry_after": 7}, "throttled", 7.0),
        ({"kind": "throttle", "retry_after": None}, "throttled", None),
        ({"kind": "status", "status": 500}, "transient", None),
        ({"kind": "status", "status": 503}, "transient", None),
        ({"kind": "status", "status": 404}, "permanent", None),
        ({"kind": "cut", "when": "before"}, "transient", None),
        ({"kind": "cut", "when": "middle"}, "transient", None),
        ({"kind": "truncate"}, "transient", None),
        ({"kind": "html"}, "transient", None),
        ({"kind": "empty"}, "transient", None),
        ({"kind": "business", "code": 404, "message": "No Privilege"}, "permanent", None),
        ({"kind": "business", "code": -1, "message": "校验失败"}, "permanent", None),
        ({"kind": "business", "code": 0, "message": "success"}, "permanent", None),
    ],
)
async def test_okki_faults_are_classed(simulated: Any, fault: dict[str, Any], kind: str, wait: float | None) -> None:
    simulated[0].faults.add({**fault, "path": "/v1/company/list", "times": 2})
    connection = opened(okki_table(simulated[1]))
    with pytest.raises(Failure) as caught:
        await source(connection, api="/v1/company/list").fetch(None)
    assert (caught.value.kind, caught.value.retry_after) == (kind, wait)
    assert "/v1/company/list" in caught.value.request
    await connection.close()


async def test_okki_retry_after_as_a_date_and_as_a_hold(simulated: Any) -> None:
    clock = FakeClock()
    date = format_datetime(datetime.fromtimestamp(clock.time + 90, UTC), usegmt=True)
    simulated[0].faults.add({"kind": "throttle", "retry_after": date, "path": "/v1/user/list"})
    connection = opened(okki_table(simulated[1]), clock)
    with pytest.raises(Failure) as caught:
        await source(connection, api="/v1/user/list").fetch(None)
    assert caught.value.retry_after == 90.0
    await source(connection, api="/v1/user/departmentList").fetch(None)
    assert sum(clock.slept) >= 90.0, "the whole connection waits"
    await connection.close()


async def test_a_request_beyond_its_time_is_given_up(simulated: Any) -> None:
    simulated[0].faults.add({"kind": "slow", "seconds": 5, "path": "/v1/user/list"})
    connection = opened(okki_table(simulated[1], limits={"timeout": 0.2}))
    with pytest.raises(Failure) as caught:
        await source(connection, api="/v1/user/list").fetch(None)
    assert caught.value.kind == "transient"
    await connection.close()


# --- http as a source


def _list_server(
    total: int, cap: int = 1000, *, with_total: bool = False, hole: int | None = None
) -> tuple[list[web.RouteDef], list[dict[str, str]]]:
    """A list of `total` numbers read by page, offset, cursor or link; at most `cap` a page; page `hole` comes empty."""
    seen: list[dict[str, str]] = []
    rows = [{"id": n} for n in range(total)]

    async def read(request: web.Request) -> web.Response:
        query = dict(request.query)
        if request.method == "POST":
            body = await request.json()
            query |= {k: str(v) for k, v in {**body, **body.get("pager", {})}.items()}
        seen.append(query)
        size = min(int(query.get("size", 10)), cap)
        headers = {}
        if "page" in query or "page_no" in query:
            page = int(query.get("page", query.get("page_no", "1"))) - 1
            part = [] if page == hole else rows[page * size : (page + 1) * size]
        else:
            start = int(query.get("offset", query.get("cursor", "0")))
            part = rows[start : start + size]
            if start + size < total:
                headers["Link"] = (
                    f'<http://{request.host}/list?cursor={start + size}&size={size}>; rel="next", <x>; rel="last"'
                )
        body = {"data": {"list": part}}
        if with_total:
            body["data"]["count"] = total  # type: ignore[assignment]
        if "Link" in headers:
            body["next"] = str(start + size)  # type: ignore[assignment]
        return web.json_response(body, headers=headers)

    return [web.get("/list", read), web.post("/list", read)], seen


def http_table(url: str, **more: Any) -> dict[str, Any]:
    """A connection of connector http."""
    return {"connector": "http", "base_url": url, "envelope": {"records": "data.list"}, **more}


PAGINGS: list[dict[str, Any]] = [
    {"type": "page", "page_param": "page", "size_param": "size", "size": 10},
    {"type": "offset", "offset_param": "offset", "size_param": "size", "size": 10},
    {"type": "cursor", "cursor_param": "cursor", "size_param": "size", "size": 10, "next": "next"},
    {"type": "link", "size_param": "size", "size": 10},
]


@pytest.mark.parametrize("paging", PAGINGS, ids=lambda p: p["type"])
@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 35])
async def test_http_pages_completely(paging: dict[str, Any], total: int) -> None:
    routes, _ = _list_server(total)
    async with listening(routes) as url:
        connection = opened(http_table(url, paging=paging))
        rows, _ = await everything(source(connection, api="/list"))
        await connection.close()
    assert [row["id"] for row in rows] == list(range(total))


@pytest.mark.parametrize("paging", PAGINGS[:2], ids=lambda p: p["type"])
@pytest.mark.parametrize("with_total", [True, False])
async def test_http_a_server_that_gives_less_than_asked_for_is_read_to_its_end(
    paging: dict[str, Any], with_total: bool
) -> None:
    routes, _ = _list_server(95, cap=20, with_total=with_total)
    table = {
        "paging": {**paging, "size": 50},
        "envelope": {"records": "data.list", "total": "data.count" if with_total else ""},
    }
    if paging["type"] == "page":
        async with listening(routes) as url:
            connection = opened(http_table(url, **table))
            rows, _ = await everything(source(connection, api="/list"))
            await connection.close()
        assert [row["id"] for row in rows] == list(range(95))
        return
    async with listening(routes) as url:
        connection = opened(http_table(url, **table))
        rows, _ = await everything(source(connection, api="/list"))
        await connection.close()
    assert len(rows) == 95


async def test_http_an_empty_page_in_the_middle_is_not_the_end() -> None:
    routes, _ = _list_server(45, with_total=True, hole=2)
    async with listening(routes) as url:
        connection = opened(
            http_table(url, paging=PAGINGS[0], envelope={"records": "data.list", "total": "data.count"})
        )
        rows, pages = await everything(source(connection, api="/list"))
        await connection.close()
    assert [row["id"] for row in rows] == [*range(20), *range(30, 45)] and pages == 6


async def test_http_paging_by_macros_in_a_nested_post_body() -> None:
    routes, seen = _list_server(25)
    request = [
        {
            "field": "pager",
            "type": "object",
            "children": [
                {"field": "page_no", "value": "{{PAGINATION_START_PAGE}}"},
                {"field": "size", "value": "{{PAGINATION_PAGE_SIZE}}"},
                {"field": "row", "value": "{{PAGINATION_START_ROW}}"},
            ],
        },
    ]
    async with listening(routes) as url:
        connection = opened(http_table(url))
        rows, _ = await everything(
            source(connection, api="/list", method="POST", request=request, pagination={"pageSize": 10})
        )
        await connection.close()
    assert len(rows) == 25
    assert [one["row"] for one in seen] == ["0", "10", "20", "25"], "without a total, a short page is made sure of"


async def test_http_a_nested_page_field_is_advanced_from_its_literal() -> None:
    routes, seen = _list_server(25)
    request = [
        {
            "field": "pager",
            "type": "object",
            "children": [{"field": "page_no", "value": "1"}, {"field": "size", "value": "10"}],
        }
    ]
    paging = {"type": "page", "page_param": "pager.page_no", "size_param": "pager.size"}
    async with listening(routes) as url:
        connection = opened(http_table(url, paging=paging))
        rows, _ = await everything(source(connection, api="/list", method="POST", request=request))
        await connection.close()
    assert len(rows) == 25 and [one["page_no"] for one in seen] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("auth", "wanted"),
    [
        ({"type": "bearer", "token": "t0ken"}, ("Authorization", "Bearer t0ken")),
        ({"type": "basic", "username": "u", "password": "pass"}, ("Authorization", "Basic dTpwYXNz")),
        ({"type": "header", "name": "X-Key", "value": "k3y"}, ("X-Key", "k3y")),
        ({"type": "query", "name": "key", "value": "k3y"}, ("?key", "k3y")),
    ],
)
async def test_http_authentication(auth: dict[str, Any], wanted: tuple[str, str]) -> None:
    async def read(request: web.Request) -> web.Response:
        name, value = wanted
        found = request.query.get(name[1:]) if name.startswith("?") else request.headers.get(name)
        return web.json_response(
            [{"id": 1}] if found == value else {"error": "no"}, status=200 if found == value else 401
        )

    async with listening([web.get("/list", read)]) as url:
        redactor = Redactor()
        connection = opened(
            {"connector": "http", "base_url": url, "auth": auth, "headers": {"X-App": "noria"}}, redactor=redactor
        )
        page = await source(connection, api="/list").fetch(None)
        await connection.close()
    assert len(page.records) == 1 and wanted[1] not in page.request


async def test_http_a_token_replaces_a_header_of_the_same_name() -> None:
    seen: list[str] = []

    async def read(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response([{"id": 1}])

    async with listening([web.get("/list", read)]) as url:
        table = {"connector": "http", "base_url": url, "headers": {"Authorization": "Bearer old"}}
        connection = opened({**table, "auth": {"type": "bearer", "token": "t0ken"}})
        await source(connection, api="/list").fetch(None)
        await connection.close()
    assert seen == ["Bearer t0ken"]


@pytest.mark.parametrize("sent_in", ["header", "query"])
def test_http_a_token_that_is_sent_under_a_name_needs_one(sent_in: str) -> None:
    auth = {"type": "token", "token_url": "/token", "sent_in": sent_in}
    table = {"connector": "http", "base_url": "https://api.example.com", "auth": auth}
    found = CONNECTORS["http"].problems("crm", table, "connections.crm")
    assert [problem.path for problem in found] == ["connections.crm.auth.name"]
    assert CONNECTORS["http"].problems("crm", {**table, "auth": {**auth, "name": "X-Token"}}, "connections.crm") == []


async def test_http_a_link_to_another_host_is_refused() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.json_response([{"id": 1}], headers={"Link": '<http://127.0.0.1:9/list>; rel="next"'})

    async with listening([web.get("/list", read)]) as url:
        connection = opened({"connector": "http", "base_url": url, "paging": {"type": "link"}})
        reading = source(connection, api="/list")
        first = await reading.fetch(None)
        with pytest.raises(Failure) as caught:
            await reading.fetch(first.cursor)
        await connection.close()
    assert caught.value.kind == "permanent"


@pytest.mark.parametrize(
    "answer",
    [b'{"data": {}}', b'{"data": {"list": {"id": 1}}}', b'{"data": {"list": "x"}}', b'"text"', b"5", b'{"error": "x"}'],
)
async def test_http_an_answer_without_its_list_is_an_error_and_never_no_data(answer: bytes) -> None:
    async def read(_: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    async with listening([web.get("/list", read)]) as url:
        connection = opened(http_table(url))
        with pytest.raises(Failure):
            await source(connection, api="/list").fetch(None)
        await connection.close()


# --- http as a target


def rows(*ids: str) -> list[Row]:
    """Rows on their way."""
    return [Row(i, json.dumps({"id": i, "n": 1}).encode()) for i in ids]


def target(connection: Connection, **how: Any) -> Any:
    """A target on a connection."""
    settings = {"api": "/items", "method": "POST", "batch_size": None, **how}
    return connection.connector.target(connection.transport, connection.settings, **settings)


@pytest.fixture
async def kept() -> AsyncIterator[tuple[Sink, str]]:
    simulator = Sink()
    async with serve(simulator) as running:
        yield simulator, running.url


@pytest.mark.parametrize(
    ("write", "size"), [({"batch_size": 1}, 1), ({}, 3), ({"batch_key": "list"}, 3), ({"batch_key": "a b"}, 3)]
)
async def test_http_bodies(kept: Any, write: dict[str, Any], size: int) -> None:
    connection = opened({"connector": "http", "base_url": kept[1], "write": write})
    own = target(connection)
    sent = rows("a", "b", "c")[:size]
    written = await own.send(own.body([row.payload for row in sent]), "k", sent)
    assert written.rows == [None] * size and list(kept[0].rows) == [row.id for row in sent]
    await connection.close()


async def _results(answer: Any, write: dict[str, Any], *ids: str) -> list[str | None]:
    async def post(_: web.Request) -> web.Response:
        return web.json_response(answer)

    async with listening([web.post("/items", post)]) as url:
        connection = opened({"connector": "http", "base_url": url, "write": {"results": "r", **write}})
        own = target(connection)
        written = await own.send(own.body([row.payload for row in rows(*ids)]), "k", rows(*ids))
        await connection.close()
    return [None if reason is None else str(reason) for reason in written.rows]


async def test_http_results_are_matched_by_id_in_any_order() -> None:
    answer = {"r": [{"id": "c", "ok": True}, {"id": "a", "ok": False, "message": "bad a"}, {"id": "b", "ok": 1}]}
    found = await _results(answer, {}, "a", "b", "c")
    assert found[1:] == [None, None] and "bad a" in (found[0] or "")


async def test_http_results_without_ids_are_matched_by_order() -> None:
    found = await _results({"r": [{"ok": True}, {"ok": False, "message": "bad b"}]}, {}, "a", "b")
    assert found[0] is None and "bad b" in (found[1] or "")


async def test_http_fewer_results_than_rows_leave_the_rest_in_trouble() -> None:
    assert [one is None for one in await _results({"r": [{"id": "b", "ok": True}]}, {}, "a", "b", "c")] == [
        False,
        True,
        False,
    ]
    assert [one is None for one in await _results({"r": [{"ok": True}]}, {}, "a", "b")] == [False, False]


def _sent(*payloads: dict[str, Any], ids: str) -> list[Row]:
    return [Row(own, json.dumps(payload).encode()) for own, payload in zip(ids, payloads, strict=True)]


OK, BAD = {"ok": True}, {"ok": False}


@pytest.mark.parametrize(
    ("sent", "results", "good"),
    [
        # The target's ids are those of the payloads, which other records have at the source.
        (_sent({"id": "b", "of": "a"}, {"id": "a", "of": "b"}, ids="ab"), [{"id": "a", **BAD}, {"id": "b", **OK}], [True, False]),
        # Ids that the target gave itself, and that happen to be like those of other rows.
        (_sent({"n": "x"}, {"n": "y"}, {"n": "z"}, ids="123"), [{"id": 3, **OK}, {"id": 1, **BAD}, {"id": 2, **OK}], "+-+"),
        (_sent({"n": "x"}, {"n": "y"}, ids="12"), [{"id": 2, **OK}, {"id": 3, **BAD}], "+-"),
        # The source's id goes under another name, and comes back as the id.
        (_sent({"code": "x"}, {"code": "y"}, ids="xy"), [{"id": "y", **OK}, {"id": "x", **BAD}], "-+"),
        # Failures without an id, in whatever order.
        (_sent(*({"id": i} for i in "abc"), ids="abc"), [{"id": None, **BAD}, {"id": "c", **OK}, {"id": "a", **OK}], "+-+"),
        (_sent(*({"id": i} for i in "abc"), ids="abc"), [BAD, {"id": "a", **OK}, OK], "+--"),
        (_sent(*({"id": i} for i in "abc"), ids="abc"), [BAD, {"id": "a", **OK}], "+--"),
        # An id that is nobody's: in the order sent, unless the other ids say otherwise.
        (_sent(*({"id": i} for i in "abc"), ids="abc"), [{"id": "a", **OK}, {"id": "?", **BAD}, {"id": "c", **OK}], "+-+"),
        (_sent(*({"id": i} for i in "abc"), ids="abc"), [{"id": "?", **BAD}, {"id": "a", **OK}, {"id": "b", **OK}], "++-"),
        (_sent(*({"id": i} for i in "ab"), ids="ab"), [{"id": "a", **OK}, {"id": "a", **BAD}], "--"),
        (_sent(*({"id": i} for i in "ab"), ids="ab"), [{"id": "a", **OK}, {"id": "a", **OK}], "+-"),
        # Ids of the source that are sent under another name, and ids of the target's own that look like them.
        (_sent({"ref": 5}, {"ref": 6}, {"ref": 7}, ids="567"), [{"id": 6, **OK}, {"id": 7, **OK}, {"id": None, **BAD}], "++-"),
        (_sent(*({"id": i} for i in "ab"), ids="ab"), [{"id": "a", **OK}, {"id": "?", **OK}, {"id": "?", **OK}], "+-"),
    ],
)  # fmt: skip
async def test_http_whose_result_it_is(sent: list[Row], results: Any, good: Any) -> None:
    async def post(_: web.Request) -> web.Response:
        return web.json_response({"r": results})

    async with listening([web.post("/items", post)]) as url:
        connection = opened({"connector": "http", "base_url": url, "write": {"results": "r"}})
        own = target(connection)
        written = await own.send(own.body([row.payload for row in sent]), "k", sent)
        await connection.close()
    wanted = good if isinstance(good, list) else [sign == "+" for sign in good]
    assert [reason is None for reason in written.rows] == wanted


@pytest.mark.parametrize(
    ("sent", "found", "rewritten", "there"),
    [
        ({"id": "a", "address": {"city": "x"}}, [{"id": "a", "address": {"city": "y"}}], True, False),
        ({"id": "a", "phone": None}, [{"id": "a", "phone": "139"}], True, False),
        ({"id": "a", "phone": None}, [{"id": "a", "phone": ""}], True, True),
        ({"id": "a", "n": 1}, [{"id": "a"}], False, True),
        ({"id": "a", "n": 1}, [{"id": "a"}], True, False),
        ({"id": "a", "n": 1}, [{"id": "b", "n": 1}], False, False),
        ({"n": 1}, [{"id": "b", "n": 1}], False, False),
        ({"n": 1}, [{"id": "b", "n": 1}, {"id": "a", "n": 1}], False, True),
        ({"n": " 1.0 "}, [{"id": "a", "n": 1}], True, True),
        ({"id": "a", "n": 1}, [], False, False),
        ({"id": "a", "n": 1}, [{"found": False}], False, None),
        ({"id": "a", "n": 1}, [{"internal": 7}], False, None),
        ({"id": "a", "item": {"code": 1}}, [{"item": {"name": "x"}}], False, None),
    ],
)
async def test_http_what_an_answer_says_of_a_row(sent: Any, found: Any, rewritten: bool, there: bool | None) -> None:
    """None: it says nothing, which is neither yes nor no."""

    async def get(_: web.Request) -> web.Response:
        return web.json_response({"data": found})

    async with listening([web.get("/items", get)]) as url:
        verify = {"api": "/items", "param": "id", "records": "data"}
        own = target(connection := opened({"connector": "http", "base_url": url, "write": {"verify": verify}}))
        row = Row("a", json.dumps(sent).encode(), rewritten)
        if there is None:
            with pytest.raises(Failure) as caught:
                await own.has(row)
            assert "write.verify" in str(caught.value)
        else:
            assert await own.has(row) is there
        await connection.close()


async def test_http_values_that_mean_success() -> None:
    answer = {"r": [{"id": "a", "code": 0}, {"id": "b", "code": "200"}, {"id": "c", "code": 7}, {"id": "d"}]}
    found = await _results(answer, {"result_ok": "code", "result_ok_values": [0, 200]}, "a", "b", "c", "d")
    assert [one is None for one in found] == [True, True, False, False]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 400}, "permanent"),
        ({"kind": "status", "status": 401}, "auth"),
        ({"kind": "status", "status": 422}, "permanent"),
        ({"kind": "throttle", "retry_after": 3}, "throttled"),
        ({"kind": "status", "status": 503}, "transient"),
        ({"kind": "status", "status": 500}, "doubt"),
        ({"kind": "after_status", "status": 504}, "doubt"),
        ({"kind": "cut", "when": "after"}, "doubt"),
        ({"kind": "cut", "when": "middle"}, "doubt"),
    ],
)
async def test_http_writes_are_classed(kept: Any, fault: dict[str, Any], kind: str) -> None:
    kept[0].faults.add(fault)
    connection = opened({"connector": "http", "base_url": kept[1]})
    own = target(connection)
    with pytest.raises(Failure) as caught:
        await own.send(own.body([rows("a")[0].payload]), "k", rows("a"))
    assert caught.value.kind == kind
    await connection.close()


async def test_http_a_refused_connection_was_certainly_not_written() -> None:
    connection = opened({"connector": "http", "base_url": "http://127.0.0.1:9"})
    own = target(connection)
    with pytest.raises(Failure) as caught:
        await own.send(b"[]", "k", [])
    assert caught.value.kind == "transient"
    await connection.close()


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>", "doubt"), (b"", "doubt"), (b'{"code": 500, "message": "x"}', "permanent")]
)
async def test_http_an_answer_to_a_write_that_is_no_success(body: bytes, kind: str) -> None:
    async def post(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with listening([web.post("/items", post)]) as url:
        connection = opened({"connector": "http", "base_url": url, "envelope": {"code": "code", "success": [200]}})
        with pytest.raises(Failure) as caught:
            await target(connection).send(b"[]", "k", [])
        await connection.close()
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (web.json_response({"errcode": 40013, "errmsg": "invalid appid"}).text, "permanent"),
        ('{"success": false, "message": "locked"}', "permanent"),
        ('{"success": "false"}', "permanent"),
        ('{"ok": 0}', "permanent"),
        ('{"error": "failed"}', "permanent"),
        ("<html><body>系统维护中</body></html>", "doubt"),
        ("<!DOCTYPE html><title>login</title>", "doubt"),
        ('{"errcode": 0, "errmsg": "ok", "error": null, "success": true}', None),
        ('{"error": "none", "errors": []}', None),
        ("ok", None),
        ("", None),
        ('[{"id": 1}]', None),
    ],
)
async def test_http_without_an_envelope_a_target_that_plainly_failed_is_believed(answer: str, kind: str | None) -> None:
    async def post(_: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="text/html")

    async with listening([web.post("/items", post)]) as url:
        own = target(connection := opened({"connector": "http", "base_url": url}))
        try:
            await own.send(own.body([rows("a")[0].payload]), "k", rows("a"))
            found = None
        except Failure as failure:
            found = failure.kind
        await connection.close()
    assert found == kind


@pytest.mark.parametrize("flag", ["false", "0", 0, "N", "fail", None, False, ""])
async def test_http_a_row_whose_flag_says_no_in_any_spelling_failed(flag: Any) -> None:
    found = await _results(
        {"r": [{"id": "a", "ok": flag}, {"id": "b", "ok": "true"}, {"id": "c", "ok": 1}]}, {}, *"abc"
    )
    assert [one is None for one in found] == [False, True, True]


async def test_http_the_key_goes_in_its_header_and_verification_compares_content(kept: Any) -> None:
    write = {"idempotency_header": "Idempotency-Key", "verify": {"api": "/items", "param": "id", "records": "data"}}
    connection = opened({"connector": "http", "base_url": kept[1], "write": write})
    own = target(connection)
    for _ in range(2):
        await own.send(own.body([row.payload for row in rows("a")]), "key-1", rows("a"))
    assert (len(kept[0].order), kept[0].replayed) == (1, 1)
    assert await own.has(rows("a")[0]) is True
    assert await own.has(Row("a", b'{"id": "a", "n": 2}')) is False, "an older content proves nothing"
    assert await own.has(rows("b")[0]) is False
    await connection.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500, "body": "token=abcdef123456 demo-secret"},
        {"kind": "html"},
        {"kind": "cut"},
        {"kind": "business", "message": "secret demo-secret"},
    ],
)
async def test_no_failure_shows_a_secret(simulated: Any, fault: dict[str, Any]) -> None:
    simulated[0].faults.add({**fault, "path": "/v1/user/list", "times": None})
    connection = opened(okki_table(simulated[1]))
    with pytest.raises(Failure) as caught:
        await source(connection, api="/v1/user/list").fetch(None)
    token = next(iter(simulated[0].tokens))
    text = f"{caught.value} {caught.value.request} {caught.value.answer!r}"
    assert "demo-secret" not in text and token not in text
    await connection.close()


@pytest.mark.parametrize(
    ("name", "given", "most"),
    [
        ("dingtalk", {}, {"": (20, 0), "/robot/send": (0, 20)}),
        ("dingtalk", {"concurrent": 2}, {"": (20, 0), "/robot/send": (0, 20)}),
        (
            "dingtalk",
            {"per_second": 5, "endpoints": {"/x": {"per_second": 1}}},
            {"": (5, 0), "/robot/send": (0, 20), "/x": (1, 0)},
        ),
        ("jushuitan", {"per_second": 2}, {"": (2, 100)}),
        ("jackyun", {"concurrent": 1}, {"": (1, 0)}),
        ("qeasy", {"timeout": 5}, {"": (0, 60)}),
        ("wecom", {"concurrent": 9}, {"": (0, 10_000), "/cgi-bin/webhook/send": (0, 20)}),
    ],
)
def test_what_a_vendor_publishes_holds_where_nothing_else_is_said(name: str, given: Any, most: Any) -> None:
    connector = CONNECTORS[name]
    needed = {one.encode_name: "x" for one in msgspec.structs.fields(connector.settings_type) if one.required}
    table = {**needed, "connector": name, "base_url": "http://x", "limits": given}
    limits = connector.settings(table).limits
    parts = {"": limits, **limits.endpoints}
    assert {path: (one.per_second, one.per_minute) for path, one in parts.items()} == most
