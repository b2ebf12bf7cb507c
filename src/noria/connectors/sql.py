"""Connector `sql`: databases that SQLAlchemy speaks to: SQLite, PostgreSQL, MySQL, MariaDB.

A plan says as on the platform: `select` with `main_sql` and its binds in `main_params`; `execute` with `main_sql`,
`main_params`, and `extend_sql_1` … for lines (`:lastInsertId` is the id that the main statement gave); `batchexecute`
with `INSERT INTO t (a, b) VALUES`, whose columns are the plan's `request`. Beyond the platform: `table` reads a table
from a column on, page by page after the last row (keyset), and `upsert` writes rows by their key.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection as Open
from sqlalchemy import Engine, TextClause, column, create_engine, event, make_url, table, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.failures import Failure, Kind
from noria.connectors.paging import Place
from noria.connectors.settings import HttpSettings, Limits, Paging, Write
from noria.connectors.source import Source
from noria.connectors.sqlvalues import as_json, bindable
from noria.connectors.target import Row, Target, Written
from noria.connectors.transport import Answer, Transport
from noria.messages import Message
from noria.metadata.errors import Problem

# A statement without LIMIT gives no more rows than this, so that they fit into memory.
MOST_ROWS = 200_000
_EXTENDS = re.compile(r"extend_sql_(\w+)$")
# Fractions with all their digits.
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`")
_NAME = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*)?$")


class SqlSettings(msgspec.Struct, kw_only=True):
    """A connection to a database."""

    connector: Annotated[str, Meta(description="连接器 | sql")] = "sql"
    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="数据库地址，不含密码：postgresql://主机/库、mysql://主机/库、sqlite:///路径"
            " | the database's address without a password",
        ),
    ]
    user: Annotated[str, Meta(description="用户 | user")] = ""
    password: Annotated[str, Meta(description="密码，写 env:名称 | password, as env:NAME")] = ""
    schema: Annotated[str, Meta(description="模式（PostgreSQL） | schema, with PostgreSQL")] = ""
    marks: Annotated[
        str,
        Meta(
            description="目标库中记录已写批次的表；写上则结果不明时绝不重复写入"
            " | a table of written batches in the target: with it, no batch is ever written twice"
        ),
    ] = ""
    batch_size: Annotated[int, Meta(ge=1, description="每批行数 | rows a batch")] = 200
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(
        default_factory=lambda: Limits(concurrent=4)
    )


class Database(Transport):
    """A database, behind the same gate as any other system; statements run in threads."""

    def __init__(self, own: SqlSettings, base_url: str, **rest: Any) -> None:
        super().__init__(base_url, **rest)
        self.own = own
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The pool of connections, opened when first asked for."""
        if self._engine is None:
            url = address(self.own)
            mysql = url.get_backend_name() == "mysql"
            options: dict[str, Any] = {"connect_args": {"charset": "utf8mb4"}} if mysql else {}
            if url.get_backend_name() == "postgresql" and self.own.schema:
                options = {"connect_args": {"options": f"-csearch_path={self.own.schema}"}}
            self._engine = create_engine(url, pool_pre_ping=True, **options)
            if url.get_backend_name() == "sqlite":
                # The driver would begin late, and know no savepoints.
                event.listen(self._engine, "connect", lambda one, _: setattr(one, "isolation_level", None))
                event.listen(self._engine, "begin", lambda one: one.exec_driver_sql("BEGIN"))
        return self._engine

    async def do(
        self,
        shown: str,
        work: Callable[[Open], Any],
        *,
        writes: bool = False,
        before: Callable[[], None] = lambda: None,
    ) -> tuple[Answer, Any]:
        """Work in one transaction, in a thread; gives what came of it. Raises `Failure`: in doubt only where the
        connection was lost while the transaction was to be committed."""
        async with self.gate.place(f"/{shown.split(' ', 1)[0]}"):
            before()
            self.requests += 1
            started = time.perf_counter()
            found = await asyncio.to_thread(self._done, shown, work, writes)
        return Answer(200, {}, b"", shown, time.perf_counter() - started), found

    def _done(self, shown: str, work: Callable[[Open], Any], writes: bool) -> Any:
        with self.failing(shown):
            connection = self.engine.connect()
        with connection:
            with self.failing(shown):
                transaction = connection.begin()
                try:
                    found = work(connection)
                except BaseException:
                    transaction.rollback()
                    raise
            with self.failing(shown, in_doubt=writes):
                transaction.commit()
        return found

    @contextmanager
    def failing(self, shown: str, in_doubt: bool = False) -> Iterator[None]:
        """Errors of the database as `Failure`."""
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error)
            kind: Kind = "permanent"
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            if lost or (isinstance(error, OperationalError) and _PASSING.search(reason)):
                kind = "doubt" if in_doubt else "transient"
            elif _DENIED.search(reason):
                kind = "auth"
            said = self.redactor.clean(" ".join(reason.split()))[:300]
            raise Failure(kind, Message("sql.failed", {"reason": said}), request=self.redactor.clean(shown)) from None
        except ImportError as error:
            raise Failure("permanent", Message("sql.no_driver", {"reason": str(error)}), request=shown) from None

    async def probe(self) -> Message:
        """Whether the database answers; raises `Failure`."""
        await self.do("SELECT 1", lambda connection: connection.execute(text("SELECT 1")).scalar())
        return Message("sql.there", {"database": self.engine.dialect.name})

    async def close(self) -> None:
        """Close every connection."""
        await super().close()
        if self._engine is not None:
            await asyncio.to_thread(self._engine.dispose)


