"""钉钉 as its documents say: the old API (`/gettoken`, `/topapi/…`) and the new one (`/v1.0/…`) on one server; strict.

Sources: the project's reference (tokens, contacts, error codes, limits, callbacks). Chosen here, where that is silent:
a missing token is answered like a bad one; a wrong secret with 40089 (seen in issue threads), in the new API with
HTTP 400 `invalidClientIdOrSecret`; an unknown person or approval is a bad parameter (400002); numbers must be JSON
numbers; a window of time includes both ends, and may be of any length; approvals come oldest first.

Assumed, as the vendor's public SDKs and clients have it, but not in the reference: the approval endpoints of both APIs,
their fields, `nextToken` being a number, `createTime` in UTC to the minute; HTTP 400 `InvalidAuthentication` for a bad
token of the new API; its names of codes for a missing permission (403) and bad parameters (400); the names of the
fields of work notifications beyond their limits. The permissions' own names are this module's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from noria.simulators import wire
from noria.simulators.arguments import add_staff_arguments, made_of
from noria.simulators.dingtalk_data import PROCESS_CODES, Body, approval, department, listed, old_approval, titled, user
from noria.simulators.faults import Fault, Faults, Handler
from noria.simulators.pace import Paces
from noria.simulators.server import Simulator
from noria.simulators.staff import ROOT, make_approvals, make_people, make_units
from noria.simulators.tokens import Tokens
from noria.simulators.wire import answer, truth_route

# What an application may be allowed to do: read departments, read people, send work notifications, use approvals.
PERMISSIONS = frozenset(("departments", "members", "messages", "approvals"))
_HEADER = "x-acs-dingtalk-access-token"
_TASK = 2**53 + 1001


class Refused(wire.Refused):
    """A request that the vendor would refuse: the code and the text of each API, and the new one's HTTP status."""

    def __init__(self, code: int, text: str, *, sub: str = "", name: str = "", status: int = 400) -> None:
        super().__init__(code, text)
        self.sub = sub
        self.name = name
        self.status = status


def _bad(text: str) -> Refused:
    return Refused(400002, f"参数错误: {text}", name="invalidParameter")


def _bad_token() -> Refused:
    return Refused(40014, "不合法的access_token", name="InvalidAuthentication")


def _too_often() -> Refused:
    name = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    return Refused(90018, "您的服务器调用钉钉开放平台当前接口的所有请求都被暂时禁用了", name=name, status=403)


def _not_allowed(permission: str) -> Refused:
    name = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
    return Refused(88, f"应用尚未开通所需的权限: [{permission}]", sub="60011", name=name, status=403)


def _old(refused: Refused) -> web.Response:
    body: Body = {"errcode": refused.code, "errmsg": refused.message, "request_id": "simulated"}
    if refused.sub:
        body |= {"errmsg": "ding talk error", "sub_code": refused.sub, "sub_msg": refused.message}
    return answer(body)


def _new(refused: Refused) -> web.Response:
    body = {"code": refused.name or str(refused.code), "message": refused.message, "requestid": "SIMULATED"}
    return answer(body, status=refused.status)


@dataclass
class _Faults(Faults):
    """Faults answered as the API does whose path they strike."""

    async def _answer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        show = _new if request.path.startswith("/v1.0/") else _old
        self.throttled = lambda _: show(_too_often())
        self.denied = lambda _: show(_bad_token())
        self.business = lambda struck: show(Refused(struck.code, struck.message))
        return await super()._answer(fault, request, handler)


