"""用友 YonSuite keeps the contract: orders page by page, documents saved once; its gateway, signature and keys."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.connectors.target import Row
from noria.connectors.yonsuite import token_sign
from noria.metadata.clock import FakeClock
from noria.metadata.secrets import Redactor
from noria.simulators.server import serve
from noria.simulators.wire import encoded
from noria.simulators.yonsuite import LIST, SAVE, YonSuite
from noria.testing import ConnectorContract, Reads, System, Writes

SECRET = "hush-hush-yon"
FIELDS = [
    {"field": "memo", "value": "{{name}}"},
    {"field": "sum", "value": "{{amount}}"},
    {"field": "number", "type": "int", "value": "{{code}}"},
    {
        "field": "details",
        "type": "array",
        "children": [{"field": "product", "value": "{{id}}"}, {"field": "qty", "type": "int", "value": "{{quantity}}"}],
    },
]


def simulated(clock: FakeClock, **more: Any) -> YonSuite:
    """A tenant on the clock of a test."""
    return YonSuite(app_secret=SECRET, clock=clock.steady, now=clock.now, **more)


class TestYonSuite(ConnectorContract):
    connector = "yonsuite"

    def system(self, clock: FakeClock) -> System:
        made = simulated(clock, orders=190, per_minute=30)

        def grow() -> None:
            last, number = made.orders[-1], len(made.orders)
            made.orders.insert(0, {**last, "id": last["id"] + number, "code": f"XSDD-new-{number}"})

        return System(
            simulator=made,
            table=lambda url: {
                "base_url": url,
                "tenant_id": "demo-tenant",
                "app_key": "demo-key",
                "app_secret": SECRET,
                "limits": {"vendor": "yonsuite", "per_minute": 25},
            },
            wrong={"app_secret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1"),
            reads=Reads(
                metadata={
                    "api": "yonbip/sd/voucherorder/list",
                    "method": "POST",
                    "id": "id",
                    "number": "code",
                    "idCheck": True,
                    "request": [{"field": "pageIndex", "value": "1"}, {"field": "pageSize", "value": "5"}],
                },
                truth=lambda: {str(row["id"]): encoded(row) for row in made.truth("orders")},
                path="/iuap-api-gateway" + LIST,
                grow=grow,
            ),
            writes=Writes(
                metadata={"api": SAVE, "method": "POST", "request": [{"field": "code", "value": "{{id}}"}, *FIELDS]},
                stored=lambda: {key: (one.times, one.row) for key, one in made.stored.items()},
                path="/iuap-api-gateway" + SAVE,
                refuse=lambda ids: made.faults.add(
                    {"kind": "reject", "path": "/iuap-api-gateway", "times": None, "ids": ids, "message": "物料不存在"}
                ),
                refusal="物料不存在",
            ),
            names_waits=False,
            limited=lambda: sum("流量限制" in one for one in made.refused),
        )


class TestDocumentsWithoutCode(ConnectorContract):
    """Only its key tells such a document from another of the same content; and the gateway's address is known."""

    connector = "yonsuite"

    def system(self, clock: FakeClock) -> System:
        made = simulated(clock)

        def stored() -> dict[str, tuple[int, Any]]:
            rows = [one.row for one in made.stored.values()]
            times = Counter(row["details"][0]["product"] for row in rows)
            return {row["details"][0]["product"]: (times[row["details"][0]["product"]], row) for row in rows}

        return System(
            simulator=made,
            table=lambda url: {
                "base_url": url + "/iuap-api-gateway",
                "auth_url": url + "/iuap-api-auth",
                "app_key": "demo-key",
                "app_secret": SECRET,
            },
            wrong={"app_secret": "not-the-secret-1"},
            secrets=(SECRET,),
            writes=Writes(
                metadata={"api": SAVE, "method": "POST", "request": FIELDS},
                stored=stored,
                path="/iuap-api-gateway" + SAVE,
            ),
            names_waits=False,
        )


