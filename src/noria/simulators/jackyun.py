"""吉客云 as its clients know it: one address, signed forms, a page base and a shape of the answer for every method.

Source: three clients of open.jackyun.com. What those leave open is chosen here, as strictly as can
be: a timestamp may be 5 minutes off and is refused as a wrong signature is; signatures are lower-case
hex; refusals of the gateway have `code` 0 and a `subCode`; wrong parameters have `code` 500 and an empty
one. Parameters are those named here and nothing else. Windows are closed and of `gmtModified`.

`erp.goods.get`: `pageIndex` from 0, `pageSize` up to 200 (default 50), `startDateModifiedSku`,
`endDateModifiedSku`; data is an object with `goods`. `erp.storage.goodsdocin.v2`: `pageIndex` from 0,
`pageSize` up to 200, `startDate` (needed), `endDate`, `status`; data is the text of an object with
`goodsDocIn`. `oms.trade.fullinfoget`: `gmtModifiedBegin` and `gmtModifiedEnd` (needed, 7 days at most),
`pageSize` up to 200, `scrollId` of the page before; data is an object with `trades` and the next
`scrollId`, empty after the last page; one request a second.

There are no writes. There is no token unless one is set; the fault `expire` answers once as to a wrong
one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.faults import Fault, Faults
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import BIG, START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import (
    Refused,
    answer,
    decoded,
    encoded,
    form_of,
    md5,
    moment,
    same,
    shown,
    truth_route,
    whole,
)

SIGN, APPKEY, TOKEN = "0858030801", "0858030802", "0858030803"
NOT_SUBSCRIBED, THROTTLED = "0130020310", "0859999999"
_SKEW, _MOST, _WEEK = 300, 200, 7 * 86400
_NEEDED = {"method", "appkey", "version", "contenttype", "timestamp", "bizcontent", "sign"}
_UNSIGNED = {"sign", "token", "contextid"}
# method -> kind, what `bizcontent` may hold
METHODS = {
    "erp.goods.get": ("goods", {"pageIndex", "pageSize", "startDateModifiedSku", "endDateModifiedSku", "goodsNo"}),
    "erp.storage.goodsdocin.v2": (
        "goodsdocin",
        {"pageIndex", "pageSize", "startDate", "endDate", "status", "goodsdocNo"},
    ),
    "oms.trade.fullinfoget": ("trades", {"pageSize", "scrollId", "gmtModifiedBegin", "gmtModifiedEnd", "tradeNo"}),
}


class Jackyun(Simulator):
    """A simulated company. `goods`, `docs`, `trades`: how many rows; `token`: what requests must carry, if anything;
    `subscribed`: the methods that may be called; `per_second`: of trades, 0 for no limit; `windows`: whether those are
    needed and limited; `clock`: monotonic seconds; `now`: epoch seconds."""

    name = "jackyun"

    def __init__(
        self,
        *,
        appkey: str = "demo-key",
        appsecret: str = "demo-secret",
        token: str = "",
        goods: int = 60,
        docs: int = 60,
        trades: int = 60,
        seed: int = 1,
        start: str = START,
        days: int = 20,
        subscribed: tuple[str, ...] = tuple(METHODS),
        windows: bool = True,
        per_second: int = 1,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.appkey = appkey
        self.appsecret = appsecret
        self.token = token
        self.subscribed = subscribed
        self.windows = windows
        self.now = now
        samples = Samples(seed, start, days)
        self.rows: dict[str, list[dict[str, Any]]] = {
            "goods": _goods(samples, goods),
            "goodsdocin": _docs(samples, docs),
            "trades": _trades(samples, trades),
        }
        self.faults = Faults(
            throttled=lambda _: _no(0, THROTTLED, "接口调用过于频繁"),
            business=_business,
            denied=lambda _: _no(0, TOKEN, "token 无效或已过期"),
        )
        self._pace = Pace(per_second, 1, clock)
        self._scrolls: dict[str, list[dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """The one address."""
        return [truth_route(self.truth), web.post("/open/openapi/do", self._do)]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every row of `goods`, `goodsdocin` or `trades` as the API shows it; raises `KeyError` for another kind."""
        return list(self.rows[kind])

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            **{kind: len(rows) for kind, rows in self.rows.items()},
            "tokens_issued": 0,
        }

    async def _do(self, request: web.Request) -> web.Response:
        try:
            form = await self._signed(request)
            data = self._data(form["method"], self._biz(form))
        except Refused as refused:
            self.refused.append(refused.message)
            gateway = isinstance(refused.code, str)
            return _no(0 if gateway else int(refused.code), str(refused.code) if gateway else "", refused.message)
        return answer({"code": 200, "msg": "成功", "subCode": "", "result": {"data": data, "contextId": ""}})

    async def _signed(self, request: web.Request) -> dict[str, str]:
        """The form of a request whose key, clock, signature and token are right."""
        try:
            form = await form_of(request)
        except ValueError as error:
            raise Refused(500, f"请求必须是表单：{error}") from None
        wrong = sorted((_NEEDED - set(form)) | (set(form) - _NEEDED - _UNSIGNED))
        if wrong or form["contenttype"] != "json":
            raise Refused(500, f"公共参数错误 {wrong or 'contenttype'}")
        if form["appkey"] != self.appkey:
            raise Refused(APPKEY, "appkey 无效")
        stamp = moment(form["timestamp"])
        if stamp is None or abs(stamp - self.now()) > _SKEW:
            raise Refused(SIGN, "timestamp 无效或超时")
        joined = "".join(key + form[key] for key in sorted(form) if key not in _UNSIGNED)
        if not same(form["sign"], md5((self.appsecret + joined + self.appsecret).lower())):
            raise Refused(SIGN, "签名错误")
        if self.token and form.get("token") != self.token:
            raise Refused(TOKEN, "token 无效或已过期")
        if form["method"] not in self.subscribed:
            raise Refused(NOT_SUBSCRIBED, f"接口未订阅 {form['method']}")
        if form["method"].startswith("oms.trade.") and takes(self._pace) is not None:
            raise Refused(THROTTLED, "接口调用过于频繁")
        return form

    def _biz(self, form: dict[str, str]) -> dict[str, Any]:
        try:
            biz = decoded(form["bizcontent"])
        except ValueError:
            biz = None
        if not isinstance(biz, dict):
            raise Refused(500, "bizcontent 必须是 JSON 对象")
        unknown = sorted(set(biz) - METHODS[form["method"]][1])
        if unknown:
            raise Refused(500, f"未知参数 {unknown}")
        return biz

    def _data(self, method: str, biz: dict[str, Any]) -> Any:
        kind, _ = METHODS[method]
        size = whole(biz.get("pageSize", 50))
        if not size or size > _MOST:
            raise Refused(500, f"pageSize 必须是 1 到 {_MOST}")
        if kind == "trades":
            return self._scrolled(biz, size)
        page = whole(biz.get("pageIndex", 0))
        if page is None:
            raise Refused(500, "pageIndex 从 0 开始")
        if kind == "goods":
            names, key = ("startDateModifiedSku", "endDateModifiedSku"), "goodsNo"
        else:
            names, key = ("startDate", "endDate"), "goodsdocNo"
        low, high = _window(biz, names, (kind == "goodsdocin" and self.windows and key not in biz, False))
        rows = [row for row in self.truth(kind) if low <= row["gmtModified"] <= high]
        for name in (key, "status"):
            if name in biz:
                rows = [row for row in rows if str(row[name]) == str(biz[name])]
        rows.sort(key=lambda row: str(row["gmtModified"]))
        part = rows[page * size : (page + 1) * size]
        return {"goods": part} if kind == "goods" else encoded({"goodsDocIn": part})

    def _scrolled(self, biz: dict[str, Any], size: int) -> Any:
        scroll = biz.get("scrollId") or ""
        if scroll and scroll not in self._scrolls:
            raise Refused(500, "scrollId 无效")
        needed = self.windows and "tradeNo" not in biz
        low, high = _window(biz, ("gmtModifiedBegin", "gmtModifiedEnd"), (needed, needed), _WEEK if needed else 0)
        rows = self._scrolls.get(scroll)
        if rows is None:
            rows = [row for row in self.truth("trades") if low <= row["gmtModified"] <= high]
            rows = [row for row in rows if biz.get("tradeNo") in (None, row["tradeNo"])]
            rows.sort(key=lambda row: str(row["gmtModified"]))
        following = ""
        if len(rows) > size:
            following = md5(f"scroll {len(self._scrolls)}")
            self._scrolls[following] = rows[size:]
        return {"trades": rows[:size], "scrollId": following}


