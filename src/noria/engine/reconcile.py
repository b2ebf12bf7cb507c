"""Reconciliation (对账): what the source shows, what the ledger holds, what the target has, compared id by id.

The source and, where it can be listed, the target are read page by page into a scratch database on disk, so that a
million ids cost no memory; the ledger is then gone through in the order of ids beside it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.agreement import agreement
from noria.connectors.failures import Failure
from noria.connectors.source import SourcePage
from noria.connectors.target import Row
from noria.engine.differences import Differences, Reconciliation
from noria.engine.identity import arrivals_of
from noria.engine.job import Job
from noria.engine.motion import Signs
from noria.engine.reading import Reading, Taken
from noria.engine.requests import Readable
from noria.engine.sweep import Sweep, swept_lists
from noria.engine.targets import target_of
from noria.ledger.arrivals import Arrivals
from noria.ledger.comparing import CHANGED, MISSING, SAME
from noria.mapping import DECODER
from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.macros import Moment
from noria.metadata.paths import MISSING as NOTHING
from noria.metadata.paths import at

_AT_ONCE = 500


async def reconcile(job: Job, wanted: Sweep, *, asks_target: bool = True, resends: bool = False) -> Reconciliation:
    """Compare; nothing is staged or sent. Raises `Failure` when source or target can't be read to their end.

    `wanted`: the window of the source that is looked at (`begin` None: all of it). `resends`: what the target lacks or
    has otherwise goes back to pending.
    """
    found = Reconciliation(job.plan.key, wanted.begin, wanted.end)
    with _scratch() as scratch:
        await _source(job, wanted, scratch, found)
        if job.stopping:
            return found
        if wanted.begin is None:
            _ledger(job, scratch, found)
        else:
            found.ledger = found.source - found.in_ledger.counts["missing"]
        if asks_target:
            with _resending(job, found, resends) as differences:
                await _target(job, wanted, scratch, found, differences)
    return found


@contextmanager
def _resending(job: Job, found: Reconciliation, resends: bool) -> Iterator[Differences]:
    """The target's differences; with `resends` their records go back to pending, many at a time."""
    waiting: list[str] = []

    def act(kind: str, record_id: str) -> None:
        if resends and kind != "extra":
            waiting.append(record_id)
            if len(waiting) >= _AT_ONCE:
                flush()

    def flush() -> None:
        found.anew += job.workspace.ledger.comparing.resend(job.run, waiting, job.clock.now())
        waiting.clear()

    yield Differences(act=act)
    if waiting:
        flush()


@contextmanager
def _scratch() -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="noria-") as folder:
        connection = sqlite3.connect(Path(folder) / "scratch.db", isolation_level=None)
        try:
            for statement in (
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "CREATE TABLE source (stray INTEGER, key TEXT, name TEXT, pass INTEGER, status TEXT,"
                " PRIMARY KEY (stray, key)) WITHOUT ROWID",
                "CREATE TABLE sent (key TEXT PRIMARY KEY, ids TEXT, payload BLOB, seen INTEGER DEFAULT 0,"
                " times INTEGER DEFAULT 0, beside TEXT DEFAULT '[]')"
                " WITHOUT ROWID",
            ):
                connection.execute(statement)
            yield connection
        finally:
            connection.close()


@dataclass
class _Compared:
    """Takes the source's pages into the scratch database, each arrival with what the ledger says of it."""

    job: Job
    scratch: sqlite3.Connection
    current: int = 0

    def page(
        self, page: SourcePage, arrivals: Arrivals, number: int, cursor: str | None, signs: Callable[[Taken], Signs]
    ) -> Taken:
        """Note what a page shows."""
        statuses = self.job.workspace.ledger.comparing.statuses(self.job.run.plan_id, arrivals)
        rows = []
        for position, (one, name) in enumerate(zip(arrivals.ids, arrivals.numbers, strict=True)):
            stray = position in arrivals.invalid or one is None
            # What has no id is known by its content, and named by its number.
            key = xxh3_128_hexdigest(arrivals.raws[position]) if stray else one
            rows.append((int(stray), key, name or "?", self.current, statuses[position]))
        asked = msgspec.json.encode([row[1] for row in rows]).decode()
        before = {
            (stray, key): seen
            for stray, key, seen in self.scratch.execute(
                "SELECT s.stray, s.key, s.pass FROM json_each(?) j CROSS JOIN source s"
                " WHERE s.stray IN (0, 1) AND s.key = j.value",
                [asked],
            )
        }
        self.scratch.execute("BEGIN")
        # A row that is shown twice with different contents (it changed meanwhile) counts as it was shown last.
        self.scratch.executemany(
            "INSERT INTO source VALUES (?, ?, ?, ?, ?) ON CONFLICT (stray, key) DO UPDATE SET pass = excluded.pass,"
            " status = excluded.status",
            rows,
        )
        self.scratch.execute("COMMIT")
        again = [str(row[1]) for row in rows if before.get(row[:2]) == self.current]
        new = [str(key) for _, key in {row[:2] for row in rows} - before.keys()]
        counts = self.job.counts
        counts.unchanged += len(rows)
        counts.pages += 1
        self.job.moved(page.total)
        taken = Taken(len(new), again, len(again), new, [])
        signs(taken)
        return taken

    def anew(self, signs: Signs, cursor: str | None) -> None:
        """Another pass over the same list, or the rest of this one."""
        self.current += cursor is None


