"""Lists of records: looked for over one plan or all, many chosen at once, and what is done with them; exports."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from noria.console.access import Reader
from noria.console.answers import ConfirmPage, DoneToMany, Position, RecordsPage
from noria.console.asked import ActAsked, ChosenAsked, ConfirmAsked, ExportAsked, ListAsked, RecordsAsked
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, does, shows
from noria.console.render import address, page
from noria.ledger import Ledger
from noria.ledger.byhand import OPEN_STATES, Who
from noria.ledger.finding import Filter
from noria.ledger.records import STATES, Told
from noria.messages import t
from noria.metadata.plan import Plan
from noria.metadata.sheets import cell
from noria.metadata.times import DEFAULT_ZONE

# So many plans are looked into for one page of all.
_PLANS = 20
# Records that are decided about in one transaction, or exported at once.
_STEP = 500
_COLUMNS = ("plan", "id", "number", "state", "reason", "attempts", "staged_at", "delivered_at", "retry_at")


class Wanted(NamedTuple):
    """What a list is asked for: the plan (None: all of them), and what of it."""

    plan: str | None
    filter: Filter

    def query(self) -> dict[str, Any]:
        """As an address has it."""
        own = self.filter
        return {
            "plan": self.plan,
            "state": own.state,
            "cause": own.cause,
            "q": own.text,
            "error": own.error,
            "since": _clock(own.since),
            "until": _clock(own.until),
        }


class Chosen(NamedTuple):
    """Records that an act is for: those ticked, by plan, or all that are wanted."""

    ticked: dict[str, list[int]]
    all: bool


class Lists:
    """The list of records, and acts on many."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """Every page and act."""
        export, files = "/records/export", ("text/csv", "application/x-ndjson")
        return [
            shows("records", "/records", self._records, RecordsPage, takes=RecordsAsked),
            shows("export", export, self._export, str, takes=ExportAsked, media=files),
            does("export_chosen", export, self._export, str, takes=ExportAsked, role="viewer", media=files),
            does("confirm", "/records/confirm", self._confirm, ConfirmPage, takes=ConfirmAsked),
            does("act", "/records/act", self._act, DoneToMany, takes=ActAsked),
        ]

    async def _records(self, request: Request) -> Response:
        asked: RecordsAsked = request.state.asked
        if asked.after is not None:
            return page(request, "records.html", await self._in_order(asked))
        wanted, before, begin = _wanted(asked), asked.before, asked.begin
        keys = [one.key for one in self.door.plans()]
        if wanted.plan is None and len(keys) == 1:
            wanted = wanted._replace(plan=keys[0])
        chosen = [wanted.plan] if wanted.plan is not None else [one for one in keys if begin is None or one >= begin]

        def read(ledger: Ledger) -> Any:
            found: list[dict[str, Any]] = []
            after: Position | None = None
            numbers = ledger.finding.plans(wanted.filter)
            for place, key in enumerate(one for one in chosen if one in numbers):
                number = numbers[key]
                if len(found) >= asked.limit or place >= _PLANS:
                    after = {"from": key}
                    break
                own = before if key == (begin or wanted.plan) else None
                part = ledger.finding.page(number, wanted.filter, before=own, limit=asked.limit - len(found))
                found += [{"plan": key, **one} for one in part.records]
                if part.next is not None:
                    after = {"from": key if wanted.plan is None else None, "before": part.next}
                    break
            known = ledger.runs.known_plan(wanted.plan) if wanted.plan is not None else None
            return found, after, ledger.records.counts(known, kept=True) if known is not None else None

        records, after, counts = await self.door.desk.ask(read)
        shown = RecordsPage(
            plan=wanted.plan,
            plans=keys,
            wanted=wanted.query(),
            first=before is None and begin is None,
            counts=counts if counts is not None or wanted.plan is None else dict.fromkeys(STATES, 0),
            records=records,
            next=after,
        )
        return page(request, "records.html", shown)

    async def _in_order(self, asked: RecordsAsked) -> RecordsPage:
        """A plan's records in the order they were staged, as the command shows them."""
        key = asked.plan
        if key is None:
            raise Denied(400, "console.nothing_chosen", path="$.plan")

        def read(ledger: Ledger) -> Any:
            number = ledger.runs.known_plan(key)
            if number is None:
                return [], dict.fromkeys(STATES, 0)
            found = ledger.records.select(
                number, state=asked.state, record_id=asked.id, after=asked.after or 0, limit=asked.limit + 1
            )
            rows = [ledger.records.with_bodies(number, one) if asked.full else one for one in found]
            return [{"plan": key, **one} for one in rows], ledger.records.counts(number, kept=True)

        rows, counts = await self.door.desk.ask(read)
        records, more = cut(rows, asked.limit)
        return RecordsPage(
            plan=key,
            plans=[one.key for one in self.door.plans()],
            wanted=_wanted(asked).query(),
            first=not asked.after,
            counts=counts,
            records=records,
            next={"after": records[-1]["seq"]} if more else None,
        )

    async def _confirm(self, request: Request) -> Response:
        """What an act would do, and to how many."""
        asked: ConfirmAsked = request.state.asked
        what, wanted, chosen = asked.act, _wanted(asked), _chosen(asked)
        count = 0
        for key, number in await self._numbers(wanted, chosen):
            count += await self._how_many(what, number, wanted, chosen.ticked.get(key, []), chosen.all)
        shown = ConfirmPage(
            what=what,
            count=count,
            wanted=wanted.query(),
            all=chosen.all,
            ticked=[f"{seq}@{key}" for key, seqs in chosen.ticked.items() for seq in seqs],
            asked=request.state.now,
        )
        return page(request, "confirm.html", shown)

    async def _how_many(self, what: str, number: int, wanted: Wanted, ticked: list[int], every: bool) -> int:
        if every:
            return await self.door.desk.ask(lambda ledger: ledger.finding.count(number, wanted.filter))
        return await self.door.desk.ask(lambda ledger: _open_among(ledger, what, number, ticked))

    async def _act(self, request: Request) -> Response:
        """Do it, some at a time, each time put on record."""
        asked: ActAsked = request.state.asked
        what, wanted, chosen, reason = asked.act, _wanted(asked), _chosen(asked), asked.reason.strip()
        if what != "replay" and not reason:
            raise Denied(400, "console.say_why")
        until = min(asked.asked, request.state.now)
        reader: Reader = request.state.reader
        plans = {plan.key: plan for plan in self.door.plans()}
        done, touched = 0, []
        for key, number in await self._numbers(wanted, chosen):
            decide = _decide(what, number, plans[key], reader.name, request.state.now, until, reason, wanted)
            before: int | None = None
            ticked = chosen.ticked.get(key, [])
            while True:
                part = ticked[:_STEP] if not chosen.all else None
                count, before = await self.door.desk.ask(_step(decide, number, wanted, part, before, until))
                done += count
                ticked = ticked[_STEP:]
                if before is None and not ticked:
                    break
            touched.append(key)
        name = touched[0] if len(touched) == 1 else t("console.all_plans")
        return self.door.done(request, what, name, address("/records", **wanted.query()), count=done)

    async def _numbers(self, wanted: Wanted, chosen: Chosen) -> list[tuple[str, int]]:
        """The plans that an act is about, with their numbers in the ledger."""
        keys = [one.key for one in self.door.plans()]
        if not chosen.all:
            keys = [key for key in keys if key in chosen.ticked]
        elif wanted.plan is not None:
            keys = [key for key in keys if key == wanted.plan]

        def read(ledger: Ledger) -> list[tuple[str, int]]:
            found = [(key, ledger.runs.known_plan(key)) for key in keys]
            return [(key, number) for key, number in found if number is not None]

        return await self.door.desk.ask(read)

    async def _export(self, request: Request) -> Response:
        """The wanted records, or the ticked ones, as a file; written as it is read, however many there are."""
        asked: ExportAsked = request.state.asked
        wanted, kind, chosen = _wanted(asked), asked.format, _chosen(asked, empty=True)
        keys = [wanted.plan] if wanted.plan is not None else [one.key for one in self.door.plans()]
        written = self._csv(keys, wanted, chosen) if kind == "csv" else self._jsonl(keys, wanted, chosen)
        media = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
        name = f"records-{datetime.fromtimestamp(request.state.now, DEFAULT_ZONE):%Y%m%d-%H%M%S}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(written, media_type=media, headers=headers)

    async def _csv(self, keys: list[str], wanted: Wanted, chosen: Chosen) -> AsyncIterator[str]:
        # Without the mark spreadsheets read UTF-8 as something else.
        yield "\ufeff" + _rows([[t(f"export.{name}") for name in _COLUMNS]])
        async for records in self._parts(keys, wanted, chosen, bodies=False):
            yield _rows([[cell(record[name]) for name in _COLUMNS] for record in records])

    async def _jsonl(self, keys: list[str], wanted: Wanted, chosen: Chosen) -> AsyncIterator[bytes]:
        async for records in self._parts(keys, wanted, chosen, bodies=True):
            yield b"".join(msgspec.json.encode(record) + b"\n" for record in records)

    async def _parts(
        self, keys: list[str], wanted: Wanted, chosen: Chosen, *, bodies: bool
    ) -> AsyncIterator[list[dict[str, Any]]]:
        for key in keys:
            before: int | None = None
            ticked = chosen.ticked.get(key, [])
            while True:
                part = None if chosen.all else ticked[:_STEP]
                records, before = await self.door.desk.ask(_exported(key, wanted, part, before, bodies))
                ticked = ticked[_STEP:]
                if records:
                    yield records
                if before is None and not ticked:
                    break


