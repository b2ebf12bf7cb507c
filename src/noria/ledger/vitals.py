"""By what alerts are found: what is kept anyway, asked for by index, in as many queries as there are kinds of rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from noria.ledger import reasons
from noria.ledger.store import Store
from noria.messages import Message

# Records in trouble are counted up to here.
MOST = 1000


class Failing(NamedTuple):
    """Runs of a plan that failed one after the other: of which kind, how many, since when (epoch seconds), and the
    last one's error."""

    plan: str
    kind: str
    runs: int
    since: float
    error: Message | None


class Asked(NamedTuple):
    """A stage of a plan that is to be run and is not run now, since when (epoch seconds)."""

    plan: str
    stage: str
    first: float


class Vitals:
    """Asks the ledger."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def failing(self) -> list[Failing]:
        """Plans whose newest runs failed."""
        rows = self.store.tuples(
            "SELECT p.key, f.kind, f.runs, f.since, r.error FROM failing f JOIN plans p ON p.plan_id = f.plan_id"
            " LEFT JOIN runs r ON r.run_id = f.run_id ORDER BY p.key, f.runs DESC"
        )
        return [Failing(key, kind, runs, since, reasons.read(error)) for key, kind, runs, since, error in rows]

    def troubled(self, states: Iterable[str], least: int) -> dict[str, dict[str, int]]:
        """By plan how many records are in these states, where they are `least` at least in all; counted up to `MOST`
        of each."""
        found: dict[str, dict[str, int]] = {}
        for state in states:
            rows = self.store.tuples(
                "SELECT key, n FROM (SELECT p.key AS key, (SELECT COUNT(*) FROM (SELECT 1 FROM exceptions e"
                " WHERE e.plan_id = p.plan_id AND e.state = :state LIMIT :most) x) AS n FROM plans p) y WHERE n > 0",
                state=state,
                most=max(MOST, least),
            )
            for key, count in rows:
                found.setdefault(key, {})[state] = count
        return {key: counts for key, counts in found.items() if sum(counts.values()) >= least}

    def received(self, plans: Iterable[str]) -> dict[str, float]:
        """By plan when its newest record came (epoch seconds); where none ever did, when it was run first."""
        rows = self.store.tuples(
            "SELECT p.key, COALESCE((SELECT g.received_at FROM records r JOIN pages g ON g.page_id = r.page_id"
            " WHERE r.plan_id = p.plan_id ORDER BY r.seq DESC LIMIT 1),"
            " (SELECT n.started_at FROM runs n WHERE n.plan_id = p.plan_id ORDER BY n.run_id LIMIT 1))"
            " FROM json_each(:keys) j JOIN plans p ON p.key = j.value",
            keys=msgspec.json.encode(list(plans)).decode(),
        )
        return {key: float(at) for key, at in rows if at is not None}

    def differing(self, least: int) -> list[tuple[str, int, float]]:
        """Plans whose newest reconciliation found at least so many differences: how many, and when (epoch seconds)."""
        return self.store.tuples(
            "SELECT p.key, n.differences, n.at FROM plans p JOIN reconciliations n ON n.reconciliation_id ="
            " (SELECT r.reconciliation_id FROM reconciliations r WHERE r.plan_id = p.plan_id"
            " ORDER BY r.reconciliation_id DESC LIMIT 1) WHERE n.differences >= :least ORDER BY p.key",
            least=least,
        )

    def scheduled(self) -> dict[str, float]:
        """By plan since when (epoch seconds) its source's schedule is as it is."""
        statement = "SELECT plan, COALESCE(since, seen_to) FROM fires WHERE side = 'source' AND crontab <> ''"
        return dict(self.store.tuples(statement))

    def read(self) -> dict[str, float]:
        """By plan when the newest read that reached its end had begun (epoch seconds)."""
        return dict(self.store.tuples("SELECT key, whole_at FROM plans WHERE whole_at IS NOT NULL"))

    def asked(self, now: float) -> list[Asked]:
        """Stages that are wanted of plans that nobody runs at `now` (epoch seconds), the longest first."""
        rows = self.store.tuples(
            "SELECT w.plan, w.stage, COALESCE(w.first, w.since) AS first FROM wanted w WHERE w.plan <> ''"
            " AND w.plan NOT IN (SELECT p.key FROM leases l JOIN plans p ON p.plan_id = l.plan_id"
            " WHERE l.stage = 'run' AND l.expires_at > :now) ORDER BY first, w.plan, w.stage",
            now=now,
        )
        return [Asked(*row) for row in rows]
