"""Reading: a plan's source metadata and a connection's settings, as pages of records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.clocks import clock_skew
from noria.connectors.envelope import Shape, refuse_error_object, unwrapped
from noria.connectors.failures import Failure
from noria.connectors.paging import Contradiction, Pager, Place, Seen
from noria.connectors.settings import HttpSettings
from noria.connectors.transport import Answer, Transport, web_method
from noria.messages import Message
from noria.metadata.documents import Item, Metadata
from noria.metadata.expression_tree import Macro, atoms
from noria.metadata.expressions import parse
from noria.metadata.macros import PagePosition
from noria.metadata.times import zone

# Builds a plan's request for a page; None while it isn't known yet how the list is paged.
BuildRequest = Callable[[PagePosition | None], dict[str, Any]]


@dataclass(frozen=True)
class SourcePage:
    """A page of records, each as the bytes that came. `cursor`: where the next page begins, None at the end;
    `extra`: it was only asked for to be sure; `ended_by`: the refusal of it that was taken for the end; `token`: the
    server's own word for the next page; `more`: it says itself that there is more; `bookmark`: after the last page,
    where the next read may begin."""

    records: list[bytes]
    cursor: str | None
    request: str
    total: int | None = None
    extra: bool = False
    ended_by: Message | None = None
    token: str | None = None
    more: bool = False
    bookmark: str | None = None


class Lasting:
    """A list that nothing can slip past, and that says itself where it ends."""

    @property
    def remembers(self) -> bool:
        """What was shown stays where it was."""
        return True

    @property
    def certain(self) -> bool:
        """After the last there is none."""
        return True

    def before(self, cursor: str | None) -> str | None:
        """There is never a need to look back."""
        return None

    def skew(self) -> float | None:
        """It has no clock of its own."""
        return None


class Source:
    """One plan's view of a system's list. `fetch(cursor)` reads a page; None is the first. `one`: what it gives may be
    an object, the one record there is."""

    def __init__(
        self,
        transport: Transport,
        settings: HttpSettings,
        metadata: Metadata,
        build: BuildRequest,
        *,
        method: str | None = None,
        parameters: frozenset[str] | None = None,
        auth_codes: frozenset[str] = frozenset(),
        one: bool = False,
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.metadata = metadata
        self.build = build
        self.method = web_method(metadata.method) or method or "GET"
        self.parameters = parameters
        self.auth_codes = auth_codes
        self.one = one
        self._items = metadata.items()
        self._counting = False
        self._answered: tuple[Answer, float] | None = None
        # Cursors are looked for in the whole body; without one, the usual answer need not be taken apart for it.
        plain = bool(settings.envelope.records) and settings.paging.type != "cursor" and not settings.paging.more
        self._shape = Shape(settings.envelope) if plain else None
        size = metadata.pagination.pageSize if metadata.pagination else settings.paging.size
        self._pager = Pager(
            settings.paging, self._request(Place()), by_macros=_pages_by_macros(self._items), macro_size=size
        )

    def signature(self) -> str:
        """What is asked for, apart from the times: a read is only continued when this is the same."""
        asked = [(item.field, item.value) for item in self._items]
        # Headers often name the tenant, and may hold a secret, which nobody is to guess from this.
        headers = sha256(msgspec.json.encode(self.settings.headers, order="deterministic")).hexdigest()
        where = [self.settings.connector, self.settings.base_url, headers, self.metadata.api, self.method]
        return xxh3_128_hexdigest(msgspec.json.encode([*where, self._pager.kind, self._pager.size, asked]))

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`; raises `Failure`, with `restart` where the list must be read from its start again."""
        place = msgspec.json.decode(cursor, type=Place) if cursor else Place()
        try:
            answer, records, total, body = await self._page(place)
            following = self._pager.after(place, Seen(len(records), total, body, answer.headers))
        except Contradiction as contradiction:
            raise Failure("transient", contradiction.message, request=self.metadata.api) from None
        except Failure as failure:
            failure.restart = place.page > 0 and _is_one_of(failure, self.settings.paging.restart)
            if not failure.restart and self._is_behind_the_end(place, failure):
                return SourcePage([], None, failure.request, extra=True, ended_by=failure.message)
            raise
        self._answered = answer, self.transport.clock.now()
        # An answer that counts nothing and shows something does not count.
        counted = total if total or not records else None
        token = following.token if following is not None else None
        if token is not None and following is not None and records and token == str(following.row):
            # The cursor is an offset: rows that come and go move what it leads to.
            self._counting = True
        more = self._pager.says_more(body)
        return SourcePage(
            records, _text(following), answer.request, counted, extra=place.beyond, token=token, more=more
        )

    async def peek(self) -> Answer:
        """The first page's answer as it came, whatever it is; raises `Failure` where there is none."""
        return (await self._send(Place()))[0]

    def sibling(self, settings: HttpSettings, api: str, method: str) -> Source:
        """Another list of the same system, read in the same way."""
        metadata = Metadata(api=api, method=method)
        return type(self)(self.transport, settings, metadata, lambda _: {}, method=method, auth_codes=self.auth_codes)

    async def once(self, request: dict[str, Any]) -> bytes:
        """The one record that the answer to a request has; raises `Failure`."""
        answer, records, _, _ = await self._taken(lambda: self._asked(request), one=True)
        if len(records) != 1:
            values = {"path": self.settings.envelope.records or "$", "answer": self.transport.excerpt(answer.body)}
            raise Failure("permanent", Message("http.no_records", values), request=answer.request)
        return records[0]

    def _is_behind_the_end(self, place: Place, failure: Failure) -> bool:
        """Whether the refusal of a page says no more than that the list ended before it."""
        if place.page == 0 or failure.kind != "permanent" or place.row < place.total:
            return False
        not_found = place.beyond and failure.status in (404, 416)
        return place.refusable or not_found or _is_one_of(failure, self.settings.paging.end)

    def skew(self) -> float | None:
        """How far the system's clock is ahead of ours, in seconds (below 0: behind), by the newest page; None when it
        doesn't say."""
        if self._answered is None:
            return None
        answer, at_ = self._answered
        return clock_skew(answer, at_, self.settings.envelope.now, zone(self.settings.timezone))

    def before(self, cursor: str | None) -> str | None:
        """The cursor of the page before; None where there is none, or where only the server knows."""
        place = msgspec.json.decode(cursor, type=Place) if cursor else Place()
        return _text(self._pager.before(place))

    def repeatable(self, cursor: str) -> bool:
        """Whether the page at a cursor can be asked for once more; not where the server goes on by itself."""
        return not msgspec.json.decode(cursor, type=Place).same

    def resumable(self, cursor: str) -> str | None:
        """From where the list is read again when the page at `cursor` can't be had: its start."""
        return None

    @property
    def remembers(self) -> bool:
        """Whether the server keeps the place, under a cursor that it may forget."""
        return self._pager.kind in ("cursor", "link") and not self._counting

    @property
    def certain(self) -> bool:
        """Whether what shows the end is beyond doubt; a server may go round, or forget its cursors."""
        return False

    async def close(self) -> None:
        """Let go of what a read holds: nothing."""

    async def _page(self, place: Place) -> tuple[Answer, list[bytes], int | None, Any]:
        """A page's answer, taken apart."""
        return await self._taken(lambda: self._send(place), one=self.one)

    async def _taken(
        self, send: Callable[[], Awaitable[tuple[Answer, dict[str, Any]]]], *, one: bool = False
    ) -> tuple[Answer, list[bytes], int | None, Any]:
        """An answer, taken apart: its records, their total, its body."""

        async def taken() -> tuple[Answer, list[bytes], int | None, Any]:
            answer, request = await send()
            return answer, *self._unwrapped(self.read(answer, request), one)

        return await self.transport.renewing(self.metadata.api, taken)

    def read(self, answer: Answer, request: dict[str, Any]) -> Answer:
        """The answer to a request in the form that the settings describe: for vendors whose own is another."""
        return answer

    def asks(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The path and the parameters of a request: for vendors who want them in a form of their own."""
        return self.metadata.api, request

    def _unwrapped(self, answer: Answer, one: bool) -> tuple[list[bytes], int | None, Any]:
        envelope = self.settings.envelope
        records, total, body = unwrapped(
            answer, envelope, self.transport, self.auth_codes, shape=None if one else self._shape, one=one
        )
        if not envelope.code and (not records or (not envelope.records and len(records) == 1)):
            refuse_error_object(answer, self.metadata.id_paths(), self.transport)
        return records, total, body

    async def _send(self, place: Place) -> tuple[Answer, dict[str, Any]]:
        if self._pager.kind == "link" and place.token is not None:
            return await self.transport.send(self.method, place.token), {}
        request = self._request(place)
        self._pager.apply(request, place)
        return await self._asked(request)

    async def _asked(self, request: dict[str, Any]) -> tuple[Answer, dict[str, Any]]:
        path, asked = self.asks(request)
        if self.method in ("GET", "DELETE", "HEAD"):
            return await self.transport.send(self.method, path, params=asked), request
        return await self.transport.send(self.method, path, body=msgspec.json.encode(asked)), request

    def _request(self, place: Place) -> dict[str, Any]:
        """The request's parameters; values that are null or absent are left out."""
        position = self._pager.position(place) if hasattr(self, "_pager") else None
        request = self.build(position)
        if self.parameters is None:
            return request
        return {name: value for name, value in request.items() if name in self.parameters}


def _is_one_of(failure: Failure, declared: list[Any]) -> bool:
    """Whether a failure's status or business code is among those that a connection declares."""
    said = (str(failure.status), str(failure.code))
    return any(str(one) in said for one in declared)


def _text(place: Place | None) -> str | None:
    return None if place is None else msgspec.json.encode(place).decode()


def _pages_by_macros(items: list[Item]) -> bool:
    """Whether the plan itself says where a page begins."""
    return any(
        _pages_by_macros(item.children)
        if item.children
        else any(
            isinstance(atom, Macro) and atom.name.startswith("PAGINATION_START") for atom in atoms(parse(item.value))
        )
        for item in items
    )
