"""Small systems that tests of faults read from and write to, and how a project is connected with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from noria.engine import Finished
from tests.conftest import Project
from tests.servers import listening

Answer = Callable[[list[dict[str, Any]], int], web.Response | None]
VERIFY = 'verify = { api = "/items", param = "id", records = "data" }'
KEYS = 'idempotency_header = "X-Request-Id"'
SINCE = [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}]
SOURCE = {"api": "/list", "id": "id", "idCheck": False}
ITEMS = {
    "api": "/items",
    "method": "POST",
    "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": "{{name}}"}],
}


class Books:
    """A source and a target in one server. The target applies what it is sent and then says what `says` says, given the
    rows and the number of the request; None: that all went well. `refuses`: asked before anything is applied."""

    def __init__(self, count: int = 12) -> None:
        self.source: dict[int, str] = dict.fromkeys(range(count), "first")
        self.applied: list[tuple[int, str]] = []
        self.kept: dict[int, str] = {}
        self.sends: list[tuple[str, list[int]]] = []
        self.refuses: Answer = lambda rows, number: None
        self.says: Answer = lambda rows, number: None
        self.asks: Callable[[int], web.Response | None] = lambda number: None
        self.asked = self.read = 0
        self.heeds_keys = True
        self.answered: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/list", self._list), web.post("/items", self._write), web.get("/items", self._has)]

    async def _list(self, request: web.Request) -> web.Response:
        self.read += 1
        page, size = int(request.query["page"]), int(request.query["size"])
        rows = [{"id": key, "name": name} for key, name in self.source.items()]
        return web.json_response({"data": rows[(page - 1) * size : page * size], "total": len(rows)})

    async def _write(self, request: web.Request) -> web.Response:
        rows = await request.json()
        key = request.headers.get("X-Request-Id", "")
        self.sends.append((key, [row["id"] for row in rows]))
        refused = self.refuses(rows, len(self.sends))
        if refused is not None:
            return refused
        if self.heeds_keys and key in self.answered:
            return web.json_response(good(rows))
        for row in rows:
            self.applied.append((row["id"], row["name"]))
            self.kept[row["id"]] = row["name"]
        if key:
            self.answered.add(key)
        said = self.says(rows, len(self.sends))
        if said is not None and said.status == 444 and request.transport is not None:
            request.transport.abort()
        return web.json_response(good(rows)) if said is None else said

    async def _has(self, request: web.Request) -> web.Response:
        self.asked += 1
        failed = self.asks(self.asked)
        if failed is not None:
            return failed
        wanted = int(request.query["id"])
        found = [{"id": wanted, "name": self.kept[wanted]}] if wanted in self.kept else []
        return web.json_response({"data": found})

    def twice(self) -> list[tuple[int, str]]:
        return [one for one in self.applied if self.applied.count(one) > 1]


def good(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": 0, "results": [{"id": row["id"], "ok": True} for row in rows]}


def results(
    rows: list[dict[str, Any]], *failed: int, ids: bool = True, message: str = "locked"
) -> list[dict[str, Any]]:
    made = []
    for row in rows:
        one = {"ok": row["id"] not in failed, "message": message if row["id"] in failed else ""}
        made.append({"id": row["id"], **one} if ids else one)
    return made


def cut() -> web.Response:
    """The connection is gone before the answer comes."""
    return web.Response(status=444)


class Flat:
    """A source list (whole, with total) and a target that keeps what it gets, with keys."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.applied, self.keys = rows, [], set()

    def routes(self):
        return [web.get("/list", self.list), web.post("/items", self.write), web.get("/items", self.listing)]

    async def list(self, request):
        page, size = int(request.query.get("page", 1)), int(request.query.get("size", 100))
        return web.json_response({"data": self.rows[(page - 1) * size : page * size], "total": len(self.rows)})

    async def write(self, request):
        got = await request.json()
        key = request.headers.get("X-Request-Id")
        if key not in self.keys:
            self.keys.add(key)
            self.applied += got
        return web.json_response({"success": True})

    async def listing(self, request):
        last = {r["id"]: r for r in self.applied}
        return web.json_response({"data": list(last.values()), "total": len(last)})


def table(url: str, write: str, *, name: str = "books", size: int = 6, more: str = "") -> str:
    """A connection in `noria.toml`: its pages hold `size` rows, `write` says how it is written to."""
    return (
        f'[connections.{name}]\nconnector = "http"\nbase_url = "{url}"\n'
        'envelope = { records = "data", total = "total" }\n'
        f'paging = {{ type = "page", size_param = "size", size = {size} }}\nwrite = {{ {write} }}\n{more}\n'
    )


def connect(project: Project, url: str, write: str = "", size: int = 10, more: str = "") -> None:
    """`books` with keys, and 写入空操作."""
    ours = table(url, f"{KEYS}, batch_size = 4{write}", size=size, more=more)
    project.connections(f'{ours}[connections.inside]\nconnector = "noria"\n')


async def live(
    project: Project, books: Books, *between: Any, write: str = KEYS, more: str = "", **options: Any
) -> list[Finished]:
    """A run, and another after each of the things that happen in between."""
    finished = []
    async with listening(books.routes()) as url:
        wanted = f'results = "results", batch_size = 4{", " if write else ""}{write}'
        project.connections(table(url, wanted, more=more))
        project.plan("books", ("books", SOURCE), ("books", ITEMS), options={"concurrency": 1, **options})
        for happens in (None, *between):
            if happens is not None:
                happens()
            finished.append(await project.run("books"))
    return finished


def later(project: Project, seconds: float = 30) -> Callable[[], None]:
    def wait() -> None:
        project.clock.time += seconds

    return wait
