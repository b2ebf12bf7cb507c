"""Figures by the hour: what was staged and delivered of each plan, kept in the transactions that do it."""

from __future__ import annotations

from dataclasses import dataclass

from noria.ledger.store import Store, Transaction

HOUR = 3600
_ADD = (
    "INSERT INTO tallies (plan_id, hour, staged, delivered, troubled)"
    " VALUES (:p, :hour, :staged, :delivered, :troubled) ON CONFLICT (plan_id, hour) DO UPDATE"
    " SET staged = tallies.staged + excluded.staged, delivered = tallies.delivered + excluded.delivered,"
    " troubled = tallies.troubled + excluded.troubled"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to records in an hour (its number: epoch seconds / 3600): contents staged, records delivered,
    records that came to be dead, held or invalid."""

    hour: int
    staged: int = 0
    delivered: int = 0
    troubled: int = 0


def tally(c: Transaction, plan_id: int, now: float, *, staged: int = 0, delivered: int = 0, troubled: int = 0) -> None:
    """Add to the figures of the hour of `now` (epoch seconds). The last statement of its transaction that others may
    wait for, as they all take this row last."""
    if staged or delivered or troubled:
        own = {"staged": staged, "delivered": delivered, "troubled": troubled}
        c.run(_ADD, {"p": plan_id, "hour": int(now // HOUR), **own})


class Tallies:
    """Reads the figures."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def hours(self, first: int, plan_id: int | None = None) -> list[Tally]:
        """Those of one plan, or of all together, from the hour `first` on; hours in which nothing happened are left
        out."""
        of_plan = " AND plan_id = :p" if plan_id is not None else ""
        rows = self.store.tuples(
            "SELECT hour, SUM(staged), SUM(delivered), SUM(troubled) FROM tallies"
            f" WHERE hour >= :first{of_plan} GROUP BY hour ORDER BY hour",
            first=first,
            p=plan_id,
        )
        return [Tally(*map(int, row)) for row in rows]

    def delivered(self, first: int) -> dict[str, dict[int, int]]:
        """For each plan how many records it delivered, by hour, from the hour `first` on."""
        found: dict[str, dict[int, int]] = {}
        for key, hour, delivered in self.store.tuples(
            "SELECT p.key, t.hour, t.delivered FROM tallies t JOIN plans p ON p.plan_id = t.plan_id"
            " WHERE t.hour >= :first AND t.delivered > 0",
            first=first,
        ):
            found.setdefault(key, {})[int(hour)] = int(delivered)
        return found
