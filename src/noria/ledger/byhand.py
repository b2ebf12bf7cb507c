"""What a person decides about single records: corrects what is sent, skips them, says that they are in the target.

Each decision is one transaction with its place in the record's history and in the audit log. It is only taken about
records that nobody is sending; a run that has looked at them before sees that it was taken (`noria.ledger.edits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from noria.ledger.agenda import want
from noria.ledger.audit import put
from noria.ledger.reasons import stored
from noria.ledger.store import Store, Transaction
from noria.messages import Message
from noria.metadata.errors import NoriaError

# States of records that a person may decide about.
OPEN_STATES = ("failed", "dead", "invalid", "held")
# Batches in doubt of which all the records that nobody has decided about are among the chosen ones.
_DOUBTS = (
    "SELECT e.batch_id, SUM(CASE WHEN e.seq IN (SELECT j.value FROM json_each(:seqs) j) THEN 0 ELSE 1 END)"
    " FROM exceptions e JOIN batches b ON b.batch_id = e.batch_id AND b.state = 'doubt'"
    " WHERE e.plan_id = :p AND e.who IS NULL AND e.batch_id IN (SELECT o.batch_id FROM exceptions o"
    " WHERE o.plan_id = :p AND o.seq IN (SELECT j.value FROM json_each(:seqs) j)) GROUP BY e.batch_id"
)
_CHOSEN = (
    "SELECT e.seq, e.state, e.batch_id, e.updated_at, r.id, r.number, r.stray FROM json_each(:seqs) j"
    " JOIN exceptions e ON e.plan_id = :p AND e.seq = j.value"
    " JOIN records r ON r.plan_id = e.plan_id AND r.seq = e.seq ORDER BY e.seq"
)


class Who(NamedTuple):
    """Who decides, when (epoch seconds), why; `plan`: the plan's key, for the audit log."""

    name: str
    at: float
    reason: str
    plan: str


class Decided(NamedTuple):
    """About how many records it was decided, and about how many it could not be: they are being sent, have been
    delivered meanwhile, or share a batch in doubt with records that were not chosen."""

    done: int
    left: int


