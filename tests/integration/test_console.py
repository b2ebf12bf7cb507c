"""What is reached over HTTP: health, figures, events that systems push; and how everything stands, as a command."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette

from noria.console.app import Operations
from noria.console.server import serving
from noria.engine import Workspace
from noria.metadata.errors import NoriaError
from noria.scheduler.loop import Scheduler
from noria.simulators import dingtalk_events, okki_events, wecom_events
from noria.simulators.callbacks import Keys
from tests.conftest import EMPTY, USERS, Project, connections

BOTH_LEDGERS = True
SECRET = base64.b64encode(bytes(range(32))).decode()


KEYS = Keys(SECRET, base64.b64encode(bytes(range(32))).decode().rstrip("="), "dingdemo")


class Served:
    """The application of an open project."""

    def __init__(self, workspace: Workspace, operations: Operations, url: str, session: aiohttp.ClientSession) -> None:
        self.workspace = workspace
        self.operations = operations
        self.url = url
        self.session = session

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def push(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        async with self.session.post(self.url + path, data=io.BytesIO(body), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def served(project: Project, okki: Any, sink: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    project.connections(connections(okki[1].url, sink[1].url))
    for key, hook in (
        ("pushed", {"kind": "hmac", "secret": "env:HOOK_SECRET", "id": "meta.id"}),
        ("timed", {"kind": "hmac", "secret": "env:HOOK_SECRET", "timestamp_header": "X-Time"}),
        ("okki", {"kind": "okki", "secret": "env:HOOK_SECRET"}),
        ("ding", {"kind": "dingtalk", "secret": KEYS.aes_key, "token": "env:HOOK_SECRET", "owner": KEYS.owner}),
        ("wecom", {"kind": "wecom", "secret": KEYS.aes_key, "token": "env:HOOK_SECRET", "owner": KEYS.owner}),
        ("none", None),
    ):
        options = {"webhook": hook} if hook else {}
        project.plan(key, ("okki", USERS), ("sink", EMPTY), options=options)
    customers = {"api": "/v1/company/list", "id": "company_id", "number": "serial_id"}
    options = {"webhook": {"kind": "okki", "secret": "env:HOOK_SECRET"}}
    project.plan("customers", ("okki", customers), ("sink", EMPTY), options=options)
    project.plan("off", ("okki", USERS), ("sink", EMPTY), options={"webhook": {"secret": "x"}}, enabled=False)
    async with project.workspace() as workspace, aiohttp.ClientSession() as session:
        operations = Operations(workspace)
        async with serving(operations.app(), "127.0.0.1:0") as port:
            yield Served(workspace, operations, f"http://127.0.0.1:{port}", session)
        operations.close()


def signed(body: bytes, before: bytes = b"") -> str:
    return hmac.new(SECRET.encode(), before + body, hashlib.sha256).hexdigest()


def wanted(served: Served) -> set[str]:
    return {one.plan for one in served.workspace.ledger.agenda.wanted()}


@pytest.mark.parametrize("form", ["{}", "sha256={}", "base64"])
async def test_a_signed_event_has_its_plan_run_once(served: Served, form: str) -> None:
    body = json.dumps({"meta": {"id": "m1"}, "order": 5}).encode()
    signature = form.format(signed(body))
    if form == "base64":
        signature = base64.b64encode(bytes.fromhex(signed(body))).decode()
    assert await served.push("/hooks/pushed", body, **{"X-Signature": signature}) == (200, {"ok": True})
    assert wanted(served) == {"pushed"}
    ended: list[Any] = []
    scheduler = Scheduler(served.workspace, asyncio.Event(), ended.append)
    scheduler.tick(served.workspace.clock.now())
    await scheduler.idle()
    assert [(one.plan, one.counts.delivered) for one in ended] == [("pushed", 30)] and wanted(served) == set()
    # The same message once more, as senders do that had no answer.
    assert (await served.push("/hooks/pushed", body, **{"X-Signature": signature}))[0] == 200
    assert wanted(served) == set()
    another = json.dumps({"meta": {"id": "m2"}}).encode()
    assert (await served.push("/hooks/pushed", another, **{"X-Signature": signed(another)}))[0] == 200
    assert wanted(served) == {"pushed"}


async def test_an_event_that_is_not_genuine_changes_nothing(served: Served) -> None:
    body = b'{"meta": {"id": "m1"}}'
    good = {"X-Signature": signed(body)}
    now = str(int(served.workspace.clock.now()))
    timed = {"X-Time": now, "X-Signature": signed(body, now.encode())}
    old = str(int(now) - 400)
    for path, sent, headers, status in (
        ("/hooks/pushed", body, {}, 401),
        ("/hooks/pushed", body, {"X-Signature": "nonsense"}, 401),
        ("/hooks/pushed", body + b" ", good, 401),
        ("/hooks/pushed", b"x" * (1024 * 1024 + 1), good, 413),
        ("/hooks/none", body, good, 404),
        ("/hooks/off", body, good, 404),
        ("/hooks/nobody", body, good, 404),
        ("/hooks/timed", body, good, 401),
        ("/hooks/timed", body, {**timed, "X-Time": str(int(now) + 1)}, 401),
        ("/hooks/timed", body, {"X-Time": old, "X-Signature": signed(body, old.encode())}, 401),
        ("/hooks/timed", body, {**timed, "X-Time": "nan"}, 401),
    ):
        found, answer = await served.push(path, sent, **headers)
        assert (found, answer) == (status, {"error": "refused"}), (path, headers)
    broken = b"not JSON"
    assert (await served.push("/hooks/pushed", broken, **{"X-Signature": signed(broken)}))[0] == 400
    assert wanted(served) == set() and served.workspace.ledger.store.tuples("SELECT * FROM hooks") == []
    assert (await served.push("/hooks/timed", body, **timed))[0] == 200 and wanted(served) == {"timed"}


def sealed(biz_type: str, data: Any, message: str, now: float, *, key: str = SECRET) -> tuple[bytes, dict[str, str]]:
    """As 小满 sends it."""
    made = okki_events.event(biz_type, data, key, message=message, timestamp=str(int(now)))
    return made.body, made.headers


async def test_okkis_events_are_decrypted_and_answered_as_it_asks(served: Served) -> None:
    now = served.workspace.clock.now()
    body, headers = sealed(okki_events.TEST, "hello", "msg_1", now)
    status, answer = await served.push("/hooks/okki", body, **headers)
    assert (status, answer["code"], answer["data"]["message_id"]) == (200, 200, "msg_1")
    assert answer["data"]["data"] == answer["data"]["biz_data"] == "hello" and wanted(served) == set()
    order = ("xiaoman.crm.order.update", {"order_id": 1})
    body, headers = sealed(*order, "msg_2", now)
    assert await served.push("/hooks/okki", body, **headers) == (200, {"code": 200, "data": {"message_id": "msg_2"}})
    assert wanted(served) == {"okki"}
    other = base64.b64encode(bytes(32)).decode()
    body, headers = sealed(*order, "msg_3", now, key=other)
    assert (await served.push("/hooks/okki", body, **headers))[0] == 401
    headers["X-Signature"] = signed(body, headers["X-Timestamp"].encode())
    assert (await served.push("/hooks/okki", body, **headers))[0] == 400
    body, headers = sealed(*order, "msg_4", now - 4000)
    assert (await served.push("/hooks/okki", body, **headers))[0] == 401
    kept = {row[0] for row in served.workspace.ledger.store.tuples("SELECT message FROM hooks")}
    assert kept == {"msg_2"}


async def test_what_changes_at_okki_is_read_at_once(served: Served, okki: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback is set and tested, a customer is made: the event comes, again where it was not taken, and the plan
    reads that customer."""
    simulator, running = okki
    form = {"grant_type": "client_credentials", "client_id": "demo-client", "client_secret": "demo-secret"}
    form["scope"] = "company webhook"

    async def ask(path: str, body: Any, **headers: str) -> Any:
        async with served.session.post(running.url + path, json=body, headers=headers) as answer:
            return await answer.json()

    token = {"Authorization": f"Bearer {(await ask('/v1/oauth2/access_token', form))['access_token']}"}
    made = await ask("/v1/webhook", {"callback_url": f"{served.url}/hooks/customers"}, **token)
    assert (await ask("/v1/webhook/test", {}, **token))["code"] == -1, "whose secret is another"
    monkeypatch.setenv("HOOK_SECRET", made["data"]["security_config"])
    assert (await ask("/v1/webhook/test", {}, **token))["code"] == 200 and wanted(served) == set()
    events = [{"biz_type": "xiaoman.crm.company.create"}]
    await ask("/v1/subscribe", {"subscribe_type": "crm.company", "subscribe_configs": events}, **token)
    monkeypatch.delenv("HOOK_SECRET")

    async def back(seconds: float) -> None:
        assert seconds == 10.0
        monkeypatch.setenv("HOOK_SECRET", made["data"]["security_config"])

    simulator.hooks.sleep = back
    customer = {"name": "新客户", "customers": [{"name": "李"}]}
    number = (await ask("/v1/company/pushCompanyAndCustomers", customer, **token))["data"]["company_id"]
    while not simulator.hooks.delivered:
        await asyncio.sleep(0.01)
    assert wanted(served) == {"customers"}
    ended: list[Any] = []
    scheduler = Scheduler(served.workspace, asyncio.Event(), ended.append)
    scheduler.tick(served.workspace.clock.now())
    await scheduler.idle()
    assert [(one.plan, one.counts.delivered) for one in ended] == [("customers", 46)] and simulator.hooks.dropped == []
    records = served.workspace.ledger.records
    (read,) = records.select(served.workspace.ledger.runs.known_plan("customers"), record_id=str(number))
    assert read["number"] == "C00000045"


