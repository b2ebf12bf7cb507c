"""Authentication: what a request carries, and tokens that are fetched once and shared."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.settings import Auth
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.secrets import Redactor

if TYPE_CHECKING:
    from noria.connectors.transport import Transport

# A token is renewed this long before it runs out, or after nine tenths of a short life.
_MARGIN_SECONDS = 60.0


class Authentication(Protocol):
    """`token` makes sure that one is at hand and gives it; `renew` forgets a refused one, when another can be had;
    `apply` gives the headers and query parameters of a request."""

    async def token(self, transport: Transport) -> str | None: ...

    def renew(self, refused: str | None) -> bool: ...

    def apply(self) -> tuple[dict[str, str], dict[str, str]]: ...


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

    async def token(self, transport: Transport) -> str | None:
        """Nothing to fetch."""
        return None

    def renew(self, refused: str | None) -> bool:
        """There is no other."""
        return False

    def apply(self) -> tuple[dict[str, str], dict[str, str]]:
        """The same for every request."""
        return self._headers, self._params


class ClientCredentials:
    """OAuth 2.0 client credentials: one token for all requests of the connection, fetched by one of them."""

    def __init__(self, auth: Auth, redactor: Redactor, clock: Clock) -> None:
        self.auth = auth
        self.redactor = redactor
        self.clock = clock
        self._body: str = auth.body
        self._token: str | None = None
        self._expires = 0.0
        self._fetching = asyncio.Lock()

    async def token(self, transport: Transport) -> str | None:
        """The current token; while one request fetches it, the others wait for that one."""
        if self._token is None or self.clock.steady() >= self._expires:
            async with self._fetching:
                if self._token is None or self.clock.steady() >= self._expires:
                    await self._fetch(transport)
        return self._token

    def renew(self, refused: str | None) -> bool:
        """Forget the token that was refused, unless another request has already replaced it."""
        if self._token == refused:
            self._token = None
        return True

    def apply(self) -> tuple[dict[str, str], dict[str, str]]:
        """The bearer header."""
        return {"Authorization": f"Bearer {self._token}"}, {}

    async def _fetch(self, transport: Transport) -> None:
        bodies = ("json", "form") if self._body == "auto" else (self._body,)
        for body in bodies:
            try:
                await self._ask(transport, body)
            except Failure as failure:
                # Documents differ on the body's format: one that can't be read is tried again in the other.
                unread = failure.status == 415 or b"invalid_request" in (failure.answer or b"")
                if body == bodies[-1] or not unread:
                    raise
            else:
                self._body = body
                return

    async def _ask(self, transport: Transport, format_: str) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.auth.client_id,
            "client_secret": self.auth.client_secret,
        }
        if self.auth.scope:
            form["scope"] = self.auth.scope
        if format_ == "json":
            body, content_type = msgspec.json.encode(form), "application/json"
        else:
            body, content_type = urlencode(form).encode(), "application/x-www-form-urlencoded"
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        url = transport.url(self.auth.token_url)
        try:
            answer = await transport.raw("POST", url, body=body, headers=headers, writes=False)
        except Failure as failure:
            if failure.status in (400, 401, 403):
                raise self._refused(failure.answer or b"", failure) from failure
            raise
        try:
            reply = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            raise transport.not_json(answer, writes=False) from None
        token = reply.get("access_token") if isinstance(reply, dict) else None
        if not isinstance(token, str) or not token:
            raise self._refused(answer.body, None)
        self.redactor.hide(token)
        lifetime = reply.get("expires_in")
        try:
            seconds = float(lifetime) if lifetime is not None else float(self.auth.expires_in)
        except (TypeError, ValueError):
            seconds = float(self.auth.expires_in)
        self._token = token
        self._expires = self.clock.steady() + max(seconds - _MARGIN_SECONDS, seconds * 0.9)

    def _refused(self, body: bytes, failure: Failure | None) -> Failure:
        """The token request was refused: say what the server said of it, never what was sent."""
        try:
            reply = msgspec.json.decode(body)
        except msgspec.DecodeError:
            reply = {}
        words = (
            [str(reply[key]) for key in ("error", "error_description", "message") if reply.get(key)]
            if isinstance(reply, dict)
            else []
        )
        said = self.redactor.clean(" · ".join(dict.fromkeys(words)))[:300]
        return Failure(
            "auth",
            Message("http.token_refused", {"answer": said}),
            status=failure.status if failure else None,
            answer=self.redactor.clean(body[:4096].decode("utf-8", "replace")).encode(),
            request=failure.request if failure else "",
        )


def authentication_for(auth: Auth, redactor: Redactor, clock: Clock) -> Authentication:
    """The authentication that a connection's `auth` table describes."""
    if auth.type == "oauth2":
        return ClientCredentials(auth, redactor, clock)
    return Fixed(auth)