async def _source(job: Job, wanted: Sweep, scratch: sqlite3.Connection, found: Reconciliation) -> None:
    compared = _Compared(job, scratch)
    async for source, arrivals in swept_lists(job, wanted):
        compared.current += 1
        reading = Reading(job, source, arrivals, compared, windowed=True)
        if not await reading.run():
            break
        found.moving = found.moving or not reading.settled
    found.source = scratch.execute("SELECT COUNT(*) FROM source").fetchone()[0]
    for stray, key, name, status in scratch.execute(
        "SELECT stray, key, name, status FROM source WHERE status <> ? ORDER BY stray, key", [SAME]
    ):
        found.in_ledger.note({MISSING: "missing", CHANGED: "changed"}[status], name if stray else key)


def _ledger(job: Job, scratch: sqlite3.Connection, found: Reconciliation) -> None:
    """The ledger's ids beside the source's, both in order: what only the ledger has."""
    shown = (row[0] for row in scratch.execute("SELECT key FROM source WHERE stray = 0 ORDER BY key"))
    strays = "SELECT COUNT(*) FROM source WHERE stray = 1 AND status = ?"
    found.ledger = scratch.execute(strays, [SAME]).fetchone()[0]
    here = next(shown, None)
    for record_id in job.workspace.ledger.comparing.ids(job.run.plan_id):
        found.ledger += 1
        while here is not None and here < record_id:
            here = next(shown, None)
        if here != record_id:
            found.in_ledger.note("extra", record_id)


async def _target(
    job: Job, wanted: Sweep, scratch: sqlite3.Connection, found: Reconciliation, differences: Differences
) -> None:
    """The target, as far as it can be asked: its list, else record by record, else how many it has."""
    target, listed = target_of(job.workspace, job.plan), job.target.settings.write.listing
    if target is None or (listed is None and not target.can_verify):
        return
    if listed is not None and listed.only_total:
        await _count(job, found)
        return
    found.in_target = differences
    comparing, plan_id = job.workspace.ledger.comparing, job.run.plan_id
    sent = comparing.sent(plan_id)
    if wanted.begin is not None:
        sent = (one for one in sent if _shown(scratch, one.ids))
    found.target = 0
    if listed is None:
        for one in sent:
            if not target.can_ask([one.payload]):
                found.uncompared += 1
            elif await target.has(Row(one.ids[0], one.payload)):
                found.target += 1
            else:
                for record_id in one.ids:
                    differences.note("missing", record_id)
    else:
        scratch.execute("BEGIN")
        scratch.executemany(
            # What was sent to the same place later covers what was sent there before.
            "INSERT INTO sent (key, ids, payload) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " beside = json_insert(beside, '$[#]', ids), ids = excluded.ids, payload = excluded.payload",
            (
                (_key(one.payload, listed.id, one.ids[0]), msgspec.json.encode(one.ids).decode(), one.payload)
                for one in sent
            ),
        )
        scratch.execute("COMMIT")
        source = job.target.listing()
        assert source is not None
        await _listed(job, source, listed.id, scratch, found, differences, whole=wanted.begin is None)
        for row in scratch.execute("SELECT ids, payload FROM sent WHERE seen = 0 ORDER BY key"):
            ids = msgspec.json.decode(row[0])
            if target.can_ask([row[1] or b""]) and await target.has(Row(ids[0], row[1] or b"")):
                # A list may be an index that lags behind what it is asked for.
                found.target += 1
                continue
            for record_id in ids:
                differences.note("missing", record_id)
        # Sending them once more would only cover the others in turn.
        for row in scratch.execute("SELECT beside FROM sent WHERE beside <> '[]' ORDER BY key"):
            for covered in msgspec.json.decode(row[0]):
                for record_id in msgspec.json.decode(covered):
                    differences.note("missing", record_id, acts=False)
    found.uncompared += target.unseen
    for known, name in comparing.undelivered(plan_id):
        if wanted.begin is None or (known is not None and _shown(scratch, [known])):
            differences.note("missing", name, acts=known is not None)


