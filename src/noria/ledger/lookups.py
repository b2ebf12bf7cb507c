"""Look-ups into another plan's records, many keys at a time.

A field that look-ups ask for is indexed the first time it is asked for and kept in step afterwards: a changed record
has a new `seq`, so an entry whose record has moved on is simply not found by the join any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from noria.ledger.pages import Pages
from noria.ledger.store import Store
from noria.metadata.expression_tree import Condition, Lookup, Place
from noria.metadata.numbers import written
from noria.metadata.paths import MISSING, at

_STEP = 2000
# A database that knows nothing of new keys would rather look at all of them: it is told at so many, and whenever they
# have doubled.
_FIRST_LOOK = 200

Key = tuple[str | tuple[str, ...], ...]
# Decodes a record's bytes into the row that its plan's rules make of it; None where they can't.
Decode = Callable[[bytes], Any]

_FOUND = (
    "SELECT {first}, r.seq, r.id, COALESCE(r.number, r.id) AS number, r.page_id, r.position FROM {source}"
    " LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq"
    " WHERE {where} AND r.stray = 0 AND COALESCE(e.state, '') <> 'skipped'"
)
# The platform's numbers for a record's state.
_STATUS = {"pending": 0, "skipped": 1, "delivered": 2, "sending": 5}


class Lookups:
    """Finds records of a plan by the values of their fields."""

    def __init__(self, store: Store, pages: Pages) -> None:
        self.store = store
        self.pages = pages
        # How many keys this process has indexed, and at how many the database is to look at them again.
        self._indexed, self._look = 0, _FIRST_LOOK

    def next_seq(self, plan_id: int) -> int:
        """What the plan's next record will be numbered: grows whenever it stages something."""
        return int(self.store.rows("SELECT next_seq FROM plans WHERE plan_id = :p", p=plan_id)[0][0])

    def find(
        self, plan_id: int, lookup: Lookup, keys: Iterable[Key], decode: Decode, rules: str = ""
    ) -> dict[Key, Any]:
        """For each key (what every condition of the look-up compares with) the wanted value of the newest record that
        fulfils all conditions.

        Keys that no record fulfils are left out; a record without the wanted value gives None. Records that were
        filtered out or refused for their id are not found. `rules` tells apart indexes of rows that `decode` derives
        differently.
        """
        asked = list(dict.fromkeys(keys))
        conditions = lookup.conditions
        first = next((i for i, c in enumerate(conditions) if _indexable(c)), None)
        if first is None:
            candidates = {
                None: self._rows(_FOUND.format(first="NULL", source="records r", where="r.plan_id = :p"), p=plan_id)
            }
        else:
            candidates = self._candidates(
                plan_id, conditions[first].place, [key[first] for key in asked], decode, rules
            )
        rows: dict[Any, list[_Stored]] = {
            key: [_Stored(self, row, decode) for row in found] for key, found in candidates.items()
        }
        found: dict[Key, Any] = {}
        for key in asked:
            # The newest comes last: it is the one that is taken.
            for stored in reversed(rows.get(None if first is None else key[first], ())):
                if all(_fulfils(stored.value(c.place), c.operator, k) for c, k in zip(conditions, key, strict=True)):
                    value = stored.value(lookup.wanted)
                    if value is MISSING and lookup.wanted.part == "response" and stored.state != "delivered":
                        # Its target has not answered yet: as good as not there.
                        break
                    found[key] = None if value is MISSING else value
                    break
        return found

    def _candidates(
        self, plan_id: int, place: Place, values: list[Any], decode: Decode, rules: str
    ) -> dict[Any, list[Any]]:
        """The records whose value at an indexed place is one of these texts, oldest first."""
        given = msgspec.json.encode([_stored(one) for one in dict.fromkeys(values)]).decode()
        if place.part == "record":
            sql = _FOUND.format(
                first="r.id",
                source="json_each(:values) j CROSS JOIN records r",
                where="r.plan_id = :p AND r.id = j.value",
            )
            rows = self._rows(sql, values=given, p=plan_id)
        else:
            field = place.path + ("\x1f" + rules if rules else "")
            self._index(plan_id, field, place.path, decode)
            sql = _FOUND.format(
                first="k.value",
                source="json_each(:values) j CROSS JOIN lookup_keys k JOIN records r"
                " ON r.plan_id = k.plan_id AND r.seq = k.seq",
                where="k.plan_id = :p AND k.field = :field AND k.value = j.value",
            )
            rows = self._rows(sql, values=given, p=plan_id, field=field)
        found: dict[Any, list[Any]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row)
        return {value: found[_stored(value)] for value in values if _stored(value) in found}

    def _rows(self, sql: str, **values: Any) -> list[Any]:
        """Oldest first. Put in order here: a database that is to do it may rather read all records in their order, and
        look for each among the values."""
        return sorted(self.store.rows(sql, **values), key=lambda row: row.seq)

    def _index(self, plan_id: int, field: str, path: str, decode: Decode) -> None:
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
                if self._indexed >= self._look:
                    self._look = 2 * self._indexed
                    self.store.analyze("lookup_keys", "records", "exceptions")
                return
            entries = []
            for seq, page_id, position in rows:
                value = text_of(at(decode(self.pages.raw(page_id, position)), path))
                if value is not None:
                    entries.append({**keys, "value": _stored(value), "seq": seq})
            self._indexed += len(entries)
            with self.store.transaction() as c:
                c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", keys)
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

    def delivery_of(self, seq: int, page_id: int) -> tuple[str, float | None, Any]:
        """A record's state, when it was last answered, and the target's answer."""
        plan_id = self.store.rows("SELECT plan_id FROM pages WHERE page_id = :page", page=page_id)[0][0]
        state = self.store.rows(
            "SELECT state, batch_id FROM record_states WHERE plan_id = :p AND seq = :s", p=plan_id, s=seq
        )
        if not state or state[0].batch_id is None:
            return (state[0].state if state else "pending"), None, MISSING
        answers = self.store.rows(
            "SELECT started_at + seconds AS at, answer FROM attempts WHERE batch_id = :b"
            " ORDER BY attempt_id DESC LIMIT 1",
            b=state[0].batch_id,
        )
        if not answers:
            return state[0].state, None, MISSING
        answer: Any = MISSING
        if answers[0].answer is not None:
            try:
                answer = msgspec.json.decode(self.store.unpack(answers[0].answer))
            except msgspec.DecodeError:
                answer = MISSING
        return state[0].state, answers[0].at, answer


