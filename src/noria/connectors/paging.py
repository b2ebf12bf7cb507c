"""Reading a list page by page: where the next page begins, and when the list has ended.

Ending early loses records, so a list ends only on evidence: an empty page, a page shorter than the pages before it with
no total that says there is more, or no next cursor. A full page is never the end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from noria.connectors.settings import Paging
from noria.metadata.macros import PagePosition
from noria.metadata.paths import MISSING, at, put

_LINK_NEXT = re.compile(r"<([^>]*)>\s*;[^,]*?\brel\s*=\s*\"?[^\",;]*\bnext\b", re.IGNORECASE)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a read stands; as JSON it is the cursor that the ledger keeps.

    `page` counts from 0, `row` is the offset of its first row; `token` is the server's own cursor or the next link;
    `longest` is the longest page so far.
    """

    page: int = 0
    row: int = 0
    token: str | None = None
    longest: int = 0


class Seen(NamedTuple):
    """What a page showed: its rows, the total if there is one, the body and headers for cursors."""

    rows: int
    total: int | None
    body: Any
    headers: Mapping[str, str]


class Pager:
    """One list's paging: the settings, with the literals of the plan's request as start values (section 3.3)."""

    def __init__(self, settings: Paging, request: dict[str, Any], *, by_macros: bool, macro_size: int) -> None:
        self.settings = settings
        self.by_macros = by_macros
        self.kind = settings.type
        if self.kind == "none" and by_macros:
            self.kind = "page"
        own_size = _whole(at(request, settings.size_param)) if settings.size_param else None
        self.size = own_size or (macro_size if by_macros else settings.size)
        own_first = _whole(at(request, settings.page_param)) if self.kind == "page" and not by_macros else None
        self.first = settings.first if own_first is None else own_first
        own_offset = _whole(at(request, settings.offset_param)) if self.kind == "offset" and not by_macros else None
        self.start = own_offset or 0

    def position(self, place: Place) -> PagePosition:
        """What the paging macros stand for at that place."""
        return PagePosition(size=self.size, row=place.row, page=place.page + 1)

    def apply(self, request: dict[str, Any], place: Place) -> None:
        """Set the paging parameters in a request."""
        settings = self.settings
        if self.by_macros or self.kind in ("none", "link"):
            if self.kind == "link" and settings.size_param:
                put(request, settings.size_param, self.size)
            return
        if settings.size_param:
            _put_like(request, settings.size_param, self.size)
        if self.kind == "page":
            _put_like(request, settings.page_param, self.first + place.page)
        elif self.kind == "offset":
            _put_like(request, settings.offset_param, self.start + place.row)
        elif place.token is not None:
            put(request, settings.cursor_param, place.token)

    def after(self, place: Place, seen: Seen) -> Place | None:
        """The next page's place, or None when the list has ended."""
        longest = max(place.longest, seen.rows)
        following = Place(place.page + 1, place.row + seen.rows, None, longest)
        if self.kind == "none":
            return None
        if self.kind == "cursor":
            token = at(seen.body, self.settings.next)
            if token is MISSING or token is None or token == "" or token is False or str(token) == place.token:
                return None
            return msgspec.structs.replace(following, token=str(token))
        if self.kind == "link":
            match = _LINK_NEXT.search(seen.headers.get("Link", ""))
            if match is None or match[1] == place.token:
                return None
            return msgspec.structs.replace(following, token=match[1])
        return following if self._goes_on(place, seen, longest, following.row) else None

    def _goes_on(self, place: Place, seen: Seen, longest: int, read: int) -> bool:
        if seen.total is not None and read < seen.total:
            # A short or even empty page in the middle (a filter behind the paging) is not the end, as long as the
            # total promises pages; no further than that, so that a total that is never reached ends too.
            return (
                place.page + 1 < math.ceil(seen.total / max(1, min(self.size, longest or self.size))) or seen.rows > 0
            )
        if seen.rows == 0:
            return False
        if seen.rows >= self.size:
            return True
        if seen.total is not None:
            return False
        # Without a total a short first page may just be the server's own, smaller limit: such limits are round.
        return seen.rows >= longest and seen.rows % 10 == 0


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or value is MISSING or value is None:
        return None
    text = str(value).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _put_like(request: dict[str, Any], path: str, number: int) -> None:
    """Set a number, as text where the plan wrote text."""
    put(request, path, str(number) if isinstance(at(request, path), str) else number)