async def _count(job: Job, found: Reconciliation) -> None:
    source = job.target.listing()
    assert source is not None
    page = await source.fetch(None)
    if page.total is None:
        raise Failure("permanent", Message("reconcile.no_total"), request=page.request)
    comparing = job.workspace.ledger.comparing
    found.target, found.in_target = page.total, Differences()
    expected = sum(1 for _ in comparing.sent(job.run.plan_id))
    expected += sum(1 for _ in comparing.undelivered(job.run.plan_id))
    for kind, number in (("missing", expected - page.total), ("extra", page.total - expected)):
        found.in_target.counts[kind] = max(0, number)


@dataclass
class _Seen:
    """Takes the pages of the target's list: each entry is looked for among what was sent."""

    job: Job
    scratch: sqlite3.Connection
    found: Reconciliation
    differences: Differences
    whole: bool
    id_path: str
    current: int = 1
    _counted: int = 0

    def page(
        self, page: SourcePage, arrivals: Arrivals, number: int, cursor: str | None, signs: Callable[[Taken], Signs]
    ) -> Taken:
        """Compare what a page shows."""
        assert self.found.target is not None
        again: list[str] = []
        # Another look at a page that was read before shows no entry a second time.
        once_more, self._counted = number <= self._counted, max(number, self._counted)
        self.scratch.execute("BEGIN")
        for key, raw in zip(arrivals.ids, arrivals.raws, strict=True):
            if key is None:
                continue
            row = self.scratch.execute("SELECT ids, payload, seen FROM sent WHERE key = ?", [key]).fetchone()
            if row is None:
                # Remembered as seen, with nothing that was sent, so that it is counted once.
                self.scratch.execute("INSERT INTO sent VALUES (?, '[]', NULL, ?, 1, '[]')", [key, self.current])
                self.found.target += self.whole
                if self.whole:
                    self.differences.note("extra", key)
                continue
            if row[2]:
                again += [key] if row[2] == self.current else []
                self.scratch.execute(
                    "UPDATE sent SET times = CASE WHEN seen = ? THEN times + ? ELSE 1 END, seen = ? WHERE key = ?",
                    [self.current, not once_more, self.current, key],
                )
                continue
            self.found.target += 1
            self.scratch.execute("UPDATE sent SET seen = ?, times = 1 WHERE key = ?", [self.current, key])
            self._compare(row[0], row[1], raw)
        self.scratch.execute("COMMIT")
        seen = set(again)
        taken = Taken(0, again, len(again), [key for key in arrivals.ids if key is not None and key not in seen], [])
        signs(taken)
        return taken

    def _compare(self, ids: str, payload: bytes | None, raw: bytes) -> None:
        """What an entry shows with what was sent."""
        sent, shown = DECODER.decode(payload) if payload else None, DECODER.decode(raw)
        if isinstance(sent, dict) and isinstance(shown, dict):
            # That the id is the same is why they are compared at all.
            sent = {key: value for key, value in sent.items() if key != self.id_path}
        verdict = agreement(sent, shown) if payload else None
        if verdict is None and not (payload and not sent):
            self.found.uncompared += 1
        if verdict is False:
            for record_id in msgspec.json.decode(ids):
                self.differences.note("changed", record_id)

    def anew(self, signs: Signs, cursor: str | None) -> None:
        """Another pass over the same list, or the rest of this one."""
        self.current += cursor is None
        self._counted = 0


async def _listed(
    job: Job,
    source: Readable,
    id_path: str,
    scratch: sqlite3.Connection,
    found: Reconciliation,
    differences: Differences,
    *,
    whole: bool,
) -> None:
    arrivals = arrivals_of(Metadata(api="-", id=id_path), Moment(0, 0))
    taker = _Seen(job, scratch, found, differences, whole, id_path)
    await Reading(job, source, arrivals, taker, windowed=True).run()
    # What the last pass showed more than once is there more than once.
    for key, ids, times in scratch.execute(
        "SELECT key, ids, times FROM sent WHERE times > 1 AND seen = ? ORDER BY key", [taker.current]
    ):
        if whole or ids != "[]":
            found.target = (found.target or 0) + times - 1
            for _ in range(times - 1):
                differences.note("extra", key)


def _shown(scratch: sqlite3.Connection, ids: list[str]) -> bool:
    """Whether the source showed one of these in the window."""
    return any(scratch.execute("SELECT 1 FROM source WHERE stray = 0 AND key = ?", [one]).fetchone() for one in ids)


def _key(payload: bytes, path: str, record_id: str) -> str:
    """What a payload is known by in the target's list: its own id there, else the record's."""
    body = DECODER.decode(payload) if payload else None
    own = at(body, path) if isinstance(body, dict) else NOTHING
    return record_id if own is NOTHING or own is None else str(own)
