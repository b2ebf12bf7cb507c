"""From claimed records to payloads: decoding, the source's rules, grouping, mapping, look-ups many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from noria.engine.answers import Answers, Asked, Row, decoded, rules_of
from noria.engine.job import Job
from noria.ledger.delivery import Due, Exempt
from noria.ledger.edits import Edit
from noria.mapping import ROWS, Environment, MappingError, Waiting, compile_mapping, encode, encode_all, grouping_of
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.times import duration


@dataclass
class Prepared:
    """Records that are ready to be sent, with their payloads (JSON), and those that are not, with their state.

    `sizes`: how many of the records each payload holds, where that is not one; `edits`: by seq the number of what a
    person decided about a record's payload, which is heeded here.
    """

    records: list[Due] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    exempt: list[Exempt] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    edits: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Sequence[Sequence[Due]], payloads: Sequence[bytes]) -> Prepared:
        """The records of each payload, and the payloads."""
        records = [record for group in groups for record in group]
        return cls(records, list(payloads), sizes=[len(group) for group in groups])

    def shared(self) -> list[int]:
        """`sizes` where a payload holds several records, else nothing."""
        return self.sizes if any(size != 1 for size in self.sizes) else []

    def leave_out(self, seqs: set[int], now: float) -> None:
        """Leave out records that are there no more, or that a person has decided about; what is left of a document is
        put together anew."""
        self.exempt = [one for one in self.exempt if one.seq not in seqs]
        sizes = self.sizes or [1] * len(self.payloads)
        records, payloads, kept, start = [], [], [], 0
        for payload, size in zip(self.payloads, sizes, strict=True):
            group = self.records[start : start + size]
            start += size
            rest = [record for record in group if record.seq not in seqs]
            if len(rest) == size:
                records += group
                payloads.append(payload)
                kept.append(size)
                continue
            again = Message("reason.to_be_grouped")
            self.exempt += [Exempt(one.seq, "pending", again, rounds=one.rounds, due_at=now) for one in rest]
        self.records, self.payloads, self.sizes = records, payloads, kept

    def parts(self, payloads: int) -> Iterator[Prepared]:
        """The same in pieces of so many payloads; what is exempt goes with the first."""
        exempt, start = self.exempt, 0
        sizes = self.sizes or [1] * len(self.payloads)
        for first in range(0, max(len(self.payloads), 1), payloads):
            own = sizes[first : first + payloads]
            end = start + sum(own)
            yield Prepared(self.records[start:end], self.payloads[first : first + payloads], exempt, own, self.edits)
            exempt, start = [], end


class Preparer:
    """A plan's mapping, with the ledger to look things up in."""

    def __init__(self, job: Job, moment: Moment) -> None:
        self.job = job
        plan = job.plan
        items = plan.target.metadata.items()
        if job.target.connector.options_apart and not plan.target.metadata.request:
            # What is said once makes no row: without a request a record goes as it came.
            items = []
        self.mapping = compile_mapping(items, plan.maps, lenient=plan.options.lenient)
        self.grouping = grouping_of(plan.target.metadata)
        self.rules = rules_of(plan)
        self.moment = moment
        ledger = job.workspace.ledger
        looked_into = [job.workspace.plan_of(planned.lookup.plan) for planned in self.mapping.lookups]
        self.plan_ids = [ledger.runs.plan_id(one.key) for one in looked_into]
        asked = [Asked(number, rules_of(one)) for number, one in zip(self.plan_ids, looked_into, strict=True)]
        self.answers = Answers(ledger, self.mapping, asked, moment)
        self.missing_is_invalid = plan.options.lookup.missing == "invalid"
        self.patience = duration(plan.options.lookup.wait)

    def edits(self, due: list[Due]) -> Mapping[int, Edit]:
        """What people decided about the payloads of records that are tried again."""
        return self.job.workspace.ledger.edits.newest(self.job.run.plan_id, [record.seq for record in due])

    def prepare(self, due: list[Due], edits: Mapping[int, Edit] | None = None) -> Prepared:
        """Payloads of records, in their order. A record that can't be mapped is invalid; one whose look-up finds
        nothing waits for the plan that it looks into. One that a person corrected has that payload: `edits`."""
        if not edits:
            return self._mapped(due)
        corrected = {seq: edit.payload for seq, edit in edits.items() if edit.payload is not None}
        ready = self._mapped([record for record in due if record.seq not in corrected])
        own = [record for record in due if record.seq in corrected]
        ready.records = [*ready.records, *own]
        ready.payloads = [*ready.payloads, *(corrected[record.seq] for record in own)]
        ready.edits = {seq: edit.number for seq, edit in edits.items()}
        return ready

    def _mapped(self, due: list[Due]) -> Prepared:
        """As the plan's mapping makes them."""
        ready = Prepared()
        if not due:
            return ready
        raws = self.job.workspace.ledger.delivery.raws(due)
        if self.mapping.whole and not self.rules.derives and all(raws):
            ready.records, ready.payloads = due, raws
            return ready
        records, rows = self._rows(due, raws, ready)
        env = self._environment()
        stood_at = self.answers.fill(rows, env)
        payload_of = self.mapping.payload
        try:
            ready.payloads = encode_all([payload_of(row, env) for row in rows])
            ready.records = records
        except (MappingError, Waiting):
            for record, row in zip(records, rows, strict=True):
                self._one([record], row, env, stood_at, ready)
        return ready

    def documents(self, due: list[Due]) -> Prepared:
        """Payloads of the documents that a grouping makes of records, in the order of their first records. A person's
        correction of a document holds as long as it is made of the same records."""
        assert self.grouping is not None
        edits = self.edits(due)
        ready = Prepared(edits={seq: edit.number for seq, edit in edits.items()})
        records, rows = self._rows(due, self.job.workspace.ledger.delivery.raws(due), ready)
        groups: dict[tuple[str, ...], list[tuple[Due, Row]]] = {}
        for record, row in zip(records, rows, strict=True):
            try:
                groups.setdefault(self.grouping.key(row), []).append((record, row))
            except MappingError as error:
                ready.exempt.append(Exempt(record.seq, "invalid", error.message))
        documents: list[tuple[list[Due], Row]] = []
        for group in groups.values():
            try:
                made = self.grouping.documents([row for _, row in group])
            except MappingError as error:
                ready.exempt += [Exempt(record.seq, "invalid", error.message) for record, _ in group]
            else:
                documents += [([group[i][0] for i in positions], document) for document, positions in made]
        env = self._environment()
        stood_at = self.answers.fill([document for _, document in documents], env)
        for merged, document in documents:
            before = len(ready.payloads)
            edit = edits.get(merged[0].seq)
            if edit is not None and edit.payload is not None and edit.members == {record.seq for record in merged}:
                ready.records += merged
                ready.payloads.append(edit.payload)
            else:
                self._one(merged, document, env, stood_at, ready)
            if len(ready.payloads) > before:
                ready.sizes.append(len(merged))
        return ready

    def _environment(self) -> Environment:
        return Environment(self.moment, missing_is_invalid=self.missing_is_invalid)

    def _one(self, records: list[Due], row: Row, env: Environment, stood_at: list[int], ready: Prepared) -> None:
        """The payload of one row, or why its records have none: they are invalid, wait, or have waited long enough."""
        now = self.job.clock.now()
        deadlines = [record.deadline for record in records if record.deadline is not None]
        deadline = min(deadlines, default=now + self.patience)
        env.patient = now < deadline
        try:
            payload = encode(self.mapping.payload(row, env))
        except MappingError as error:
            ready.exempt += [Exempt(record.seq, "invalid", error.message) for record in records]
        except Waiting as waiting:
            ready.exempt += [self._waits(record, waiting, deadline, stood_at) for record in records]
        else:
            ready.records += records
            ready.payloads.append(payload)

    def _rows(self, due: list[Due], raws: list[bytes], ready: Prepared) -> tuple[list[Due], list[Row]]:
        """Records with their content as the source's rules have it, beside each other; one that has none is exempt."""
        records, rows = due, _all_decoded(raws)
        if rows is None:
            records, rows = [], []
            for record, raw in zip(due, raws, strict=True):
                row = decoded(raw)
                if isinstance(row, Message):
                    ready.exempt.append(Exempt(record.seq, "invalid", row))
                else:
                    records.append(record)
                    rows.append(row)
        if not self.rules.derives:
            return records, rows
        env = self._environment()
        kept, derived = [], []
        for record, row in zip(records, rows, strict=True):
            try:
                derived.append(self.rules.derived(row, env))
                kept.append(record)
            except MappingError as error:
                ready.exempt.append(Exempt(record.seq, "invalid", error.message))
        return kept, derived

    def _waits(self, record: Due, waiting: Waiting, deadline: float, stood_at: list[int]) -> Exempt:
        return Exempt(
            record.seq,
            "pending",
            self.answers.waits_for(waiting),
            due_at=deadline,
            waits_for=self.plan_ids[waiting.number],
            waits_seq=stood_at[waiting.number],
        )


def _all_decoded(raws: list[bytes]) -> list[Row] | None:
    """Records at once; None when one of them can't be read."""
    try:
        return ROWS.decode(b"[" + b",".join(raws) + b"]") if all(raws) else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
