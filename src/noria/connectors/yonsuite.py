"""Connector `yonsuite`: 用友 YonSuite (YonBIP), its order list and its saves.

Sources: clients of apigateway.yonyoucloud.com and the vendor's terms for sales orders, as restated in the project's
reference; what a save says of single documents as the project's simulator has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.auth import Fetched, Token, with_added
from noria.connectors.batches import Batches
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.forms import hmac_sha256
from noria.connectors.settings import Envelope, HttpSettings, Limits, Paging, Write, within
from noria.connectors.target import Row
from noria.connectors.transport import Answer, Request, Transport
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.paths import at
from noria.metadata.secrets import Redactor
from noria.metadata.validation import is_web_address

KEY = "resubmitCheckKey"
_LOOKUP = "/open-auth/dataCenter/getGatewayAddress"
_TOKEN = "/open-auth/selfAppAuth/base/v1/getAccessToken"
_TOKEN_SECONDS = 7200.0
# Numbers that a document may go by in a result are looked for in this order.
_NAMES = ("code", KEY)


class YonSuiteSettings(msgspec.Struct, kw_only=True):
    """A connection to a tenant of 用友 YonSuite, as one of its own applications."""

    connector: Annotated[str, Meta(description="连接器 | yonsuite")] = "yonsuite"
    base_url: Annotated[
        str,
        Meta(
            min_length=1,
            description="有 tenant_id 时查询网关的地址，否则网关本身的地址"
            " | where the gateway is looked up, with a tenant_id; else the gateway itself",
        ),
    ] = "https://apigateway.yonyoucloud.com"
    tenant_id: Annotated[str, Meta(description="租户 ID，用于查询网关 | the tenant's id, to look up its gateway")] = ""
    auth_url: Annotated[
        str, Meta(description="没有 tenant_id 时取令牌的地址，缺省同 base_url | where tokens are, without a tenant_id")
    ] = ""
    app_key: Annotated[str, Meta(description="自建应用的 appKey | the application's appKey")] = ""
    app_secret: Annotated[str, Meta(description="它的 appSecret | its appSecret")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商公布的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Keys(Fetched):
    """A token that is asked for with a signature, where the tenant's gateway says; then in the query."""

    def __init__(self, own: YonSuiteSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(redactor, clock, _TOKEN_SECONDS)
        self.own = own
        # Of the business calls and of tokens; empty: under `base_url`.
        self._gateway, self._tokens = "", own.auth_url.rstrip("/")

    async def asked(self, transport: Transport) -> Token:
        """A token, after the gateway's address where that isn't known yet."""
        if self.own.tenant_id and not self._gateway:
            await self._look_up(transport)
        stamp = str(int(self.clock.now() * 1000))
        signature = token_sign(self.own.app_key, self.own.app_secret, stamp)
        form = {"appKey": self.own.app_key, "timestamp": stamp, "signature": signature}
        reply = await self.reply(transport, "GET", self._tokens + _TOKEN, form)
        return self.token_in(reply, "data.access_token", "data.expire")

    async def _look_up(self, transport: Transport) -> None:
        reply = await self.reply(transport, "GET", _LOOKUP, {"tenantId": self.own.tenant_id})
        gateway, tokens = at(reply, "data.gatewayUrl"), at(reply, "data.tokenUrl")
        for address in (gateway, tokens):
            downgraded = self.own.base_url.startswith("https:") and not str(address).startswith("https:")
            if not is_web_address(str(address)) or downgraded:
                raise self.refused(msgspec.json.encode(reply), None)
            transport.reaches(address)
        self._gateway, self._tokens = gateway.rstrip("/"), tokens.rstrip("/")

    def dress(self, request: Request, now: float) -> Request:
        """With the token, to the gateway."""
        dressed = with_added(request, {}, {"access_token": self._token})
        return replace(dressed, path=f"{self._gateway}/{request.path.lstrip('/')}") if self._gateway else dressed


def token_sign(app_key: str, app_secret: str, stamp: str) -> str:
    """The signature of a request for a token at a time (milliseconds), not yet percent-encoded."""
    return hmac_sha256(app_secret, f"appKey{app_key}timestamp{stamp}")


class _Saves(Batches):
    """A save is answered with 200 also where documents of it were refused."""

    def _results(self, answer: Answer, rows: Sequence[Row]) -> list[Message | None]:
        """Each document's result, by what the messages call it: its code, else its key, else its place."""
        results = super()._results(answer, rows)
        data = at(msgspec.json.decode(answer.body), "data")
        failed = at(data, "failCount") if isinstance(data, dict) else 0
        if not isinstance(failed, int) or not failed:
            return results
        said = {str(one.get("key")): str(one.get("message")) for one in _objects(data, "messages")}
        names = [_named(row, place) for place, row in enumerate(rows)]
        if failed >= len(rows):
            rest = "; ".join(said.values()) or self.transport.excerpt(answer.body)
            return [self.refusal(said.get(name, rest)) for name in names]
        saved = {str(one.get("code")) for one in _objects(data, "infos")}
        # Where not every failure has a row's name, who has none may be one of them.
        clear = len(said.keys() & set(names)) >= failed
        unsaid = [None if clear or name in saved else Message("reason.no_result") for name in names]
        return [self.refusal(said[name]) if name in said else one for name, one in zip(names, unsaid, strict=True)]


def _objects(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _named(row: Row, place: int) -> str:
    """What results call a row."""
    payload = msgspec.json.decode(row.payload)
    found = [payload[name] for name in _NAMES if payload.get(name)] if isinstance(payload, dict) else []
    return str(found[0]) if found else str(place)


def _to_http(own: YonSuiteSettings) -> HttpSettings:
    return HttpSettings(
        connector="yonsuite",
        base_url=own.base_url,
        timezone=own.timezone,
        envelope=Envelope(
            records="data.recordList",
            total="data.recordCount",
            # A text in lists, a number in saves.
            code="code",
            success=[200],
            message="message",
            expired=[310036],
            throttled=[310032, 310039, 310042, 310046],
        ),
        paging=Paging(type="page", page_param="pageIndex", size_param="pageSize", first=1, size=100),
        limits=within(own.limits, Limits(vendor="yonsuite")),
        write=Write(batch_size=1),
    )


ENDPOINTS = (
    Endpoint("/yonbip/sd/voucherorder/list", "POST", "销售订单列表", reads="list", id="id", number="code"),
    Endpoint(
        "/yonbip/scm/salesout/save",
        "POST",
        "销售出库保存",
        write=Write(batch_size=50, batch_key="data", idempotency_field=KEY),
    ),
)

YONSUITE = Connector(
    name="yonsuite",
    title=("用友 YonSuite", "Yonyou YonSuite"),
    settings_type=YonSuiteSettings,
    to_http=_to_http,
    check=needs("yonsuite", ("app_key", "app_secret")),
    endpoints=ENDPOINTS,
    authenticate=_Keys,
    target_type=_Saves,
    hosts=lambda own: (own.auth_url,) if own.auth_url else (),
)
