"""Connector `kingdee`: 金蝶云星空 WebAPI: bills are queried, saved, submitted and audited.

Sources: the vendor's SDK (PyPI `kingdee.cdp.webapi.sdk`) for addresses and signatures, its pages on ExecuteBillQuery
and Save, as restated in the project's reference. A plan says as on the platform: `executeBillQuery` with the fields in
`request` and FormId, FilterString and so on in `otherRequest`; `batchSave`, `save`, `submit`, `audit`, `unaudit` and
`delete` with the model in `request`, and FormId and options in `otherRequest`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

from noria.connectors.auth import Authentication, Fetched, Fixed, Token, with_added
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.envelope import UNREADABLE, refuse_code
from noria.connectors.failures import Failure
from noria.connectors.settings import Envelope, HttpSettings, Limits, Paging, Write
from noria.connectors.source import Source
from noria.connectors.target import Row, Target
from noria.connectors.transport import Answer, Request, Transport
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.paths import MISSING, at
from noria.metadata.secrets import Redactor

_SERVICE = "Kingdee.BOS.WebApi.ServicesStub."
_QUERY = "ExecuteBillQuery"
_SAVES = ("BatchSave", "Save")
_WRITES = (*_SAVES, "Submit", "Audit", "UnAudit", "Delete")
# What of a request is not a field of the bill but an option of the query.
_OPTIONS = ("FormId", "FieldKeys", "FilterString", "OrderString", "TopRowCount", "StartRow", "Limit")
_STATUS = "Result.ResponseStatus"
# Texts by which the vendor says that a session is gone, and that one asks too often; it has no codes for these.
_LOST, _OFTEN = "会话信息已丢失", "频繁"
_XOR = b"0054f397c6234378b09ca7d3e5debce7"
# How the states of a bill go on: which show that an operation was carried out.
_AFTER = {"Submit": "BC", "Audit": "C", "UnAudit": "D"}


class KingdeeSettings(msgspec.Struct, kw_only=True):
    """A connection to an account set of 金蝶云星空."""

    connector: Annotated[str, Meta(description="连接器 | kingdee")] = "kingdee"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址，到 /K3Cloud 为止 | the address, up to /K3Cloud")]
    acct_id: Annotated[str, Meta(min_length=1, description="账套 ID | id of the account set")]
    username: Annotated[str, Meta(min_length=1, description="用户名 | user")]
    password: Annotated[str, Meta(description="密码（会话登录） | password, to log in for a session")] = ""
    app_id: Annotated[str, Meta(description="第三方应用 ID（签名认证） | the application's id, to sign requests")] = ""
    app_secret: Annotated[str, Meta(description="第三方应用密钥 | the application's secret")] = ""
    org: Annotated[str, Meta(description="组织编码 | number of the organization")] = "0"
    lcid: Annotated[int, Meta(description="语言，2052 为简体中文 | language")] = 2052
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)


class _Session(Fetched):
    """A session by user and password."""

    def __init__(self, own: KingdeeSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(redactor, clock, 900)
        self.own = own

    async def asked(self, transport: Transport) -> Token:
        """Log in."""
        own = self.own
        form = {"acctID": own.acct_id, "username": own.username, "password": own.password, "lcid": own.lcid}
        reply = await self.reply(transport, "POST", service("AuthService", "ValidateUser"), form)
        if at(reply, "LoginResultType") != 1:
            status = at(reply, f"{_STATUS}.Errors.0.Message")
            said = at(reply, "Message") if status is MISSING else status
            raise self.refused(msgspec.json.encode({"message": None if said is MISSING else said}), None)
        return self.token_in(reply, "KDSVCSessionId", "")

    def dress(self, request: Request, now: float) -> Request:
        """With the session."""
        return with_added(request, {"kdservice-sessionid": str(self._token)})


class _Signed(Fixed):
    """Signed requests, without a session."""

    def __init__(self, own: KingdeeSettings, settings: HttpSettings) -> None:
        super().__init__(settings.auth)
        self.own = own

    def dress(self, request: Request, now: float) -> Request:
        """Signed at a time, with a nonce."""
        path = f"{urlsplit(self.own.base_url).path.rstrip('/')}/{request.path.lstrip('/')}"
        return with_added(request, signed(self.own, path, str(int(now)), secrets.token_hex(8)))


def signed(own: KingdeeSettings, path: str, stamp: str, nonce: str) -> dict[str, str]:
    """The headers of a signed request: two signatures, of the application and of the gateway."""
    client, _, hidden = own.app_id.partition("_")
    data = f"{own.acct_id},{own.username},{own.lcid},{own.org}"
    text = f"POST\n{quote(path).replace('/', '%2F')}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"
    return {
        "X-Api-ClientID": client,
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": stamp,
        "x-api-nonce": nonce,
        "x-api-signheaders": "x-api-timestamp,x-api-nonce",
        "X-Api-Signature": _sign(_gateway_key(hidden), text),
        "X-Kd-Appkey": own.app_id,
        "X-Kd-Appdata": base64.b64encode(data.encode()).decode(),
        "X-Kd-Signature": _sign(own.app_secret, own.app_id + data),
    }


def _sign(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().encode()).decode()


def _gateway_key(hidden: str) -> str:
    """What the second half of an application's id hides."""
    if len(hidden) != len(_XOR):
        return ""
    return base64.b64encode(bytes(a ^ b for a, b in zip(base64.b64decode(hidden), _XOR, strict=False))).decode()