def _exported(
    key: str, wanted: Wanted, ticked: list[int] | None, before: int | None, bodies: bool
) -> Callable[[Ledger], tuple[list[dict[str, Any]], int | None]]:
    def read(ledger: Ledger) -> tuple[list[dict[str, Any]], int | None]:
        number = ledger.runs.known_plan(key)
        if number is None:
            return [], None
        if ticked is not None:
            records, after = ledger.records.by_seqs(number, ticked), None
        else:
            records, after = ledger.finding.page(number, wanted.filter, before=before, limit=_STEP)
        if bodies:
            records = [ledger.records.with_bodies(number, one) for one in records]
        return [{"plan": key, **one} for one in records], after

    return read


def _open_among(ledger: Ledger, what: str, number: int, seqs: list[int]) -> int:
    """How many of the ticked records an act would be for."""
    found = ledger.records.by_seqs(number, seqs)
    return sum(1 for one in found if one["state"] in OPEN_STATES or (what == "replay" and one["by"]))


def _decide(
    what: str, number: int, plan: Plan, name: str, now: float, until: float, reason: str, wanted: Wanted
) -> Callable[[Ledger, list[int]], int]:
    """What is done with some records of a plan; gives with how many it was."""
    asked = {key: value for key, value in wanted.query().items() if value}

    def decide(ledger: Ledger, seqs: list[int]) -> int:
        if what == "replay":
            told = Told(name, plan.key, asked, plan.enabled)
            return ledger.records.replay(number, now, seqs=seqs, until=until, told=told)
        state: Any = "skipped" if what == "skip" else "delivered"
        who = Who(name, now, reason, plan.key)
        return ledger.by_hand.set_aside(number, seqs, state, who, until=until, detail=asked).done

    return decide


