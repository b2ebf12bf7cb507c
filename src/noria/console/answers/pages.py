"""What the other pages answer with."""

from __future__ import annotations

from typing import Any, TypedDict

from noria.connectors.limits import Use
from noria.console.answers.acts import TokenMade
from noria.console.answers.alerts import ShownAlert, ShownRule
from noria.console.answers.base import Answer, Finding, Problem
from noria.console.diffs import Line
from noria.engine.sampling import SampleField
from noria.ledger.agenda import Present
from noria.ledger.audit import Change
from noria.ledger.browsing import Cause, Mishap, RunStands
from noria.ledger.overview import PlanStands
from noria.ledger.planversions import PlanVersion
from noria.ledger.tallies import Tally
from noria.ledger.tokens import Token
from noria.scheduler.coming import Coming


class OverviewPage(Answer, frozen=True, kw_only=True):
    """How everything stands. `waiting`: records in trouble by plan; `failed`: plans whose last run failed; `broken`:
    what is wrong with the files of plans that can't be read; `lost`: workers that are silent; `queue`: plans that have
    something to do; `hours`: records delivered by the hour (epoch seconds / 3600); `coming`: runs that schedules have
    next; `alerts`: what is wrong with what."""

    plans: list[PlanStands]
    plan_count: int
    waiting: dict[str, int]
    failed: list[str]
    broken: list[Problem]
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
    times, alerts about it and its connections (that are on; that are over, and the rules, where these were asked for),
    and its documents as written."""

    plan: ShownPlan
    tab: str
    counts: dict[str, int]
    runs: list[RunStands]
    span: tuple[float, float]
    hours: list[tuple[int, int]]
    causes: list[Cause]
    mapping: list[dict[str, Any]]
    times: list[Times]
    alerts: list[ShownAlert]
    alerts_over: list[ShownAlert]
    rules: list[ShownRule]
    zone: str
    source: dict[str, Any]
    target: dict[str, Any]


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


class Connection(Answer, frozen=True, kw_only=True):
    """A connection, and the plans that read from it and write to it. Never a secret, nor where it is kept. `limits`: as
    they are written; `uses`: every limit that counts, and how far it is used now; `held_until`: until when its server
    takes nothing; `expires`: when its fixed token runs out (epoch seconds), where that is known."""

    name: str
    connector: str
    address: str
    limits: dict[str, Any]
    uses: list[Use]
    held_until: float | None
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


class TokensPage(Answer, frozen=True, kw_only=True):
    """Tokens, newest first; `made`: the one that was just made."""

    tokens: list[Token]
    next: int | None
    made: TokenMade | None = None


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
