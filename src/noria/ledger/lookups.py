"""Look-ups into another plan's records, many keys at a time.

A field that look-ups ask for is indexed the first time it is asked for and kept in step afterwards: a changed record
has a new `seq`, so an entry whose record has moved on is simply not found by the join any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from noria.ledger.pages import Pages
from noria.ledger.store import Store
from noria.metadata.paths import MISSING, at

_STEP = 2000


class Lookups:
    """Finds records of a plan by the values of their fields."""

    def __init__(self, store: Store, pages: Pages) -> None:
        self.store = store
        self.pages = pages

    def next_seq(self, plan_id: int) -> int:
        """What the plan's next record will be numbered: grows whenever it stages something."""
        return int(self.store.rows("SELECT next_seq FROM plans WHERE plan_id = :p", p=plan_id)[0][0])

    def find(
        self,
        plan_id: int,
        fields: tuple[str, ...],
        keys: Iterable[tuple[str, ...]],
        wanted: str,
        decoder: Any,
    ) -> dict[tuple[str, ...], Any]:
        """For each key (one text per field) the `wanted` field of the newest record whose fields have these values.

        Keys that no record has are left out; a record without the wanted field gives None. Records that were
        filtered out or refused for their id are not found.
        """
        self._index(plan_id, fields[0], decoder)
        asked = list(dict.fromkeys(keys))
        rows = self.store.rows(
            "SELECT k.value, r.page_id, r.position FROM json_each(:values) j CROSS JOIN lookup_keys k"
            " JOIN records r ON r.plan_id = k.plan_id AND r.seq = k.seq"
            " LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq"
            " WHERE k.plan_id = :p AND k.field = :field AND k.value = j.value AND r.stray = 0"
            " AND COALESCE(e.state, '') <> 'skipped' ORDER BY r.seq",
            values=msgspec.json.encode(list({key[0] for key in asked})).decode(),
            p=plan_id,
            field=fields[0],
        )
        by_first: dict[str, list[Any]] = {}
        for value, page_id, position in rows:
            by_first.setdefault(value, []).append(decoder.decode(self.pages.raw(page_id, position)))
        found: dict[tuple[str, ...], Any] = {}
        for key in asked:
            for row in by_first.get(key[0], ()):
                if all(text_of(at(row, f)) == v for f, v in zip(fields[1:], key[1:], strict=True)):
                    value = at(row, wanted)
                    found[key] = None if value is MISSING else value
        return found

    def _index(self, plan_id: int, field: str, decoder: Any) -> None:
        """Bring the index of a field up to the plan's newest record."""
        keys = {"p": plan_id, "field": field}
        while True:
            done = self.store.rows(
                "SELECT indexed_seq FROM lookup_fields WHERE plan_id = :p AND field = :field", **keys
            )
            after = done[0][0] if done else 0
            rows = self.store.rows(
                "SELECT seq, page_id, position FROM records WHERE plan_id = :p AND seq > :after ORDER BY seq LIMIT :n",
                p=plan_id,
                after=after,
                n=_STEP,
            )
            if not rows:
                return
            entries = []
            for seq, page_id, position in rows:
                value = text_of(at(decoder.decode(self.pages.raw(page_id, position)), field))
                if value is not None:
                    entries.append({**keys, "value": value, "seq": seq})
            with self.store.transaction() as c:
                if entries:
                    c.many(
                        "INSERT INTO lookup_keys (plan_id, field, value, seq) VALUES (:p, :field, :value, :seq)"
                        " ON CONFLICT DO NOTHING",
                        entries,
                    )
                c.run(
                    "INSERT INTO lookup_fields (plan_id, field, indexed_seq) VALUES (:p, :field, :seq)"
                    " ON CONFLICT (plan_id, field) DO UPDATE SET indexed_seq = excluded.indexed_seq",
                    {**keys, "seq": rows[-1].seq},
                )


def text_of(value: Any) -> str | None:
    """A value as look-ups compare it; None for what can't be looked for."""
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else format(value, "f") if not isinstance(value, int) else str(value)