# What passes by itself: a lock, a server that is not there or has too many connections; and credentials refused.
_PASSING = re.compile(
    r"locked|deadlock|lock wait|connect|timed? ?out|starting up|shutting down|gone away|too many|closed|1040|1205|1213",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"password authentication failed|access denied|\b1045\b|no password supplied|role .* does not exist"
)


def address(own: SqlSettings) -> Any:
    """The database's address with the driver that noria brings; raises `ValueError`."""
    url = make_url(own.url)
    drivers = {"mysql": "mysql+pymysql", "mariadb": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
    url = url.set(drivername=drivers.get(url.drivername, url.drivername))
    return url.set(username=own.user or url.username, password=own.password or url.password)


class _Query(Source):
    """A statement's rows, or a table's."""

    transport: Database

    async def _page(self, place: Place) -> tuple[Answer, list[bytes], int | None, Any]:
        request = self._request(place)
        if self.metadata.api == "table":
            return await self._after(request, place)
        statement, binds = str(request.get("main_sql") or ""), request.get("main_params") or {}
        if not statement:
            raise Failure("permanent", Message("sql.no_statement", {"name": "main_sql"}))

        def read(connection: Open) -> list[Any]:
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
            if not _NAME.match(name):
                raise Failure("permanent", Message("sql.bad_name", {"name": name}))
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

        def read(connection: Open) -> list[Any]:
            return list(connection.execute(text(statement), binds).mappings())

        answer, rows = await self.transport.do(statement, read)
        raws = [as_json(row) for row in rows]
        more = len(rows) == self._pager.size
        shown = msgspec.json.decode(raws[-1]) if more else {}
        token = msgspec.json.encode([shown[name] for name in names]).decode() if more else None
        return answer, raws, None, {"next": token}


class _Rows(Target):
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

        def work(connection: Open) -> list[str | None]:
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
        self, connection: Open, payloads: list[Any], write: Callable[[Open, list[Any]], None]
    ) -> list[str | None]:
        """All rows, or where one of them is refused each by itself; why each was refused."""
        try:
            with connection.begin_nested():
                write(connection, payloads)
        except SQLAlchemyError as error:
            if len(payloads) == 1 and _is_its_own(error):
                return [_reason(error)]
            if not _is_its_own(error):
                raise
        else:
            return [None] * len(payloads)
        return [self._all_at_once(connection, [one], write)[0] for one in payloads]

    def _writer(self) -> Callable[[Open, list[Any]], None]:
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


