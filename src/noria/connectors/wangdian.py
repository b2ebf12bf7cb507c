"""Connectors `wangdian` and `wangdian_qjb`: 旺店通 企业版 (`/openapi2/<name>.php`) and 旗舰版 (`/openapi`).

A plan names an endpoint of 企业版 by its file (`trade_query.php`), one of 旗舰版 by its method. Lists show what changed
within a window that is limited: a plan that asks from LAST_SYNC_TIME to CURRENT_TIME is read in windows of that length,
one without times is answered as the vendor answers it (it wants `start_time` and `end_time`, or a number).

Sources: open.wangdian.cn (Y and qjb) and ports of the vendor's PHP SDK, as the project's reference has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.auth import Fixed
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.forms import FORM, asked, field, md5, posted
from noria.connectors.joined import Joined
from noria.connectors.settings import Envelope, HttpSettings, Limits, Paging, Write
from noria.connectors.target import Row
from noria.connectors.transport import Answer, Request
from noria.metadata.clock import Clock
from noria.metadata.paths import MISSING
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor

# What 旗舰版 counts its seconds from, and what it takes in the query.
_EPOCH = 1325347200
_PAGES = ("page_no", "page_size", "calc_total")
_FREQUENT = 1012


class WangdianSettings(msgspec.Struct, kw_only=True):
    """A connection to 旺店通 企业版."""

    connector: Annotated[str, Meta(description="连接器 | wangdian")] = "wangdian"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "https://api.wangdian.cn/openapi2"
    )
    sid: Annotated[str, Meta(description="卖家账号 | the seller's account")] = ""
    appkey: Annotated[str, Meta(description="接口账号 | the interface's account")] = ""
    appsecret: Annotated[str, Meta(description="接口密钥 | its secret")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)


class FlagshipSettings(WangdianSettings, kw_only=True):
    """A connection to 旺店通 旗舰版."""

    connector: Annotated[str, Meta(description="连接器 | wangdian_qjb")] = "wangdian_qjb"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "http://wdt.wangdian.cn/openapi"
    )
    appsecret: Annotated[str, Meta(description="接口密钥，格式为 密钥:盐 | its secret, written as secret:salt")] = ""


class _Form(Fixed):
    """The form of 企业版: each parameter a field, the account, a time and a signature."""

    def __init__(self, own: WangdianSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(settings.auth)
        self.own = own

    def dress(self, request: Request, now: float) -> Request:
        """Signed; what is null is left out."""
        form = {name: field(raw) for name, raw in asked(request).items() if bytes(raw) != b"null"}
        form |= {"sid": self.own.sid, "appkey": self.own.appkey, "timestamp": str(int(now))}
        return posted(request, request.path, {**form, "sign": enterprise_sign(form, self.own.appsecret)})


class _Query(Fixed):
    """The query of 旗舰版: account, method, pages and signature; what is asked for is in the body."""

    def __init__(self, own: WangdianSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(settings.auth)
        self.own = own
        self._secret, _, self._salt = own.appsecret.partition(":")
        redactor.hide(self._secret, self._salt)

    def dress(self, request: Request, now: float) -> Request:
        """Signed, to the one address there is."""
        said = asked(request)
        query = {
            "sid": self.own.sid,
            "key": self.own.appkey,
            "salt": self._salt,
            "method": request.path.strip("/"),
            "v": "1.0",
            "timestamp": str(int(now) - _EPOCH),
            **({"calc_total": "1"} if "page_no" in said else {}),
            **{name: field(said[name]) for name in _PAGES if name in said},
        }
        body = msgspec.json.encode([{name: raw for name, raw in said.items() if name not in _PAGES}])
        query["sign"] = flagship_sign(query, body.decode(), self._secret)
        return replace(request, method="POST", path="", params=query, body=body)


def enterprise_sign(form: Mapping[str, str], secret: str) -> str:
    """A form's signature: `LL-key:VVVV-value` in the keys' order, lengths in characters, then the secret."""
    pairs = [(key, form[key]) for key in sorted(form) if key != "sign"]
    return md5(";".join(f"{len(key):02}-{key}:{len(value):04}-{value}" for key, value in pairs) + secret)


def flagship_sign(query: Mapping[str, str], body: str, secret: str) -> str:
    """A query's signature: keys and values in the keys' order, the body among them, between the secret twice."""
    signed = {**query, "body": body}
    return md5(secret + "".join(key + signed[key] for key in sorted(signed) if key != "sign") + secret)


class _Pushed(Joined):
    """A push whose answer names only the rows that were refused."""

    def read(self, answer: Answer) -> Answer:
        """An answer without a list of errors has none."""
        name = self.write.results
        try:
            body = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return answer
        if not name or bytes(body.get(name, msgspec.Raw(b"null"))) not in (b"null", b'""'):
            return answer
        return replace(answer, body=msgspec.json.encode({**body, name: []}))

    def matched(self, results: list[Any], rows: Sequence[Row]) -> list[Any]:
        """Rows without an error were written; unless there is one that names none of them, which may be anybody's."""
        named = self.by_id(results)
        own = [self.ids(row) for row in rows]
        silent = MISSING if named.keys() - {one for ids in own for one in ids} else {self.write.result_ok: True}
        return [self.worst([found for one in ids for found in named.get(one, ())] or [silent]) for ids in own]


