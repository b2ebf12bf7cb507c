"""Connector `feishu`: 飞书, its contacts and its group robots.

Sources: the vendor's pages on custom robots and the application's token, as restated in the project's reference;
contacts (paths, parameters, codes of errors) from its public documents as generally known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from noria.connectors.auth import Declared
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.forms import hmac_sha256
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Rates, Write, within
from noria.connectors.transport import Request
from noria.metadata.clock import Clock
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor

ROBOT = "/open-apis/bot/v2/hook"
_CONTACT = "/open-apis/contact/v3"
_ROOT = "0"
_LIMITS = Limits(endpoints={ROBOT: Rates(per_second=5, per_minute=100)})


class FeishuSettings(msgspec.Struct, kw_only=True):
    """A connection to an application of 飞书, or to one of its group robots."""

    connector: Annotated[str, Meta(description="连接器 | feishu")] = "feishu"
    base_url: Annotated[
        str, Meta(min_length=1, description="服务地址；Lark 为 open.larksuite.com | address; Lark has another")
    ] = "https://open.feishu.cn"
    app_id: Annotated[str, Meta(description="应用的 App ID | the application's App ID")] = ""
    app_secret: Annotated[str, Meta(description="应用的 App Secret | its App Secret")] = ""
    robot_token: Annotated[
        str, Meta(description="群机器人 Webhook 地址的最后一段 | the last part of a group robot's address")
    ] = ""
    robot_secret: Annotated[str, Meta(description="群机器人的签名密钥 | the secret its messages are signed with")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商公布的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Keys(Declared):
    """The tenant's token as a bearer; a robot has its own in its address, and messages that are signed."""

    def __init__(self, own: FeishuSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(settings.auth, redactor, clock, without=ROBOT)
        self.own = own

    def dress(self, request: Request, now: float) -> Request:
        """With what its path wants; a robot's signature is part of the message."""
        if not request.path.startswith(ROBOT):
            return super().dress(request, now)
        request = replace(request, path=f"{ROBOT}/{self.own.robot_token}")
        if not self.own.robot_secret:
            return request
        stamp = str(int(now))
        message = msgspec.json.decode(request.body or b"{}", type=dict[str, msgspec.Raw])
        signed = {**message, "timestamp": stamp, "sign": robot_sign(self.own.robot_secret, stamp)}
        return replace(request, body=msgspec.json.encode(signed))


def robot_sign(secret: str, stamp: str) -> str:
    """A robot's signature at a time (seconds): time and secret are the key, and nothing is signed with it."""
    return hmac_sha256(f"{stamp}\n{secret}", "")


def _to_http(own: FeishuSettings) -> HttpSettings:
    return HttpSettings(
        connector="feishu",
        base_url=own.base_url,
        timezone=own.timezone,
        auth=Auth(
            type="token",
            token_url="/open-apis/auth/v3/tenant_access_token/internal",
            request={"app_id": own.app_id, "app_secret": own.app_secret},
            body="json",
            token_path="tenant_access_token",
            expires_path="expire",
            sent_in="bearer",
            expires_in=7200,
        ),
        envelope=Envelope(
            records="data.items",
            code="code",
            success=[0],
            message="msg",
            # Errors of contacts come with HTTP 400, those of too many requests with 429.
            expired=[99991663],
            throttled=[99991400, 11232],
        ),
        paging=Paging(
            type="cursor",
            cursor_param="page_token",
            next="data.page_token",
            more="data.has_more",
            size_param="page_size",
            size=50,
        ),
        limits=within(own.limits, _LIMITS),
        write=Write(batch_size=1),
    )


ENDPOINTS = (
    Endpoint(
        f"{_CONTACT}/departments/{{department_id}}/children",
        "GET",
        "子部门列表",
        reads="list",
        id="open_department_id",
        number="name",
    ),
    Endpoint(
        f"{_CONTACT}/users/find_by_department",
        "GET",
        "部门直属用户",
        reads="list",
        # People of the root itself, and of every department below it.
        split=Split(
            param="department_id",
            values=[_ROOT],
            api=f"{_CONTACT}/departments/{_ROOT}/children",
            request={"fetch_child": "true"},
            value="open_department_id",
        ),
        id="open_id",
        number="name",
    ),
    Endpoint(ROBOT, "POST", "群机器人消息"),
)

FEISHU = Connector(
    name="feishu",
    title=("飞书", "Feishu / Lark"),
    settings_type=FeishuSettings,
    to_http=_to_http,
    check=needs("feishu", ("app_id", "app_secret"), ("robot_token",)),
    endpoints=ENDPOINTS,
    authenticate=_Keys,
)