class DingTalk(Simulator):
    """A simulated organization and one application in it. `departments`, `users`, `approvals` are lists that may be
    changed while it runs; `messages` are the work notifications that were taken.

    `per_second`: calls of one API within a second (0: any number); `permissions`: some of `PERMISSIONS`.
    `faults`: `throttle` answers 90018 (new: 403 QpsLimitForAppkeyAndApi), `expire` 40014 (new: 400
    InvalidAuthentication), `business` the fault's code.
    """

    name = "dingtalk"

    def __init__(
        self,
        *,
        app_key: str = "dingdemo",
        app_secret: str = "demo-secret",
        agent_id: int = 3001,
        users: int = 50,
        departments: int = 12,
        approvals: int = 45,
        seed: int = 1,
        token_seconds: float = 7200,
        per_second: int = 0,
        permissions: frozenset[str] = PERMISSIONS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        if permissions - PERMISSIONS:
            raise ValueError(f"no such permission: {sorted(permissions - PERMISSIONS)}; {sorted(PERMISSIONS)}")
        self.app_key = app_key
        self.app_secret = app_secret
        self.agent_id = agent_id
        self.permissions = permissions
        self.now = now
        units = make_units(seed, departments)
        people = make_people(seed, users, units)
        self.departments = [department(unit) for unit in units]
        self.users = [user(person) for person in people]
        self.approvals = [approval(one) for one in make_approvals(seed, approvals, people)]
        self.messages: list[Body] = []
        self.tokens = Tokens(f"dingtalk/{seed}", token_seconds, clock)
        self.pace = Paces(per_second, 1.0, clock)
        self.faults = _Faults(expire=self.tokens.expire)

    def routes(self) -> list[web.RouteDef]:
        """The endpoints of both APIs, and a last one for each that knows nothing."""
        old = {
            "/topapi/v2/department/listsub": (self._listsub, "departments"),
            "/topapi/v2/department/listsubid": (self._listsubid, "departments"),
            "/topapi/v2/department/get": (self._department, "departments"),
            "/topapi/v2/user/list": (self._list, "members"),
            "/topapi/v2/user/get": (self._user, "members"),
            "/topapi/user/listid": (self._listid, "members"),
            "/topapi/user/listsimple": (self._listsimple, "members"),
            "/topapi/message/corpconversation/asyncsend_v2": (self._send, "messages"),
            "/topapi/processinstance/create": (self._apply, "approvals"),
            "/topapi/processinstance/listids": (self._approval_ids, "approvals"),
            "/topapi/processinstance/get": (self._approval, "approvals"),
        }
        return [
            truth_route(lambda kind: self.truth()[kind]),
            web.get("/gettoken", self._token),
            *(web.post(path, self._old_api(told, right)) for path, (told, right) in old.items()),
            web.route("*", "/gettoken", self._unknown),
            web.route("*", "/topapi/{anything:.*}", self._unknown),
            web.post("/v1.0/oauth2/accessToken", self._new_token),
            web.post("/v1.0/workflow/processes/instanceIds/query", self._new_api(self._new_ids)),
            web.get("/v1.0/workflow/processInstances", self._new_api(self._new_approval)),
            web.route("*", "/v1.0/{anything:.*}", self._new_unknown),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            "tokens_issued": self.tokens.issued,
            "users": len(self.users),
            "departments": len(self.departments),
            "approvals": len(self.approvals),
            "messages": self.messages[-100:],
        }

    def truth(self) -> dict[str, list[Body]]:
        """Every distinct person and department as the lists show them; the root is in no list, `department/get`
        alone shows it. Approvals as `processinstance/get` shows them."""
        departments = [listed(row) for row in self.departments if row["dept_id"] != ROOT]
        approvals = [{"process_instance_id": one["id"], **old_approval(one)} for one in self.approvals]
        return {"users": [dict(row) for row in self.users], "departments": departments, "approvals": approvals}

    # --- tokens

    async def _token(self, request: web.Request) -> web.Response:
        if not self.pace.takes(request.path):
            return self._refuse(request, _too_often(), _old)
        asked = (request.query.get("appkey"), request.query.get("appsecret"))
        if asked != (self.app_key, self.app_secret):
            return self._refuse(request, Refused(40089, "不合法的corpId或corpSecret"), _old)
        token, seconds = self.tokens.give(renew=True)
        return answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": seconds})

    async def _new_token(self, request: web.Request) -> web.Response:
        try:
            if not self.pace.takes(request.path):
                raise _too_often()
            body = await _json(request)
            if (body.get("appKey"), body.get("appSecret")) != (self.app_key, self.app_secret):
                raise Refused(40089, "无效的clientId或者clientSecret", name="invalidClientIdOrSecret")
        except Refused as refused:
            return self._refuse(request, refused, _new)
        token, seconds = self.tokens.give(renew=True)
        return answer({"accessToken": token, "expireIn": seconds})

    # --- the old API

    def _old_api(self, told: Callable[[Body], Body], right: str) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._admit(request, request.query.get("access_token", ""), right)
                try:
                    body = await _json(request)
                except Refused as refused:
                    raise _bad(refused.message) from refused
                return answer({"errcode": 0, "errmsg": "ok", **told(body), "request_id": "simulated"})
            except Refused as refused:
                return self._refuse(request, refused, _old)

        return handle

    def _admit(self, request: web.Request, token: str, right: str) -> None:
        """Raise `Refused` for a caller with a bad token, without the permission, or too often here."""
        if not self.tokens.holds(token):
            raise _bad_token()
        if not self.pace.takes(request.path):
            raise _too_often()
        if right not in self.permissions:
            raise _not_allowed(right)

    def _refuse(self, request: web.Request, refused: Refused, show: Callable[[Refused], web.Response]) -> web.Response:
        self.refused.append(f"{request.path} {refused.code} {refused.message}")
        return show(refused)

    async def _unknown(self, request: web.Request) -> web.Response:
        return self._refuse(request, Refused(22, "Invalid method"), _old)

    def _listsub(self, body: Body) -> Body:
        return {"result": [listed(row) for row in self._children(body)]}

    def _listsubid(self, body: Body) -> Body:
        return {"result": {"dept_id_list": [row["dept_id"] for row in self._children(body)]}}

    def _department(self, body: Body) -> Body:
        _text(body, "language", "zh_CN")
        return {"result": self._find(_integer(body, "dept_id"))}

    def _children(self, body: Body) -> list[Body]:
        _text(body, "language", "zh_CN")
        parent = _integer(body, "dept_id", ROOT)
        self._find(parent)
        return [row for row in self.departments if row.get("parent_id") == parent]

    def _find(self, number: int) -> Body:
        for row in self.departments:
            if row["dept_id"] == number:
                return row
        raise Refused(60003, "部门不存在")

    def _list(self, body: Body) -> Body:
        _text(body, "language", "zh_CN")
        _text(body, "order_field", "custom")
        return self._page(body, lambda row: row)

    def _listsimple(self, body: Body) -> Body:
        return self._page(body, lambda row: {"userid": row["userid"], "name": row["name"]})

    def _page(self, body: Body, show: Callable[[Body], Body]) -> Body:
        _truth(body, "contain_access_limit")
        cursor, size = _integer(body, "cursor", low=0), _integer(body, "size", low=1, high=100)
        members = self._members(_integer(body, "dept_id"))
        part = [show(row) for row in members[cursor : cursor + size]]
        if cursor + size < len(members):
            return {"result": {"has_more": True, "next_cursor": cursor + size, "list": part}}
        return {"result": {"has_more": False, "list": part}}

    def _listid(self, body: Body) -> Body:
        members = self._members(_integer(body, "dept_id"))
        return {"result": {"userid_list": [row["userid"] for row in members]}}

    def _members(self, number: int) -> list[Body]:
        """Who is in a department itself."""
        self._find(number)
        return [row for row in self.users if number in row["dept_id_list"]]

    def _user(self, body: Body) -> Body:
        _text(body, "language", "zh_CN")
        userid = _text(body, "userid")
        for row in self.users:
            if row["userid"] == userid:
                return {"result": row}
        raise _bad("userid 不存在")

    def _send(self, body: Body) -> Body:
        if _integer(body, "agent_id") != self.agent_id:
            raise _bad("agent_id 不属于该应用")
        people = _names(body, "userid_list", 100)
        departments = _names(body, "dept_id_list", 20)
        everyone = _truth(body, "to_all_user")
        if not (people or departments or everyone):
            raise _bad("userid_list, dept_id_list, to_all_user 不能同时为空")
        msg = body.get("msg")
        kind = msg.get("msgtype") if isinstance(msg, dict) else None
        if not isinstance(msg, dict) or not isinstance(kind, str) or not isinstance(msg.get(kind), dict):
            raise _bad("msg 须为对象，含 msgtype 及同名内容")
        if kind == "text" and not _text(msg["text"], "content"):
            raise _bad("msg.text.content 不能为空")
        task = _TASK + 2 * len(self.messages)
        self.messages.append(
            {"task_id": task, "users": people, "departments": departments, "everyone": everyone, "msg": msg}
        )
        return {"task_id": task}

    def _apply(self, body: Body) -> Body:
        code = _code(body, "process_code")
        userid, dept = _text(body, "originator_user_id"), _integer(body, "dept_id")
        values = body.get("form_component_values")
        if userid not in {row["userid"] for row in self.users}:
            raise _bad("originator_user_id 不存在")
        if not isinstance(values, list) or not all(_is_field(one) for one in values):
            raise _bad("form_component_values 须为 {name, value} 的数组，值为文本")
        number = len(self.approvals)
        made = {
            "id": f"simulated-new-{number:06d}",
            "business_id": f"NEW{number:09d}",
            "process_code": code,
            "title": titled(userid, code),
            "at": int(self.now()),
            "userid": userid,
            "dept_id": dept,
            "status": "RUNNING",
            "result": "",
            "values": [{"name": one["name"], "value": one["value"]} for one in values],
        }
        self.approvals.append(made)
        return {"process_instance_id": made["id"]}

    def _approval_ids(self, body: Body) -> Body:
        start = _integer(body, "start_time", low=0)
        end = _integer(body, "end_time", int(self.now() * 1000))
        cursor, size = _integer(body, "cursor", low=0), _integer(body, "size", low=1, high=20)
        people = _names(body, "userid_list", 10)
        rows = self._within(_code(body, "process_code"), start, end, people)
        part: Body = {"list": [row["id"] for row in rows[cursor : cursor + size]]}
        if cursor + size < len(rows):
            part["next_cursor"] = cursor + size
        return {"result": part}

    def _within(self, code: str, start: int, end: int, people: list[str]) -> list[Body]:
        """The approvals of a form that were applied for within a time (milliseconds), oldest first."""
        if end < start:
            raise _bad("结束时间早于开始时间")
        return [
            row
            for row in self.approvals
            if row["process_code"] == code
            and start <= row["at"] * 1000 <= end
            and (not people or row["userid"] in people)
        ]

    def _approval(self, body: Body) -> Body:
        return {"process_instance": old_approval(self._applied(_text(body, "process_instance_id")))}

    def _applied(self, wanted: str) -> Body:
        for row in self.approvals:
            if row["id"] == wanted:
                return row
        raise _bad("审批实例不存在")

    # --- the new API

    def _new_api(self, told: Callable[[web.Request], Awaitable[Body]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._admit(request, request.headers.get(_HEADER, ""), "approvals")
                return answer({"result": await told(request), "success": True})
            except Refused as refused:
                return self._refuse(request, refused, _new)

        return handle

    async def _new_ids(self, request: web.Request) -> Body:
        body = await _json(request)
        start = _integer(body, "startTime", low=0)
        end = _integer(body, "endTime", int(self.now() * 1000))
        token, size = _integer(body, "nextToken", low=0), _integer(body, "maxResults", low=1, high=20)
        people = body.get("userIds", [])
        if not isinstance(people, list):
            raise _bad("userIds")
        rows = self._within(_code(body, "processCode"), start, end, people)
        part: Body = {"list": [row["id"] for row in rows[token : token + size]]}
        if token + size < len(rows):
            part["nextToken"] = token + size
        return part

    async def _new_approval(self, request: web.Request) -> Body:
        row = self._applied(request.query.get("processInstanceId", ""))
        return {
            "title": row["title"],
            "createTime": datetime.fromtimestamp(row["at"], UTC).strftime("%Y-%m-%dT%H:%MZ"),
            "status": row["status"],
            "result": row["result"],
            "businessId": row["business_id"],
            "originatorUserId": row["userid"],
            "originatorDeptId": str(row["dept_id"]),
            "formComponentValues": row["values"],
        }

    async def _new_unknown(self, request: web.Request) -> web.Response:
        name = "InvalidAction.NotFound"
        return self._refuse(request, Refused(22, "Specified api is not found", name=name, status=404), _new)


# --- what is sent


async def _json(request: web.Request) -> Body:
    """The body; raises `Refused` for one that is not a JSON object sent as such."""
    try:
        if request.content_type != "application/json":
            raise ValueError("content type")
        found = msgspec.json.decode(await request.read())
    except ValueError as error:
        raise Refused(400002, "body 须为 JSON", name="MissingBody") from error
    if not isinstance(found, dict):
        raise Refused(400002, "body 须为 JSON 对象", name="MissingBody")
    return found


def _integer(body: Body, name: str, default: int | None = None, *, low: int | None = None, high: int = 2**63) -> int:
    value = body.get(name, default)
    if type(value) is not int or (low is not None and value < low) or value > high:
        raise _bad(name)
    return value


def _text(body: Body, name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise _bad(name)
    return value


def _truth(body: Body, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise _bad(name)
    return value


def _names(body: Body, name: str, most: int) -> list[str]:
    """What a text joined by commas names."""
    found = [one for one in _text(body, name, "").split(",") if one]
    if len(found) > most:
        raise _bad(f"{name} 最多 {most} 个")
    return found


def _code(body: Body, name: str) -> str:
    code = _text(body, name)
    if code not in PROCESS_CODES:
        raise _bad(f"{name} 不存在")
    return code


def _is_field(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("value"), str)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `dingtalk` takes."""
    parser.add_argument("--app-key", default="dingdemo")
    parser.add_argument("--app-secret", default="demo-secret")
    parser.add_argument("--agent-id", type=int, default=3001)
    add_staff_arguments(parser, users=50, departments=12, approvals=45)
    parser.add_argument("--per-second", type=int, default=20, help="calls of one API within a second; 0: any number")


def from_arguments(chosen: argparse.Namespace) -> DingTalk:
    """The organization that the arguments describe."""
    return made_of(DingTalk, chosen)
