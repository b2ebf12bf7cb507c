"""One record: where each field of its payload came from, every try; correcting, skipping, marking it by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from noria.console.access import Reader
from noria.console.answers import Decided, EditPage, RecordPage
from noria.console.asked import DecideAsked, EditAsked, RecordAsked, UneditAsked
from noria.console.denied import Denied
from noria.console.diffs import Line
from noria.console.door import Door
from noria.console.endpoints import Endpoint, does, shows
from noria.console.payloads import Wrong, differences, missing, read
from noria.console.render import address, page, shown_json
from noria.engine.explaining import as_far_as_it_goes, explained, row_of
from noria.engine.run import mapping_of
from noria.ledger import Ledger
from noria.ledger.byhand import OPEN_STATES, Who
from noria.ledger.content import same_content
from noria.mapping import DECODER, encode, grouping_of
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan


class Stories:
    """Records' pages, and what is done on them."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """Every page and act."""
        edit = "/plans/{key}/record/edit"
        return [
            shows("record", "/plans/{key}/record", self._record, RecordPage, takes=RecordAsked),
            shows("edit", edit, self._edit, EditPage, takes=RecordAsked, role="operator", errors=(409,)),
            does("correct", edit, self._send, EditPage | Decided, takes=EditAsked),
            does("unedit", "/plans/{key}/record/unedit", self._unedit, Decided, takes=UneditAsked),
            does("skip", "/plans/{key}/record/skip", self._skip, Decided, takes=DecideAsked),
            does("mark_done", "/plans/{key}/record/done", self._done_by_hand, Decided, takes=DecideAsked),
        ]

    async def _record(self, request: Request) -> Response:
        plan, found = await self._found(request, told=True)
        return page(request, "record.html", RecordPage(plan=plan.key, **found))

    async def _found(self, request: Request, *, told: bool = False) -> tuple[Plan, dict[str, Any]]:
        """The record of the address, with what is known of it; `told`: field by field. Raises `Denied`."""
        plan, asked, now = self.door.plan_of(request), request.state.asked, request.state.now

        def ask(ledger: Ledger) -> dict[str, Any] | None:
            number = ledger.runs.known_plan(plan.key)
            record = None if number is None else ledger.records.story(number, asked.id, asked.seq)
            if number is None or record is None:
                return None
            return {"record": record, **_explained(ledger, number, plan, record, now, told)}

        found = await self.door.desk.ask(ask)
        if found is None:
            raise Denied(404, "console.no_such_record")
        return plan, found

    async def _edit(self, request: Request) -> Response:
        """The payload to be corrected."""
        plan, found = await self._found(request)
        _refuse_closed(plan, found)
        start = found["now"]
        text = shown_json(start) if start is not None else "{\n}"
        return page(request, "edit.html", _edit_page(plan, found, seen=found["seen"], text=text))

    async def _send(self, request: Request) -> Response:
        """A corrected payload: shown beside what it was, and sent once that has been seen."""
        plan, found = await self._found(request)
        asked: EditAsked = request.state.asked
        _refuse_closed(plan, found)
        text, reason = asked.payload.replace("\r\n", "\n"), asked.reason.strip()
        payload, wrong = read(text)
        lines: list[Line] = []
        if not wrong:
            before = None if found["now"] is None else bytes(found["now"])
            lines = differences(before, payload)
            wrong = missing(payload, plan.target.metadata.items())
            if before is not None and same_content(before, payload):
                wrong.append(Wrong(Message("payload.same")))
        confirmed = asked.confirmed == "yes"
        stops = any(one.stops for one in wrong)
        if confirmed and not stops and not reason:
            wrong.append(Wrong(Message("payload.why")))
            stops = True
        if not confirmed or stops:
            compared = None if any(one.line or one.stops for one in wrong) and not lines else lines
            shown = _edit_page(plan, found, seen=asked.seen, text=text, wrong=wrong, lines=compared, reason=reason)
            return page(request, "edit.html", shown, 400 if stops and confirmed else 200)
        who = _who(request, plan, reason)
        seen, anew = asked.seen, asked.anew == "yes"

        def correct(ledger: Ledger) -> None:
            ledger.by_hand.correct(
                ledger.runs.plan_id(plan.key),
                found["members"],
                who,
                payload,
                None if found["made"] is None else bytes(found["made"]),
                seen=seen,
                anew=anew,
                wants=plan.enabled,
            )

        await self.door.desk.ask(correct)
        return self._said(request, "edit", plan, found["record"], len(found["members"]))

    async def _unedit(self, request: Request) -> Response:
        """What the mapping makes is sent after all."""
        plan, found = await self._found(request)
        asked: UneditAsked = request.state.asked
        who, seen = _who(request, plan, asked.reason.strip()), found["seen"]
        if not seen:
            raise Denied(409, "console.not_corrected")

        def correct(ledger: Ledger) -> None:
            number = ledger.runs.plan_id(plan.key)
            anew = asked.anew == "yes"
            ledger.by_hand.correct(number, found["members"], who, None, None, seen=seen, anew=anew, wants=plan.enabled)

        await self.door.desk.ask(correct)
        return self._said(request, "unedit", plan, found["record"], len(found["members"]))

    async def _skip(self, request: Request) -> Response:
        return await self._set_aside(request, "skip")

    async def _done_by_hand(self, request: Request) -> Response:
        return await self._set_aside(request, "mark_done")

    async def _set_aside(self, request: Request, what: str) -> Response:
        plan, asked = self.door.plan_of(request), request.state.asked
        seq, reason = asked.seq, asked.reason.strip()
        if not reason:
            raise Denied(400, "console.say_why")
        who = _who(request, plan, reason)

        def decide(ledger: Ledger) -> dict[str, Any] | None:
            number = ledger.runs.known_plan(plan.key)
            if number is None:
                return None
            state: Any = "skipped" if what == "skip" else "delivered"
            done = ledger.by_hand.set_aside(number, [seq], state, who, detail={}).done
            return ledger.records.by_seqs(number, [seq])[0] if done else None

        record = await self.door.desk.ask(decide)
        if record is None:
            raise Denied(409, "byhand.not_open")
        return self._said(request, what, plan, record, 1)

    def _said(self, request: Request, what: str, plan: Plan, record: dict[str, Any], count: int) -> Response:
        """Done, and on record already."""
        seq = record["seq"]
        back = address(f"/plans/{plan.key}/record", seq=seq)
        return self.door.done(request, what, plan.key, back, id=record["id"], seq=seq, count=count)


