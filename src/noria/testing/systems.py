"""What a contract test is told of a connector: the simulated system, what is read from it, what is written to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from noria.simulators.server import Simulator


@dataclass(frozen=True, kw_only=True)
class Reads:
    """A list that is read. `metadata`: a plan's source metadata; `truth`: what the list has now, by id, each row as the
    JSON that the system shows; `path`: how the paths of its requests begin; `grow`: puts a new row where new rows come
    (None: a list that a test can't change)."""

    metadata: dict[str, Any]
    truth: Callable[[], dict[str, str]]
    path: str
    grow: Callable[[], None] | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Writes:
    """How rows are written. `metadata`: a plan's target metadata, which maps records that `record` makes from a number
    (`id`, `name`, `amount` and `code` among their fields); `stored`: by a record's id how often it was written, and the
    row as the system keeps it; `path`: how the paths of its requests begin; `refuse`: has the system refuse records of
    these ids, of which it says `refusal`. `once`: a send whose answer was lost is not carried out twice, because the
    system knows its key or can be asked. `batch`: a small number of records that it takes at once."""

    metadata: dict[str, Any]
    stored: Callable[[], dict[str, tuple[int, Any]]]
    path: str
    refuse: Callable[[list[str]], None] | None = None
    refusal: str = "simulated failure"
    once: bool = True
    batch: int = 2
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class System:
    """A simulated system and a connection to it. `table`: the connection's table, of the address it answers at;
    `wrong`: the same with credentials that are refused; `secrets`: texts that must never show up; `expires`: whether it
    gives out tokens or sessions that can run out; `names_waits`: whether it says in `Retry-After` how long to wait when
    it refuses a request for coming too soon; `business`: the code and text of an error that it answers with; `limited`:
    how often it refused a request for coming too soon."""

    simulator: Simulator
    table: Callable[[str], dict[str, Any]]
    wrong: dict[str, Any]
    secrets: tuple[str, ...]
    reads: Reads | None = None
    writes: Writes | None = None
    expires: bool = True
    names_waits: bool = True
    business: tuple[int | str, str] = (500, "simulated failure")
    limited: Callable[[], int] | None = None
