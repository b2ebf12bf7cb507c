"""One run under way: what its halves share."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from xxhash import xxh3_64_hexdigest

from noria.connectors import Connection
from noria.engine.workspace import Workspace
from noria.ledger.runs import Run
from noria.metadata.clock import Clock, sleep_unless
from noria.metadata.plan import Plan
from noria.monitoring.progress import Counts, Pace

# Figures of the piece of work that a task does, where those are told apart from the rest of the run's.
PIECE: ContextVar[Counts | None] = ContextVar("piece", default=None)


class Job:
    """A run of a plan. `stop()` asks it to finish what is in flight and begin nothing new."""

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        run: Run,
        source: Connection,
        target: Connection,
        sameness: str | None = None,
    ) -> None:
        self.workspace = workspace
        self.plan = plan
        self.run = run
        self.source = source
        self.target = target
        # A digest of the plan as it is carried out.
        self.sameness = sameness
        self.clock: Clock = workspace.clock
        self.whole = Counts()
        self.pace = Pace(self.clock.now())
        self.total: int | None = None
        # Whether a person asked this run to stop.
        self.cancelled = False
        self.staged = asyncio.Event()
        self.extracted = False
        # Whether other processes may stage records of this plan meanwhile.
        self.shared_reading = False
        self._stop = asyncio.Event()
        self._target_down = False
        self._batches = 0
        self._before = self._told = self._requests()
        self._waited = self._waits()

    @property
    def counts(self) -> Counts:
        """The run's figures, or those of the piece of work that this task does."""
        return PIECE.get() or self.whole

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stop.is_set()

    @property
    def reading_stops(self) -> bool:
        """Whether no further page is to be read: the run is asked to stop, or its target is down and the plan's source
        then pauses."""
        return self.stopping or (self._target_down and self.plan.options.target_down == "pause")

    def target_down(self) -> None:
        """The target is left alone for the rest of the run."""
        self._target_down = True

    def backlog(self) -> bool:
        """Whether records that were staged before are due."""
        ledger, now = self.workspace.ledger, self.clock.now()
        patience = sum(map(float, self.plan.options.retry.schedule))
        return ledger.delivery.has_due(self.run.plan_id, now) or ledger.doubts.any(self.run.plan_id, now, patience)

    def stop(self) -> None:
        """Ask the run to stop."""
        self._stop.set()
        self.staged.set()

    def next_key(self, body: bytes) -> str:
        """An idempotency key for a new batch: this ledger's identity, the run, a number within it, and a digest of what
        is sent: numbers come again where a ledger was put back, or copied."""
        self._batches += 1
        return f"{self.workspace.ledger.identity}-{self.run.run_id}-{self._batches}-{xxh3_64_hexdigest(body)}"

    def moved(self, total: int | None = None) -> None:
        """Tell the observer that figures have grown."""
        if total is not None:
            self.total = total
        self.whole.requests = self._requests() - self._before
        self.whole.waited_ms = round((self._waits() - self._waited) * 1000)
        self.workspace.observer.moved(self.plan.key, self.whole, self.total)

    def add(self, counts: dict[str, int]) -> None:
        """Figures of a part of this run that was done apart, or by another process."""
        for name, count in counts.items():
            if name == "requests":
                self._before -= count
            else:
                setattr(self.whole, name, getattr(self.whole, name) + count)
        self.moved()

    def piece(self, before: dict[str, int]) -> dict[str, int]:
        """The figures of the piece of work that this task has done, with the requests sent since this was asked last,
        for another's run; in this one what is more than `before` counts, too."""
        counts = {name: count for name, count in self.counts.as_dict().items() if count}
        # Requests count in this run as they are sent.
        self.add({name: count - before.get(name, 0) for name, count in counts.items() if name != "requests"})
        sent = self._requests()
        counts["requests"] = counts.get("requests", 0) + sent - self._told
        self._told = sent
        return counts

    def _requests(self) -> int:
        """Requests that the run's connections have sent since they were opened."""
        return sum({id(c): c.transport.requests for c in (self.source, self.target)}.values())

    def _waits(self) -> float:
        """Seconds for which requests of the run's connections have waited for their places."""
        return sum({id(c): c.transport.gate.waited for c in (self.source, self.target)}.values())

    async def sleep(self, seconds: float) -> None:
        """Wait on the run's clock, but no longer than until it is asked to stop."""
        await sleep_unless(self._stop, self.clock, seconds)
