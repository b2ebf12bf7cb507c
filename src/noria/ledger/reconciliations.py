"""What reconciliations found: kept, so that it can be looked at and told of later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from noria.ledger.store import Store

_SELECT = (
    "SELECT c.reconciliation_id, p.key, c.run_id, c.at, c.window_from, c.window_to, c.source, c.ledger, c.target,"
    " c.differences, c.found FROM reconciliations c JOIN plans p ON p.plan_id = c.plan_id"
)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A whole comparison: of which plan, in which run, when it ended, over which window (epoch seconds; `begin` None:
    everything), how many records each side has (`target` None: it can't be asked), how many differences (0: equal), and
    which, as `noria reconcile --json` prints them."""

    number: int
    plan: str
    run_id: int
    at: float
    begin: float | None
    end: float | None
    source: int
    ledger: int
    target: int | None
    differences: int
    found: dict[str, Any]


class Reconciliations:
    """Keeps what was found."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def note(
        self,
        plan_id: int,
        run_id: int,
        at: float,
        window: tuple[float | None, float | None],
        sides: tuple[int, int, int | None],
        differences: int,
        found: dict[str, Any],
    ) -> None:
        """Keep a comparison. `sides`: how many records source, ledger and target have."""
        values = {
            "p": plan_id,
            "run": run_id,
            "at": at,
            "begin": window[0],
            "end": window[1],
            "source": sides[0],
            "ledger": sides[1],
            "target": sides[2],
            "differences": differences,
            "found": msgspec.json.encode(found).decode(),
        }
        with self.store.transaction() as c:
            c.run(
                "INSERT INTO reconciliations (plan_id, run_id, at, window_from, window_to, source, ledger, target,"
                " differences, found) VALUES (:p, :run, :at, :begin, :end, :source, :ledger, :target, :differences,"
                " :found)",
                values,
            )

    def page(self, plan_id: int | None = None, *, before: int | None = None, limit: int = 50) -> list[Reconciled]:
        """The newest before the one numbered `before`, of one plan or of all."""
        of_plan = " AND c.plan_id = :p" if plan_id is not None else ""
        return self._read(
            f"{_SELECT} WHERE c.reconciliation_id < :before{of_plan} ORDER BY c.reconciliation_id DESC LIMIT :n",
            p=plan_id,
            before=2**62 if before is None else before,
            n=limit,
        )

    def latest(self) -> list[Reconciled]:
        """The newest of each plan."""
        return self._read(
            f"{_SELECT} WHERE c.reconciliation_id IN (SELECT MAX(reconciliation_id) FROM reconciliations"
            " GROUP BY plan_id) ORDER BY p.key"
        )

    def one(self, number: int) -> Reconciled | None:
        """One by its number."""
        found = self._read(f"{_SELECT} WHERE c.reconciliation_id = :n", n=number)
        return found[0] if found else None

    def _read(self, statement: str, **values: Any) -> list[Reconciled]:
        rows = self.store.tuples(statement, **values)
        return [Reconciled(*(*row[:-1], msgspec.json.decode(row[-1]))) for row in rows]
