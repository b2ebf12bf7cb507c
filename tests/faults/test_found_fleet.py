"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.faults.fleet import Fleet


def cut(fleet: Fleet, only: str = "") -> None:
    """Every connection to the ledger is cut; the server is there at once (a fail-over, an administrator)."""
    with psycopg.connect(fleet.address, autocommit=True) as c:
        c.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            + (f" AND application_name = '{only}'" if only else "")
        )


@pytest.mark.parametrize("only", ["", "noria"])
@pytest.mark.parametrize("times", [1, 4])
def test_connections_to_the_ledger_that_are_cut_lose_no_fire(fleet: Fleet, only: str, times: int) -> None:
    fleet.plan("p", concurrency=1)
    fleet.start(1)
    fleet.want("p")
    fleet.until(lambda: len(fleet.sink.rows) > 10)
    for _ in range(times):
        cut(fleet, only)
        time.sleep(0.7)
    fleet.until(fleet.done, 60)
    fleet.judge("p")
