"""Connector `dingtalk`: 钉钉, the old API (`/topapi/…`), the new one (`/v1.0/…`) and group robots.

Sources: the vendor's pages on tokens, contacts, robots, throttling and global error codes, as restated in the project's
reference; approvals as public clients have them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.auth import Authentication, Declared, with_added
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Detail, Endpoint
from noria.connectors.forms import hmac_sha256
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Rates, Write, within
from noria.connectors.transport import Request, Transport
from noria.metadata.clock import Clock
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor

ROBOT = "/robot/send"
_NEW = "/v1.0/"
_DEPARTMENTS = "/topapi/v2/department/listsub"
_ROOT = 1
_LIMITS = Limits(vendor="dingtalk", endpoints={ROBOT: Rates(per_minute=20)})


class DingTalkSettings(msgspec.Struct, kw_only=True):
    """A connection to an application of 钉钉, or to one of its group robots."""

    connector: Annotated[str, Meta(description="连接器 | dingtalk")] = "dingtalk"
    base_url: Annotated[str, Meta(min_length=1, description="旧版接口地址 | address of the old API")] = (
        "https://oapi.dingtalk.com"
    )
    api_url: Annotated[str, Meta(min_length=1, description="新版接口地址 | address of the new API")] = (
        "https://api.dingtalk.com"
    )
    app_key: Annotated[str, Meta(description="应用的 AppKey（Client ID） | the application's AppKey")] = ""
    app_secret: Annotated[str, Meta(description="应用的 AppSecret | its AppSecret")] = ""
    robot_token: Annotated[str, Meta(description="群机器人的 access_token | a group robot's access_token")] = ""
    robot_secret: Annotated[str, Meta(description="群机器人的加签密钥 | the secret its messages are signed with")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商公布的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Keys(Authentication):
    """A token of each API, asked for when it is needed first; a robot's messages are signed instead."""

    def __init__(self, own: DingTalkSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        self.own = own
        self._old, self._new = (Declared(auth, redactor, clock, without=ROBOT) for auth in _auths(own))

    def _of(self, path: str) -> Declared:
        return self._new if _NEW in path else self._old

    async def token(self, transport: Transport, path: str) -> str | None:
        """The token of the path's API; a robot has its own."""
        return await self._of(path).token(transport, path)

    def renew(self, refused: str | None) -> bool:
        """Forget the one that was refused, of whichever API."""
        self._new.renew(refused)
        return self._old.renew(refused)

    def dress(self, request: Request, now: float) -> Request:
        """With the token where its API wants it, on its API's host; a robot's message with its signature."""
        if request.path.startswith(ROBOT):
            stamp = str(round(now * 1000))
            signed = {"timestamp": stamp, "sign": robot_sign(self.own.robot_secret, stamp)}
            return with_added(
                request, {}, {"access_token": self.own.robot_token, **(signed if self.own.robot_secret else {})}
            )
        dressed = self._of(request.path).dress(request, now)
        if not request.path.startswith(_NEW):
            return dressed
        return replace(dressed, path=self.own.api_url.rstrip("/") + request.path)


def robot_sign(secret: str, stamp: str) -> str:
    """A robot's signature at a time (milliseconds), not yet percent-encoded."""
    return hmac_sha256(secret, f"{stamp}\n{secret}")


def _auths(own: DingTalkSettings) -> tuple[Auth, Auth]:
    old = Auth(
        type="token",
        token_url="/gettoken",
        token_method="GET",
        request={"appkey": own.app_key, "appsecret": own.app_secret},
        sent_in="query",
        name="access_token",
        expires_in=7200,
    )
    new = Auth(
        type="token",
        token_url=f"{own.api_url.rstrip('/')}/v1.0/oauth2/accessToken",
        request={"appKey": own.app_key, "appSecret": own.app_secret},
        body="json",
        token_path="accessToken",
        expires_path="expireIn",
        sent_in="header",
        name="x-acs-dingtalk-access-token",
        expires_in=7200,
    )
    return old, new


def _to_http(own: DingTalkSettings) -> HttpSettings:
    return HttpSettings(
        connector="dingtalk",
        base_url=own.base_url,
        timezone=own.timezone,
        auth=_auths(own)[0],
        envelope=Envelope(
            records="result.list|result",
            # The new API has no code where all is well, and answers errors with their HTTP status.
            code="errcode|code|status",
            success=[0],
            message="sub_msg|errmsg|message",
            expired=[40014, 42001, "InvalidAuthentication"],
            throttled=[
                90018,
                90002,
                90030,
                130101,
                1111,
                "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
            ],
            # A robot is silenced for ten minutes, an address for five.
            waits={"90018": 1, "130101": 600, "1111": 300},
            doubt=[-1],
        ),
        limits=within(own.limits, _LIMITS),
        write=Write(batch_size=1),
    )


def _by_department(api: str, **more: Any) -> Endpoint:
    """A list of one department's own people, read for every department there is."""
    split = Split(param="dept_id", values=[_ROOT], api=_DEPARTMENTS, method="POST", value="dept_id", below="dept_id")
    return Endpoint(api, "POST", reads="list", split=split, **more)


_PAGES = Paging(type="cursor", cursor_param="cursor", next="result.next_cursor", cursor_start=0, size_param="size")
_USERS = msgspec.structs.replace(_PAGES, more="result.has_more", size=100)
_APPROVALS = msgspec.structs.replace(_PAGES, size=20)
_NEW_ENVELOPE = Envelope(records="result.list", code="", message="message")
_NEW_PAGES = Paging(
    type="cursor", cursor_param="nextToken", next="result.nextToken", cursor_start=0, size_param="maxResults", size=20
)

ENDPOINTS = (
    _by_department(_DEPARTMENTS, name="部门列表", records="result", id="dept_id", number="name"),
    _by_department(
        "/topapi/v2/user/list", name="部门用户详情", records="result.list", paging=_USERS, id="userid", number="name"
    ),
    _by_department(
        "/topapi/user/listsimple", name="部门用户", records="result.list", paging=_USERS, id="userid", number="name"
    ),
    _by_department(
        "/topapi/v2/user/get",
        name="用户详情",
        records="result.userid_list",
        list="/topapi/user/listid",
        detail=Detail(api="/topapi/v2/user/get", param="userid", records="result", gone=(60121,)),
        id="userid",
        number="name",
    ),
    Endpoint(
        "/topapi/processinstance/get",
        "POST",
        name="审批实例",
        reads="list",
        records="result.list",
        paging=_APPROVALS,
        list="/topapi/processinstance/listids",
        detail=Detail(
            api="/topapi/processinstance/get",
            param="process_instance_id",
            records="process_instance",
            named=True,
        ),
        id="process_instance_id",
        number="title",
    ),
    Endpoint(
        "/v1.0/workflow/processInstances",
        "POST",
        name="审批实例（新版）",
        reads="list",
        envelope=_NEW_ENVELOPE,
        paging=_NEW_PAGES,
        list="/v1.0/workflow/processes/instanceIds/query",
        detail=Detail(
            api="/v1.0/workflow/processInstances",
            method="GET",
            param="processInstanceId",
            records="result",
            named=True,
        ),
        id="processInstanceId",
        number="title",
    ),
    Endpoint("/topapi/message/corpconversation/asyncsend_v2", "POST", name="工作通知"),
    Endpoint("/topapi/processinstance/create", "POST", name="发起审批"),
    Endpoint(ROBOT, "POST", name="群机器人消息"),
)

DINGTALK = Connector(
    name="dingtalk",
    title=("钉钉", "DingTalk"),
    settings_type=DingTalkSettings,
    to_http=_to_http,
    check=needs("dingtalk", ("app_key", "app_secret"), ("robot_token",)),
    endpoints=ENDPOINTS,
    authenticate=_Keys,
    hosts=lambda own: (own.api_url,),
)
