"""轻易云 as its documents say: tokens, and schemes whose records are stored, stored and sent on, or asked for.

Sources: the documents of `qeasy-cloud/datahub` (V2). What those leave open, or contradict, is chosen here, as strictly
as can be: a token may come in the query or as a bearer; a call beyond 60 a minute answers HTTP 429 with code 42901
and `Retry-After`, and so does every other for 5 minutes; other refusals are HTTP 200; a scheme stores every record
that has its required fields, again when it comes again, and counts the others as failed without saying which; at most
1000 records come at once; a query's filters are `CONTENT_<field>` and compare as texts, its window is closed and of
when a record was stored.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.books import Books, digest, poisoned, rejected
from noria.simulators.faults import Fault, Faults
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import BIG, START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused, answer, encoded, md5, object_of, shown, truth_route, whole

PARAMETER, AUTH, TOKEN, UNKNOWN, FREQUENT = 40001, 40101, 40102, 40401, 42901
SHAPES = ("list", "rows", "array")
_BATCH, _PAGE = 1000, 100
_QUERY = {"page", "pageSize", "begin_at", "end_at"}


class Qeasy(Simulator):
    """A simulated platform. `schemes`: the fields that each scheme requires; `records`: how many the first one has;
    `id_field`: what tells records apart in the account of duplicates; `shape`: of the answer to a query,
    `content.list`, `content.rows` or `content` itself; `per_minute`: 0 for no limit; `silence`:
    seconds that a call too many costs; `clock`: monotonic seconds; `now`: epoch seconds."""

    name = "qeasy"

    def __init__(
        self,
        *,
        app_key: str = "demo00000001",
        app_secret: str = "demosecret0000000001",
        schemes: dict[str, tuple[str, ...]] | None = None,
        records: int = 30,
        id_field: str = "id",
        shape: str = "list",
        seed: int = 1,
        start: str = START,
        days: int = 20,
        token_seconds: float = 7200,
        per_minute: int = 60,
        silence: float = 300,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        if shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, not {shape!r}")
        self.app_key = app_key
        self.app_secret = app_secret
        self.schemes = schemes if schemes is not None else {"demo-scheme": ()}
        self.id_field = id_field
        self.shape = shape
        self.token_seconds = token_seconds
        self.silence = silence
        self.clock = clock
        self.now = now
        self.records: dict[str, list[dict[str, Any]]] = {scheme: [] for scheme in self.schemes}
        for made in list(self.records.values())[:1]:
            made += _records(Samples(seed, start, days), records)
        self.tokens: dict[str, float] = {}
        self.tokens_issued = 0
        self.dispatched: list[str] = []
        self.books = Books()
        self.stored = self.books.stored
        self.faults = Faults(
            expire=self.tokens.clear,
            throttled=_throttled,
            business=lambda fault: _reply(fault.code, fault.message),
            denied=lambda _: _reply(TOKEN, "access_token 无效或已过期"),
        )
        self._pace = Pace(per_minute, 60, clock)
        self._silent_until = float("-inf")

    def routes(self) -> list[web.RouteDef]:
        """The token and the calls of a scheme; everything else is unknown."""
        scheme = "/v2/open-api/business/{scheme}"
        return [
            truth_route(self.truth),
            web.post("/v2/oauth", self._guarded(self._token)),
            web.post(scheme + "/store", self._guarded(self._store)),
            web.post(scheme + "/store-dispatch", self._guarded(self._store)),
            web.post(scheme + "/query", self._guarded(self._query)),
            web.get(scheme + "/find-one/{id}", self._guarded(self._find)),
            web.route("*", "/{anything:.*}", self._guarded(self._unknown)),
        ]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every record of a scheme as a query shows it; raises `KeyError` for an unknown scheme."""
        return list(self.records[kind])

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports. `dispatched`: the ids of records that were to be sent on."""
        return {
            **super().state(),
            "records": {scheme: len(made) for scheme, made in self.records.items()},
            "dispatched": self.dispatched[-100:],
            "tokens_issued": self.tokens_issued,
            **self.books.state(),
        }

    def _guarded(self, handler: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            try:
                return _reply(0, "success", await handler(request))
            except Refused as refused:
                self.refused.append(f"{request.path}: {refused.message}")
                if refused.code == FREQUENT:
                    return _too_many(str(math.ceil(self._silent_until - self.clock())))
                return _reply(int(refused.code), refused.message)

        return respond

    async def _unknown(self, request: web.Request) -> Any:
        raise Refused(UNKNOWN, f"接口不存在 {request.method} {request.path}")

    # --- who asks

    async def _token(self, request: web.Request) -> Any:
        body = await object_of(request, PARAMETER)
        key, secret = body.get("app_key"), body.get("app_secret")
        if set(body) != {"app_key", "app_secret"} or len(str(key)) != 12 or len(str(secret)) != 20:
            raise Refused(PARAMETER, "app_key 必须是 12 位，app_secret 必须是 20 位")
        if (key, secret) != (self.app_key, self.app_secret):
            raise Refused(AUTH, "app_key 或 app_secret 错误")
        self.tokens_issued += 1
        token = md5(f"token {self.tokens_issued}")
        self.tokens[token] = self.clock() + self.token_seconds
        return {"access_token": token, "expires_in": int(self.token_seconds)}

    def _scheme(self, request: web.Request) -> str:
        """The scheme that a request with a valid token names, when it is within the limit."""
        token = request.query.get("access_token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.clock() >= self.tokens.get(token, float("-inf")):
            raise Refused(TOKEN, "access_token 无效或已过期")
        if self.clock() < self._silent_until:
            raise Refused(FREQUENT, "请求过于频繁，请 5 分钟后再试")
        if takes(self._pace) is not None:
            self._silent_until = self.clock() + self.silence
            raise Refused(FREQUENT, "请求过于频繁，请 5 分钟后再试")
        scheme = request.match_info["scheme"]
        if scheme not in self.schemes:
            raise Refused(UNKNOWN, f"方案不存在 {scheme}")
        return scheme

    # --- a scheme's calls

    async def _store(self, request: web.Request) -> Any:
        scheme = self._scheme(request)
        body = await object_of(request, PARAMETER)
        rows = body.get("content")
        if set(body) != {"content"} or not isinstance(rows, list) or not 0 < len(rows) <= _BATCH:
            raise Refused(PARAMETER, f"content 必须是 1 到 {_BATCH} 条记录")
        if not all(isinstance(row, dict) for row in rows):
            raise Refused(PARAMETER, "content 的每条记录必须是对象")
        ids = [self._id(row) for row in rows]
        poison = poisoned(self.faults, request.path, ids)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        no = rejected(self.faults, request.path, ids)
        failed = 0
        for row_id, row in zip(ids, rows, strict=True):
            missing = [field for field in self.schemes[scheme] if row.get(field) in (None, "")]
            if missing or row_id in no:
                self.refused.append(f"{scheme} {row_id}: {no.get(row_id) or f'缺少 {missing}'}")
                failed += 1
                continue
            self._insert(scheme, row_id, row, request.path.endswith("/store-dispatch"))
        return {"inserted": len(rows) - failed, "failed": failed}

    def _id(self, row: dict[str, Any]) -> str:
        value = row.get(self.id_field)
        return digest(row) if value in (None, "") else str(value)

    def _insert(self, scheme: str, row_id: str, row: dict[str, Any], dispatch: bool) -> None:
        made = self.records[scheme]
        at = int(self.now())
        made.append({"id": f"{at}{len(made):06}", "content": row, "created_at": at})
        self.books.make(f"{scheme} {row_id}", row_id, row)
        if dispatch:
            self.dispatched.append(row_id)

    async def _query(self, request: web.Request) -> Any:
        scheme = self._scheme(request)
        body = await object_of(request, PARAMETER)
        filters = {key[8:]: value for key, value in body.items() if key.startswith("CONTENT_")}
        numbers = {name: whole(body.get(name, {"page": 1, "pageSize": 10}.get(name, 0))) for name in _QUERY}
        page, size = numbers["page"], numbers["pageSize"]
        unknown = [key for key in body if key not in _QUERY and not key.startswith("CONTENT_")]
        if unknown or None in numbers.values() or not page or not size or size > _PAGE:
            raise Refused(PARAMETER, f"page 从 1 开始，pageSize 是 1 到 {_PAGE}，时间是秒，未知参数 {unknown}")
        begin, end = numbers["begin_at"] or 0, numbers["end_at"] or math.inf
        if begin > end:
            raise Refused(PARAMETER, "begin_at 不能大于 end_at")
        rows = [row for row in self.records[scheme] if begin <= row["created_at"] <= end]
        for field, value in filters.items():
            rows = [row for row in rows if _text(row["content"].get(field)) == _text(value)]
        part = rows[(page - 1) * size : page * size]
        return part if self.shape == "array" else {self.shape: part, "total": len(rows)}

    async def _find(self, request: web.Request) -> Any:
        scheme = self._scheme(request)
        for row in self.records[scheme]:
            if row["id"] == request.match_info["id"]:
                return row
        raise Refused(UNKNOWN, f"记录不存在 {request.match_info['id']}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encoded(value)


def _reply(code: int, message: str, content: Any = None, status: int = 200) -> web.Response:
    return answer({"success": code == 0, "code": code, "message": message, "content": content}, status)


def _too_many(wait: str | None) -> web.Response:
    reply = _reply(FREQUENT, "请求过于频繁，请 5 分钟后再试", status=429)
    if wait is not None:
        reply.headers["Retry-After"] = wait
    return reply


def _throttled(fault: Fault) -> web.Response:
    return _too_many(None if fault.retry_after is None else str(fault.retry_after))


def _records(samples: Samples, count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{at}{n:06}",
            "content": {
                "id": BIG + n,
                "name": samples.name(),
                "shop": samples.shop(n),
                "amount": samples.amount(),
                "price": str(samples.amount()),
                "remark": samples.remark(),
                "modified": shown(at),
                "lines": [{"sku": f"SKU{(n + k) % 25:03}", "qty": samples.quantity()} for k in range(n % 3)],
            },
            "created_at": at,
        }
        for n, at in enumerate(samples.times(count))
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `qeasy` takes."""
    parser.add_argument("--app-key", default="demo00000001", help="12 characters")
    parser.add_argument("--app-secret", default="demosecret0000000001", help="20 characters")
    parser.add_argument(
        "--scheme", action="append", metavar="ID[:FIELD,…]", help="a scheme and the fields that it requires"
    )
    parser.add_argument("--id-field", default="id", help="what tells records apart")
    parser.add_argument("--shape", choices=SHAPES, default="list", help="of the answer to a query")
    parser.add_argument("--token-seconds", type=float, default=7200, help="how long a token lives")
    parser.add_argument("--per-minute", type=int, default=60, help="0: no limit")
    add_data_arguments(parser, records=30)


def from_arguments(chosen: argparse.Namespace) -> Qeasy:
    """The platform that the arguments describe."""
    schemes = {}
    for text in chosen.scheme or ["demo-scheme"]:
        scheme, _, fields = text.partition(":")
        schemes[scheme] = tuple(filter(None, fields.split(",")))
    chosen.schemes = schemes
    return made_of(Qeasy, chosen)