def _step(
    decide: Callable[[Ledger, list[int]], int],
    number: int,
    wanted: Wanted,
    ticked: list[int] | None,
    before: int | None,
    until: float,
) -> Callable[[Ledger], tuple[int, int | None]]:
    def step(ledger: Ledger) -> tuple[int, int | None]:
        if ticked is not None:
            return (decide(ledger, ticked) if ticked else 0), None
        found = ledger.finding.open(number, wanted.filter, before=before, limit=_STEP, until=until)
        return (decide(ledger, found.seqs) if found.seqs else 0), found.next

    return step


def _wanted(asked: ListAsked) -> Wanted:
    """What is asked for; raises `Denied`."""
    own = Filter(asked.state, asked.cause, asked.q, asked.error, _time(asked.since), _time(asked.until))
    return Wanted(asked.plan, own)


def _chosen(asked: ChosenAsked, *, empty: bool = False) -> Chosen:
    """Which records are chosen; raises `Denied` where none is, unless `empty` means all."""
    ticked: dict[str, list[int]] = {}
    for one in asked.chosen:
        seq, _, key = one.partition("@")
        ticked.setdefault(key, []).append(int(seq))
    every = asked.all == "yes" or (empty and not ticked)
    if not ticked and not every:
        raise Denied(400, "console.nothing_chosen")
    return Chosen({} if every else ticked, every)


def _time(text: str | None) -> float | None:
    """A time as browsers give it; raises `Denied`."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=DEFAULT_ZONE)).timestamp()
    except (ValueError, OverflowError):
        raise Denied(400, "console.bad_time") from None


def _clock(at: float | None) -> str | None:
    """A time as browsers take it."""
    return None if at is None else f"{datetime.fromtimestamp(at, DEFAULT_ZONE):%Y-%m-%dT%H:%M}"


def _rows(rows: list[list[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
