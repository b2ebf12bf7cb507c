"""Whether a list moved while it was read page by page, so that rows may have slipped past: signs, as plain values.

A row that is deleted (or moved to the end) among the pages that are already read draws the following rows one place
forward: the first of the next page slips to the page before and is never shown. A row that is inserted (or moved to
the front) pushes rows back: the last of a page is shown again on the next, and only the row that moved may be missed.
"""

from __future__ import annotations

import msgspec
from xxhash import xxh3_64_intdigest

# How often a list is read in one run before what it showed is taken, although it never stood still.
MOST_PASSES = 3


class Usual(msgspec.Struct, omit_defaults=True):
    """What a list shows without moving: ids that it always shows twice (as a digest), rows that its total counts and
    it never shows."""

    twice: int = 0
    short: int = 0


class Signs(msgspec.Struct, omit_defaults=True):
    """What the pages of one pass showed; kept in the ledger as JSON, page by page.

    `passes`: the number of this pass over the list. `total`: the newest total. `shown`: rows, each once. `pushed`:
    rows shown again right on the next page; `twice`: a digest of those shown again anywhere else. `ahead`: rows
    that were found in front afterwards, `missing`: rows that this pass showed and the ledger had not heard of.
    `open`: borders that were looked at in vain; `unlooked`: the last page gives cause for a look back that is still
    to come; `partial`: this pass shows the list from a place on, not from its start. `behind`: by how many seconds the
    other side's clock was behind ours at most, in all passes.
    """

    passes: int = 1
    total: int | None = None
    shown: int = 0
    pushed: int = 0
    twice: int = 0
    ahead: int = 0
    missing: int = 0
    open: bool = False
    unlooked: bool = False
    partial: bool = False
    behind: float = 0.0

    @classmethod
    def of(cls, text: str | None) -> Signs:
        """Those that the ledger kept; a new pass's when there are none."""
        return msgspec.json.decode(text, type=cls) if text else cls()

    def text(self) -> str:
        """As the ledger keeps them."""
        return msgspec.json.encode(self).decode()

    def border_in_question(self, total: int | None, *, windowed: bool) -> bool:
        """Whether rows may have slipped between the page before and one with this total. Without any total that can
        only be known by looking, which is done where no later read would show them (`windowed`)."""
        if total is None:
            return windowed and self.total is None
        return self.total is not None and total != self.total

    def page(self, rows: int, total: int | None, again: list[str], before: set[str | None]) -> None:
        """Note a page: how many rows it had, and which ids had been shown, some of them on the page `before`."""
        if total is not None:
            self.total = total
        self.shown += rows - len(again)
        for record_id in again:
            if record_id in before:
                self.pushed += 1
            elif record_id:
                self.twice ^= xxh3_64_intdigest(record_id.encode()) or 1

    def settled(self, usual: Usual) -> bool:
        """Whether nothing can have slipped past: all that the signs tell of is explained, or this pass went over
        everything once more and showed nothing that was not known."""
        quiet = self.pushed <= self.ahead and self.twice in (0, usual.twice) and self.short in (0, usual.short)
        return (quiet and not self.open) or (self.passes > 1 and self.missing == 0)

    @property
    def short(self) -> int:
        """Rows that the list counted and did not show."""
        return max(0, self.total - self.shown) if self.total is not None else 0

    def usual(self) -> Usual:
        """What the list shows without moving, as far as this pass can tell."""
        return Usual(self.twice, self.short)

    def next_pass(self) -> Signs:
        """Those of another pass over the same list."""
        return Signs(passes=self.passes + 1, behind=self.behind)

    def restarted(self) -> Signs:
        """Those of this pass when it begins once more."""
        return Signs(passes=self.passes, behind=self.behind)
