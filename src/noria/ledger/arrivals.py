"""A page's records on their way into the ledger, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from noria.messages import Message

KNOWN, WITHOUT_ID, AMBIGUOUS = 0, 1, 2


@dataclass
class Arrivals:
    """A page's records as they came, with ids and numbers beside them. `invalid`: by position, why a record has no
    usable id; `skipped`: by position, why a filter keeps it back; `owners`: where rows of the list were taken apart, by
    position the number of the row that each came from."""

    raws: list[bytes]
    ids: list[str | None] = field(default_factory=list)
    numbers: list[str | None] = field(default_factory=list)
    invalid: dict[int, Message] = field(default_factory=dict)
    skipped: dict[int, Message] = field(default_factory=dict)
    owners: list[int] | None = None

    def whole(self, ids: list[str]) -> list[str]:
        """Of these ids one for each row of the list that has no other; all of them where rows are arrivals."""
        if self.owners is None:
            return ids
        given: set[str] = set(ids)
        rows: dict[int, list[str]] = {}
        for owner, record_id in zip(self.owners, self.ids, strict=True):
            rows.setdefault(owner, []).append(record_id or "")
        return [own[0] for own in rows.values() if given.issuperset(own)]

    def rows_with(self, ids: list[str]) -> int:
        """How many rows of the list have one of these ids."""
        if self.owners is None:
            return len(ids)
        given = set(ids)
        return len({owner for owner, record_id in zip(self.owners, self.ids, strict=True) if record_id in given})


class Arrival(NamedTuple):
    """One of them."""

    id: str | None
    number: str | None
    raw: bytes
    skipped: Message | None = None


@dataclass
class StageCounts:
    """What became of a page's arrivals: staged + unchanged + duplicate are all of them; invalid and skipped are
    those among the staged that are not to be delivered, still_invalid and still_skipped those among the unchanged.

    `missing`: ids that the ledger had not heard of, `changed`: those that came with other content. `again`: ids that
    this read had shown before ("" for a record without one), `same`: how many of them say the same.
    """

    staged: int = 0
    unchanged: int = 0
    duplicate: int = 0
    invalid: int = 0
    skipped: int = 0
    still_invalid: int = 0
    still_skipped: int = 0
    again: list[str] = field(default_factory=list)
    same: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
