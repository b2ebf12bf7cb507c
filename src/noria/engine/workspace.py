"""What every run of a project shares: its plans, its ledger, its open connections, its clock."""

from __future__ import annotations

from typing import Any

import msgspec

from noria.connectors import Connection, open_connection
from noria.connectors.keeping import Keeper
from noria.ledger import Ledger, ledger_of
from noria.ledger.places import SharedPlaces
from noria.messages import Message
from noria.metadata.check import check_plan, lookups_in
from noria.metadata.clock import Clock, SystemClock
from noria.metadata.errors import InvalidDocument, NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import Project
from noria.metadata.secrets import Redactor
from noria.monitoring.progress import Observer, Silent


class Workspace:
    """A project that is open. Use as an async context manager."""

    def __init__(
        self,
        project: Project,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
        redactor: Redactor | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.project = project
        self.clock = clock or SystemClock()
        self.observer = observer or Silent()
        self.redactor = redactor or Redactor()
        self._ledger = ledger
        self._connections: dict[tuple[str, bytes], Connection] = {}

    @property
    def ledger(self) -> Ledger:
        """The project's ledger, opened when first asked for."""
        if self._ledger is None:
            self._ledger = ledger_of(self.project)
            if isinstance(self.clock, SystemClock):
                self._ledger.store.synchronize(self.clock.now())
        return self._ledger

    def connection(self, plan: Plan, side: str) -> Connection:
        """The connection of a plan's side; plans with the same overrides share it, its token and its limits."""
        name = getattr(plan, side).connection
        overrides: dict[str, Any] = getattr(plan.options, side)
        table = self.project.connections.get(name)
        key = (name, msgspec.json.encode([table, overrides], order="deterministic", enc_hook=str))
        if key not in self._connections:
            self._connections[key] = open_connection(
                name,
                table,
                self.project.folder,
                overrides=overrides,
                redactor=self.redactor,
                clock=self.clock,
                known=list(self.project.connections),
                places=self._places(),
                keeper=self.keeper,
            )
        return self._connections[key]

    @property
    def keeper(self) -> Keeper:
        """What connections remember beyond this process: in the ledger, which is opened when they first do."""
        return _InLedger(self)

    def _places(self) -> SharedPlaces | None:
        """The rate limits of all processes, where the ledger is one that processes share."""
        if self.project.ledger.url.startswith("sqlite"):
            return None
        return SharedPlaces(self.ledger.store, self.clock.now)

    def taken(self) -> dict[str, tuple[int, float]]:
        """How many places of each rate limit requests of this process have taken, and for how many seconds its server
        holds everybody; nothing where processes share the limits (see `SharedPlaces.taken`)."""
        found: dict[str, tuple[int, float]] = {}
        for connection in self._connections.values():
            gate = connection.transport.gate
            counted = {name: (count, 0.0) for name, count in gate.taken().items()}
            if seconds := gate.held():
                counted[gate.name] = (0, seconds)
            # Plans that lay other settings over a connection have limits of their own.
            for name, (count, seconds) in counted.items():
                before = found.get(name, (0, 0.0))
                found[name] = (max(count, before[0]), max(seconds, before[1]))
        return found

    def plan_of(self, reference: str) -> Plan:
        """The plan that a look-up means; raises `NoriaError` when there is none."""
        for plan in self.project.plans()[0]:
            if plan.answers_to(reference):
                return plan
        message = Message("check.lookup_plan", {"plan": reference})
        raise NoriaError("unknown_plan", message, hint=Message("plan.unknown_hint"))

    def checked(self, plan: Plan) -> Plan:
        """The plan, when nothing in it is wrong; raises `InvalidDocument` with every error."""
        # Only a plan that looks into others, or hands over to one, needs to know them all.
        alone = not any(lookups_in(plan)) and not plan.target.metadata.callBackStrategy
        others = () if alone else self.project.plans()[0]
        found = [problem for problem in check_plan(plan, others) if problem.severity == "error"]
        if found:
            raise InvalidDocument(found)
        return plan

    async def close(self) -> None:
        """Close connections and ledger."""
        for connection in self._connections.values():
            await connection.close()
        if self._ledger is not None:
            self._ledger.close()

    async def __aenter__(self) -> Workspace:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _InLedger:
    """A workspace's ledger as what connections remember with."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def of(self, name: str) -> bytes | None:
        """What is kept under a name."""
        return self.workspace.ledger.memories.of(name)

    def keep(self, name: str, sealed: bytes) -> None:
        """Keep this, whatever was kept before."""
        self.workspace.ledger.memories.keep(name, sealed)