def _enterprise(own: WangdianSettings) -> HttpSettings:
    records = "trades|stockout_list|goods_list|stocks|refunds"
    return _http(own, FORM, records=records, total="total_count", code="code", success=[0, 200])


def _flagship(own: WangdianSettings) -> HttpSettings:
    records = "data.order_list|data.detail_list|data"
    return _http(own, {}, records=records, total="data.total_count", code="status", success=[0])


def _http(own: WangdianSettings, headers: dict[str, str], **envelope: Any) -> HttpSettings:
    """What both versions have in common."""
    return HttpSettings(
        connector=own.connector,
        base_url=own.base_url,
        headers=headers,
        timezone=own.timezone,
        envelope=Envelope(message="message", throttled=[_FREQUENT], waits={str(_FREQUENT): 60}, **envelope),
        paging=Paging(type="page", page_param="page_no", size_param="page_size", first=0, size=100),
        limits=own.limits,
        write=Write(batch_size=1),
    )


def _list(path: str, name: str, records: str, window: str, id_: str, number: str) -> Endpoint:
    split = Split(window=window)
    return Endpoint(path, "POST", name=name, reads="list", records=records, split=split, id=id_, number=number)


_GOODS = Write(
    batch_size=100,
    batch_key="goods_list",
    results="error_list",
    result_id="goods_no",
    result_message="error",
)
_TRADES, _ORDERS = "sales.TradeQuery.queryWithDetail", "data.order_list"
_STOCKOUTS = "wms.stockout.Sales.queryWithDetail"
_NEEDED = ("sid", "appkey", "appsecret")

WANGDIAN = Connector(
    name="wangdian",
    title=("旺店通 企业版", "Wangdian Enterprise (openapi2)"),
    settings_type=WangdianSettings,
    to_http=_enterprise,
    check=needs("wangdian", _NEEDED),
    endpoints=(
        _list("trade_query.php", "订单查询", "trades", "30d", "trade_id", "trade_no"),
        _list("stockout_order_query_trade.php", "销售出库单查询", "stockout_list", "30d", "stockout_id", "stockout_no"),
        Endpoint("goods_push.php", "POST", name="货品推送", write=_GOODS),
    ),
    authenticate=_Form,
    target_type=_Pushed,
    upserts=True,
)
WANGDIAN_QJB = Connector(
    name="wangdian_qjb",
    title=("旺店通 旗舰版", "Wangdian Flagship (qjb)"),
    settings_type=FlagshipSettings,
    to_http=_flagship,
    check=needs("wangdian_qjb", _NEEDED),
    endpoints=(
        _list(_TRADES, "订单查询", _ORDERS, "30d", "trade_id", "trade_no"),
        _list(_STOCKOUTS, "销售出库单查询", _ORDERS, "60m", "stockout_id", "order_no"),
    ),
    authenticate=_Query,
)
