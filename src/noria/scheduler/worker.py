"""A worker: one of many processes that run a project's plans, with PostgreSQL between them.

What is wanted stands in the ledger. Whoever looks at the schedules puts a job for each plan that has something to do
into pgqueuer's queue; any worker takes it, and another takes it over when its heartbeat stops. A job says no more than
"see to this plan": what there is to do, and where it was left, the ledger says. So a job that comes twice, or for
nothing, does no harm, and one that is lost is put in again.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.errors import PgqException, RetryRequested
from pgqueuer.domain.models import Job as QueuedJob

from noria import __version__
from noria.engine import Finished, Workspace
from noria.ledger.postgres import PostgresStore
from noria.ledger.processes import owner
from noria.messages import Message
from noria.metadata.clock import sleep_unless
from noria.metadata.errors import NoriaError
from noria.scheduler.loop import TICK_SECONDS
from noria.scheduler.runner import Runner

# A job whose worker has not been heard of for this long is taken over.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)
# How often each worker says that it is there, in seconds.
SEEN_SECONDS = 2.0
# How often a worker with time to spare looks whether another offers it a share of a plan's work, in seconds.
_LOOK_SECONDS = 1.0
# A plan that stays wanted is put into the queue again after this long, should its job have been lost; in seconds.
_PUT_AGAIN = 15.0
# A plan that another process has is looked at again after this long.
_BUSY = timedelta(seconds=2)
_ENTRY = "plan"
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error, PgqException)


class Worker:
    """Takes part in running a project's plans until `stop` is set. `concurrency`: runs at once."""

    def __init__(
        self,
        workspace: Workspace,
        stop: asyncio.Event,
        finished: Callable[[Finished], None] = lambda _: None,
        *,
        concurrency: int = 20,
    ) -> None:
        self.workspace = workspace
        self.stop = stop
        self.concurrency = concurrency
        self.runner = Runner(workspace, stop, finished)
        self.name = owner()
        self._running: set[str] = set()
        self._assisting: dict[str, asyncio.Task[None]] = {}
        self._put: dict[str, float] = {}

    async def run(self) -> None:
        """Work until asked to stop; what is under way then is ended in order, what is not done is left to others. A
        database that is lost is waited for."""
        pause = 0.5
        while not self.stop.is_set():
            try:
                await self._session()
            except* (*_LOST, NoriaError) as group:
                self.runner.complain("", _first(group))
                await sleep_unless(self.stop, self.workspace.clock, pause)
                pause = min(pause * 2, 5.0)
            except* Exception as group:  # noqa: BLE001 - told, with its traceback
                # A defect, here or in the queue: it must not end the worker, nor go unsaid.
                traceback.print_exception(group)
                await sleep_unless(self.stop, self.workspace.clock, pause)
                pause = min(pause * 2, 5.0)
            else:
                pause = 0.5

    async def _session(self) -> None:
        """As long as the connection to the database holds."""
        store = self.workspace.ledger.store
        assert isinstance(store, PostgresStore)
        store.synchronize(self.workspace.clock.now())
        async with asyncpg.create_pool(
            dsn_of(store), min_size=2, max_size=4, command_timeout=10, timeout=5, max_inactive_connection_lifetime=60
        ) as pool:
            queue = PgQueuer(AsyncpgPoolDriver(pool))
            queries = queue.queries
            assert isinstance(queries, Queries)
            await install(pool, queries)
            queue.entrypoint(_ENTRY)(self._job)
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(one) for one in (self._lead(queries), self._be_seen(), self._assist())]
                watching = group.create_task(self._watch(queue))
                try:
                    await queue.qm.run(
                        dequeue_timeout=timedelta(seconds=TICK_SECONDS),
                        # Few at a time, so that what becomes due at once spreads over all workers.
                        batch_size=min(4, self.concurrency // 2),
                        max_concurrent_tasks=max(2, self.concurrency),
                        shutdown_on_listener_failure=True,
                        heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    )
                finally:
                    for task in (*beside, watching):
                        task.cancel()
            await self.runner.alerting.idle()
            self._leave()

    async def _watch(self, queue: PgQueuer) -> None:
        await self.stop.wait()
        queue.shutdown.set()

    async def _job(self, job: QueuedJob) -> None:
        """See to a plan."""
        key = (job.payload or b"").decode()
        self._running.add(key)
        try:
            done = await self.runner.run(key)
        finally:
            self._running.discard(key)
        if not done:
            raise RetryRequested(delay=timedelta(0) if self.stop.is_set() else _BUSY)

    async def _assist(self) -> None:
        """Take shares of plans' work that other workers offer, as long as there is nothing else to do."""
        assists, clock = self.workspace.ledger.assists, self.workspace.clock
        try:
            while not self.stop.is_set():
                self._assisting = {key: task for key, task in self._assisting.items() if not task.done()}
                for key in assists.offered(clock.now()):
                    spare = self.concurrency - len(self._running) - len(self._assisting)
                    if spare > 0 and key not in self._assisting:
                        self._assisting[key] = asyncio.create_task(self.runner.assist(key))
                await sleep_unless(self.stop, clock, _LOOK_SECONDS)
        finally:
            # Each ends in order when the worker is to stop.
            await asyncio.gather(*self._assisting.values())

    async def _lead(self, queries: Queries) -> None:
        """Look at the schedules as long as nobody else does, and put plans that have something to do into the queue."""
        clock = self.workspace.clock
        while True:
            now = self.runner.look(clock.now())
            if now is None:
                self._put.clear()
            else:
                await self._enqueue(queries, now)
            await asyncio.sleep(TICK_SECONDS)

    async def _enqueue(self, queries: Queries, now: float) -> None:
        wanted = {one.plan: one.since for one in self.workspace.ledger.agenda.wanted()}
        self._put = {key: at for key, at in self._put.items() if key in wanted}
        fresh = [
            key
            for key, since in wanted.items()
            if since > self._put.get(key, float("-inf")) or now - self._put[key] > _PUT_AGAIN
        ]
        if fresh:
            await queries.enqueue(
                [_ENTRY] * len(fresh),
                [key.encode() for key in fresh],
                [0] * len(fresh),
                dedupe_key=[f"plan:{key}" for key in fresh],
                on_conflict="skip",
            )
            self._put.update(dict.fromkeys(fresh, now))

    async def _be_seen(self) -> None:
        """Say that this worker is there."""
        agenda, clock, started = self.workspace.ledger.agenda, self.workspace.clock, self.workspace.clock.now()
        while True:
            # Clocks are set, and drift.
            self.workspace.ledger.store.synchronize(clock.now())
            agenda.seen(self.name, __version__, started, clock.now(), len(self._running), self.stop.is_set())
            await asyncio.sleep(SEEN_SECONDS)

    def _leave(self) -> None:
        agenda = self.workspace.ledger.agenda
        agenda.resign()
        agenda.gone(self.name)


async def install(pool: asyncpg.Pool, queries: Queries) -> None:
    """Make the queue's tables, or bring them up to date; one process at a time."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('noria.queue'))")
        if not await queries.schema_is_installed():
            await queries.install()
        else:
            await queries.upgrade()


def dsn_of(store: PostgresStore) -> str:
    """The ledger's address as asyncpg takes it."""
    return store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def _first(group: BaseExceptionGroup[BaseException]) -> Exception:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    if isinstance(found, NoriaError):
        return found
    return NoriaError("ledger", Message("ledger.unusable", {"reason": str(found) or type(found).__name__}))
