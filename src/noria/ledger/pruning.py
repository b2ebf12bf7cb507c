"""Retention: what is kept how long. Ids, hashes, states and their history of records are kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from noria.ledger.pages import Pages
from noria.ledger.store import Store
from noria.ledger.tallies import HOUR

# Rows changed in one transaction: others have their turn in between.
_STEP = 500


@dataclass
class Pruned:
    """How much was let go: bodies of pages, payloads of batches, tries, runs; and the bytes of the first three."""

    bodies: int = 0
    payloads: int = 0
    attempts: int = 0
    runs: int = 0
    bytes: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


# A page is kept as long as one of its records may still be mapped: not claimed yet, or in a state that can be replayed.
_PAGES = (
    "SELECT g.page_id, LENGTH(g.body) FROM pages g JOIN plans p ON p.plan_id = g.plan_id"
    " WHERE g.received_at < :before AND LENGTH(g.body) > 0 {spared} AND g.page_id NOT IN ("
    " SELECT r.page_id FROM records r JOIN plans q ON q.plan_id = r.plan_id WHERE r.seq > q.claimed_seq AND r.stray = 0"
    " UNION ALL SELECT r.page_id FROM exceptions e JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq"
    " WHERE e.state NOT IN ('delivered', 'skipped'))"
    " ORDER BY g.page_id"
)
# What was sent is kept as long as its outcome is open or a record may be sent as it was.
_SETTLED_BATCHES = (
    "b.state IN ('delivered', 'failed', 'broken_up') AND b.batch_id NOT IN (SELECT e.batch_id FROM exceptions e"
    " WHERE e.batch_id IS NOT NULL AND e.state NOT IN ('delivered', 'skipped'))"
)
_BATCHES = (
    "SELECT b.batch_id, LENGTH(b.body) FROM batches b WHERE b.finished_at < :before AND b.body IS NOT NULL {spared}"
    f" AND {_SETTLED_BATCHES} ORDER BY b.batch_id"
)
_NO_BODY = "UPDATE pages SET body = :none, digests = :digests WHERE page_id = :n"
_NO_PAYLOAD = "UPDATE batches SET body = NULL WHERE batch_id = :n"
_ATTEMPTS = (
    "SELECT a.attempt_id, COALESCE(LENGTH(a.answer), 0) FROM attempts a JOIN batches b ON b.batch_id = a.batch_id"
    f" WHERE a.started_at < :before {{spared}} AND {_SETTLED_BATCHES} ORDER BY a.attempt_id"
)
# A correction goes with the payloads: what was sent is settled, and so is what a person made of it.
_EDITS = (
    "DELETE FROM edits WHERE at < :before AND NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = edits.plan_id"
    " AND e.seq = edits.seq AND e.state NOT IN ('delivered', 'skipped'))"
)
# The newest reconciliation of each plan is kept.
_RECONCILIATIONS = (
    "DELETE FROM reconciliations WHERE at < :before AND reconciliation_id NOT IN"
    " (SELECT MAX(n.reconciliation_id) FROM reconciliations n GROUP BY n.plan_id)"
)
_TALLIES = "DELETE FROM tallies WHERE hour < :hour"
_HOOKS = "DELETE FROM hooks WHERE received_at < :before"
_NOTICES = "DELETE FROM notices WHERE alert_id IN (SELECT alert_id FROM alerts WHERE ended_at < :before)"
_ALERTS = "DELETE FROM alerts WHERE ended_at < :before"
_RUNS = (
    "SELECT r.run_id, 0 FROM runs r WHERE r.finished_at < :before AND r.run_id <= (SELECT MAX(n.run_id) FROM runs n"
    " WHERE n.plan_id = r.plan_id) - 50 AND r.run_id NOT IN (SELECT l.run_id FROM leases l WHERE l.run_id IS NOT NULL)"
    " ORDER BY r.run_id"
)


class Pruning:
    """Lets go of what nobody will ask for any more."""

    def __init__(self, store: Store, pages: Pages) -> None:
        self.store = store
        self.pages = pages

    def prune(
        self,
        *,
        bodies: float | None,
        payloads: float | None,
        attempts: float | None,
        runs: float | None,
        spared: Sequence[int] = (),
        only_counts: bool = False,
    ) -> Pruned:
        """Let go of what is older than these times (epoch seconds; None: nothing).

        `spared`: plans whose content and answers others look into, which keep them. `only_counts`: change nothing.
        """
        done = Pruned()
        numbers = ",".join(str(int(one)) for one in spared)
        where = {table: f"AND {table}.plan_id NOT IN ({numbers})" if numbers else "" for table in ("g", "b")}
        jobs = (
            ("bodies", bodies, _PAGES.format(spared=where["g"]), _NO_BODY),
            ("payloads", payloads, _BATCHES.format(spared=where["b"]), _NO_PAYLOAD),
            ("attempts", attempts, _ATTEMPTS.format(spared=where["b"]), "DELETE FROM attempts WHERE attempt_id = :n"),
            ("runs", runs, _RUNS, "DELETE FROM runs WHERE run_id = :n"),
        )
        for name, before, chosen, change in jobs:
            if before is None:
                continue
            found: list[tuple[Any, ...]] = self.store.tuples(chosen, before=before)
            for first in range(0, len(found), _STEP):
                part = found[first : first + _STEP]
                if not only_counts:
                    with self.store.transaction() as c:
                        c.many(change, [{"n": row[0], **self._left(name, row[0])} for row in part])
                setattr(done, name, getattr(done, name) + len(part))
                done.bytes += sum(row[1] for row in part)
        if attempts is not None and not only_counts:
            with self.store.transaction() as c:
                c.run(_HOOKS, {"before": attempts})
        if payloads is not None and not only_counts:
            with self.store.transaction() as c:
                c.run(_EDITS, {"before": payloads})
        if runs is not None and not only_counts:
            with self.store.transaction() as c:
                c.run(_RECONCILIATIONS, {"before": runs})
                c.run(_TALLIES, {"hour": int(runs // HOUR)})
                c.run(_NOTICES, {"before": runs})
                c.run(_ALERTS, {"before": runs})
        return done

    def _left(self, name: str, number: int) -> dict[str, bytes]:
        """What is kept in place of that which is let go."""
        if name != "bodies":
            return {}
        body = self.store.tuples("SELECT body FROM pages WHERE page_id = :n", n=number)[0][0]
        return {"digests": self.pages.digests(body), "none": b""}

    def compact(self) -> None:
        """Give the space that was let go back to the file system; nobody else can write meanwhile."""
        self.store.vacuum()
