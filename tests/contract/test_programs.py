"""Connectors `singer` and `airbyte`: programs as their specifications say, well-behaved and not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.engine import Workspace, run_plan
from noria.engine.sampling import sample
from noria.engine.sweep import sweep_of
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.testing.trial import Trial, giving, trial

TAPS = Path(__file__).with_name("taps.py")
BIG, MONEY = 9_007_199_254_740_993, "12345678901234567.8901"
SECRET = "hush-hush-token"
KINDS = ("singer", "airbyte")


def rows(count: int, first: int = 1) -> list[str]:
    return [
        f'{{"id": {n}, "name": "货 {n} 😀 مرحبا", "price": {MONEY}, "big": {BIG + n}}}'
        for n in range(first, first + count)
    ]


class Shop:
    """What a program serves, and what it noted."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.file = folder / "shop.json"
        self.kind = kind
        self.rows = rows(25)
        self.how: dict[str, Any] = {"state_every": 10}
        self.write()

    def write(self, **how: Any) -> None:
        self.how |= how
        self.file.write_text(json.dumps({"rows": self.rows, "how": self.how}), "utf-8")

    def table(self, **more: Any) -> dict[str, Any]:
        command = f"{sys.executable} {TAPS} {self.kind}"
        config = {"file": str(self.file), "api_token": "env:SHOP_TOKEN"}
        own = {
            "connector": self.kind,
            "tap" if self.kind == "singer" else "source": command,
            "config": config,
            "page": 4,
        }
        return {**own, **more}

    @property
    def starts(self) -> list[dict[str, Any]]:
        """How the program was started to read."""
        log = self.file.with_suffix(".log")
        return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    return Shop(tmp_path, request.param)


@contextmanager
def reading(shop: Shop, *, asked: list[dict[str, Any]] | None = None, **table: Any) -> Iterator[Trial]:
    tables = {"shop": shop.table(**table), "inside": {"connector": "noria"}}
    metadata = {"api": "goods", "id": "id", "number": "name", "idCheck": True, "request": asked or []}
    with trial(FakeClock(), tables) as tried:
        tried.plan(("shop", metadata), ("inside", {"api": "写入空操作"}), {})
        yield tried


async def test_a_stream_is_read_whole_with_all_its_digits(shop: Shop) -> None:
    with reading(shop) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged, finished.counts.pages) == ("done", 25, 7), str(finished.error)
        assert {id_: raw.decode() for id_, raw in tried.raws().items()} == {
            str(json.loads(text)["id"]): text for text in shop.rows
        }


async def test_the_next_read_begins_where_the_last_state_was(shop: Shop) -> None:
    with reading(shop) as tried:
        await tried.run()
        shop.rows += rows(3, first=26)
        shop.write()
        again = await tried.run()
        assert (again.counts.staged, again.counts.unchanged) == (3, 0)
        assert [one["after"] for one in shop.starts] == [0, 25]
        # With nothing new it stays there.
        await tried.run()
        await tried.run()
        assert [one["after"] for one in shop.starts] == [0, 25, 28, 28]


async def test_a_sweep_begins_without_a_state_and_leaves_the_place_alone(shop: Shop) -> None:
    with reading(shop) as tried:
        await tried.run()
        shop.rows[2] = shop.rows[2].replace("货 3", "货 3 改")
        shop.write()
        async with Workspace(tried.project, clock=tried.clock) as workspace:
            plan = workspace.project.plan("contract")
            swept = await run_plan(workspace, plan, swept=sweep_of(plan, tried.clock.now(), whole=True))
        assert swept.sweep is not None and (swept.sweep.changed, swept.sweep.missing_count) == (["3"], 0)
        await tried.run()
        assert [one["after"] for one in shop.starts] == [0, 0, 25]


async def test_without_states_every_read_is_whole(shop: Shop) -> None:
    shop.write(state_every=0, whole=True)
    with reading(shop) as tried:
        await tried.run()
        shop.rows += rows(1, first=26)
        shop.write()
        again = await tried.run()
        assert (again.counts.staged, again.counts.unchanged) == (1, 25)
        assert [one["after"] for one in shop.starts] == [0, 0]


async def test_another_question_begins_anew(shop: Shop) -> None:
    with reading(shop) as tried:
        await tried.run()
        tried.project.connections["shop"]["config"]["region"] = "south"
        again = await tried.run()
        assert (again.counts.staged, again.counts.unchanged) == (0, 25)


