"""Batches that a run offers to other processes: who has them, and what a process that is gone had taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import Ledger, open_ledger
from noria.ledger.delivery import Exempt
from noria.ledger.runs import Run
from noria.messages import Message
from noria.metadata.errors import NoriaError
from tests.unit.test_ledger import begun, claimed, rows, staged

BOTH_LEDGERS = True


@pytest.fixture
def ledger(tmp_path: Path, ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url or "sqlite:///l.db", tmp_path) as opened:
        yield opened


def offering(ledger: Ledger, batches: int = 3) -> tuple[Run, list[Any]]:
    """A run that offers batches of two records."""
    run, read = begun(ledger)
    staged(ledger, run, read, rows(2 * batches))
    made = [claimed(ledger, run, 2) for _ in range(batches)]
    for batch in made:
        ledger.shares.offer(run, batch.batch_id)
    return run, made


def joined(ledger: Ledger, run: Run, now: float = 101.0, most: int = 3) -> Run:
    found = ledger.assists.join(run.plan_id, most, now)
    assert found is not None
    return found


def test_each_share_is_taken_once_the_oldest_first(ledger: Ledger) -> None:
    run, batches = offering(ledger)
    one, other = joined(ledger, run), joined(ledger, run)
    numbers = [batch.batch_id for batch in batches]
    assert [ledger.shares.take(one), ledger.shares.take(other), ledger.shares.take(one)] == numbers
    assert ledger.shares.take(other) is None
    # Who sends a batch is its run.
    senders = ledger.store.tuples("SELECT run_id FROM batches ORDER BY batch_id")
    assert [row[0] for row in senders] == [one.run_id, other.run_id, one.run_id]


def test_an_offer_is_taken_back_only_as_long_as_nobody_has_it(ledger: Ledger) -> None:
    run, batches = offering(ledger)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    assert [ledger.shares.recall(run, batch.batch_id) for batch in batches] == [False, True, True]
    assert taken == batches[0].batch_id and ledger.shares.take(one) is None


def test_what_became_of_a_share_is_heard_once(ledger: Ledger) -> None:
    run, _ = offering(ledger)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    assert taken is not None and ledger.shares.gathered(run) == []
    ledger.shares.over(one, taken, "{}")
    assert ledger.shares.gathered(run) == [(taken, "{}")] and ledger.shares.gathered(run) == []


def test_no_more_take_part_than_may(ledger: Ledger) -> None:
    run, _ = offering(ledger)
    assert {joined(ledger, run, most=2).stage, joined(ledger, run, most=2).stage} == {"assist.1", "assist.2"}
    assert ledger.assists.join(run.plan_id, 2, 101.0) is None
    # Leases that have run out make room.
    assert joined(ledger, run, most=3).stage == "assist.3"


def test_nobody_takes_part_in_a_run_that_is_over(ledger: Ledger) -> None:
    run, _ = offering(ledger)
    ledger.runs.finish(run, "done", 102.0, {})
    assert ledger.assists.join(run.plan_id, 3, 103.0) is None


def test_a_next_run_of_the_plan_ends_the_shares_of_the_one_before(ledger: Ledger) -> None:
    run, _ = offering(ledger)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    assert taken is not None
    batch = ledger.doubts.open_batch(taken)
    newer = ledger.runs.begin("p", "", "run", 1000.0)
    for write in (
        lambda: ledger.shares.over(one, taken, "{}"),
        lambda: ledger.delivery.close(one, batch, state="delivered", attempt=None, failed=[], attempts=1, now=1001.0),
        lambda: ledger.runs.heartbeat(one, 1001.0, {}),
        lambda: ledger.runs.check(one),
    ):
        with pytest.raises(NoriaError) as caught:
            write()
        assert caught.value.code == "superseded"
    # All that was on its way is in doubt, whoever had it; nothing is offered any more.
    assert [one.batch_id for one in ledger.doubts.unfinished(newer)] == [taken, taken + 1, taken + 2]
    again = joined(ledger, newer, 1001.0)
    assert again.stage == "assist.1" and again.fence > one.fence and ledger.shares.take(again) is None
    assert {row.run_id: row.status for row in ledger.store.rows("SELECT run_id, status FROM runs")} == {
        run.run_id: "interrupted",
        one.run_id: "interrupted",
        newer.run_id: "running",
        again.run_id: "running",
    }


def test_what_a_silent_process_had_taken_comes_back_and_it_writes_nothing_more(ledger: Ledger) -> None:
    run, batches = offering(ledger)
    one, other = joined(ledger, run), joined(ledger, run)
    first, second, third = ledger.shares.take(one), ledger.shares.take(other), ledger.shares.take(one)
    assert first is not None and third is not None
    back = [Exempt(record.seq, "failed", Message("reason.interrupted"), due_at=0.0) for record in batches[0].records]
    # It broke the first one up: sent in part, in a batch of its own.
    ledger.delivery.close(one, batches[0], state="failed", attempt=None, failed=back, attempts=1, now=102.0)
    part = ledger.delivery.claim(
        one, "retry", batches[0].records[:1], [], body=b"[{}]", body_path="", key="part", now=102.0
    )
    assert part is not None and ledger.shares.lost(run, 105.0) == ([], [])
    ledger.runs.heartbeat(other, 110.0, {})
    ledger.runs.heartbeat(run, 110.0, {})
    lost = ledger.shares.lost(run, 112.0)
    assert sorted(lost.shares) == [first, third] and lost.open == [third, part.batch_id]
    with pytest.raises(NoriaError, match=r"被另一个进程接管|taken over"):
        ledger.shares.over(one, first, "{}")
    assert ledger.shares.lost(run, 112.0) == ([], [])
    # The other has its own still, and the place of the lost one is free again.
    ledger.shares.over(other, int(second or 0), "{}")
    assert joined(ledger, run, 112.0, most=1).stage == "assist.1"
    # What was open is now what this run sends, so that nobody else takes it for left over.
    owners = ledger.store.tuples("SELECT batch_id FROM batches WHERE run_id = :run", run=run.run_id)
    assert {row[0] for row in owners} == {third, part.batch_id}


def test_a_place_is_not_given_anew_before_what_its_last_holder_had_is_seen_to(ledger: Ledger) -> None:
    run, _ = offering(ledger)
    one = joined(ledger, run, most=1)
    taken = ledger.shares.take(one)
    ledger.runs.finish(one, "failed", 102.0, {})
    assert ledger.assists.join(run.plan_id, 1, 103.0) is None
    assert ledger.shares.lost(run, 103.0).open == [taken]
    assert joined(ledger, run, 103.0, most=1).stage == "assist.1"


def test_plans_whose_runs_others_offer_something_in(ledger: Ledger) -> None:
    run, batches = offering(ledger)
    # A process does not help itself.
    assert ledger.assists.offered(101.0) == []
    with ledger.store.transaction() as c:
        c.run("UPDATE leases SET owner = 'elsewhere/1/1'")
    assert ledger.assists.offered(101.0) == ["p"]
    assert ledger.assists.offered(1000.0) == []
    one = joined(ledger, run)
    for _ in batches:
        ledger.shares.take(one)
    assert ledger.assists.offered(101.0) == []
