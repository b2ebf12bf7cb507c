"""A real MariaDB for one test session: its own data folder, a socket, no network; stopped by its process id."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

BINARIES = ("mariadbd", "mariadb-install-db")


def available() -> bool:
    """Whether the machine has a MariaDB server."""
    return all(_path(name) for name in BINARIES)


def _path(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running() -> Iterator[Path]:
    """A server; gives its socket."""
    # The path of a socket has at most 107 bytes, so it does not stand in pytest's long folders.
    with tempfile.TemporaryDirectory(prefix="noria-") as folder:
        data, socket = Path(folder) / "data", Path(folder) / "s"
        user = getpass.getuser()
        subprocess.run(
            [
                str(_path("mariadb-install-db")),
                "--no-defaults",
                f"--datadir={data}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    str(_path("mariadbd")),
                    "--no-defaults",
                    f"--datadir={data}",
                    f"--socket={socket}",
                    f"--pid-file={Path(folder) / 'pid'}",
                    f"--user={user}",
                    "--skip-networking",
                    "--innodb-buffer-pool-size=8M",
                    "--innodb-flush-log-at-trx-commit=0",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            for _ in range(600):
                if server.poll() is not None:
                    raise RuntimeError((Path(folder) / "log").read_text("utf-8", "replace")[-2000:])
                try:
                    connect(socket).close()
                    break
                except pymysql.Error:
                    time.sleep(0.05)
            yield socket
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.kill(server.pid, 9)
                server.wait()


def connect(socket: Path) -> Any:
    """A session with the character set and mode that plans are evaluated under."""
    connection = pymysql.connect(unix_socket=str(socket), user="root", charset="utf8mb4", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci")
        cursor.execute("SET SESSION sql_mode = 'NO_ZERO_DATE,NO_ZERO_IN_DATE', time_zone = '+08:00'")
        cursor.execute("SET SESSION timestamp = 1700086400")
    return connection