def _window(biz: dict[str, Any], names: tuple[str, str], needed: tuple[bool, bool], widest: int = 0) -> tuple[str, str]:
    """Both ends of a window, any of them open unless it is needed; `widest` in seconds, 0: any."""
    ends = []
    for name, must in zip(names, needed, strict=True):
        end = moment(biz.get(name))
        if end is None and (must or name in biz):
            raise Refused(500, f"{name} 为空或格式错误")
        ends.append(end)
    begin, end = ends
    if begin is not None and end is not None and (begin > end or (widest and end - begin > widest)):
        raise Refused(500, f"{names[0]} 与 {names[1]} 间隔错误，最大 {widest // 86400} 天")
    return shown(begin) if begin is not None else "", shown(end) if end is not None else "9999"


def _no(code: int, sub_code: str, message: str) -> web.Response:
    return answer({"code": code, "msg": message, "subCode": sub_code, "result": None})


def _business(fault: Fault) -> web.Response:
    return _no(fault.code, "", fault.message)


def _goods(samples: Samples, count: int) -> list[dict[str, Any]]:
    return [
        {
            "goodsId": BIG + n,
            "goodsNo": f"SKU{n:03}",
            "goodsName": samples.goods(),
            "tags": ("新,热", "", "新")[n % 3],
            "ext": {"color": samples.remark()} if n % 2 else None,
            "retailPrice": samples.amount(),
            "costPrice": str(samples.amount()),
            "gmtModified": shown(at),
        }
        for n, at in enumerate(samples.times(count))
    ]


