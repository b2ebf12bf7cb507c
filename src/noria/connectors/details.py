"""A list that shows ids only, or half of each record: for each row the whole record is asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from noria.connectors.envelope import same_code
from noria.connectors.failures import Failure
from noria.connectors.source import Source, SourcePage
from noria.connectors.transport import Answer
from noria.messages import Message
from noria.metadata.paths import MISSING, at

if TYPE_CHECKING:
    from noria.connectors.declaration import Detail

# How many records are asked for at once; the connection's limits hold besides.
_AT_ONCE = 8


class Detailed:
    """A list as its rows' details. A page is whole, or fails: it is then asked for once more, from its list on."""

    def __init__(self, rows: Source, detail: Detail) -> None:
        self.rows = rows
        self.detail = detail
        envelope = msgspec.structs.replace(rows.settings.envelope, records=detail.records, total="")
        self._one = rows.sibling(msgspec.structs.replace(rows.settings, envelope=envelope), detail.api, detail.method)
        self._places = asyncio.Semaphore(_AT_ONCE)

    def signature(self) -> str:
        """As the list's."""
        return self.rows.signature()

    @property
    def remembers(self) -> bool:
        """As the list does."""
        return self.rows.remembers

    @property
    def certain(self) -> bool:
        """As the list does."""
        return self.rows.certain

    async def close(self) -> None:
        """Let go of the list."""
        await self.rows.close()

    def repeatable(self, cursor: str) -> bool:
        """As the list's."""
        return self.rows.repeatable(cursor)

    def resumable(self, cursor: str) -> str | None:
        """As the list's."""
        return self.rows.resumable(cursor)

    def before(self, cursor: str | None) -> str | None:
        """As the list's."""
        return self.rows.before(cursor)

    def skew(self) -> float | None:
        """As the list's."""
        return self.rows.skew()

    async def peek(self) -> Answer:
        """The list's first page, as it came."""
        return await self.rows.peek()

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`, each row as its whole record; raises `Failure`."""
        page = await self.rows.fetch(cursor)
        asked = [asyncio.create_task(self._whole(raw)) for raw in page.records]
        try:
            records = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
        return replace(page, records=records)

    async def _whole(self, raw: bytes) -> bytes:
        row = msgspec.json.decode(raw)
        wanted = at(row, self.detail.value) if self.detail.value else row
        if wanted is MISSING or wanted is None or isinstance(wanted, dict | list):
            values = {"path": self.detail.value or "$", "answer": raw[:160].decode("utf-8", "replace")}
            raise Failure("permanent", Message("http.no_records", values), request=self.rows.metadata.api)
        async with self._places:
            try:
                found = await self._one.once({self.detail.param: wanted})
            except Failure as failure:
                if any(same_code(failure.code, one) for one in self.detail.gone):
                    # It was there when the list was made: what the list says of it is all there is.
                    return raw if isinstance(row, dict) else _named(self.detail.param, wanted)
                raise
        return with_id(found, self.detail.param, wanted) if self.detail.named else found


def with_id(raw: bytes, name: str, value: Any) -> bytes:
    """An object's bytes with a field more, where it lacks that."""
    body = raw.strip()
    if not body.startswith(b"{") or name in msgspec.json.decode(body, type=dict[str, msgspec.Raw]):
        return raw
    rest = body[1:].lstrip()
    return _named(name, value)[:-1] + (b"," if rest != b"}" else b"") + rest


def _named(name: str, value: Any) -> bytes:
    return msgspec.json.encode({name: value})
