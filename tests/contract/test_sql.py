"""Connector `sql` against real databases: SQLite, PostgreSQL, MariaDB."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.connectors.sql.database import Database, SqlSettings, address
from noria.connectors.target import Row
from noria.messages import Message
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.testing.trial import Trial, giving, trial
from tests.differential import server

MONEY, BIG = "12345678901234567.8901", 9_007_199_254_740_993
EMPTY = {"api": "写入空操作"}


class Db:
    """A database of one kind, emptied."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.engine = create_engine(address(SqlSettings(url=url)))

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for one in statements:
                connection.execute(text(one))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @property
    def decimal(self) -> str:
        # SQLite keeps all digits of a text only.
        return "TEXT" if self.kind == "sqlite" else "DECIMAL(24, 4)"

    @property
    def serial(self) -> str:
        return {
            "sqlite": "INTEGER PRIMARY KEY",
            "postgres": "BIGSERIAL PRIMARY KEY",
            "mariadb": "BIGINT AUTO_INCREMENT PRIMARY KEY",
        }[self.kind]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Path | None]:
    if not server.available():
        yield None
        return
    with server.running() as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Db]:
    kind = request.param
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'own.db'}"
    elif kind == "postgres":
        running = request.getfixturevalue("postgres")
        running.run("DROP DATABASE IF EXISTS shop")
        running.run("CREATE DATABASE shop")
        url = running.address("shop")
    else:
        socket = request.getfixturevalue("mariadb")
        if socket is None:
            pytest.skip("no MariaDB here")
        with server.connect(socket).cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS shop")
            cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        url = f"mysql://root@localhost/shop?unix_socket={socket}"
    made = Db(kind, url)
    yield made
    made.engine.dispose()


def reading(db: Db, clock: FakeClock, metadata: dict[str, Any], **options: Any) -> Any:
    made = trial(clock, {"db": {"connector": "sql", "url": db.url}, "inside": {"connector": "noria"}})

    class Opened:
        def __enter__(self) -> Trial:
            tried = made.__enter__()
            tried.plan(("db", metadata), ("inside", EMPTY), options)
            return tried

        def __exit__(self, *error: Any) -> None:
            made.__exit__(*error)

    return Opened()


@asynccontextmanager
async def writing(
    db: Db,
    records: list[dict[str, Any]],
    metadata: dict[str, Any],
    *,
    options: dict[str, Any] | None = None,
    **table: Any,
) -> AsyncIterator[Trial]:
    async with giving(records) as url:
        tables = {"db": {"connector": "sql", "url": db.url, **table}, "records": {"connector": "http", "base_url": url}}
        with trial(FakeClock(), tables) as tried:
            tried.plan(("records", {"api": "/records", "id": "id"}), ("db", metadata), options or {})
            yield tried


def bills(db: Db, count: int) -> None:
    db.run(f"CREATE TABLE bills (id BIGINT PRIMARY KEY, no VARCHAR(40), amount {db.decimal}, at TIMESTAMP)")
    with db.engine.begin() as connection:
        rows = [
            {
                "id": BIG + n,
                "no": f"单 {n} 😀",
                "amount": MONEY,
                "at": f"2024-03-0{1 + n // 500} 08:{n // 60 % 60:02}:{n % 60:02}",
            }
            for n in range(count)
        ]
        connection.execute(text("INSERT INTO bills VALUES (:id, :no, :amount, :at)"), rows)


SELECT = {
    "api": "select",
    "method": "SQL",
    "id": "id",
    "number": "no",
    "idCheck": True,
    "request": [
        {
            "field": "main_params",
            "type": "object",
            "children": [
                {"field": "limit", "type": "int", "value": "{{PAGINATION_PAGE_SIZE}}", "parent": "main_params"},
                {"field": "offset", "type": "int", "value": "{{PAGINATION_START_ROW}}", "parent": "main_params"},
            ],
        }
    ],
    "otherRequest": [
        {"field": "main_sql", "value": "SELECT * FROM bills WHERE no <> ':x' ORDER BY id LIMIT :limit OFFSET :offset"}
    ],
    "pagination": {"pageSize": 100},
}


async def test_a_statement_is_read_page_by_page_and_exactly(db: Db) -> None:
    bills(db, 250)
    with reading(db, FakeClock(), SELECT) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        raws = tried.raws()
    assert len(raws) == 250 and finished.counts.pages >= 3
    row = json.loads(raws[str(BIG + 7)], parse_float=Decimal)
    assert row["no"] == "单 7 😀" and str(row["amount"]) == MONEY
    assert row["at"].startswith("2024-03-01") and row["at"].endswith("08:00:07")


