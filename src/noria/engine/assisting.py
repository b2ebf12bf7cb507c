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
from noria.engine.job import Job
from noria.engine.partitions import split_of
from noria.engine.parts import PartReader
from noria.engine.sending import Sender
from noria.ledger.reasons import stored
from noria.mapping import grouping_of

# How often it is looked for a batch that is offered, and how long nothing may be offered before this ends; in seconds.
POLL_SECONDS = 0.1
_IDLE_SECONDS = 2.0
# How often it is looked whether the run that offers is still there, in seconds.
_LOOK_SECONDS = 1.0


class Outcome(msgspec.Struct, kw_only=True):
    """What a run is told of a batch that another process has seen to: figures since that told something last, and what
    it has learnt of the target since: when it answered last, which batches failed whole. Times in epoch seconds, by the
    clock that processes share."""

    counts: dict[str, int] = {}
    answered: float | None = None
    falls: list[Fall] = []
    doubted: bool = False
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
        self._told: dict[str, int] = job.counts.as_dict()

    @property
    def excuses(self) -> bool:
        """The run that offers excuses, which knows of all that were sent."""
        return False

    def answered(self, at: float | None = None) -> None:
        super().answered(at)
        self._answered = self._shared(self.job.clock.now())

    def fell(self, fall: Fall, *, excused: bool) -> None:
        self.breaker.fell(fall, excused=excused)
        self._falls.append(fall._replace(at=self._shared(fall.at)))

    def _shared(self, at: float) -> float:
        return at + self.job.workspace.ledger.store.ahead

    def tell(self, refused: Failure | None) -> str:
        """What happened since this was asked last, as JSON."""
        self.job.moved()
        counts = self.job.counts.as_dict()
        outcome = Outcome(
            counts={name: count - self._told[name] for name, count in counts.items() if count != self._told[name]},
            answered=self._answered,
            falls=self._falls,
            doubted=bool(self.doubted),
            not_before=self._shared(self.not_before),
            refused=stored(refused.message) if refused else None,
        )
        self._told, self._answered, self._falls = counts, None, []
        self.doubted = set()
        return msgspec.json.encode(outcome).decode()


class _Assisting:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.shares = job.workspace.ledger.shares
        target, split = job.target.target(job.plan), split_of(job.workspace, job.plan)
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
                    if not self.job.workspace.ledger.assists.led(self.job.run, self.job.clock.now()):
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
        batch = replace(ledger.doubts.open_batch(batch_id), again=False)
        failure: Failure | None = None
        try:
            await self.sender.send(batch, self.sender.payloads(batch))
        except Failure as refused:
            self.refused = failure = refused
        self.shares.over(self.job.run, batch_id, self.sender.tell(failure))

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something comes to an end, at most so long."""
        reading = self.reader.reading if self.reader is not None else set()
        if not self.sending and not reading:
            await self.job.sleep(seconds or 0.0)
            return
        done, _ = await asyncio.wait(self.sending | reading, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.sending -= done
        if self.reader is not None:
            self.reader.ended(done)
        for task in done:
            # A part that can't be read is left to the run that offers it, which will hear the same.
            if not task.cancelled() and not isinstance(task.exception(), Failure):
                task.result()
