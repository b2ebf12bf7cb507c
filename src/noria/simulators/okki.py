"""小满 OKKI CRM as its documents say: OAuth, envelope, users, departments, paged lists; strict about what it is sent.

Sources: open.xiaoman.cn (quick start, token, user, company, order, lead pages). What those leave open is chosen here:
an expired token answers HTTP 401, `count` above 500 is refused, both ends of a time window are inclusive.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from noria.simulators.faults import Faults
from noria.simulators.okki_data import Account, Money, make_account
from noria.simulators.okki_motion import Motion, Mover, shown_time
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused

SCOPES = (
    "product company lead opportunity invoices user costInvoice paymentInvoice purchaseOrder warehouse"
    " capitalAccount webhook"
).split()
_ENCODER = msgspec.json.Encoder()
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$")
# list -> path, scope, other parameters, where the total goes
_LISTS = {
    "/v1/company/list": (
        "companies",
        "company",
        {"removed", "all", "group_id", "time_type"},
        ("count", "totalItem"),
    ),
    "/v1/invoices/order/list": (
        "orders",
        "invoices",
        {"removed", "approval", "approval_with_draft", "status", "time_type"},
        ("count",),
    ),
    "/v1/lead/list": ("leads", "lead", {"email", "origin", "sort_field", "archive"}, ("totalItem",)),
}
_ENUMS = {
    "removed": {"0", "1"},
    "enable_flag": {"0", "1", "2"},
    "time_type": {"1", "2", "3", "4"},
    "all": {"0", "1", "2"},
}
_MOST = 500


class Okki(Simulator):
    """A simulated account. `article`: speaks the article's API instead (fixed bearer token, bare arrays)."""

    name = "okki"

    def __init__(
        self,
        account: Account,
        *,
        client_id: str = "demo-client",
        client_secret: str = "demo-secret",
        token_seconds: float = 28800,
        expires_in: bool = True,
        article: bool = False,
        token: str = "demo-token",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.account = account
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_seconds = token_seconds
        self.expires_in = expires_in
        self.article = article
        self.fixed_token = token
        self.clock = clock
        self.now = now
        self.mover = Mover(account, now)
        self.tokens: dict[str, tuple[float, set[str]]] = {}
        self.tokens_issued = 0
        self.faults = Faults(expire=self.tokens.clear)
        self._pages: dict[tuple[str, int, int], bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        """The endpoints, the control endpoint's own, and a last one that knows nothing."""
        control = [
            web.get("/_control/truth", self._truth),
            web.post("/_control/mutate", self._mutate),
            web.post("/_control/move", self._move),
        ]
        if self.article:
            own = [
                web.get("/v1/user/list", self._bare("users")),
                web.get("/v1/user/departmentList", self._bare("departments")),
            ]
            return [*control, *own]
        lists = [web.get(path, self._api(self._list, found[1])) for path, found in _LISTS.items()]
        return [
            *control,
            *lists,
            web.post("/v1/oauth2/access_token", self._token),
            web.post("/v1/oauth2/refresh_token", self._token),
            web.get("/v1/user/list", self._api(self._users, "user")),
            web.get("/v1/user/info", self._api(self._user, "user")),
            web.get("/v1/user/departmentList", self._api(self._departments, "user")),
            web.get("/v1/user/departmentInfo", self._api(self._department, "user")),
            web.route("*", "/{anything:.*}", self._unknown),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            "tokens_issued": self.tokens_issued,
            "users": len(self.account.users),
            "departments": len(self.account.departments),
            **self.account.counts,
            "changes": len(self.account.journal),
        }

    # --- tokens

    async def _token(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            try:
                form: dict[str, Any] = msgspec.json.decode(await request.read(), type=dict[str, Any])
            except msgspec.MsgspecError:
                return _oauth_error("invalid_request", "the body is not a JSON object")
        elif request.content_type == "application/x-www-form-urlencoded":
            form = dict(await request.post())
        else:
            return _oauth_error("invalid_request", f"content type {request.content_type}")
        grant = form.get("grant_type")
        refresh = request.path.endswith("refresh_token")
        for name in ("grant_type", "client_id", "client_secret", *(() if refresh else ("scope",))):
            if not form.get(name):
                return _oauth_error("invalid_request", f"missing parameter {name}")
        if (form["client_id"], form["client_secret"]) != (self.client_id, self.client_secret):
            return _oauth_error("invalid_client", "Client authentication failed")
        if grant not in (("refresh_token",) if refresh else ("client_credentials", "password")):
            return _oauth_error("unsupported_grant_type", str(grant))
        if grant == "password" and not (
            form.get("username") and re.fullmatch(r"[0-9a-f]{64}", str(form.get("password", "")))
        ):
            return _oauth_error("invalid_credentials", "username, and password as SHA-256")
        scopes = set(str(form.get("scope") or " ".join(SCOPES)).split())
        if scopes - set(SCOPES):
            return _oauth_error("invalid_scope", " ".join(sorted(scopes - set(SCOPES))))
        self.tokens_issued += 1
        digest = hashlib.sha256(f"{self.account.seed}/{self.tokens_issued}".encode()).hexdigest()
        token = f"eyJ0eXAiOiJKV1QifQ.{digest}.{self.tokens_issued}"
        self.tokens[token] = (self.clock() + self.token_seconds, scopes)
        reply: dict[str, Any] = {"token_type": "Bearer", "access_token": token}
        if self.expires_in or grant == "password":
            reply["expires_in"] = int(self.token_seconds)
        if grant == "password":
            reply["refresh_token"] = f"refresh-{digest}"
        return web.json_response(reply)

    def _denied(self, request: web.Request) -> web.Response | None:
        """The answer to a request whose token is missing, wrong or expired."""
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ")
        known = self.tokens.get(token)
        if header.startswith("Bearer ") and known is not None and self.clock() < known[0]:
            return None
        body = {
            "error": "access_denied",
            "error_description": "The access token is invalid or expired",
            "message": "access_denied",
        }
        return web.json_response(body, status=401)

    # --- the API

    def _api(
        self, handler: Callable[[web.Request], Awaitable[web.Response] | web.Response], scope: str
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            denied = self._denied(request)
            if denied is not None:
                return denied
            granted = self.tokens[request.headers["Authorization"].removeprefix("Bearer ")][1]
            try:
                if scope not in granted:
                    raise Refused(403, f"no permission {scope} scopes")
                result = handler(request)
                return result if isinstance(result, web.Response) else await result
            except Refused as refused:
                self.refused.append(f"{request.path_qs}: {refused.message}")
                return self._envelope(None, int(refused.code), refused.message)

        return answer

    async def _unknown(self, request: web.Request) -> web.Response:
        known = {
            path
            for path in (
                *_LISTS,
                "/v1/user/list",
                "/v1/user/info",
                "/v1/user/departmentList",
                "/v1/oauth2/access_token",
            )
        }
        if request.path in known:
            return web.Response(status=405)
        self.refused.append(f"{request.path_qs}: Not Found Resource")
        return self._envelope(None, 404, "Not Found Resource")

    def _users(self, request: web.Request) -> web.Response:
        query = _query(request, {"enable_flag"})
        flag = query.get("enable_flag", "1")
        return self._envelope([user for user in self.account.users if user["enable_flag"] == flag])

    def _user(self, request: web.Request) -> web.Response:
        query = _query(request, {"user_id", "email", "nickname", "full_name"})
        if not query:
            raise Refused(404, "user_id cannot be empty")
        for user in self.account.users:
            if all(str(user.get(key)) == value for key, value in query.items()):
                return self._envelope(user)
        raise Refused(404, "Not Found Resource")

    def _departments(self, request: web.Request) -> web.Response:
        _query(request, set())
        return self._envelope({"list": self.account.departments, "count": len(self.account.departments)})

    def _department(self, request: web.Request) -> web.Response:
        query = _query(request, {"department_id", "department_name"})
        for row in self.account.departments:
            if query.get("department_id") == row["id"] or query.get("department_name") == row["name"]:
                return self._envelope({**row, "id": int(row["id"]), "layer": str(row["layer"])})
        raise Refused(404, "Not Found Resource")

    def _list(self, request: web.Request) -> web.Response:
        name, _, others, totals = _LISTS[request.path]
        query = _query(request, {"start_index", "count", "start_time", "end_time", *others})
        page, count = _positive(query, "start_index", 1), _positive(query, "count", 10)
        if count > _MOST:
            raise Refused(400, f"Invalid query: count is at most {_MOST}")
        if query.get("removed") == "1":
            return self._envelope({"list": [], **dict.fromkeys(totals, 0)})
        windowed = "start_time" in query or "end_time" in query
        self.mover.asked(name)
        if windowed or self.account.moves(name):
            column = "create_time" if query.get("time_type") == "2" else "update_time"
            low, high = _bound(query.get("start_time"), False), _bound(query.get("end_time"), True)
            rows = [row for row in self.account.rows(name) if not windowed or low <= (row[column] or "0") <= high]
            part = rows[(page - 1) * count : page * count]
            return self._envelope({"list": part, **dict.fromkeys(totals, len(rows))})
        return self._answer(self._page(name, page, count, totals))

    def _page(self, name: str, page: int, count: int, totals: tuple[str, ...]) -> bytes:
        """A page of an unchanged list, made once."""
        key = (name, page, count)
        if key not in self._pages:
            total = self.account.size(name)
            numbers = range((page - 1) * count, min(page * count, total))
            rows = [self.account.row(name, number) for number in numbers]
            self._pages[key] = encoded({"list": rows, **dict.fromkeys(totals, total)}, now=self.now())
            while len(self._pages) > 64:
                self._pages.pop(next(iter(self._pages)))
        return self._pages[key]

    # --- the article's API

    def _bare(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {self.fixed_token}":
                return web.json_response({"error": "unauthorized"}, status=401)
            if name == "departments":
                return _plain([{"id": int(row["id"]), "name": row["name"]} for row in self.account.departments])
            rows = []
            for user in self.account.users:
                row = {"name": user["full_name"], "department_id": int(user["department_id"])}
                rows.append({"nickname": user["nickname"], **row} if "nickname" in user else row)
            return _plain(rows)

        return answer

    # --- control

    async def _truth(self, request: web.Request) -> web.Response:
        at = request.query.get("at")
        rows = self.account.truth(request.query.get("list", "users"), int(at) if at else None)
        return web.Response(
            text="".join(_dumps(row) + "\n" for row in rows),
            content_type="application/jsonl",
            charset="utf-8",
        )

    async def _mutate(self, request: web.Request) -> web.Response:
        raw = msgspec.json.decode(await request.read())
        for one in raw if isinstance(raw, list) else [raw]:
            self.mutate(one["op"], one["list"], one.get("id"), one.get("fields") or {})
        return web.json_response({"ok": True})

    async def _move(self, request: web.Request) -> web.Response:
        try:
            self.mover.set(msgspec.json.decode(await request.read(), type=Motion))
        except (msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    def mutate(self, op: str, name: str, row_id: object, fields: dict[str, Any]) -> None:
        """Insert, update or delete a row of a list; raises `KeyError` for a row that isn't there."""
        self.account.mutate(op, name, row_id, fields)
        self._pages.clear()

    def _envelope(self, data: Any, code: int = 200, message: str = "success") -> web.Response:
        """The vendor's envelope around an answer's data."""
        return self._answer(encoded(data, code, message, now=self.now()))

    def _answer(self, body: bytes) -> web.Response:
        """An answer with the date of the vendor's clock."""
        date = {"Date": formatdate(self.now(), usegmt=True)}
        return web.Response(body=body, headers=date, content_type="application/json", charset="utf-8")


def encoded(data: Any, code: int = 200, message: str = "success", *, now: float) -> bytes:
    """The envelope's bytes; amounts keep their digits."""
    shown = shown_time(now)
    return _dumps({"code": code, "message": message, "now": shown, "data": data}).encode()


_MONEY = re.compile(r'"\\u0000([\d.]+)"')


def _dumps(value: Any) -> str:
    return _MONEY.sub(r"\1", json.dumps(_marked(value), ensure_ascii=False, separators=(",", ":")))


def _marked(value: Any) -> Any:
    """Amounts marked, so that they can be written as numbers with the digits they have."""
    if isinstance(value, Money):
        return f"\x00{value}"
    if isinstance(value, dict):
        return {key: _marked(one) for key, one in value.items()}
    return [_marked(one) for one in value] if isinstance(value, list) else value


def _plain(value: Any) -> web.Response:
    return web.Response(body=_dumps(value).encode(), content_type="application/json", charset="utf-8")


def _oauth_error(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description, "message": description}, status=400)


def _query(request: web.Request, known: set[str]) -> dict[str, str]:
    """The query's parameters; raises `Refused` for one that the endpoint doesn't have or a value it can't have."""
    for name, value in request.query.items():
        if name not in known:
            raise Refused(400, f"Invalid query: {name}")
        if name in _ENUMS and value not in _ENUMS[name]:
            raise Refused(400, f"Invalid query: {name}={value}")
        if name in ("start_time", "end_time") and not _TIME.match(value):
            raise Refused(400, f"Invalid query: {name}={value}")
    return dict(request.query)


def _positive(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise Refused(400, f"Invalid query: {name}={text}")
    return int(text)


def _bound(text: str | None, end: bool) -> str:
    if text is None:
        return "9999" if end else ""
    return text if len(text) > 10 else text + (" 23:59:59" if end else " 00:00:00")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `okki` takes."""
    counts = {"users": 50, "departments": 8, "companies": 0, "orders": 0, "leads": 0, "invalid": 0}
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--shape", choices=("okki", "article"), default="okki", help="the vendor's API or the article's"
    )
    parser.add_argument("--client-id", default="demo-client")
    parser.add_argument("--client-secret", default="demo-secret")
    parser.add_argument("--token", default="demo-token", help="the fixed token of --shape article")
    parser.add_argument("--token-seconds", type=float, default=28800, help="how long a token lives")
    parser.add_argument("--no-expires-in", action="store_true", help="leave expires_in out of token replies")


def from_arguments(chosen: argparse.Namespace) -> Okki:
    """The account that the arguments describe."""
    names = ("users", "departments", "companies", "orders", "leads", "invalid")
    return Okki(
        make_account(chosen.seed, **{name: getattr(chosen, name) for name in names}),
        client_id=chosen.client_id,
        client_secret=chosen.client_secret,
        token_seconds=chosen.token_seconds,
        expires_in=not chosen.no_expires_in,
        article=chosen.shape == "article",
        token=chosen.token,
    )
