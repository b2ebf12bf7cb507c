"""The operations of a simulated 小满 OKKI account, as `okki_facts` has them: lists, single rows, pushes, removals.

Not documented, and so decided here: both ends of a time window are inclusive; a removal counts as an update; a new row
whose number another has is refused; a row whose `lock_flag` is 1 is locked; whatever shows no rows of its own (sales
stages, currencies, kinds of receipts) has two entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from noria.simulators.books import Books, poisoned, rejected
from noria.simulators.faults import Faults
from noria.simulators.okki_checks import check_body
from noria.simulators.okki_data import Account
from noria.simulators.okki_facts import Operation, facts
from noria.simulators.okki_motion import Mover
from noria.simulators.okki_rows import first_id, made, number_of
from noria.simulators.wire import Refused, encoded, shown

# What of a list's parameters is no column to filter by.
_PLAIN = {"start_index", "count", "start_time", "end_time", "time_type", "sort_field", "removed", "is_delete", "all"}
_TIMES = {"1": "update_time", "2": "create_time", "3": "account_date", "4": "removed"}
_PUBLIC = "0"
_QUERIED = ("serial_id", "company_id", "is_public", "name", "short_name")
_PAGES_KEPT = 64


class Api:
    """What an account answers. `books`: what was pushed to it, by list and id, and how often."""

    def __init__(self, account: Account, faults: Faults, now: Callable[[], float]) -> None:
        self.account = account
        self.faults = faults
        self.now = now
        self.mover = Mover(account, now)
        self.books = Books()
        self._pages: dict[tuple[str, int, int], bytes] = {}

    # --- reading

    def read(self, operation: Operation, query: dict[str, str]) -> bytes:
        """The data that an operation answers with, as JSON; raises `Refused`."""
        match operation.does:
            case "page" | "query":
                return self._page(operation, query)
            case "whole":
                rows = self.listed(operation, query)
                return encoded({"list": rows, "count": len(rows)}).encode()
            case "info":
                return encoded(self._info(operation, query)).encode()
            case "enums":
                chosen = {query["field"]: ""} if "field" in query else operation.lists
                return encoded({name: self._choices(name, rows) for name, rows in chosen.items()}).encode()
            case _:
                return encoded(self.listed(operation, query)).encode()

    def listed(self, operation: Operation, query: dict[str, str]) -> list[Any]:
        """All the rows that a list has; raises `Refused`."""
        match operation.does:
            case "fields":
                return self._fields("customers" if query.get("type") == "customer" else operation.of)
            case "selector":
                return self._selected(operation, query)
            case "types":
                return ["电汇", "信用证"]
            case "query":
                return [{name: one.get(name) for name in _QUERIED} for one in self._queried(query["word"])]
            case _:
                return self._filtered(operation, {**operation.defaults, **query})

    def report(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The work of users."""
        wanted = [str(one) for one in body.get("user_id") or []]
        return [
            {"user_id": one["user_id"], "nickname": one.get("nickname"), "order_add_count": n}
            for n, one in enumerate(self.account.users)
            if not wanted or one["user_id"] in wanted
        ]

    def _page(self, operation: Operation, query: dict[str, str]) -> bytes:
        name, page = operation.of, int(query.get("start_index", "1"))
        count = int(query.get("count", str(operation.size)))
        self.mover.asked(name)
        if operation.does == "page" and query.keys() <= {"start_index", "count"} and not self.account.moves(name):
            return self._as_made(name, page, count, operation.totals)
        rows = self.listed(operation, query)
        part = rows[(page - 1) * count : page * count]
        return encoded({"list": part, **dict.fromkeys(operation.totals, len(rows))}).encode()

    def _as_made(self, name: str, page: int, count: int, totals: tuple[str, ...]) -> bytes:
        """A page of an unchanged list, made once."""
        key = (name, page, count)
        if key not in self._pages:
            total = self.account.size(name)
            rows = [self.account.row(name, n) for n in range((page - 1) * count, min(page * count, total))]
            self._pages[key] = encoded({"list": rows, **dict.fromkeys(totals, total)}).encode()
            while len(self._pages) > _PAGES_KEPT:
                self._pages.pop(next(iter(self._pages)))
        return self._pages[key]

    def _filtered(self, operation: Operation, query: dict[str, str]) -> list[dict[str, Any]]:
        if "1" in (query.get("removed"), query.get("is_delete")):
            gone = self.account.removed.get(operation.of, [])
            rows = [{**row, "update_time": at or row.get("update_time"), "removed": at} for row, at in gone]
        else:
            rows = self.account.rows(operation.of)
        if "start_time" in query or "end_time" in query:
            column = query.get("sort_field") or _TIMES[query.get("time_type", "1")]
            low, high = _bound(query.get("start_time"), False), _bound(query.get("end_time"), True)
            rows = [row for row in rows if low <= (row.get(column) or "0") <= high]
        for name, value in query.items():
            if name not in _PLAIN:
                rows = [row for row in rows if _meets(row, operation.column(name), value)]
        if query.get("all", "1") != "1":
            public = query["all"] == "2"
            rows = [row for row in rows if (row.get("user_id") == _PUBLIC) is public]
        return [{key: value for key, value in row.items() if key != "removed"} for row in rows]

    def _info(self, operation: Operation, query: dict[str, str]) -> dict[str, Any]:
        asked = {operation.column(name): value for name, value in query.items() if name != "format"}
        if not any(asked.values()):
            raise Refused(*operation.empty)
        name, value = next(iter(asked.items()))
        row = self.account.find(operation.of, name, value)
        if row is None or any(str(row.get(one)) != wanted for one, wanted in asked.items()):
            raise Refused(*operation.absent)
        return {**row, **{one: _as(kind, row[one]) for one, kind in operation.reply.items()}}

    def _fields(self, name: str) -> list[dict[str, Any]]:
        """A data dictionary: the columns, and one that users have defined."""
        columns = list(facts().lists[name].columns or made(name, self.account.seed, 0))
        own = {"ext_info": [], "require": 0, "default": "", "disable_flag": 0, "is_list": 0}
        found = [{"id": one, "name": one, "base": 1, "field_type": 1, **own} for one in columns]
        return [*found, {"id": "3162362610", "name": "自定义字段", "base": 0, "field_type": 1, **own}]

    def _selected(self, operation: Operation, query: dict[str, str]) -> list[dict[str, Any]]:
        field = query.get("field") or ""
        if len(operation.lists) > 1 and not field:
            raise Refused(400, "Invalid query")
        needed = operation.needs.get(field)
        if needed and not query.get(needed):
            raise Refused(400, "Invalid query")
        return self._choices(field or "status", operation.lists.get(field, ""))

    def _choices(self, name: str, rows: str) -> list[dict[str, Any]]:
        if rows:
            return self.account.rows(rows)
        return [{"id": str(n), "code": str(n), "name": f"{name}{n}"} for n in (1, 2)]

    def _queried(self, word: str) -> list[dict[str, Any]]:
        rows = ({**row, "is_public": int(row.get("user_id") == _PUBLIC)} for row in self.account.rows("companies"))
        return [row for row in rows if any(word in str(row.get(one)) for one in ("name", "short_name", "serial_id"))]

    # --- writing

    def push(self, operation: Operation, body: Any) -> Any:
        """Write rows: all of them, or none; raises `Refused`."""
        if isinstance(body, list) is not operation.many:
            raise Refused(400, "Invalid data json")
        sent = body if operation.many else [body]
        for one in sent:
            check_body(one, operation)
        self._strike(operation, sent)
        known = [self._known(operation, one) for one in sent]
        rows = [self._written(operation, one, row) for one, row in zip(sent, known, strict=True)]
        own = facts().lists[operation.of]
        for row in rows:
            self.books.write(f"{operation.of}/{row[own.id]}", row)
        return self._reply(operation, rows[0])

    def _strike(self, operation: Operation, sent: list[dict[str, Any]]) -> None:
        """A fault that was asked for, of rows with certain numbers."""
        names = [str(one.get(name)) for one in sent for name in (*operation.keys, facts().lists[operation.of].number)]
        poison = poisoned(self.faults, operation.path, names)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        for message in rejected(self.faults, operation.path, names).values():
            raise Refused(404, message)

    def _known(self, operation: Operation, sent: dict[str, Any]) -> dict[str, Any] | None:
        """The row that is written again; None for a new one. Raises `Refused`."""
        own = facts().lists[operation.of]
        for key in operation.keys:
            column, value = operation.column(key), sent.get(key)
            row = None if value in (None, "") else self.account.find(operation.of, column, value)
            if row is not None:
                self._unlocked(row)
                return row
            if value not in (None, "") and column == own.id and not operation.open:
                raise Refused(*operation.absent)
        if operation.edits:
            raise Refused(*operation.absent)
        for name in operation.new:
            if sent.get(name) in (None, ""):
                raise Refused(404, f"{name} cannot be empty")
        number = sent.get(own.number)
        if number and not operation.open and self.account.find(operation.of, own.number, number) is not None:
            raise Refused(-1, f"{own.number} {number} already exists")
        return None

    def _written(self, operation: Operation, sent: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
        account, own, now = self.account, facts().lists[operation.of], shown(self.now())
        number = account.next_number(operation.of)
        new = {} if known else {own.id: self._id(operation.of, number), "create_time": now}
        if own.number and known is None:
            new[own.number] = number_of(operation.of, number)
        named = {operation.column(name): value for name, value in sent.items() if value is not None}
        fields = {one: value for one, value in named.items() if value != "" or one not in (own.id, own.number)}
        if operation.belongs:
            fields = {**fields, **self._owner(operation, sent)}
        if known is not None:
            fields.pop(own.id, None)
        for column, part in operation.ids.items():
            first = int((known or new)[own.id]) * 1000
            fields[column] = [{part: first + n, **one} for n, one in enumerate(fields.get(column, []))]
        for name, column in operation.adds.items():
            values = [one if isinstance(one, dict) else {"item_name": one} for one in fields.pop(name)]
            fields[column] = [*((known or {}).get(column) or []), *values]
        fields = {**new, **fields, **operation.sets, "update_time": now}
        if known is not None:
            return account.update(operation.of, str(known[own.id]), fields, now)
        account.insert(operation.of, fields, now)
        return fields

    def _id(self, name: str, number: int) -> int | str:
        """The id of a new row."""
        value = first_id(name, self.account.seed) + number
        return str(value) if facts().lists[name].columns.get(facts().lists[name].id) == "string" else value

    def _owner(self, operation: Operation, sent: dict[str, Any]) -> dict[str, Any]:
        """The id of the row that a row belongs to."""
        owner = facts().lists[operation.belongs]
        for name in (owner.id, owner.number):
            row = self.account.find(operation.belongs, name, sent[name]) if sent.get(name) else None
            if row is not None:
                return {owner.id: row[owner.id]}
        raise Refused(*operation.absent)

    def _reply(self, operation: Operation, row: dict[str, Any]) -> Any:
        if "*" in operation.reply:
            return row
        if operation.many:
            return ""
        found = {name: _as(kind, row.get(operation.column(name))) for name, kind in operation.reply.items()}
        return found or None

    def remove(self, operation: Operation, given: dict[str, Any]) -> Any:
        """Remove a row; raises `Refused`."""
        own, asked = facts().lists[operation.of], {}
        for name, value in given.items():
            if operation.column(name) in (own.id, own.number) and value not in (None, "", "0"):
                asked[operation.column(name)] = value
        if not asked:
            raise Refused(400, "Invalid query")
        column, value = next(iter(asked.items()))
        row = self.account.find(operation.of, column, value)
        if row is None:
            raise Refused(*operation.absent)
        self._unlocked(row)
        if row.get("system_flag") == "1":
            raise Refused(404, "系统分组无法被删除")
        if operation.public and row.get("user_id") != _PUBLIC:
            raise Refused(404, "No Privilege")
        self.account.delete(operation.of, str(row[own.id]), shown(self.now()))
        return {name: given[name] for name in given if operation.column(name) == own.id}

    @staticmethod
    def _unlocked(row: dict[str, Any]) -> None:
        if str(row.get("lock_flag")) == "1":
            raise Refused(404, "单据被锁定，无法操作")


def _as(kind: str, value: Any) -> Any:
    """A value of an answer in the type that it has there."""
    match kind:
        case "string":
            return str(value)
        case "integer":
            return int(value)
        case "one":
            return 1
        case _:
            return value


def _meets(row: dict[str, Any], column: str, value: str) -> bool:
    """Whether a row has one of the values; a column that it lacks says nothing, and 0 is any status."""
    return column not in row or (column == "status" and value == "0") or str(row[column]) in value.split(",")


def _bound(text: str | None, end: bool) -> str:
    if text is None:
        return "9999" if end else ""
    return text if len(text) > 10 else text + (" 23:59:59" if end else " 00:00:00")
