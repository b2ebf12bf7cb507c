"""Extract: pages from the source into the ledger. It never writes to a target."""

from __future__ import annotations

from noria.engine.job import Job
from noria.engine.partitions import split_of, split_signature
from noria.engine.parts import encoded, read_in_parts
from noria.engine.requests import source_of
from noria.engine.staged import Staged, moment_of, reading_of, watermark_of
from noria.messages import Message
from noria.metadata.macros import Moment


async def extract(job: Job) -> None:
    """Read the source to its end and stage every page; raises `Failure` when the source fails for good.

    The watermark moves to the read's start, and only when the whole read ended well.
    """
    ledger, split = job.workspace.ledger, split_of(job.workspace, job.plan)
    signature = source_of(job.workspace, job.plan, Moment(0, 0, job.source.zone)).signature()
    if split is not None:
        signature += split_signature(split)
    read = ledger.reads.begin(job.run, job.clock.now(), signature, float(job.plan.options.resume))
    if split is not None:
        await read_in_parts(job, split, read)
        return
    if read.resumed and read.cursor is not None:
        job.workspace.observer.said(job.plan.key, Message("run.resumed", {"page": read.pages + 1}))
    staged = Staged(job, read, _counted=read.pages)
    reading = reading_of(job, source_of(job.workspace, job.plan, moment_of(job, read)), staged)
    if not await reading.run():
        return
    if not reading.windowed:
        # A window that shows one content of an id says nothing of the others.
        ledger.ambiguous.settle(job.run, staged.read, job.clock.now())
    watermark = watermark_of(job, read, reading.source.skew(), reading.signs.behind, settled=reading.settled)
    ledger.reads.end(job.run, staged.read, watermark, encoded(reading.signs.usual()), reading.bookmark)
