"""The ledger in a SQLite file: one process at a time writes, anybody reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

from noria.ledger.store import Store, Transaction, row_type, unusable

_BUSY_SECONDS = 30
# Pages of the database kept in memory: the writer's hold the indexes that every staged record touches.
_CACHE_KIB = 16 * 1024


@lru_cache(maxsize=512)
def _sql(statement: str) -> str:
    return statement.removesuffix(" SKIP LOCKED").removesuffix(" FOR UPDATE").removesuffix(" FOR SHARE")


class SqliteTransaction(Transaction):
    """A transaction that holds the write lock."""

    sql = staticmethod(_sql)

    def many(self, statement: str, rows: Sequence[Any]) -> int:
        """Likewise in every ledger."""
        return int(self._connection.executemany(statement, rows).rowcount)

    def new_page_id(self) -> int:
        """One more than the newest."""
        return int(self.run("SELECT COALESCE(MAX(page_id), 0) + 1 FROM pages").fetchall()[0][0])

    def stream(self, statement: str) -> Iterator[Any]:
        """As the file is read."""
        yield from self.run(statement)

    def unhurried(self) -> None:
        """As it may by itself."""

    def number_from(self, table: str, column: str) -> None:
        """As it does by itself."""

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bool:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return self.many(statement, rows) == len(rows)


class SqliteStore(Store):
    """An open SQLite ledger."""

    errors = sqlite3.Error
    # The write lock at once: a transaction that reads first and writes later could fail half-way.
    begin = "BEGIN IMMEDIATE"
    transactions = SqliteTransaction

    def _connect(self) -> Any:
        return _driver(self.engine)

    def synchronize(self, now: float) -> None:
        """There is but this machine's clock."""

    def _mend(self) -> None:
        """A file is not lost."""

    def _in_transaction(self) -> bool:
        return bool(self._writing.in_transaction)

    def stream(self, statement: str, **values: Any) -> Iterator[Any]:
        """The rows of a reading statement, one at a time."""
        connection = _driver(self.engine)
        try:
            cursor = connection.execute(_sql(statement), values)
            make = row_type(tuple(column[0] for column in cursor.description))
            for row in cursor:
                yield make(*row)
        finally:
            connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], Iterator[Any]]]:
        """The write lock keeps everybody out."""
        with self.transaction():
            yield self.stream

    def analyze(self, *tables: str) -> None:
        """It plans by its indexes alone."""

    def vacuum(self) -> None:
        """Nobody else can write meanwhile."""
        try:
            self._writing.execute("VACUUM")
        except sqlite3.Error as error:
            raise unusable(error) from error


def _driver(engine: Engine) -> Any:
    """A connection of the driver's, tuned, that the pool lets go of."""
    pooled = engine.raw_connection()
    driver = pooled.driver_connection
    pooled.detach()
    return driver


def sqlite_engine(address: URL, synchronous: str) -> Engine:
    """The engine of a file, whose connections are tuned for a ledger."""
    engine = create_engine(address)

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {_BUSY_SECONDS * 1000}",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            f"cache_size = -{_CACHE_KIB}",
            # Fewer, larger checkpoints: an index page that many records touch is then written back once.
            "wal_autocheckpoint = 8000",
            "journal_size_limit = 67108864",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine
