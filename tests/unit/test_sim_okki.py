"""The simulated 小满 OKKI is as strict as the vendor's pages, keeps what is pushed, and tells of what changes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from noria.metadata.clock import FakeClock
from noria.simulators.okki import SCOPES, Okki
from noria.simulators.okki_data import make_account
from noria.simulators.okki_events import TEST, check_answer, event
from noria.simulators.okki_facts import facts
from noria.simulators.okki_hooks import RETRIES
from noria.simulators.server import serve
from tests.servers import listening

NOW = "2025-10-09 16:53:20"
ORDER, LIST, INFO = "/v1/invoices/order/push", "/v1/invoices/order/list", "/v1/invoices/order/info"
NEW = {"currency": "USD"}
TRAIL = {"content": "x", "company_id": 1}


class Asking:
    """An account, and who asks it."""

    def __init__(self, okki: Okki, clock: FakeClock, url: str, http: aiohttp.ClientSession) -> None:
        self.okki = okki
        self.clock = clock
        self.url = url
        self.http = http
        self.token = ""

    async def take_token(self, scope: str = " ".join(SCOPES)) -> None:
        form = {"grant_type": "client_credentials", "client_id": "demo-client", "client_secret": "demo-secret"}
        async with self.http.post(f"{self.url}/v1/oauth2/access_token", json={**form, "scope": scope}) as answer:
            self.token = (await answer.json())["access_token"]

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, str, Any]:
        """Code, message and data; the status is 200."""
        headers = {"Authorization": f"Bearer {self.token}", **how.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **how) as answer:
            assert answer.status == 200
            body = await answer.json()
        assert set(body) == {"code", "message", "now", "data"}
        return body["code"], body["message"], body["data"]

    async def data(self, method: str, path: str, **how: Any) -> Any:
        code, message, data = await self.ask(method, path, **how)
        assert (code, message) == (200, "success"), message
        return data


@pytest.fixture
async def account() -> AsyncIterator[Asking]:
    clock = FakeClock(1_760_000_000)
    made = make_account(2, users=3, departments=2, companies=5, orders=5, leads=5, invalid=0, others=5)
    okki = Okki(made, now=clock.now, clock=clock.steady, sleep=clock.sleep)
    async with serve(okki) as running, aiohttp.ClientSession() as http:
        asking = Asking(okki, clock, running.url, http)
        await asking.take_token()
        yield asking


@pytest.mark.parametrize(
    ("method", "path", "how", "code", "message"),
    [
        ("GET", LIST, {"params": {"page": "1"}}, 400, "Invalid query: page"),
        ("GET", LIST, {"params": {"status": "open"}}, 400, "Invalid query: status=open"),
        ("GET", LIST, {"params": {"removed": "2"}}, 400, "Invalid query: removed=2"),
        ("GET", LIST, {"params": {"start_time": "2024/01/01"}}, 400, "Invalid query: start_time=2024/01/01"),
        ("GET", "/v1/product/list", {"params": {"time_type": "3"}}, 400, "Invalid query: time_type=3"),
        ("GET", "/v1/company/query", {}, 400, "Invalid query"),
        ("GET", "/v1/company/fields/selector", {}, 400, "Invalid query"),
        ("GET", "/v1/opportunity/fields/selector", {"params": {"field": "stage_list"}}, 400, "Invalid query"),
        ("GET", INFO, {}, 400, "Invalid query"),
        ("GET", INFO, {"params": {"order_id": "1"}}, 404, "Not Found Resource"),
        ("POST", ORDER, {"data": b""}, 400, "Empty POST request body data"),
        ("POST", ORDER, {"json": {}}, 400, "Empty POST request body data"),
        ("POST", ORDER, {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "Invalid data json"),
        ("POST", ORDER, {"data": {"currency": "USD"}}, 400, "Invalid data json"),
        ("POST", ORDER, {"json": [NEW]}, 400, "Invalid data json"),
        ("POST", ORDER, {"json": {"name": "x"}}, 404, "currency cannot be empty"),
        ("POST", ORDER, {"json": {"currency": ""}}, 404, "currency cannot be empty"),
        ("POST", ORDER, {"json": {**NEW, "order_id": 1}}, 404, "Not Found Resource"),
        ("POST", ORDER, {"json": {**NEW, "order_nr": "x"}}, 404, "Input data validate error order_nr is unknown"),
        ("POST", ORDER, {"json": {**NEW, "amount": "much"}}, 404, "Input data validate error amount must be number"),
        ("POST", ORDER, {"json": {**NEW, "users": {}}}, 404, "Input data validate error users must be array"),
        ("POST", ORDER, {"json": {**NEW, "users": [{"user_id": 1}]}}, 404, "rate cannot be empty"),
        ("POST", "/v1/lead/push", {"json": {"name": "x", "origin_list": 1}}, 404, "origin_list must be array"),
        ("POST", "/v1/opportunity/push", {"json": {"name": "x"}}, 404, "customer cannot be empty use company_id"),
        ("POST", "/v1/purchaseOrder/push", {"json": {"currency": "USD"}}, 404, "supplier_id cannot be empty"),
        ("POST", "/v1/dynamic/trail/push", {"json": {"company_id": 1}}, -1, "备注内容不能为空"),
        ("POST", "/v1/dynamic/trail/push", {"json": {"content": "x"}}, -1, "company_id and opportunity_id is empty"),
        ("POST", "/v1/dynamic/trail/push", {"json": {**TRAIL, "remark_type": 99}}, -1, "不支持的类型"),
        ("POST", "/v1/company/pushGroup", {"json": {"group_id": 1, "group_name": "x"}}, -1, "分组不存在"),
        ("POST", "/v1/company/pushTrail", {"json": {"trail_id": 1, "trail_name": "x"}}, 404, "分类设置不存在"),
        ("POST", "/v1/company/removeTag", {"data": {"tag_id": "0"}}, 400, "Invalid query"),
        ("POST", "/v1/company/removeTag?tag_id=1", {"data": {"tag_id": "1"}}, 400, "Invalid query"),
        ("POST", "/v1/company/removeGroup", {"data": {"group_id": "25000000000"}}, 404, "系统分组无法被删除"),
        ("POST", "/v1/company/removeCompanyAndCustomers", {"data": {"company_id": "1000000001"}}, 404, "No Privilege"),
        ("POST", "/v1/company/removeTrail?trail_id=26000000001", {}, 400, "Invalid query"),
        ("POST", "/v1/invoices/outbound/remove?serial_id=x", {}, 404, "Not Found Resource."),
        ("POST", "/v1/invoices/order/remove", {"json": {"order_id": 2_000_000_001}}, 400, "Invalid query"),
        ("POST", "/v1/supplier/push", {"json": {"name": "x", "supplier_no": "SUP00000001"}}, -1, "already exists"),
        ("POST", "/v1/webhook", {"json": {"callback_url": "ftp://x"}}, 400, "Invalid data json"),
        ("POST", "/v1/subscribe", {"json": {"subscribe_type": "crm.user"}}, 404, "crm.user is unknown"),
        ("GET", "/v1/subscribe/crm.order", {}, 404, "Not Found Resource"),
        ("POST", "/v1/webhook/test", {}, 404, "Not Found Resource"),
    ],
)
async def test_what_is_wrong_is_refused(
    account: Asking, method: str, path: str, how: dict[str, Any], code: int, message: str
) -> None:
    found, said, data = await account.ask(method, path, **how)
    assert (found, data) == (code, None) and said.endswith(message), said
    assert len(account.okki.refused) == 1 and account.okki.account.journal == []


async def test_every_endpoint_wants_its_scope_and_its_method(account: Asking) -> None:
    await account.take_token("webhook")
    for one in facts().endpoints:
        found = await account.ask(one.method, one.path)
        assert found == (403, f"no permission {one.scope} scopes", None), one.path
    for path in {one.path for one in facts().endpoints} | {"/v1/webhook", "/v1/subscribe", "/v1/oauth2/access_token"}:
        async with account.http.patch(account.url + path) as answer:
            assert answer.status == 405, path


async def test_a_push_makes_edits_and_is_shown(account: Asking) -> None:
    sent = {**NEW, "order_no": "N-1", "amount": 12.5, "12345678": "自定义"}
    made = await account.data("POST", ORDER, json={**sent, "product_list": [_line()]})
    assert made["product_list"][0]["unique_id"]
    shown = await account.data("GET", INFO, params={"order_no": "N-1"})
    assert shown.items() >= sent.items() and shown["create_time"] == shown["update_time"] == NOW
    account.clock.time += 60
    # By its number, and by its id.
    for n, by in enumerate(({"order_no": "N-1"}, {"order_id": made["order_id"]})):
        again = await account.data("POST", ORDER, json={**NEW, **by, "name": f"改{n}"})
        assert again["order_id"] == made["order_id"]
    page = await account.data("GET", LIST, params={"start_time": "2025-10-09 16:54:00"})
    assert [(row["name"], row["order_no"], row["create_time"]) for row in page["list"]] == [("改1", "N-1", NOW)]
    assert page["count"] == 1 and (await account.data("GET", LIST))["count"] == 6
    assert [one.times for one in account.okki.api.books.stored.values()] == [3]


def _line() -> dict[str, Any]:
    return {"product_id": 1, "sku_id": 2, "count": 3, "unit_price": 4}


async def test_what_is_removed_shows_as_removed_only(account: Asking) -> None:
    number = 2_000_000_001
    assert await account.data("POST", "/v1/invoices/order/remove", params={"order_id": number}) == {
        "order_id": str(number)
    }
    assert (await account.data("GET", LIST))["count"] == 4
    for kind, since in (("1", NOW), ("4", "2025-10-09"), ("2", "2024-01-01")):
        query = {"removed": "1", "time_type": kind, "start_time": since}
        found = (await account.data("GET", LIST, params=query))["list"]
        assert [row["order_id"] for row in found] == [number]
    assert (await account.data("GET", LIST, params={"removed": "1", "start_time": "2025-10-10"}))["list"] == []
    assert (await account.ask("POST", "/v1/invoices/order/remove", params={"order_id": number}))[0] == 404


async def test_rows_are_filtered_locked_and_made_public(account: Asking) -> None:
    ids = [row["company_id"] for row in account.okki.account.rows("companies")]
    moved = await account.data("POST", "/v1/company/moveToPublic", json={"company_id": ids[1]})
    assert moved == {"company_id": str(ids[1]), "affected_rows": 1}
    for everyone, wanted in (("1", 5), ("0", 4), ("2", 1)):
        found = await account.data("GET", "/v1/company/list", params={"all": everyone})
        assert found["count"] == found["totalItem"] == wanted
    assert (await account.data("GET", "/v1/company/query", params={"word": "C00000003"}))["totalItem"] == 1
    account.okki.mutate("update", "orders", 2_000_000_002, {"lock_flag": 1})
    locked = await account.ask("POST", ORDER, json={**NEW, "order_id": 2_000_000_002})
    assert locked[:2] == (404, "单据被锁定，无法操作")
    attributes = {"item_id": 21_000_000_001, "attributes": ["红", "蓝"]}
    await account.data("POST", "/v1/product/append-sku-attributes-value", json=attributes)
    row = account.okki.account.find("sku_attributes", "item_id", 21_000_000_001)
    assert row is not None and [one["item_name"] for one in row["node"]] == ["红", "蓝"]


# --- events

# The vendor's own example, of its page on `/v1/webhook/test`.
KEY = "IdXEy84pL6gVehBPZdJytBYJ5pt85RCGnV3NPqt3D0k="
SEALED = (
    "LWNoQmm5sYYzwiohzlgXpTuOvZd1GtoeLC05wCzMlG0hk2px0vLiul7kDd3rJ4XgmxclwuYAtacNynl4AFdESsntPwco8SrG8x8rPlO1AN0QO8V"
    "34SEQTQ41wi2JG4HjqL5CKw=="
)


def opened(data: str, key: str) -> Any:
    """What is within: chance, tag, text."""
    raw = base64.b64decode(data)
    return json.loads(AESGCM(base64.b64decode(key)).decrypt(raw[:12], raw[28:] + raw[12:28], None))


def test_events_are_sealed_as_the_vendors_example_is() -> None:
    assert opened(SEALED, KEY)["biz"][0]["biz_type"] == TEST
    made = event("xiaoman.crm.order.create", {"order_id": 1}, KEY, message="msg_1", timestamp="1758876283")
    body = json.loads(made.body)
    assert opened(body["data"], KEY) == {"biz": [{"biz_type": "xiaoman.crm.order.create", "biz_data": {"order_id": 1}}]}
    assert body["message_id"] == "msg_1" and made.headers["X-Timestamp"] == "1758876283"
    signed = hmac.new(KEY.encode(), b"1758876283" + made.body, hashlib.sha256).hexdigest()
    assert made.headers["X-Signature"] == signed


@pytest.mark.parametrize(
    ("answer", "data", "taken"),
    [
        ({"data": {"message_id": "m"}}, None, True),
        ({"code": 200, "data": {"message_id": "m", "data": "d"}}, "d", True),
        ({"code": 200, "data": {"message_id": "m", "biz_data": "d"}}, "d", True),
        ({"code": 200, "data": {"message_id": "m"}}, "d", False),
        ({"code": 500, "data": {"message_id": "m"}}, None, False),
        ({"data": {"message_id": "other"}}, None, False),
        ({"message_id": "m"}, None, False),
        ([], None, False),
    ],
)
def test_which_answers_the_vendor_takes(answer: Any, data: str | None, taken: bool) -> None:
    body = json.dumps(answer).encode()
    if taken:
        check_answer(body, "m", data)
        return
    with pytest.raises(ValueError, match="the answer has"):
        check_answer(body, "m", data)


class Receiver:
    """A callback that answers as a test wants it to."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[dict[str, Any]] = []
        self.wrong = False

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.got.append(body)
        status = self.answers.pop(0) if self.answers else 200
        said = {"message_id": "" if self.wrong else body["message_id"], "data": "test-0"}
        return web.json_response({"code": 200, "data": said}, status=status)