async def test_a_new_secret_changes_nothing_of_the_question(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with reading(shop) as tried:
        await tried.run()
        monkeypatch.setenv("SHOP_TOKEN", "another-token-1")
        await tried.run()
        assert [(one["after"], one["config"]["api_token"]) for one in shop.starts] == [
            (0, SECRET),
            (25, "another-token-1"),
        ]


async def test_what_the_plan_asks_goes_over_the_configuration(shop: Shop) -> None:
    with reading(shop, asked=[{"field": "start_id", "value": "21"}]) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 5), str(finished.error)
        assert shop.starts[0]["config"] == {"file": str(shop.file), "api_token": SECRET, "start_id": "21"}


async def test_a_program_has_no_more_of_the_surroundings_than_it_needs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "none-of-its-business")
    with reading(shop, environment={"SHOP_REGION": "south"}) as tried:
        await tried.run()
        environ = shop.starts[0]["environ"]
        assert environ["SHOP_REGION"] == "south" and environ["PATH"] == os.environ["PATH"]
        assert not {"OTHER_SECRET", "SHOP_TOKEN"} & environ.keys()


@pytest.mark.parametrize("at", [3, 17])
async def test_a_program_that_dies_is_started_once_more_from_its_last_state(shop: Shop, at: int) -> None:
    shop.write(what="exit", at=at, once=True)
    with reading(shop) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 25), str(finished.error)
        assert [one["after"] for one in shop.starts] == [0, 0 if at == 3 else 10]


async def test_half_a_line_is_no_record(shop: Shop) -> None:
    shop.write(what="half", at=17, once=True)
    with reading(shop) as tried:
        finished = await tried.run()
        assert (finished.status, len(tried.raws())) == ("done", 25), str(finished.error)
        assert [one["after"] for one in shop.starts] == [0, 10]


async def test_one_that_keeps_dying_says_why_and_no_secret(shop: Shop) -> None:
    shop.write(what="exit", at=12)
    with reading(shop) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "3" in str(failed.error) and "cannot go on" in str(failed.error)
        assert SECRET not in str(failed.error) + tried.everything()
        # What was whole is there, and the next run goes on from the state behind it.
        assert len(tried.raws()) >= 8
        shop.write(what="none")
        finished = await tried.run()
        assert (finished.status, len(tried.raws())) == ("done", 25)
        assert [one["after"] for one in shop.starts][-1] == 10


async def test_one_that_hangs_is_ended(shop: Shop) -> None:
    shop.write(what="hang", at=12, once=True)
    with reading(shop, silence=0.5) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged) == ("done", 25), str(finished.error)
        assert all(_is_gone(one["pid"]) for one in shop.starts)


async def test_what_is_not_read_to_its_end_is_ended_too(shop: Shop) -> None:
    shop.rows = rows(400)
    shop.write()
    with reading(shop) as tried:
        async with Workspace(tried.project, clock=tried.clock) as workspace:
            plan = workspace.project.plan("contract")
            assert len(await sample(workspace, plan, 3)) == 3
            assert all(_is_gone(one["pid"]) for one in shop.starts)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"api": "good"}, ("goods", "good")),
        ({"command": "no-such-program-here"}, ("no-such-program-here",)),
    ],
)
async def test_what_is_not_there_is_named(shop: Shop, change: dict[str, str], said: tuple[str, ...]) -> None:
    table = {}
    if "command" in change:
        table = {"tap" if shop.kind == "singer" else "source": change["command"]}
    with reading(shop, **table) as tried:
        if "api" in change:
            tried.plan(("shop", {"api": change["api"], "id": "id"}), ("inside", {"api": "写入空操作"}), {})
        failed = await tried.run()
        assert failed.status == "failed" and all(one in str(failed.error) for one in said), failed.error


async def test_a_tap_says_nothing_but_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    shop = Shop(tmp_path, "singer")
    shop.write(what="junk", at=6)
    with reading(shop) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "reading page 2" in str(failed.error)


async def test_a_tap_without_a_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    with reading(Shop(tmp_path, "singer"), catalog="none") as tried:
        assert (await tried.run()).counts.staged == 25


@pytest.mark.parametrize(("failure_type", "runs"), [("config_error", 1), ("transient_error", 4)])
async def test_airbyte_says_itself_whether_it_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure_type: str, runs: int
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    shop = Shop(tmp_path, "airbyte")
    shop.write(what="error", at=2, message=f"no leave for {SECRET}", failure_type=failure_type)
    with reading(shop) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "no leave for ***" in str(failed.error)
        assert (len(shop.starts) > 1) == (runs > 1)


