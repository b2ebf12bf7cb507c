"""Transactions of several processes on one plan, in the orders that once ended in a deadlock, or in a wait for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from noria.ledger import Ledger, open_ledger
from noria.ledger.delivery import Exempt, Replaced
from noria.ledger.reads import Read
from noria.messages import Message
from noria.metadata.errors import NoriaError
from tests.unit.test_ledger import begun, claimed, staged
from tests.unit.test_shares import joined, offering

Ledgers = list[Ledger]


@pytest.fixture
def ledgers(tmp_path: Path, postgres: Any) -> Iterator[Ledgers]:
    """The same ledger, open four times; who looks on is the last."""
    url = postgres.emptied()
    with ExitStack() as stack:
        yield [stack.enter_context(open_ledger(url, tmp_path)) for _ in range(4)]


class Beside:
    """Work in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.found: Any = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.found = self._work()
        except NoriaError as error:
            self.found = error

    def ended(self) -> Any:
        self._thread.join(20)
        assert not self._thread.is_alive()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def until_waiting(ledger: Ledger, count: int = 1) -> None:
    """Until so many transactions wait for another."""
    end = time.monotonic() + 10
    asked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while len(ledger.store.tuples(asked)) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_taken_while_another_comes_to_the_same_place_is_not_left_to_nobody(ledgers: Ledgers) -> None:
    leader, one, other, looking = ledgers
    run, batches = offering(leader, 1)
    silent = joined(leader, run, now=101.0, most=1)
    leader.runs.heartbeat(run, 120.0, {})
    with one.store.transaction(silent) as c:
        own = {"run": silent.run_id, "b": batches[0].batch_id}
        c.run("UPDATE shares SET taker = :run WHERE batch_id = :b", own)
        c.run("UPDATE batches SET run_id = :run WHERE batch_id = :b", own)
        joining = Beside(lambda: other.assists.join(run.plan_id, 1, 121.0))
        until_waiting(looking)
    # What it took in that moment is seen: its place is not free yet.
    assert joining.ended() is None
    lost = leader.shares.lost(run, 122.0)
    assert lost == ([batches[0].batch_id], [batches[0].batch_id])


def test_a_takeover_while_others_stage(ledgers: Ledgers) -> None:
    leader, one, other, _ = ledgers
    run, _ = begun(leader)
    leader.parts.begin(run, [("1", None), ("2", None)], 100.0)
    helper = joined(leader, run)
    locks = "SELECT next_seq FROM plans WHERE plan_id = :p FOR UPDATE"
    with one.store.transaction(helper) as c:
        c.value(locks, {"p": run.plan_id})
        # It waits for nobody who helps.
        assert Beside(lambda: other.runs.begin("p", "p", "run", 1000.0)).ended().fence == run.fence + 1
        c.run("UPDATE plans SET next_seq = next_seq WHERE plan_id = :p", {"p": run.plan_id})


@pytest.mark.parametrize("ends", ["claimed again", "closed"])
def test_retries_beside_a_page_that_replaces_them(ledgers: Ledgers, ends: str) -> None:
    leader, one, other, looking = ledgers
    run, read = begun(leader)
    count = 2000
    staged(leader, run, read, {str(n): b'{"v":1,"n":%d}' % n for n in range(count)})
    first = claimed(leader, run, count)
    reason = Message("reason.interrupted")
    failed = [Exempt(record.seq, "failed", reason, rounds=1, due_at=104.0) for record in first.records]
    leader.delivery.close(run, first, state="failed", attempt=None, failed=failed, attempts=1, now=103.0)
    helper = joined(leader, run)
    due = leader.delivery.again(run.plan_id, 105.0, 0, count)
    how = {"body": b"[1]", "body_path": "", "key": "k"}
    batch = leader.delivery.claim(run, "retry", due, [], now=106.0, checks=True, **how) if ends == "closed" else None
    newer = {str(n): b'{"v":2,"n":%d}' % n for n in reversed(range(count))}

    def settling() -> None:
        if batch is not None:
            leader.delivery.close(run, batch, state="delivered", attempt=None, failed=[], attempts=1, now=107.0)
        else:
            with suppress(Replaced):
                leader.delivery.claim(run, "retry", due, [], now=106.0, checks=True, **how)

    middle = {"p": run.plan_id, "seq": due[count // 2].seq}
    with other.store.transaction() as c:
        c.value("SELECT seq FROM exceptions WHERE plan_id = :p AND seq = :seq FOR UPDATE", middle)
        # Both get half-way; where one went from the other end, each would then hold what the other needs.
        staging = Beside(lambda: staged(one, helper, Read(4711, 1.0, None, own=False), newer))
        until_waiting(looking, 1)
        settled = Beside(settling)
        until_waiting(looking, 2)
    assert staging.ended().staged == count
    settled.ended()
