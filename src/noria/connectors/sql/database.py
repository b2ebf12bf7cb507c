"""A database: the settings of a connection to it, its transactions, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from noria.connectors.failures import Failure, Kind
from noria.connectors.settings import Limits
from noria.connectors.transport import Answer, Transport
from noria.messages import Message

# What passes by itself: a lock, a server that is not there or has too many connections; and credentials refused.
_PASSING = re.compile(
    r"locked|deadlock|lock wait|connect|timed? ?out|starting up|shutting down|gone away|too many|closed|1040|1205|1213",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"password authentication failed|access denied|\b1045\b|no password supplied|role .* does not exist"
)


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

    def __init__(self, own: SqlSettings, folder: Path, base_url: str, **rest: Any) -> None:
        super().__init__(base_url, **rest)
        self.own = own
        self.folder = folder
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The pool of connections, opened when first asked for."""
        if self._engine is None:
            url = address(self.own, self.folder)
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
        work: Callable[[Connection], Any],
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

    def _done(self, shown: str, work: Callable[[Connection], Any], writes: bool) -> Any:
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
            kind: Kind = "permanent"
            if passes(error):
                kind = "doubt" if in_doubt else "transient"
            elif _DENIED.search(str(getattr(error, "orig", None) or error)):
                kind = "auth"
            said = self.redactor.clean(reason_of(error))[:300]
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


def address(own: SqlSettings, folder: Path = Path()) -> Any:
    """The database's address with the driver that noria brings, a file's from `folder` on; raises `ValueError`."""
    url = make_url(own.url)
    drivers = {"mysql": "mysql+pymysql", "mariadb": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
    url = url.set(drivername=drivers.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:")):
        url = url.set(database=str(folder / url.database))
    return url.set(username=own.user or url.username, password=own.password or url.password)


def passes(error: SQLAlchemyError) -> bool:
    """Whether an error is none of the statement, and passes by itself: a lost connection, a lock, a server that goes
    down."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or (isinstance(error, OperationalError) and bool(_PASSING.search(str(error.orig))))


def reason_of(error: SQLAlchemyError) -> str:
    """What the database says of an error."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