def prepared(statement: str) -> TextClause:
    """A statement with its binds; what stands in quotes is none."""
    return text(_QUOTED.sub(lambda found: found[0].replace(":", "\\:"), statement))


def _executed(statement: str, extends: Mapping[str, str], connection: Open, payloads: list[Any]) -> None:
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


def _listed(statement: str, apart: tuple[str, ...], connection: Open, payloads: list[Any]) -> None:
    """`INSERT INTO t (a, b) VALUES`: a row's columns in the order that the statement names them."""
    named = re.search(r"\(([^()]*)\)\s*VALUES\s*$", statement, re.IGNORECASE)
    own = [key for key in payloads[0] if key not in apart]
    columns = [one.strip(' `"[]') for one in named[1].split(",")] if named else own
    marks = ", ".join(f":p{n}" for n in range(len(columns)))
    rows = [{f"p{n}": payload.get(name) for n, name in enumerate(columns)} for payload in payloads]
    connection.execute(text(f"{statement} ({marks})"), [bindable(connection, row) for row in rows])


def _upserted(said: Mapping[str, Any], connection: Open, payloads: list[Any]) -> None:
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


def _marked(connection: Open, marks: str, key: str) -> list[str | None] | None:
    """What became of a batch that was written before under this key; None where none was."""
    _check_name(marks)
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {marks} (batch VARCHAR(191) PRIMARY KEY, results TEXT)"))
    found = connection.execute(text(f"SELECT results FROM {marks} WHERE batch = :k"), {"k": key}).scalar()
    return None if found is None else msgspec.json.decode(found)


def _mark(connection: Open, marks: str, key: str, results: list[str | None]) -> None:
    values = {"k": key, "r": msgspec.json.encode(results).decode()}
    connection.execute(text(f"INSERT INTO {marks} (batch, results) VALUES (:k, :r)"), values)


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise Failure("permanent", Message("sql.bad_name", {"name": name}))


def _is_its_own(error: SQLAlchemyError) -> bool:
    """Whether an error is a row's: not a lost connection, a lock, or a server that is going down."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return False
    return not (isinstance(error, OperationalError) and _PASSING.search(str(error.orig)))


def _reason(error: SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _check(own: SqlSettings, name: str, path: str) -> list[Problem]:
    try:
        address(own).get_dialect()
    except (SQLAlchemyError, ValueError, NoSuchModuleError):
        hint = Message("sql.url_hint")
        return [Problem(Message("sql.bad_url", {"url": own.url.split("@")[-1]}), f"{path}.url", hint)]
    return []


SQL = Connector(
    name="sql",
    title=("数据库：SQLite、PostgreSQL、MySQL/MariaDB", "databases: SQLite, PostgreSQL, MySQL/MariaDB"),
    settings_type=SqlSettings,
    to_http=lambda own: HttpSettings(
        connector="sql",
        base_url=f"http://{own.url.split('@')[-1].partition('://')[2].strip('/') or 'database'}",
        timezone=own.timezone,
        paging=Paging(type="none", size=1000),
        limits=own.limits,
        write=Write(batch_size=own.batch_size),
    ),
    check=_check,
    endpoints=(
        Endpoint("select", "POST", name="main_sql", reads="list"),
        Endpoint(
            "table",
            "POST",
            name="table, key, column, since",
            reads="list",
            paging=Paging(type="cursor", next="next", size=1000),
        ),
        Endpoint("execute", "POST", name="main_sql + extend_sql"),
        Endpoint("batchexecute", "POST", name="INSERT … VALUES"),
        Endpoint("upsert", "POST", name="table, key"),
    ),
    source_type=_Query,
    target_type=_Rows,
    options_apart=True,
    reached=lambda own: partial(Database, own),
)