@pytest.mark.parametrize(("token", "good"), [(SECRET, True), ("wrong-token-1", False)])
async def test_a_connection_is_tried(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str, good: bool
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", token)
    connection = open_connection("shop", shop.table(), tmp_path, redactor=Redactor(), clock=FakeClock())
    try:
        if good or shop.kind == "singer":
            assert str(await connection.transport.probe())
        else:
            with pytest.raises(Failure, match="Unauthorized"):
                await connection.transport.probe()
    finally:
        await connection.close()


# --- targets

GOODS = [{"id": n, "name": f'货 "{n}" 😀', "price": MONEY, "big": BIG + n} for n in range(7)]
COLUMNS = [{"field": name, "value": f"{{{{{name}}}}}"} for name in ("id", "name", "price", "big")]


@asynccontextmanager
async def loading(
    folder: Path, how: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **table: Any
) -> AsyncIterator[tuple[Trial, Callable[[], list[Any]]]]:
    config = {"into": str(folder / "loaded.jsonl"), "how": how or {}}
    own = {"connector": "singer", "target": f"{sys.executable} {TAPS} target", "config": config, "batch_size": 4}
    async with giving(GOODS) as url:
        tables = {"warehouse": {**own, **table}, "records": {"connector": "http", "base_url": url}}
        with trial(FakeClock(), tables) as tried:
            target = {"api": "goods", "request": COLUMNS, "otherRequest": [{"field": "key_properties", "value": "id"}]}
            tried.plan(("records", {"api": "/records", "id": "id"}), ("warehouse", target), options or {})

            def loaded() -> list[Any]:
                file = Path(config["into"])
                return (
                    [json.loads(line)["record"] for line in file.read_text("utf-8").splitlines()]
                    if file.exists()
                    else []
                )

            yield tried, loaded


async def test_batches_are_runs_of_a_target(tmp_path: Path) -> None:
    async with loading(tmp_path) as (tried, loaded):
        finished = await tried.run()
        assert finished.counts.delivered == 7, (str(finished.error), tried.records())
        assert sorted(loaded(), key=lambda one: int(one["id"])) == [
            {"id": one["id"], "name": one["name"], "price": MONEY, "big": one["big"]} for one in GOODS
        ]
        schema = json.loads((tmp_path / "loaded.jsonl.schema").read_text("utf-8"))
        assert schema["key_properties"] == ["id"] and schema["stream"] == "goods"
        assert schema["schema"]["properties"]["big"] == {"type": ["null", "integer"]}
        assert (tmp_path / "loaded.jsonl.calls").read_text() == "xx"


@pytest.mark.parametrize("what", ["exit", "silent"])
async def test_a_target_that_fails_in_between_leaves_its_batch_in_doubt(tmp_path: Path, what: str) -> None:
    how = {"what": what, "at": 2, "said": "disk full", "calls": ["1"]}
    async with loading(tmp_path, how, {"on_doubt": "hold", "concurrency": 1}) as (tried, loaded):
        await tried.run()
        states = sorted(one["state"] for one in tried.records())
        assert states.count("delivered") == 3 and states.count("held") == 4, states
        before = len(loaded())
        tried.clock.time += 7200
        await tried.run()
        # Nobody may say that it was not written: that is for a person to look at.
        assert len(loaded()) == before
        if what == "exit":
            assert "disk full" in tried.everything()


async def test_a_target_that_updates_by_key_takes_the_batch_again(tmp_path: Path) -> None:
    how = {"what": "exit", "at": 2, "said": "disk full", "calls": ["1"]}
    async with loading(tmp_path, how, {"concurrency": 1}, upserts=True) as (tried, loaded):
        await tried.run()
        tried.clock.time += 7200
        await tried.run()
        assert {one["state"] for one in tried.records()} == {"delivered"}
        assert {one["id"] for one in loaded()} == {one["id"] for one in GOODS} and len(loaded()) == 9


async def test_airbyte_is_no_target(tmp_path: Path) -> None:
    async with giving(GOODS) as url:
        tables = {
            "shop": {"connector": "airbyte", "source": "source-x", "config": {}},
            "records": {"connector": "http", "base_url": url},
        }
        with trial(FakeClock(), tables) as tried:
            tried.plan(("records", {"api": "/records", "id": "id"}), ("shop", {"api": "goods", "request": COLUMNS}), {})
            finished = await tried.run()
            assert finished.counts.delivered == 0 and "airbyte" in tried.records()[0]["reason"]
