"""Deliver: due records from the ledger to the target, in batches, several at once, also by other processes. It never
reads a source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from noria.connectors.failures import Failure
from noria.connectors.target import Target
from noria.engine.breaker import BREAKER
from noria.engine.claiming import claim
from noria.engine.job import Job
from noria.engine.outgoing import Prepared, Preparer
from noria.engine.partitions import split_of
from noria.engine.sending import Sender
from noria.engine.sharing import Sharing
from noria.engine.targets import target_of
from noria.ledger.delivery import Due, Exempt
from noria.messages import Message
from noria.metadata.macros import Moment

# Records that are taken up at once where documents are put together from many.
_AT_ONCE = 5000
# How often it is looked for what other processes have staged, in seconds.
_LOOK_SECONDS = 0.5


async def deliver(job: Job) -> None:
    """Send what is due until nothing is, while the source is still being read.

    First the batches whose outcome an earlier run did not learn, then records whose retry or wait is over, then new
    ones in the order they were staged. Raises `Failure` (`auth`) when the target refuses the credentials.
    """
    target = target_of(job.workspace, job.plan)
    await _Delivery(job, target).run()


class _Delivery:
    def __init__(self, job: Job, target: Target | None) -> None:
        self.job = job
        self.target = target
        self.ledger = job.workspace.ledger.delivery
        self.plan_id = job.run.plan_id
        now = job.clock.now()
        watermark = job.workspace.ledger.reads.watermark(self.plan_id)
        tz = job.target.zone
        lenient = job.plan.options.lenient
        self.preparer = Preparer(job, Moment(last_sync=watermark or 0.0, now=now, tz=tz, lenient=lenient))
        self.size = target.batch_size if target else (job.plan.options.batch_size or 200)
        self.sending: dict[asyncio.Task[None], frozenset[str]] = {}
        self.refused: Failure | None = None
        documents = self.preparer.grouping is not None
        self.sender = Sender(job, target, documents=documents) if target else None
        self.sharing = Sharing(job, self.sender, lambda: self.halted, self._free) if self.sender else None
        # Whether other processes may stage records of this plan meanwhile.
        job.shared_reading = split_of(job.workspace, job.plan) is not None
        # Whether what is being sent has failed before.
        self.retrying = False

    async def run(self) -> None:
        try:
            await self._settle_doubt()
            if self.preparer.grouping is not None:
                await self._documents()
            else:
                self.retrying = True
                await self._again()
                await self._drain()
                if self.refused_again and self.sender is not None:
                    self.sender.breaker.falls.clear()
                self.retrying = False
                await self._fresh()
        except asyncio.CancelledError:
            # Out of time, or superseded: what is on its way is left in doubt.
            for task in self.sending:
                task.cancel()
            raise
        finally:
            await self._drain()
            if self.sharing is not None:
                await self.sharing.close()
        if self.refused is not None:
            raise self.refused

    @property
    def halted(self) -> bool:
        """Whether no further batch may be begun."""
        if self.sender is None:
            return self.job.stopping
        broken = self.sender.breaker.broken and not self.refused_again
        if broken and not self.job.stopping and self.refused is None:
            self.refused = Failure("transient", Message("run.target_unavailable", {"batches": BREAKER}))
        if self.refused is not None:
            self.job.target_down()
        throttled = self.sender.not_before > self.job.clock.now()
        if throttled:
            self.job.target_down()
        return self.job.stopping or self.refused is not None or throttled

    @property
    def refused_again(self) -> bool:
        """Whether the target refuses what it has refused before, without being away: no reason to keep back what it has
        never been sent."""
        if self.sender is None or not self.retrying:
            return False
        return self.sender.breaker.unavailable and not self.sender.breaker.away

    async def _settle_doubt(self) -> None:
        """Batches that a run before this one left open, and those whose doubt is to be settled now."""
        doubts = self.job.workspace.ledger.doubts
        if self.sharing is not None:
            for task, ids in self.sharing.take_over():
                self.sending[asyncio.create_task(self._guarded(task))] = ids
        open_batches = doubts.unfinished(self.job.run)
        for batch in open_batches:
            if self.halted:
                return
            if self.sender is None:
                # Another target than the plan has now was being sent to: that is settled when it is back.
                return
            self.job.workspace.observer.said(self.job.plan.key, Message("run.doubt", {"batch": batch.batch_id}))
            await self._guarded(self.sender.settle(batch))
        if self.sender is None:
            return
        patience = sum(map(float, self.job.plan.options.retry.schedule))
        for batch in doubts.doubtful(self.plan_id, self.job.clock.now(), patience):
            if self.halted:
                return
            doubts.reopen(batch, self.job.run, self.job.clock.now())
            await self._guarded(self.sender.settle(batch))
        self.sender.doubted |= doubts.doubted_ids(self.plan_id, self.job.clock.now(), patience)

    async def _again(self) -> None:
        """Failed, replayed and waiting records, each looked at once."""
        after = 0
        while not (self.halted or self.refused_again):
            due = self.ledger.again(self.plan_id, self.job.clock.now(), after, self.size)
            if not due:
                return
            after = due[-1].seq
            self.job.counts.retried += sum(1 for record in due if record.batch_id is not None)
            together = [record for record in due if not record.alone]
            for part in (together, *([record] for record in due if record.alone)):
                if part:
                    await self._claim("retry", part, None)

    async def _fresh(self) -> None:
        """Records that were never claimed, in whole batches while more are coming."""
        after = self.ledger.claimed(self.plan_id)
        while not self.halted:
            self.job.staged.clear()
            finished = self.job.extracted
            # What this process has just staged is not all that there is, where others stage, too.
            own = 0 if self.job.shared_reading else self.job.run.run_id
            due = self.ledger.fresh(self.plan_id, after, self.size, own)
            if len(due) < self.size and not finished:
                await self._more()
                continue
            if not due:
                return
            after = due[-1].seq
            await self._claim("fresh", due, after)

    async def _documents(self) -> None:
        """Records that a grouping puts together: only when the source is read can it be known which belong to the same
        document. New ones are set aside first, so that none counts as claimed before its document is."""
        while not self.job.extracted and not self.halted:
            self.job.staged.clear()
            if not self.job.extracted:
                await self._more()
        after, now = self.ledger.claimed(self.plan_id), self.job.clock.now()
        while not self.halted:
            due = self.ledger.fresh(self.plan_id, after, _AT_ONCE)
            if not due:
                break
            after = due[-1].seq
            aside = [Exempt(one.seq, "pending", Message("reason.to_be_grouped"), due_at=now) for one in due]
            self.ledger.claim(
                self.job.run, "retry", [], aside, body=b"", body_path="", key="", now=now, claimed_to=after
            )
        due, after = [], 0
        while not self.halted:
            more = self.ledger.again(self.plan_id, self.job.clock.now(), after, _AT_ONCE)
            if not more:
                break
            due += more
            after = more[-1].seq
        if self.halted or not due:
            return
        self.job.counts.retried += sum(1 for record in due if record.batch_id is not None)
        due, blocked = self._unblocked(due)
        whole = self.preparer.documents(due)
        whole.exempt += blocked
        self.job.counts.invalid += sum(one.state == "invalid" for one in whole.exempt)
        for ready in whole.parts(self.size):
            await self._room(ready.records)
            if self.halted:
                return
            await self._send("retry", ready, None)

    async def _claim(self, kind: str, due: list[Due], claimed_to: int | None) -> None:
        """Map records, claim them, and start sending them as soon as there is room."""
        staging = self.job.workspace.ledger.staging
        replaced = staging.replaced
        await self._room(due)
        if self.halted:
            return
        if staging.replaced != replaced or self.job.shared_reading:
            # While they waited newer content has taken the place of some.
            due = self.ledger.still(self.plan_id, due)
        due, blocked = self._unblocked(due)
        # Only what was tried before can have been corrected.
        edits = self.preparer.edits(due) if kind == "retry" else None
        ready = self.preparer.prepare(due, edits)
        ready.exempt += blocked
        self._invalid(due, ready.exempt)
        await self._send(kind, ready, claimed_to)

    def _invalid(self, due: Sequence[Due], exempt: Sequence[Exempt]) -> None:
        """Records that can't be mapped are counted, and told of."""
        those = [one for one in exempt if one.state == "invalid"]
        self.job.counts.invalid += len(those)
        if those:
            ids = {record.seq: record.id for record in due}
            named = [ids[one.seq] for one in those]
            self.job.workspace.observer.noted(self.job.plan.key, "invalid", named, those[0].reason)

    async def _send(self, kind: str, ready: Prepared, claimed_to: int | None) -> None:
        """Claim prepared records as a batch, and begin to send it."""
        if self.sender is None:
            self._keep(kind, ready, claimed_to)
            await asyncio.sleep(0)
            return
        batch = self.sender.open(kind, ready, claimed_to)
        self.job.moved()
        if batch is not None:
            sends = self.sender.send if self._free() > 0 or self.sharing is None else self.sharing.send
            task = asyncio.create_task(self._guarded(sends(batch, ready.payloads)))
            self.sending[task] = frozenset(record.id for record in ready.records)
            await asyncio.sleep(0)

    def _unblocked(self, due: list[Due]) -> tuple[list[Due], list[Exempt]]:
        """Records that may be sent; one whose older content is in a batch in doubt goes after that is settled."""
        doubted = self.sender.doubted if self.sender is not None else set()
        if not doubted or doubted.isdisjoint(record.id for record in due):
            return due, []
        now, reason = self.job.clock.now(), Message("reason.after_doubt")
        blocked = [
            Exempt(record.seq, "pending", reason, rounds=record.rounds, due_at=now)
            for record in due
            if record.id in doubted
        ]
        return [record for record in due if record.id not in doubted], blocked

    def _keep(self, kind: str, ready: Prepared, claimed_to: int | None) -> None:
        """写入空操作: the payloads are kept as delivered and nothing is sent."""
        claim(self.job, kind, ready, claimed_to, body=lambda rows: b"[" + b",".join(rows) + b"]", state="delivered")
        self.job.counts.delivered += len(ready.records)
        self.job.moved()

    async def _more(self) -> None:
        """Wait until more has been staged, which other processes don't tell."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS if self.job.shared_reading else None):
                await self.job.staged.wait()

    async def _room(self, due: Sequence[Due]) -> None:
        """Wait until another batch may be begun: fewer than `concurrency` are on their way from here, or others could
        take it, and none that is on its way holds an older content of one of these records."""
        ids = {record.id for record in due} if self.sending else set()
        while self.sending:
            same = [task for task, sent in self.sending.items() if not sent.isdisjoint(ids)]
            if not same and (self._free() > 0 or (self.sharing is not None and self.sharing.room())):
                return
            await self._wait(same or list(self.sending))

    def _free(self) -> int:
        """How many more batches this process may send at once."""
        elsewhere = self.sharing.elsewhere() if self.sharing is not None else 0
        return self.job.plan.options.concurrency - len(self.sending) + elsewhere

    async def _wait(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self.sending.pop(task, None)
            if not task.cancelled():
                task.result()

    async def _drain(self) -> None:
        while self.sending:
            await self._wait(list(self.sending))

    async def _guarded(self, sending: object) -> None:
        """A batch's way; refused credentials stop the run, because every other batch would be refused too."""
        try:
            await sending  # type: ignore[misc]
        except Failure as failure:
            self.refused = self.refused or failure
