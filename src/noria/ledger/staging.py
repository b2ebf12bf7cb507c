"""Staging: a page's records enter the ledger, in one transaction with the cursor that follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec
from xxhash import xxh3_128_digest

from noria.ledger.arrivals import AMBIGUOUS, KNOWN, WITHOUT_ID, Arrival, Arrivals, StageCounts
from noria.ledger.content import same_content
from noria.ledger.delivery import Due
from noria.ledger.exceptions import note_exceptions
from noria.ledger.handover import Handover
from noria.ledger.pages import Pages
from noria.ledger.reads import Read
from noria.ledger.reasons import stored
from noria.ledger.runs import Run
from noria.ledger.store import Store, Transaction
from noria.ledger.tallies import tally
from noria.ledger.versions import keep_version, newest_version
from noria.messages import Message


@dataclass
class _Page:
    """The rows that a page adds, gathered before they are written together. `whole`: it had nothing but new records."""

    run: Run
    read: Read
    now: float
    page_id: int
    next_seq: int
    bodies: list[bytes] = field(default_factory=list)
    inserts: list[tuple[Any, ...]] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    exceptions: list[dict[str, Any]] = field(default_factory=list)
    counts: StageCounts = field(default_factory=StageCounts)
    whole: bool = False
    replaced: int = 0

    def take(self, raw: bytes) -> int:
        self.bodies.append(raw)
        return len(self.bodies) - 1

    def seq(self) -> int:
        self.next_seq += 1
        return self.next_seq - 1


_KNOWN_IDS = (
    "SELECT r.id, r.seq, r.hash, r.read_id FROM json_each(:ids) j CROSS JOIN records r"
    " WHERE r.plan_id = :p AND r.id = j.value AND r.stray = 0"
)
# `stray <> 0` is what the partial index of strays is declared with; the plus keeps SQLite from reasoning it
# away, and without statistics it would not choose that index by itself.
_SAME_STRAY = (
    "SELECT seq, read_id FROM records INDEXED BY records_strays"
    " WHERE plan_id = :p AND hash = :hash AND +stray = :stray AND stray <> 0"
    " AND COALESCE(id, '') = :id"
)
_ANY_SKIPPED = "SELECT 1 FROM exceptions WHERE plan_id = :p AND state = 'skipped' LIMIT 1"
_SKIPPED = (
    "SELECT r.seq FROM json_each(:ids) j CROSS JOIN records r"
    " JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq"
    " WHERE r.plan_id = :p AND r.id = j.value AND r.stray = 0 AND e.state = 'skipped'"
    # What a person skipped stays so until that person, or newer content, says otherwise.
    " AND e.who IS NULL"
)
# Parts of one plan's source are staged side by side.
_NEXT = "SELECT next_seq FROM plans WHERE plan_id = :p FOR UPDATE"
_RECORD = ("plan_id", "seq", "id", "number", "hash", "page_id", "position", "read_id", "stray")
_INSERT = f"INSERT INTO records ({', '.join(_RECORD)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TOUCH = "UPDATE records SET read_id = :read WHERE plan_id = :p AND seq IN (SELECT j.value FROM json_each(:seqs) j)"
_ADVANCE = (
    "UPDATE plans SET next_seq = :seq, records = records + :more, read_cursor = :cursor, read_pages = :pages,"
    " read_touched_at = :now, read_signs = :signs WHERE plan_id = :p"
)
_NUMBERED = "UPDATE plans SET next_seq = :seq, records = records + :more WHERE plan_id = :p"
_TOUCHED = "UPDATE plans SET next_seq = :seq, records = records + :more, read_touched_at = :now WHERE plan_id = :p"
_ADVANCE_PART = (
    "UPDATE parts SET cursor = :cursor, pages = :pages, touched_at = :now, signs = :signs"
    " WHERE plan_id = :p AND number = :part"
)


class Staging:
    """Puts pages into the ledger."""

    def __init__(self, store: Store, pages: Pages, handover: Handover) -> None:
        self.store = store
        self.pages = pages
        self.handover = handover
        # Whether a plan's last page held new records only: then the next one probably does, too.
        self._all_new: dict[int, bool] = {}
        # How many records newer content has taken the place of.
        self.replaced = 0

    def stage(
        self,
        run: Run,
        read: Read,
        *,
        number: int,
        request: str,
        arrivals: Arrivals,
        cursor: str | None,
        now: float,
        delivers_changes: bool,
        overwrites: bool = False,
        signs: Callable[[StageCounts], str | None] = lambda counts: None,
    ) -> StageCounts:
        """Stage a page and remember where the read goes on, in one transaction; `signs` is asked what the read is to
        remember of the list besides.

        New and changed records are kept with their bytes; unchanged ones (same hash, or the same content spelled
        differently) only note that this read saw them. `overwrites`: two contents of an id in one read are an update,
        not an ambiguous id.
        """
        with self.store.transaction(run) as c:
            next_seq, page_id = c.value(_NEXT, {"p": run.plan_id}), c.new_page_id()
            page = _Page(run, read, now, page_id, next_seq)
            self._sort(c, page, arrivals, delivers_changes, overwrites)
            self._write(c, page, number, request)
            place = {"p": run.plan_id, "cursor": cursor, "pages": number, "now": now, "signs": signs(page.counts)}
            advance = _ADVANCE if read.own else _NUMBERED if read.part is None else _TOUCHED
            more = (len(page.bodies) if page.whole else len(page.inserts)) - page.replaced
            c.run(advance, {"seq": page.next_seq, "more": more, **place})
            if read.part is not None:
                c.run(_ADVANCE_PART, {"part": read.part, **place})
            tally(c, run.plan_id, now, staged=page.counts.staged)
        if page.bodies:
            self.pages.keep(page.page_id, page.bodies)
        if page.whole:
            self.handover.put(run.run_id, next_seq, _due(arrivals, next_seq, page_id))
        elif page.next_seq > next_seq:
            self.handover.forget()
        return page.counts

    def _sort(self, c: Transaction, page: _Page, arrivals: Arrivals, delivers_changes: bool, overwrites: bool) -> None:
        plan_id, read_id = page.run.plan_id, page.read.read_id
        digests = [xxh3_128_digest(raw) for raw in arrivals.raws]
        plain = not arrivals.invalid and not arrivals.skipped and _all_different(arrivals.ids)
        if plain and self._all_new.get(plan_id, True) and self._insert_all(c, page, arrivals, digests):
            return
        asked = msgspec.json.encode(arrivals.ids).decode()
        rows = c.run(_KNOWN_IDS, {"ids": asked, "p": plan_id}).fetchall()
        self._all_new[plan_id] = not rows
        known: dict[str | None, tuple[int, bytes, int]] = {row[0]: (row[1], row[2], row[3]) for row in rows}
        # Filters may look at the time, or may have been changed: what they let through now is taken up.
        let_through = self._kept_back(c, plan_id, asked) if rows else set()
        last = {record_id: i for i, record_id in enumerate(arrivals.ids)} if overwrites else {}
        everything = zip(arrivals.ids, arrivals.numbers, arrivals.raws, digests, strict=True)
        for position, (record_id, number, raw, digest) in enumerate(everything):
            skipped = arrivals.skipped.get(position)
            old = known.get(record_id)
            if old is not None and old[0] in let_through and skipped is None:
                # As if its content had been forgotten: the same, or another, is wanted.
                known[record_id] = old = (old[0], b"", old[2])
            if last.get(record_id, position) != position and position not in arrivals.invalid:
                self._overwritten(c, page, record_id, digest, raw, old, digests[last[record_id]])
                continue
            if position in arrivals.invalid:
                arrival = Arrival(record_id, number, raw)
                self._stray(c, page, arrival, digest, WITHOUT_ID, arrivals.invalid[position])
            elif old is None:
                seq = self._insert(page, Arrival(record_id, number, raw, skipped), digest)
                known[record_id] = (seq, digest, read_id)
                page.counts.missing.append(str(record_id))
            elif old[1] == digest:
                page.counts.unchanged += 1
                page.counts.still_skipped += skipped is not None
                if old[2] != read_id:
                    page.touched.append(old[0])
                    known[record_id] = (old[0], digest, read_id)
                else:
                    page.counts.again.append(str(record_id))
                    page.counts.same += 1
            else:
                if old[2] == read_id:
                    page.counts.again.append(str(record_id))
                arrival = Arrival(record_id, number, raw, skipped)
                known[record_id] = self._changed(c, page, arrival, digest, old, delivers_changes, overwrites)

    @staticmethod
    def _kept_back(c: Transaction, plan_id: int, ids: str) -> set[int]:
        """The seqs of those records that a filter keeps back."""
        if not c.run(_ANY_SKIPPED, {"p": plan_id}).fetchall():
            return set()
        return {row[0] for row in c.run(_SKIPPED, {"p": plan_id, "ids": ids}).fetchall()}

    def _overwritten(
        self,
        c: Transaction,
        page: _Page,
        record_id: str | None,
        digest: bytes,
        raw: bytes,
        old: tuple[int, bytes, int] | None,
        newest: bytes,
    ) -> None:
        """A content that another of the same id on the same page comes after: it is kept beside, and not sent."""
        if digest in (newest, old and old[1]) or newest_version(c, page.run, record_id, "overwritten") == digest:
            page.counts.unchanged += 1
            return
        keep_version(c, page.run, page.now, record_id, "overwritten", None, digest, page.page_id, page.take(raw))
        page.counts.duplicate += 1

    def _insert_all(self, c: Transaction, page: _Page, arrivals: Arrivals, digests: list[bytes]) -> bool:
        """A page of nothing but new records, the way that a first load takes: insert them without asking first. When
        one turns out to be known, nothing is inserted and the answer is no."""
        plan_id, page_id, read_id, seq = page.run.plan_id, page.page_id, page.read.read_id, page.next_seq
        rows = [
            (plan_id, seq + i, record_id, None if number == record_id else number, digest, page_id, i, read_id, KNOWN)
            for i, (record_id, number, digest) in enumerate(zip(arrivals.ids, arrivals.numbers, digests, strict=True))
        ]
        if not c.add_new("records", _RECORD, rows):
            return False
        page.bodies, page.whole = arrivals.raws, True
        page.next_seq += len(rows)
        page.counts.staged += len(rows)
        page.counts.missing = list(arrivals.ids)  # type: ignore[arg-type]
        return True

    def _insert(self, page: _Page, arrival: Arrival, digest: bytes, stray: int = KNOWN) -> int:
        seq = page.seq()
        number = arrival.number if arrival.number != arrival.id else None
        page.inserts.append(
            (
                page.run.plan_id,
                seq,
                arrival.id,
                number,
                digest,
                page.page_id,
                page.take(arrival.raw),
                page.read.read_id,
                stray,
            )
        )
        page.counts.staged += 1
        if arrival.skipped is not None:
            self._except(page, seq, "skipped", arrival.skipped)
        return seq

    def _except(self, page: _Page, seq: int, state: str, reason: Message) -> None:
        page.exceptions.append({"seq": seq, "state": state, "reason": stored(reason)})
        if state == "skipped":
            page.counts.skipped += 1
        else:
            page.counts.invalid += 1

    def _stray(self, c: Transaction, page: _Page, arrival: Arrival, digest: bytes, stray: int, reason: Message) -> None:
        """A record that can't be known by its id: kept as invalid; the same content again is the same stray."""
        row = c.row(
            _SAME_STRAY,
            {"p": page.run.plan_id, "hash": digest, "stray": stray, "id": arrival.id or ""},
        )
        seen_here = any(insert[4] == digest and insert[8] == stray for insert in page.inserts)
        if row is not None or seen_here:
            page.counts.unchanged += 1
            page.counts.still_invalid += 1
            if stray == WITHOUT_ID and (row is None or row.read_id == page.read.read_id):
                page.counts.again.append("")
                page.counts.same += 1
            if row is not None:
                page.touched.append(row.seq)
            return
        seq = self._insert(page, arrival._replace(skipped=None), digest, stray)
        self._except(page, seq, "invalid", reason)

    def _changed(
        self,
        c: Transaction,
        page: _Page,
        arrival: Arrival,
        digest: bytes,
        old: tuple[int, bytes, int],
        delivers_changes: bool,
        overwrites: bool,
    ) -> tuple[int, bytes, int]:
        """Other bytes under a known id: the same content spelled differently, an ambiguous id, an update that is
        delivered, or one that is only kept."""
        seq, old_digest, seen_by = old
        read_id = page.read.read_id
        keys = {"p": page.run.plan_id, "seq": seq}
        own = next((insert for insert in page.inserts if insert[1] == seq), None)
        if own is not None:
            row_page, position = page.page_id, own[6]
        else:
            row = c.row("SELECT page_id, position FROM records WHERE plan_id = :p AND seq = :seq", keys)
            row_page, position = row.page_id, row.position
        # Without a hash it is the content that is wanted, the same or not.
        wanted = not old_digest
        if not wanted and (
            same_content(page.bodies[position], arrival.raw)
            if own is not None
            else self.pages.same(row_page, position, arrival.raw)
        ):
            page.counts.unchanged += 1
            page.counts.same += seen_by == read_id
            page.counts.still_skipped += arrival.skipped is not None
            if seen_by != read_id:
                c.run(
                    "UPDATE records SET hash = :hash, read_id = :read WHERE plan_id = :p AND seq = :seq",
                    {**keys, "hash": digest, "read": read_id},
                )
            return seq, digest if seen_by != read_id else old_digest, read_id
        if page.read.showed(seen_by) and not overwrites:
            if newest_version(c, page.run, arrival.id) == digest:
                page.counts.unchanged += 1
                page.counts.same += 1
            else:
                reason = Message("reason.ambiguous_id", {"id": arrival.id})
                self._stray(c, page, arrival, digest, AMBIGUOUS, reason)
            return old
        if not wanted:
            page.counts.changed.append(str(arrival.id))
        if wanted or delivers_changes or own is not None or self._never_sent(c, keys):
            if own is not None:
                page.inserts.remove(own)
                page.exceptions = [one for one in page.exceptions if one["seq"] != seq]
            return self._replace(c, page, arrival, digest, old, row_page, position)
        if newest_version(c, page.run, arrival.id) == digest:
            page.counts.unchanged += 1
            page.counts.changed.pop()
        else:
            keep_version(
                c, page.run, page.now, arrival.id, "duplicate", None, digest, page.page_id, page.take(arrival.raw)
            )
            page.counts.duplicate += 1
        page.touched.append(seq)
        return seq, old_digest, read_id

    def _replace(
        self,
        c: Transaction,
        page: _Page,
        arrival: Arrival,
        digest: bytes,
        old: tuple[int, bytes, int],
        old_page: int,
        old_position: int,
    ) -> tuple[int, bytes, int]:
        """The newer content takes the record's place at the end of the queue; the older is kept as a version."""
        keys = {"p": page.run.plan_id, "seq": old[0]}
        keep_version(c, page.run, page.now, arrival.id, "superseded", old[0], old[1], old_page, old_position)
        held = c.row("SELECT reason FROM exceptions WHERE plan_id = :p AND seq = :seq AND state = 'held'", keys)
        c.run("DELETE FROM exceptions WHERE plan_id = :p AND seq = :seq", keys)
        page.replaced += c.run("DELETE FROM records WHERE plan_id = :p AND seq = :seq", keys).rowcount
        seq = self._insert(page, arrival, digest)
        if held is not None and arrival.skipped is None:
            # Nobody has said yet what became of the older content.
            page.exceptions.append({"seq": seq, "state": "held", "reason": held.reason})
        self.replaced += 1
        return seq, digest, page.read.read_id

    def _never_sent(self, c: Transaction, keys: dict[str, Any]) -> bool:
        """Whether a record was certainly never written, so that newer content may take its place even under
        idCheck: still pending, filtered out, invalid, or refused by the target."""
        row = c.row(
            "SELECT s.state, b.state AS batch FROM record_states s LEFT JOIN batches b USING (batch_id)"
            " WHERE s.plan_id = :p AND s.seq = :seq",
            keys,
        )
        return row.batch != "doubt" and row.state in ("pending", "skipped", "invalid", "failed", "dead")

    def _write(self, c: Transaction, page: _Page, number: int, request: str) -> None:
        if page.bodies:
            body = b"[" + b",".join(page.bodies) + b"]"
            c.run(
                "INSERT INTO pages (page_id, plan_id, run_id, read_id, number, received_at, request, rows, body)"
                " VALUES (:page, :p, :run, :read, :number, :now, :request, :rows, :body)",
                {
                    "page": page.page_id,
                    "p": page.run.plan_id,
                    "run": page.run.run_id,
                    "read": page.read.read_id,
                    "number": number,
                    "now": page.now,
                    "request": request,
                    "rows": len(page.bodies),
                    "body": self.store.pack(body),
                },
            )
        if page.inserts:
            c.many(_INSERT, page.inserts)
        if page.touched:
            seqs = msgspec.json.encode(page.touched).decode()
            c.run(_TOUCH, {"read": page.read.read_id, "p": page.run.plan_id, "seqs": seqs})
        if page.exceptions:
            note_exceptions(c, page.run, page.exceptions, page.now)


def _due(arrivals: Arrivals, first_seq: int, page_id: int) -> list[Due]:
    """A page of new records as they are delivered."""
    ids: Any = arrivals.ids
    shown: Any = arrivals.numbers
    if None in shown:
        shown = [own if number is None else number for own, number in zip(ids, shown, strict=True)]
    return list(map(Due, range(first_seq, first_seq + len(ids)), ids, shown, repeat(page_id), range(len(ids))))


def _all_different(ids: list[str | None]) -> bool:
    return len(set(ids)) == len(ids)
