"""An account that does not stand still: rows come, change and go between the requests of whoever reads them. Seeded."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from noria.simulators.okki_data import Account
from noria.simulators.okki_rows import key_of
from noria.simulators.wire import shown

# insert: a new row; late: one that is saved now with an older time; untimed: one without a time, which no query by time
# ever returns; burst: several in the same second; update; silent: an update that does not touch the time; delete.
KINDS = ("insert", "late", "untimed", "burst", "update", "silent", "delete")


class Motion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a list moves: before a request for it, with probability `rate`, one change of these kinds is made, `times` in
    all. `order`: how the list is sorted meanwhile, "newest" or "oldest" first; "" as it was made."""

    name: str = msgspec.field(name="list", default="companies")
    seed: int = 1
    rate: float = 0.5
    times: int = 20
    kinds: list[str] = msgspec.field(default_factory=lambda: list(KINDS))
    order: str = ""


class Mover:
    """Moves an account's lists while they are asked for."""

    def __init__(self, account: Account, now: Callable[[], float]) -> None:
        self.account = account
        self.now = now
        self._motions: list[tuple[Motion, random.Random]] = []

    def set(self, motion: Motion) -> None:
        """Begin to move; raises `ValueError` for an unknown kind or list."""
        unknown = set(motion.kinds) - set(KINDS)
        if unknown or motion.name not in ("companies", "orders", "leads"):
            raise ValueError(f"unknown: {', '.join(sorted(unknown)) or motion.name}; kinds: {', '.join(KINDS)}")
        self.account.order[motion.name] = motion.order
        self._motions = [one for one in self._motions if one[0].name != motion.name]
        self._motions.append((motion, random.Random(motion.seed)))

    def asked(self, name: str) -> None:
        """A list is about to be read."""
        for motion, chance in self._motions:
            if motion.name == name and motion.times > 0 and chance.random() < motion.rate:
                motion.times -= 1
                self.change(name, chance.choice(motion.kinds), chance)

    def change(self, name: str, kind: str, chance: random.Random) -> None:
        """Make one change."""
        now = shown(self.now())
        if kind in ("insert", "late", "untimed", "burst"):
            times = {"late": shown(self.now() - chance.randrange(3_600, 2 * 86_400)), "untimed": None}
            moment = times.get(kind, now)
            for _ in range(chance.randrange(2, 5) if kind == "burst" else 1):
                fields = dict.fromkeys(("create_time", "update_time", "edit_time"), moment)
                self.account.mutate("insert", name, None, fields, now)
            return
        rows = self.account.rows(name)
        if not rows:
            return
        row = chance.choice(rows)
        row_id = row[key_of(name)]
        if kind == "delete":
            self.account.mutate("delete", name, row_id, {}, now)
            return
        changed: dict[str, object] = {"name": f"{row['name']}~{len(self.account.journal)}"}
        if kind == "update":
            changed |= {"update_time": now, "edit_time": now}
        self.account.mutate("update", name, row_id, changed, now)
