"""Reading: a plan's source metadata and a connection's settings, as pages of records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.envelope import Shape, error_word, unwrapped
from noria.connectors.paging import Pager, Place, Seen
from noria.connectors.settings import HttpSettings
from noria.connectors.transport import Answer, Transport
from noria.metadata.documents import Item, Metadata
from noria.metadata.expressions import Macro, atoms, parse
from noria.metadata.macros import PagePosition

# Builds a plan's request for a page; None while it isn't known yet how the list is paged.
BuildRequest = Callable[[PagePosition | None], dict[str, Any]]


@dataclass(frozen=True)
class SourcePage:
    """A page of records, each as the bytes that came. `cursor`: where the next page begins, None at the end."""

    records: list[bytes]
    cursor: str | None
    request: str
    total: int | None = None


class Source:
    """One plan's view of a system's list. `fetch(cursor)` reads a page; None is the first."""

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
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.metadata = metadata
        self.build = build
        self.method = (method or metadata.method or "GET").upper()
        self.parameters = parameters
        self.auth_codes = auth_codes
        self._items = metadata.items()
        # Cursors are looked for in the whole body; without one, the usual answer need not be taken apart for it.
        plain = bool(settings.envelope.records) and settings.paging.type != "cursor"
        self._shape = Shape(settings.envelope) if plain else None
        size = metadata.pagination.pageSize if metadata.pagination else settings.paging.size
        self._pager = Pager(
            settings.paging, self._request(Place()), by_macros=_pages_by_macros(self._items), macro_size=size
        )

    def signature(self) -> str:
        """What is asked for, apart from the times: a read is only continued when this is the same."""
        asked = [(item.field, item.value) for item in self._items]
        return xxh3_128_hexdigest(msgspec.json.encode([self.metadata.api, self.method, self._pager.size, asked]))

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`; raises `Failure`."""
        place = msgspec.json.decode(cursor, type=Place) if cursor else Place()
        answer = await self._answer(place)
        records, total, body = unwrapped(
            answer, self.settings.envelope, self.transport, self.auth_codes, shape=self._shape
        )
        following = self._pager.after(place, Seen(len(records), total, body, answer.headers))
        return SourcePage(
            records, msgspec.json.encode(following).decode() if following else None, answer.request, total
        )

    async def _answer(self, place: Place) -> Answer:
        used = await self.transport.authentication.token(self.transport)
        answer = await self._send(place)
        if self.auth_codes and error_word(answer) in self.auth_codes and await self.transport.renewed(used):
            return await self._send(place)
        return answer

    async def _send(self, place: Place) -> Answer:
        if self._pager.kind == "link" and place.token is not None:
            return await self.transport.send(self.method, place.token)
        request = self._request(place)
        self._pager.apply(request, place)
        if self.method in ("GET", "DELETE", "HEAD"):
            return await self.transport.send(self.method, self.metadata.api, params=request)
        body = msgspec.json.encode(request)
        return await self.transport.send(self.method, self.metadata.api, body=body)

    def _request(self, place: Place) -> dict[str, Any]:
        """The request's parameters; values that are null or absent are left out."""
        position = self._pager.position(place) if hasattr(self, "_pager") else None
        request = self.build(position)
        if self.parameters is None:
            return request
        return {name: value for name, value in request.items() if name in self.parameters}


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
