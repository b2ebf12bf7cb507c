"""The ledger's database: opening, migrating, transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from noria.ledger.migrations import HEAD, upgrade
from noria.messages import Message
from noria.metadata.errors import NoriaError

# The newest schema that this version of noria reads and writes.
_BUSY_SECONDS = 30


class Store:
    """An open ledger database: one connection that writes, one that reads what is committed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = engine.connect()
        self.reader = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing. Other writers wait."""
        try:
            with self.writer.begin():
                yield self.writer
        except DBAPIError as error:
            raise unusable(error) from error

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        """The rows of a reading statement, outside any transaction."""
        try:
            return self.reader.execute(text(statement), values).fetchall()
        except DBAPIError as error:
            raise unusable(error) from error

    def stream(self, statement: str, **values: Any) -> Iterator[Any]:
        """The rows of a reading statement, a few at a time, on a connection of their own."""
        with self.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT", yield_per=500
        ) as connection:
            yield from connection.execute(text(statement), values)

    def pack(self, body: bytes) -> bytes:
        """A body as it is stored."""
        return self._compressor.compress(body)

    def unpack(self, body: bytes) -> bytes:
        """A stored body as it was."""
        return self._decompressor.decompress(body)

    def close(self) -> None:
        """Close both connections."""
        self.writer.close()
        self.reader.close()
        self.engine.dispose()


def unusable(error: DBAPIError) -> NoriaError:
    """A database's own error, as one a person can act on."""
    reason = str(error.orig or error).splitlines()[0]
    return NoriaError(
        "ledger", Message("ledger.unusable", {"reason": reason}), hint=Message("ledger.unusable_hint")
    )


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
            "cache_size = -65536",
            # Fewer, larger checkpoints: an index page that many records touch is then written back once.
            "wal_autocheckpoint = 8000",
            "journal_size_limit = 67108864",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # Take the write lock at once: a transaction that reads first and writes later could fail half-way.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _version(connection: Connection) -> str | None:
    try:
        row = connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "SELECT version_num FROM alembic_version"
        )
    except DBAPIError as error:
        if "no such table" in str(error.orig):
            return None
        raise
    found = row.scalar()
    return str(found) if found else None
