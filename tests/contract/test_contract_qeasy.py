"""轻易云 keeps the contract: a scheme's records in each of the three forms, stored in batches and one by one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.connectors.target import Row
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.simulators.qeasy import Qeasy
from noria.simulators.server import serve
from noria.simulators.wire import encoded
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import trial

SECRET = "hush-hush-qeasy-0001"
SCHEME = "/v2/open-api/business/9b1C-aa"
FIELDS = [
    {"field": "id", "value": "{{id}}"},
    {"field": "name", "value": "{{name}}"},
    {"field": "amount", "value": "{{amount}}"},
    {"field": "code", "type": "int", "value": "{{code}}"},
]


def simulated(clock: FakeClock, **more: Any) -> Qeasy:
    """A platform on the clock of a test, with a scheme that requires a name."""
    return Qeasy(app_secret=SECRET, schemes={"9b1C-aa": ("name",)}, clock=clock.steady, now=clock.now, **more)


def stored(made: Qeasy) -> dict[str, tuple[int, Any]]:
    """What the scheme has, by the records' ids."""
    rows = [row["content"] for row in made.records["9b1C-aa"]]
    times = Counter(row["id"] for row in rows)
    return {row["id"]: (times[row["id"]], row) for row in rows}


class _Qeasy(ConnectorContract):
    shape = "list"

    def made(self, clock: FakeClock, action: str, **table: Any) -> System:
        """A system whose records are read in one form, and written by one of both calls."""
        read = simulated(clock, records=0 if action else 120, shape=self.shape)

        def grow() -> None:
            rows = read.records["9b1C-aa"]
            rows.append({**rows[-1], "id": f"new-{len(rows)}"})

        return System(
            simulator=read,
            table=lambda url: {"base_url": url, "app_key": "demo00000001", "app_secret": SECRET, **table},
            wrong={"app_secret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1"),
            reads=None
            if action
            else Reads(
                metadata={
                    "api": f"{SCHEME}/query",
                    "method": "POST",
                    "id": "id",
                    "number": "content.name",
                    "idCheck": True,
                    "request": [
                        {"field": "pageSize", "value": "2"},
                        {"field": "end_at", "type": "int", "value": "1900000000"},
                    ],
                },
                truth=lambda: {row["id"]: encoded(row) for row in read.truth("9b1C-aa")},
                path=f"{SCHEME}/query",
                grow=grow,
            ),
            writes=Writes(
                metadata={"api": f"{SCHEME}/{action}", "method": "POST", "request": FIELDS},
                stored=lambda: stored(read),
                path=f"{SCHEME}/store",
                refuse=lambda ids: read.faults.add({"kind": "reject", "path": SCHEME, "times": None, "ids": ids}),
                refusal='"failed":',
                once="id_field" in table,
                batch=2 if "id_field" in table else 1,
            )
            if action
            else None,
            limited=lambda: sum("过于频繁" in one for one in read.refused),
        )


class TestLists(_Qeasy):
    connector = "qeasy"

    def system(self, clock: FakeClock) -> System:
        return self.made(clock, "")


class TestArrays(_Qeasy):
    connector = "qeasy"
    shape = "array"

    def system(self, clock: FakeClock) -> System:
        return self.made(clock, "")


class TestStoreInBatches(_Qeasy):
    """What is in doubt is asked for by the field that tells records apart."""

    connector = "qeasy"

    def system(self, clock: FakeClock) -> System:
        return self.made(clock, "store", id_field="id")


class TestStoreOneByOne(_Qeasy):
    connector = "qeasy"

    def system(self, clock: FakeClock) -> System:
        return self.made(clock, "store-dispatch")


async def test_rows_under_rows() -> None:
    """The third form, and a window in seconds."""
    clock = FakeClock()
    made = simulated(clock, shape="rows", records=230)
    times = sorted(row["created_at"] for row in made.truth("9b1C-aa"))
    async with serve(made) as running:
        table = {"connector": "qeasy", "base_url": running.url, "app_key": "demo00000001", "app_secret": SECRET}
        with trial(clock, {"system": table, "inside": {"connector": "noria"}}) as tried:
            request = [
                {"field": name, "type": "int", "value": str(at)}
                for name, at in (("begin_at", times[5]), ("end_at", times[-5]))
            ]
            metadata = {"api": f"{SCHEME}/query", "method": "POST", "id": "id", "number": "id", "request": request}
            tried.plan(("system", metadata), ("inside", {"api": "写入空操作"}), {})
            assert (await tried.run()).status == "done" and made.refused == []
            found = {json.loads(raw)["id"] for raw in tried.raws().values()}
    assert found == {row["id"] for row in made.truth("9b1C-aa") if times[5] <= row["created_at"] <= times[-5]}


async def test_a_record_without_its_field_can_not_be_asked_for() -> None:
    """That none is found says nothing; a token that has expired is renewed when it is asked."""
    clock = FakeClock()
    made = simulated(clock, records=0)
    async with serve(made) as running:
        table = {"connector": "qeasy", "base_url": running.url, "app_key": "demo00000001", "app_secret": SECRET}
        table |= {"id_field": "id"}
        connection = open_connection("c", table, Path(), redactor=Redactor(), clock=clock)
        target = connection.connector.target(
            connection.transport, connection.settings, api=f"{SCHEME}/store", method="POST", batch_size=None
        )
        rows = [Row("a", b'{"id": "a", "name": "x"}')]
        await target.send(target.body([row.payload for row in rows]), "k", rows)
        made.faults.add({"kind": "expire", "path": f"{SCHEME}/query"})
        assert await target.has(rows[0]) is True and made.tokens_issued == 2
        assert await target.has(Row("a", b'{"id": "a", "name": "y"}')) is False
        with pytest.raises(Failure) as caught:
            await target.has(Row("a", b'{"name": "x"}'))
        await connection.close()
    assert caught.value.kind == "permanent"
