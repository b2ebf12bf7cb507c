"""The commands that look after what was moved, as people and scripts call them: sweep, reconcile, prune, connectors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from noria.cli.main import main
from noria.cli.output import _ENCODER
from noria.connectors import CONNECTORS
from noria.connectors.guarantees import guarantees
from noria.ledger import Ledger, open_ledger
from noria.ledger.moving import Moved
from noria.messages import t
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.sink import Sink
from tests.conftest import Project
from tests.integration.test_upkeep import LISTING, PAGED, prepared
from tests.servers import beside

Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def called(called: Any, project: Project) -> Called:
    """A command of the project: exit code, standard output, error output."""
    return lambda *arguments: called(*arguments, "--project", str(project.folder))  # type: ignore[no-any-return]


@pytest.fixture
def okki() -> Any:
    account = make_account(3, users=0, departments=1, companies=45, orders=0, leads=0, invalid=0)
    simulator = Okki(account)
    with beside(simulator) as running:
        yield simulator, running


@pytest.fixture
def sink() -> Any:
    simulator = Sink()
    with beside(simulator) as running:
        yield simulator, running


@pytest.fixture
def ready(project: Project, okki: Any, sink: Any, called: Called) -> Project:
    """A plan that asks for what changed, run once; then a row without a time comes and another changes silently."""
    prepared(project, okki, sink, LISTING, PAGED)
    assert called("run", "companies")[0] == 0
    okki[0].mutate("insert", "companies", None, {"update_time": None})
    okki[0].mutate("update", "companies", "1000000007", {"name": "silently"})
    return project


@pytest.mark.usefixtures("ready")
def test_sweep_reports_what_it_found_and_delivers_it(called: Called, sink: Any) -> None:
    code, out, _ = called("sweep", "companies", "--json")
    recent = json.loads(out)
    assert (code, recent["missing_count"], recent["changed_count"], recent["staged"]) == (0, 0, 0, 0)
    code, out, _ = called("sweep", "companies", "--all", "--json")
    swept = json.loads(out)
    assert (code, swept["status"]) == (0, "done") and swept["from"] is None
    assert (swept["missing"], swept["changed"]) == (["1000000045"], ["1000000007"])
    assert (swept["staged"], swept["delivered"]) == (2, 2)
    assert sink[0].rows["1000000007"]["name"] == "silently"
    code, out, _ = called("sweep", "companies", "--from", "2024-01-01", "--to", "2024-01-02")
    assert code == 0 and "2024-01-0" in out


@pytest.mark.usefixtures("ready")
def test_reconcile_names_differences_and_mends_them(called: Called, sink: Any) -> None:
    del sink[0].rows["1000000011"]
    code, out, _ = called("reconcile", "companies", "--json")
    found = json.loads(out)
    assert code == 3 and (found["source"], found["ledger"], found["target"]) == (46, 45, 44)
    text = json.dumps(found)
    assert all(one in text for one in ("1000000045", "1000000007", "1000000011"))
    code, out, _ = called("reconcile", "companies")
    assert code == 3 and "1000000011" in out
    code, out, _ = called("reconcile", "companies", "--no-target", "--json")
    assert code == 3 and json.loads(out)["target"] is None
    code, out, _ = called("reconcile", "companies", "--fix", "--json")
    assert code == 0, out
    code, out, _ = called("reconcile", "companies")
    assert code == 0 and t("reconcile.equal") in out


@pytest.mark.usefixtures("ready")
def test_reconcile_that_can_not_read_is_an_error(called: Called, okki: Any) -> None:
    okki[0].faults.add({"kind": "status", "status": 400, "times": None, "path": "/v1/company"})
    code, out, _ = called("reconcile", "companies", "--json")
    assert code == 1 and json.loads(out)["error"]["code"] == "failed"


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    "arguments",
    [("--from", "2024-02-01", "--to", "2024-01-01"), ("--from", "soon"), ("--from", "2024-01-01", "--all")],
)
def test_windows_that_make_no_sense(called: Called, arguments: tuple[str, ...]) -> None:
    code, out, _ = called("sweep", "companies", *arguments, "--json")
    assert code == 2 and json.loads(out)["error"]["code"] == "usage"


def test_prune_counts_or_lets_go(called: Called, ready: Project) -> None:
    with (ready.folder / "noria.toml").open("a") as file:
        file.write('\n[ledger.keep]\nbodies = "0d"\npayloads = "0d"\nattempts = "0d"\n')
    code, out, _ = called("prune", "--dry-run", "--json")
    counted = json.loads(out)
    assert code == 0 and counted["dry_run"] and counted["bodies"] == 5
    code, out, _ = called("prune", "--compact", "--json")
    assert code == 0 and json.loads(out) == {**counted, "dry_run": False}
    code, out, _ = called("prune")
    assert code == 0 and t("prune.bodies") in out
    assert len(ready.records("companies")) == 45
    assert json.loads(called("sweep", "companies", "--all", "--json")[1])["delivered"] == 2, "only what has changed"


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_connectors_show_what_they_promise(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            main(["connectors", name, *arguments])
        return capsys.readouterr().out

    promised = guarantees(CONNECTORS[name])
    assert promised and all(t(f"guarantee.{one.name}") in shown() for one in promised)
    assert [one["name"] for one in json.loads(shown("--json"))["guarantees"]] == [one.name for one in promised]


def contents(ledger: Ledger, key: str) -> Any:
    """All that a ledger has of a plan."""
    plan = ledger.runs.plan_id(key)
    records = list(ledger.records.select(plan))
    stories = [_ENCODER.encode(ledger.records.story(plan, one["id"])) for one in records if one["id"]]
    return records, stories, ledger.reads.watermark(plan), ledger.runs.latest(plan)


@pytest.mark.parametrize("back", [False, True], ids=["to PostgreSQL", "and back"])
def test_a_ledger_is_moved_whole(
    called: Called, ready: Project, postgres: Any, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its failures, versions and tries; and the plan goes on in it, with nothing staged or sent again."""
    code, _, _ = called("run", "companies")
    assert code == 0
    address, folder = postgres.database(), ready.folder
    steps = [("sqlite:///noria.db", address)] + ([(address, "sqlite:///back.db")] if back else [])
    for here, there in steps:
        code, out, _ = called("migrate-ledger", here, there, "--json")
        assert code == 0
        tables = {one["table"]: one["rows"] for one in json.loads(out)["tables"]}
        assert tables["records"] == 45 and tables["batches"] > 0 and tables["attempts"] > 0
    end = steps[-1][1]
    with open_ledger("sqlite:///noria.db", folder) as old, open_ledger(end, folder) as new:
        assert contents(new, "companies") == contents(old, "companies")
        assert new.identity == old.identity
    code, _, err = called("migrate-ledger", "sqlite:///noria.db", end)
    assert code == 1 and "not empty" in err
    config = folder / "noria.toml"
    config.write_text('[ledger]\nurl = "env:NORIA_LEDGER"\n' + config.read_text("utf-8"), "utf-8")
    assert called("run", "companies")[0] == 1, "the variable is not set"
    monkeypatch.setenv("NORIA_LEDGER", end)
    code, out, _ = called("run", "companies", "--json")
    counts = json.loads(out)
    assert code == 0 and (counts["staged"], counts["delivered"]) == (0, 0)
    code, out, _ = called("sweep", "companies", "--all", "--json")
    swept = json.loads(out)
    assert (swept["missing_count"], swept["changed_count"], swept["unchanged"]) == (1, 1, 44)
    postgres.drop(address)


def test_a_ledger_that_can_not_be_moved_whole_is_not_moved(
    called: Called, ready: Project, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called("run", "companies")
    address = postgres.database()
    with monkeypatch.context() as patch:
        patch.setattr("noria.ledger.moving._seen", lambda table, rows: Moved(table.name, 0, ""))
        code, _, err = called("migrate-ledger", "sqlite:///noria.db", address)
    assert code == 1 and "differs" in err
    with open_ledger(address, ready.folder) as untouched:
        assert untouched.store.tuples("SELECT COUNT(*) FROM records") == [(0,)]
    with open_ledger("sqlite:///noria.db", ready.folder) as ledger:
        run = ledger.runs.begin("companies", "", "run", time.time())
        code, _, err = called("migrate-ledger", "sqlite:///noria.db", address)
        assert code == 1 and "under way" in err
        ledger.runs.finish(run, "done", time.time(), {})
    assert called("migrate-ledger", "sqlite:///noria.db", address)[0] == 0
    postgres.drop(address)
