"""Claiming: prepared records become a batch, without those whose place newer content has taken meanwhile, or that a
person has decided about."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from noria.engine.job import Job
from noria.engine.outgoing import Prepared
from noria.ledger.delivery import OpenBatch, Replaced


def claim(
    job: Job,
    kind: str,
    ready: Prepared,
    claimed_to: int | None,
    *,
    body: Callable[[Sequence[bytes]], bytes],
    body_path: str = "",
    state: str = "sending",
) -> OpenBatch | None:
    """Claim prepared records as a batch whose payloads `body` puts together; None when nothing is left to send. Those
    that are there no more are left out of `ready`, as `Prepared.leave_out` does."""
    while True:
        sent = body(ready.payloads) if ready.payloads else b""
        try:
            return job.workspace.ledger.delivery.claim(
                job.run,
                kind,
                ready.records,
                ready.exempt,
                body=sent,
                body_path=body_path,
                key=job.next_key(sent),
                now=job.clock.now(),
                state=state,
                claimed_to=claimed_to,
                sizes=ready.shared(),
                checks=job.shared_reading,
                edits=ready.edits,
            )
        except Replaced as replaced:
            ready.leave_out(replaced.seqs, job.clock.now())
