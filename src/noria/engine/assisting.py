"""Assisting: a process reads parts of a source, and sends batches, that another process's run of the plan offers.

It claims no records and puts no batch together; what it sends was claimed by the run that offers it, to which it tells
what became of each.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.target import Target
from noria.engine.breaker import Fall
from noria.engine.job import PIECE, Job
from noria.engine.partitions import split_of
from noria.engine.parts import PartReader
from noria.engine.sending import DOUBTED, Sender
from noria.engine.targets import target_of
from noria.ledger.reasons import stored
from noria.mapping import grouping_of
from noria.monitoring.progress import Counts

# How often it is looked for a batch that is offered, and how long nothing may be offered before this ends; in seconds.
POLL_SECONDS = 0.1
_IDLE_SECONDS = 2.0
# How often it is looked whether the run that offers is still there, in seconds.
_LOOK_SECONDS = 1.0


class Outcome(msgspec.Struct, kw_only=True):
    """What a run is told of a batch that another process has seen to: its figures, the ids of records in doubt, and
    what has been learnt of the target since something was told last: when it answered last, which batches failed whole.
    Times in epoch seconds, by the clock that processes share."""

    counts: dict[str, int] = {}
    doubted: list[str] = []
    answered: float | None = None
    falls: list[Fall] = []
    not_before: float = 0.0
    refused: str | None = None


async def assist(job: Job) -> None:
    """Read and send what is offered until nothing is. Raises `NoriaError` (`superseded`) when a next run has begun."""
    await _Assisting(job).run()


class _Assistant(Sender):
    """A sender that tells another what it learns."""

    def __init__(self, job: Job, target: Target) -> None:
        super().__init__(job, target, documents=grouping_of(job.plan.target.metadata) is not None)
        self._answered: float | None = None
        self._falls: list[Fall] = []

    @property
    def excuses(self) -> bool:
        """The run that offers excuses, which knows of all that were sent."""
        return False

    def answered(self, at: float | None = None) -> None:
        super().answered(at)
        self._answered = self._shared(self.job.clock.now())

    def fell(self, fall: Fall) -> None:
        self.breaker.fell(fall)
        self._falls.append(fall._replace(at=self._shared(fall.at)))

    def _shared(self, at: float) -> float:
        return at + self.job.workspace.ledger.store.ahead

    def tell(self, counts: dict[str, int], doubted: list[str], refused: Failure | None) -> str:
        """What became of a batch, and what was learnt since this was asked last, as JSON."""
        outcome = Outcome(
            counts=counts,
            doubted=doubted,
            answered=self._answered,
            falls=self._falls,
            not_before=self._shared(self.not_before),
            refused=stored(refused.message) if refused else None,
        )
        self._answered, self._falls = None, []
        return msgspec.json.encode(outcome).decode()


class _Assisting:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.shares = job.workspace.ledger.shares
        target, split = target_of(job.workspace, job.plan), split_of(job.workspace, job.plan)
        self.sender = _Assistant(job, target) if target is not None else None
        self.reader = PartReader(job, split) if split is not None else None
        self.sending: set[asyncio.Task[None]] = set()
        self.refused: Failure | None = None

    def _sends(self) -> bool:
        """Whether another batch may be taken."""
        if self.sender is None or self.refused is not None or self.sender.breaker.broken:
            return False
        return len(self.sending) < self.job.plan.options.concurrency and self.sender.not_before <= self.job.clock.now()

    async def run(self) -> None:
        last = looked = time.monotonic()
        try:
            while not self.job.stopping and time.monotonic() - last < _IDLE_SECONDS:
                begun = self._begin()
                if begun or self.sending or (self.reader is not None and self.reader.reading):
                    last = time.monotonic()
                if not begun:
                    await self._wait(POLL_SECONDS)
                if time.monotonic() - looked >= _LOOK_SECONDS:
                    looked = time.monotonic()
                    assists, sameness = self.job.workspace.ledger.assists, self.job.sameness
                    if not assists.led(self.job.run, self.job.clock.now(), sameness):
                        # Nothing is left, or whoever has the plan next sees to it.
                        return
        except asyncio.CancelledError:
            # Out of time, or superseded: what is on its way is left in doubt.
            for task in self.sending:
                task.cancel()
            raise
        finally:
            if self.reader is not None:
                await self.reader.leave()
            while self.sending:
                await self._wait(None)

    def _begin(self) -> bool:
        """Take what there is room for; whether that was anything."""
        begun = self.reader is not None and self.reader.take()
        if self._sends():
            taken = self.shares.take(self.job.run)
            if taken is not None:
                self.sending.add(asyncio.create_task(self._send(taken)))
                begun = True
        return begun

    async def _send(self, batch_id: int) -> None:
        assert self.sender is not None
        ledger = self.job.workspace.ledger
        PIECE.set(Counts())
        DOUBTED.set(set())
        batch = replace(ledger.doubts.open_batch(batch_id), again=False)
        failure: Failure | None = None
        try:
            await self.sender.send(batch, self.sender.payloads(batch))
        except Failure as refused:
            self.refused = failure = refused
        outcome = self.sender.tell(self.job.piece({}), sorted(DOUBTED.get() or ()), failure)
        self.shares.over(self.job.run, batch_id, outcome)

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something comes to an end, at most so long."""
        reading = self.reader.reading if self.reader is not None else set()
        if not self.sending and not reading:
            await self.job.sleep(seconds or 0.0)
            return
        done, _ = await asyncio.wait(self.sending | reading, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self.reader is not None:
            self.reader.ended(done)
        sent = self.sending & done
        self.sending -= sent
        for task in sent:
            if not task.cancelled():
                task.result()
