"""Which stages of which plans are due: crontabs in their zones, retries whose time has come.

Up to when a schedule has been seen to is kept in the ledger, so that times that passed while nobody looked are made up
for once, and only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from cronsim import CronSimError

from noria.engine.sweep import sweep_schedule
from noria.ledger.agenda import Agenda, Fire
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.times import DEFAULT_ZONE
from noria.scheduler.crontab import next_fire

# What belongs to no plan: letting go of what is no longer kept, in the small hours.
PRUNE = ("", "prune")
_PRUNES = "40 4 * * *"
# Clocks of machines may differ by less than this, in seconds; one that is further back was set back.
_SET_BACK = 120.0


class Timetable:
    """Looks at every plan's times. `complain` is told of a plan whose times can't be understood."""

    def __init__(self, agenda: Agenda, complain: Callable[[str, Exception], None]) -> None:
        self.agenda = agenda
        self.complain = complain
        # By plan and side: the crontab with its zone, up to when it was seen to, its next time.
        self._known: dict[tuple[str, str], tuple[str, float, float]] = {}
        self._fires: list[Fire] = []
        self._loaded = False

    def forget(self) -> None:
        """Another process has looked at the schedules meanwhile."""
        self._known.clear()
        self._loaded = False

    def tick(self, plans: Iterable[Plan], now: float, unreadable: Iterable[str] = ()) -> list[tuple[str, str]]:
        """Note what is due at `now` (epoch seconds) as wanted; gives the (plan, stage) pairs. `unreadable`: plans whose
        files can't be read now, which are left as they are."""
        self._load()
        self._fires = []
        due: list[tuple[str, str]] = []
        enabled: set[str] = {"", *unreadable}
        if self._fired("", "prune", _PRUNES, now, DEFAULT_ZONE):
            due.append(PRUNE)
        retries = set(self.agenda.retries_due(now))
        for plan in plans:
            if not plan.enabled:
                continue
            enabled.add(plan.key)
            due += [(plan.key, stage) for stage in sorted(self._due(plan, now))]
            if plan.key in retries and (plan.key, "deliver") not in due[-3:]:
                due.append((plan.key, "deliver"))
        self._leave_out(enabled, now)
        if due or self._fires:
            try:
                self.agenda.want(due, now, self._fires)
            except NoriaError:
                # Nothing was noted, so nothing has been seen to.
                self.forget()
                raise
        return due

    def _load(self) -> None:
        if self._loaded:
            return
        for fire in self.agenda.fires():
            self._known[fire.plan, fire.side] = (fire.crontab, fire.seen_to, _UNKNOWN)
        self._loaded = True

    def _due(self, plan: Plan, now: float) -> set[str]:
        """What of a plan its crontabs ask for. Without a crontab of its own delivery follows the source."""
        due = set()
        try:
            tz = plan.zone
            if self._fired(plan.key, "source", plan.schedule, now, tz):
                due |= {"extract"} if plan.target_schedule is not None else {"extract", "deliver"}
            if self._fired(plan.key, "target", plan.target_schedule, now, tz):
                due.add("deliver")
            if self._fired(plan.key, "sweep", sweep_schedule(plan), now, tz):
                due.add("sweep")
        except (ValueError, CronSimError) as error:
            self.complain(plan.key, error)
        return due

    def _fired(self, key: str, side: str, crontab: str | None, now: float, tz: ZoneInfo) -> bool:
        """Whether a crontab's time has come since it was seen to; several missed ones count as one."""
        if crontab is None:
            return False
        text = f"{crontab} {tz.key}"
        known, seen_to, due = self._known.get((key, side), ("", 0.0, 0.0))
        if known != text or now < seen_to - _SET_BACK:
            # New, changed, or the clock was set back: from now on.
            self._see_to(key, side, crontab, text, now, tz)
            return False
        if due == _UNKNOWN:
            due = next_fire(crontab, seen_to, tz)
            self._known[key, side] = (text, seen_to, due)
        if now < due:
            return False
        self._see_to(key, side, crontab, text, now, tz)
        return True

    def _see_to(self, key: str, side: str, crontab: str, text: str, now: float, tz: ZoneInfo) -> None:
        self._known[key, side] = (text, now, next_fire(crontab, now, tz))
        self._fires.append(Fire(key, side, text, now))

    def _leave_out(self, enabled: set[str], now: float) -> None:
        """Plans that are gone or paused: when they come back, nothing of the time between is made up for."""
        for (key, side), (text, _, _) in list(self._known.items()):
            if key not in enabled and text:
                self._known[key, side] = ("", now, 0.0)
                self._fires.append(Fire(key, side, "", now))
        gone = [one for one in self.agenda.wanted() if one.plan not in enabled]
        if gone:
            self.agenda.done(gone)


_UNKNOWN = -1.0
