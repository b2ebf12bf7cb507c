"""The audit log: what people changed, when, who."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from noria.ledger.store import Store, Transaction


@dataclass(frozen=True, slots=True)
class Change:
    """A change: its number, when (epoch seconds), by whom, what it was, of which plan, and how."""

    number: int
    at: float
    who: str
    what: str
    plan: str | None
    detail: dict[str, Any]


class Audit:
    """Keeps changes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def note(self, at: float, who: str, what: str, plan: str | None, detail: dict[str, Any]) -> None:
        """Put a change on record."""
        with self.store.transaction() as c:
            put(c, at, who, what, plan, detail)

    def page(self, *, before: int | None = None, limit: int = 50) -> list[Change]:
        """The newest changes before the one numbered `before`."""
        rows = self.store.tuples(
            "SELECT audit_id, at, who, what, plan, detail FROM audit WHERE audit_id < :before"
            " ORDER BY audit_id DESC LIMIT :n",
            before=2**62 if before is None else before,
            n=limit,
        )
        return [
            Change(number, at, who, what, plan, msgspec.json.decode(detail))
            for number, at, who, what, plan, detail in rows
        ]


def put(c: Transaction, at: float, who: str, what: str, plan: str | None, detail: dict[str, Any]) -> None:
    """Put a change on record in the transaction that makes it."""
    c.run(
        "INSERT INTO audit (at, who, what, plan, detail) VALUES (:at, :who, :what, :plan, :detail)",
        {"at": at, "who": who, "what": what, "plan": plan, "detail": msgspec.json.encode(detail).decode()},
    )
