"""小满 OKKI CRM as its documents say: OAuth, envelope, every list, every push, events; strict about what it is sent.

Sources: open.xiaoman.cn (quick start, token, and every endpoint's page). What those leave open is chosen here: an
expired token answers HTTP 401, a wrong method 405; suppliers need the scope `supplier` and reports `report`, which only
the vendor's example of a token shows.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from noria.simulators import wire
from noria.simulators.faults import Faults
from noria.simulators.okki_api import Api
from noria.simulators.okki_checks import check_body, checked_query, form_in, sent_in
from noria.simulators.okki_data import Account, Change, make_account
from noria.simulators.okki_facts import Operation, facts
from noria.simulators.okki_hooks import Hooks
from noria.simulators.okki_motion import Motion
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused, shown

SCOPES = (
    "product company lead opportunity invoices user costInvoice paymentInvoice purchaseOrder warehouse"
    " capitalAccount webhook supplier report"
).split()
# The configuration of events: which methods each path takes.
_HOOKS = {
    "/v1/webhook": ("GET", "POST", "PUT", "DELETE"),
    "/v1/webhook/test": ("POST",),
    "/v1/webhook/regenerate-secret": ("POST",),
    "/v1/subscribe": ("GET", "POST"),
    "/v1/subscribe/{subscribe_type}": ("GET", "PUT", "DELETE"),
}


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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__()
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_seconds = token_seconds
        self.expires_in = expires_in
        self.article = article
        self.fixed_token = token
        self.clock = clock
        self.now = now
        self.tokens: dict[str, tuple[float, set[str]]] = {}
        self.tokens_issued = 0
        self.faults = Faults(expire=self.tokens.clear)
        self.api = Api(account, self.faults, now)
        self.hooks = Hooks(account.seed, now, sleep)
        account.told = self._changed

    @property
    def account(self) -> Account:
        """What it answers from."""
        return self.api.account

    def alongside(self) -> AbstractAsyncContextManager[None]:
        """Its events are sent."""
        return self.hooks.sending()

    def _changed(self, change: Change, row: dict[str, Any]) -> None:
        self.hooks.changed(change.list, change.op, row)

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
        operations: dict[str, dict[str, Operation]] = {}
        for one in facts().endpoints:
            operations.setdefault(one.path, {})[one.method] = one
        return [
            *control,
            web.route("*", "/v1/oauth2/access_token", self._token),
            web.route("*", "/v1/oauth2/refresh_token", self._token),
            *(web.route("*", path, self._operation(found)) for path, found in operations.items()),
            *(web.route("*", path, self._configuration(methods)) for path, methods in _HOOKS.items()),
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
            **self.api.books.state(),
            "told": self.hooks.delivered,
            "untold": self.hooks.dropped,
        }

    # --- tokens

    async def _token(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
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

    def _operation(self, operations: dict[str, Operation]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What a path answers, by method."""

        async def answer(request: web.Request) -> web.Response:
            operation = operations.get(request.method)
            if operation is None:
                return web.Response(status=405)
            return await self._guarded(request, operation.scope, lambda: self._done(request, operation))

        return answer

    async def _done(self, request: web.Request, operation: Operation) -> bytes:
        """The data that an operation answers with, as JSON."""
        given = await form_in(request) if operation.takes == "form" else request.query
        query = checked_query(given, operation)
        match operation.does:
            case "push":
                return wire.encoded(self.api.push(operation, await sent_in(request))).encode()
            case "report":
                body = await sent_in(request)
                check_body(body, operation)
                return wire.encoded(self.api.report(body)).encode()
            case "remove":
                sent: dict[str, Any] = query
                if operation.takes == "json":
                    sent = await sent_in(request)
                    check_body(sent, operation)
                return wire.encoded(self.api.remove(operation, sent)).encode()
            case _:
                return self.api.read(operation, query)

    def _configuration(self, methods: tuple[str, ...]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What a path of the configuration of events answers."""

        async def done(request: web.Request) -> bytes:
            takes = request.method in ("POST", "PUT") and "GET" in methods
            body = await sent_in(request) if takes else None
            return wire.encoded(await self.hooks.answer(request.method, request.path, body)).encode()

        async def answer(request: web.Request) -> web.Response:
            if request.method not in methods:
                return web.Response(status=405)
            return await self._guarded(request, "webhook", lambda: done(request))

        return answer

    async def _guarded(self, request: web.Request, scope: str, work: Callable[[], Awaitable[bytes]]) -> web.Response:
        """The answer to a request, whose token must have a scope."""
        denied = self._denied(request)
        if denied is not None:
            return denied
        granted = self.tokens[request.headers["Authorization"].removeprefix("Bearer ")][1]
        try:
            if scope not in granted:
                raise Refused(403, f"no permission {scope} scopes")
            return self._enveloped(await work())
        except Refused as refused:
            return self._refusal(request, refused)

    async def _unknown(self, request: web.Request) -> web.Response:
        return self._refusal(request, Refused(404, "Not Found Resource"))

    def _refusal(self, request: web.Request, refused: Refused) -> web.Response:
        self.refused.append(f"{request.path_qs}: {refused.message}")
        return self._enveloped(b"null", int(refused.code), refused.message)

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
            text="".join(wire.encoded(row) + "\n" for row in rows),
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
            self.api.mover.set(msgspec.json.decode(await request.read(), type=Motion))
        except (msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    def mutate(self, op: str, name: str, row_id: object, fields: dict[str, Any]) -> None:
        """Insert, update or delete a row of a list; raises `KeyError` for a row that isn't there."""
        self.account.mutate(op, name, row_id, fields)

    def _enveloped(self, data: bytes, code: int = 200, message: str = "success") -> web.Response:
        """The vendor's envelope around an answer's data, with the date of its clock."""
        head = wire.encoded({"code": code, "message": message, "now": shown(self.now())})
        body = head[:-1].encode() + b',"data":' + data + b"}"
        date = {"Date": formatdate(self.now(), usegmt=True)}
        return web.Response(body=body, headers=date, content_type="application/json", charset="utf-8")


def _plain(value: Any) -> web.Response:
    return web.Response(body=wire.encoded(value).encode(), content_type="application/json", charset="utf-8")


def _oauth_error(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description, "message": description}, status=400)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `okki` takes."""
    counts = {"users": 50, "departments": 8, "companies": 0, "orders": 0, "leads": 0, "invalid": 0, "others": 0}
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
    names = ("users", "departments", "companies", "orders", "leads", "invalid", "others")
    return Okki(
        make_account(chosen.seed, **{name: getattr(chosen, name) for name in names}),
        client_id=chosen.client_id,
        client_secret=chosen.client_secret,
        token_seconds=chosen.token_seconds,
        expires_in=not chosen.no_expires_in,
        article=chosen.shape == "article",
        token=chosen.token,
    )
