"""What pages and acts answer, as programs read it. Times are epoch seconds, or ISO 8601 where they are texts."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec

from noria.console.diffs import Line
from noria.console.payloads import Wrong
from noria.engine.sampling import SampleField
from noria.ledger.agenda import Present
from noria.ledger.alerts import ChannelStands
from noria.ledger.audit import Change
from noria.ledger.browsing import Cause, Mishap, RunStands
from noria.ledger.overview import PlanStands
from noria.ledger.planversions import PlanVersion
from noria.ledger.tallies import Tally
from noria.ledger.tokens import Token
from noria.messages import Message
from noria.scheduler.coming import Coming


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered."""


class Finding(Answer, frozen=True, kw_only=True):
    """One of the things that are wrong with a plan or a connection, with its place."""

    plan: str
    path: str
    message: str
    hint: str
    severity: str


class Problem(Answer, frozen=True, kw_only=True):
    """What is wrong: a stable word for programs, the message in the reader's language, the place (plan, JSON path), and
    what would be right; empty where there is nothing to say. `problems`: all of them, where a text was checked."""

    code: str
    message: str
    plan: str
    path: str
    hint: str
    problems: list[Finding] | msgspec.UnsetType = msgspec.UNSET


class Failed(Answer, frozen=True, kw_only=True):
    """The answer to what can't be answered."""

    error: Problem


class OverviewPage(Answer, frozen=True, kw_only=True):
    """How everything stands. `waiting`: records in trouble by plan; `failed`: plans whose last run failed; `lost`:
    workers that are silent; `queue`: plans that have something to do; `hours`: records delivered by the hour (epoch
    seconds / 3600); `coming`: runs that schedules have next; `alerts`: what is wrong with what."""

    plans: list[PlanStands]
    plan_count: int
    waiting: dict[str, int]
    failed: list[str]
    causes: list[Cause]
    workers: list[Present]
    lost: list[str]
    queue: int
    runs: list[RunStands]
    span: tuple[float, float]
    hours: list[tuple[int, int]]
    today: Tally
    coming: list[Coming]
    alerts: list[str]
    silent_channels: list[str]


class End(Answer, frozen=True, kw_only=True):
    """Where a plan reads from or writes to."""

    connection: str
    api: str


class ShownPlan(Answer, frozen=True, kw_only=True):
    """A plan: its file's stem, its name, when it runs, and how it stands."""

    key: str
    name: str
    enabled: bool
    schedule: str | None
    target_schedule: str | None
    source: End
    target: End
    stands: PlanStands


class PlansPage(Answer, frozen=True, kw_only=True):
    """Every plan, and what is wrong with the files that can't be read."""

    plans: list[ShownPlan]
    broken: list[Problem]
    hours: dict[str, list[tuple[int, int]]]


class Times(Answer, frozen=True, kw_only=True):
    """A schedule, and its next times (epoch seconds)."""

    kind: str
    crontab: str
    at: list[float]


class PlanPage(Answer, frozen=True, kw_only=True):
    """A plan: how many records are in each state, its latest runs, causes of failures, its mapping in words, its
    times, and its documents as written."""

    plan: ShownPlan
    tab: str
    counts: dict[str, int]
    runs: list[RunStands]
    span: tuple[float, float]
    hours: list[tuple[int, int]]
    causes: list[Cause]
    mapping: list[dict[str, Any]]
    times: list[Times]
    zone: str
    source: dict[str, Any]
    target: dict[str, Any]


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


class VersionsPage(Answer, frozen=True, kw_only=True):
    """Texts that a plan's file has held, newest first. `base`: the digest of the file as it is; `of`: the version that
    is shown, `text` what it is, `changes` how it differs from the one before; `outside`: the file was changed by other
    means since."""

    key: str
    base: str
    versions: list[PlanVersion]
    of: int | None
    text: str | None
    changes: list[Line]
    outside: bool
    next: int | None


class SheetPage(Answer, frozen=True, kw_only=True):
    """A plan in the editor: its text, the digest of the file it began from, what is wrong with it, and what becomes of
    the records of the sample."""

    key: str
    new: bool
    text: str
    base: str
    problems: list[dict[str, Any]]
    sample: str
    results: list[dict[str, Any]] | None
    fields: list[SampleField]


class FailuresPage(Answer, frozen=True, kw_only=True):
    """Records in trouble by their causes, the most first."""

    plan: str | None
    causes: list[Cause]


class RunsPage(Answer, frozen=True, kw_only=True):
    """Runs, newest first; `next`: what to ask `before` for the page that follows."""

    plan: str | None
    runs: list[RunStands]
    span: tuple[float, float]
    next: int | None


class RunPage(Answer, frozen=True, kw_only=True):
    """One run: how its figures grew (seconds, staged, delivered, in trouble), how many others assisted, and what went
    wrong in it."""

    run: RunStands
    pace: list[list[float]]
    assisted: int
    mishaps: list[Mishap]
    more: bool


class Day(TypedDict):
    """What happened on a day, and its last reconciliation."""

    day: str
    staged: int
    delivered: int
    troubled: int
    reconciled: dict[str, Any] | None


