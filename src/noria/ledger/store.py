"""The ledger's database: opening, migrating, transactions."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from noria.ledger.migrations import HEAD, upgrade
from noria.messages import Message
from noria.metadata.errors import NoriaError

_BUSY_SECONDS = 30
# Pages of the database kept in memory: the writer's hold the indexes that every staged record touches.
_CACHE_KIB = 16 * 1024


@lru_cache(maxsize=256)
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


class Transaction:
    """An open transaction: statements with `:name` parameters, straight to the driver."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> Any:
        """Run one statement; gives the driver's cursor."""
        return self._connection.execute(statement, values or {})

    def many(self, statement: str, rows: Sequence[Any]) -> int:
        """Run one statement for each of `rows`; gives how many rows of the database it changed."""
        return int(self._connection.executemany(statement, rows).rowcount)

    def value(self, statement: str, values: Mapping[str, Any]) -> Any:
        """The first column of the first row; None when there is no row."""
        found = self._connection.execute(statement, values).fetchall()
        return found[0][0] if found else None

    def row(self, statement: str, values: Mapping[str, Any]) -> Any:
        """The first row of a reading statement, its columns by name; None when there is none."""
        found = named(self._connection.execute(statement, values))
        return found[0] if found else None

    def rows(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """Every row of a reading statement, columns by name."""
        return named(self._connection.execute(statement, values))


def named(cursor: Any) -> list[Any]:
    """A cursor's rows with their columns by name."""
    make = _row_type(tuple(column[0] for column in cursor.description))
    return [make(*row) for row in cursor.fetchall()]


class Store:
    """An open ledger database: one connection that writes, one that reads what is committed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.raw_connection()
        self._reader = engine.raw_connection()
        # The driver's own connections: hot statements go there without a layer between.
        self._writing: Any = self._writer.driver_connection
        self._reading: Any = self._reader.driver_connection
        self._transaction = Transaction(self._writing)
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction: all of it or nothing. Other writers wait."""
        try:
            # The write lock at once: a transaction that reads first and writes later could fail half-way.
            self._writing.execute("BEGIN IMMEDIATE")
            try:
                yield self._transaction
                self._writing.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself.
                if self._writing.in_transaction:
                    self._writing.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise unusable(error) from error

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a reading statement, outside any transaction, columns by name."""
        try:
            return named(self._reading.execute(statement, values))
        except sqlite3.Error as error:
            raise unusable(error) from error

    def tuples(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Likewise for a hot statement, as plain tuples."""
        try:
            found: list[tuple[Any, ...]] = self._reading.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise unusable(error) from error
        return found

    def stream(self, statement: str, **values: Any) -> Iterator[Any]:
        """The rows of a reading statement, one at a time, on a connection of their own."""
        connection = self.engine.raw_connection()
        try:
            cursor: Any = connection.driver_connection.execute(statement, values)  # type: ignore[union-attr]
            make = _row_type(tuple(column[0] for column in cursor.description))
            for row in cursor:
                yield make(*row)
        finally:
            connection.close()

    def vacuum(self) -> None:
        """Rewrite the database without the room that nothing needs any more."""
        try:
            self._writing.execute("VACUUM")
        except sqlite3.Error as error:
            raise unusable(error) from error

    def pack(self, body: bytes) -> bytes:
        """A body as it is stored."""
        return self._compressor.compress(body)

    def unpack(self, body: bytes) -> bytes:
        """A stored body as it was."""
        return self._decompressor.decompress(body)

    def close(self) -> None:
        """Close both connections."""
        self._writer.close()
        self._reader.close()
        self.engine.dispose()


def unusable(error: Exception) -> NoriaError:
    """A database's own error, as one a person can act on."""
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return NoriaError("ledger", Message("ledger.unusable", {"reason": reason}), hint=Message("ledger.unusable_hint"))


def open_store(url: str, folder: Path, *, synchronous: str = "NORMAL") -> Store:
    """Open the ledger at `url` (a relative SQLite path is inside `folder`), migrated to the newest schema."""
    address = _address(url, folder)
    engine = create_engine(address)
    _tune(engine, synchronous)
    try:
        with engine.connect() as connection:
            found = _version(connection)
        if found != HEAD:
            upgrade(engine, found)
    except DBAPIError as error:
        raise unusable(error) from error
    return Store(engine)


def _address(url: str, folder: Path) -> URL:
    hint = Message("ledger.bad_url_hint")
    shown = url.split("@")[-1]
    try:
        address = make_url(url)
        if address.get_backend_name() != "sqlite":
            raise NoSuchModuleError
    except (ArgumentError, NoSuchModuleError, ValueError):
        message = Message("ledger.bad_url", {"url": shown})
        raise NoriaError("ledger", message, path="$.ledger.url", hint=hint) from None
    if address.database and address.database != ":memory:":
        file = folder / address.database
        if not file.parent.is_dir():
            message = Message("ledger.unusable", {"reason": f"{file.parent}?"})
            raise NoriaError("ledger", message, path="$.ledger.url", hint=Message("ledger.unusable_hint"))
        address = address.set(database=str(file))
    return address


def _tune(engine: Engine, synchronous: str) -> None:
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


def _version(connection: Connection) -> str | None:
    try:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except DBAPIError as error:
        if "no such table" in str(error.orig):
            return None
        raise
    return str(found) if found else None
