"""Records that people look for: by state, time, id or number, the words of what went wrong; fast with millions.

What can be answered by an index is; words are looked for among the newest that are in a state of their own, a bounded
number at a time, and it is told where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from noria.ledger import reasons
from noria.ledger.browsing import TROUBLE, Browsing
from noria.ledger.records import OWN_ROWS
from noria.ledger.store import Store
from noria.ledger.tallies import HOUR

# So many reasons are read at once, and for one answer.
_AT_ONCE, _MOST = 2000, 20_000
_BEYOND = 2**62
_AT = (
    "SELECT r.seq, g.received_at FROM records r JOIN pages g ON g.page_id = r.page_id"
    " WHERE r.plan_id = :p AND r.seq >= :seq ORDER BY r.seq LIMIT 1"
)


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is looked for. `text`: how an id or a number begins; `error`: words of the reason; `since`, `until`: when it
    was staged, in epoch seconds."""

    state: str | None = None
    cause: str | None = None
    text: str | None = None
    error: str | None = None
    since: float | None = None
    until: float | None = None


class Found(NamedTuple):
    """What was found, newest first, and the `seq` before which there may be more (None: there is no more)."""

    records: list[dict[str, Any]]
    next: int | None


class Seqs(NamedTuple):
    """The same, as numbers."""

    seqs: list[int]
    next: int | None


