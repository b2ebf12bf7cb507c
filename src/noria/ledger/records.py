"""Records as people ask for them: lists, one record's whole story, counts, replay, export."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from noria.ledger import reasons
from noria.ledger.agenda import want
from noria.ledger.audit import put
from noria.ledger.delivery import Delivery
from noria.ledger.edits import Edits
from noria.ledger.pages import Pages
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import iso

STATES = ("pending", "sending", "delivered", "failed", "dead", "skipped", "invalid", "held")
# States of which every record has a row in `exceptions`.
OWN_ROWS = ("failed", "dead", "invalid", "held", "skipped")
# More than there can be.
_ALL = 2**62
# Bodies of batches that are kept.
_KEPT = 8
REPLAYABLE = ("failed", "dead", "held", "invalid")

_SHOWN = "SELECT s.*, b.tries, b.finished_at FROM"
_WITH_BATCH = "LEFT JOIN batches b ON b.batch_id = s.batch_id WHERE s.plan_id = :p"
SELECT = f"{_SHOWN} record_states s {_WITH_BATCH}"
# Records whose state follows from their batch.
_PLAIN = "NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.plan_id = r.plan_id AND e.seq = r.seq)"
_CLAIMED = "(SELECT claimed_seq FROM plans WHERE plan_id = :p)"
# Each of the two has an index.
_OF_ID = (
    "SELECT seq FROM records WHERE plan_id = :p AND id = :id AND stray = 0"
    " UNION ALL SELECT seq FROM records INDEXED BY records_strays WHERE plan_id = :p AND id = :id AND stray <> 0"
)


class Told(NamedTuple):
    """Who replays records of which plan (its key), and which (for the audit log); `wants`: it is to deliver them."""

    who: str
    plan: str
    detail: dict[str, Any]
    wants: bool


class Sent(NamedTuple):
    """What was sent of a record: its payload (None: it was not, or is no longer kept), the seqs of all records that are
    in it, a digest of the mapping that made it (None: not known)."""

    payload: msgspec.Raw | None
    members: list[int]
    mapping: str | None


class Records:
    """Reads records with their states; sends them back to pending."""

    def __init__(self, store: Store, edits: Edits, pages: Pages) -> None:
        self.store = store
        self.edits = edits
        self.pages = pages
        self._kept: OrderedDict[tuple[int, str], list[msgspec.Raw]] = OrderedDict()

    def select(
        self,
        plan_id: int,
        *,
        state: str | None = None,
        record_id: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """A plan's records after the one numbered `after`, in the order they were staged, as `records --json` prints
        them."""
        if record_id is not None:
            numbered = self.store.tuples(_OF_ID, p=plan_id, id=record_id)
            found = self.by_seqs(plan_id, sorted(int(row[0]) for row in numbered))
            yield from [one for one in found if state in (None, one["state"]) and one["seq"] > after][:limit]
            return
        statement = SELECT
        values: dict[str, Any] = {"p": plan_id, "n": _ALL if limit is None else limit}
        if after:
            statement, values["after"] = f"{statement} AND s.seq > :after", after
        if state in OWN_ROWS:
            # Such a state always has a row of its own: start from those instead of from every record.
            statement += " AND s.seq IN (SELECT seq FROM exceptions WHERE plan_id = :p AND state = :state)"
        if state is not None:
            statement += " AND s.state = :state"
            values["state"] = state
        for row in self.store.stream(statement + " ORDER BY s.seq LIMIT :n", **values):
            yield self.summary(row)

    def by_seqs(self, plan_id: int, seqs: list[int]) -> list[dict[str, Any]]:
        """Records by their numbers, in the order of those."""
        rows = self.store.rows(
            f"{_SHOWN} json_each(:seqs) j CROSS JOIN record_states s {_WITH_BATCH} AND s.seq = j.value",
            p=plan_id,
            seqs=msgspec.json.encode(seqs).decode(),
        )
        found = {row.seq: row for row in rows}
        return [self.summary(found[seq]) for seq in seqs if seq in found]

    def summary(self, row: Any) -> dict[str, Any]:
        """A record as lists show it."""
        reason = reasons.read(row.reason)
        delivered = row.state == "delivered"
        return {
            "id": row.id,
            "number": row.number,
            "state": row.state,
            "reason": str(reason) if reason else None,
            "attempts": (row.tries or 0) if row.own_attempts is None else row.own_attempts,
            "staged_at": iso(row.staged_at),
            "delivered_at": iso(row.updated_at if row.who else row.finished_at) if delivered else None,
            "retry_at": iso(row.due_at) if row.state == "failed" else None,
            "hash": bytes(row.hash).hex(),
            "seq": row.seq,
            "by": row.who,
        }

    def with_bodies(self, plan_id: int, summary: dict[str, Any]) -> dict[str, Any]:
        """A summary with `raw` (as it came) and `payload` (as it was sent last; null when it was not)."""
        row = self.store.rows(
            "SELECT page_id, position, batch_id, plan_id, seq FROM record_states WHERE plan_id = :p AND seq = :seq",
            p=plan_id,
            seq=summary["seq"],
        )[0]
        raw = self.pages.raw(row.page_id, row.position)
        return {**summary, "raw": _shown(raw), "payload": self.sent(row.batch_id, row.seq).payload}

    def raws(self, plan_id: int, seqs: Sequence[int]) -> list[bytes]:
        """These records as they came, as far as they are there; empty ones whose bytes are no longer kept."""
        rows = self.store.tuples(
            "SELECT r.seq, r.page_id, r.position FROM json_each(:seqs) j CROSS JOIN records r"
            " WHERE r.plan_id = :p AND r.seq = j.value",
            p=plan_id,
            seqs=msgspec.json.encode(list(seqs)).decode(),
        )
        return [self.pages.raw(page_id, position) for _, page_id, position in sorted(rows)]

    def sent(self, batch_id: int | None, seq: int) -> Sent:
        """What was sent of a record in a batch."""
        if batch_id is None:
            return Sent(None, [seq], None)
        batch = self.store.rows(
            "SELECT b.batch_id, b.key, b.first_seq, b.last_seq, b.members, b.body_path,"
            " b.body IS NULL AS gone, r.sameness"
            " FROM batches b LEFT JOIN runs r ON r.run_id = b.run_id WHERE b.batch_id = :b",
            b=batch_id,
        )[0]
        found = next(((place, group) for place, group in enumerate(Delivery.groups(batch)) if seq in group), None)
        if found is None:
            return Sent(None, [seq], None)
        mapping = batch.sameness.rpartition(".")[2] if batch.sameness and "." in batch.sameness else None
        return Sent(None if batch.gone else self._bodies(batch)[found[0]], found[1], mapping)

    def _bodies(self, batch: Any) -> list[msgspec.Raw]:
        """What a batch sent; the last few stay at hand, because records are shown in the order they
        were sent."""
        # The number of one that was put back may come again; with another key then.
        named = (batch.batch_id, batch.key)
        kept = self._kept.get(named)
        if kept is None:
            body = self.store.tuples("SELECT body FROM batches WHERE batch_id = :b", b=batch.batch_id)[0][0]
            kept = self._kept[named] = rows_of(self.store.unpack(body), batch.body_path)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return kept

    def story(self, plan_id: int, record_id: str, seq: int | None = None) -> dict[str, Any] | None:
        """One record's whole story by its id (or number), or by `seq`: raw, payload, history of states, every try with
        what was sent of the record, every correction. None when the plan has no such record. Where an id is ambiguous,
        the others are under `also`."""
        if seq is not None:
            own = self.by_seqs(plan_id, [seq])
            if not own or own[0]["id"] is None:
                return self._told(plan_id, own) if own else None
            others = [one for one in self.select(plan_id, record_id=own[0]["id"]) if one["seq"] != seq]
            return self._told(plan_id, own + others)
        found = list(self.select(plan_id, record_id=record_id))
        if not found:
            # Put in order here: asked for the first, a database would look through all records in their order.
            rows = self.store.tuples(
                "SELECT seq, id FROM records INDEXED BY records_by_number"
                " WHERE plan_id = :p AND number = :number AND number IS NOT NULL LIMIT 1000",
                p=plan_id,
                number=record_id,
            )
            return self.story(plan_id, record_id, int(min(rows)[0])) if rows else None
        found.sort(key=lambda one: one["state"] == "invalid")
        return self._told(plan_id, found)

    def _told(self, plan_id: int, found: list[dict[str, Any]]) -> dict[str, Any]:
        main = self.with_bodies(plan_id, found[0])
        versions = self.store.rows(
            "SELECT * FROM versions WHERE plan_id = :p AND id = :id ORDER BY version_id",
            p=plan_id,
            id=found[0]["id"],
        )
        seqs = [v.seq for v in versions if v.seq is not None and v.kind == "superseded"] + [found[0]["seq"]]
        batches = {seq: self._batches(plan_id, seq) for seq in seqs}
        main["history"] = self._history(plan_id, batches, versions)
        main["tries"] = self._tries(batches)
        main["edits"] = self.edits.of(plan_id, seqs)
        main["versions"] = [
            {
                "kind": v.kind,
                "noted_at": iso(v.noted_at),
                "hash": bytes(v.hash).hex(),
                "raw": _shown(self.pages.raw(v.page_id, v.position)),
            }
            for v in versions
        ]
        main["also"] = [self.with_bodies(plan_id, other) for other in found[1:]]
        return main

    def _history(self, plan_id: int, batches: dict[int, list[Any]], versions: Any) -> list[dict[str, Any]]:
        entries: list[tuple[float, int, str, Message | None]] = []
        for seq, own in batches.items():
            page = self.store.rows(
                "SELECT g.received_at FROM pages g WHERE g.page_id = COALESCE("
                "(SELECT page_id FROM records WHERE plan_id = :p AND seq = :seq),"
                "(SELECT page_id FROM versions WHERE plan_id = :p AND seq = :seq AND kind = 'superseded'))",
                p=plan_id,
                seq=seq,
            )
            entries += [(row.received_at, 0, "pending", Message("reason.staged")) for row in page]
            entries += [
                (row.at, 3, row.state, reasons.read(row.reason))
                for row in self.store.rows(
                    "SELECT at, state, reason FROM events WHERE plan_id = :p AND seq = :seq ORDER BY event_id",
                    p=plan_id,
                    seq=seq,
                )
            ]
            for batch in own:
                place = Message("reason.batch", {"batch": batch.batch_id, "rows": batch.rows})
                entries.append((batch.created_at, 1, "sending", place))
                if batch.delivered:
                    entries.append((batch.finished_at, 2, "delivered", place))
        for v in versions:
            if v.kind == "duplicate":
                entries.append((v.noted_at, 4, "duplicate", Message("reason.duplicate")))
        entries.sort(key=lambda entry: entry[:2])
        return [
            {"state": state, "time": iso(when), "reason": str(reason) if reason else None}
            for when, _, state, reason in entries
        ]

    def _batches(self, plan_id: int, seq: int) -> list[Any]:
        """Every batch that a record was in, with whether it delivered it."""
        batches = self.store.rows(
            "SELECT b.batch_id, b.run_id, b.rows, b.kind, b.state, b.key, b.first_seq, b.last_seq, b.members,"
            " b.created_at, b.finished_at, (b.state = 'delivered' AND NOT EXISTS (SELECT 1 FROM exceptions x"
            " WHERE x.plan_id = :p"
            " AND x.seq = :seq"
            " AND (x.batch_id = b.batch_id AND (x.state <> 'delivered' OR x.who IS NOT NULL)"
            " OR x.batch_id > b.batch_id)))"
            " AS delivered FROM batches b WHERE b.batch_id IN ("
            # The one that claimed it, found by its range; and those that took it up again.
            "SELECT f.batch_id FROM (SELECT batch_id FROM batches WHERE plan_id = :p AND kind = 'fresh'"
            " AND first_seq <= :seq ORDER BY first_seq DESC LIMIT 1) f UNION ALL"
            " SELECT batch_id FROM batches WHERE plan_id = :p AND kind = 'retry' AND last_seq >= :seq"
            " AND first_seq <= :seq) ORDER BY b.batch_id",
            p=plan_id,
            seq=seq,
        )
        return [batch for batch in batches if seq in Delivery.members(batch)]

    def _tries(self, batches: dict[int, list[Any]]) -> list[dict[str, Any]]:
        tries: list[dict[str, Any]] = []
        for seq, own in batches.items():
            for batch in own:
                part = self.sent(batch.batch_id, seq)
                for row in self.store.rows(
                    "SELECT * FROM attempts WHERE batch_id = :b ORDER BY attempt_id", b=batch.batch_id
                ):
                    reason = reasons.read(row.reason)
                    tries.append(
                        {
                            "batch": batch.batch_id,
                            "key": batch.key,
                            "started_at": iso(row.started_at),
                            "seconds": round(row.seconds, 6),
                            "outcome": row.outcome,
                            "status": row.status,
                            "reason": str(reason) if reason else None,
                            "request": row.request,
                            "headers": msgspec.json.decode(row.headers) if row.headers else {},
                            "payload": part.payload,
                            "rows": batch.rows,
                            "run": batch.run_id,
                            "answer": None
                            if row.answer is None
                            else self.store.unpack(row.answer).decode("utf-8", "replace"),
                        }
                    )
        return tries

    def counts(self, plan_id: int, *, kept: bool = False) -> dict[str, int]:
        """How many records are in each state; their sum is every record of the plan. `kept`: how many there are in all
        is not counted, but taken from what staging keeps."""
        found = dict.fromkeys(STATES, 0)
        rows = self.store.tuples("SELECT state, COUNT(*) FROM exceptions WHERE plan_id = :p GROUP BY state", p=plan_id)
        found.update({str(state): int(count) for state, count in rows})
        whole = "SELECT records FROM plans" if kept else "SELECT COUNT(*) FROM records"
        fresh = f"SELECT COUNT(*) FROM records r WHERE r.plan_id = :p AND r.seq > {_CLAIMED} AND {_PLAIN}"
        sending = (
            "SELECT COUNT(*) FROM batches b JOIN records r ON r.plan_id = b.plan_id"
            " AND r.seq BETWEEN b.first_seq AND b.last_seq"
            f" WHERE b.plan_id = :p AND b.state = 'sending' AND b.kind = 'fresh' AND {_PLAIN}"
        )
        rest = self.store.tuples(f"{whole} WHERE plan_id = :p", p=plan_id)[0][0] - sum(found.values())
        for state, statement in (("pending", fresh), ("sending", sending)):
            count = int(self.store.tuples(statement, p=plan_id)[0][0])
            found[state] += count
            rest -= count
        # Looked at one after the other, they may be of different moments.
        found["delivered"] += max(0, rest)
        return found

    def waiting(self, plan_id: int) -> int:
        """How many pending records wait for another plan's records."""
        return int(
            self.store.rows(
                "SELECT COUNT(*) FROM exceptions WHERE plan_id = :p AND state = 'pending' AND waits_for IS NOT NULL",
                p=plan_id,
            )[0][0]
        )

    def replay(
        self,
        plan_id: int,
        now: float,
        *,
        state: str | None = None,
        record_id: str | None = None,
        cause: str | None = None,
        seqs: Sequence[int] | None = None,
        until: float | None = None,
        anew: bool = False,
        told: Told | None = None,
    ) -> int:
        """Failed, dead and held records (all, or those of one state or id) go back to pending, and invalid ones that
        have an id where they are asked for by state; gives how many. `cause`: those that failed for that cause only;
        `seqs`: those of these numbers, invalid ones, too; `until`: only those that have been as they are since before
        then (epoch seconds). Ones that a person has skipped, or said to be in the target, are where they are asked for
        by id or number. `told`: for the audit log, in the same transaction; then the plan is to deliver.

        `anew`: those of batches in doubt are sent as if they had never been, each by itself under a new key.
        """
        where = " AND e.state = :state" if state else " AND e.state IN ('failed', 'dead', 'held')"
        named = record_id is not None or seqs is not None
        if named and state is None:
            open_ones = "'failed', 'dead', 'held'" if seqs is None else "'failed', 'dead', 'held', 'invalid'"
            where = f" AND (e.state IN ({open_ones}) OR e.who IS NOT NULL)"
        elif state == "skipped":
            where += " AND e.who IS NOT NULL"
        if record_id is not None:
            where += " AND r.id = :id"
        if seqs is not None:
            where += " AND e.seq IN (SELECT j.value FROM json_each(:seqs) j)"
        if until is not None:
            where += " AND e.updated_at <= :until"
        if cause is not None:
            where += " AND e.cause = :cause"
        values: dict[str, Any] = {"p": plan_id, "state": state, "id": record_id, "cause": cause, "now": now}
        values["reason"] = reasons.stored(Message("reason.replayed"))
        if seqs is not None:
            values["seqs"] = msgspec.json.encode(list(seqs)).decode()
        values["until"] = until
        chosen = (
            "SELECT e.seq FROM exceptions e JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq"
            " WHERE e.plan_id = :p AND r.stray = 0" + where
        )
        with self.store.transaction() as c:
            if anew:
                self._refuse_parts(c, chosen, values)
                c.run(
                    "UPDATE batches SET state = 'broken_up' WHERE plan_id = :p AND state = 'doubt' AND batch_id IN"
                    f" (SELECT batch_id FROM exceptions WHERE plan_id = :p AND seq IN ({chosen}))",
                    values,
                )
            c.run(
                "INSERT INTO events (plan_id, seq, at, state, reason)"
                f" SELECT :p, seq, :now, 'pending', :reason FROM ({chosen}) chosen",
                values,
            )
            done = c.run(
                "UPDATE exceptions SET state = 'pending', reason = :reason, rounds = 0, due_at = :now,"
                f" waits_for = NULL, updated_at = :now, who = NULL WHERE plan_id = :p AND seq IN ({chosen})",
                values,
            )
            if told is not None and done.rowcount:
                put(c, now, told.who, "replay", told.plan, {**told.detail, "count": done.rowcount})
                if told.wants:
                    want(c, [(told.plan, "deliver")], now)
        return int(done.rowcount)

    @staticmethod
    def _refuse_parts(c: Transaction, chosen: str, values: dict[str, Any]) -> None:
        """Raise `NoriaError` (`usage`) where only some records of a batch in doubt are chosen: under its key they go
        together, and otherwise all of them under others."""
        left = c.value(
            "SELECT COUNT(*) FROM exceptions o JOIN batches b ON b.batch_id = o.batch_id AND b.state = 'doubt'"
            f" WHERE o.plan_id = :p AND o.seq NOT IN ({chosen}) AND o.batch_id IN"
            f" (SELECT batch_id FROM exceptions WHERE plan_id = :p AND seq IN ({chosen}))",
            values,
        )
        if left:
            raise NoriaError("usage", Message("replay.parts", {"count": left}), hint=Message("replay.parts_hint"))


def _shown(raw: bytes) -> msgspec.Raw | None:
    """A record's bytes as JSON; None when they were pruned."""
    return msgspec.Raw(raw) if raw else None


def rows_of(body: bytes, path: str) -> list[msgspec.Raw]:
    """The payloads in a body as sent: an array, what is under `path` (an array, or one object), or one object."""
    if path == ".":
        return [msgspec.Raw(body)]
    for step in path.split(".") if path else ():
        body = bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get(step, b"[]"))
    if path and body.lstrip().startswith(b"{"):
        return [msgspec.Raw(body)]
    return msgspec.json.decode(body, type=list[msgspec.Raw])
