"""A noria on another machine, asked over HTTP instead of a ledger here: `--server`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from noria import __version__
from noria.cli.output import console
from noria.console.protocol import API_VERSION
from noria.ledger.agenda import Present
from noria.ledger.audit import Change
from noria.ledger.overview import Overview, PlanStands
from noria.messages import Message, language, t
from noria.metadata.errors import NoriaError
from noria.metadata.secrets import resolve
from noria.metadata.validation import nearest

T = TypeVar("T")
# How long an answer may take, in seconds.
_PATIENCE = 60
BODIES = ("raw", "payload")
# Records that are asked for at once.
_PAGE = 200
_LOCAL = ("127.0.0.1", "::1", "localhost")


class Said(msgspec.Struct, frozen=True):
    """A message that was put into words where it was answered."""

    text: str


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run as lists show it; times in epoch seconds."""

    run_id: int
    plan: str
    kind: str
    status: str
    started_at: float
    finished_at: float | None
    counts: dict[str, int]
    error: Said | None


class CauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """Records in trouble for one cause."""

    plan: str
    state: str
    cause: str | None
    count: int
    first: float
    last: float
    reason: Said | None
    example: str | None


class _Problem(msgspec.Struct):
    code: str = "server"
    message: str = ""
    plan: str = ""
    path: str = ""
    hint: str = ""


class _Failed(msgspec.Struct):
    error: _Problem


class _Overview(msgspec.Struct):
    plans: list[PlanStands]
    workers: list[Present]
    lost: list[str]
    queue: int


class _Named(msgspec.Struct):
    key: str
    name: str


class _Plans(msgspec.Struct):
    plans: list[_Named]


class _After(msgspec.Struct):
    after: int | None = None


class _Records(msgspec.Struct):
    records: list[dict[str, msgspec.Raw]]
    counts: dict[str, int] | None
    next: _After | None


class _Record(msgspec.Struct):
    record: msgspec.Raw


class _Runs(msgspec.Struct):
    runs: list[RunRow]


class _Causes(msgspec.Struct):
    causes: list[CauseRow]


class _Count(msgspec.Struct):
    count: int


class _Changes(msgspec.Struct):
    changes: list[Change]


class _Story(msgspec.Struct):
    """A record's story, as far as people are shown it; its JSON stays as it is."""

    id: str | None
    number: str | None
    state: str
    reason: str | None
    raw: msgspec.Raw
    payload: msgspec.Raw
    history: list[dict[str, Any]]
    tries: list[dict[str, Any]]