async def test_a_table_is_read_on_from_where_it_was(db: Db) -> None:
    bills(db, 2300)
    metadata = {
        "api": "table",
        "id": "id",
        "request": [
            {"field": "table", "value": "bills"},
            {"field": "column", "value": "at"},
            {"field": "key", "value": "id"},
            {"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"},
        ],
    }
    clock = FakeClock(1_710_000_000.0)
    with reading(db, clock, metadata, start="2024-01-01", on_change="deliver") as tried:
        first = await tried.run()
        assert (first.status, first.counts.staged, first.counts.pages) == ("done", 2300, 3), str(first.error)
        clock.time += 3600
        db.run(f"UPDATE bills SET no = '改', at = '2024-03-10 00:30:00' WHERE id = {BIG + 5}")
        db.run("INSERT INTO bills VALUES (1, '新', '1', '2024-03-10 00:31:00')")
        clock.time += 3600
        second = await tried.run()
        assert (second.counts.staged, second.counts.pages) == (2, 1)
        assert json.loads(tried.raws()[str(BIG + 5)])["no"] == "改" and len(tried.raws()) == 2301


async def test_a_statement_without_an_end_is_refused(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    bills(db, 30)
    monkeypatch.setattr("noria.connectors.sql.reading.MOST_ROWS", 20)
    metadata = {
        "api": "select",
        "method": "SQL",
        "id": "id",
        "request": [{"field": "main_sql", "value": "SELECT * FROM bills"}],
    }
    with reading(db, FakeClock(), metadata) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "more than 20 rows" in str(failed.error)
        monkeypatch.setattr("noria.connectors.sql.reading.MOST_ROWS", 30)
        assert (await tried.run()).counts.staged == 30


LEADS = [
    {"id": n, "serial": f"L{n}", "contacts": [{"name": "O'Neil", "tel": "1"}, {"name": "赵", "tel": None}]}
    for n in range(5)
]
EXECUTE = {
    "api": "execute",
    "method": "SQL",
    "request": [
        {"field": "main_params", "type": "object", "children": [{"field": "serial", "value": "{{serial}}"}]},
        {
            "field": "extend_params_1",
            "type": "array",
            "value": "contacts",
            "children": [
                {"field": "lead", "value": ":lastInsertId"},
                {"field": "name", "value": "{{contacts.name}}"},
                {"field": "tel", "value": "{{contacts.tel}}"},
            ],
        },
    ],
    "otherRequest": [
        {"field": "main_sql", "value": "INSERT INTO leads (serial) VALUES (:serial)"},
        {"field": "extend_sql_1", "value": "INSERT INTO contacts (lead, name, tel) VALUES (:lead, :name, :tel)"},
    ],
}


def leads(db: Db) -> None:
    db.run(
        f"CREATE TABLE leads (id {db.serial}, serial VARCHAR(20) UNIQUE)",
        "CREATE TABLE contacts (lead BIGINT, name VARCHAR(40), tel VARCHAR(20))",
    )


async def test_documents_with_their_lines_are_written_whole_or_not_at_all(db: Db) -> None:
    leads(db)
    db.run("INSERT INTO leads (serial) VALUES ('L3')")
    async with writing(db, LEADS, EXECUTE) as tried:
        finished = await tried.run()
        assert finished.status == "incomplete" and finished.counts.delivered == 4, str(finished.error)
        refused = [one for one in tried.records() if one["state"] != "delivered"]
        assert ([one["id"] for one in refused] == ["3"] and "L3" in str(refused[0]["reason"])) or db.kind == "sqlite"
    found = db.rows("SELECT l.serial, c.name, c.tel FROM leads l JOIN contacts c ON c.lead = l.id ORDER BY 1, 2")
    assert found == [(f"L{n}", *line) for n in (0, 1, 2, 4) for line in (("O'Neil", "1"), ("赵", None))]
    assert db.rows("SELECT COUNT(*) FROM contacts") == [(8,)]


GOODS = [{"id": n, "sku": BIG + n, "name": f"货 {n} 😀", "price": MONEY} for n in range(7)]
_COLUMNS = [
    {"field": "price", "value": "{{price}}"},
    {"field": "sku", "type": "int", "value": "{{sku}}"},
    {"field": "name", "value": "{{name}}"},
]
BATCH = {
    "api": "batchexecute",
    "method": "SQL",
    "request": _COLUMNS,
    "otherRequest": [{"field": "main_sql", "value": "INSERT INTO goods (sku, name, price) VALUES"}],
}
UPSERT = {
    "api": "upsert",
    "request": _COLUMNS,
    "otherRequest": [{"field": "table", "value": "goods"}, {"field": "key", "value": "sku"}],
}


def goods(db: Db, unique: str = "PRIMARY KEY") -> None:
    db.run(f"CREATE TABLE goods (sku BIGINT {unique}, name VARCHAR(40), price {db.decimal})")


def exactly(db: Db) -> list[tuple[Any, ...]]:
    return [
        (sku, name, str(price)) for sku, name, price in db.rows("SELECT sku, name, price FROM goods ORDER BY sku, name")
    ]


async def test_columns_are_those_that_the_statement_names(db: Db) -> None:
    goods(db)
    db.run(f"INSERT INTO goods VALUES ({BIG + 2}, 'there', '1')")
    async with writing(db, GOODS, BATCH) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.delivered) == ("incomplete", 6), str(finished.error)
        assert [one["id"] for one in tried.records() if one["state"] != "delivered"] == ["2"]
    assert exactly(db)[3:] == [(BIG + n, f"货 {n} 😀", MONEY) for n in range(3, 7)]


