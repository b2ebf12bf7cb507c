"""Connector `jackyun`: 吉客云, one address for every method, signed forms with what they ask for in `bizcontent`.

A plan names a method (`erp.goods.get`). Its parameters may stand in `bizcontent` or beside it. Order lists show seven
days at once: a plan that asks from LAST_SYNC_TIME to CURRENT_TIME is read in windows of that length, one without times
is answered as the vendor answers it.

Source: three clients of open.jackyun.com, as the project's reference has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.auth import Fixed
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.forms import FORM, asked, encoded, md5, posted
from noria.connectors.raws import fields_of
from noria.connectors.settings import Envelope, HttpSettings, Limits, Paging, Write, within
from noria.connectors.source import BuildRequest, Source
from noria.connectors.target import Target
from noria.connectors.transport import Answer, Request, Transport
from noria.metadata.clock import Clock
from noria.metadata.documents import Item, Metadata
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor
from noria.metadata.times import zone

_BIZ = "bizcontent"
_NULL = msgspec.Raw(b"null")
_UNSIGNED = ("sign", "token", "contextid")
# What says that all went well: the code, and the code behind it.
_GOOD, _GOOD_BELOW = ("200", "0"), ("", "0", "0000000000", "00000000", "200", "0030000004")
_THROTTLED = "0859999999"
_PAGES = Paging(type="page", page_param="pageIndex", size_param="pageSize", first=0, size=200)


class JackyunSettings(msgspec.Struct, kw_only=True):
    """A connection to 吉客云."""

    connector: Annotated[str, Meta(description="连接器 | jackyun")] = "jackyun"
    base_url: Annotated[str, Meta(min_length=1, description="接口地址 | the address of every method")] = (
        "https://open.jackyun.com/open/openapi/do"
    )
    appkey: Annotated[str, Meta(description="应用的 appkey | the application's appkey")] = ""
    appsecret: Annotated[str, Meta(description="应用的 appsecret | its appsecret")] = ""
    token: Annotated[str, Meta(description="token，需要时填写 | a token, where one is asked for")] = ""
    version: Annotated[str, Meta(description="接口版本 | version of the methods")] = "v1.0"
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省每秒 1 次 | limits; 1 a second if not said")] = msgspec.field(
        default_factory=Limits
    )


class _Form(Fixed):
    """The form around `bizcontent`."""

    def __init__(self, own: JackyunSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(settings.auth)
        self.own = own
        self._zone = zone(own.timezone)

    def dress(self, request: Request, now: float) -> Request:
        """Signed, to the one address there is."""
        form = {
            "method": request.path.strip("/"),
            "appkey": self.own.appkey,
            "version": self.own.version,
            "contenttype": "json",
            "timestamp": f"{datetime.fromtimestamp(now, self._zone):%Y-%m-%d %H:%M:%S}",
            _BIZ: encoded(_flat(asked(request))),
            **({"token": self.own.token} if self.own.token else {}),
        }
        return posted(request, "", {**form, "sign": sign(form, self.own.appsecret)})


def _flat(said: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """What a plan has in `bizcontent`, and what stands beside it: pages go first."""
    inner = fields_of(said.pop(_BIZ, _NULL))
    return {**inner, **said}


def sign(form: Mapping[str, str], secret: str) -> str:
    """A form's signature: keys and values in the keys' order between the secret twice, all of it in lower case."""
    joined = "".join(key + form[key] for key in sorted(form) if key not in _UNSIGNED)
    return md5((secret + joined + secret).lower())


def declared(answer: Answer) -> Answer:
    """An answer as the settings describe it: `{code, msg, data}`, the code one of success only when both codes are,
    and data an object where it came as the text of one."""
    try:
        body = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        code, below = (_text(body.get(name)) for name in ("code", "subCode"))
        data = fields_of(body.get("result", _NULL)).get("data", _NULL)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer
    said = below if below not in _GOOD_BELOW else "200" if code in _GOOD else code
    form: dict[str, Any] = {"code": said, "msg": body.get("msg"), "data": _taken_out(data)}
    return replace(answer, body=msgspec.json.encode(form))


def _taken_out(data: msgspec.Raw) -> msgspec.Raw:
    """The JSON in a text, where it is one of JSON."""
    if bytes(data)[:1] != b'"':
        return data
    text = msgspec.json.decode(data, type=str)
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return data
    return msgspec.Raw(text.encode())


def _text(raw: msgspec.Raw | None) -> str:
    found = None if raw is None else msgspec.json.decode(raw)
    return "" if found is None else str(found)


class _Read(Source):
    def __init__(
        self, transport: Transport, settings: HttpSettings, metadata: Metadata, build: BuildRequest, **more: Any
    ) -> None:
        paging = _paging(settings.paging, metadata.items())
        super().__init__(transport, msgspec.structs.replace(settings, paging=paging), metadata, build, **more)

    def read(self, answer: Answer, request: dict[str, Any]) -> Answer:
        """See `declared`."""
        return declared(answer)


def _paging(paging: Paging, items: list[Item]) -> Paging:
    """Pages by the plan's own `pageIndex`, wherever it has one; else as declared."""
    inner = [child.field for item in items if item.field == _BIZ for child in item.children or ()]
    beside = [item.field for item in items]
    if paging.type != "page" or _PAGES.page_param not in (*inner, *beside):
        return paging
    if _PAGES.page_param in beside:
        return _PAGES
    return msgspec.structs.replace(
        _PAGES, page_param=f"{_BIZ}.{_PAGES.page_param}", size_param=f"{_BIZ}.{_PAGES.size_param}"
    )


class _Written(Target):
    def read(self, answer: Answer) -> Answer:
        """See `declared`."""
        return declared(answer)


def _to_http(own: JackyunSettings) -> HttpSettings:
    return HttpSettings(
        connector="jackyun",
        base_url=own.base_url,
        headers=FORM,
        timezone=own.timezone,
        envelope=Envelope(
            records="data.goods|data.goodsDocIn|data.trades|data.list|data",
            code="code",
            success=["200"],
            message="msg",
            throttled=[_THROTTLED],
            waits={_THROTTLED: 1},
        ),
        paging=Paging(type="page", page_param="pageInfo.pageIndex", size_param="pageInfo.pageSize", first=1, size=50),
        limits=within(own.limits, Limits(per_second=1)),
        write=Write(batch_size=1),
    )


_SCROLL = Paging(type="cursor", cursor_param="scrollId", next="data.scrollId", size_param="pageSize", size=200)

ENDPOINTS = (
    Endpoint(
        "erp.goods.get",
        "POST",
        name="货品查询",
        reads="list",
        records="data.goods",
        paging=_PAGES,
        id="goodsId",
        number="goodsNo",
    ),
    Endpoint(
        "erp.storage.goodsdocin.v2",
        "POST",
        name="入库单查询",
        reads="list",
        records="data.goodsDocIn",
        paging=_PAGES,
        id="recId",
        number="goodsdocNo",
    ),
    Endpoint(
        "oms.trade.fullinfoget",
        "POST",
        name="销售单查询",
        reads="list",
        split=Split(window="7d"),
        records="data.trades",
        paging=_SCROLL,
        id="tradeId",
        number="tradeNo",
    ),
)

JACKYUN = Connector(
    name="jackyun",
    title=("吉客云", "Jackyun"),
    settings_type=JackyunSettings,
    to_http=_to_http,
    check=needs("jackyun", ("appkey", "appsecret")),
    endpoints=ENDPOINTS,
    authenticate=_Form,
    source_type=_Read,
    target_type=_Written,
)