class ByHand:
    """Takes down what people decide."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def correct(
        self,
        plan_id: int,
        seqs: Sequence[int],
        who: Who,
        payload: bytes | None,
        made: bytes | None,
        *,
        seen: int = 0,
        anew: bool = False,
        wants: bool = True,
    ) -> None:
        """From now on a record goes with this payload (None: with what the mapping makes), and is due. `seqs`: the
        record, or all that are merged into its document; `made`: what the mapping had made; `seen`: the number of the
        correction that the person looked at (0: none); `anew`: they know that an earlier send may have been carried
        out; `wants`: the plan is to be run.

        Raises `NoriaError` (`usage`) where one of the records is not open, where somebody else was faster, where an
        earlier send may have been carried out and `anew` is not said, or others share the batch of that.
        """
        own = {"p": plan_id, "seqs": _listed(seqs), "now": who.at}
        members = _listed(seqs) if len(seqs) > 1 else None
        with self.store.transaction() as c:
            rows = self._held(c, own)
            if len(rows) != len(seqs) or any(row.state not in OPEN_STATES or row.stray for row in rows):
                raise _refused("byhand.not_open", "byhand.not_open_hint")
            newest = c.value(
                "SELECT MAX(x.edit_id) FROM json_each(:seqs) j JOIN edits x ON x.plan_id = :p AND x.seq = j.value", own
            )
            if (newest or 0) != seen:
                raise _refused("byhand.changed", "byhand.changed_hint")
            doubts = c.run(_DOUBTS, own).fetchall()
            if any(others for _, others in doubts):
                raise _refused("byhand.shared_doubt", "byhand.shared_doubt_hint")
            if doubts and not anew:
                raise _refused("byhand.doubt", "byhand.doubt_hint")
            self._break_up(c, doubts)
            c.many(
                "INSERT INTO edits (plan_id, seq, at, who, reason, made, payload, members)"
                " VALUES (:p, :seq, :now, :who, :why, :made, :payload, :members)",
                [
                    {
                        "p": plan_id,
                        "seq": seq,
                        "now": who.at,
                        "who": who.name,
                        "why": who.reason,
                        "made": None if made is None else self.store.pack(made),
                        "payload": None if payload is None else self.store.pack(payload),
                        "members": members,
                    }
                    for seq in seqs
                ],
            )
            key = "reason.corrected" if payload is not None else "reason.uncorrected"
            self._note(c, own, list(seqs), "pending", Message(key, {"who": who.name, "why": who.reason}), None)
            put(
                c,
                who.at,
                who.name,
                "edit" if payload is not None else "unedit",
                who.plan,
                {"id": rows[0].id, "count": len(seqs), "reason": who.reason},
            )
            if wants:
                want(c, [(who.plan, "deliver")], who.at)

    def set_aside(
        self,
        plan_id: int,
        seqs: Sequence[int],
        state: Literal["skipped", "delivered"],
        who: Who,
        *,
        until: float | None = None,
        detail: dict[str, Any] | None = None,
    ) -> Decided:
        """Records are not sent (`skipped`), or are in the target because somebody wrote them there (`delivered`).
        `until`: only those that have been as they are since before then (epoch seconds); `detail`: for the audit log.
        """
        own = {"p": plan_id, "seqs": _listed(seqs), "now": who.at}
        with self.store.transaction() as c:
            rows = [
                row
                for row in self._held(c, own)
                if row.state in OPEN_STATES and (until is None or row.updated_at <= until)
            ]
            own["seqs"] = _listed([row.seq for row in rows])
            doubts = c.run(_DOUBTS, own).fetchall()
            shared = {batch for batch, others in doubts if others}
            chosen = [row for row in rows if row.batch_id not in shared]
            self._break_up(c, [one for one in doubts if one[0] not in shared])
            key = "reason.skipped_by_hand" if state == "skipped" else "reason.delivered_by_hand"
            reason = Message(key, {"who": who.name, "why": who.reason})
            self._note(c, own, [row.seq for row in chosen], state, reason, who.name)
            decided = Decided(len(chosen), len(seqs) - len(chosen))
            if detail is not None and chosen:
                what = "skip" if state == "skipped" else "mark_done"
                names = [row.id or row.number or "" for row in chosen[:20]]
                told = {**detail, "count": decided.done, "ids": names, "reason": who.reason}
                put(c, who.at, who.name, what, who.plan, told)
        return decided

    @staticmethod
    def _held(c: Transaction, own: dict[str, Any]) -> list[Any]:
        """The chosen records' own rows, which nobody changes meanwhile."""
        c.run("SELECT 1 FROM plans WHERE plan_id = :p FOR UPDATE", own)
        return c.rows(_CHOSEN, own)

    @staticmethod
    def _break_up(c: Transaction, doubts: Sequence[Any]) -> None:
        """A person has settled the doubt about these batches."""
        c.many(
            "UPDATE batches SET state = 'broken_up' WHERE batch_id = :b AND state = 'doubt'",
            [{"b": batch} for batch, _ in doubts],
        )

    @staticmethod
    def _note(
        c: Transaction, own: dict[str, Any], seqs: list[int], state: str, reason: Message, who: str | None
    ) -> None:
        due = own["now"] if state == "pending" else None
        rows = [{**own, "seq": seq, "state": state, "reason": stored(reason), "who": who, "due": due} for seq in seqs]
        c.many(
            "UPDATE exceptions SET state = :state, reason = :reason, cause = NULL, rounds = 0, due_at = :due,"
            " waits_for = NULL, waits_seq = NULL, updated_at = :now, who = :who WHERE plan_id = :p AND seq = :seq",
            rows,
        )
        c.many(
            "INSERT INTO events (plan_id, seq, at, state, reason) VALUES (:p, :seq, :now, :state, :reason)",
            rows,
        )


def _listed(seqs: Sequence[int]) -> str:
    return msgspec.json.encode(list(seqs)).decode()


def _refused(key: str, hint: str) -> NoriaError:
    return NoriaError("usage", Message(key), hint=Message(hint))
