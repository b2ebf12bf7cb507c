"""Opening the ledger's database at its address, brought to the newest schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from noria.ledger.migrations import HEAD, upgrade
from noria.ledger.store import Store, unusable
from noria.messages import Message
from noria.metadata.errors import NoriaError

_POSTGRES = ("postgresql", "postgres")


def open_store(url: str, folder: Path, *, synchronous: str = "NORMAL") -> Store:
    """Open the ledger at `url` (a relative SQLite path is inside `folder`), migrated to the newest schema."""
    address = _address(url, folder)
    opened: type[Store]
    # Imported when needed: each of the drivers takes its time, and psycopg may not be installed.
    if address.drivername in _POSTGRES:
        try:
            from noria.ledger.postgres import PostgresStore, postgres_engine
        except ImportError as error:
            message = Message("ledger.no_driver", {"reason": str(error)})
            raise NoriaError("ledger", message, path="$.ledger.url", hint=Message("ledger.no_driver_hint")) from None
        engine, opened = postgres_engine(address), PostgresStore
    else:
        from noria.ledger.sqlite import SqliteStore, sqlite_engine

        engine, opened = sqlite_engine(address, synchronous), SqliteStore
    try:
        with engine.connect() as connection:
            found = _version(connection)
        if found != HEAD:
            upgrade(engine, found)
        return opened(engine)
    except (DBAPIError, opened.errors) as error:
        raise unusable(error) from error


def _address(url: str, folder: Path) -> URL:
    hint = Message("ledger.bad_url_hint")
    shown = url.split("@")[-1]
    try:
        address = make_url(url)
        if address.drivername not in ("sqlite", *_POSTGRES):
            raise NoSuchModuleError
    except (ArgumentError, NoSuchModuleError, ValueError):
        message = Message("ledger.bad_url", {"url": shown})
        raise NoriaError("ledger", message, path="$.ledger.url", hint=hint) from None
    if address.drivername == "sqlite" and address.database and address.database != ":memory:":
        file = folder / address.database
        if not file.parent.is_dir():
            message = Message("ledger.unusable", {"reason": f"{file.parent}?"})
            raise NoriaError("ledger", message, path="$.ledger.url", hint=Message("ledger.unusable_hint"))
        address = address.set(database=str(file))
    return address


def _version(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found) if found else None
