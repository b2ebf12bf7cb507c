"""From claimed records to payloads: decoding, mapping, look-ups many at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from noria.engine.job import Job
from noria.ledger.delivery import Due, Exempt
from noria.mapping import DECODER, ROWS, Environment, MappingError, Waiting, compile_mapping, encode
from noria.messages import Message
from noria.metadata.expressions import Lookup
from noria.metadata.macros import Moment
from noria.metadata.times import duration


@dataclass
class Prepared:
    """Records that are ready to be sent, with their payloads (JSON), and those that are not, with their state."""

    records: list[Due] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    exempt: list[Exempt] = field(default_factory=list)


class Preparer:
    """A plan's mapping, with the ledger to look things up in."""

    def __init__(self, job: Job, moment: Moment) -> None:
        self.job = job
        self.mapping = compile_mapping(job.plan.target.metadata.items())
        self.moment = moment
        runs = job.workspace.ledger.runs
        self.plan_ids = [runs.plan_id(job.workspace.resolve(planned.lookup.plan)) for planned in self.mapping.lookups]
        self.missing_is_invalid = job.plan.options.lookup.missing == "invalid"
        self.patience = duration(job.plan.options.lookup.wait)

    def prepare(self, due: list[Due]) -> Prepared:
        """Payloads of records, in their order. A record that can't be mapped is invalid; one whose look-up finds
        nothing waits for the plan that it looks into."""
        ready = Prepared()
        raws = self.job.workspace.ledger.delivery.raws(due)
        if self.mapping.whole:
            ready.records, ready.payloads = due, raws
            return ready
        rows = self._decoded(due, raws, ready)
        env = Environment(self.moment, missing_is_invalid=self.missing_is_invalid)
        stood_at = self._look_up([row for _, row in rows], env)
        payload_of = self.mapping.payload
        try:
            ready.payloads = [encode(payload_of(row, env)) for _, row in rows]
            ready.records = [record for record, _ in rows]
        except (MappingError, Waiting):
            self._one_by_one(rows, env, stood_at, ready)
        return ready

    def _one_by_one(
        self, rows: list[tuple[Due, dict[str, Any]]], env: Environment, stood_at: list[int], ready: Prepared
    ) -> None:
        """Likewise where some can't be mapped, or wait, or have waited long enough."""
        now = self.job.clock.now()
        for record, row in rows:
            deadline = now + self.patience if record.deadline is None else record.deadline
            env.patient = now < deadline
            try:
                payload = encode(self.mapping.payload(row, env))
            except MappingError as error:
                ready.exempt.append(Exempt(record.seq, "invalid", error.message))
            except Waiting as waiting:
                ready.exempt.append(self._waits(record, waiting, deadline, stood_at))
            else:
                ready.records.append(record)
                ready.payloads.append(payload)

    def _decoded(self, due: list[Due], raws: list[bytes], ready: Prepared) -> list[tuple[Due, dict[str, Any]]]:
        """The records' content; one that can't be decoded is exempt."""
        try:
            return list(zip(due, ROWS.decode(b"[" + b",".join(raws) + b"]"), strict=True))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            rows = []
        for record, raw in zip(due, raws, strict=True):
            try:
                rows.append((record, ROWS.decode(b"[" + raw + b"]")[0]))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                ready.exempt.append(Exempt(record.seq, "invalid", Message("reason.unreadable")))
        return rows

    def _look_up(self, rows: list[dict[str, Any]], env: Environment) -> list[int]:
        """Answer every look-up of these rows at once; gives where each plan looked into stood before."""
        lookups = self.job.workspace.ledger.lookups
        stood_at = [lookups.next_seq(plan_id) for plan_id in self.plan_ids]
        for planned, plan_id in zip(self.mapping.lookups, self.plan_ids, strict=True):
            keys = [key for row in rows for key in planned.keys(row, env)]
            fields = tuple(name for name, _ in planned.lookup.conditions)
            env.found.append(lookups.find(plan_id, fields, keys, planned.lookup.field, DECODER) if keys else {})
        return stood_at

    def _waits(self, record: Due, waiting: Waiting, deadline: float, stood_at: list[int]) -> Exempt:
        lookup: Lookup = self.mapping.lookups[waiting.number].lookup
        asked = ", ".join(f"{name}={value}" for (name, _), value in zip(lookup.conditions, waiting.key, strict=True))
        return Exempt(
            record.seq,
            "pending",
            Message("reason.waits_for", {"plan": lookup.plan, "asked": asked}),
            due_at=deadline,
            waits_for=self.plan_ids[waiting.number],
            waits_seq=stood_at[waiting.number],
        )