def service(room: str, method: str) -> str:
    """The path of a service's method."""
    return f"/{_SERVICE}{room}.{method}.common.kdsvc"


def plain(answer: Answer, names: Sequence[str] = ()) -> Answer:
    """An answer in a usual form: a query's as {code, rows}, each row an object with these names; others with a code."""
    text = answer.body.strip()
    try:
        if text.startswith(b"response_error:"):
            body: Any = {"message": text.partition(b":")[2].decode("utf-8", "replace").strip()}
        elif text.startswith(b"[") and not text.startswith(b"[[{"):
            rows = msgspec.json.decode(text, type=list[list[msgspec.Raw]])
            named = [dict(zip(names, row, strict=False)) for row in rows]
            return replace(answer, body=msgspec.json.encode({"code": 0, "rows": named}))
        else:
            # A query's errors are nested in two lists.
            body = msgspec.json.decode(text.removeprefix(b"[[").removesuffix(b"]]"))
    except UNREADABLE:
        return answer
    status = at(body, _STATUS)
    failed = not isinstance(status, dict) or not (status.get("IsSuccess") or status.get("SuccessEntitys"))
    if isinstance(status, dict) and failed:
        body["message"] = "; ".join(str(one.get("Message")) for one in status.get("Errors") or [])
    return replace(answer, body=msgspec.json.encode({**body, "code": _code(str(body.get("message"))) if failed else 0}))


def _code(said: str) -> int | str:
    return "lost" if _LOST in said else "often" if _OFTEN in said else 500


