"""What a reconciliation found: how many each side has, and what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from noria.engine.sweep import NAMED
from noria.engine.workspace import Workspace
from noria.metadata.plan import Plan
from noria.metadata.times import iso


@dataclass
class Differences:
    """Ids that one side lacks, has beyond the source, or has with another content; the first of each are named."""

    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"missing": 0, "extra": 0, "changed": 0})
    act: Callable[[str, str], None] = lambda kind, record_id: None

    def note(self, kind: str, record_id: str, *, acts: bool = True) -> None:
        """One more; where it `acts`, `act` is told of it, also of those that are not named."""
        if acts:
            self.act(kind, record_id)
        self.counts[kind] += 1
        named: list[str] = getattr(self, kind)
        if len(named) < NAMED:
            named.append(record_id)

    def any(self) -> bool:
        """Whether there is one."""
        return any(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """The ids by kind, and how many there are of each."""
        return {"missing": self.missing, "extra": self.extra, "changed": self.changed, "counts": self.counts}


@dataclass
class Reconciliation:
    """What a comparison found. A count is None where it can't be asked. `in_ledger` and `in_target`: how these differ
    from the source; `moving`: the source's list did not stand still meanwhile; `anew`: how many records are to be taken
    from the source once more, because the target lacks them and their content is no longer kept; `uncompared`: how many
    entries of the target's list are known by their id only: nothing else shows on both sides, or is kept."""

    plan: str
    begin: float | None = None
    end: float | None = None
    source: int = 0
    ledger: int = 0
    target: int | None = None
    in_ledger: Differences = field(default_factory=Differences)
    in_target: Differences | None = None
    moving: bool = False
    anew: int = 0
    uncompared: int = 0

    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.in_ledger.any() and not (self.in_target is not None and self.in_target.any())

    def to_json(self) -> dict[str, Any]:
        """What `noria reconcile --json` prints."""
        sides = [side for side in (self.in_ledger, self.in_target) if side is not None]
        both = {
            kind: list(dict.fromkeys(one for side in sides for one in getattr(side, kind)))
            for kind in ("missing", "extra", "changed")
        }
        return {
            "plan": self.plan,
            "equal": self.equal(),
            "from": iso(self.begin),
            "to": iso(self.end),
            "source": self.source,
            "ledger": self.ledger,
            "target": self.target,
            **both,
            "in_ledger": self.in_ledger.to_json(),
            "in_target": self.in_target.to_json() if self.in_target is not None else None,
            "moving": self.moving,
            "uncompared": self.uncompared,
        }


def keep(workspace: Workspace, plan: Plan, run_id: int, at: float, found: Reconciliation) -> None:
    """Keep what a whole comparison found, for who looks at it later. `at`: when it ended, in epoch seconds."""
    ledger = workspace.ledger
    sides = [side for side in (found.in_ledger, found.in_target) if side is not None]
    ledger.reconciliations.note(
        ledger.runs.plan_id(plan.key),
        run_id,
        at,
        (found.begin, found.end),
        (found.source, found.ledger, found.target),
        sum(sum(side.counts.values()) for side in sides),
        found.to_json(),
    )