class Finding:
    """Finds records of a plan."""

    def __init__(self, store: Store, browsing: Browsing) -> None:
        self.store = store
        self.browsing = browsing

    def plans(self, wanted: Filter) -> dict[str, int]:
        """The plans that may have any of the wanted, with their numbers; one look into each."""
        values: dict[str, Any] = {}
        where = "p.records > 0"
        if wanted.state in OWN_ROWS:
            where = "EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = p.plan_id AND e.state = :state)"
            values["state"] = wanted.state
        elif wanted.error:
            where = "EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = p.plan_id)"
        if wanted.since is not None or wanted.until is not None:
            where += (
                " AND EXISTS (SELECT 1 FROM tallies t WHERE t.plan_id = p.plan_id AND t.hour >= :first"
                " AND t.hour <= :last AND t.staged > 0)"
            )
            values["first"] = int((wanted.since or 0) // HOUR)
            values["last"] = int((_BEYOND if wanted.until is None else wanted.until) // HOUR)
        rows = self.store.tuples(f"SELECT p.key, p.plan_id FROM plans p WHERE {where}", **values)
        return {str(key): int(number) for key, number in rows}

    def page(self, plan_id: int, wanted: Filter, *, before: int | None = None, limit: int = 50) -> Found:
        """The newest that are wanted, before the one numbered `before`."""
        low, high = self._span(plan_id, wanted)
        high = high if before is None else min(high, before)
        if low >= high:
            return Found([], None)
        if wanted.error:
            found = self._with_reasons(plan_id, wanted, low, high, limit)
            return Found(self.browsing.records.by_seqs(plan_id, found.seqs), found.next)
        rows = self.browsing.page(
            plan_id,
            state=wanted.state,
            cause=wanted.cause,
            text=wanted.text,
            before=high,
            after=low - 1,
            limit=limit + 1,
        )
        return Found(rows[:limit], rows[limit - 1]["seq"] if len(rows) > limit else None)

    def open(
        self, plan_id: int, wanted: Filter, *, before: int | None = None, limit: int = 500, until: float | None = None
    ) -> Seqs:
        """Those of the wanted that a person may decide about. `until`: only those that have been as they are since
        before then (epoch seconds)."""
        low, high = self._span(plan_id, wanted)
        return self._with_reasons(
            plan_id, wanted, low, high if before is None else min(high, before), limit, TROUBLE, until
        )

    def count(self, plan_id: int, wanted: Filter) -> int:
        """How many of the wanted a person may decide about."""
        if not wanted.error:
            low, high = self._span(plan_id, wanted)
            where, values = _where(plan_id, wanted, low, high, TROUBLE, None)
            return int(self.store.tuples(f"SELECT COUNT(*) {where}", **values)[0][0])
        total, before = 0, None
        while True:
            found = self.open(plan_id, wanted, before=before, limit=_MOST)
            total, before = total + len(found.seqs), found.next
            if before is None:
                return total

    def _with_reasons(
        self,
        plan_id: int,
        wanted: Filter,
        low: int,
        high: int,
        limit: int,
        states: Sequence[str] = (),
        until: float | None = None,
    ) -> Seqs:
        """Of those that have a row of their own, the ones whose reason has the words that are looked for."""
        words, known = (wanted.error or "").lower(), dict[str | None, bool]()
        found: list[int] = []
        for _ in range(0, _MOST, _AT_ONCE):
            where, values = _where(plan_id, wanted, low, high, states, until)
            rows = self.store.tuples(
                f"SELECT e.seq, e.cause, e.reason {where} ORDER BY e.seq DESC LIMIT :n", n=_AT_ONCE, **values
            )
            for seq, cause, reason in rows:
                if not words or _says(words, cause, reason, known):
                    found.append(seq)
                    if len(found) == limit:
                        return Seqs(found, seq)
                high = seq
            if len(rows) < _AT_ONCE:
                return Seqs(found, None)
        return Seqs(found, high)

    def _span(self, plan_id: int, wanted: Filter) -> tuple[int, int]:
        """From which number on, and before which, records were staged in the time that is looked at: records are
        numbered as they are staged."""
        low = 1 if wanted.since is None else self._first(plan_id, wanted.since)
        return low, _BEYOND if wanted.until is None else self._first(plan_id, wanted.until)

    def _first(self, plan_id: int, at: float) -> int:
        """The number of the first record that was staged at a time or later."""
        rows = self.store.tuples("SELECT next_seq FROM plans WHERE plan_id = :p", p=plan_id)
        low, high = 1, int(rows[0][0]) if rows else 1
        while low < high:
            middle = (low + high) // 2
            found = self.store.tuples(_AT, p=plan_id, seq=middle)
            if not found or found[0][1] >= at:
                high = middle
            else:
                low = int(found[0][0]) + 1
        return low


def _where(
    plan_id: int, wanted: Filter, low: int, high: int, states: Sequence[str], until: float | None
) -> tuple[str, dict[str, Any]]:
    """Rows of `exceptions` that are wanted, but for their reasons."""
    values: dict[str, Any] = {"p": plan_id, "low": low, "high": high}
    joined = " JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq" if wanted.text else ""
    where = f"FROM exceptions e{joined} WHERE e.plan_id = :p AND e.seq >= :low AND e.seq < :high"
    if wanted.state is not None:
        where, values["state"] = f"{where} AND e.state = :state", wanted.state
        if states and wanted.state not in states:
            where += " AND e.who IS NOT NULL"
    elif states:
        where += f" AND e.state IN ({', '.join(repr(one) for one in states)})"
    else:
        where += " AND e.reason IS NOT NULL"
    if wanted.cause is not None:
        where, values["cause"] = f"{where} AND e.cause = :cause", wanted.cause
    if until is not None:
        where, values["until"] = f"{where} AND e.updated_at <= :until", until
    if wanted.text:
        where += " AND (r.id >= :text AND r.id < :end OR r.number >= :text AND r.number < :end)"
        values |= {"text": wanted.text, "end": wanted.text + "\U0010ffff"}
    return where, values


def _says(words: str, cause: str | None, reason: str | None, known: dict[str | None, bool]) -> bool:
    """Whether a reason has the words, as it is stored or as it is read; that of one cause is read once."""
    if reason is None:
        return False
    if words in " ".join(reasons.words(reason)).lower():
        return True
    if cause not in known:
        known[cause] = words in str(reasons.read(reason)).lower()
    return known[cause]