class ReconciliationPage(Answer, frozen=True, kw_only=True):
    """Reconciliations: the latest of each plan, or one plan's; what differs in the newest; figures by day."""

    plan: str | None
    plans: list[str]
    wanted: list[str]
    latest: list[dict[str, Any]]
    history: list[dict[str, Any]]
    newest: dict[str, Any] | None
    days: list[Day]
    enabled: dict[str, bool]


class Told(Answer, frozen=True, kw_only=True):
    """How far an alert was told over a channel."""

    channel: str
    phase: str
    state: str
    at: float
    until: float | None


class ShownAlert(Answer, frozen=True, kw_only=True):
    """An alert: what is, or was, wrong with what, and who heard of it."""

    number: int
    rule: str
    kind: str
    severity: str
    subject: str
    what: Message | None
    began_at: float
    ended_at: float | None
    why: str | None
    acknowledged_at: float | None
    acknowledged_by: str | None
    page: str
    told: list[Told]


class ShownChannel(Answer, frozen=True, kw_only=True):
    """A channel, and how sending over it went."""

    name: str
    kind: str
    severity: str
    address: str
    rules: list[str]
    quiet: str | None
    quiet_until: float | None
    stands: ChannelStands | None


class ShownRule(Answer, frozen=True, kw_only=True):
    """A rule."""

    name: str
    kind: str
    after: Any
    severity: str
    plans: list[str]
    others: list[str]
    channels: list[str]


class AlertsPage(Answer, frozen=True, kw_only=True):
    """Alerts that are on, those that ended (newest first), channels and rules."""

    on: list[ShownAlert]
    ended: list[ShownAlert]
    next: int | None
    before: int | None
    channels: list[ShownChannel]
    rules: list[ShownRule]


class Connection(Answer, frozen=True, kw_only=True):
    """A connection, and the plans that read from it and write to it. Never a secret, nor where it is kept. `expires`:
    when its fixed token runs out (epoch seconds), where that is known."""

    name: str
    connector: str
    address: str
    limits: dict[str, Any]
    expires: float | None
    reads: list[str]
    writes: list[str]


class ConnectionsPage(Answer, frozen=True, kw_only=True):
    """What `noria.toml` connects to."""

    connections: list[Connection]


class AuditPage(Answer, frozen=True, kw_only=True):
    """Who changed what, newest first; `next`: what to ask `before` for the page that follows."""

    changes: list[Change]
    next: int | None


class Done(Answer, frozen=True, kw_only=True):
    """An act that was done, and with which plan."""

    done: str
    plan: str | None


class Tested(Done, frozen=True, kw_only=True):
    """A connection that was tried: how many records its first page holds, or why it can't be read."""

    connection: str
    count: int | None = None
    reason: str | None = None


class Replayed(Done, frozen=True, kw_only=True):
    """Records that are to be sent again: how many."""

    id: str | None
    state: str | None
    cause: str | None
    count: int


class Decided(Done, frozen=True, kw_only=True):
    """What somebody decided about a record, and of how many the document is."""

    id: str | None
    seq: int
    count: int


class Restored(Done, frozen=True, kw_only=True):
    """A version that is the plan's file again."""

    version: int


class Saved(Done, frozen=True, kw_only=True):
    """A plan that was saved. `base`: the digest of its file now."""

    note: str
    new: bool
    base: str


class TokenMade(Done, frozen=True, kw_only=True):
    """A new token: `token` is shown here and never again."""

    name: str
    role: str
    expires_at: float | None
    token: str


class TokensPage(Answer, frozen=True, kw_only=True):
    """Tokens, newest first; `made`: the one that was just made."""

    tokens: list[Token]
    next: int | None
    made: TokenMade | None = None


class Revoked(Done, frozen=True, kw_only=True):
    """A token that is refused from now on."""

    name: str


class SettingShown(Answer, frozen=True, kw_only=True):
    """A connection's setting in the form; of a secret only whether it is one."""

    name: str
    value: str
    secret: bool


class ConnectionPage(Answer, frozen=True, kw_only=True):
    """A connection in the form: what is set, what is wrong, what a test said."""

    name: str
    new: bool
    base: str
    connector: str
    problems: list[Finding]
    fields: list[SettingShown]
    said: list[str]


class Connected(Done, frozen=True, kw_only=True):
    """A connection that was written or removed; `secrets`: which of its settings were kept as such."""

    connection: str
    connector: str
    secrets: list[str]


class Cancelled(Done, frozen=True, kw_only=True):
    """A run that was asked to stop."""

    run: int


class Windowed(Done, frozen=True, kw_only=True):
    """A window that will be reconciled or read again (epoch seconds; `from` null: everything)."""

    begin: float | None = msgspec.field(name="from")
    to: float


class DoneToMany(Done, frozen=True, kw_only=True):
    """What was done with records, and with how many."""

    count: int


class Acknowledged(Done, frozen=True, kw_only=True):
    """An alert that somebody has seen."""

    connection: str
    rule: str
    alert: int


class ChannelTested(Done, frozen=True, kw_only=True):
    """A channel that was tried; `reason`: why it can't be used."""

    connection: str
    reason: str | None = None