def _stored(value: str) -> str:
    """A text as the index keeps it: no database takes the character NUL. What is found is compared once more."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in value else value


class _Stored:
    """A record that may be what is looked for; what a condition asks of it is read when it is asked."""

    def __init__(self, lookups: Lookups, row: Any, decode: Decode) -> None:
        self.lookups = lookups
        self.row = row
        self.decode = decode
        self._content: Any = None
        self._delivery: tuple[str, float | None, Any] | None = None

    @property
    def state(self) -> str:
        """The record's state."""
        if self._delivery is None:
            self._delivery = self.lookups.delivery_of(self.row.seq, self.row.page_id)
        return self._delivery[0]

    def value(self, place: Place) -> Any:
        if place.part == "content":
            if self._content is None:
                self._content = self.decode(self.lookups.pages.raw(self.row.page_id, self.row.position))
            return at(self._content, place.path)
        if place.part == "record" and place.path in ("id", "number"):
            return getattr(self.row, place.path)
        if place.part == "record" and place.path == "created_at":
            sql = "SELECT received_at FROM pages WHERE page_id = :page"
            return self.lookups.store.rows(sql, page=self.row.page_id)[0][0]
        if self._delivery is None:
            self._delivery = self.lookups.delivery_of(self.row.seq, self.row.page_id)
        state, answered_at, answer = self._delivery
        if place.part == "response":
            return MISSING if answer is MISSING else at(answer, place.path)
        return _STATUS.get(state, 3) if place.path == "status" else answered_at


def _indexable(condition: Condition) -> bool:
    place = condition.place
    return condition.operator == "eq" and (place.part == "content" or (place.part == "record" and place.path == "id"))


def _fulfils(value: Any, operator: str, wanted: str | tuple[str, ...]) -> bool:
    """Whether a stored value stands to what it is compared with as the operator says. Equality is of texts; order is
    of numbers where both are, else of texts."""
    found = text_of(value)
    if isinstance(wanted, tuple):
        return (found in wanted) is (operator == "in")
    match operator:
        case "eq":
            return found == wanted
        case "neq":
            return found != wanted
        case "exists":
            return (value is not MISSING) is (wanted.lower() not in ("false", "0"))
        case "regex":
            try:
                return found is not None and re.search(wanted, found[:10_000]) is not None
            except re.error:
                return False
    if found is None:
        return False
    a: Any = _number(found)
    b: Any = _number(wanted)
    if a is None or b is None:
        a, b = found, wanted
    return bool({"gt": a > b, "egt": a >= b, "lt": a < b, "elt": a <= b}[operator])


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip()) if len(text) < 100 else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def text_of(value: Any) -> str | None:
    """A value as look-ups compare it; None for what can't be looked for."""
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else written(value) if isinstance(value, Decimal) else str(value)
