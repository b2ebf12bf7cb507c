"""A simulated 小满 OKKI account: lists of rows that come, change and go, and the journal of what was done to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from noria.simulators.okki_facts import facts
from noria.simulators.okki_rows import department, first_id, key_of, made, user

_KEPT = ("users", "departments")


class Change(NamedTuple):
    """One change of the account's data: `row` is what the row is from then on, None when it is deleted; `at`: when it
    was made, as the vendor writes times (empty where nobody said)."""

    list: str
    op: str
    id: str
    row: dict[str, Any] | None
    at: str = ""


class Removed(NamedTuple):
    """A row that was deleted, and when (empty where nobody said)."""

    row: dict[str, Any]
    at: str


@dataclass
class Account:
    """Users and departments as lists; the rows of other lists by number, made when asked for.

    `order`: how a list is sorted, "newest" or "oldest" first by update time; as it was made where that isn't said.
    `journal` keeps every change, so that `truth` knows the rows of any moment; `told` is called with each.
    """

    seed: int
    users: list[dict[str, Any]] = field(default_factory=list)
    departments: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    changed: dict[str, dict[str, dict[str, Any] | None]] = field(default_factory=dict)
    added: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    removed: dict[str, list[Removed]] = field(default_factory=dict)
    order: dict[str, str] = field(default_factory=dict)
    journal: list[Change] = field(default_factory=list)
    told: Callable[[Change, dict[str, Any]], None] = lambda change, row: None
    _first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _inserted: dict[str, int] = field(default_factory=dict)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Every row of a list that a perfect reader would have now."""
        if name in _KEPT:
            return list(getattr(self, name))
        own = [row for row in (self.row(name, n) for n in range(self.size(name))) if row is not None]
        found = [*own, *self.added.get(name, {}).values()]
        order = self.order.get(name)
        if order:
            found.sort(key=lambda row: row["update_time"] or "", reverse=order == "newest")
        return found

    def truth(self, name: str, at: int | None = None) -> list[dict[str, Any]]:
        """The rows of a list after the first `at` changes of the journal (all, when that isn't said), by id."""
        key = key_of(name)
        found = {str(row[key]): row for row in self._first.get(name) or self.rows(name)}
        for change in self.journal[:at] if name in self._first else []:
            if change.list != name:
                continue
            if change.row is None:
                found.pop(change.id, None)
            else:
                found[change.id] = change.row
        return list(found.values())

    def moves(self, name: str) -> bool:
        """Whether a made list is no longer as it was made."""
        return bool(self.changed.get(name) or self.added.get(name) or self.order.get(name))

    def size(self, name: str) -> int:
        """How many rows a list was made with, deleted ones included."""
        return len(getattr(self, name)) if name in _KEPT else self.counts.get(name, 0)

    def row(self, name: str, number: int) -> dict[str, Any] | None:
        """Row `number` of a made list, as it is now; None when it was deleted."""
        own = dict(made(name, self.seed, number))
        changes = self.changed.get(name, {})
        key = str(own[key_of(name)])
        if key in changes:
            change = changes[key]
            return None if change is None else {**own, **change}
        return own

    def find(self, name: str, column: str, value: object) -> dict[str, Any] | None:
        """The first row whose column has a value."""
        wanted, key = str(value), key_of(name)
        if column != key or name in _KEPT:
            return next((row for row in self.rows(name) if str(row.get(column)) == wanted), None)
        added = self.added.get(name, {}).get(wanted)
        number = self._number(name, wanted)
        return added if added is not None or number is None else self.row(name, number)

    def _number(self, name: str, row_id: str) -> int | None:
        """Which of the rows that were made has an id."""
        number = int(row_id) - first_id(name, self.seed) if row_id.isdecimal() else -1
        return number if 0 <= number < self.size(name) else None

    def next_number(self, name: str) -> int:
        """The number of the next new row of a list."""
        return self.counts.get(name, 0) + self._inserted.get(name, 0)

    def mutate(self, op: str, name: str, row_id: object, fields: dict[str, Any], at: str = "") -> None:
        """Insert, update or delete a row of a list; raises `KeyError` for a row that isn't there. A row that is
        inserted has, of what isn't said, what the list's rows have."""
        if op == "insert":
            made_row = {} if name in _KEPT else made(name, self.seed, self.next_number(name))
            self.insert(name, {**made_row, **fields}, at)
        elif op == "delete":
            self.delete(name, str(row_id), at)
        else:
            self.update(name, str(row_id), fields, at)

    def insert(self, name: str, row: dict[str, Any], at: str = "") -> None:
        """A new row."""
        self._keep_first(name)
        wanted = str(row[key_of(name)])
        if name in _KEPT:
            getattr(self, name).append(row)
        else:
            self.added.setdefault(name, {})[wanted] = row
        self._inserted[name] = self._inserted.get(name, 0) + 1
        self._tell(Change(name, "insert", wanted, row, at), row)

    def update(self, name: str, wanted: str, fields: dict[str, Any], at: str = "") -> dict[str, Any]:
        """A row with other fields; raises `KeyError`."""
        old = self._there(name, wanted)
        row = {**old, **fields}
        self._keep_first(name)
        if name in _KEPT:
            rows = getattr(self, name)
            rows[rows.index(old)] = row
        elif wanted in self.added.get(name, {}):
            self.added[name][wanted] = row
        else:
            changes = self.changed.setdefault(name, {})
            changes[wanted] = {**(changes.get(wanted) or {}), **fields}
        self._tell(Change(name, "update", wanted, row, at), row)
        return row

    def delete(self, name: str, wanted: str, at: str = "") -> None:
        """A row less; raises `KeyError`."""
        old = self._there(name, wanted)
        self._keep_first(name)
        if name in _KEPT:
            getattr(self, name).remove(old)
        elif self.added.get(name, {}).pop(wanted, None) is None:
            self.changed.setdefault(name, {})[wanted] = None
        self.removed.setdefault(name, []).append(Removed(old, at))
        self._tell(Change(name, "delete", wanted, None, at), old)

    def _there(self, name: str, wanted: str) -> dict[str, Any]:
        row = self.find(name, key_of(name), wanted)
        if row is None:
            raise KeyError(wanted)
        return row

    def _keep_first(self, name: str) -> None:
        if name not in self._first:
            self._first[name] = self.rows(name)

    def _tell(self, change: Change, row: dict[str, Any]) -> None:
        self.journal.append(change)
        self.told(change, row)


def make_account(
    seed: int, *, users: int, departments: int, companies: int, orders: int, leads: int, invalid: int, others: int = 0
) -> Account:
    """An account; `invalid` users have, in turn, an empty nickname, none, or one that another user has. `others`: how
    many rows every other list has."""
    own = {"companies": companies, "orders": orders, "leads": leads}
    account = Account(seed, counts={name: own.get(name, others) for name in facts().lists if name not in _KEPT})
    account.departments = [department(n) for n in range(max(1, departments))]
    chooser = random.Random(seed)
    account.users = [user(chooser, n, account.departments) for n in range(users)]
    for n in range(invalid):
        row = user(chooser, users + n, account.departments)
        if n % 3 == 0:
            row["nickname"] = ""
        elif n % 3 == 1:
            del row["nickname"]
        elif account.users:
            row["nickname"] = account.users[(n * 7) % users]["nickname"]
        account.users.append(row)
    return account