def opened(url: str, **more: Any) -> Any:
    """A connection to a simulated tenant."""
    table = {"connector": "yonsuite", "base_url": url, "tenant_id": "demo-tenant", "app_key": "demo-key"}
    table = {**table, "app_secret": SECRET, **more}
    return open_connection("c", table, Path(), redactor=Redactor(), clock=FakeClock())


def target(connection: Any) -> Any:
    """Its way into the saves."""
    return connection.connector.target(
        connection.transport, connection.settings, api=SAVE, method="POST", batch_size=None
    )


@pytest.mark.parametrize(
    ("documents", "refused", "faults", "found"),
    [
        # By code, by key and place (which nobody but the two sides knows), one and all of them.
        ([{"code": "A"}, {"code": "B"}], ["B"], [], [None, "no"]),
        ([{"code": "A"}, {"memo": "x", "lines": []}], [], [], [None, "lines"]),
        ([{"memo": "x", "lines": []}], [], [], ["lines"]),
        ([{"code": "A"}, {"code": "B"}], ["A", "B"], [], ["no", "no"]),
        ([{"code": "A"}, {"code": "B"}, {"code": "C"}], ["A", "C"], [{"kind": "shuffle"}], ["no", None, "no"]),
        # Half of the messages are lost: who was neither named nor saved is in doubt.
        ([{"code": "A"}, {"code": "B"}, {"code": "C"}], ["A", "C"], [{"kind": "drop_results"}], ["no", None, "?"]),
    ],
)
async def test_what_a_save_says_of_each_document(
    documents: list[dict[str, Any]], refused: list[str], faults: list[dict[str, Any]], found: list[str | None]
) -> None:
    clock = FakeClock()
    made = simulated(clock)
    reject = [{"kind": "reject", "ids": refused, "message": "no"}] if refused else []
    made.faults.add([*reject, *faults])
    rows = [Row("", json.dumps(one).encode()) for one in documents]
    async with serve(made) as running:
        connection = opened(running.url)
        own = target(connection)
        written = await own.send(own.body([row.payload for row in rows]), "k" * 40, rows)
        await connection.close()
    shown = [None if one is None else "?" if one.key == "reason.no_result" else str(one) for one in written.rows]
    assert all((one is None) == (want is None) for one, want in zip(shown, found, strict=True)), shown
    assert all(want in one for one, want in zip(shown, found, strict=True) if one and want), shown


async def test_the_same_key_makes_nothing_twice_and_another_does() -> None:
    """Keys follow from the batch's, are no longer than the vendor takes, and leave alone what the plan has made."""
    clock = FakeClock()
    made = simulated(clock)
    rows = [Row("", b'{"memo": "x"}'), Row("", b'{"memo": "x"}'), Row("", b'{"resubmitCheckKey": "own"}')]
    async with serve(made) as running:
        connection = opened(running.url)
        own = target(connection)
        for key in ("one", "one", "two"):
            await own.send(own.body([row.payload for row in rows]), key, rows)
        await connection.close()
    keys = [one.row["resubmitCheckKey"] for one in made.stored.values()]
    assert len(keys) == len(set(keys)) == 5 and keys.count("own") == 1 and made.replayed == 4


async def test_a_gateway_that_is_no_address_is_refused() -> None:
    clock = FakeClock()
    async with serve(simulated(clock)) as running:
        connection = opened(running.url, tenant_id="another")
        with pytest.raises(Failure) as caught:
            await connection.transport.token(SAVE)
        await connection.close()
    assert caught.value.kind == "auth" and "租户不存在" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "secret", "stamp", "signature"),
    [
        # printf 'appKey%stimestamp%s' key stamp | openssl dgst -sha256 -hmac secret -binary | base64
        ("demo-key", "demo-secret", "1706000000000", "d8oxmBSCnrUe0NOobUz1A3MKwQAQBJqkbs5nxn0WyAc="),
        ("k1", "密钥-2", "1700000000123", "cmYg+rtZ1GDBmDC26Y+LCHdB/+8jAPbYl60Kh7G+RYs="),
    ],
)
def test_the_signature_of_a_token_request(key: str, secret: str, stamp: str, signature: str) -> None:
    assert token_sign(key, secret, stamp) == signature