@pytest.fixture
async def told(account: Asking) -> AsyncIterator[tuple[Receiver, str]]:
    """A callback that is told of orders and trails, and its secret."""
    receiver = Receiver()
    async with listening([web.post("/hook", receiver.take)]) as url:
        made = await account.data("POST", "/v1/webhook", json={"callback_url": f"{url}/hook"})
        for kind in ("crm.order", "crm.dynamic_trail"):
            events = [{"biz_type": f"xiaoman.{kind}.{op}"} for op in ("create", "update", "delete")]
            await account.data("POST", "/v1/subscribe", json={"subscribe_type": kind, "subscribe_configs": events})
        yield receiver, made["security_config"]


async def settled(okki: Okki, count: int) -> None:
    """Until so many messages were taken or dropped."""
    while okki.hooks.delivered + len(okki.hooks.dropped) < count:
        await asyncio.sleep(0.01)


async def test_what_changes_is_told(account: Asking, told: Any) -> None:
    receiver, key = told
    await account.data("POST", ORDER, json={**NEW, "order_no": "N-1"})
    account.okki.mutate("update", "orders", 2_000_000_001, {"name": "改"})
    await account.data("POST", "/v1/invoices/order/remove", params={"order_id": 2_000_000_002})
    await account.data("POST", "/v1/dynamic/trail/push", json=TRAIL)
    await account.data("POST", "/v1/lead/push", json={"name": "nobody wants to know"})
    await settled(account.okki, 4)
    found = sorted(
        (one["biz"][0]["biz_type"], one["biz"][0]["biz_data"])
        for one in (opened(body["data"], key) for body in receiver.got)
    )
    assert found == [
        ("xiaoman.crm.dynamic_trail.create", {"trail_id": 18_000_000_005}),
        ("xiaoman.crm.order.create", {"order_id": 2_000_000_005, "order_no": "N-1"}),
        ("xiaoman.crm.order.delete", {"order_id": 2_000_000_002, "order_no": "SO00000002"}),
        ("xiaoman.crm.order.update", {"order_id": 2_000_000_001, "order_no": "SO00000001"}),
    ]
    assert len({body["message_id"] for body in receiver.got}) == 4 and account.clock.slept == []


