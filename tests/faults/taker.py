"""A process that takes places of a shared limit: `python -m tests.faults.taker ADDRESS NAME REQUESTS SENDERS`. The table
`grants` says in which order processes got theirs."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import psycopg

from noria.connectors.limits import Gate
from noria.connectors.settings import Limits
from noria.ledger import open_ledger
from noria.ledger.places import SharedPlaces
from noria.metadata.clock import SystemClock


async def main(address: str, name: str, requests: int, senders: int) -> None:
    with open_ledger(address, Path()) as ledger, psycopg.connect(address, autocommit=True) as connection:
        ledger.store.synchronize(time.time())
        gate = Gate("c", Limits(per_second=20), SystemClock(), SharedPlaces(ledger.store, time.time))
        connection.execute("INSERT INTO grants (name, what) VALUES (%s, 'begun')", [name])

        async def send() -> None:
            for _ in range(requests // senders):
                async with gate.place("/x"):
                    connection.execute("INSERT INTO grants (name, what) VALUES (%s, 'sent')", [name])

        await asyncio.gather(*(send() for _ in range(senders)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
