"""What pages of records answer with."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec

from noria.console.answers.base import Answer
from noria.console.diffs import Line
from noria.console.payloads import Wrong


class Record(TypedDict):
    """A record as lists show it."""

    id: str | None
    number: str | None
    state: str
    reason: str | None
    attempts: int
    staged_at: str | None
    delivered_at: str | None
    retry_at: str | None
    hash: str
    seq: int
    by: str | None


class WholeRecord(Record):
    """A record with its JSON as it came (`raw`) and as it was sent last (`payload`)."""

    raw: msgspec.Raw | None
    payload: msgspec.Raw | None


class Step(TypedDict):
    """A state that a record came into, and why."""

    state: str
    time: str | None
    reason: str | None


class Try(TypedDict):
    """One try at sending a record: in which batch, under which idempotency key, and what was answered."""

    batch: int
    key: str
    started_at: str | None
    seconds: float
    outcome: str
    status: int | None
    reason: str | None
    request: str
    headers: dict[str, str]
    payload: msgspec.Raw | None
    rows: int
    run: int
    answer: str | None


class Version(TypedDict):
    """Another content of a record."""

    kind: str
    noted_at: str | None
    hash: str
    raw: msgspec.Raw | None


class Edit(TypedDict):
    """A correction: what the mapping had made, what is sent instead (null: what the mapping makes after all), by whom
    and why; of how many records the document is."""

    number: int
    seq: int
    at: str | None
    who: str
    reason: str
    made: msgspec.Raw | None
    payload: msgspec.Raw | None
    records: int
    batch: int | None


class Story(WholeRecord):
    """A record's whole story; `also`: others of the same id."""

    history: list[Step]
    tries: list[Try]
    edits: list[Edit]
    versions: list[Version]
    also: list[WholeRecord]


class ListedRecord(Record):
    """A record as a list over plans shows it; `raw` and `payload` where they were asked for."""

    plan: str
    raw: NotRequired[msgspec.Raw | None]
    payload: NotRequired[msgspec.Raw | None]


# Where a list goes on: what to ask `from` and `before`, or `after`, for.
Position = TypedDict(
    "Position", {"from": NotRequired[str | None], "before": NotRequired[int], "after": NotRequired[int]}
)


class RecordsPage(Answer, frozen=True, kw_only=True):
    """Records of a plan or of all, newest first; `next`: what to ask for the page that follows, null at the end; none
    may be found on a page that is not the last. `first`: it is the first page."""

    plan: str | None
    plans: list[str]
    wanted: dict[str, Any]
    first: bool
    counts: dict[str, int] | None
    records: list[ListedRecord]
    next: Position | None


class ConfirmPage(Answer, frozen=True, kw_only=True):
    """What an act would do, and to how many records; `asked`: as of when."""

    what: str
    count: int
    wanted: dict[str, Any]
    all: bool
    ticked: list[str]
    asked: float


class RecordPage(Answer, frozen=True, kw_only=True):
    """One record's whole story. `fields`: each field of its payload with its expression and what that reads;
    `changed`: the mapping is no longer the one that made the payload; `merged`: documents are made of several records,
    `members` those in this one; `now`: what would be sent next, beginning from (`start`) a correction, what was sent,
    or as far as it goes; `made`: what the mapping had made; `seen`: the correction that counts; `doubt`: an earlier
    send may have been carried out."""

    plan: str
    record: Story
    fields: list[dict[str, Any]]
    changed: bool
    merged: bool
    members: list[int]
    now: msgspec.Raw | None
    start: str
    made: msgspec.Raw | None
    seen: int
    doubt: bool


class EditPage(Answer, frozen=True, kw_only=True):
    """A payload to be corrected. `sent`: it was sent once; `whole`: it is all of it; `wrong`: what is wrong with the
    text; `lines`: how it differs from what it was."""

    plan: str
    record: Story
    seen: int
    text: str
    sent: bool
    whole: bool
    members: int
    doubt: bool
    wrong: list[Wrong]
    lines: list[Line] | None
    reason: str