class _Bills(Source):
    """A query of bills: fields are the plan's `request`, options its `otherRequest`."""

    def asks(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The query, with its fields' keys and a stable order."""
        data = {name: value for name in _OPTIONS if (value := _option(request, name)) not in (None, "", [])}
        keys = self._fields(request)
        data["FieldKeys"] = ",".join(keys.values())
        wanted = [keys.get(path, path) for path in self.metadata.id_paths()]
        data.setdefault("OrderString", ",".join(f"{key} ASC" for key in wanted))
        return service("DynamicFormService", _QUERY), {"data": data}

    def read(self, answer: Answer, request: dict[str, Any]) -> Answer:
        """Rows as objects."""
        return plain(answer, list(self._fields(request)))

    def _fields(self, request: dict[str, Any]) -> dict[str, str]:
        """The names of a row's fields, each with its key in the query."""
        own = {
            item.field: str(item.value) if item.value not in (None, "") else item.field
            for item in self.metadata.request or []
            if item.field.lower() not in {name.lower() for name in _OPTIONS}
        }
        said = _option(request, "FieldKeys")
        keys = said.split(",") if isinstance(said, str) else said
        if keys:
            named = {key: name for name, key in own.items()}
            return {named.get(key, key.replace(".", "_")): key for key in map(str.strip, map(str, keys)) if key}
        return own or {item.field: item.field for item in self.metadata.response or []}


def _option(request: dict[str, Any], name: str) -> Any:
    """An option of a request; capitals don't matter."""
    return next((value for key, value in request.items() if key.lower() == name.lower()), None)


class _Books(Target):
    """Bills that are saved, submitted, audited: rows are the plan's `request`, options its `otherRequest`."""

    @property
    def operation(self) -> str:
        """The service's method."""
        return next((one for one in _WRITES if one.lower() == self.api.strip("/").lower()), self.api)

    @property
    def form(self) -> str:
        """The form's id."""
        return str(_option(dict(self.options), "FormId") or "")

    @property
    def body_path(self) -> str:
        """Where the rows are in a body."""
        return "data.Model" if self.operation in _SAVES else "data.Numbers"

    @property
    def can_verify(self) -> bool:
        """A bill is known by its number."""
        return self.operation != "Delete"

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The models, with the options; of the other operations the bills' numbers."""
        data = {key: value for key, value in self.options.items() if key not in ("FormId", "Operation")}
        if self.operation not in _SAVES:
            data["Numbers"] = [number_of(msgspec.json.decode(one))[1] for one in payloads]
        else:
            models = [self._model(one) for one in payloads]
            data["Model"] = models if self.operation == "BatchSave" else models[0]
        return msgspec.json.encode({"formid": self.form, "data": data})

    def _model(self, payload: bytes) -> dict[str, msgspec.Raw]:
        """A row without what is said once."""
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        return {key: raw for key, raw in fields.items() if key not in self.options}

    async def _sent(self, body: bytes, headers: dict[str, str], rows: Sequence[Row], before: Any) -> Any:
        path = service("DynamicFormService", self.operation)
        sent = await self.transport.send("POST", path, body=body, headers=headers, writes=True, before=before)
        answer = plain(sent)
        results = self._results(answer, rows)
        if self.operation in _AFTER:
            results = [await self._reached(row, result) for row, result in zip(rows, results, strict=True)]
        return sent, results

    async def _reached(self, row: Row, refusal: Message | None) -> Message | None:
        """A bill's result: one that is refused because it is as far already, which others may have seen to, is done."""
        if refusal is None or refusal.key != "reason.refused_row":
            return refusal
        try:
            return None if await self.has(row) else refusal
        except Failure:
            return refusal

    def _results(self, answer: Answer, rows: Sequence[Row]) -> list[Message | None]:
        """Each row's result, by its index in the errors and in what was saved."""
        try:
            fields = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
            status = at(msgspec.json.decode(answer.body), _STATUS)
        except UNREADABLE:
            raise self.transport.not_json(answer, writes=True) from None
        wrong: dict[int, list[str]] = {}
        for error in (status.get("Errors") if isinstance(status, dict) else None) or []:
            wrong.setdefault(int(error.get("DIndex") or 0), []).append(str(error.get("Message")))
        saved = at(status, "SuccessEntitys") if isinstance(status, dict) else MISSING
        if not saved and len(wrong) < len(rows):
            # Nothing was saved and not each row is to blame: the whole call was refused.
            refuse_code(answer, fields, self.settings.envelope, self.transport, writes=True)
        if not isinstance(status, dict) or not isinstance(saved, list):
            raise self.transport.not_json(answer, writes=True)
        done = {int(one.get("DIndex") or 0) for one in saved}
        refused = {n: self.refusal("; ".join(said)) for n, said in wrong.items()}
        return [None if n in done else refused.get(n, Message("reason.no_result")) for n in range(len(rows))]

    def matched(self, results: list[Any], rows: Sequence[Row]) -> list[Any]:
        """Each row's own result, by its index."""
        found = {one.get("DIndex"): one for one in results if isinstance(one, dict)}
        return [found.get(place, MISSING) for place in range(len(rows))]

    async def has(self, row: Row) -> bool:
        """Whether the bill is there, or as far as the operation takes it; raises `Failure`, also where that doesn't
        show: a bill without a number, or one that was there before."""
        model = msgspec.json.decode(row.payload) if row.payload else {}
        key, number = number_of(model)
        if not number or (self.operation in _SAVES and row.rewritten):
            raise Failure("permanent", Message("http.not_verified", {"answer": f"{self.form} {number}"}))
        where = f"{key}='{number.replace(chr(39), chr(39) * 2)}'"
        asked = {"FormId": self.form, "FieldKeys": "FDocumentStatus", "FilterString": where, "Limit": 1, "StartRow": 0}
        states = await self.transport.renewing(_QUERY, lambda: self._states(msgspec.json.encode({"data": asked})))
        return bool(states) and (self.operation in _SAVES or states[0] in _AFTER[self.operation])

    async def _states(self, query: bytes) -> list[str]:
        """How far the bills of a query are."""
        sent = await self.transport.send("POST", service("DynamicFormService", _QUERY), body=query)
        answer = plain(sent, ("state",))
        fields = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        refuse_code(answer, fields, self.settings.envelope, self.transport, writes=False)
        return [str(one.get("state")) for one in msgspec.json.decode(answer.body)["rows"]]


def number_of(model: Any) -> tuple[str, str]:
    """A bill's number in its model, and the query's name of it; empty where there is none."""
    found = model if isinstance(model, dict) else {"Number": model}
    for key, field in (("FBillNo", "FBillNo"), ("FNumber", "FNumber"), ("Number", "FBillNo"), ("Numbers", "FBillNo")):
        if found.get(key) not in (None, "", []):
            return field, str(found[key])
    return "FBillNo", ""


def _authenticated(own: KingdeeSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> Authentication:
    return _Signed(own, settings) if own.app_id else _Session(own, redactor, clock)


def _written(size: int) -> Write:
    return Write(batch_size=size, results=f"{_STATUS}.SuccessEntitys", result_id="Number")


def _to_http(own: KingdeeSettings) -> HttpSettings:
    return HttpSettings(
        connector="kingdee",
        base_url=own.base_url,
        timezone=own.timezone,
        envelope=Envelope(
            records="rows", code="code", success=[0], message="message", expired=["lost"], throttled=["often"]
        ),
        # Queries give at most 2,000 rows, 10,000 by newer patches.
        paging=Paging(type="offset", offset_param="StartRow", size_param="Limit", size=2000),
        limits=own.limits,
        write=_written(50),
    )


_NEEDS = {False: needs("kingdee", ("password",)), True: needs("kingdee", ("app_id", "app_secret"))}

KINGDEE = Connector(
    name="kingdee",
    title=("金蝶云星空", "Kingdee K3Cloud"),
    settings_type=KingdeeSettings,
    to_http=_to_http,
    check=lambda own, name, path: _NEEDS[bool(own.app_id)](own, name, path),
    endpoints=(
        Endpoint("executeBillQuery", "POST", name="单据查询", reads="list"),
        *(
            Endpoint(one[0].lower() + one[1:], "POST", name=name, write=_written(1 if one == "Save" else 50))
            for one, name in zip(_WRITES, ("批量保存", "保存", "提交", "审核", "反审核", "删除"), strict=True)
        ),
    ),
    authenticate=_authenticated,
    source_type=_Bills,
    target_type=_Books,
    options_apart=True,
)
