"""Authentication: what a request carries, and tokens that are fetched once and shared."""

from __future__ import annotations

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.settings import Auth
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.paths import at
from noria.metadata.secrets import Redactor

if TYPE_CHECKING:
    from noria.connectors.transport import Request, Transport

# A token is renewed this long before it runs out, or after nine tenths of a short life.
_MARGIN_SECONDS = 60.0
# Where answers say why a token is not given out.
_SAID = ("error", "error_description", "errcode", "errmsg", "code", "message", "msg")


class Authentication(Protocol):
    """`token` makes sure that one for requests to a path is at hand and gives it; `renew` forgets a refused one, when
    another can be had; `dress` gives a request as it leaves at a time (epoch seconds): with the token, or signed."""

    async def token(self, transport: Transport, path: str) -> str | None: ...

    def renew(self, refused: str | None) -> bool: ...

    def dress(self, request: Request, now: float) -> Request: ...


class Fixed:
    """Credentials that never change during a run: none, bearer, basic, a header or a query parameter."""

    def __init__(self, auth: Auth) -> None:
        self._headers: dict[str, str] = {}
        self._params: dict[str, str] = {}
        if auth.type == "bearer":
            self._headers["Authorization"] = f"Bearer {auth.token}"
        elif auth.type == "basic":
            pair = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        elif auth.type == "header":
            self._headers[auth.name] = auth.value
        elif auth.type == "query":
            self._params[auth.name] = auth.value

    async def token(self, transport: Transport, path: str) -> str | None:
        """Nothing to fetch."""
        return None

    def renew(self, refused: str | None) -> bool:
        """There is no other."""
        return False

    def dress(self, request: Request, now: float) -> Request:
        """The same for every request."""
        return with_added(request, self._headers, self._params)


def with_added(
    request: Request, headers: Mapping[str, str], params: Mapping[str, Any] = MappingProxyType({})
) -> Request:
    """A request with further headers and query parameters, which replace those of the same names."""
    return replace(request, headers={**request.headers, **headers}, params={**request.params, **params})


@dataclass(frozen=True)
class Token:
    """A token that was given out: its text, and for how many seconds it holds, where that is known."""

    text: str
    seconds: float | None


class Fetched(ABC):
    """One token for all requests of a connection, fetched by one of them. Who uses it says how it is asked for."""

    def __init__(self, redactor: Redactor, clock: Clock, lifetime: float, *, without: str | None = None) -> None:
        """`lifetime`: how many seconds a token holds where its answer names none. `without`: how paths begin that need
        no token, as those of robots."""
        self.redactor = redactor
        self.clock = clock
        self.lifetime = lifetime
        self.without = without
        self._token: str | None = None
        self._expires = 0.0
        self._fetching = asyncio.Lock()

    async def token(self, transport: Transport, path: str) -> str | None:
        """The current token; while one request fetches it, the others wait for that one."""
        if self.without is not None and path.startswith(self.without):
            return None
        if self._token is None or self.clock.steady() >= self._expires:
            async with self._fetching:
                if self._token is None or self.clock.steady() >= self._expires:
                    await self._fetch(transport)
        return self._token

    def renew(self, refused: str | None) -> bool:
        """Forget the token that was refused, unless another request has already replaced it."""
        if self._token == refused:
            self._token = None
        return refused is not None

    def dress(self, request: Request, now: float) -> Request:
        """The bearer header, unless who uses it says otherwise."""
        return with_added(request, {"Authorization": f"Bearer {self._token}"})

    @abstractmethod
    async def asked(self, transport: Transport) -> Token:
        """A new token; raises `Failure`."""

    async def _fetch(self, transport: Transport) -> None:
        token = await self.asked(transport)
        self.redactor.hide(token.text)
        seconds = self.lifetime if token.seconds is None else token.seconds
        self._token = token.text
        self._expires = self.clock.steady() + max(seconds - _MARGIN_SECONDS, seconds * 0.9)

    async def reply(
        self, transport: Transport, method: str, path: str, form: Mapping[str, Any], format_: str = "json"
    ) -> Any:
        """What the server answers to a request for a token, decoded; raises `Failure`. `format_` of the body: json or
        form; with GET the parameters go into the query."""
        body, headers = None, {"Accept": "application/json"}
        if method == "GET":
            url = transport.url(path, form)
        else:
            url = transport.url(path)
            body, headers["Content-Type"] = encoded(form, format_)
        try:
            answer = await transport.raw(method, url, body=body, headers=headers, writes=False)
        except Failure as failure:
            if failure.status in (400, 401, 403):
                raise self.refused(failure.answer or b"", failure) from failure
            raise
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            raise transport.not_json(answer, writes=False) from None

    def token_in(self, reply: Any, path: str, seconds_path: str) -> Token:
        """The token in an answer; raises `Failure` where there is none."""
        text = at(reply, path)
        if not isinstance(text, str) or not text:
            raise self.refused(msgspec.json.encode(reply), None)
        try:
            seconds = float(at(reply, seconds_path))
        except (TypeError, ValueError):
            return Token(text, None)
        return Token(text, seconds)

    def refused(self, body: bytes, failure: Failure | None) -> Failure:
        """The token request was refused: say what the server said of it, never what was sent."""
        try:
            reply = msgspec.json.decode(body)
        except msgspec.DecodeError:
            reply = {}
        words = [str(reply[key]) for key in _SAID if reply.get(key)] if isinstance(reply, dict) else []
        said = self.redactor.clean(" · ".join(dict.fromkeys(words)))[:300]
        return Failure(
            "auth",
            Message("http.token_refused", {"answer": said}),
            status=failure.status if failure else None,
            answer=self.redactor.clean(body[:4096].decode("utf-8", "replace")).encode(),
            request=failure.request if failure else "",
        )


