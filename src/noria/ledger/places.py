"""Rate limits that hold over all processes: places to send requests in, kept in the ledger's database.

A limit of so many requests a second is so many places, each of which is taken for a request and free again a second
after its answer came: whenever the server has counted the request in between, it never counts more in any second.
"""

from __future__ import annotations

from collections.abc import Callable

from noria.ledger.store import Store

# What the clocks of two processes may differ by, although both are set against the database's, in seconds.
_MARGIN = 0.005
_TAKE = (
    "UPDATE places SET free_at = CAST(:until AS DOUBLE PRECISION) WHERE name = :name AND number = ("
    " SELECT number FROM places WHERE name = :name AND number >= 0 AND free_at <= :now"
    " ORDER BY free_at, number LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING number, free_at"
)
_WAIT = "SELECT MIN(free_at) FROM places WHERE name = :name AND number >= 0"
_GIVE = "UPDATE places SET free_at = :free_at WHERE name = :name AND number = :number AND free_at = :token"
# A hold is kept as a place with a number below any other's.
_HOLD = (
    "INSERT INTO places (name, number, free_at) VALUES (:name, -1, :until) ON CONFLICT (name, number)"
    " DO UPDATE SET free_at = GREATEST(places.free_at, excluded.free_at)"
)
_TAKEN = (
    "SELECT name, COUNT(CASE WHEN number >= 0 THEN 1 END), COALESCE(MAX(CASE WHEN number < 0 THEN free_at END), :now)"
    " FROM places WHERE free_at > :now GROUP BY name"
)
_HELD = "SELECT free_at FROM places WHERE name = :name AND number = -1"


class SharedPlaces:
    """The places of every connection's limits, shared by all processes on one PostgreSQL ledger. `clock`: epoch seconds
    by this machine's clock."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.store = store
        self.clock = clock

    def _now(self) -> float:
        return self.clock() + self.store.ahead

    def open(self, name: str, count: int) -> None:
        """Make so many places where there are fewer, and let go of those beyond."""
        with self.store.transaction() as c:
            c.run(
                "INSERT INTO places (name, number, free_at) SELECT :name, n, 0 FROM generate_series(0, :last) n"
                " ON CONFLICT DO NOTHING",
                {"name": name, "last": count - 1},
            )
            c.run("DELETE FROM places WHERE name = :name AND number >= :count", {"name": name, "count": count})

    def take(self, name: str, most: float) -> tuple[int, float] | None:
        """Take a free place, for `most` seconds if it is never given back: its number and what gives it back; None
        where none is free."""
        with self.store.transaction() as c:
            now = self._now()
            found = c.run(_TAKE, {"name": name, "now": now, "until": now + most}).fetchall()
        return (int(found[0][0]), float(found[0][1])) if found else None

    def wait(self, name: str) -> float:
        """Seconds until a place is free."""
        found = self.store.tuples(_WAIT, name=name)[0][0]
        return 0.0 if found is None else max(0.0, float(found) - self._now())

    def give(self, name: str, taken: tuple[int, float], window: float) -> None:
        """Give a place back, which is free `window` seconds from now."""
        with self.store.transaction() as c:
            free_at = self._now() + (window + _MARGIN if window else 0.0)
            c.run(_GIVE, {"name": name, "number": taken[0], "token": taken[1], "free_at": free_at})

    def taken(self) -> dict[str, tuple[int, float]]:
        """How many places of each name are taken, and for how many seconds nobody may send. What is free is left
        out."""
        now = self._now()
        found = self.store.tuples(_TAKEN, now=now)
        return {str(name): (int(count), float(until) - now) for name, count, until in found}

    def hold(self, name: str, seconds: float) -> None:
        """Nobody sends before so many seconds from now."""
        with self.store.transaction() as c:
            c.run(_HOLD, {"name": name, "until": self._now() + seconds})

    def held(self, name: str) -> float:
        """For how many seconds nobody may send; 0 or less when anybody may."""
        found = self.store.tuples(_HELD, name=name)
        return float(found[0][0]) - self._now() if found else 0.0
