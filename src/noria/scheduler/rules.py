"""What the rules find at a moment: each alert that should be on then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from cronsim import CronSimError

from noria.engine import Workspace
from noria.engine.expiry import expiries
from noria.ledger import Ledger
from noria.ledger.vitals import MOST, Asked
from noria.messages import Message
from noria.metadata.alerts import Ruling, rulings
from noria.metadata.plan import Plan
from noria.scheduler.crontab import last_fire, next_fire

# Clocks of machines may differ by less than this, in seconds.
_CLOCKS = 120.0
# Who has not looked for so long, in seconds, begins anew: what was missed meanwhile is about to be made up for.
_GAP = 300.0
# Tokens are looked at again after so long, in seconds, or when `noria.toml` has changed.
_TOKENS = 60.0


class Found(NamedTuple):
    """What a rule finds of a subject (a plan's key, a connection's name)."""

    rule: Ruling
    subject: str
    what: Message


class Rules:
    """Looks at a project by its rules; remembers between looks what saves a query."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.rulings: list[Ruling] = []
        # Since when this process has looked, and when it did last.
        self._looking = (float("-inf"), float("-inf"))
        # By crontab, zone and patience: the last time that is past it, and up to when that is so.
        self._due: dict[tuple[str, str, float], tuple[float, float]] = {}
        # By plan when its newest record came, as far as was asked.
        self._received: dict[str, float] = {}
        self._expiries: tuple[dict[str, Any], float, dict[str, float]] | None = None

    def look(self, plans: Sequence[Plan], now: float) -> list[Found]:
        """What they find at `now` (epoch seconds) of these plans, as far as they are enabled."""
        self.rulings = rulings(self.workspace.project.alerts)
        since, last = self._looking
        self._looking = (since if last <= now <= last + _GAP else now, now)
        enabled = {plan.key: plan for plan in plans if plan.enabled}
        ledger = self.workspace.ledger
        kinds: dict[str, Callable[[list[Ruling], dict[str, Plan], Ledger, float], Iterator[Found]]] = {
            "failures": _failures,
            "dead": _dead,
            "lag": self._lag,
            "silence": self._silence,
            "token": self._tokens,
            "reconciliation": _reconciliation,
        }
        found: list[Found] = []
        for kind, look in kinds.items():
            chosen = [one for one in self.rulings if one.kind == kind]
            if chosen:
                found += look(chosen, enabled, ledger, now)
        return found

    def patient(self, one: Found, now: float) -> bool:
        """Whether something has been found for long enough to begin an alert: a plan is behind its schedule only after
        somebody has looked at that for as long as it may be."""
        return one.rule.kind != "lag" or now - self._looking[0] >= one.rule.after

    def _lag(self, chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
        """Plans whose schedule asked for a read that has not been done, or whose stages nobody runs."""
        scheduled, read = ledger.vitals.scheduled(), ledger.vitals.read()
        asked: dict[str, Asked] = {}
        for one in ledger.vitals.asked(now):
            asked.setdefault(one.plan, one)
        for rule in chosen:
            for key, plan in plans.items():
                if not rule.concerns(key):
                    continue
                since, whole = scheduled.get(key), read.get(key)
                due = self._due_before(plan, rule.after, now) if since is not None else None
                waits = asked.get(key)
                if since is not None and due is not None and due >= since and (whole or 0) < due - _CLOCKS:
                    values = {"due_at": due} if whole is None else {"due_at": due, "read_at": whole}
                    yield Found(rule, key, Message("alert.lag_never" if whole is None else "alert.lag", values))
                elif waits is not None and waits.first <= now - rule.after:
                    asked_for = {"stage": Message(f"alert.stage_{waits.stage}"), "since_at": waits.first}
                    yield Found(rule, key, Message("alert.lag_asked", asked_for))

    def _due_before(self, plan: Plan, after: float, now: float) -> float | None:
        """The last time of a plan's schedule that is `after` seconds past."""
        if plan.schedule is None:
            return None
        try:
            tz = plan.zone
            key = (plan.schedule, tz.key, after)
            last, until = self._due.get(key, (0.0, 0.0))
            if not last <= now - after < until:
                last = last_fire(plan.schedule, now - after, tz)
                self._due[key] = (last, next_fire(plan.schedule, now - after, tz))
        except (ValueError, CronSimError, StopIteration):
            return None  # the timetable complains of it
        return last

    def _silence(self, chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
        for rule in chosen:
            keys = [key for key in plans if rule.concerns(key)]
            old = [key for key in keys if self._received.get(key, float("-inf")) <= now - rule.after]
            self._received.update(ledger.vitals.received(old))
            for key in old:
                last = self._received.get(key)
                if last is not None and last <= now - rule.after:
                    yield Found(rule, key, Message("alert.silence", {"since_at": last}))

    def _tokens(self, chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
        project, known = self.workspace.project, self._expiries
        if known is None or known[0] != project.connections or not 0 <= now - known[1] < _TOKENS:
            known = self._expiries = (project.connections, now, expiries(project, self.workspace.redactor))
        for rule in chosen:
            used = {
                side.connection
                for key, plan in plans.items()
                if rule.concerns(key)
                for side in (plan.source, plan.target)
            }
            for name, at in known[2].items():
                if name in used and at <= now + rule.after:
                    key = "alert.token" if at > now else "alert.token_over"
                    yield Found(rule, name, Message(key, {"expires_at": at}))


def _failures(chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
    failing = ledger.vitals.failing()
    for rule in chosen:
        seen: set[str] = set()
        # Of several kinds of runs the one that failed most often.
        for one in failing:
            if one.runs >= rule.after and one.plan in plans and rule.concerns(one.plan) and one.plan not in seen:
                seen.add(one.plan)
                values = {
                    "count": one.runs,
                    "kind": Message(f"run.kind_{one.kind}"),
                    "since_at": one.since,
                    "reason": one.error or Message("console.no_reason"),
                }
                yield Found(rule, one.plan, Message("alert.failures", values))


def _dead(chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
    for rule in chosen:
        for key, counts in ledger.vitals.troubled(rule.states, int(rule.after)).items():
            if key in plans and rule.concerns(key):
                count = sum(counts.values())
                capped = any(one >= MOST for one in counts.values())
                yield Found(rule, key, Message("alert.dead", {"count": f"{count}+" if capped else str(count)}))


def _reconciliation(chosen: list[Ruling], plans: dict[str, Plan], ledger: Ledger, now: float) -> Iterator[Found]:
    for rule in chosen:
        for key, count, at in ledger.vitals.differing(int(rule.after)):
            if key in plans and rule.concerns(key):
                yield Found(rule, key, Message("alert.reconciliation", {"count": count, "found_at": at}))
