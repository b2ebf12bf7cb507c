"""Reading a source in parts, each by itself and several at once, by one process or more."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import msgspec

from noria.connectors.failures import Failure
from noria.engine.job import PIECE, Job
from noria.engine.motion import Signs
from noria.engine.partitions import Partition, partition_source, partitions_of, values_of
from noria.engine.requests import windowed
from noria.engine.staged import Staged, first_sync, moment_of, reading_of, watermark_of
from noria.ledger.parts import Part
from noria.ledger.reads import Read
from noria.messages import Message
from noria.metadata.plan import Split
from noria.monitoring.progress import Counts

# How often it is looked for parts that are to be read, and whether those who read some are still there; in seconds.
POLL_SECONDS, _LOOK_SECONDS = 0.2, 2.0
# After so many parts that can't be read no other is begun.
_MOST_FAILED = 10


async def read_in_parts(job: Job, split: Split, read: Read) -> None:
    """Read a source part by part, several at once; other processes may take some."""
    ledger, moment = job.workspace.ledger, moment_of(job, read)
    known = _Known() if read.usual is None else msgspec.json.decode(read.usual, type=_Known)
    if not (read.resumed and ledger.parts.offer(job.run)):
        values = await values_of(job, split)
        if job.reading_stops:
            return
        # Of a value that is new nothing has been read yet, from whenever.
        new = set() if known.values is None else set(values) - set(known.values)
        since = dict.fromkeys(new, first_sync(job.plan, job.source.zone))
        parts = [part.to_json() for part in partitions_of(split, values, moment, since)]
        ledger.parts.begin(job.run, [(part, known.usual.get(part)) for part in parts], job.clock.now())
    reader = PartReader(job, split)
    try:
        whole = await reader.run()
    finally:
        standing = ledger.parts.standing(job.run.plan_id)
        job.add(standing.counts)
    if not whole:
        return
    if not windowed(job.plan.source.metadata) and split.window is None:
        ledger.ambiguous.settle(job.run, replace(read, kin=ledger.parts.kin(job.run.plan_id)), job.clock.now())
    behind = max((Signs.of(signs).behind for signs in standing.signs), default=0.0)
    watermark = watermark_of(job, read, None, behind, settled=standing.settled)
    read_parts = {what: Partition.of(what) for what in standing.usual}
    # A window is not asked for a second time; what it shows without moving is of no use later.
    usual = {what: standing.usual[what] for what, part in read_parts.items() if part.begin is None}
    read_values = list(dict.fromkeys(part.value for part in read_parts.values()))
    ledger.reads.end(job.run, read, watermark, encoded(_Known(values=read_values, usual=usual)))


class _Known(msgspec.Struct, omit_defaults=True):
    """What is known of a source that is read in parts: the values that were read, what each list shows without moving
    (JSON)."""

    values: list[str | int | None] | None = None
    usual: dict[str, str] = {}


class PartReader:
    """Reads parts of a source that nobody reads yet, several at once; in the run that offers them until all are."""

    def __init__(self, job: Job, split: Split) -> None:
        self.failed: list[Failure] = []
        self._tried: set[int] = set()
        self.job = job
        self.split = split
        self.parts = job.workspace.ledger.parts
        # Whether this is another's run.
        self.apart = job.run.stage != "run"
        self.reading: set[asyncio.Task[None]] = set()
        self._looked = time.monotonic()

    async def run(self) -> bool:
        """Read until every part was read, by whomever; no when asked to stop before. Raises `Failure`."""
        run = self.job.run
        try:
            while not self.job.reading_stops:
                if len(self.failed) < _MOST_FAILED and not (self.failed and self.failed[0].kind == "auth"):
                    self.take()
                if self.reading:
                    await self.wait(POLL_SECONDS)
                elif not self.parts.elsewhere(run) and (self.failed or not self.parts.left(run)):
                    if self.failed:
                        raise self.failed[0]
                    return True
                else:
                    await self.job.sleep(POLL_SECONDS)
                if time.monotonic() - self._looked >= _LOOK_SECONDS:
                    self._looked = time.monotonic()
                    self.parts.lost(self.job.run, self.job.clock.now())
            return False
        finally:
            await self.leave()

    def take(self) -> bool:
        """Begin to read what there is room for; whether that was anything."""
        taken = False
        while len(self.reading) < self.split.at_once and not self.job.reading_stops:
            part = self.parts.take(self.job.run, self.job.clock.now())
            if part is None:
                break
            if part.number in self._tried:
                # It has failed here already.
                self.parts.release(self.job.run, part.number, failed=True)
                break
            taken = True
            self.reading.add(asyncio.create_task(self._read(part)))
        return taken

    async def wait(self, seconds: float) -> None:
        """Wait until a part was read to its end, at most so long."""
        done, _ = await asyncio.wait(self.reading, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.ended(done)

    def ended(self, done: set[asyncio.Task[None]]) -> None:
        """These have come to an end; one that can't be read does not keep the others from it."""
        mine = self.reading & done
        self.reading -= mine
        for task in mine:
            task.result()

    async def leave(self) -> None:
        """Let go of what is being read."""
        for task in self.reading:
            task.cancel()
        await asyncio.gather(*self.reading, return_exceptions=True)

    async def _read(self, part: Part) -> None:
        job, moment, what = self.job, moment_of(self.job, part.read), Partition.of(part.what)
        if self.apart:
            PIECE.set(Counts(**part.counts))
        source = partition_source(job.workspace, job.plan, self.split, what, moment)
        reading = reading_of(job, source, Staged(job, part.read, _counted=part.read.pages))
        try:
            whole = await reading.run()
        except Failure as failure:
            self._tried.add(part.number)
            reason = Message("split.part", {"part": what.shown(self.split, moment.tz), "reason": failure.message})
            self.failed.append(Failure(failure.kind, reason, request=failure.request))
            self._tell(part)
            self.parts.release(job.run, part.number, failed=True)
            return
        except asyncio.CancelledError:
            self.parts.release(job.run, part.number, failed=False)
            raise
        self._tell(part)
        if not whole:
            self.parts.release(job.run, part.number, failed=False)
            return
        self.parts.done(
            job.run,
            part.number,
            settled=reading.settled,
            signs=reading.signs.text(),
            usual=encoded(reading.signs.usual()),
        )

    def _tell(self, part: Part) -> None:
        """Figures of a part that was read for another's run, or of what was read of it."""
        if self.apart:
            self.parts.tell(self.job.run, part.number, self.job.piece(part.counts))


def encoded(value: object) -> str:
    """As the ledger keeps it."""
    return msgspec.json.encode(value).decode()
