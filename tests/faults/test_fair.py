"""Plans in different processes share a connection's limit: a first load does not starve a plan of ten."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from noria.ledger import open_ledger
from tests.conftest import environment

SENDERS, LOAD = 8, 8000


def test_a_first_load_in_other_processes_does_not_starve_a_plan_of_ten(postgres: Any) -> None:
    address = postgres.emptied()
    with open_ledger(address, Path()), psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS grants")
        connection.execute("CREATE TABLE grants (n SERIAL PRIMARY KEY, name TEXT NOT NULL, what TEXT NOT NULL)")

        def start(name: str, requests: int, senders: int) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "tests.faults.taker", address, name, str(requests), str(senders)]
            return subprocess.Popen(command, env=environment())

        def sent(name: str) -> list[int]:
            asked = "SELECT n FROM grants WHERE name = %s AND what = 'sent' ORDER BY n"
            return [row[0] for row in connection.execute(asked, [name]).fetchall()]

        loads = [start(name, LOAD, SENDERS) for name in ("one load", "another load")]
        try:
            end = time.monotonic() + 60
            while not (sent("one load") and sent("another load")):
                assert time.monotonic() < end
                time.sleep(0.05)
            assert start("ten", 10, 1).wait(100) == 0
        finally:
            for one in loads:
                one.kill()
                one.wait(10)
        began = connection.execute("SELECT n FROM grants WHERE name = 'ten' AND what = 'begun'").fetchone()
        ten = sent("ten")
        connection.execute("DROP TABLE grants")
    assert began is not None and len(ten) == 10
    # Which process finds a place first is chance, and a busy machine's: it is not to be the loads' whole work.
    assert ten[-1] - began[0] <= 2 * LOAD / 10, ten
