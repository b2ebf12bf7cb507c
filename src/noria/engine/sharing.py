"""Sharing: what a run can't send at once it offers to other processes, and learns what became of it.

Records are claimed, ordered and put together by this run alone; so what keeps the order of an id, and what a batch in
doubt holds back, is the same whoever sends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from noria.connectors.failures import Failure
from noria.engine.assisting import POLL_SECONDS, Outcome
from noria.engine.job import Job
from noria.engine.sending import Sender
from noria.ledger.delivery import OpenBatch
from noria.ledger.overview import LOST_SECONDS
from noria.ledger.processes import owner
from noria.ledger.reasons import read
from noria.ledger.shares import Lost
from noria.messages import Message

# So many batches are offered for each that the others can send at once, so that they need not wait for the next.
_AHEAD = 4
# How often it is looked who could take a share, and whether those who have are still there; in seconds.
_LOOK_SECONDS = 2.0


@dataclass
class _Offer:
    """A batch that is offered. `news`: what became of it; None when it was taken back, a task when its taker is gone
    and what that left open is being settled."""

    batch: OpenBatch
    news: asyncio.Future[Outcome | asyncio.Task[None] | None]


class Sharing:
    """Offers batches of a run. `halted` says whether nothing more is to be begun, `free` how many this process has room
    to send itself."""

    def __init__(self, job: Job, sender: Sender, halted: Callable[[], bool], free: Callable[[], int]) -> None:
        self.job = job
        self.sender = sender
        self.halted = halted
        self.free = free
        self.shares = job.workspace.ledger.shares
        self.offers: dict[int, _Offer] = {}
        self._most = 0
        self._looked = float("-inf")
        self._watching: asyncio.Task[None] | None = None

    def elsewhere(self) -> int:
        """How many batches wait for other processes; not those that were just taken back, to be sent here."""
        return sum(1 for offer in self.offers.values() if not offer.news.done())

    def room(self) -> bool:
        """Whether another batch may be offered: there are processes that could take it."""
        options = self.job.plan.options
        if options.concurrency == 1 or options.workers == 1:
            return False
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._most = min(options.workers - 1, self._others()) * options.concurrency * _AHEAD
        return len(self.offers) < self._most

    def _others(self) -> int:
        """How many other processes are there."""
        ledger = self.job.workspace.ledger
        since = ledger.store.time(self.job.clock.now()) - LOST_SECONDS
        present = ledger.agenda.workers()
        return sum(1 for one in present if one.seen_at >= since and not one.draining and one.worker != owner())

    def take_over(self) -> list[tuple[Coroutine[Any, Any, None], frozenset[str]]]:
        """What the run before this one had offered: batches that nobody took are put back, since they have not been
        sent; gives what waits for the others, with the ids of their records."""
        doubts, found = self.job.workspace.ledger.doubts, []
        for batch_id in self.shares.inherited(self.job.run):
            self.sender.put_back(doubts.open_batch(batch_id))
            self.shares.forget(self.job.run, batch_id)
        for batch_id in self.shares.taken(self.job.run):
            batch = doubts.open_batch(batch_id)
            ids = frozenset(record.id for record in batch.records if record.id)
            found.append((self._heard(batch, self.sender.payloads(batch)), ids))
        return found

    async def send(self, batch: OpenBatch, payloads: Sequence[bytes]) -> None:
        """Have a batch sent by whoever takes it, or send it here after all. Raises `Failure` as `Sender.send` does."""
        self.shares.offer(self.job.run, batch.batch_id)
        await self._heard(batch, payloads)

    async def _heard(self, batch: OpenBatch, payloads: Sequence[bytes]) -> None:
        offer = _Offer(batch, asyncio.get_running_loop().create_future())
        self.offers[batch.batch_id] = offer
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            news = await offer.news
        finally:
            self.offers.pop(batch.batch_id, None)
        if news is None:
            if self.halted():
                self.sender.put_back(batch)
            else:
                await self.sender.send(batch, payloads)
        elif isinstance(news, Outcome):
            self._hear(news)
        else:
            await asyncio.shield(news)

    def _hear(self, news: Outcome) -> None:
        """What another process tells, as if it had happened here."""
        self.job.add(news.counts)
        ahead = self.job.workspace.ledger.store.ahead
        if news.answered is not None:
            self.sender.answered(news.answered - ahead)
        for fall in news.falls:
            self.sender.fell(fall._replace(at=fall.at - ahead))
        self.sender.doubted.update(news.doubted)
        self.sender.not_before = max(self.sender.not_before, news.not_before - ahead)
        if news.refused is not None:
            message = read(news.refused)
            assert message is not None
            raise Failure("auth", message)

    async def _watch(self) -> None:
        """Look what became of what is offered, as long as anything is."""
        asked = time.monotonic()
        try:
            while self.offers:
                for batch_id, outcome in self.shares.gathered(self.job.run):
                    self._resolve(batch_id, msgspec.json.decode(outcome, type=Outcome))
                self._recall()
                if time.monotonic() - asked >= _LOOK_SECONDS:
                    asked = time.monotonic()
                    self._take_over(self.shares.lost(self.job.run, self.job.clock.now()))
                await asyncio.sleep(POLL_SECONDS)
        except Exception as error:  # noqa: BLE001 - told to all that wait for it
            for offer in self.offers.values():
                if not offer.news.done():
                    offer.news.set_exception(error)

    def _recall(self) -> None:
        """Take back what nobody has taken: everything when nothing more is to be begun, and what there is room for."""
        room = len(self.offers) if self.halted() else self.free()
        for batch_id, offer in list(self.offers.items()):
            if room <= 0:
                return
            if not offer.news.done() and self.shares.recall(self.job.run, batch_id):
                self._resolve(batch_id, None)
                room -= 1

    def _take_over(self, lost: Lost) -> None:
        """What processes that are gone had taken is this run's to settle."""
        if not lost.shares:
            return
        waited = [self.offers[number].batch for number in lost.shares if number in self.offers]
        ended = [batch for batch in waited if batch.batch_id not in lost.open]
        settling = asyncio.create_task(self._settle(ended, lost.open))
        for batch_id in lost.shares:
            self._resolve(batch_id, settling)

    async def _settle(self, ended: Sequence[OpenBatch], left_open: Sequence[int]) -> None:
        """`ended`: batches that had come to an end, of which their takers could not tell any more."""
        ledger = self.job.workspace.ledger
        for batch in ended:
            states = ledger.delivery.states(self.job.run.plan_id, [record.seq for record in batch.records])
            self.job.add({state: states.get(state, 0) for state in ("delivered", "failed", "dead", "held")})
        for number in left_open:
            self.job.workspace.observer.said(self.job.plan.key, Message("run.doubt", {"batch": number}))
            await self.sender.settle(ledger.doubts.open_batch(number))

    def _resolve(self, batch_id: int, news: Outcome | asyncio.Task[None] | None) -> None:
        offer = self.offers.get(batch_id)
        if offer is not None and not offer.news.done():
            offer.news.set_result(news)

    async def close(self) -> None:
        """Stop looking."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
