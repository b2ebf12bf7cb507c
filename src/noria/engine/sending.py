"""Sending one batch: its tries, what its outcome means for each record, what is done when nobody knows the outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from enum import Enum
from typing import overload

from noria.connectors.failures import Failure
from noria.connectors.target import Row, Target, Written
from noria.engine.breaker import Breaker, Fall
from noria.engine.claiming import claim
from noria.engine.job import Job
from noria.engine.outgoing import Prepared
from noria.engine.retry import Again, GiveUp, Tries, broke_down, next_round, not_its_fault
from noria.ledger.delivery import Attempt, Due, Exempt, OpenBatch
from noria.ledger.records import rows_of
from noria.messages import Message
from noria.monitoring.traces import span

# Ids that came to be in doubt in the batch that a task sends.
DOUBTED: ContextVar[set[str] | None] = ContextVar("doubted", default=None)


class Doubt(Enum):
    """What is known of a batch of which an earlier send may have been carried out."""

    OPEN = "nobody knows"
    ABSENT = "the target has nothing of it"
    OVER = "it is settled"


class Sender:
    """Sends batches to one target and writes down what became of them. `documents`: a payload is put together from
    records, and the target may have had it before, with others of them."""

    def __init__(self, job: Job, target: Target, *, documents: bool = False) -> None:
        self.job = job
        self.target = target
        self.documents = documents
        self.ledger = job.workspace.ledger.delivery
        self.breaker = Breaker()
        self.not_before = 0.0
        # Ids of records that are in a batch in doubt: newer content of theirs has to wait.
        self.doubted: set[str] = set()

    def open(self, kind: str, ready: Prepared, claimed_to: int | None) -> OpenBatch | None:
        """Claim prepared records as a batch that is being sent; committed before anything leaves the process."""
        target = self.target
        return claim(self.job, kind, ready, claimed_to, body=target.body, body_path=target.body_path)

    def payloads(self, batch: OpenBatch) -> list[bytes]:
        """What was put together for a batch that the ledger keeps."""
        row = self.job.workspace.ledger.store.rows(
            "SELECT body_path FROM batches WHERE batch_id = :b", b=batch.batch_id
        )[0]
        return [bytes(raw) for raw in rows_of(batch.body, row.body_path)]

    def put_back(self, batch: OpenBatch) -> None:
        """A batch that was claimed and is not sent after all: its records are due again; where the target is at fault,
        when that is to be tried again."""
        now, reason = self.job.clock.now(), Message("reason.put_back")
        due_at = max(now, self.not_before)
        if self.breaker.broken:
            due_at = not_its_fault(self.job.plan.options.retry, due_at)
        state = "failed" if due_at > now else "pending"
        again = [Exempt(r.seq, state, reason, rounds=r.rounds, due_at=due_at) for r in batch.records]
        self._close(batch, "failed", None, again, 0)

    async def settle(self, batch: OpenBatch) -> None:
        """A batch whose outcome is unknown: ask the target, or send it again under the same key, or as the plan's
        `on_doubt` says. Raises `Failure` (`auth`)."""
        payloads = self.payloads(batch)
        doubt = await self._weighed(batch, payloads, None, 0)
        if doubt is not Doubt.OVER:
            await self.send(batch, payloads, doubt)

    async def send(self, batch: OpenBatch, payloads: Sequence[bytes], doubt: Doubt | None = None) -> None:
        """Send a batch until it is settled for this run. Raises `Failure` (`auth`) after giving its records back.

        `doubt`: where an earlier send of it may have been carried out, what is known of that.
        """
        tries, keyed = Tries(self.job.plan.options.retry), self.target.honours_keys
        # Twice in different runs the target broke down over this very batch: one of its rows may be the cause.
        spoilt = all(record.rounds for record in batch.records if record.page_id)
        rows = _Rows([group[0] for group in batch.groups()] if batch.sizes else batch.records, payloads)
        while True:
            started, clock = self.job.clock.now(), time.perf_counter()
            try:
                plan, run_id = self.job.plan.key, self.job.run.run_id
                with span("batch", plan=plan, run_id=run_id, batch=batch.batch_id, rows=len(rows)):
                    written = await self.target.send(batch.body, batch.key, rows, self._check)
            except Failure as failure:
                decision = tries.after(failure)
                spoilt = spoilt and broke_down(failure)
                attempt = self._attempt(batch, started, clock, failure)
                kept: Attempt | None = attempt
                if isinstance(decision, Again):
                    self.ledger.attempt(self.job.run, batch, attempt)
                    self.job.counts.retried += len(rows)
                    await self._pause(failure, decision.seconds)
                    kept = None
                refused = decision.kind == "permanent" if isinstance(decision, GiveUp) else False
                if refused and doubt is None and len(payloads) > 1 and self.target.can_ask(payloads):
                    # A batch that is refused as a whole may have been written in part.
                    there = await self._asked(
                        batch, payloads, range(len(payloads)), kept, tries.failed, must=False, strict=True
                    )
                    if there and any(there):
                        await self._verified(batch, payloads, there, kept, tries.failed)
                        return
                if failure.kind == "doubt":
                    # It is asked after the pause: what was under way is done by then.
                    known = await self._weighed(batch, payloads, kept, tries.failed)
                    if known is Doubt.OVER:
                        return
                    # What the target has nothing of yet may still be under way, under this key; unless it had nothing
                    # of what an earlier run sent either, and has answered every time since that it broke down.
                    doubt = known if not keyed or (doubt is known and broke_down(failure)) else Doubt.OPEN
                if isinstance(decision, Again):
                    if not self.job.stopping:
                        continue
                    decision = GiveUp(failure.kind)
                # As long as rows may have been written under a key they are sent under no other, whatever a repeat is
                # answered: that the first is still at work, what the first was answered, that it was done before.
                bound = keyed and doubt is Doubt.OPEN
                if not bound and (decision.kind == "permanent" or (spoilt and not self.job.stopping)):
                    decision = replace(decision, divisible=True)
                elif doubt is not None:
                    # One try of them may have been carried out, whatever became of the others.
                    decision = GiveUp("auth" if decision.kind == "auth" else "doubt", decision.not_before, doubt=True)
                await self._failed(batch, payloads, decision, failure, kept, tries.made)
                return
            await self._settled(batch, payloads, written, started, tries.made + 1)
            return

    def _attempt(self, batch: OpenBatch, started: float, clock: float, failure: Failure) -> Attempt:
        """A try that failed."""
        return Attempt(
            started,
            time.perf_counter() - clock,
            failure.kind,
            failure.request,
            failure.status,
            failure.message,
            failure.answer,
            self.target.said_of(batch.key),
        )

    def _check(self) -> None:
        """A process that was frozen, or cut off, must not send what its successor has sent meanwhile."""
        self.job.workspace.ledger.runs.check(self.job.run)

    async def _pause(self, failure: Failure, seconds: float) -> None:
        values = {"what": failure.request, "reason": failure.message, "seconds": round(seconds, 1)}
        self.job.workspace.observer.said(self.job.plan.key, Message("run.retry", values))
        await self.job.sleep(seconds)

    async def _settled(
        self, batch: OpenBatch, payloads: Sequence[bytes], written: Written, started: float, attempts: int
    ) -> None:
        """The target answered: every row without a complaint is delivered; one that it said nothing of is in doubt."""
        answer = written.answer
        lost: set[int] | None = set() if not written.silent else None
        headers = self.target.said_of(batch.key)
        if written.silent and self.target.can_ask([payloads[place] for place in written.silent]):
            tried = (answer.request, answer.status, None, written.kept, headers)
            cause = Attempt(started, answer.seconds, "doubt", *tried)
            silent = sorted(written.silent)
            there = await self._asked(batch, payloads, silent, cause, attempts, must=True)
            if there is None:
                return
            lost = {place for place, found in zip(silent, there, strict=True) if not found}
        now, failed, aside = self.job.clock.now(), [], []
        complaints = zip(batch.groups(), written.rows, strict=True) if any(written.rows) else ()
        for place, (group, reason) in enumerate(complaints):
            if reason is None or (place in written.silent and lost is not None and place not in lost):
                continue
            if place in written.silent and lost is not None:
                aside.append(place)
            hold = place in written.silent and lost is None and self._must_wait([payloads[place]])
            failed += [self._held(one, reason) if hold else self._exempt(one, reason, now) for one in group]
        outcome = "delivered" if not failed else "partial" if len(failed) < len(batch.records) else "refused"
        attempt = Attempt(started, answer.seconds, outcome, answer.request, answer.status, None, written.kept, headers)
        self._close(batch, "delivered" if outcome != "refused" else "failed", attempt, failed, attempts)
        self._set_aside(batch, payloads, aside)
        self.answered()

    def _set_aside(self, batch: OpenBatch, payloads: Sequence[bytes], places: Sequence[int]) -> None:
        """Rows that the target said nothing of and does not show: a batch of their own, in doubt, so that it is asked
        once more before they are sent again."""
        size, now = self.target.batch_size, self.job.clock.now()
        groups = batch.groups()
        for first in range(0, len(places), size):
            part = places[first : first + size]
            ready = Prepared.of([groups[at] for at in part], [payloads[at] for at in part])
            opened = self.open("retry", ready, None)
            if opened is None:
                continue
            reason = Message("reason.no_result")
            failed = [self._exempt(record, reason, now) for record in opened.records]
            self.ledger.close(self.job.run, opened, state="doubt", attempt=None, failed=failed, attempts=0, now=now)
            self._doubts(opened.records)

    def _doubts(self, records: Sequence[Due]) -> None:
        """Newer content of these has to wait."""
        ids = {record.id for record in records if record.id}
        self.doubted |= ids
        here = DOUBTED.get()
        if here is not None:
            here |= ids

    def _exempt(self, record: Due, reason: Message, now: float, not_before: float = 0.0) -> Exempt:
        """A record that failed: its next retry, or dead when the schedule is used up."""
        due_at = next_round(self.job.plan.options.retry, record.rounds, now, not_before)
        if due_at is None:
            return Exempt(record.seq, "dead", reason, rounds=record.rounds)
        return Exempt(record.seq, "failed", reason, rounds=record.rounds + 1, due_at=due_at)

    async def _failed(
        self,
        batch: OpenBatch,
        payloads: Sequence[bytes],
        decision: GiveUp,
        failure: Failure,
        attempt: Attempt | None,
        attempts: int,
    ) -> None:
        if len(payloads) > 1 and decision.divisible and not self.breaker.unavailable:
            await self._bisect(batch, payloads, failure, attempt, attempts)
            return
        # Nobody's fault: neither the credentials, nor a limit, nor an end that was asked for.
        excused = self.excuses or decision.kind == "auth" or failure.kind == "throttled" or self.job.stopping
        self._give_up(batch, decision, failure, attempt, attempts)
        self.fell(Fall(self.job.clock.now(), batch.batch_id, decision.kind != "permanent", excused))
        if decision.kind == "auth":
            raise failure

    @property
    def excuses(self) -> bool:
        """Whether so many batches failed that what fails now is not its records' fault."""
        return self.breaker.unavailable

    def answered(self, at: float | None = None) -> None:
        """The target took a batch, or a part of one: it is there. `at`: when, where that is not now."""
        self.breaker.answered(self.job.clock.now() if at is None else at)

    def fell(self, fall: Fall) -> None:
        """A batch failed whole."""
        forgiven = self.breaker.fell(fall)
        if forgiven:
            now = self.job.clock.now()
            due_at = not_its_fault(self.job.plan.options.retry, now)
            revived = self.ledger.forgive(self.job.run, forgiven, now, due_at)
            self.job.counts.dead -= revived
            self.job.counts.failed += revived

    def _give_up(
        self, batch: OpenBatch, decision: GiveUp, failure: Failure, attempt: Attempt | None, attempts: int
    ) -> None:
        """The batch failed for this run: when its records are tried again."""
        now = self.job.clock.now()
        state = "failed"
        if decision.kind == "auth" or (self.job.stopping and decision.kind != "permanent"):
            # Not the records' fault: they use up no retry and are due as soon as the plan runs again.
            failed = [Exempt(r.seq, "failed", failure.message, rounds=r.rounds, due_at=now) for r in batch.records]
        elif decision.kind == "permanent" and len(batch.groups()) == 1 and (failure.status or 0) >= 400:
            # HTTP says that the request itself is wrong. A business code inside an HTTP 200 says less: what it
            # complains of (a missing department, a locked document) may be mended by others, so that is tried again.
            failed = [Exempt(r.seq, "dead", failure.message, rounds=r.rounds) for r in batch.records]
        elif failure.kind == "throttled" or self.excuses:
            self.not_before = max(self.not_before, now + decision.not_before)
            due_at = not_its_fault(self.job.plan.options.retry, now, decision.not_before)
            failed = [Exempt(r.seq, "failed", failure.message, rounds=r.rounds, due_at=due_at) for r in batch.records]
        else:
            failed = [self._exempt(r, failure.message, now, decision.not_before) for r in batch.records]
        if (decision.doubt or decision.kind == "doubt") and (self.target.honours_keys or self.target.can_verify):
            state = "doubt"
            self._doubts(batch.records)
            reason = Message("reason.maybe_written", {"cause": failure.message})
            failed = [one._replace(reason=reason) for one in failed]
        self._close(batch, state, attempt, failed, attempts)

    async def _bisect(
        self,
        batch: OpenBatch,
        payloads: Sequence[bytes],
        failure: Failure,
        attempt: Attempt | None,
        attempts: int,
    ) -> None:
        """The target refuses the batch as a whole: one bad row may be the cause, so each half is sent by itself."""
        now = self.job.clock.now()
        back = [Exempt(r.seq, "failed", failure.message, rounds=r.rounds, due_at=now) for r in batch.records]
        self.ledger.close(self.job.run, batch, state="failed", attempt=attempt, failed=back, attempts=attempts, now=now)
        await self._send_on(batch.groups(), payloads, (len(payloads) + 1) // 2)

    async def _send_on(self, groups: Sequence[Sequence[Due]], payloads: Sequence[bytes], most: int) -> None:
        """Send payloads of a batch that was closed in new ones, with at most so many in each."""
        size = max(1, min(most, self.target.batch_size))
        for first in range(0, len(payloads), size):
            part = slice(first, first + size)
            opened = self.open("retry", Prepared.of(groups[part], payloads[part]), None)
            if opened is not None:
                await self.send(opened, payloads[part])

    async def _weighed(self, batch: OpenBatch, payloads: Sequence[bytes], attempt: Attempt | None, tries: int) -> Doubt:
        """After a send that may have been carried out: what the target says of it, where it can be asked. Where only
        the target can tell, and it can't be asked either, the batch stays in doubt. Raises `Failure` (`auth`)."""
        keyed = self.target.honours_keys
        if self.target.can_ask(payloads):
            everywhere = range(len(payloads))
            there = await self._asked(batch, payloads, everywhere, attempt, tries, must=not keyed)
            if there is None:
                return Doubt.OVER
            # A part of it is made whole by the same key, and otherwise by sending the rest.
            if there and (all(there) or (any(there) and not keyed)):
                await self._verified(batch, payloads, there, attempt, tries)
                return Doubt.OVER
            return Doubt.OPEN if any(there) or not there else Doubt.ABSENT
        if not keyed and self._must_wait(payloads):
            cause = attempt.reason if attempt is not None else None
            self._hold(batch, attempt, tries, cause or Message("reason.interrupted"))
            return Doubt.OVER
        return Doubt.OPEN

    def _must_wait(self, payloads: Sequence[bytes]) -> bool:
        """Whether what may have been written waits for a person: to send it again would make another, or nobody knows
        and the plan wants it so."""
        recognizes = self.target.recognizes(payloads)
        return not recognizes and (recognizes is False or self.job.plan.options.on_doubt == "hold")

    async def _asked(
        self,
        batch: OpenBatch,
        payloads: Sequence[bytes],
        places: Sequence[int],
        attempt: Attempt | None,
        tries: int,
        *,
        must: bool,
        strict: bool = False,
    ) -> Sequence[bool] | None:
        """Which of the rows at `places` the target has. It is asked again as the plan's retry says where it `must` be
        known, and else nothing is given where it does not say; None where it must and never said, so that the batch was
        left in doubt. `strict`: only those that show everything that was sent."""
        groups = batch.groups()
        rewritten = self.job.workspace.ledger.doubts.rewritten(
            self.job.run.plan_id, [one for at in places for one in groups[at]]
        )
        rows = [
            Row(groups[at][0].id, payloads[at], strict or self.documents or groups[at][0].seq in rewritten)
            for at in places
        ]
        asked = Tries(self.job.plan.options.retry)
        while True:
            try:
                return [await self.target.has(row) for row in rows]
            except Failure as failure:
                if not must and failure.kind != "auth":
                    return ()
                decision = asked.after(failure)
                if isinstance(decision, Again):
                    await self._pause(failure, decision.seconds)
                    if not self.job.stopping:
                        continue
                    decision = GiveUp("doubt")
                refused = decision.kind == "auth"
                decision = GiveUp("auth" if refused else "doubt", decision.not_before, doubt=True)
                self._give_up(batch, decision, failure, attempt, tries)
                if refused:
                    raise
                return None

    async def _verified(
        self,
        batch: OpenBatch,
        payloads: Sequence[bytes],
        there: Sequence[bool],
        attempt: Attempt | None,
        attempts: int,
    ) -> None:
        """The target has rows of a batch: all of them, and it is delivered; some, and the rest goes as a batch of its
        own."""
        now = self.job.clock.now()
        groups = batch.groups()
        missing = [(g, p) for g, p, found in zip(groups, payloads, there, strict=True) if not found]
        reason = Message("reason.not_there")
        back = [Exempt(r.seq, "failed", reason, rounds=r.rounds, due_at=now) for group, _ in missing for r in group]
        self.ledger.close(
            self.job.run, batch, state="delivered", attempt=attempt, failed=back, attempts=attempts, now=now
        )
        self.job.counts.delivered += len(batch.records) - len(back)
        self.answered()
        self.job.moved()
        if missing:
            await self._send_on([group for group, _ in missing], [payload for _, payload in missing], len(missing))

    def _hold(self, batch: OpenBatch, attempt: Attempt | None, attempts: int, cause: Message) -> None:
        self._close(batch, "failed", attempt, [self._held(r, cause) for r in batch.records], attempts)

    @staticmethod
    def _held(record: Due, cause: Message) -> Exempt:
        """A record whose outcome nobody knows, kept for a person."""
        return Exempt(record.seq, "held", Message("reason.in_doubt", {"cause": cause}), rounds=record.rounds)

    def _close(
        self, batch: OpenBatch, state: str, attempt: Attempt | None, failed: list[Exempt], attempts: int
    ) -> None:
        self.ledger.close(
            self.job.run,
            batch,
            state=state,
            attempt=attempt,
            failed=failed,
            attempts=attempts,
            now=self.job.clock.now(),
        )
        counts = self.job.counts
        counts.delivered += len(batch.records) - len(failed)
        ids = {record.seq: record.id for record in batch.records}
        for state in ("dead", "held"):
            those = [one for one in failed if one.state == state]
            if those:
                named = [ids[one.seq] for one in those]
                self.job.workspace.observer.noted(self.job.plan.key, state, named, those[0].reason)
        for one in failed:
            if one.state != "pending":
                setattr(counts, one.state, getattr(counts, one.state) + 1)
        self.job.moved()


class _Rows(Sequence[Row]):
    """A batch's rows, made only where somebody looks at them: most targets answer for all at once."""

    def __init__(self, records: Sequence[Due], payloads: Sequence[bytes]) -> None:
        self._records = records
        self._payloads = payloads

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return _Rows(self._records[index], self._payloads[index])
        return Row(self._records[index].id, self._payloads[index])