def _docs(samples: Samples, count: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        lines = [
            {
                "recId": str(BIG + 100_000 + n * 10 + line),
                "goodsNo": f"SKU{(n + line) % 25:03}",
                "quantity": samples.quantity(),
                "cuPrice": samples.amount(),
                "serials": [{"sn": f"SN{n:04}{line}{s}"} for s in range((n + line) % 3)],
            }
            for line in range(1 + n % 3)
        ]
        rows.append(
            {
                "recId": str(BIG + n),
                "goodsdocNo": f"IN{202401000000 + n}",
                "status": 1 if n % 4 else 2,
                "warehouseName": samples.city() + "仓",
                "memo": samples.remark(),
                "gmtModified": shown(at),
                "goodsDocDetailList": lines,
                "logs": [{"user": samples.name(), "time": (at - 60) * 1000}],
            }
        )
    return rows


def _trades(samples: Samples, count: int) -> list[dict[str, Any]]:
    return [
        {
            "tradeId": BIG + 200_000 + n,
            "tradeNo": f"JY{202401000000 + n}",
            "shopName": samples.shop(n),
            "payment": samples.amount(),
            "postFee": str(samples.amount(20)),
            "buyerMemo": samples.remark(),
            "receiverName": samples.name(),
            "gmtModified": shown(at),
            "goodsDetail": [
                {"goodsNo": f"SKU{(n + line) % 25:03}", "sellCount": samples.quantity(), "sellPrice": samples.amount()}
                for line in range(1 + n % 3)
            ],
        }
        for n, at in enumerate(samples.times(count))
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `jackyun` takes."""
    parser.add_argument("--appkey", default="demo-key")
    parser.add_argument("--appsecret", default="demo-secret")
    parser.add_argument("--token", default="", help="what requests must carry")
    parser.add_argument(
        "--no-windows", dest="windows", action="store_false", help="no window is needed, and none too wide"
    )
    parser.add_argument("--per-second", type=int, default=1, help="of trades; 0: no limit")
    add_data_arguments(parser, goods=60, docs=60, trades=60)


def from_arguments(chosen: argparse.Namespace) -> Jackyun:
    """The company that the arguments describe."""
    return made_of(Jackyun, chosen)
