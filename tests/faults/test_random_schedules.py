"""Random runs, faults, updates and pauses, seeded: once things are quiet the target has what the source has, and no
content was written twice to a target that honours idempotency keys."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.server import serve
from noria.simulators.sink import Sink
from tests.conftest import ITEMS, USERS, Project, connections

TARGET_FAULTS = [
    {"kind": "cut", "when": "after"},
    {"kind": "cut", "when": "middle"},
    {"kind": "cut", "when": "after", "times": 5},
    {"kind": "after_status", "status": 504},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 503, "times": 4},
    {"kind": "throttle", "retry_after": 3},
    {"kind": "reject"},
    {"kind": "cut", "when": "before", "times": 4},
    {"kind": "cut", "when": "before", "times": 3},
]
SOURCE_FAULTS = [
    {"kind": "truncate"},
    {"kind": "status", "status": 500},
    {"kind": "expire"},
    {"kind": "cut", "when": "middle"},
]


@pytest.mark.parametrize("seed", range(60))
async def test_after_any_schedule_the_target_has_what_the_source_has_and_nothing_twice(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    okki = Okki(make_account(seed, users=40, departments=5, companies=0, orders=0, leads=0, invalid=0))
    sink = Sink()
    project = Project(tmp_path)
    versions = 0
    async with serve(okki) as source, serve(sink) as target:
        project.connections(connections(source.url, target.url))
        options = {"concurrency": chance.choice([1, 3])}
        project.plan("users", ("okki", {**USERS, "idCheck": False}), ("sink", ITEMS), options=options)
        for _ in range(5):
            for _ in range(chance.randrange(4)):
                fault = {**chance.choice(TARGET_FAULTS), "skip": chance.randrange(3)}
                if fault["kind"] == "reject":
                    fault["ids"] = [str(55_000_000 + chance.randrange(40))]
                sink.faults.add(fault)
            for _ in range(chance.randrange(3)):
                okki.faults.add({**chance.choice(SOURCE_FAULTS), "path": "/v1/user/list"})
            for _ in range(chance.randrange(6)):
                versions += 1
                changed = str(55_000_000 + chance.randrange(40))
                okki.mutate("update", "users", changed, {"full_name": f"version {versions}"})
            await project.run("users")
            project.clock.time += chance.choice([1, 21, 400])
        sink.faults.active.clear()
        okki.faults.active.clear()
        for _ in range(3):
            project.clock.time += 80_000
            await project.run("users")
    wanted = {user["user_id"]: user["full_name"] for user in okki.account.users}
    assert {key: row["name"] for key, row in sink.rows.items()} == wanted
    assert project.counts("users") == {"delivered": 40}
    assert sink.state()["duplicates"] == []
