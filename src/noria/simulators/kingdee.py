"""金蝶云星空 as its documents say: sessions or signed requests, queries that answer arrays, bills saved row by row.

Sources: vip.kingdee.com, the vendor's SDK (PyPI `kingdee.cdp.webapi.sdk` 8.2.0). What those leave open is
chosen here, as strictly as can be: a session is lost when unused for 20 minutes; a signed request's timestamp may be 5
minutes off; a wrong signature is ErrorCode 500 with MsgCode 0; `Limit` above 2000 is refused, and without `Limit` at
most 10,000 rows come; a FilterString has comparisons (`>= <= = > <` and `in`) joined by `and`, nothing else; forms
are those of `kingdee_data`; a batch saves the rows that are right, and is no success when one isn't; a model that
names its id updates that bill, one with a number that is taken is refused; only audited base data may be used.
`IsDeleteEntry` drops unsent lines only where the entry itself was sent.

Not here: asynchronous saves (`beginmethod`), Push, Allocate, Draft, attachments, reports.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.books import poisoned, rejected, shaken
from noria.simulators.faults import Fault, Faults
from noria.simulators.kingdee_bills import STEPS, Bill, Bills, RowError, flag, flat, get
from noria.simulators.kingdee_data import FORMS, make_rows
from noria.simulators.kingdee_query import select
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused, answer, decoded, md5, same, truth_route, whole

LOST = "会话信息已丢失，请重新登录"
_COOKIE = "kdservice-sessionid"
_SKEW = 300
_XOR = b"0054f397c6234378b09ca7d3e5debce7"
_AUTH = "Kingdee.BOS.WebApi.ServicesStub.AuthService."
_FORM = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService."
_LOGINS = {
    "ValidateUser": ("acctID", "username", "password", "lcid"),
    "LoginByAppSecret": ("acctID", "username", "appId", "appSecret", "lcid"),
}
_QUERIES = ("ExecuteBillQuery", "BillQuery")


class Kingdee(Simulator):
    """A simulated account set. `app_id`, `app_secret`: of the signed requests and of LoginByAppSecret;
    `session_seconds`: how long an unused session lives; `per_minute`: 0 for no limit; `clock`: monotonic seconds;
    `now`: epoch seconds."""

    name = "kingdee"

    def __init__(
        self,
        *,
        acct_id: str = "demo-acct",
        username: str = "demo",
        password: str = "demo-password",
        app_id: str = "100001_QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1",
        app_secret: str = "demo-secret",
        materials: int = 60,
        customers: int = 20,
        outstock: int = 40,
        instock: int = 40,
        seed: int = 1,
        start: str = START,
        days: int = 20,
        session_seconds: float = 1200,
        per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.acct_id = acct_id
        self.username = username
        self.password = password
        self.app_id = app_id
        self.app_secret = app_secret
        self.session_seconds = session_seconds
        self.clock = clock
        self.now = now
        self.rows = make_rows(Samples(seed, start, days), materials, customers, outstock, instock)
        self.bills = Bills(self.rows, now)
        self.stored = self.bills.books.stored
        self.sessions: dict[str, float] = {}
        self.sessions_issued = 0
        self.faults = Faults(
            expire=self.sessions.clear, throttled=_throttled, business=_business, denied=lambda f: _lost(f.at)
        )
        self._pace = Pace(per_minute, 60, clock)

    def routes(self) -> list[web.RouteDef]:
        """The services under `/K3Cloud/`."""
        return [
            truth_route(self.truth),
            web.post("/K3Cloud/" + _AUTH + "{method:[A-Za-z]+}.common.kdsvc", self._login),
            web.post("/K3Cloud/" + _FORM + "{method:[A-Za-z]+}.common.kdsvc", self._call),
        ]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every row of a form, as a query of all its fields shows it; raises `KeyError` for an unknown form."""
        return self.bills.shown(kind)

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            **{name: len(rows) for name, rows in self.rows.items()},
            "bills": {form: len(bills) for form, bills in self.bills.bills.items() if bills},
            "sessions_issued": self.sessions_issued,
            **self.bills.books.state(),
        }

    # --- who asks

    async def _login(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        names = _LOGINS.get(method)
        if names is None:
            return web.Response(status=404)
        given = _parameters(await _json(request), names)
        if given is None or str(given["lcid"]) != "2052":
            return self._no_login(-1, "登录参数错误")
        if given["acctID"] != self.acct_id:
            self.refused.append("wrong acctID")
            return _lost()
        wanted = {"username": self.username, "password": self.password}
        if method == "LoginByAppSecret":
            wanted = {"username": self.username, "appId": self.app_id, "appSecret": self.app_secret}
        if any(given[key] != value for key, value in wanted.items()):
            return self._no_login(0, "用户名或密码错误")
        self.sessions_issued += 1
        session = md5(f"session {self.sessions_issued}")
        self.sessions[session] = self.clock() + self.session_seconds
        context = {"UserName": self.username, "UserLocale": "zh-CN", "SessionId": session}
        reply = answer({"Message": None, "LoginResultType": 1, "Context": context, "KDSVCSessionId": session})
        reply.set_cookie(_COOKIE, session, path="/", httponly=True)
        return reply

    def _no_login(self, result: int, message: str) -> web.Response:
        self.refused.append(message)
        return answer({"Message": message, "LoginResultType": result, "Context": None, "KDSVCSessionId": None})

    def _denied(self, request: web.Request) -> str | None:
        """Why a request has neither a session nor a right signature."""
        session = request.headers.get(_COOKIE) or request.cookies.get(_COOKIE, "")
        if self.clock() < self.sessions.get(session, float("-inf")):
            self.sessions[session] = self.clock() + self.session_seconds
            return None
        if "X-Kd-Signature" not in request.headers:
            return LOST
        return None if self._signed(request) else "签名错误"

    def _signed(self, request: web.Request) -> bool:
        header = request.headers.get
        client, _, hidden = self.app_id.partition("_")
        data, stamp, nonce = header("X-Kd-Appdata", ""), header("x-api-timestamp", ""), header("x-api-nonce", "")
        fixed = {
            "X-Api-ClientID": client,
            "X-Api-Auth-Version": "2.0",
            "x-api-signheaders": "x-api-timestamp,x-api-nonce",
            "X-Kd-Appkey": self.app_id,
        }
        seconds = whole(stamp)
        if any(header(key) != value for key, value in fixed.items()) or not nonce or seconds is None:
            return False
        try:
            said = base64.b64decode(data, validate=True).decode()
        except ValueError:
            return False
        who = [self.acct_id, self.username, "2052"]
        if abs(seconds - self.now()) > _SKEW or said.split(",")[:3] != who or said.count(",") != 3:
            return False
        path = quote(request.path).replace("/", "%2F")
        text = f"POST\n{path}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"
        api = signature(decoded_secret(hidden), text)
        own = signature(self.app_secret, self.app_id + said)
        return same(header("X-Api-Signature", ""), api) and same(header("X-Kd-Signature", ""), own)

    # --- the services

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        denied = self._denied(request)
        if denied is not None:
            self.refused.append(f"{method}: {denied}")
            return _lost(request.path) if denied == LOST else _failed(request.path, denied)
        try:
            if takes(self._pace) is not None:
                raise Refused(500, "请求过于频繁")
            return self._done(request.path, method, await _json(request))
        except Refused as refused:
            self.refused.append(f"{method}: {refused.message}")
            return _failed(request.path, refused.message)

    def _done(self, path: str, method: str, body: Any) -> web.Response:
        form, data = _asked(method, body)
        if method in _QUERIES:
            fields, rows = select(FORMS[form], self.bills.shown(form), data)
            if method == "BillQuery":
                return answer([{field: row.get(field) for field in fields} for row in rows])
            return answer([[row.get(field) for field in fields] for row in rows])
        if method in ("Save", "BatchSave"):
            return answer(self._save(path, form, data, method == "BatchSave"))
        if method == "View":
            return answer(self._view(form, data))
        if method in STEPS:
            return answer(self._steps(form, method, data))
        raise Refused(500, f"服务不存在：{method}")

    def _save(self, path: str, form: str, data: dict[str, Any], batch: bool) -> dict[str, Any]:
        models = data.get("Model")
        if not isinstance(models, list if batch else dict) or not models:
            raise Refused(500, "Model 必须是" + ("数组" if batch else "对象"))
        models = models if isinstance(models, list) else [models]
        ids = [str(get(one, FORMS[form].number)) if isinstance(one, dict) else "" for one in models]
        poison = poisoned(self.faults, path, ids)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        no = rejected(self.faults, path, ids)
        saved: list[tuple[int, Bill]] = []
        errors = []
        for place, model in enumerate(models):
            try:
                if ids[place] in no:
                    raise RowError(FORMS[form].number, no[ids[place]])
                bill = self.bills.save(form, model, data)
                if flag(data, "IsAutoSubmitAndAudit", False):
                    for step in ("Submit", "Audit"):
                        self.bills.step(form, step, "", bill.number)
                saved.append((place, bill))
            except RowError as error:
                self.refused.append(f"{form} {ids[place]}: {error.message}")
                errors.append({"FieldName": error.field, "Message": error.message, "DIndex": place})
        entities = [_entity(bill, place) for place, bill in saved]
        status = _status(errors, shaken(self.faults, path, entities))
        back = [_returned(form, bill, data.get("NeedReturnFields") or []) for _, bill in saved]
        if batch:
            return {"Result": {"ResponseStatus": status, "NeedReturnData": back}}
        named = {"Id": saved[0][1].id, "Number": saved[0][1].number} if saved else {"Id": "", "Number": ""}
        return {"Result": {"ResponseStatus": status, **named, "NeedReturnData": back}}

    def _steps(self, form: str, operation: str, data: dict[str, Any]) -> dict[str, Any]:
        ids, numbers = _texts(data.get("Ids")), _texts(data.get("Numbers"))
        wanted = [("", number) for number in numbers] or [(one, "") for one in ids]
        if not wanted:
            raise Refused(500, "Ids 和 Numbers 不能同时为空")
        entities, errors = [], []
        for place, (bill_id, number) in enumerate(wanted):
            try:
                entities.append(_entity(self.bills.step(form, operation, bill_id, number), place))
            except RowError as error:
                self.refused.append(f"{operation} {number or bill_id}: {error.message}")
                errors.append({"FieldName": error.field, "Message": error.message, "DIndex": place})
        return {"Result": {"ResponseStatus": _status(errors, entities)}}

    def _view(self, form: str, data: dict[str, Any]) -> dict[str, Any]:
        bill = self.bills.find(form, bill_id=str(data.get("Id") or ""), number=str(data.get("Number") or ""))
        if bill is None:
            raise Refused(500, f"单据不存在：{data.get('Number') or data.get('Id')}")
        shown = {**bill.row, "Id": bill.id, FORMS[form].number: bill.number, "DocumentStatus": bill.status}
        return {"Result": {"ResponseStatus": None, "Result": shown}}


def signature(key: str, text: str) -> str:
    """The base64 of the lower-hex HMAC-SHA256, as the vendor's SDK makes it."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().encode()).decode()


def decoded_secret(hidden: str) -> str:
    """The key that the second half of an app id hides; empty unless that has 32 characters."""
    if len(hidden) != 32:
        return ""
    return base64.b64encode(bytes(a ^ b for a, b in zip(base64.b64decode(hidden), _XOR, strict=False))).decode()


async def _json(request: web.Request) -> Any:
    try:
        return decoded(await request.read())
    except ValueError:
        return None


def _parameters(body: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    """What a login names, or lists in `parameters`; None when something is missing."""
    if not isinstance(body, dict):
        return None
    listed = body.get("parameters")
    if listed is not None:
        return dict(zip(names, listed, strict=True)) if isinstance(listed, list) and len(listed) == len(names) else None
    found = {name: get(body, name) for name in names}
    return None if None in found.values() else found


def _asked(method: str, body: Any) -> tuple[str, dict[str, Any]]:
    """The form and the data of a call: `{formid, data}`, `{data}`, or `{parameters: [...]}`; data may be a text."""
    body = body if isinstance(body, dict) else {}
    listed = body.get("parameters")
    if isinstance(listed, list) and listed:
        form, data = (listed[0] if len(listed) > 1 else None), listed[-1]
    else:
        form, data = get(body, "formid"), body.get("data")
    if isinstance(data, str):
        try:
            data = decoded(data)
        except ValueError:
            data = None
    if not isinstance(data, dict):
        raise Refused(500, "data 必须是 JSON 对象")
    form = data.get("FormId") if method in _QUERIES else form or get(data, "formid")
    if form not in FORMS:
        raise Refused(500, f"业务对象不存在：{form}")
    return str(form), data


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return [one.strip() for one in str(value).split(",")] if value else []


def _entity(bill: Bill, place: int) -> dict[str, Any]:
    return {"Id": bill.id, "Number": bill.number, "DIndex": place}


def _returned(form: str, bill: Bill, fields: list[str]) -> dict[str, Any]:
    first = flat(FORMS[form], bill)[0]
    return {field: first.get(FORMS[form].named.get(str(field).lower(), "")) for field in fields}


def _status(errors: list[Any], entities: list[Any], code: int = 500, msg_code: int = 0) -> dict[str, Any]:
    return {
        **({"ErrorCode": code} if errors else {}),
        "IsSuccess": not errors,
        "Errors": errors,
        "SuccessEntitys": entities,
        "SuccessMessages": [],
        "MsgCode": msg_code,
    }


def _failed(path: str, message: str, code: int = 500, msg_code: int = 0) -> web.Response:
    """A whole call that failed; queries answer it as a nested list."""
    errors = [{"FieldName": None, "Message": message, "DIndex": 0}]
    result: Any = {"Result": {"ResponseStatus": _status(errors, [], code, msg_code)}}
    return answer([[result]] if path.endswith("BillQuery.common.kdsvc") else result)


def _lost(path: str = "") -> web.Response:
    return _failed(path, LOST, 500, 1)


def _throttled(fault: Fault) -> web.Response:
    return _failed(fault.at, "请求过于频繁")


def _business(fault: Fault) -> web.Response:
    """A message that begins with `response_error:` is the whole body, as the vendor's SDK expects some to be."""
    if fault.message.startswith("response_error:"):
        return web.Response(text=fault.message)
    return _failed(fault.at, fault.message, fault.code)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `kingdee` takes."""
    parser.add_argument("--acct-id", default="demo-acct")
    parser.add_argument("--username", default="demo")
    parser.add_argument("--password", default="demo-password")
    parser.add_argument("--app-id", default="100001_QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1")
    parser.add_argument("--app-secret", default="demo-secret")
    parser.add_argument("--session-seconds", type=float, default=1200, help="how long an unused session lives")
    parser.add_argument("--per-minute", type=int, default=0, help="0: no limit")
    add_data_arguments(parser, materials=60, customers=20, outstock=40, instock=40)


def from_arguments(chosen: argparse.Namespace) -> Kingdee:
    """The account set that the arguments describe."""
    return made_of(Kingdee, chosen)
