"""Generated schedules of changes, faults, kills, restarts, sweeps and jumps of the clock: nothing is lost, nothing is
written twice. Those that ever failed are kept in `schedules/` and lived again. `make soak` looks for more."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.world import HIDDEN, SHOWN, Schedule, Shape, Step, live

# Coverage would double the time that eight hundred schedules take.
pytestmark = pytest.mark.no_cover
KEPT = Path(__file__).parent / "schedules"
# Schedules a shape, in `make test`; `make soak` says more.
EXAMPLES = int(os.environ.get("NORIA_SOAK", "100"))

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


def _fault(kind: str, **parts: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A fault of a kind that lets up to three requests through first; `parts` are values, or strategies of values."""
    own = {name: part if isinstance(part, st.SearchStrategy) else st.just(part) for name, part in parts.items()}
    return st.fixed_dictionaries({"kind": st.just(kind), "skip": st.integers(0, 3), **own})


_source_faults = st.one_of(
    _fault("truncate"),
    _fault("status", status=500, times=st.integers(1, 6)),
    _fault("expire"),
    _fault("cut", when="middle"),
    _fault("html"),
    _fault("business", code=500),
    _fault("empty"),
    _fault("throttle", retry_after=400),
)
_one_row = st.integers(0, 22).map(lambda n: [str(1_000_000_000 + n)])
_target_faults = st.one_of(
    _fault("cut", when=st.sampled_from(["before", "middle", "after"]), times=st.integers(1, 5)),
    _fault("after_status", status=504),
    _fault("status", status=503, times=st.integers(1, 5)),
    _fault("status", status=500, times=st.integers(1, 5)),
    _fault("throttle", retry_after=st.sampled_from([3, 900])),
    _fault("reject", ids=_one_row, skip=0),
    _fault("poison", ids=_one_row, skip=0),
    _fault("shuffle"),
)
# Nobody can know of a row without a result whether it was written, unless the target can be asked or a person looks.
_silent = _fault("drop_results")


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
