"""The HTTP client of a connection: connection reuse, time-outs, authentication, limits, error classes, redaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from noria.connectors.auth import Authentication
from noria.connectors.failures import Failure, Kind
from noria.connectors.keeping import InMemory, Memory
from noria.connectors.limits import Gate, Held
from noria.connectors.settings import Limits
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.secrets import Redactor

_T = TypeVar("_T")
# How much of an answer is kept with an attempt, in bytes.
ANSWER_KEPT = 1024 * 1024
# What a body is sent as, unless the connection says otherwise.
JSON = "application/json; charset=utf-8"
_SHOWN = 160
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Request:
    """A request before it leaves: its query and its body, to which `dress` of an authentication adds what proves who
    sends it."""

    method: str
    path: str
    params: Mapping[str, Any]
    body: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """A server's answer with a 2xx status. `seconds`: how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request: str
    seconds: float


# What the code in the body of an answer says of how the request failed, and for how many seconds nobody is to send;
# None where it says nothing.
Judge = Callable[[bytes], tuple[Kind, float | None] | None]


class Transport:
    """Sends requests for one connection. Use as an async context manager."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        limits: Limits,
        gate: Gate,
        authentication: Authentication,
        redactor: Redactor,
        clock: Clock,
        hosts: Iterable[str] = (),
        judge: Judge = lambda content: None,
        memory: Memory | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        # Addresses of the same system on other hosts, which requests may go to.
        self._hosts = {urlsplit(one)[:2] for one in (base_url, *hosts)}
        self.gate = gate
        self.clock = clock
        self.redactor = redactor
        self.authentication = authentication
        self.judge = judge
        self.memory = memory or Memory("", InMemory())
        self.requests = 0
        self._headers = dict(headers)
        self._timeout = aiohttp.ClientTimeout(total=float(limits.timeout) or None, sock_connect=30)
        self._session: aiohttp.ClientSession | None = None

    @property
    def content_type(self) -> str:
        """What a body is sent as."""
        return self._headers.get("Content-Type", JSON)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def url(self, path: str, params: Mapping[str, Any] | None = None) -> URL:
        """An address under the base URL (or an absolute one of the same host), with its query."""
        if path.startswith(("http://", "https://")):
            if urlsplit(path)[:2] not in self._hosts:
                raise Failure("permanent", Message("http.other_host", {"url": self.redactor.clean(path)}))
            url = URL(path)
        else:
            url = URL(self.base_url + "/" + path.lstrip("/")) if path else URL(self.base_url)
        return url.update_query({k: _query_text(v) for k, v in params.items()}) if params else url

    def reaches(self, address: str) -> None:
        """Requests may go to this address, too: the system has said that it is its own."""
        self._hosts.add(urlsplit(address)[:2])

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool = False,
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """One request, once more with a new token when the first was refused for it. `before` is called when it has its
        place, right before it leaves, and may keep it back by raising.

        Raises `Failure`. With `writes`, a request that may have been carried out fails as `doubt`.
        """
        return await self.renewing(
            path, lambda: self._once(method, path, params, body, headers, writes, before), inside=False
        )

    async def renewing(self, path: str, work: Callable[[], Awaitable[_T]], *, inside: bool = True) -> _T:
        """What comes of `work`, which sends a request to a path: once more with a new token where its answer refuses
        the one it came with. `inside`: an answer that does so although its status is good; those with a bad one are
        for `send` to see to. Raises `Failure`."""
        used = await self.token(path)
        try:
            return await work()
        except Failure as failure:
            good = failure.status is not None and failure.status < 300
            if failure.kind != "auth" or good != inside or not self.authentication.renew(used):
                raise
        return await work()

    async def token(self, path: str) -> str | None:
        """The token for requests to a path, fetched if there is none; raises `Failure`."""
        return await self.authentication.token(self, path)

    async def probe(self) -> Message:
        """Ask for a token, where the system gives out such, and for its first address. Says what came of it; raises
        `Failure` where nothing is there or the credentials are refused."""
        token = await self.token("")
        try:
            status: int | None = (await self.send("GET", "")).status
        except Failure as failure:
            # It is there: what it answers to an address that no plan asks for says nothing else.
            status = failure.status
            if status is None or failure.kind not in ("permanent", "throttled"):
                raise
        return Message("probe.token" if token else "probe.there", {"status": status})

    async def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        writes: bool,
        before: Callable[[], None],
    ) -> Answer:
        await self.token(path)
        request = Request(method, path, params or {}, body, {**self._headers, **(headers or {})})
        shown = self.redactor.clean(f"{method} {self.url(path, request.params).human_repr()}")
        return await self._held(
            self.url(path).path, shown, writes, before, lambda: self.authentication.dress(request, self.clock.now())
        )

    async def raw(
        self,
        method: str,
        url: URL,
        *,
        body: bytes | None,
        headers: Mapping[str, str],
        writes: bool,
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """One request as it is, without authentication; raises `Failure`."""
        request = Request(method, str(url), {}, body, headers)
        shown = self.redactor.clean(f"{method} {url.human_repr()}")
        return await self._held(url.path, shown, writes, before, lambda: request)

    async def _held(
        self, place: str, shown: str, writes: bool, before: Callable[[], None], made: Callable[[], Request]
    ) -> Answer:
        """One request, once there is a place for it. `made` gives it then: a signature holds for a short time."""
        try:
            return await self._placed(place, shown, writes, before, made)
        except Held as held:
            message = Message("http.held", {"seconds": round(held.seconds)})
            raise Failure("throttled", message, retry_after=held.seconds, request=shown) from None

    async def _placed(
        self, place: str, shown: str, writes: bool, before: Callable[[], None], made: Callable[[], Request]
    ) -> Answer:
        async with self.gate.place(place):
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    timeout=self._timeout,
                    connector=aiohttp.TCPConnector(limit=64),
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
                # By itself aiohttp sends a PUT or DELETE once more when a connection is lost, unseen by the ledger.
                self._session._retry_connection = False
            before()
            request = made()
            headers = dict(request.headers)
            if request.body is not None:
                headers.setdefault("Content-Type", self.content_type)
            url = self.url(request.path, request.params)
            self.requests += 1
            started = time.perf_counter()
            try:
                async with self._session.request(
                    request.method, url, data=request.body, headers=headers, allow_redirects=not writes
                ) as response:
                    content = await response.read()
            except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                raise self._broken(error, shown, writes) from error
        if response.status < 300:
            return Answer(response.status, response.headers, content, shown, time.perf_counter() - started)
        raise self._refused(response.status, response.headers, content, shown, writes)

    def _broken(self, error: Exception, request: str, writes: bool) -> Failure:
        """A request that got no whole answer."""
        values = {"reason": self.redactor.clean(str(error) or type(error).__name__)[:_SHOWN]}
        if isinstance(error, aiohttp.InvalidURL | aiohttp.TooManyRedirects):
            return Failure("permanent", Message("http.bad_request", values), request=request)
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Failure("transient", Message("http.no_connection", values), request=request)
        kind: Kind = "doubt" if writes else "transient"
        key = "http.timeout" if isinstance(error, TimeoutError) else "http.cut"
        return Failure(kind, Message(key, values), request=request)

    def _refused(self, status: int, headers: Mapping[str, str], content: bytes, request: str, writes: bool) -> Failure:
        """An answer whose status is not 2xx, classed."""
        wait = self._retry_after(headers.get("Retry-After"))
        kind: Kind
        judged = self.judge(content)
        if judged is not None:
            kind, wait = judged[0], wait if wait is not None else judged[1]
            if kind == "throttled":
                self.gate.hold(wait if wait is not None else 1.0)
        elif status == 429 or (status == 503 and wait is not None):
            kind = "throttled"
            self.gate.hold(wait if wait is not None else 1.0)
        elif status == 401:
            kind = "auth"
        elif status in (408, 425, 503):
            kind = "transient"
        elif status >= 500 and status not in (501, 505):
            kind = "doubt" if writes else "transient"
        else:
            kind = "permanent"
        shown = self.excerpt(content)
        message = Message(
            "http.throttled" if kind == "throttled" else "http.status", {"status": status, "answer": shown}
        )
        return Failure(kind, message, status=status, retry_after=wait, answer=self.kept(content), request=request)

    def excerpt(self, content: bytes) -> str:
        """The start of an answer as a message shows it, without secrets."""
        text = self.redactor.clean(content[: _SHOWN * 4].decode("utf-8", "replace"))
        return " ".join(text.split())[:_SHOWN]

    def kept(self, content: bytes) -> bytes:
        """An answer as the ledger keeps it: bounded, without secrets."""
        return self.redactor.clean_known(content[:ANSWER_KEPT].decode("utf-8", "replace")).encode()

    def _retry_after(self, header: str | None) -> float | None:
        """Seconds of a Retry-After header: a number, or a date."""
        if header is None:
            return None
        if header.strip().isdigit():
            return float(header)
        try:
            return max(0.0, parsedate_to_datetime(header).timestamp() - self.clock.now())
        except (TypeError, ValueError):
            return None

    def not_json(self, answer: Answer, writes: bool) -> Failure:
        """An answer that should be JSON and is not: HTML with status 200, a cut or an empty body."""
        kind: Kind = "doubt" if writes else "transient"
        key = "http.empty" if not answer.body.strip() else "http.not_json"
        values = {
            "type": answer.headers.get("Content-Type", "?").partition(";")[0],
            "answer": self.excerpt(answer.body),
        }
        return Failure(
            kind,
            Message(key, values),
            status=answer.status,
            answer=self.kept(answer.body),
            request=answer.request,
        )


def web_method(method: str | None) -> str | None:
    """A plan's method where it is one of HTTP; the platform writes QUERY and EXECUTE for what its adapters know."""
    found = (method or "").strip().upper()
    return found if found in _METHODS else None


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()
