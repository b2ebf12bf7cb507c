"""Moving a ledger to another database: every row, proved by a count and a digest of each table on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Table
from xxhash import xxh3_128

from noria.ledger.schema import lookup_fields, lookup_keys, metadata
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError

_AT_ONCE = 1000
# Indexes that look-ups make for themselves are made anew when they are asked for.
_MADE_ANEW = frozenset((lookup_fields.name, lookup_keys.name))
_PACK = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class Moved:
    """A table that was moved: how many rows it has, and the digest of them all in the order of their keys (xxh3-128,
    hexadecimal), which both sides share."""

    table: str
    rows: int
    digest: str


def move(source: Store, target: Store, now: float, moved: Callable[[Moved], None] = lambda _: None) -> list[Moved]:
    """Copy every row of a ledger into an empty one, in one transaction; `moved` is told of each table.

    Raises `NoriaError` where the target holds records already, where a run is under way in the source (`now`: epoch
    seconds), or where a table is not the same on both sides afterwards; the target is then as empty as before.
    """
    if target.tuples("SELECT 1 FROM plans LIMIT 1"):
        raise NoriaError("ledger", Message("move.not_empty"), hint=Message("move.not_empty_hint"))
    with source.snapshot() as read, target.transaction() as c:
        c.unhurried()
        if any(row[0] > source.time(now) for row in list(read("SELECT expires_at FROM leases"))):
            raise NoriaError("busy", Message("move.busy"), hint=Message("move.busy_hint"))
        c.run("DELETE FROM facts")
        done = []
        for table in metadata.sorted_tables:
            if table.name in _MADE_ANEW:
                continue
            one = _copied(table, read, c)
            there = _seen(table, c.stream(_statement(table)))
            if there != one:
                values = {"table": table.name, "rows": one.rows, "there": there.rows}
                raise NoriaError("ledger", Message("move.differs", values))
            done.append(one)
            moved(one)
    return done


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _statement(table: Table) -> str:
    keys = ", ".join(column.name for column in table.primary_key.columns)
    return f"SELECT {', '.join(_columns(table))} FROM {table.name} ORDER BY {keys}"


def _copied(table: Table, read: Callable[[str], Iterator[Any]], c: Transaction) -> Moved:
    digest, count = xxh3_128(), 0
    rows = read(_statement(table))
    while part := [tuple(row) for row in islice(rows, _AT_ONCE)]:
        for row in part:
            digest.update(_PACK.encode(row))
        count += len(part)
        if not c.add_new(table.name, _columns(table), part):
            raise NoriaError("ledger", Message("move.not_empty"), hint=Message("move.not_empty_hint"))
    if table.autoincrement_column is not None:
        c.number_from(table.name, table.autoincrement_column.name)
    return Moved(table.name, count, digest.hexdigest())


def _seen(table: Table, rows: Iterator[Any]) -> Moved:
    digest, count = xxh3_128(), 0
    for row in rows:
        digest.update(_PACK.encode(tuple(row)))
        count += 1
    return Moved(table.name, count, digest.hexdigest())
