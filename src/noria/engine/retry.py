"""Retry decisions, as values: what to do after a failure, apart from doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from noria.connectors.failures import Failure
from noria.connectors.limits import LONGEST_HOLD
from noria.metadata.plan import Retry

# Without Retry-After: pauses after being throttled, doubling from the first to the last.
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 60.0
# Being throttled is not a failed try, but not without end either.
MOST_THROTTLES = 200


@dataclass(frozen=True)
class Again:
    """Try once more after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """No more tries in this run. `not_before`: seconds until the server wants to be asked again; `doubt`: a try may
    have been carried out; `divisible`: a part of the batch may do better."""

    kind: Literal["transient", "throttled", "auth", "permanent", "doubt"]
    not_before: float = 0.0
    doubt: bool = False
    divisible: bool = False


def after_failure(failure: Failure, tries: int, throttles: int, retry: Retry) -> Again | GiveUp:
    """What to do after try number `tries` failed; `throttles` counts those that only met a limit."""
    if failure.kind in ("auth", "permanent"):
        return GiveUp(failure.kind)
    if failure.kind == "throttled":
        pause = failure.retry_after
        if pause is None:
            pause = min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** min(throttles, 6))
        if pause > LONGEST_HOLD or throttles >= MOST_THROTTLES:
            return GiveUp("throttled", pause)
        return Again(pause)
    if tries >= retry.tries:
        return GiveUp(failure.kind)
    return Again(float(retry.wait))


@dataclass
class Tries:
    """The tries of one request that failed, counted; those that only met a limit by themselves."""

    retry: Retry
    failed: int = 0
    throttled: int = 0

    def after(self, failure: Failure) -> Again | GiveUp:
        """Count another failure and say what to do."""
        if failure.kind == "throttled":
            self.throttled += 1
        else:
            self.failed += 1
        return after_failure(failure, self.failed, self.throttled, self.retry)

    @property
    def made(self) -> int:
        """All of them."""
        return self.failed + self.throttled


def broke_down(failure: Failure) -> bool:
    """Whether the target itself broke down over a request, as it says; not a gateway before it, nor silence."""
    return failure.kind == "doubt" and (failure.status or 0) >= 500 and failure.status not in (502, 504)


def not_its_fault(retry: Retry, now: float, not_before: float = 0.0) -> float:
    """When a record is tried again whose target was away or busy for all: that uses up none of its retries."""
    return now + max(float(retry.schedule[0]) if retry.schedule else 20.0, not_before)


def next_round(retry: Retry, rounds: int, now: float, not_before: float = 0.0) -> float | None:
    """When a record that used up `rounds` scheduled retries is tried again; None when it is dead."""
    if rounds >= len(retry.schedule):
        return None
    return now + max(float(retry.schedule[rounds]), not_before)