class Server:
    """A server that is asked. Use it as a context manager."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise NoriaError("usage", Message("remote.bad_url"), hint=Message("remote.bad_url_hint"))
        self.url = url.rstrip("/")
        self._token = token
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None
        self._plans: list[_Named] | None = None
        if token is not None and parts.scheme == "http" and parts.hostname not in _LOCAL:
            console(stderr=True).print(t("remote.plain", url=self.url), style="yellow", markup=False)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    def get(self, path: str, kind: type[T], **query: Any) -> T:
        """What a page answers; raises `NoriaError`."""
        asked = {name: str(value) for name, value in query.items() if value is not None}
        return self._decoded(self._runner.run(self._ask("GET", path, asked, None)), kind)

    def post(self, path: str, kind: type[T], body: dict[str, Any]) -> T:
        """What an act answers; raises `NoriaError`."""
        sent = {name: value for name, value in body.items() if value is not None}
        return self._decoded(self._runner.run(self._ask("POST", path, {}, sent)), kind)

    def key(self, reference: str) -> str:
        """The key of the plan that a person means by it, or by its name; raises `NoriaError`."""
        if self._plans is None:
            self._plans = self.get("/plans", _Plans).plans
        plans = self._plans
        found = next((one.key for one in plans if one.key == reference), None)
        found = found or next((one.key for one in plans if one.name == reference), None)
        if found is not None:
            return found
        meant = nearest(reference, [*(one.key for one in plans), *(one.name for one in plans)])
        hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("remote.unknown_plan_hint")
        raise NoriaError("unknown_plan", Message("plan.unknown", {"plan": reference}), plan=reference, hint=hint)

    def overview(self) -> Overview:
        """How everything stands."""
        found = self.get("/", _Overview)
        return Overview(found.plans, found.workers, found.lost, found.queue)

    def records(
        self, key: str, *, state: str | None, record_id: str | None = None, limit: int | None = None, full: bool = False
    ) -> Iterator[dict[str, msgspec.Raw]]:
        """A plan's records in the order they were staged, each value as it came."""
        after: int | None = 0
        while after is not None and limit != 0:
            size = _PAGE if limit is None else min(_PAGE, limit)
            query = {"plan": key, "state": state, "id": record_id, "limit": size, "full": "yes" if full else None}
            found = self.get("/records", _Records, **query, after=after)
            for one in found.records:
                yield {name: value for name, value in one.items() if name != "plan"}
            limit = None if limit is None else limit - len(found.records)
            after = found.next.after if found.next is not None else None

    def counts(self, key: str) -> dict[str, int]:
        """How many of a plan's records are in each state."""
        return self.get("/records", _Records, plan=key, limit=1).counts or {}

    def story(self, key: str, record_id: str) -> msgspec.Raw | None:
        """A record's whole story; None when the plan has no such record."""
        try:
            return self.get(f"/plans/{quote(key, safe='')}/record", _Record, id=record_id).record
        except NoriaError as error:
            if error.code == "no_such_record":
                return None
            raise

    def runs(self, key: str | None, limit: int) -> list[RunRow]:
        """The newest runs."""
        return self.get("/runs", _Runs, plan=key, limit=limit).runs

    def causes(self, key: str | None) -> list[CauseRow]:
        """Records in trouble by their causes."""
        return self.get("/failures", _Causes, plan=key).causes

    def changes(self, limit: int) -> list[Change]:
        """The newest changes."""
        return self.get("/audit", _Changes, limit=limit).changes

    def replay(self, key: str, *, state: str | None, record_id: str | None, anew: bool) -> int:
        """Send records of a plan again; gives how many."""
        body = {"state": state, "id": record_id, "anew": anew, "all": state is None and record_id is None}
        return self.post(f"/plans/{quote(key, safe='')}/replay", _Count, body).count

    def run(self, key: str) -> None:
        """Have a plan run."""
        self.post(f"/plans/{quote(key, safe='')}/run", msgspec.Raw, {})

    def enable(self, key: str, enabled: bool) -> None:
        """Switch a plan on or off."""
        self.post(f"/plans/{quote(key, safe='')}/enabled", msgspec.Raw, {"enabled": enabled})

    async def _ask(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        headers = {
            "Accept": "application/json",
            "Accept-Language": language(),
            "User-Agent": f"noria/{__version__}",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", msgspec.json.encode(body)
        if self._session is None:
            patience = aiohttp.ClientTimeout(total=_PATIENCE)
            self._session = aiohttp.ClientSession(timeout=patience, cookie_jar=aiohttp.DummyCookieJar())
        try:
            # Never somewhere else with the token.
            async with self._session.request(
                method, self.url + path, params=query, data=data, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                self._look_at(answer, content)
                return content
        except aiohttp.ClientSSLError as error:
            raise self._refused("tls", "remote.tls", "remote.tls_hint", reason=str(error.os_error)) from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise self._refused("unreachable", "remote.unreachable", "remote.unreachable_hint", reason=reason) from None

    def _look_at(self, answer: aiohttp.ClientResponse, content: bytes) -> None:
        """Raise `NoriaError` for what is no answer to what was asked."""
        speaks = answer.headers.get("Noria-Api")
        if speaks is None:
            raise self._refused("not_noria", "remote.not_noria", "remote.not_noria_hint", status=answer.status)
        if speaks != API_VERSION:
            raise self._refused("version", "remote.version", "remote.version_hint", theirs=speaks, ours=API_VERSION)
        if answer.status < 400:
            return
        problem = self._decoded(content, _Failed).error
        if answer.status == 401:
            raise self._refused("token", "remote.token" if self._token else "remote.no_token", "remote.token_hint")
        hint = Message(problem.hint) if problem.hint else None
        raise NoriaError(problem.code, Message(problem.message), plan=problem.plan, path=problem.path, hint=hint)

    def _decoded(self, content: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._refused("version", "remote.not_understood", "remote.version_hint") from None

    def _refused(self, code: str, key: str, hint: str, **values: Any) -> NoriaError:
        return NoriaError(code, Message(key, {"url": self.url, **values}), hint=Message(hint))


def readable(story: msgspec.Raw) -> dict[str, Any]:
    """A story as people are shown it: decoded, apart from the record's bodies."""
    return bodies_kept(msgspec.structs.asdict(msgspec.json.decode(story, type=_Story)))


def bodies_kept(found: dict[str, Any]) -> dict[str, Any]:
    """A record whose bodies are as they came; None for none."""
    return {name: None if name in BODIES and bytes(one) == b"null" else one for name, one in found.items()}


def server_of(url: str | None, token: str | None) -> Server | None:
    """The server that a command is to ask; None for the project here. `token`: `env:NAME`, `file:PATH`, or the token
    itself; where none is given, `NORIA_TOKEN`. Raises `NoriaError`."""
    if url is None:
        if token is not None:
            raise NoriaError("usage", Message("remote.token_alone"), hint=Message("help.server"))
        return None
    known = resolve(token, Path()) if token is not None else os.environ.get("NORIA_TOKEN")
    return Server(url, known or None)
