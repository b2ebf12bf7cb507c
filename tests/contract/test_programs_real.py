"""Connectors `singer` and `airbyte` with programs from PyPI, as anybody would install them: a tap for REST APIs, and
Airbyte's own program with a declarative manifest. Both read the same local server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.testing.trial import Trial, trial
from tests.servers import listening

PROGRAMS = Path(__file__).parents[2] / ".venv" / "programs"
TOKEN = "hush-hush-items"
# How long the installation, which runs beside the tests, may still take, in seconds.
_PATIENCE = 420.0


def program(name: str, command: str) -> str:
    """A program's command, once it is installed; its tests are skipped where it can't be, but not in CI."""
    folder, began = PROGRAMS / name, time.monotonic()
    if not folder.parent.exists():
        assert not os.environ.get("CI"), f"{command} is not installed"
        pytest.skip(f"{command} is not installed: run `make test`")
    while not (folder / ".installed").exists():
        if (folder / ".failed").exists() or time.monotonic() - began > _PATIENCE:
            assert not os.environ.get("CI"), f"{command} could not be installed"
            pytest.skip(f"{command} could not be installed")
        time.sleep(0.5)
    return str(folder / "bin" / command)


class Items:
    """A server's rows, and what was asked of it. It is strict about its token and its parameters."""

    def __init__(self) -> None:
        self.rows = [self.row(n) for n in range(1, 26)]
        self.asked: list[dict[str, str]] = []
        self.broken = 0

    def row(self, number: int) -> dict[str, Any]:
        day = f"2026-01-{number:02d}T00:00:00Z"
        return {"id": number, "name": f"货 {number} 😀", "updated": day, "code": 9_007_199_254_740_993 + number}

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "wrong token"}, status=401)
        if unknown := request.query.keys() - {"page", "since", "sort", "order_by", "limit"}:
            return web.json_response({"error": f"unknown: {unknown}"}, status=400)
        self.asked.append(dict(request.query))
        page = int(request.query.get("page", "1"))
        if page == self.broken:
            return web.json_response({"error": "no leave"}, status=403)
        rows = [row for row in self.rows if row["updated"] >= request.query.get("since", "")]
        body: dict[str, Any] = {"data": rows[(page - 1) * 10 : page * 10]}
        if page * 10 < len(rows):
            body["next"] = page + 1
        return web.json_response(body)


@asynccontextmanager
async def reading(tmp_path: Path, kind: str) -> AsyncIterator[tuple[Items, Trial, dict[str, Any]]]:
    items = Items()
    async with listening([web.get("/items", items.answer)]) as url:
        if kind == "airbyte":
            table = {
                "source": program("airbyte", "source-declarative-manifest"),
                "manifest": str(Path(__file__).with_name("items.yaml")),
                "config": {"api_url": url, "api_token": "env:ITEMS_TOKEN", "start_date": "2026-01-01T00:00:00Z"},
            }
        else:
            stream = {
                "name": "items",
                "path": "/items",
                "records_path": "$.data[*]",
                "primary_keys": ["id"],
                "replication_key": "updated",
                "num_inference_records": 10,
                "source_search_field": "since",
                "source_search_query": "$last_run_date",
            }
            table = {
                "tap": program("singer", "tap-rest-api-msdk"),
                "config": {
                    "api_url": url,
                    "auth_method": "bearer_token",
                    "bearer_token": "env:ITEMS_TOKEN",
                    "pagination_request_style": "jsonpath_paginator",
                    "pagination_response_style": "page",
                    "next_page_token_path": "$.next",
                    "start_date": "2026-01-01T00:00:00Z",
                    "streams": [stream],
                },
            }
        shop = {"connector": kind, "page": 7, **table}
        with trial(FakeClock(), {"shop": shop, "inside": {"connector": "noria"}}) as tried:
            source = {"api": "items", "id": "id", "number": "name", "idCheck": True}
            tried.plan(("shop", source), ("inside", {"api": "写入空操作"}), {"retry": {"max": 1, "wait": 0}})
            yield items, tried, shop


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITEMS_TOKEN", TOKEN)


@pytest.mark.parametrize("kind", ["singer", "airbyte"])
async def test_a_stream_is_read_whole_and_then_what_is_new(tmp_path: Path, kind: str) -> None:
    async with reading(tmp_path, kind) as (items, tried, _):
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 25), str(finished.error)
        assert {int(id_): json.loads(raw) for id_, raw in tried.raws().items()} == {
            row["id"]: row for row in items.rows
        }
        items.rows += [items.row(26), items.row(27)]
        items.asked.clear()
        again = await tried.run()
        # The last moment is asked for once more, so that nothing of it is missed.
        assert (again.counts.staged, again.counts.unchanged) == (2, 1), str(again.error)
        assert any(one.get("since") == "2026-01-25T00:00:00Z" for one in items.asked)
        assert TOKEN not in tried.everything()


@pytest.mark.parametrize("kind", ["singer", "airbyte"])
async def test_one_that_fails_says_why(tmp_path: Path, kind: str) -> None:
    async with reading(tmp_path, kind) as (items, tried, _):
        items.broken = 2
        failed = await tried.run()
        assert failed.status == "failed" and "403" in str(failed.error), failed.error
        assert TOKEN not in str(failed.error) + tried.everything()
        items.broken = 0
        finished = await tried.run()
        assert (finished.status, len(tried.raws())) == ("done", 25), str(finished.error)


@pytest.mark.parametrize("kind", ["singer", "airbyte"])
async def test_a_connection_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async with reading(tmp_path, kind) as (_, _tried, shop):
        for token, good in ((TOKEN, True), ("wrong-token-here", False)):
            monkeypatch.setenv("ITEMS_TOKEN", token)
            connection = open_connection("shop", shop, tmp_path, redactor=Redactor(), clock=FakeClock())
            try:
                if good:
                    assert str(await connection.transport.probe())
                else:
                    with pytest.raises(Failure):
                        await connection.transport.probe()
            finally:
                await connection.close()
