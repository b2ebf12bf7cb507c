"""Writing: statements for rows, a batch a transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, column, table, text
from sqlalchemy.exc import SQLAlchemyError

from noria.connectors.failures import Failure
from noria.connectors.sql.database import Database, passes, reason_of
from noria.connectors.sql.statements import check_name, prepared
from noria.connectors.sql.values import bindable
from noria.connectors.target import Row, Target, Written
from noria.messages import Message

_EXTENDS = re.compile(r"extend_sql_(\w+)$")
# Fractions with all their digits.
_EXACT = msgspec.json.Decoder(float_hook=Decimal)


class Rows(Target):
    """Rows that are written by statements, a batch a transaction; a row that is refused spoils no other."""

    transport: Database

    @property
    def honours_keys(self) -> bool:
        """With a table of marks what was written is known by its key."""
        return bool(self.transport.own.marks)

    def said_of(self, key: str) -> str:
        """The batch's key, where it is kept."""
        return msgspec.json.encode({"key": key} if self.honours_keys else {}).decode()

    async def send(
        self, body: bytes, key: str, rows: Sequence[Row], before: Callable[[], None] = lambda: None
    ) -> Written:
        """Write a batch; raises `Failure`."""
        found = _EXACT.decode(body)
        payloads = found if isinstance(found, list) else [found]
        write = self._writer()
        marks = self.transport.own.marks

        def work(connection: Connection) -> list[str | None]:
            known = _marked(connection, marks, key) if marks else None
            if known is not None:
                return known
            results = self._all_at_once(connection, payloads, write)
            if marks:
                _mark(connection, marks, key, results)
            return results

        answer, said = await self.transport.do(f"{self.api} ({len(payloads)})", work, writes=True, before=before)
        results = [None if one is None else self.refusal(one) for one in said]
        kept = msgspec.json.encode({"written": sum(one is None for one in said), "refused": [o for o in said if o]})
        return Written(answer, self.transport.kept(kept), results)

    def _all_at_once(
        self, connection: Connection, payloads: list[Any], write: Callable[[Connection, list[Any]], None]
    ) -> list[str | None]:
        """All rows, or where one of them is refused each by itself; why each was refused."""
        try:
            with connection.begin_nested():
                write(connection, payloads)
        except SQLAlchemyError as error:
            if passes(error):
                raise
            if len(payloads) == 1:
                return [reason_of(error)]
        else:
            return [None] * len(payloads)
        return [self._all_at_once(connection, [one], write)[0] for one in payloads]

    def _writer(self) -> Callable[[Connection, list[Any]], None]:
        """What writes rows."""
        said = dict(self.options)
        statement = str(said.get("main_sql") or "")
        operation = self.api.strip("/").lower()
        if operation == "upsert":
            return partial(_upserted, said)
        if not statement:
            raise Failure("permanent", Message("sql.no_statement", {"name": "main_sql"}))
        if operation == "batchexecute":
            return partial(_listed, statement, tuple(said))
        return partial(_executed, statement, {k: str(v) for k, v in said.items() if _EXTENDS.match(k)})


def _executed(statement: str, extends: Mapping[str, str], connection: Connection, payloads: list[Any]) -> None:
    """The main statement for each row, then those for its lines."""
    for payload in payloads:
        done = connection.execute(prepared(statement), bindable(connection, payload.get("main_params") or {}))
        given = done.lastrowid if connection.dialect.name in ("mysql", "sqlite") else None
        for name, extend in sorted(extends.items()):
            lines = payload.get(name.replace("extend_sql_", "extend_params_")) or []
            for line in lines if isinstance(lines, list) else [lines]:
                if ":lastInsertId" in line.values() and given is None:
                    given = connection.execute(text("SELECT lastval()")).scalar()
                own = {key: given if value == ":lastInsertId" else value for key, value in line.items()}
                names = prepared(extend)._bindparams
                connection.execute(prepared(extend), bindable(connection, {**dict.fromkeys(names), **own}))


def _listed(statement: str, apart: tuple[str, ...], connection: Connection, payloads: list[Any]) -> None:
    """`INSERT INTO t (a, b) VALUES`: a row's columns in the order that the statement names them."""
    named = re.search(r"\(([^()]*)\)\s*VALUES\s*$", statement, re.IGNORECASE)
    own = [key for key in payloads[0] if key not in apart]
    columns = [one.strip(' `"[]') for one in named[1].split(",")] if named else own
    marks = ", ".join(f":p{n}" for n in range(len(columns)))
    rows = [{f"p{n}": payload.get(name) for n, name in enumerate(columns)} for payload in payloads]
    connection.execute(text(f"{statement} ({marks})"), [bindable(connection, row) for row in rows])


def _upserted(said: Mapping[str, Any], connection: Connection, payloads: list[Any]) -> None:
    """Rows by their key: those that are there are changed, others are new."""
    into, keys = str(said.get("table") or ""), [one.strip() for one in str(said.get("key") or "").split(",") if one]
    if not into or not keys:
        raise Failure("permanent", Message("sql.no_statement", {"name": "key" if into else "table"}))
    own = list(dict.fromkeys(key for payload in payloads for key in payload if key not in said))
    schema, _, name = into.rpartition(".")
    made = table(name, *(column(one) for one in own), schema=schema or None)
    rows = [bindable(connection, {key: payload.get(key) for key in own}) for payload in payloads]
    rest = [one for one in own if one not in keys]
    if connection.dialect.name == "mysql":
        from sqlalchemy.dialects.mysql import insert as mysql_insert

        mine = mysql_insert(made)
        connection.execute(mine.on_duplicate_key_update({o: mine.inserted[o] for o in rest or keys}), rows)
        return
    from sqlalchemy.dialects.postgresql import insert

    added = insert(made)
    changed = {one: added.excluded[one] for one in rest}
    done = (
        added.on_conflict_do_update(index_elements=keys, set_=changed)
        if changed
        else added.on_conflict_do_nothing(index_elements=keys)
    )
    connection.execute(done, rows)


def _marked(connection: Connection, marks: str, key: str) -> list[str | None] | None:
    """What became of a batch that was written before under this key; None where none was."""
    check_name(marks)
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {marks} (batch VARCHAR(191) PRIMARY KEY, results TEXT)"))
    found = connection.execute(text(f"SELECT results FROM {marks} WHERE batch = :k"), {"k": key}).scalar()
    return None if found is None else msgspec.json.decode(found)


def _mark(connection: Connection, marks: str, key: str, results: list[str | None]) -> None:
    values = {"k": key, "r": msgspec.json.encode(results).decode()}
    connection.execute(text(f"INSERT INTO {marks} (batch, results) VALUES (:k, :r)"), values)
