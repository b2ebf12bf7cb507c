"""Fail-points: the steps of a run at which it can be made to die. A step is a ledger statement, the begin or end of a
transaction, the moment before a request leaves, the moment after its answer came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from noria.connectors.transport import Transport
from noria.ledger.store import Store, Transaction


class Killed(BaseException):
    """The process is gone, as far as the test goes."""


class Steps:
    """Counts the steps of everything that uses a ledger or the network; calls `die` at step number `fatal`."""

    def __init__(self, die: Callable[[], None]) -> None:
        self.die = die
        self.count = 0
        self.fatal = -1

    def step(self) -> None:
        """One step."""
        self.count += 1
        if self.count == self.fatal:
            self.die()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Put a step into every place."""
        for name in ("run", "many"):
            patch.setattr(Transaction, name, self._before(getattr(Transaction, name)))
        patch.setattr(Transport, "raw", self._around(Transport.raw))
        opened, step = Store.__init__, self.step

        def opening(store: Store, engine: Any) -> None:
            opened(store, engine)
            store._writing = _Commits(store._writing, step)

        patch.setattr(Store, "__init__", opening)

    def _before(self, method: Any) -> Any:
        def called(own: Any, *args: Any, **kwargs: Any) -> Any:
            self.step()
            return method(own, *args, **kwargs)

        return called

    def _around(self, method: Any) -> Any:
        async def waited(own: Any, *args: Any, **kwargs: Any) -> Any:
            self.step()
            result = await method(own, *args, **kwargs)
            self.step()
            return result

        return waited


class DyingSteps(Steps):
    """Steps that die inside this process: from the fatal one on nothing reaches the ledger or the network any more,
    whatever the code does on its way out."""

    def __init__(self) -> None:
        self.dead = False

        def die() -> None:
            self.dead = True

        super().__init__(die)

    def step(self) -> None:
        super().step()
        if self.dead:
            raise Killed

    def arm(self, after: int | None) -> None:
        """Live again; die at the step number `after` from now on (None: never)."""
        self.dead = False
        self.fatal = -1 if after is None else self.count + after


class _Commits:
    """The writing connection, with a step before and after each statement that begins or ends a transaction."""

    def __init__(self, connection: Any, step: Callable[[], None]) -> None:
        self._connection = connection
        self._step = step

    def execute(self, statement: str, *args: Any) -> Any:
        if statement == "ROLLBACK":
            return self._connection.execute(statement, *args)
        self._step()
        result = self._connection.execute(statement, *args)
        self._step()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