def _explained(
    ledger: Ledger, number: int, plan: Plan, record: dict[str, Any], now: float, told: bool
) -> dict[str, Any]:
    """What a correction of a record would begin with; `told`: its fields with their expressions, too. `now`: what would
    be sent next as far as it is known, `made`: what the mapping had made, `members`: the records that share the
    payload, `seen`: the correction that counts, `doubt`: an earlier send may have been carried out."""
    seq = record["seq"]
    state = ledger.store.rows(
        "SELECT s.batch_id, b.state FROM record_states s LEFT JOIN batches b ON b.batch_id = s.batch_id"
        " WHERE s.plan_id = :p AND s.seq = :seq",
        p=number,
        seq=seq,
    )[0]
    sent = ledger.records.sent(state.batch_id, seq)
    own = [one for one in record["edits"] if one["seq"] == seq]
    moment = Moment(0.0, now, plan.zone, plan.options.lenient)
    raws = ledger.records.raws(number, sent.members)
    corrected = bytes(own[-1]["payload"]) if own and own[-1]["payload"] is not None else None
    kept = next((one["made"] for one in reversed(own) if one["made"]), None)
    if kept is None and not any(one["batch"] == state.batch_id for one in record["edits"]):
        kept = sent.payload
    made = bytes(kept) if kept is not None else None
    start = "edit" if corrected is not None else "sent" if made is not None else "part"
    begin = corrected if corrected is not None else made
    if begin is None and plan.target.metadata.items():
        row = row_of(plan, raws, moment)
        begin = encode(as_far_as_it_goes(plan, row, moment)) if row is not None else None
    fields = {}
    if told:
        payload = DECODER.decode(bytes(sent.payload)) if sent.payload is not None else None
        fields = {
            "fields": explained(plan, raws, payload, moment),
            "changed": sent.mapping is not None and sent.mapping != mapping_of(plan),
        }
    return {
        **fields,
        "merged": grouping_of(plan.target.metadata) is not None,
        "members": sent.members,
        "now": msgspec.Raw(begin) if begin is not None else None,
        "start": start,
        "made": kept,
        "seen": own[-1]["number"] if own else 0,
        "doubt": state.state == "doubt",
    }


def _edit_page(
    plan: Plan,
    found: dict[str, Any],
    *,
    seen: int,
    text: str,
    wrong: Sequence[Wrong] = (),
    lines: list[Line] | None = None,
    reason: str = "",
) -> EditPage:
    return EditPage(
        plan=plan.key,
        record=found["record"],
        seen=seen,
        text=text,
        sent=found["record"]["payload"] is not None,
        whole=found["start"] != "part",
        members=len(found["members"]),
        doubt=found["doubt"],
        wrong=list(wrong),
        lines=lines,
        reason=reason,
    )


def _refuse_closed(plan: Plan, found: dict[str, Any]) -> None:
    """Raise `Denied` for a record that can't be corrected."""
    record = found["record"]
    if record["state"] not in OPEN_STATES:
        raise Denied(409, "byhand.not_open")
    if record["id"] is None:
        raise Denied(409, "console.no_id_no_edit")
    if found["merged"] and record["payload"] is None:
        # Which records would be in the document, nobody knows before it is put together.
        raise Denied(409, "console.no_document_yet")


def _who(request: Request, plan: Plan, reason: str) -> Who:
    reader: Reader = request.state.reader
    return Who(reader.name, request.state.now, reason, plan.key)
