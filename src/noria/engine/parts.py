"""Reading a source in parts, each by itself and several at once, by one process or more."""

from __future__ import annotations

import asyncio
import time

import msgspec

from noria.connectors.failures import Failure
from noria.engine.job import Job
from noria.engine.motion import Signs
from noria.engine.partitions import Partition, partition_source, partitions_of
from noria.engine.staged import Staged, moment_of, reading_of, watermark_of
from noria.ledger.parts import Part
from noria.ledger.runs import Read
from noria.metadata.plan import Split

# How often it is looked for parts that are to be read, and whether those who read some are still there; in seconds.
POLL_SECONDS, _LOOK_SECONDS = 0.2, 2.0


async def read_in_parts(job: Job, split: Split, read: Read) -> None:
    """Read a source part by part, several at once; other processes may take some."""
    ledger, moment = job.workspace.ledger, moment_of(job, read)
    if not (read.resumed and ledger.parts.offer(job.run, job.clock.now())):
        usual: dict[str, str] = msgspec.json.decode(read.usual) if read.usual else {}
        parts = await partitions_of(job.workspace, job.plan, split, moment.last_sync, moment.now)
        if job.reading_stops:
            return
        ledger.parts.begin(job.run, [(one.to_json(), usual.get(one.to_json())) for one in parts], job.clock.now())
    if not await PartReader(job, split).run():
        return
    standing = ledger.parts.standing(job.run.plan_id)
    behind = max((Signs.of(signs).behind for signs in standing.signs), default=0.0)
    watermark = watermark_of(job, read, None, behind, settled=standing.settled)
    ledger.runs.end_read(job.run, read, watermark, encoded(standing.usual))
    ledger.parts.end(job.run)


class PartReader:
    """Reads parts of a source that nobody reads yet, several at once; in the run that offers them until all are."""

    def __init__(self, job: Job, split: Split) -> None:
        self.job = job
        self.split = split
        self.parts = job.workspace.ledger.parts
        self.reading: set[asyncio.Task[None]] = set()
        self._looked = time.monotonic()

    async def run(self) -> bool:
        """Read until every part was read, by whomever; no when asked to stop before. Raises `Failure`."""
        try:
            while not self.job.reading_stops:
                self.take()
                if self.reading:
                    await self.wait(POLL_SECONDS)
                elif not self.parts.standing(self.job.run.plan_id).left:
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
            taken = True
            self.reading.add(asyncio.create_task(self._read(part)))
        return taken

    async def wait(self, seconds: float) -> None:
        """Wait until a part was read to its end, at most so long. Raises `Failure` when one can't be."""
        done, _ = await asyncio.wait(self.reading, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.ended(done)
        for task in done:
            task.result()

    def ended(self, done: set[asyncio.Task[None]]) -> None:
        """These have come to an end."""
        self.reading -= done

    async def leave(self) -> None:
        """Let go of what is being read."""
        for task in self.reading:
            task.cancel()
        await asyncio.gather(*self.reading, return_exceptions=True)

    async def _read(self, part: Part) -> None:
        job, moment = self.job, moment_of(self.job, part.read)
        source = partition_source(job.workspace, job.plan, self.split, Partition.of(part.what), moment)
        reading = reading_of(job, source, Staged(job, part.read, _counted=part.read.pages))
        try:
            whole = await reading.run()
        except (Failure, asyncio.CancelledError) as ended:
            self.parts.release(job.run, part.number, failed=isinstance(ended, Failure))
            raise
        if whole:
            self.parts.done(
                job.run,
                part.number,
                settled=reading.settled,
                signs=reading.signs.text(),
                usual=encoded(reading.signs.usual()),
            )
        else:
            self.parts.release(job.run, part.number, failed=False)


def encoded(value: object) -> str:
    """As the ledger keeps it."""
    return msgspec.json.encode(value).decode()
