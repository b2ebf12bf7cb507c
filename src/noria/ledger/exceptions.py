"""Records whose state does not follow from their batch: each has a row of its own, and its changes a history."""

from __future__ import annotations

from typing import Any

from noria.ledger.causes import cause_of
from noria.ledger.runs import Run
from noria.ledger.store import Transaction
from noria.ledger.tallies import tally


def note_exceptions(c: Transaction, run: Run, rows: list[dict[str, Any]], now: float) -> None:
    """Give records a state of their own, and note the change in their history.

    A row holds seq, state and reason; rounds, due_at, waits_for, waits_seq and batch_id where they matter. Rows for
    records that a newer content has replaced meanwhile only enter the history.
    """
    blank = {
        "rounds": 0,
        "attempts": 0,
        "due_at": None,
        "waits_for": None,
        "waits_seq": None,
        "batch_id": None,
    }
    own = {"p": run.plan_id, "now": now, "run": run.run_id}
    full = [{**blank, **row, **own, "cause": cause_of(row["reason"])} for row in rows]
    c.many(
        "INSERT INTO exceptions (plan_id, seq, state, reason, rounds, attempts, due_at, waits_for, waits_seq, batch_id,"
        " updated_at, cause) SELECT plan_id, seq, :state, :reason, :rounds, :attempts,"
        " CAST(:due_at AS DOUBLE PRECISION), CAST(:waits_for AS BIGINT), CAST(:waits_seq AS BIGINT),"
        " CAST(:batch_id AS BIGINT), :now, CAST(:cause AS TEXT)"
        " FROM records WHERE plan_id = :p AND seq = :seq"
        " ON CONFLICT (plan_id, seq) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
        " rounds = excluded.rounds, attempts = exceptions.attempts + excluded.attempts,"
        " due_at = excluded.due_at, waits_for = excluded.waits_for,"
        " waits_seq = excluded.waits_seq, batch_id = excluded.batch_id, updated_at = excluded.updated_at,"
        " cause = excluded.cause, who = NULL",
        full,
    )
    tally(c, run.plan_id, now, troubled=sum(1 for row in rows if row["state"] in ("dead", "held", "invalid")))
    c.many(
        "INSERT INTO events (plan_id, seq, at, state, reason, run_id) VALUES (:p, :seq, :now, :state, :reason, :run)",
        full,
    )
