"""Figures by the hour: what a ledger of an older noria held is counted once, when it is brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from noria.ledger import migrations, open_ledger
from noria.ledger.postgres import postgres_engine
from noria.ledger.sqlite import sqlite_engine

BEFORE = (
    "INSERT INTO plans (plan_id, key, name) VALUES (1, 'p', 'p')",
    "INSERT INTO pages (page_id, plan_id, run_id, read_id, number, received_at, request, rows, body)"
    " VALUES (1, 1, 1, 1, 1, 7100.0, 'GET /x', 5, ''), (2, 1, 1, 1, 2, 7300.0, 'GET /x', 7, '')",
    "INSERT INTO batches (batch_id, plan_id, run_id, kind, first_seq, last_seq, rows, state, key, created_at,"
    " finished_at) VALUES (1, 1, 1, 'fresh', 1, 5, 5, 'delivered', 'a', 7000, 7199.9),"
    " (2, 1, 1, 'fresh', 6, 9, 4, 'delivered', 'b', 7300, 7300), (3, 1, 1, 'fresh', 10, 12, 3, 'sending', 'c', 7301,"
    " NULL), (4, 1, 1, 'retry', 9, 9, 1, 'failed', 'd', 7302, 7302)",
    "INSERT INTO exceptions (plan_id, seq, state, batch_id, updated_at) VALUES (1, 2, 'dead', 1, 7199), (1, 9, 'failed',"
    " 4, 7302)",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_ledger_of_an_older_noria_is_counted(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        address, engine = "sqlite:///l.db", sqlite_engine(sa.make_url(f"sqlite:///{tmp_path / 'l.db'}"), "NORMAL")
    else:
        server: Any = request.getfixturevalue("postgres")
        server.run("CREATE DATABASE older")
        address = server.address("older")
        engine = postgres_engine(sa.make_url(address))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["engine"] = engine
    command.upgrade(config, "0007")
    with engine.begin() as connection:
        for statement in BEFORE:
            connection.exec_driver_sql(statement)
    engine.dispose()
    with open_ledger(address, tmp_path) as ledger:
        found = ledger.store.tuples("SELECT hour, staged, delivered, troubled FROM tallies ORDER BY hour")
    assert found == [(1, 5, 4, 0), (2, 7, 4, 0)]
