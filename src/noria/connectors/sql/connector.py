"""Connector `sql`: databases that SQLAlchemy speaks to: SQLite, PostgreSQL, MySQL, MariaDB.

A plan says as on the platform: `select` with `main_sql` and its binds in `main_params`; `execute` with `main_sql`,
`main_params`, and `extend_sql_1` … for lines (`:lastInsertId` is the id that the main statement gave); `batchexecute`
with `INSERT INTO t (a, b) VALUES`, whose columns are the plan's `request`. Beyond the platform: `table` reads a table
from a column on, page by page after the last row (keyset), and `upsert` writes rows by their key.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.settings import HttpSettings, Paging, Write
from noria.connectors.sql.database import Database, SqlSettings, address
from noria.connectors.sql.reading import Query
from noria.connectors.sql.writing import Rows
from noria.messages import Message
from noria.metadata.errors import Problem


def _check(own: SqlSettings, name: str, path: str) -> list[Problem]:
    try:
        address(own).get_dialect()
    except (SQLAlchemyError, ValueError, NoSuchModuleError):
        hint = Message("sql.url_hint")
        return [Problem(Message("sql.bad_url", {"url": own.url.split("@")[-1]}), f"{path}.url", hint)]
    return []


SQL = Connector(
    name="sql",
    title=("数据库：SQLite、PostgreSQL、MySQL/MariaDB", "databases: SQLite, PostgreSQL, MySQL/MariaDB"),
    settings_type=SqlSettings,
    to_http=lambda own: HttpSettings(
        connector="sql",
        base_url=f"http://{own.url.split('@')[-1].partition('://')[2].strip('/') or 'database'}",
        timezone=own.timezone,
        paging=Paging(type="none", size=1000),
        limits=own.limits,
        write=Write(batch_size=own.batch_size),
    ),
    check=_check,
    endpoints=(
        Endpoint("select", "POST", name="main_sql", reads="list"),
        Endpoint(
            "table",
            "POST",
            name="table, key, column, since",
            reads="list",
            paging=Paging(type="cursor", next="next", size=1000),
        ),
        Endpoint("execute", "POST", name="main_sql + extend_sql"),
        Endpoint("batchexecute", "POST", name="INSERT … VALUES"),
        Endpoint("upsert", "POST", name="table, key"),
    ),
    promises={
        "keys": ("setting", "guarantee.sql_keys"),
        "results": ("yes", "guarantee.sql_results"),
        "upsert": ("yes", "guarantee.sql_upsert"),
        "paging": ("yes", "guarantee.sql_paging"),
    },
    source_type=Query,
    target_type=Rows,
    options_apart=True,
    reached=lambda own, folder: partial(Database, own, folder),
)