class ClientCredentials(Fetched):
    """OAuth 2.0 client credentials."""

    def __init__(self, auth: Auth, redactor: Redactor, clock: Clock) -> None:
        super().__init__(redactor, clock, float(auth.expires_in))
        self.auth = auth
        self._body: str = auth.body

    async def asked(self, transport: Transport) -> Token:
        """Of the token endpoint, in the format of the body that it reads."""
        bodies = ("json", "form") if self._body == "auto" else (self._body,)
        form = {
            "grant_type": "client_credentials",
            "client_id": self.auth.client_id,
            "client_secret": self.auth.client_secret,
        }
        if self.auth.scope:
            form["scope"] = self.auth.scope
        for body in bodies:
            try:
                reply = await self.reply(transport, "POST", self.auth.token_url, form, body)
            except Failure as failure:
                # Documents differ on the body's format: one that can't be read is tried again in the other.
                unread = failure.status == 415 or b"invalid_request" in (failure.answer or b"")
                if body == bodies[-1] or not unread:
                    raise
            else:
                self._body = body
                break
        return self.token_in(reply, "access_token", "expires_in")


class Declared(Fetched):
    """A token that is asked for, and sent along, as the connection's settings say."""

    def __init__(self, auth: Auth, redactor: Redactor, clock: Clock, *, without: str | None = None) -> None:
        super().__init__(redactor, clock, float(auth.expires_in), without=without)
        self.auth = auth

    async def asked(self, transport: Transport) -> Token:
        """With the declared parameters."""
        auth = self.auth
        format_ = "form" if auth.body == "form" else "json"
        reply = await self.reply(transport, auth.token_method, auth.token_url, auth.request, format_)
        return self.token_in(reply, auth.token_path, auth.expires_path)

    def dress(self, request: Request, now: float) -> Request:
        """In the declared header or query parameter; as a bearer token where neither is declared."""
        if self.auth.sent_in == "query":
            return with_added(request, {}, {self.auth.name: self._token})
        if self.auth.sent_in == "header":
            return with_added(request, {self.auth.name: str(self._token)})
        return super().dress(request, now)


def encoded(form: Mapping[str, Any], format_: str) -> tuple[bytes, str]:
    """Parameters as a body, and its content type."""
    if format_ == "json":
        return msgspec.json.encode(form), "application/json"
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def authentication_for(auth: Auth, redactor: Redactor, clock: Clock) -> Authentication:
    """The authentication that a connection's `auth` table describes."""
    if auth.type == "oauth2":
        return ClientCredentials(auth, redactor, clock)
    if auth.type == "token":
        return Declared(auth, redactor, clock)
    return Fixed(auth)
