"""Reading a list page by page: where the next page begins, and when the list has ended.

Ending early loses records, so a list ends only on evidence: the server says so (no next cursor, no more pages, the
total is reached by a page that is not full), or, where it says nothing, a page is empty after one that was not full. A
full page is never the end. What contradicts itself, such as a full page without a cursor although the total says that
there is more, is a failure and not an end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from multidict import MultiMapping

from noria.connectors.flags import says_no
from noria.connectors.settings import Paging
from noria.messages import Message
from noria.metadata.macros import PagePosition
from noria.metadata.paths import MISSING, at, put

# A link of a Link header (RFC 8288) with its parameters, whose quoted values may hold anything.
_LINK = re.compile(r"""<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]*))?)*)""")
_REL_NEXT = re.compile(
    r""";\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?![^\s,;]))|"(?:[^"\\]|\\.)*\"""", re.IGNORECASE
)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a read stands; as JSON it is the cursor that the ledger keeps.

    `page` counts from 0, `row` is the offset of its first row; `token` is the server's own cursor or the next link;
    `longest` is the longest page so far, `total` the last total that the server gave (the smallest, where it keeps the
    place itself). `beyond`: the page before was not full, so that this one is only asked for to be sure: empty or not
    found, it is the end. `refusable`: all that the total promised is there, so that any refusal of this one is the end.
    `same`: the server gives the same cursor for every page, and goes on by one page whenever it is asked.
    """

    page: int = 0
    row: int = 0
    token: str | None = None
    longest: int = 0
    total: int = 0
    beyond: bool = False
    refusable: bool = False
    same: bool = False


class Contradiction(Exception):
    """A page that says that there is more, but not where. `message` says what it shows."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.key)
        self.message = message


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
            counted = isinstance(settings.cursor_start, int) and place.token.isdigit()
            put(request, settings.cursor_param, int(place.token) if counted else place.token)
        elif settings.cursor_start is not None:
            put(request, settings.cursor_param, settings.cursor_start)

    def after(self, place: Place, seen: Seen) -> Place | None:
        """The next page's place, or None when the list has ended. Raises `Contradiction`."""
        # Some servers count on the first page only, and say nothing or 0 from then on.
        longest, total = max(place.longest, seen.rows), seen.total or place.total
        if self.kind in ("cursor", "link"):
            # Rows that come meanwhile are counted, and not shown to who began before.
            total = min(total, place.total or total)
        following = Place(place.page + 1, place.row + seen.rows, None, longest, total)
        more = at(seen.body, self.settings.more) if self.settings.more else MISSING
        if self.kind == "none":
            if seen.total is not None and seen.total > seen.rows:
                raise Contradiction(Message("paging.not_all", {"rows": seen.rows, "total": seen.total}))
            return None
        if self.kind in ("cursor", "link"):
            token = self._token(seen)
            if _says_no(more):
                return None
            if token is None or (token == place.token and seen.rows == 0):
                if _says_yes(more) or following.row < total:
                    raise Contradiction(Message("paging.no_cursor", {"rows": following.row, "total": total or "?"}))
                return None
            return msgspec.structs.replace(following, token=token, same=token == place.token)
        if more is not MISSING and more is not None:
            return following if _says_yes(more) else None
        return self._next_page(place, seen, following)

    def before(self, place: Place) -> Place | None:
        """The place of the page before; None where there is none, or where only the server knows."""
        counting = self.kind == "cursor" and place.token == str(place.row)
        if not (counting or self.kind in ("page", "offset")) or place.page == 0:
            return None
        row = max(0, place.row - self._size(place.longest))
        token = str(row) if counting and place.page > 1 else None
        return msgspec.structs.replace(
            place, page=place.page - 1, row=row, token=token, beyond=False, refusable=False, same=False
        )

    def says_more(self, body: Any) -> bool:
        """Whether an answer says itself that there is another page."""
        return bool(self.settings.more) and _says_yes(at(body, self.settings.more))

    def _token(self, seen: Seen) -> str | None:
        """The server's own word for where the next page begins."""
        if self.kind == "link":
            return _next_link(seen.headers)
        token = at(seen.body, self.settings.next)
        return None if token in (MISSING, None, "", False) else str(token)

    def _size(self, longest: int) -> int:
        """How many rows a full page has: the server's own limit may be smaller than what is asked for."""
        return min(self.size, longest or self.size)

    def _next_page(self, place: Place, seen: Seen, following: Place) -> Place | None:
        if self.kind == "offset" and seen.rows == 0:
            # What a filter behind the paging has emptied is past all the same.
            following = msgspec.structs.replace(following, row=place.row + self._size(place.longest))
        if following.total:
            if following.row < following.total:
                # A short or even empty page in the middle (a filter behind the paging) is not the end, as long as the
                # total promises pages; no further than that, so that a total that is never reached ends too.
                pages = math.ceil(following.total / self._size(following.longest))
                return following if seen.rows > 0 or place.page + 1 < pages else None
            # A full page may have others behind it that came since the total was counted.
            last = msgspec.structs.replace(following, beyond=True, refusable=True)
            return last if seen.rows >= self.size else None
        if seen.rows == 0:
            if place.beyond:
                return None
            return msgspec.structs.replace(following, beyond=True)
        return msgspec.structs.replace(following, beyond=seen.rows < self.size)


def _next_link(headers: Mapping[str, str]) -> str | None:
    """The target of the link to the next page, of all Link headers together."""
    lines = headers.getall("Link", []) if isinstance(headers, MultiMapping) else [headers.get("Link", "")]
    for link in _LINK.finditer(", ".join(lines)):
        # Quoted values are matched as wholes, so that nothing inside one is taken for a parameter.
        if any(not found[0].startswith('"') for found in _REL_NEXT.finditer(link[2])):
            return link[1]
    return None


def _says_yes(more: Any) -> bool:
    """Whether a server's word for "there is more" says so; numbers and texts count as the server may mean them."""
    return more not in (MISSING, None) and not _says_no(more)


def _says_no(more: Any) -> bool:
    return more is not MISSING and more is not None and says_no(more)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or value is MISSING or value is None:
        return None
    text = str(value).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _put_like(request: dict[str, Any], path: str, number: int) -> None:
    """Set a number, as text where the plan wrote text."""
    put(request, path, str(number) if isinstance(at(request, path), str) else number)
