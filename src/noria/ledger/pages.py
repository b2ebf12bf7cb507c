"""Stored pages: the bodies that records point into."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from noria.ledger.content import content_digest, same_content
from noria.ledger.store import Store

DIGEST_SIZE = 16
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_KEPT = 8


class Pages:
    """Reads page bodies; the last few are kept, because records are read in the order they were stored."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()

    def raws(self, page_id: int) -> list[bytes]:
        """Every record of a page, each as the bytes that came; empty ones when the page's body was pruned."""
        kept = self._kept.get(page_id)
        if kept is not None:
            self._kept.move_to_end(page_id)
            return kept
        body, rows = self.store.tuples("SELECT body, rows FROM pages WHERE page_id = :page", page=page_id)[0]
        kept = [bytes(raw) for raw in _RAWS.decode(self.store.unpack(body))] if body else [b""] * rows
        self.keep(page_id, kept)
        return kept

    def keep(self, page_id: int, raws: list[bytes]) -> None:
        """Remember a page that was just stored: it is about to be delivered."""
        self._kept[page_id] = raws
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def same(self, page_id: int, position: int, raw: bytes) -> bool:
        """Whether a record says the same as other bytes; also when its own are no longer kept, by their digest."""
        own = self.raw(page_id, position)
        if own:
            return same_content(own, raw)
        digests = self.store.tuples("SELECT digests FROM pages WHERE page_id = :page", page=page_id)[0][0]
        start = position * DIGEST_SIZE
        return digests is not None and digests[start : start + DIGEST_SIZE] == content_digest(raw)

    def digests(self, body: bytes) -> bytes:
        """What is kept of a page's body when it is let go: the digests of its records, one after the other."""
        return b"".join(content_digest(bytes(raw)) for raw in _RAWS.decode(self.store.unpack(body)))

    def raw(self, page_id: int, position: int) -> bytes:
        """One record's bytes."""
        return self.raws(page_id)[position]
