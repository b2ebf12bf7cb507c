"""Records that were just staged, kept for the delivery that follows: it need not read them from the database.

Only pages of nothing but new records are kept, a few at a time; whatever else happens to a plan's records forgets them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from noria.ledger.delivery import Due

_MOST_PAGES = 8


class _Page(NamedTuple):
    run_id: int
    first_seq: int
    due: list[Due]


class Handover:
    """What one run's extract has staged and its deliver has not claimed yet."""

    def __init__(self) -> None:
        self._pages: deque[_Page] = deque()
        # Whether later records were left to the database because there was no room for them.
        self._left = False

    def put(self, run_id: int, first_seq: int, due: list[Due]) -> None:
        """Keep a page's records, numbered from `first_seq` on; another run's are forgotten."""
        if self._pages and self._pages[-1].run_id != run_id:
            self.forget()
        if len(self._pages) < _MOST_PAGES:
            self._pages.append(_Page(run_id, first_seq, due))
        else:
            self._left = True

    def forget(self) -> None:
        """Something other than new records was staged."""
        self._pages.clear()
        self._left = False

    def take(self, run_id: int, after: int, limit: int) -> list[Due] | None:
        """The records that follow `after`, at most `limit`; None where the database has to be asked. Those up to
        `after` are let go."""
        while self._pages and self._pages[0].first_seq + len(self._pages[0].due) <= after + 1:
            self._pages.popleft()
        found: list[Due] = []
        for page in self._pages:
            skipped = after + 1 - page.first_seq
            if page.run_id != run_id or skipped < 0 or len(found) >= limit:
                break
            part = page.due[skipped : skipped + limit - len(found)]
            found += part
            after += len(part)
        if not self._pages:
            self._left = False
        return found if len(found) >= limit or (found and not self._left) else None
