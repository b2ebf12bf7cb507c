"""The contract that every connector keeps with the system it speaks to.

A test module names its simulated system, and passes every test by name:

    class TestMine(ConnectorContract):
        connector = "mine"

        def system(self, clock: FakeClock) -> System:
            simulator = Mine(now=clock.now, clock=clock.steady)
            return System(simulator=simulator, table=..., wrong=..., secrets=(...), reads=Reads(...))

Each test runs a whole plan against the simulated system over HTTP, on a clock that stands still unless somebody waits.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

import pytest

from noria.connectors.connection import merged
from noria.engine import Finished
from noria.metadata.clock import FakeClock
from noria.simulators.server import serve
from noria.testing.systems import Reads, System, Writes
from noria.testing.trial import Trial, giving, trial

_T = TypeVar("_T", bound=Callable[..., Any])
_READS, _WRITES, _TOKENS, _LIMITS = "reads", "writes", "expires", "limited"
# Records that are hard to keep: other scripts, what looks like markup, numbers that no float holds.
_HARD = ["ASCII", "部门 研发·一部", "😀 مرحبا", 'quo"te\\ <b>&amp;</b>', "́combining", "line\nbreak\ttab"]
# Digits that a 64-bit float does not hold.
_LONG = re.compile(r"\d{16,}|\d{14,}\.\d{2,}")
_BIG, _MONEY = 9_007_199_254_740_993, "12345678901234567.8901"


def _needs(*what: str) -> Callable[[_T], _T]:
    """A test of what not every system has."""

    def marked(test: _T) -> _T:
        test.needs = what  # type: ignore[attr-defined]
        return test

    return marked


class ConnectorContract(ABC):
    """See the module. A system that is not written to, or not read, or knows no tokens, leaves those tests out."""

    connector: ClassVar[str] = ""

    @abstractmethod
    def system(self, clock: FakeClock) -> System:
        """The system, simulated anew, on the clock of the test."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Leave out the tests of what the system does not have."""
        super().__init_subclass__(**kwargs)
        if cls.connector:
            has = cls().system(FakeClock())
            for name in contract_tests():
                if not all(attrgetter(one)(has) for one in getattr(getattr(cls, name), "needs", ())):
                    setattr(cls, name, None)

    # --- reading

    @_needs(_READS)
    async def test_every_row_is_read_and_as_it_came(self) -> None:
        """All pages, and of each row every digit and every character."""
        async with self._reading() as (system, reads, tried):
            assert (await tried.run()).status == "done"
            self._is_all_there(reads, tried)
            assert system.simulator.refused == [], system.simulator.refused

    @_needs(_READS)
    async def test_unicode_is_read_as_it_is(self) -> None:
        """Chinese, emoji and right-to-left texts."""
        async with self._reading() as (_, reads, tried):
            texts = "".join(json.dumps(json.loads(row), ensure_ascii=False) for row in reads.truth().values())
            assert any("\u4e00" <= one <= "\u9fff" for one in texts), "the system's own rows hold no Chinese"
            assert any(ord(one) > 0xFFFF for one in texts), "the system's own rows hold no emoji"
            await tried.run()
            self._is_all_there(reads, tried)

    @_needs(_READS)
    async def test_big_numbers_and_money_are_read_exactly(self) -> None:
        """Integers beyond 2**53, and decimals with all their digits: as text they are what came."""
        async with self._reading() as (_, reads, tried):
            assert any(_LONG.search(row) for row in reads.truth().values()), "no number is too long for a float"
            await tried.run()
            self._is_all_there(reads, tried)

    @_needs(_READS, "reads.grow")
    async def test_rows_that_come_while_a_list_is_read_are_not_lost(self) -> None:
        """Drift: new rows push others onto the next page, while pages are read and once more before the last."""
        grown: list[str] = []

        def answered(path: str) -> None:
            reads = self._now.reads
            if reads is not None and reads.grow is not None and path.startswith(reads.path) and len(grown) < 3:
                grown.append(path)
                reads.grow()

        async with self._reading(answered=answered) as (_, reads, tried):
            await tried.run()
            assert grown
            tried.clock.time += 3600
            await tried.run()
            assert set(tried.raws()) >= set(reads.truth())

    @_needs(_READS)
    @pytest.mark.parametrize("retry_after", [7, None])
    async def test_a_throttled_request_waits_and_is_sent_again(self, retry_after: int | None) -> None:
        """With the wait that the system asks for, and where it asks for none."""
        await self._in_spite_of({"kind": "throttle", "retry_after": retry_after}, waits=True)

    @_needs(_READS)
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_a_server_error_is_tried_again(self, status: int) -> None:
        """5xx, with a body that is no JSON."""
        await self._in_spite_of({"kind": "status", "status": status, "body": "<h1>Bad Gateway</h1>"})

    @_needs(_READS)
    @pytest.mark.parametrize("when", ["before", "middle"])
    async def test_a_cut_connection_is_tried_again(self, when: str) -> None:
        """Before anything came, and in the middle of an answer."""
        await self._in_spite_of({"kind": "cut", "when": when})

    @_needs(_READS)
    async def test_a_truncated_answer_is_no_answer(self) -> None:
        """Half a body with a length that fits it."""
        await self._in_spite_of({"kind": "truncate"})

    @_needs(_READS)
    @pytest.mark.parametrize("kind", ["html", "empty"])
    async def test_an_answer_that_is_no_json_is_tried_again(self, kind: str) -> None:
        """A maintenance page with HTTP 200, and an empty body."""
        await self._in_spite_of({"kind": kind})

    @_needs(_READS)
    async def test_a_business_error_inside_http_200_is_an_error(self) -> None:
        """It ends the run with the vendor's words; afterwards everything is read."""
        async with self._reading() as (system, reads, tried):
            code, message = system.business
            fault = {"kind": "business", "path": reads.path, "times": None, "code": code, "message": message}
            system.simulator.faults.add(fault)
            failed = await tried.run()
            assert failed.status == "failed" and message in str(failed.error), failed
            assert tried.records() == []
            system.simulator.faults.active.clear()
            assert (await tried.run()).status == "done"
            self._is_all_there(reads, tried)

    @_needs(_READS, _TOKENS)
    async def test_a_token_that_expires_in_the_middle_is_renewed(self) -> None:
        """Once, and the run goes on where it was."""
        async with self._reading() as (system, reads, tried):
            system.simulator.faults.add({"kind": "expire", "path": reads.path, "skip": 1})
            finished = await tried.run()
            assert finished.status == "done", str(finished.error)
            self._is_all_there(reads, tried)
            assert system.simulator.faults.active[0].fired == 1, "the list has no second request"

    @_needs(_READS)
    async def test_wrong_credentials_are_refused_and_never_shown(self) -> None:
        """The run fails, says why, and nothing that was typed is in it."""
        async with self._reading(wrong=True) as (system, _, tried):
            finished = await tried.run()
            assert finished.status == "failed" and tried.records() == []
            self._hides(system, finished, tried)

    @_needs(_READS)
    async def test_no_secret_shows_in_errors_or_in_the_ledger(self) -> None:
        """Nor a token that was given out."""
        for fault in ({"kind": "status", "status": 400}, {"kind": "html"}, {"kind": "business"}, {"kind": "cut"}):
            async with self._reading() as (system, reads, tried):
                system.simulator.faults.add({"path": reads.path, "times": None, **fault})
                finished = await tried.run()
                assert finished.status == "failed"
                self._hides(system, finished, tried)
                system.simulator.faults.active.clear()
                await tried.run()
                self._hides(system, finished, tried)

    @_needs(_READS, _LIMITS)
    async def test_the_systems_rate_limit_is_kept(self) -> None:
        """It never has to refuse a request for coming too soon."""
        async with self._reading() as (system, reads, tried):
            assert (await tried.run()).status == "done"
            assert system.limited is not None and system.limited() == 0
            self._is_all_there(reads, tried)

    # --- writing

    @_needs(_WRITES)
    async def test_every_record_is_written_once(self) -> None:
        """Each one, and none twice."""
        async with self._writing(7) as (system, writes, tried):
            finished = await tried.run()
            assert finished.status == "done", (str(finished.error), [one["reason"] for one in tried.records()])
            assert {key: times for key, (times, _) in writes.stored().items()} == {f"R{n}": 1 for n in range(7)}
            assert system.simulator.refused == [], system.simulator.refused

    @_needs(_WRITES)
    async def test_unicode_big_numbers_and_money_are_written_exactly(self) -> None:
        """What the system keeps is what the records had."""
        async with self._writing(len(_HARD)) as (_, writes, tried):
            await tried.run()
            kept = json.dumps([row for _, row in writes.stored().values()], ensure_ascii=False)
            for text in _HARD:
                assert json.dumps(text, ensure_ascii=False)[1:-1] in kept, text
            assert str(_BIG) in kept and _MONEY in kept

    @_needs(_WRITES, "writes.refuse")
    async def test_rows_that_are_refused_fail_alone(self) -> None:
        """The others of their batch are written; they have the system's own reason."""
        async with self._writing(6) as (_, writes, tried):
            assert writes.refuse is not None
            writes.refuse(["R2", "R4"])
            finished = await tried.run()
            assert finished.status == "incomplete"
            states = {one["id"]: one["state"] for one in tried.records()}
            assert {key for key, state in states.items() if state == "delivered"} == {"R0", "R1", "R3", "R5"}
            reasons = [str(one["reason"]) for one in tried.records() if one["id"] in ("R2", "R4")]
            assert all(writes.refusal in reason for reason in reasons), reasons
            assert set(writes.stored()) == {"R0", "R1", "R3", "R5"}

    @_needs(_WRITES)
    @pytest.mark.parametrize("fault", [{"kind": "cut", "when": "after"}, {"kind": "after_status", "status": 502}])
    async def test_a_send_whose_answer_was_lost_is_settled(self, fault: dict[str, Any]) -> None:
        """It was carried out and nobody heard of it: where the system knows keys or can be asked, it is not done twice;
        elsewhere it waits for a person."""
        async with self._writing(4, {"on_doubt": "hold"}) as (system, writes, tried):
            system.simulator.faults.add({"path": writes.path, "times": 1, **fault})
            await tried.run()
            tried.clock.time += 7200
            await tried.run()
            assert {times for times, _ in writes.stored().values()} == {1}
            states = {one["state"] for one in tried.records()}
            assert states == {"delivered"} if writes.once else states <= {"delivered", "held"}

    @_needs(_WRITES)
    async def test_a_run_that_is_cut_off_while_it_sends_loses_nothing(self) -> None:
        """The next run takes up what the ledger kept of the batches: none is lost, and none written twice where the
        system knows keys or can be asked."""
        cut: list[str] = []
        tasks: list[asyncio.Task[Finished]] = []

        def answered(path: str) -> None:
            writes = self._now.writes
            if writes is not None and path.startswith(writes.path):
                cut.append(path)
                if len(cut) == 2:
                    tasks[0].cancel()

        async with self._writing(7, small=True, answered=answered) as (system, writes, tried):
            # The first was carried out, the second was not: the ledger can't know.
            system.simulator.faults.add({"kind": "cut", "when": "before", "path": writes.path, "skip": 1})
            tasks.append(asyncio.create_task(tried.run()))
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
            assert len(cut) > 1
            for _ in range(2):
                tried.clock.time += 7200
                await tried.run()
            found = {key: times for key, (times, _) in writes.stored().items()}
            assert set(found) == {f"R{n}" for n in range(7)}
            assert {one["state"] for one in tried.records()} == {"delivered"}
            assert not writes.once or set(found.values()) == {1}, found

    @_needs(_WRITES)
    async def test_a_write_that_was_refused_as_too_many_is_sent_again(self) -> None:
        """It was not carried out, and nothing is in doubt."""
        async with self._writing(4) as (system, writes, tried):
            system.simulator.faults.add({"kind": "throttle", "path": writes.path, "retry_after": None})
            await tried.run()
            tried.clock.time += 7200
            await tried.run()
            assert {times for times, _ in writes.stored().values()} == {1} and len(writes.stored()) == 4
            assert {one["state"] for one in tried.records()} == {"delivered"}

    @_needs(_WRITES, _TOKENS)
    async def test_a_token_that_expires_before_a_write_is_renewed(self) -> None:
        """Nothing was written with the old one, and everything is with the new."""
        async with self._writing(4) as (system, writes, tried):
            system.simulator.faults.add({"kind": "expire", "path": writes.path})
            assert (await tried.run()).status == "done"
            assert {times for times, _ in writes.stored().values()} == {1} and len(writes.stored()) == 4

    # --- how it is done

    _now: System

    @asynccontextmanager
    async def _reading(
        self, *, wrong: bool = False, answered: Callable[[str], None] = lambda path: None
    ) -> AsyncIterator[tuple[System, Reads, Trial]]:
        clock = FakeClock()
        self._now = system = self.system(clock)
        reads = system.reads
        assert reads is not None
        async with serve(system.simulator, answered=answered) as running:
            with trial(clock, self._connections(system, running.url, wrong)) as tried:
                tried.plan(("system", reads.metadata), ("inside", {"api": "写入空操作"}), reads.options)
                yield system, reads, tried

    @asynccontextmanager
    async def _writing(
        self,
        count: int,
        options: dict[str, Any] | None = None,
        *,
        small: bool = False,
        answered: Callable[[str], None] = lambda path: None,
    ) -> AsyncIterator[tuple[System, Writes, Trial]]:
        clock = FakeClock()
        self._now = system = self.system(clock)
        writes = system.writes
        assert writes is not None
        async with (
            serve(system.simulator, answered=answered) as running,
            giving([_record(n) for n in range(count)]) as url,
        ):
            records = {"connector": "http", "base_url": url}
            with trial(clock, {**self._connections(system, running.url, False), "records": records}) as tried:
                source = {"api": "/records", "id": "id", "number": "id"}
                sizes = {"batch_size": writes.batch} if small else {}
                own = {**writes.options, **sizes, **(options or {})}
                tried.plan(("records", source), ("system", writes.metadata), own)
                yield system, writes, tried

    def _connections(self, system: System, url: str, wrong: bool) -> dict[str, dict[str, Any]]:
        table = merged({"connector": self.connector, **system.table(url)}, system.wrong if wrong else {})
        return {"system": table, "inside": {"connector": "noria"}}

    async def _in_spite_of(self, fault: dict[str, Any], *, waits: bool = False) -> None:
        """Everything is read although a fault strikes the first request, and the second."""
        for skip in (0, 1):
            async with self._reading() as (system, reads, tried):
                system.simulator.faults.add({"path": reads.path, "skip": skip, **fault})
                finished = await tried.run()
                assert finished.status == "done", str(finished.error)
                struck = system.simulator.faults.active[0]
                assert struck.fired or skip, "the fault never struck"
                if waits and struck.fired:
                    named = fault.get("retry_after") if system.names_waits else None
                    assert sum(tried.clock.slept) >= (named or 1)
                self._is_all_there(reads, tried)

    @staticmethod
    def _is_all_there(reads: Reads, tried: Trial) -> None:
        """Each row of the list is in the ledger, digit by digit; and nothing else."""
        truth, found = reads.truth(), tried.raws()
        assert set(found) == set(truth)
        for key, row in truth.items():
            assert _exactly(found[key].decode()) == _exactly(row), key

    @staticmethod
    def _hides(system: System, finished: Finished, tried: Trial) -> None:
        shown = f"{finished.error} {finished.to_json()} {tried.everything()}"
        for secret in system.secrets:
            assert secret not in shown, secret


def contract_tests() -> list[str]:
    """The names of the contract's tests, in order."""
    return [name for name in vars(ConnectorContract) if name.startswith("test_")]


def _exactly(text: str) -> Any:
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


def _record(n: int) -> dict[str, Any]:
    return {"id": f"R{n}", "name": _HARD[n % len(_HARD)], "amount": _MONEY, "code": _BIG, "quantity": n + 1}