async def test_an_event_that_can_not_be_kept_is_not_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> bool:
        raise NoriaError("ledger", "the disk is full")  # type: ignore[arg-type]

    monkeypatch.setattr(served.workspace.ledger.agenda, "hooked", lost)
    body = b'{"meta": {"id": "m1"}}'
    assert (await served.push("/hooks/pushed", body, **{"X-Signature": signed(body)}))[0] == 503


async def test_health_and_figures(served: Served, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await served.get("/healthz") == (200, "ok") and await served.get("/readyz") == (200, "ok")
    served.operations.figures.finished(await project.run("none"))
    status, text = await served.get("/metrics")
    assert status == 200
    for line in (
        'noria_runs_total{plan="none",status="done"} 1.0',
        'noria_run_records_total{plan="none",what="delivered"} 30.0',
        'noria_records_queued{plan="none"} 0.0',
        "noria_plans_wanted 0.0",
        "noria_workers 0.0",
    ):
        assert line in text, text
    assert 'noria_lag_seconds{plan="none"}' in text
    served.operations.alive = lambda: False
    assert (await served.get("/healthz"))[0] == 503 and (await served.get("/readyz"))[0] == 503


async def test_an_address_that_is_taken_is_named(served: Served) -> None:
    taken = served.url.removeprefix("http://")
    with pytest.raises(NoriaError) as caught:
        async with serving(Starlette(), taken):
            pass
    assert taken in str(caught.value)


def test_how_everything_stands(called: Any, project: Project) -> None:
    project.connections('[connections.inside]\nconnector = "noria"\n')
    project.plan("p", ("inside", {"api": "callback", "id": "id"}), ("inside", EMPTY))
    assert called("run", "p", "--project", project.folder)[0] == 0
    code, out, _ = called("status", "--json", "--project", project.folder)
    found = json.loads(out)
    assert code == 0 and [(one["key"], one["last_status"], one["queued"]) for one in found["plans"]] == [
        ("p", "done", 0)
    ]
    assert (found["workers"], found["lost"], found["queue"]) == ([], [], 0)
    code, out, _ = called("status", "--project", project.folder)
    assert code == 0 and "p" in out and "0 workers" in out


@pytest.mark.parametrize("old_names", [False, True])
async def test_dingtalks_events_are_decrypted_and_the_answer_is_encrypted(served: Served, old_names: bool) -> None:
    now = str(int(served.workspace.clock.now() * 1000))

    async def pushed(what: Any, keys: Keys = KEYS, stamp: str = now) -> tuple[int, bytes]:
        made = dingtalk_events.event(what, keys, timestamp=stamp, nonce="n1", old_names=old_names)
        url = f"{served.url}/hooks/ding"
        async with served.session.post(url, params=made.query, data=made.body) as answer:
            return answer.status, await answer.read()

    status, body = await pushed({"EventType": "check_url"})
    assert status == 200 and dingtalk_events.answered(body, KEYS) == "success" and wanted(served) == set()
    event = {"EventType": "user_modify_org", "UserId": ["部门 😀"], "TimeStamp": "1"}
    status, body = await pushed(event)
    assert status == 200 and dingtalk_events.answered(body, KEYS) == "success" and wanted(served) == {"ding"}
    assert len(served.workspace.ledger.store.tuples("SELECT * FROM hooks")) == 1
    # Sent again with another time, as senders do that had no answer, it is the same message.
    assert (await pushed(event, stamp=str(int(now) + 5000)))[0] == 200
    assert len(served.workspace.ledger.store.tuples("SELECT * FROM hooks")) == 1
    for keys in (replace(KEYS, token="other"), replace(KEYS, owner="other"), replace(KEYS, aes_key="A" * 43)):
        assert (await pushed({"EventType": "forged"}, keys))[0] == 401
    assert (await pushed({"EventType": "late"}, stamp=str(int(now) - 4_000_000)))[0] == 401
    assert len(served.workspace.ledger.store.tuples("SELECT * FROM hooks")) == 1


async def test_wecom_asks_for_the_address_and_pushes(served: Served) -> None:
    now = str(int(served.workspace.clock.now()))
    made = wecom_events.echo("1616140317555161061", KEYS, timestamp=now, nonce="n1")
    async with served.session.get(f"{served.url}/hooks/wecom", params=made.query) as answer:
        assert (answer.status, await answer.text()) == (200, "1616140317555161061") and wanted(served) == set()
    xml = "<xml><Event><![CDATA[change_contact]]></Event><Name>部门 😀</Name></xml>"
    made = wecom_events.event(xml, KEYS, timestamp=now, nonce="n2")
    async with served.session.post(f"{served.url}/hooks/wecom", params=made.query, data=made.body) as answer:
        assert answer.status == 200 and wecom_events.answered(await answer.read(), KEYS) == "success"
    assert wanted(served) == {"wecom"}
    forged = {**made.query, "msg_signature": "0" * 40}
    for query, body in ((forged, made.body), (made.query, made.body[:-40]), (made.query, b""), ({}, made.body)):
        async with served.session.post(f"{served.url}/hooks/wecom", params=query, data=body) as answer:
            assert answer.status == 401, (query, body)
    # Nobody asks others for their address, and no GET has a plan run.
    async with served.session.get(f"{served.url}/hooks/pushed") as answer:
        assert answer.status == 401
