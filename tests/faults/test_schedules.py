"""Generated schedules of changes, faults, kills, restarts, sweeps and jumps of the clock: nothing is lost, nothing is
written twice. Those that ever failed are kept in `schedules/` and lived again. `make soak` looks for more."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.world import HIDDEN, SHOWN, Schedule, Shape, Step, live

# Coverage would double the time that two thousand schedules take.
pytestmark = pytest.mark.no_cover
KEPT = Path(__file__).parent / "schedules"
# Schedules a shape, in `make test`; `make soak` says more.
EXAMPLES = int(os.environ.get("NORIA_SOAK", "250"))

SHAPES = {
    "keys": Shape(),
    "windowed": Shape(windowed=True, order="oldest"),
    "newest first": Shape(windowed=True, order="newest", overlap=0),
    "late clock": Shape(windowed=True, skew=-400.0, concurrency=3),
    "early clock": Shape(windowed=True, skew=500.0, overlap=0),
    "verify": Shape(doubt="verify", concurrency=2),
    "hold": Shape(doubt="hold", batch=1, concurrency=3),
    "pause": Shape(batch=2, concurrency=3, target_down="pause"),
}

_small = st.integers(0, 3)
_source_faults = st.one_of(
    st.builds(lambda skip: {"kind": "truncate", "skip": skip}, _small),
    st.builds(
        lambda skip, times: {"kind": "status", "status": 500, "skip": skip, "times": times}, _small, st.integers(1, 6)
    ),
    st.builds(lambda skip: {"kind": "expire", "skip": skip}, _small),
    st.builds(lambda skip: {"kind": "cut", "when": "middle", "skip": skip}, _small),
    st.builds(lambda skip: {"kind": "html", "skip": skip}, _small),
    st.builds(lambda skip: {"kind": "business", "code": 500, "skip": skip}, _small),
    st.builds(lambda skip: {"kind": "empty", "skip": skip}, _small),
    st.builds(lambda skip: {"kind": "throttle", "retry_after": 400, "skip": skip}, _small),
)
_target_faults = st.one_of(
    st.builds(
        lambda when, times, skip: {"kind": "cut", "when": when, "times": times, "skip": skip},
        st.sampled_from(["before", "middle", "after"]),
        st.integers(1, 5),
        _small,
    ),
    st.builds(lambda skip: {"kind": "after_status", "status": 504, "skip": skip}, _small),
    st.builds(
        lambda skip, times: {"kind": "status", "status": 503, "skip": skip, "times": times}, _small, st.integers(1, 5)
    ),
    st.builds(
        lambda skip, times: {"kind": "status", "status": 500, "skip": skip, "times": times}, _small, st.integers(1, 5)
    ),
    st.builds(
        lambda seconds, skip: {"kind": "throttle", "retry_after": seconds, "skip": skip},
        st.sampled_from([3, 900]),
        _small,
    ),
    st.builds(
        lambda n, kind: {"kind": kind, "ids": [str(1_000_000_000 + n)]},
        st.integers(0, 22),
        st.sampled_from(["reject", "poison"]),
    ),
    st.builds(lambda skip: {"kind": "shuffle", "skip": skip}, _small),
)
# Nobody can know of a row without a result whether it was written, unless the target can be asked or a person looks.
_silent = st.builds(lambda skip: {"kind": "drop_results", "skip": skip}, _small)


def _steps(shape: Shape) -> st.SearchStrategy[list[Step]]:
    changes = st.lists(st.sampled_from(SHOWN + HIDDEN), min_size=1, max_size=5)
    fatal = st.one_of(st.none(), st.integers(1, 150))
    moving = st.builds(
        lambda kinds, rate, times, seed: ["moving", kinds, rate, times, seed],
        st.lists(st.sampled_from(SHOWN + HIDDEN), min_size=1, max_size=4, unique=True),
        st.sampled_from([0.3, 0.7, 1.0]),
        st.integers(1, 8),
        st.integers(0, 999),
    )
    target_faults = _target_faults if shape.doubt == "keys" else st.one_of(_target_faults, _silent)
    return st.lists(
        st.one_of(
            st.builds(lambda at: ["run", at], fatal),
            st.builds(lambda at: ["run", at], fatal),
            st.builds(lambda kinds: ["change", kinds], changes),
            moving,
            st.builds(lambda fault: ["source_fault", fault], _source_faults),
            st.builds(lambda fault: ["target_fault", fault], target_faults),
            st.builds(lambda at, whole: ["sweep", at, whole], fatal, st.booleans()),
            st.builds(lambda seconds: ["wait", seconds], st.sampled_from([1, 61, 400, 4000, 90_000])),
            st.builds(lambda seconds: ["set_clock", seconds], st.sampled_from([-3600, -400, -1, 3600])),
            st.just(["replay"]),
        ),
        min_size=3,
        max_size=12,
    )


def lived(schedule: Schedule) -> None:
    """Live a schedule in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        asyncio.run(live(schedule, Path(folder), patch))


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_lost_and_nothing_is_written_twice(name: str) -> None:
    shape = SHAPES[name]
    newest: list[Schedule] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="NORIA_SOAK" not in os.environ,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_steps(shape))
    def any_schedule(steps: list[Step]) -> None:
        schedule = Schedule(shape, steps)
        newest[:] = [schedule]
        lived(schedule)

    try:
        any_schedule()
    except BaseException:
        if "NORIA_SOAK" in os.environ and newest:
            _keep(newest[0])
        raise


def _keep(schedule: Schedule) -> None:
    """Among the regressions from now on."""
    KEPT.mkdir(exist_ok=True)
    number = 1 + max((int(file.stem) for file in KEPT.glob("*.json")), default=0)
    (KEPT / f"{number:03}.json").write_bytes(msgspec.json.format(msgspec.json.encode(schedule)) + b"\n")


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda file: file.stem)
def test_schedules_that_failed_once(file: Path) -> None:
    lived(msgspec.json.decode(file.read_bytes(), type=Schedule))
