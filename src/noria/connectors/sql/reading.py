"""Reading: a statement's rows, or a table's page by page."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, text

from noria.connectors.failures import Failure
from noria.connectors.paging import Place
from noria.connectors.source import Source
from noria.connectors.sql.database import Database
from noria.connectors.sql.statements import check_name, prepared
from noria.connectors.sql.values import as_json, bindable
from noria.connectors.transport import Answer
from noria.messages import Message

# A statement without LIMIT gives no more rows than this, so that they fit into memory.
MOST_ROWS = 200_000


class Query(Source):
    """A statement's rows, or a table's."""

    transport: Database

    async def _page(self, place: Place) -> tuple[Answer, list[bytes], int | None, Any]:
        request = self._request(place)
        if self.metadata.api == "table":
            return await self._after(request, place)
        statement, binds = str(request.get("main_sql") or ""), request.get("main_params") or {}
        if not statement:
            raise Failure("permanent", Message("sql.no_statement", {"name": "main_sql"}))

        def read(connection: Connection) -> list[Any]:
            found = connection.execute(prepared(statement), bindable(connection, binds))
            return list(found.mappings().fetchmany(MOST_ROWS + 1))

        answer, rows = await self.transport.do(statement, read)
        if len(rows) > MOST_ROWS:
            raise Failure("permanent", Message("sql.too_many", {"most": MOST_ROWS}), request=answer.request)
        return answer, [as_json(row) for row in rows], None, {}

    async def _after(self, request: dict[str, Any], place: Place) -> tuple[Answer, list[bytes], int | None, Any]:
        """Rows of a table from `since` on in the order of its `column` and `key`, after those of the page before."""
        wanted = {name: str(request.get(name) or "") for name in ("table", "column", "key")}
        names = [name for name in (wanted["column"], wanted["key"]) if name]
        for name in (wanted["table"], *names):
            check_name(name)
        if not wanted["key"]:
            raise Failure("permanent", Message("sql.no_statement", {"name": "key"}))
        quote = self.transport.engine.dialect.identifier_preparer.quote
        quoted = [quote(name) for name in names]
        binds: dict[str, Any] = {}
        where = []
        if wanted["column"] and request.get("since") not in (None, ""):
            where.append(f"{quoted[0]} >= :since")
            binds["since"] = request["since"]
        if place.token is not None:
            last = msgspec.json.decode(place.token)
            binds |= {f"last_{n}": value for n, value in enumerate(last)}
            marks = [f":last_{n}" for n in range(len(last))]
            later = [
                " AND ".join([*(f"{quoted[m]} = {marks[m]}" for m in range(n)), f"{quoted[n]} > {marks[n]}"])
                for n in range(len(last))
            ]
            where.append("(" + " OR ".join(f"({one})" for one in later) + ")")
        source = ".".join(quote(part) for part in wanted["table"].split("."))
        statement = f"SELECT * FROM {source}"
        statement += f" WHERE {' AND '.join(where)}" if where else ""
        statement += f" ORDER BY {', '.join(quoted)} LIMIT {self._pager.size}"

        def read(connection: Connection) -> list[Any]:
            return list(connection.execute(text(statement), binds).mappings())

        answer, rows = await self.transport.do(statement, read)
        raws = [as_json(row) for row in rows]
        more = len(rows) == self._pager.size
        shown = msgspec.json.decode(raws[-1]) if more else {}
        token = msgspec.json.encode([shown[name] for name in names]).decode() if more else None
        return answer, raws, None, {"next": token}
