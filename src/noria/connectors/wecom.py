"""Connector `wecom`: 企业微信, its contacts, approvals, messages to people, and group robots.

Sources: the vendor's documents on tokens (91039), departments (90344), people (96260, 96259, 96067), limits (90454),
robots (91770) and global error codes, as restated in the project's reference; approvals as public clients have them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.auth import Declared, with_added
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Detail, Endpoint
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Rates, Write, within
from noria.connectors.source import Source
from noria.connectors.transport import Request
from noria.metadata.clock import Clock
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor

ROBOT = "/cgi-bin/webhook/send"
_DEPARTMENTS = "/cgi-bin/department/list"
_APPROVALS = "/cgi-bin/oa/getapprovalinfo"
_LIMITS = Limits(vendor="wecom", endpoints={ROBOT: Rates(per_minute=20)})


class WeComSettings(msgspec.Struct, kw_only=True):
    """A connection to an application of 企业微信, to its contacts sync, or to a group robot."""

    connector: Annotated[str, Meta(description="连接器 | wecom")] = "wecom"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "https://qyapi.weixin.qq.com"
    )
    corpid: Annotated[str, Meta(description="企业 ID | the corporation's id")] = ""
    corpsecret: Annotated[
        str, Meta(description="应用的 Secret，或通讯录同步的 | the application's secret, or that of contacts sync")
    ] = ""
    robot_key: Annotated[str, Meta(description="群机器人 Webhook 地址中的 key | key in a group robot's address")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商公布的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Keys(Declared):
    """The application's token in the query; a robot has its key instead."""

    def __init__(self, own: WeComSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(settings.auth, redactor, clock, without=ROBOT)
        self._robot_key = own.robot_key

    def dress(self, request: Request, now: float) -> Request:
        """With what its path wants."""
        if request.path.startswith(ROBOT):
            return with_added(request, {}, {"key": self._robot_key})
        return super().dress(request, now)


class _Lists(Source):
    """The list of approvals takes its times as texts of seconds."""

    def asks(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if self.metadata.api == _APPROVALS:
            times = {name: str(request[name]) for name in ("starttime", "endtime") if name in request}
            request = request | times
        return super().asks(request)


def _to_http(own: WeComSettings) -> HttpSettings:
    return HttpSettings(
        connector="wecom",
        base_url=own.base_url,
        timezone=own.timezone,
        auth=Auth(
            type="token",
            token_url="/cgi-bin/gettoken",
            token_method="GET",
            request={"corpid": own.corpid, "corpsecret": own.corpsecret},
            sent_in="query",
            name="access_token",
            expires_in=7200,
        ),
        envelope=Envelope(
            code="errcode",
            success=[0],
            message="errmsg",
            expired=[42001, 40014],
            throttled=[45009, 45033],
            # A minute's limit blocks for a minute.
            waits={"45009": 60},
            doubt=[-1],
        ),
        limits=within(own.limits, _LIMITS),
        write=Write(batch_size=1),
    )


def _by_department(path: str, name: str) -> Endpoint:
    """People of one department, read for every department that the application sees."""
    split = Split(param="department_id", api=_DEPARTMENTS, value="id")
    return Endpoint(path, "GET", name, reads="list", records="userlist", split=split, id="userid", number="name")


ENDPOINTS = (
    Endpoint(_DEPARTMENTS, "GET", "部门列表", reads="list", records="department", id="id", number="name"),
    Endpoint(
        "/cgi-bin/department/simplelist",
        "GET",
        "子部门 ID 列表",
        reads="list",
        records="department_id",
        id="id",
        number="id",
    ),
    _by_department("/cgi-bin/user/list", "部门成员详情"),
    _by_department("/cgi-bin/user/simplelist", "部门成员"),
    Endpoint(
        "/cgi-bin/user/list_id",
        "POST",
        "成员 ID 列表（通讯录同步）",
        reads="list",
        records="dept_user",
        paging=Paging(type="cursor", cursor_param="cursor", next="next_cursor", size_param="limit", size=10_000),
        # Somebody in two departments is two rows.
        id="userid,department",
        number="userid",
    ),
    Endpoint(
        "/cgi-bin/oa/getapprovaldetail",
        "POST",
        "审批申请",
        reads="list",
        records="sp_no_list",
        # A list shows 31 days at most.
        split=Split(window="30d"),
        paging=Paging(
            type="cursor",
            cursor_param="new_cursor",
            cursor_start="",
            next="new_next_cursor",
            size_param="size",
            size=100,
        ),
        list=_APPROVALS,
        detail=Detail(api="/cgi-bin/oa/getapprovaldetail", param="sp_no", records="info"),
        id="sp_no",
        number="sp_no",
    ),
    Endpoint("/cgi-bin/message/send", "POST", "应用消息"),
    Endpoint(ROBOT, "POST", "群机器人消息"),
)

WECOM = Connector(
    name="wecom",
    title=("企业微信", "WeCom"),
    settings_type=WeComSettings,
    to_http=_to_http,
    check=needs("wecom", ("corpid", "corpsecret"), ("robot_key",)),
    endpoints=ENDPOINTS,
    authenticate=_Keys,
    source_type=_Lists,
)
