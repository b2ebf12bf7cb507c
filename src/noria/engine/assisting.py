"""Assisting: a process sends batches that another process's run of the same plan offers.

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
from noria.engine.sending import Sender
from noria.ledger.reasons import stored
from noria.mapping import grouping_of

# How often it is looked for a batch that is offered, and how long nothing may be offered before this ends; in seconds.
POLL_SECONDS = 0.1
_IDLE_SECONDS = 2.0


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
    """Send what is offered until nothing is. Raises `NoriaError` (`superseded`) when the run that offers is over."""
    target = job.target.target(job.plan)
    if target is not None:
        await _Assisting(job, target).run()


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
    def __init__(self, job: Job, target: Target) -> None:
        self.job = job
        self.shares = job.workspace.ledger.shares
        self.sender = _Assistant(job, target)
        self.sending: set[asyncio.Task[None]] = set()
        self.refused: Failure | None = None

    @property
    def halted(self) -> bool:
        """Whether no further batch is to be taken."""
        throttled = self.sender.not_before > self.job.clock.now()
        return self.job.stopping or self.refused is not None or self.sender.breaker.broken or throttled

    async def run(self) -> None:
        last = time.monotonic()
        try:
            while not self.halted:
                taken = None
                if len(self.sending) < self.job.plan.options.concurrency:
                    taken = self.shares.take(self.job.run)
                if taken is not None:
                    last = time.monotonic()
                    self.sending.add(asyncio.create_task(self._send(taken)))
                    await asyncio.sleep(0)
                elif self.sending:
                    await self._wait(POLL_SECONDS)
                    last = time.monotonic()
                elif time.monotonic() - last < _IDLE_SECONDS:
                    await self.job.sleep(POLL_SECONDS)
                else:
                    return
        except asyncio.CancelledError:
            # Out of time, or superseded: what is on its way is left in doubt.
            for task in self.sending:
                task.cancel()
            raise
        finally:
            while self.sending:
                await self._wait(None)

    async def _send(self, batch_id: int) -> None:
        ledger = self.job.workspace.ledger
        batch = replace(ledger.doubts.open_batch(batch_id), again=False)
        failure: Failure | None = None
        try:
            await self.sender.send(batch, self.sender.payloads(batch))
        except Failure as refused:
            self.refused = failure = refused
        self.shares.over(self.job.run, batch_id, self.sender.tell(failure))

    async def _wait(self, seconds: float | None) -> None:
        done, self.sending = await asyncio.wait(self.sending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()
