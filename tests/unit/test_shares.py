"""Batches that a run offers to other processes: who has them, and what a process that is gone had taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import Ledger, open_ledger
from noria.ledger.delivery import Exempt, Replaced
from noria.ledger.reads import Read
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


def test_a_next_run_of_the_plan_takes_over_what_was_offered(ledger: Ledger) -> None:
    """Whoever assists goes on; what nobody took was not sent; only what the one before was sending is in doubt."""
    run, batches = offering(ledger)
    own, read = claimed_more(ledger, run)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    assert taken == batches[0].batch_id
    ledger.runs.heartbeat(one, 995.0, {})
    newer = ledger.runs.begin("p", "", "run", 1000.0)
    assert [batch.batch_id for batch in ledger.doubts.unfinished(newer)] == [own.batch_id]
    assert ledger.shares.inherited(newer) == [batches[1].batch_id, batches[2].batch_id]
    assert ledger.shares.taken(newer) == [taken] and ledger.shares.take(one) is None
    with pytest.raises(NoriaError):
        ledger.reads.end(run, read, 1.0)
    # What it tells is heard by the newer run.
    ledger.delivery.close(
        one, ledger.doubts.open_batch(taken), state="delivered", attempt=None, failed=[], attempts=1, now=1001.0
    )
    ledger.shares.over(one, taken, "{}")
    assert ledger.shares.gathered(newer) == [(taken, "{}")]
    for batch_id in ledger.shares.inherited(newer):
        ledger.shares.forget(newer, batch_id)
    assert ledger.store.rows("SELECT 1 FROM shares") == []
    assert {row.run_id: row.status for row in ledger.store.rows("SELECT run_id, status FROM runs")} == {
        run.run_id: "interrupted",
        one.run_id: "running",
        newer.run_id: "running",
    }


def claimed_more(ledger: Ledger, run: Run) -> tuple[Any, Any]:
    """A batch that the run sends itself, and a read."""
    read = ledger.reads.begin(run, 100.0, "s", 1000.0)
    staged(ledger, run, read, rows(2, 100), number=2)
    return claimed(ledger, run, 2), read


def test_who_assists_and_is_gone_by_the_time_of_the_next_run_has_no_part_in_it(ledger: Ledger) -> None:
    run, batches = offering(ledger)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    newer = ledger.runs.begin("p", "", "run", 1000.0)
    lost = ledger.shares.lost(newer, 1000.0)
    assert lost == ([taken], [taken])
    for write in (
        lambda: ledger.shares.over(one, batches[0].batch_id, "{}"),
        lambda: ledger.runs.heartbeat(one, 1001.0, {}),
        lambda: ledger.runs.check(one),
    ):
        with pytest.raises(NoriaError) as caught:
            write()
        assert caught.value.code == "superseded"


def test_nobody_takes_part_in_another_version_of_a_plan(ledger: Ledger) -> None:
    run = ledger.runs.begin("p", "p", "run", 100.0, "as it was")
    assert ledger.assists.join(run.plan_id, 3, 101.0, "as it is now") is None
    one = ledger.assists.join(run.plan_id, 3, 101.0, "as it was")
    assert one is not None and ledger.assists.led(one, 102.0, "as it was")
    ledger.runs.finish(run, "done", 103.0, {})
    ledger.runs.begin("p", "p", "run", 104.0, "as it is now")
    assert not ledger.assists.led(one, 105.0, "as it was")


def test_what_is_taken_by_nobody_that_is_known_comes_back(ledger: Ledger) -> None:
    """A taker whose lease another has taken over in the same moment."""
    run, batches = offering(ledger)
    one = joined(ledger, run)
    taken = ledger.shares.take(one)
    with ledger.store.transaction() as c:
        c.run("UPDATE leases SET run_id = 4711 WHERE stage = :stage", {"stage": one.stage})
    assert taken == batches[0].batch_id and ledger.shares.lost(run, 102.0) == ([taken], [taken])


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


def test_what_newer_content_has_replaced_is_not_claimed(ledger: Ledger) -> None:
    """Another process stages it between a look at what is due and the claim, of fresh records and of retries."""
    run, _ = begun(ledger)
    ledger.parts.begin(run, [("1", None), ("2", None)], 100.0)
    mine = ledger.parts.take(run, 100.0)
    assert mine is not None
    staged(ledger, run, mine.read, {"X": b'{"v":1}', "Y": b'{"v":1}'}, delivers_changes=False)
    other = joined(ledger, run)
    part = ledger.parts.take(other, 100.0)
    assert part is not None and part.read.kin == mine.read.kin and part.read.showed(mine.read.read_id)
    due = ledger.delivery.fresh(run.plan_id, 0, 10)
    # Not of this read, so that it is an update: of what has never been sent.
    staged(ledger, other, Read(4711, 1.0, None, own=False), {"X": b'{"v":2}'}, delivers_changes=False)

    def claim(kind: str, records: Any) -> Any:
        return ledger.delivery.claim(
            run, kind, records, [], body=b"[1,1]", body_path="", key="k", now=102.0, checks=True
        )

    with pytest.raises(Replaced) as caught:
        claim("fresh", due)
    assert caught.value.seqs == {due[0].seq} and ledger.store.rows("SELECT 1 FROM batches") == []
    batch = claim("fresh", due[1:])
    failed = [Exempt(due[1].seq, "failed", Message("reason.interrupted"), due_at=104.0)]
    ledger.delivery.close(run, batch, state="failed", attempt=None, failed=failed, attempts=1, now=103.0)
    again = ledger.delivery.again(run.plan_id, 105.0, 0, 10)
    staged(ledger, other, Read(4712, 1.0, None, own=False), {"Y": b'{"v":2}'}, delivers_changes=False)
    with pytest.raises(Replaced):
        claim("retry", again)