async def test_a_number_keeps_its_digits(db: Db) -> None:
    goods(db)
    connection = open_connection("db", {"connector": "sql", "url": db.url}, Path(), redactor=Redactor())
    said = {"table": "goods", "key": "sku"}
    target = connection.connector.target(
        connection.transport, connection.settings, api="upsert", method=None, batch_size=None, options=said
    )
    body = f'[{{"sku": 1, "name": "a", "price": {MONEY}}}]'.encode()
    await target.send(body, "key", [Row("1", body[1:-1])])
    await connection.close()
    assert exactly(db) == [(1, "a", MONEY)]


async def test_an_upsert_changes_what_is_there(db: Db) -> None:
    goods(db)
    db.run(f"INSERT INTO goods VALUES ({BIG + 2}, 'there', '1')")
    async with writing(db, GOODS, UPSERT) as tried:
        assert (await tried.run()).status == "done"
        assert (await tried.run()).counts.delivered == 0
    assert exactly(db) == [(BIG + n, f"货 {n} 😀", MONEY) for n in range(7)]


@pytest.mark.parametrize("marks", ["", "noria_batches"])
async def test_a_commit_that_nobody_heard_of(db: Db, marks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With marks it is found out; without them it waits for a person, as the plan wants."""
    goods(db, "NOT NULL")
    lost: list[str] = []
    done = Database._done

    def losing(self: Database, shown: str, work: Any, writes: bool) -> Any:
        found = done(self, shown, work, writes)
        if writes and not lost:
            lost.append(shown)
            raise Failure("doubt", Message("http.cut", {"reason": "gone"}))
        return found

    monkeypatch.setattr(Database, "_done", losing)
    options = {"on_doubt": "hold", "batch_size": 3, "concurrency": 1}
    async with writing(db, GOODS, BATCH, options=options, **({"marks": marks} if marks else {})) as tried:
        await tried.run()
        tried.clock.time += 7200
        await tried.run()
        states = [one["state"] for one in tried.records()]
    assert lost and states.count("held") == (0 if marks else 3) and states.count("delivered") == (7 if marks else 4)
    assert exactly(db) == [(BIG + n, f"货 {n} 😀", MONEY) for n in range(7)]


async def test_a_database_that_is_not_there_is_tried_again_and_shows_no_password(tmp_path: Path) -> None:
    table = {"connector": "sql", "url": "postgresql://127.0.0.1:9/none", "user": "u", "password": "hush-hush-1"}
    with trial(FakeClock(), {"db": table, "inside": {"connector": "noria"}}) as tried:
        tried.plan(("db", SELECT), ("inside", EMPTY), {})
        failed = await tried.run()
        assert failed.status == "failed" and sum(tried.clock.slept) > 1
        assert "hush-hush" not in f"{failed.error}{tried.everything()}"


async def test_credentials_that_are_refused(mariadb: Path | None) -> None:
    if mariadb is None:
        pytest.skip("no MariaDB here")
    url = f"mysql://localhost/mysql?unix_socket={mariadb}"
    table = {"connector": "sql", "url": url, "user": "root", "password": "hush-hush-1"}
    with trial(FakeClock(), {"db": table, "inside": {"connector": "noria"}}) as tried:
        tried.plan(("db", SELECT), ("inside", EMPTY), {})
        failed = await tried.run()
        assert failed.status == "failed" and "ccess denied" in str(failed.error) and tried.clock.slept == []
        assert "hush-hush" not in f"{failed.error}{tried.everything()}"


@pytest.mark.parametrize("name", ["bills; DROP TABLE bills", "bills b", "", 'b"c'])
async def test_names_are_names(db: Db, name: str) -> None:
    bills(db, 3)
    request = [{"field": "table", "value": name}, {"field": "key", "value": "id"}]
    with reading(db, FakeClock(), {"api": "table", "id": "id", "request": request}) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "no name of a table" in str(failed.error)
    assert db.rows("SELECT COUNT(*) FROM bills") == [(3,)]
