"""The ledger in a PostgreSQL database: many processes write, each plan's records through one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL

from noria.ledger.store import Store, Transaction, row_type, unusable

# A process that is cut off, or frozen in the middle of a transaction, must not keep others from its plans for long.
_SESSION = {
    "connect_timeout": "5",
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "noria",
    # Every statement that matters is written for an index, in whose order it reads: a planner without statistics, as at
    # the first load of a million records, would rather sort.
    "options": "-c idle_in_transaction_session_timeout=8s -c lock_timeout=30s -c timezone=UTC -c enable_sort=off",
}
_QUOTED = re.compile(r"('(?:[^']|'')*')")
_EACH = re.compile(r"json_each\(:(\w+)\) (\w+)")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_INDEXED = re.compile(r" INDEXED BY \w+")


def _each(found: re.Match[str]) -> str:
    name, alias = found.groups()
    rows = f"json_array_elements_text(CAST(:{name} AS json))"
    if name == "seqs":
        return f"(SELECT CAST(e AS bigint) AS value FROM {rows} e) {alias}"
    return f"{rows} AS {alias}(value)"


@lru_cache(maxsize=512)
def translated(statement: str) -> str:
    """A statement of the ledger's in the words of psycopg and PostgreSQL."""
    statement = _EACH.sub(_each, _INDEXED.sub("", statement))
    parts = _QUOTED.split(statement.replace("%", "%%"))
    parts[::2] = [_PARAMETER.sub(r"%(\1)s", part).replace("?", "%s") for part in parts[::2]]
    return "".join(parts)


class PostgresTransaction(Transaction):
    """A transaction; what others must not change meanwhile it locks row by row."""

    sql = staticmethod(translated)

    def many(self, statement: str, rows: Sequence[Any]) -> int:
        """In one round trip."""
        with self._connection.cursor() as cursor:
            cursor.executemany(translated(statement), rows)
            return int(cursor.rowcount)

    def new_page_id(self) -> int:
        """From the table's sequence: plans are staged side by side."""
        return int(self.run("SELECT nextval(pg_get_serial_sequence('pages', 'page_id'))").fetchall()[0][0])

    def stream(self, statement: str) -> Iterator[Any]:
        """By a cursor in the server."""
        with self._connection.cursor("within") as cursor:
            cursor.itersize = 1000
            cursor.execute(translated(statement))
            yield from cursor

    def unhurried(self) -> None:
        """Nobody waits for it."""
        self.run("SET LOCAL idle_in_transaction_session_timeout = 0")

    def number_from(self, table: str, column: str) -> None:
        """Its sequence goes on there."""
        self.run(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), COALESCE(MAX({column}), 0) + 1, false)"
            f" FROM {table}"
        )

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bool:
        """By COPY."""
        target = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        try:
            with self._connection.cursor() as cursor, cursor.copy(target) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.errors.UniqueViolation:
            return False
        return True


class PostgresStore(Store):
    """An open PostgreSQL ledger. A connection that was lost is opened anew when it is needed next."""

    errors = psycopg.Error
    begin = "BEGIN"
    transactions = PostgresTransaction

    def synchronize(self, now: float) -> None:
        """Set this machine's clock (`now`: epoch seconds) against the database's, once processes on several machines
        share the ledger."""
        self.shares = True
        self.ahead = self.time(now) - now

    def time(self, now: float) -> float:
        """The database's own clock, where processes share it."""
        if not self.shares:
            return now
        found = self.tuples("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)")
        return float(found[0][0])

    def _connect(self) -> Any:
        return psycopg.connect(conninfo_of(self.engine.url), autocommit=True)

    def _mend(self) -> None:
        if self._writing.closed:
            self._writing = self._connect()
        if self._reading.closed:
            self._reading = self._connect()

    def _in_transaction(self) -> bool:
        status = self._writing.info.transaction_status
        return status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    def stream(self, statement: str, **values: Any) -> Iterator[Any]:
        """The rows of a reading statement, some at a time, by a cursor in the server."""
        try:
            with psycopg.connect(conninfo_of(self.engine.url)) as connection, connection.cursor("stream") as cursor:
                cursor.itersize = 1000
                # The text comes from this package, with its parameters apart.
                cursor.execute(translated(statement), values)
                make = None
                for row in cursor:
                    make = make or row_type(tuple(column[0] for column in cursor.description or ()))
                    yield make(*row)
        except psycopg.Error as error:
            raise unusable(error) from error

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], Iterator[Any]]]:
        """A transaction that sees one moment, with the leases locked against those that would begin a run."""
        with psycopg.connect(conninfo_of(self.engine.url)) as connection:
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            connection.commit()
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # The moment is that of the first reading statement after it.
            connection.execute("LOCK TABLE leases IN SHARE MODE")

            def read(statement: str) -> Iterator[Any]:
                with connection.cursor("move") as cursor:
                    cursor.itersize = 1000
                    cursor.execute(translated(statement))
                    yield from cursor

            yield read

    def analyze(self, *tables: str) -> None:
        """Sooner than the server does by itself, which is a minute or more."""
        try:
            self._mend()
            self._writing.execute(f"ANALYZE {', '.join(tables)}")
        except psycopg.Error as error:
            raise unusable(error) from error

    def vacuum(self) -> None:
        """The tables whose bodies are let go; nobody else can use them meanwhile."""
        try:
            self._mend()
            self._writing.execute("VACUUM (FULL, ANALYZE) pages, batches, attempts, runs")
        except psycopg.Error as error:
            raise unusable(error) from error

    def close(self) -> None:
        """Close both connections, also where the server is gone."""
        with suppress(psycopg.Error):
            super().close()


def conninfo_of(address: URL) -> str:
    """The address as libpq takes it, with what a session needs unless it says otherwise."""
    own = conninfo_to_dict(address.set(drivername="postgresql").render_as_string(hide_password=False))
    return make_conninfo("", **{**_SESSION, **own})


def postgres_engine(address: URL) -> Engine:
    """The engine of a database, which only migrations use."""
    return create_engine(address.set(drivername="postgresql+psycopg"))
