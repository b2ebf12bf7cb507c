"""Rate limits in every sliding window; secrets named, found, and cleaned from any text."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.connectors.failures import Failure
from noria.connectors.limits import Gate, Held, Limiter
from noria.connectors.settings import VENDOR_LIMITS, Limits, Rates, Vendor
from noria.engine.retry import Again, GiveUp, after_failure, next_round
from noria.ledger import open_ledger
from noria.ledger.places import SharedPlaces
from noria.ledger.tokens import new_token
from noria.messages import Message
from noria.metadata.clock import FakeClock
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Retry
from noria.metadata.secrets import Redactor, is_secret_key, literal_secrets, resolve, resolve_all


async def _sent(limits: Limits, count: int) -> list[float]:
    clock, times = FakeClock(0.0), []
    limiter = Limiter(limits, clock)

    async def one() -> None:
        async with limiter.place():
            times.append(clock.time)

    await asyncio.gather(*(one() for _ in range(count)))
    return times


@pytest.mark.parametrize(
    ("limits", "window", "most"),
    [
        (Limits(per_second=5), 1.0, 5),
        (Limits(per_minute=30), 60.0, 30),
        (Limits(per_second=0.5), 2.0, 1),
        (Limits(per_second=10, per_minute=40), 60.0, 40),
    ],
)
async def test_never_more_than_the_limit_in_any_window_and_no_slower_than_needed(
    limits: Limits, window: float, most: int
) -> None:
    times = await _sent(limits, 100)
    for start in times:
        assert sum(start <= t < start + window - 1e-9 for t in times) <= most
    assert times[-1] <= (100 / most) * window + 1


async def test_a_long_plan_does_not_starve_a_short_one_on_the_same_connection() -> None:
    clock, sent = FakeClock(0.0), []
    limiter = Limiter(Limits(per_second=10), clock)

    async def plan(name: str, requests: int) -> None:
        for _ in range(requests):
            async with limiter.place():
                sent.append(name)

    # A first load that sends eight at a time, which began earlier; a plan of ten requests, one after another.
    await asyncio.gather(*(plan("long", 100) for _ in range(8)), plan("short", 10))
    ended = len(sent) - sent[::-1].index("short")
    # Ten went at once before the short one came; then each of the nine senders has its turn.
    assert ended <= 10 + 10 * (8 + 1), f"the short plan's tenth request was the {ended}th of all"


def test_a_vendors_limits_are_taken_and_numbers_given_go_first() -> None:
    def read(**given: Any) -> Limits:
        return msgspec.convert(given, Limits)

    assert (read(vendor="jushuitan").per_second, read(vendor="jushuitan").per_minute) == (5, 100)
    ours = read(vendor="jushuitan", per_second=2)
    assert (ours.per_second, ours.per_minute) == (2, 100)
    assert (read().per_second, read().per_minute) == (0, 0)
    with pytest.raises(msgspec.ValidationError):
        read(vendor="jushuitam")
    assert set(get_args(Vendor)) - {""} == set(VENDOR_LIMITS)


async def test_a_hold_keeps_everybody_back() -> None:
    clock = FakeClock(0.0)
    limiter = Limiter(Limits(), clock)
    limiter.hold(7)
    async with limiter.place():
        assert clock.time == 7.0


async def test_no_more_at_once_than_allowed() -> None:
    limiter, inside, most = Limiter(Limits(concurrent=3), FakeClock()), [0], [0]

    async def one() -> None:
        async with limiter.place():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            await asyncio.sleep(0)
            inside[0] -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert most == [3]


def _failure(kind: str, after: float | None = None) -> Failure:
    return Failure(kind, Message("http.empty"), retry_after=after)  # type: ignore[arg-type]


def test_retry_decisions() -> None:
    retry = Retry()
    assert after_failure(_failure("transient"), 1, 0, retry) == Again(5.0)
    assert after_failure(_failure("doubt"), 2, 0, retry) == Again(5.0)
    assert after_failure(_failure("transient"), 3, 0, retry) == GiveUp("transient")
    assert after_failure(_failure("permanent"), 1, 0, retry) == GiveUp("permanent")
    assert after_failure(_failure("auth"), 1, 0, retry) == GiveUp("auth")
    assert after_failure(_failure("throttled", 9), 3, 50, retry) == Again(9)
    assert after_failure(_failure("throttled", 4000), 0, 1, retry) == GiveUp("throttled", 4000)
    assert after_failure(_failure("throttled"), 0, 0, retry) == Again(1.0)
    assert after_failure(_failure("throttled"), 0, 9, retry) == Again(60.0)
    assert isinstance(after_failure(_failure("throttled"), 0, 200, retry), GiveUp)


def test_the_long_schedule_ends_dead() -> None:
    retry = Retry()
    assert [next_round(retry, n, 0) for n in range(6)] == [20, 300, 3600, 14400, 72000, None]
    assert next_round(retry, 0, 100, not_before=600) == 700


@pytest.mark.parametrize(
    "key",
    [
        "client_secret",
        "token",
        "password",
        "appSecret",
        "api_key",
        "X-Api-Key",
        "Authorization",
        "access_token",
        "app_key",
        "account_key",
        "connection_string",
    ],
)
def test_names_of_secrets(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key", ["token_url", "page_param", "name", "base_url", "token_type", "number", "client_id", "token_body"]
)
def test_names_of_other_things(key: str) -> None:
    assert not is_secret_key(key)


def test_references_are_resolved_and_learned(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("from-a-file\n", encoding="utf-8")
    redactor = Redactor()
    settings = {
        "auth": {"type": "header", "name": "X", "value": "env:V"},
        "token": "file:s",
        "base_url": "env:U",
        "n": 5,
    }
    resolved = resolve_all(settings, tmp_path, {"V": "header-value", "U": "http://visible"}, "$", redactor)
    assert resolved == {
        "auth": {"type": "header", "name": "X", "value": "header-value"},
        "token": "from-a-file",
        "base_url": "http://visible",
        "n": 5,
    }
    assert redactor.clean("header-value from-a-file http://visible") == "*** *** http://visible"
    with pytest.raises(NoriaError) as caught:
        resolve("env:NOPE", tmp_path, {}, "$.x")
    assert caught.value.path == "$.x" and "NOPE" in str(caught.value)


def test_literal_secrets_are_found_everywhere_and_never_shown() -> None:
    settings = {
        "client_secret": "s3cr3t-1",
        "auth": {"type": "query", "name": "key", "value": "s3cr3t-2"},
        "headers": {"Authorization": "Bearer s3cr3t-3", "X-App": "fine"},
        "list": [{"password": 12345}],
        "token": "env:FINE",
        "empty": {"password": ""},
    }
    found = literal_secrets(settings, "$")
    assert sorted(p.path for p in found) == [
        "$.auth.value",
        "$.client_secret",
        "$.headers.Authorization",
        "$.list[0].password",
    ]
    assert not any("s3cr3t" in f"{p.message} {p.hint}" for p in found)


@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.hide(secret)
    if secret in "***" or secret.strip("*") == "":
        return
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
        assert secret not in redactor.clean(before + form + after) or secret in redactor.clean(before + after)


@pytest.mark.parametrize(
    "text",
    [
        "GET http://h/p?access_token=abcdef123&x=1",
        "Authorization: Bearer abcdef123",
        '{"client_secret": "abcdef123"}',
        "postgresql://user:abcdef123@host/db",
        "http://h/?sign=abcdef123",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    cleaned = Redactor().clean(text)
    assert "abcdef123" not in cleaned and "***" in cleaned


async def test_a_limit_of_one_endpoint_holds_for_it_alone() -> None:
    clock = FakeClock(0.0)
    gate = Gate("c", Limits(endpoints={"/slow": Rates(per_second=1)}), clock)
    times: dict[str, list[float]] = {"/slow/a": [], "/quick": []}
    for path in ("/slow/a", "/quick", "/slow/a", "/quick"):
        async with gate.place(path):
            times[path].append(clock.time)
    assert times == {"/slow/a": [0.0, 1.0], "/quick": [0.0, 1.0]}


async def test_processes_that_share_a_ledger_share_its_limits(postgres: Any) -> None:
    """Two of them: never more than the limit in any window, nobody sends while one is held, and a place that was never
    given back is free again after a while."""
    address, clock, times = postgres.emptied(), FakeClock(1000.0), []
    with open_ledger(address, Path()) as one, open_ledger(address, Path()) as other:
        gates = [Gate("c", Limits(per_second=5), clock, SharedPlaces(of.store, clock.now)) for of in (one, other)]

        async def send(gate: Gate) -> None:
            async with gate.place("/x"):
                times.append(clock.time)

        await asyncio.gather(*(send(gate) for gate in gates * 15))
        assert len(times) == 30
        assert all(sum(start <= t < start + 1 for t in times) <= 5 for start in times)
        assert times[-1] - times[0] < 30 / 5 + 1
        gates[0].hold(40)
        before = clock.time
        await send(gates[1])
        assert times[-1] - before >= 40
        gates[1].hold(4000)
        with pytest.raises(Held):
            await send(gates[0])
        places = SharedPlaces(one.store, clock.now)
        places.open("lost", 1)
        assert places.take("lost", 60.0) is not None and places.take("lost", 60.0) is None
        assert places.wait("lost") == 60.0
        clock.time += 61
        assert places.take("lost", 60.0) is not None


def test_tokens_of_the_api_are_known_by_how_they_look() -> None:
    token = new_token()
    assert Redactor().clean(f"GET /plans with {token}!") == "GET /plans with ***!"
    assert Redactor().clean("noria_run_records_total 3") == "noria_run_records_total 3"