async def test_a_message_that_is_not_taken_comes_again_and_is_dropped_then(account: Asking, told: Any) -> None:
    receiver, _ = told
    receiver.answers = [500, 200, 500, 500, 503, 404]
    account.okki.mutate("update", "orders", 2_000_000_001, {"name": "a"})
    await settled(account.okki, 1)
    assert account.clock.slept == [RETRIES[0]] and receiver.got[0]["message_id"] == receiver.got[1]["message_id"]
    account.okki.mutate("update", "orders", 2_000_000_001, {"name": "b"})
    await settled(account.okki, 2)
    assert account.clock.slept == [RETRIES[0], *RETRIES] and account.okki.hooks.delivered == 1
    assert ["HTTP 404" in one for one in account.okki.hooks.dropped] == [True]
    receiver.wrong = True
    account.okki.mutate("update", "orders", 2_000_000_001, {"name": "c"})
    await settled(account.okki, 3)
    assert "message_id" in account.okki.hooks.dropped[1]


async def test_the_configuration_of_events(account: Asking, told: Any) -> None:
    receiver, key = told
    assert (await account.ask("POST", "/v1/webhook", json={"callback_url": "http://x"}))[0] == -1
    shown = await account.data("GET", "/v1/webhook")
    assert (shown["callback_verify"], shown["callback_url"]) == ("0", account.okki.hooks.url)
    await account.data("POST", "/v1/webhook/test")
    assert opened(receiver.got[0]["data"], key)["biz"] == [{"biz_type": TEST, "biz_data": "test-0"}]
    assert (await account.data("GET", "/v1/webhook"))["callback_verify"] == "1"
    receiver.wrong = True
    assert (await account.ask("POST", "/v1/webhook/test"))[0] == -1
    assert (await account.data("POST", "/v1/webhook/regenerate-secret"))["webhook_secret"] != key
    kinds = [one["subscribe_type"] for one in await account.data("GET", "/v1/subscribe")]
    assert kinds == ["crm.order", "crm.dynamic_trail"]
    only = {"subscribe_type": "crm.order", "subscribe_configs": [{"biz_type": "xiaoman.crm.order.delete"}]}
    assert (await account.ask("POST", "/v1/subscribe", json=only))[0] == -1
    await account.data("PUT", "/v1/subscribe/crm.order", json=only)
    assert (await account.data("GET", "/v1/subscribe/crm.order"))["subscribe_config"] == ["xiaoman.crm.order.delete"]
    receiver.wrong, receiver.got = False, []
    account.okki.mutate("update", "orders", 2_000_000_001, {"name": "nobody wants to know"})
    account.okki.mutate("delete", "orders", 2_000_000_001, {})
    await settled(account.okki, 1)
    assert len(receiver.got) == 1
    await account.data("DELETE", "/v1/subscribe/crm.order")
    await account.data("DELETE", "/v1/webhook")
    assert (await account.ask("GET", "/v1/webhook"))[0] == 404
