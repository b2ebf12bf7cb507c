"""What was written to a simulated vendor: the rows by their numbers, how often, and what became two documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from noria.simulators.faults import Fault, Faults
from noria.simulators.wire import encoded


@dataclass
class Stored:
    """A row as it was last written, and how often it was written."""

    row: dict[str, Any]
    times: int = 1


class Books:
    """The rows that were written."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self._made: dict[str, list[str]] = {}

    def write(self, number: str, row: dict[str, Any]) -> bool:
        """Write a row whose number tells it from others; whether it is new."""
        known = self.stored.get(number)
        if known is None:
            self.stored[number] = Stored(row)
            return True
        known.row = row
        known.times += 1
        return False

    def make(self, identity: str, number: str, row: dict[str, Any]) -> None:
        """Write a document. `identity`: what is one thing to whoever sends it, however many documents it became."""
        self.write(number, row)
        self._made.setdefault(identity, []).append(number)

    def drop(self, number: str) -> None:
        """A document was deleted: it is none of two any more."""
        self.stored.pop(number, None)
        for numbers in self._made.values():
            if number in numbers:
                numbers.remove(number)

    def duplicates(self) -> list[dict[str, Any]]:
        """What became more than one document."""
        return [{"id": i, "times": len(n), "numbers": n} for i, n in self._made.items() if len(n) > 1]

    def count(self) -> int:
        """How many rows were written, each time counted."""
        return sum(one.times for one in self.stored.values())

    def state(self) -> dict[str, Any]:
        """What a control endpoint reports of them."""
        return {"stored": len(self.stored), "written": self.count(), "duplicates": self.duplicates()}


def digest(row: Any) -> str:
    """A name for a row's content."""
    return hashlib.sha256(encoded(row).encode()).hexdigest()[:16]


def poisoned(faults: Faults, path: str, ids: Iterable[str]) -> Fault | None:
    """The fault that strikes a whole request for one of its rows."""
    named = {i for fault in faults.active if fault.kind == "poison" for i in fault.ids}
    return faults.strike(path, "poison") if named.intersection(ids) else None


def rejected(faults: Faults, path: str, ids: Iterable[str]) -> dict[str, str]:
    """The ids of the rows that a fault rejects, and what is said of them."""
    wanted = set(ids)
    named = {i for fault in faults.active if fault.kind == "reject" for i in fault.ids}
    fault = faults.strike(path, "reject") if named & wanted else None
    return {} if fault is None else {i: fault.message for i in fault.ids if i in wanted}


def shaken(faults: Faults, path: str, results: list[Any]) -> list[Any]:
    """The results of the rows; out of order, or only some of them, when a fault says so."""
    if faults.strike(path, "shuffle"):
        results = results[::-1]
    return results[: len(results) // 2] if faults.strike(path, "drop_results") else results
