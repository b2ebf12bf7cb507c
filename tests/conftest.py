"""Fixtures: projects in temporary folders, simulators on free local ports, a clock that tests turn themselves."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.cli.main import main
from noria.engine import Finished, Workspace, run_plan
from noria.metadata.clock import FakeClock
from noria.metadata.project import load_project
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import Running, serve
from noria.simulators.sink import Sink
from tests.postgres import Server, server

SEED = Path(__file__).parent / "seed"


@pytest.fixture(autouse=True)
def _language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests read English unless they say otherwise; coverage of child processes stays on."""
    monkeypatch.setenv("NORIA_LANG", "en")
    monkeypatch.setenv("OKKI_CLIENT_ID", "demo-client")
    monkeypatch.setenv("OKKI_CLIENT_SECRET", "demo-secret")


class Project:
    """A project in a temporary folder. `run()` runs a plan in this process on a fake clock."""

    def __init__(self, folder: Path, ledger_url: str = "") -> None:
        self.folder = folder
        self.ledger_url = ledger_url
        self.clock = FakeClock()
        (folder / "plans").mkdir(exist_ok=True)

    def connections(self, text: str) -> None:
        """Write `noria.toml`."""
        if self.ledger_url:
            text = f'[ledger]\nurl = "{self.ledger_url}"\n\n{text}'
        (self.folder / "noria.toml").write_text(text, encoding="utf-8")

    def plan(self, key: str, source: Any, target: Any, **rest: Any) -> Path:
        """Write a plan; `source` and `target` are (connection, metadata)."""
        document = {
            "name": rest.pop("name", key),
            "source": {"connection": source[0], "metadata": source[1]},
            "target": {"connection": target[0], "metadata": target[1]},
            **rest,
        }
        path = self.folder / "plans" / f"{key}.json"
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        return path

    def workspace(self) -> Workspace:
        """The project, open, on the fake clock."""
        return Workspace(load_project(self.folder), clock=self.clock)

    async def run(self, key: str) -> Finished:
        """One run of a plan."""
        async with self.workspace() as workspace:
            return await run_plan(workspace, workspace.project.plan(key))

    def ledger(self, key: str, read: Callable[[Any, int], Any]) -> Any:
        """What `read(ledger, plan_id)` gives."""
        from noria.ledger import ledger_of

        with ledger_of(load_project(self.folder)) as ledger:
            plan_id = ledger.runs.known_plan(key)
            assert plan_id is not None
            return read(ledger, plan_id)

    def records(self, key: str, **how: Any) -> list[dict[str, Any]]:
        """A plan's records."""
        return self.ledger(key, lambda ledger, plan: list(ledger.records.select(plan, **how)))

    def counts(self, key: str) -> dict[str, int]:
        """How many records are in each state (those that are any), counted one by one; what lists show is the same."""

        def counted(ledger: Any, plan: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
            return ledger.records.counts(plan), ledger.records.counts(plan, kept=True), ledger.records.counts(plan)

        found, shown, again = self.ledger(key, counted)
        assert found == shown or found != again, "counted one by one, and as lists show them"
        return {state: number for state, number in found.items() if number}

    def story(self, key: str, record_id: str) -> dict[str, Any]:
        """A record's story, as JSON prints it."""
        from noria.cli.output import _ENCODER

        story = self.ledger(key, lambda ledger, plan: ledger.records.story(plan, record_id))
        return json.loads(_ENCODER.encode(story))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules that say `BOTH_LEDGERS = True` run on SQLite and on PostgreSQL."""
    if "ledger_url" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_LEDGERS", False):
        metafunc.parametrize("ledger_kind", ["sqlite", "postgres"], indirect=True)


# What takes longest begins first, so that no process is left with it at the end.
_FIRST = (
    "tests/faults/test_schedules.py",
    "tests/faults/",
    "tests/browser/",
    "tests/differential/",
    "tests/integration/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order in which they are begun; each module's own stays."""
    items.sort(key=lambda item: next((n for n, name in enumerate(_FIRST) if name in str(item.path)), len(_FIRST)))


@pytest.fixture
def ledger_kind(request: pytest.FixtureRequest) -> str:
    """On which database the test's ledger is."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server of this test process."""
    # The data's path must be short enough for a socket in it, and open to the server's own user.
    with tempfile.TemporaryDirectory(prefix="noria-") as folder, server(Path(folder)) as running:
        yield running


@pytest.fixture
def ledger_url(ledger_kind: str, request: pytest.FixtureRequest) -> str:
    """Where the ledger is: nothing said, or the address of an empty one on the server."""
    return request.getfixturevalue("postgres").emptied() if ledger_kind == "postgres" else ""


@pytest.fixture
def project(tmp_path: Path, ledger_url: str) -> Project:
    """An empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, ledger_url)


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Any:
    """`main(arguments)` in this process: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


@pytest.fixture
async def sink() -> AsyncIterator[tuple[Sink, Running]]:
    """A target that keeps what it is sent."""
    simulator = Sink()
    async with serve(simulator) as running:
        yield simulator, running


@pytest.fixture
async def okki(project: Project) -> AsyncIterator[tuple[Okki, Running]]:
    """A simulated OKKI account on the project's clock: 30 users in 5 departments, 45 companies, 25 orders."""
    account = make_account(3, users=30, departments=5, companies=45, orders=25, leads=7, invalid=0)
    simulator = Okki(account, now=project.clock.now, sleep=project.clock.sleep)
    async with serve(simulator) as running:
        yield simulator, running


def connections(okki: str, sink: str, write: str = 'idempotency_header = "Idempotency-Key", batch_size = 10') -> str:
    """`noria.toml` for the two simulators; `write`: how the target is written to, apart from its results."""
    return f"""
[connections.okki]
connector = "okki"
base_url = "{okki}"
client_id = "env:OKKI_CLIENT_ID"
client_secret = "env:OKKI_CLIENT_SECRET"

[connections.sink]
connector = "http"
base_url = "{sink}"
envelope = {{ code = "code", success = [200], message = "message" }}
write = {{ results = "data.results", {write} }}
"""


USERS = {"api": "/v1/user/list", "method": "GET", "id": "user_id", "number": "nickname", "idCheck": True}
DEPARTMENTS = {
    "api": "/v1/user/departmentList",
    "method": "GET",
    "id": "id",
    "number": "name",
    "idCheck": False,
}
COMPANIES = {
    "api": "/v1/company/list",
    "method": "GET",
    "id": "company_id",
    "number": "serial_id",
    "idCheck": True,
    "request": [{"field": "count", "value": "10", "type": "string"}],
}
EMPTY = {"api": "写入空操作", "method": "POST", "idCheck": True}
ITEMS = {
    "api": "/items",
    "method": "POST",
    "idCheck": True,
    "request": [
        {"field": "id", "value": "{{user_id}}"},
        {"field": "name", "value": "{{full_name}}"},
    ],
}


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process."""
    return {**os.environ, **more}
