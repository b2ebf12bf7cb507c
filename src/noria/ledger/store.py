"""A ledger's database: transactions and reading statements, whatever database it is.

Statements are written once, in the words that SQLite and PostgreSQL share, with `:name` parameters and four words of
SQLite's that the other store translates: `json_each(:ids) j` (a JSON list as rows; integers where the parameter is
called `seqs`), `INDEXED BY`, `?` in statements for many rows. `FOR UPDATE`, with or without `SKIP LOCKED`,
and `FOR SHARE` at a statement's end are left out on SQLite, which has but one writer.

Rows are locked in one order: leases (the run's own first), then the plan's row, then what belongs to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import zstandard
from sqlalchemy import Engine

from noria.messages import Message
from noria.metadata.errors import NoriaError


class Holder(Protocol):
    """A run, as far as a transaction asks whether it still holds its plan."""

    @property
    def run_id(self) -> int: ...
    @property
    def plan_id(self) -> int: ...
    @property
    def fence(self) -> int: ...
    @property
    def stage(self) -> str: ...


@lru_cache(maxsize=256)
def row_type(names: tuple[str, ...]) -> Any:
    """A type of rows with these columns."""
    return namedtuple("Row", names, rename=True)


def named(cursor: Any) -> list[Any]:
    """A cursor's rows with their columns by name."""
    make = row_type(tuple(column[0] for column in cursor.description))
    return [make(*row) for row in cursor.fetchall()]


_HELD = "SELECT 1 FROM leases WHERE plan_id = :p AND stage = :stage AND fence = :fence FOR UPDATE"


class Transaction(ABC):
    """An open transaction: statements straight to the driver."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @staticmethod
    @abstractmethod
    def sql(statement: str) -> str:
        """A statement as the driver takes it."""

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> Any:
        """Run one statement; gives the driver's cursor."""
        return self._connection.execute(self.sql(statement), values or {})

    @abstractmethod
    def many(self, statement: str, rows: Sequence[Any]) -> int:
        """Run one statement for each of `rows`; gives how many rows of the database it changed."""

    @abstractmethod
    def new_page_id(self) -> int:
        """The number of a new page."""

    def add_new(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bool:
        """Insert rows none of which may be there yet; where one is, nothing is inserted and the answer is no."""
        self.run("SAVEPOINT add_new")
        if not self._insert(table, columns, rows):
            self.run("ROLLBACK TO add_new")
            return False
        self.run("RELEASE add_new")
        return True

    @abstractmethod
    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bool:
        """Insert rows; whether all of them went in, else the caller takes back what did."""

    @abstractmethod
    def stream(self, statement: str) -> Iterator[Any]:
        """The rows of a reading statement inside the transaction, some at a time."""

    @abstractmethod
    def unhurried(self) -> None:
        """Let the transaction take as long as it takes."""

    @abstractmethod
    def number_from(self, table: str, column: str) -> None:
        """Give new rows numbers beyond those that a table has."""

    def hold(self, run: Holder) -> None:
        """Make sure that a run still holds its plan, until the transaction ends; raises `NoriaError` (`superseded`)."""
        if not self.run(_HELD, {"p": run.plan_id, "stage": run.stage, "fence": run.fence}).fetchall():
            raise NoriaError("superseded", Message("run.superseded", {"run": run.run_id}))

    def value(self, statement: str, values: Mapping[str, Any]) -> Any:
        """The first column of the first row; None when there is no row."""
        found = self.run(statement, values).fetchall()
        return found[0][0] if found else None

    def row(self, statement: str, values: Mapping[str, Any]) -> Any:
        """The first row of a reading statement, its columns by name; None when there is none."""
        found = self.rows(statement, values)
        return found[0] if found else None

    def rows(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """Every row of a reading statement, columns by name."""
        return named(self.run(statement, values))


class Store(ABC):
    """An open ledger database: one connection that writes, one that reads what is committed."""

    #: What the driver's errors are.
    errors: ClassVar[type[Exception]]
    #: How a transaction that writes begins.
    begin: ClassVar[str]
    transactions: ClassVar[type[Transaction]]

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # The driver's own connections: hot statements go there without a layer between.
        self._writing: Any = self._connect()
        self._reading: Any = self._connect()
        # How far the database's clock is ahead of this machine's, in seconds; whether leases go by that one.
        self.ahead = 0.0
        self.shares = False
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    @abstractmethod
    def synchronize(self, now: float) -> None:
        """From now on leases go by the database's clock, where it has one (`now`: epoch seconds by this machine's)."""

    def time(self, now: float) -> float:
        """`now` (epoch seconds by this machine's clock) by the clock that leases go by."""
        return now

    @abstractmethod
    def _connect(self) -> Any:
        """A connection of the driver's that commits each statement by itself unless told otherwise."""

    @abstractmethod
    def _in_transaction(self) -> bool:
        """Whether the writing connection is in a transaction that could be rolled back."""

    @abstractmethod
    def _mend(self) -> None:
        """Open connections anew that were lost."""

    @contextmanager
    def transaction(self, holder: Holder | None = None) -> Iterator[Transaction]:
        """One transaction: all of it or nothing. `holder`: the run for whose plan it is, which must still hold it."""
        try:
            self._mend()
            self._writing.execute(self.begin)
            transaction = self.transactions(self._writing)
            try:
                if holder is not None:
                    transaction.hold(holder)
                yield transaction
                self._writing.execute("COMMIT")
            except BaseException:
                # A full disk or a lost connection ends the transaction by itself.
                if self._in_transaction():
                    self._writing.execute("ROLLBACK")
                raise
        except self.errors as error:
            raise unusable(error) from error

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a reading statement, outside any transaction, columns by name."""
        return named(self._read(statement, values))

    def tuples(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Likewise for a hot statement, as plain tuples."""
        found: list[tuple[Any, ...]] = self._read(statement, values).fetchall()
        return found

    def _read(self, statement: str, values: Mapping[str, Any]) -> Any:
        try:
            self._mend()
            return self._reading.execute(self.transactions.sql(statement), values)
        except self.errors as error:
            raise unusable(error) from error

    @abstractmethod
    def stream(self, statement: str, **values: Any) -> Iterator[Any]:
        """The rows of a reading statement, one at a time, on a connection of their own."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Callable[[str], Iterator[Any]]]:
        """Everything as it is at one moment, while nobody begins a run: gives what runs a reading statement on it."""

    @abstractmethod
    def analyze(self, *tables: str) -> None:
        """Have the database look at how much is in these tables, where it plans by that and does not know yet."""

    @abstractmethod
    def vacuum(self) -> None:
        """Rewrite the database without the room that nothing needs any more."""

    def pack(self, body: bytes) -> bytes:
        """A body as it is stored."""
        return self._compressor.compress(body)

    def unpack(self, body: bytes) -> bytes:
        """A stored body as it was."""
        return self._decompressor.decompress(body)

    def close(self) -> None:
        """Close both connections."""
        self._writing.close()
        self._reading.close()
        self.engine.dispose()


def unusable(error: Exception) -> NoriaError:
    """A database's own error, as one a person can act on."""
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return NoriaError("ledger", Message("ledger.unusable", {"reason": reason}), hint=Message("ledger.unusable_hint"))
