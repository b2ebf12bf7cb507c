"""聚水潭 as its documents say: signed forms, windows of seven days, and a limit that answers with code 199 or 200.

Sources: clients that restate openweb.jushuitan.com. What those leave open is chosen here, as
strictly as can be: a timestamp may be 5 minutes off; an unknown or expired token is code 100, a wrong signature, key or
clock 101, a wrong parameter 102, an unknown path 103; a token lives 30 days; a refresh gives a new access token and
ends the old one, and leaves the refresh token as it is (`rotate`: replaces that too); `biz` may hold what is named here
and nothing else; order pages hold up to 100, outbound pages up to 50, at most 200 items are uploaded at once and 100
ids asked for; without `is_get_total` the totals are 0; `start_ts` (rows of a later `ts`, in that order) needs no
window; a time of `date_type` 2 is `io_date`. An upload updates the item of the same `sku_id`, and says for every
row how it went.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.books import Books, poisoned, rejected, shaken
from noria.simulators.faults import Fault, Faults
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import BIG, START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import (
    Refused,
    answer,
    decoded,
    form_of,
    is_amount,
    md5,
    moment,
    same,
    shown,
    truth_route,
    whole,
)

TOKEN, AUTH, PARAMETER, UNKNOWN = 100, 101, 102, 103
_A_SECOND, _A_MINUTE = 199, 200
_SKEW = 300
_UPLOAD, _IDS = 200, 100
_PARAMETERS = {"app_key", "access_token", "timestamp", "charset", "version", "biz", "sign"}
_QUERY = {"page_index", "page_size", "modified_begin", "modified_end", "shop_id", "status", "is_get_total", "start_ts"}
# path -> kind, name of the list, largest page, what else may be asked for, its ids
_LISTS: dict[str, tuple[str, str, int, set[str], dict[str, str]]] = {
    "/open/orders/single/query": ("orders", "orders", 100, set(), {"so_ids": "so_id", "o_ids": "o_id"}),
    "/open/orders/out/simple/query": (
        "outbound",
        "datas",
        50,
        {"date_type"},
        {"so_ids": "so_id", "o_ids": "o_id", "io_ids": "io_id"},
    ),
}
_DATES = {"0": "modified", "2": "io_date"}


class Jushuitan(Simulator):
    """A simulated company. `orders`, `outbound`: how many; `window_days`: the widest window, 0: none is needed;
    `per_second`, `per_minute`: 0 for no limit; `clock`: monotonic seconds; `now`: epoch seconds."""

    name = "jushuitan"

    def __init__(
        self,
        *,
        app_key: str = "demo-key",
        app_secret: str = "demo-secret",
        access_token: str = "demo-access",
        refresh_token: str = "demo-refresh",
        orders: int = 60,
        outbound: int = 60,
        seed: int = 1,
        start: str = START,
        days: int = 20,
        token_seconds: float = 30 * 86400,
        rotate: bool = False,
        window_days: int = 7,
        per_second: int = 5,
        per_minute: int = 100,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.app_key = app_key
        self.app_secret = app_secret
        self.refresh_token = refresh_token
        self.token_seconds = token_seconds
        self.rotate = rotate
        self.window = window_days * 86400
        self.clock = clock
        self.now = now
        samples = Samples(seed, start, days)
        self.orders = _orders(samples, orders)
        self.outbound = _outbound(samples, outbound)
        self.tokens: dict[str, float] = {access_token: clock() + token_seconds}
        self.tokens_issued = 0
        self.books = Books()
        self.stored = self.books.stored
        self.faults = Faults(expire=self.tokens.clear, throttled=_throttled, business=_business, denied=_denied)
        self._paces = (Pace(per_second, 1, clock), Pace(per_minute, 60, clock))

    def routes(self) -> list[web.RouteDef]:
        """The endpoints; everything else is unknown."""
        lists = [web.post(path, self._guarded(self._list)) for path in _LISTS]
        return [
            truth_route(self.truth),
            *lists,
            web.post("/open/jushuitan/itemsku/upload", self._guarded(self._upload)),
            web.post("/openWeb/auth/getInitToken", self._guarded(self._token)),
            web.post("/openWeb/auth/accessToken", self._guarded(self._token)),
            web.post("/openWeb/auth/refreshToken", self._guarded(self._token)),
            web.route("*", "/{anything:.*}", self._guarded(self._unknown)),
        ]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every row of `orders` or `outbound` as the API shows it; raises `KeyError` for another kind."""
        return list({"orders": self.orders, "outbound": self.outbound}[kind])

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            "orders": len(self.orders),
            "outbound": len(self.outbound),
            "tokens_issued": self.tokens_issued,
            **self.books.state(),
        }

    def _guarded(self, handler: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            try:
                return answer({"code": 0, "msg": "执行成功", "data": await handler(request)})
            except Refused as refused:
                self.refused.append(f"{request.path}: {refused.message}")
                return _reply(int(refused.code), refused.message)

        return respond

    async def _unknown(self, request: web.Request) -> Any:
        raise Refused(UNKNOWN, f"接口不存在 {request.method} {request.path}")

    # --- who asks

    async def _signed(self, request: web.Request) -> dict[str, str]:
        """The form of a request whose key, clock and signature are right."""
        try:
            form = await form_of(request)
        except ValueError as error:
            raise Refused(PARAMETER, f"请求必须是表单：{error}") from None
        if form.get("app_key") != self.app_key:
            raise Refused(AUTH, "app_key 无效")
        stamp = whole(form.get("timestamp"))
        if stamp is None or abs(stamp - self.now()) > _SKEW:
            raise Refused(AUTH, "timestamp 无效或超时")
        if form.get("charset") != "utf-8":
            raise Refused(PARAMETER, "charset 必须是 utf-8")
        joined = "".join(key + form[key] for key in sorted(form) if key != "sign" and form[key])
        if not same(form.get("sign", ""), md5(self.app_secret + joined)):
            raise Refused(AUTH, "签名错误")
        return form

    async def _biz(self, request: web.Request) -> dict[str, Any]:
        """What a signed request with a valid token asks for, when it is within the limits."""
        form = await self._signed(request)
        missing = _PARAMETERS - set(form)
        if missing or set(form) - _PARAMETERS or form["version"] != "2":
            raise Refused(PARAMETER, f"公共参数错误 {sorted(missing or set(form) - _PARAMETERS)}")
        if self.clock() >= self.tokens.get(form["access_token"], float("-inf")):
            raise Refused(TOKEN, "access_token 无效或已过期")
        full = takes(*self._paces)
        if full is not None:
            raise Refused(_A_MINUTE if full else _A_SECOND, "调用频率超过限制")
        try:
            biz = decoded(form["biz"])
        except ValueError:
            biz = None
        if not isinstance(biz, dict):
            raise Refused(PARAMETER, "biz 必须是 JSON 对象")
        return biz

    async def _token(self, request: web.Request) -> Any:
        form = await self._signed(request)
        refresh = request.path.endswith("refreshToken")
        if form.get("grant_type") != ("refresh_token" if refresh else "authorization_code"):
            raise Refused(PARAMETER, "grant_type 错误")
        if refresh and form.get("refresh_token") != self.refresh_token:
            raise Refused(TOKEN, "refresh_token 无效")
        if form.get("scope", "all") != "all":
            raise Refused(PARAMETER, "scope 必须是 all")
        code = form.get("code", "")
        if not refresh and not (len(code) == 6 and code.isascii() and code.isalnum()):
            raise Refused(PARAMETER, "code 必须是 6 位随机字母或数字")
        self.tokens_issued += 1
        access = md5(f"access {self.tokens_issued}")
        self.tokens.clear()
        self.tokens[access] = self.clock() + self.token_seconds
        if self.rotate:
            self.refresh_token = md5(f"refresh {self.tokens_issued}")
        expires = int(self.token_seconds)
        return {
            "access_token": access,
            "expires_in": expires,
            "refresh_token": self.refresh_token,
            "scope": "all",
        }

    # --- lists

    async def _list(self, request: web.Request) -> Any:
        kind, name, most, others, ids = _LISTS[request.path]
        biz = await self._biz(request)
        unknown = sorted(set(biz) - _QUERY - others - set(ids))
        if unknown:
            raise Refused(PARAMETER, f"未知参数 {unknown}")
        page, size = _positive(biz, "page_index", 1), _positive(biz, "page_size", 30)
        if size > most:
            raise Refused(PARAMETER, f"page_size 最大 {most}")
        rows = self._chosen(self.truth(kind), biz, ids)
        for key in ("shop_id", "status"):
            if biz.get(key) is not None:
                rows = [row for row in rows if str(row[key]) == str(biz[key])]
        part = rows[(page - 1) * size : page * size]
        counted = biz.get("is_get_total") is True
        return {
            name: part,
            "page_index": page,
            "page_size": size,
            "has_next": page * size < len(rows),
            "data_count": len(rows) if counted else 0,
            "page_count": -(-len(rows) // size) if counted else 0,
        }

    def _chosen(self, rows: list[dict[str, Any]], biz: dict[str, Any], ids: dict[str, str]) -> list[dict[str, Any]]:
        """The rows of the ids, of the cursor, or of the window that is asked for."""
        asked = [key for key in ids if key in biz]
        for key in asked:
            wanted = biz[key]
            if not isinstance(wanted, list) or not 0 < len(wanted) <= _IDS:
                raise Refused(PARAMETER, f"{key} 必须是 1 到 {_IDS} 个单号")
            rows = [row for row in rows if str(row[ids[key]]) in {str(one) for one in wanted}]
        if "start_ts" in biz:
            cursor = whole(biz["start_ts"])
            if cursor is None:
                raise Refused(PARAMETER, "start_ts 必须是数字")
            return sorted((row for row in rows if row["ts"] > cursor), key=lambda row: int(row["ts"]))
        column = _DATES.get(str(biz.get("date_type", 0)))
        if column is None:
            raise Refused(PARAMETER, "date_type 错误")
        if asked or not (self.window or "modified_begin" in biz or "modified_end" in biz):
            return sorted(rows, key=lambda row: str(row["modified"]))
        begin, end = moment(biz.get("modified_begin")), moment(biz.get("modified_end"))
        if begin is None or end is None:
            raise Refused(PARAMETER, "modified_begin 和 modified_end 必须同时存在，格式 yyyy-MM-dd HH:mm:ss")
        if begin > end or (self.window and end - begin > self.window):
            raise Refused(PARAMETER, f"时间间隔不能超过 {self.window // 86400} 天")
        low, high = shown(begin), shown(end)
        return sorted((row for row in rows if low <= row[column] <= high), key=lambda row: str(row[column]))

    # --- items

    async def _upload(self, request: web.Request) -> Any:
        biz = await self._biz(request)
        items = biz.get("items")
        if set(biz) != {"items"} or not isinstance(items, list) or not 0 < len(items) <= _UPLOAD:
            raise Refused(PARAMETER, f"items 必须是 1 到 {_UPLOAD} 个商品")
        ids = [str(item.get("sku_id")) if isinstance(item, dict) else "" for item in items]
        poison = poisoned(self.faults, request.path, ids)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        no = rejected(self.faults, request.path, ids)
        results = []
        for sku, item in zip(ids, items, strict=True):
            problem = no.get(sku) or _wrong_item(item)
            if problem is None:
                self.books.write(sku, item)
            results.append({"sku_id": sku, "is_success": problem is None, "msg": problem or ""})
        return {"datas": shaken(self.faults, request.path, results)}


def _wrong_item(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "商品必须是对象"
    for key in ("sku_id", "i_id", "name"):
        if not isinstance(item.get(key), str) or not item[key]:
            return f"{key} 不能为空，且必须是文本"
    for key in ("s_price", "c_price", "market_price", "weight"):
        if item.get(key) is not None and not is_amount(item[key]):
            return f"{key} 必须是数字"
    return None


def _positive(biz: dict[str, Any], name: str, default: int) -> int:
    found = whole(biz.get(name, default))
    if not found:
        raise Refused(PARAMETER, f"{name} 必须大于 0")
    return found


def _reply(code: int, message: str) -> web.Response:
    return answer({"code": code, "msg": message, "data": None})


def _throttled(fault: Fault) -> web.Response:
    return _reply(_A_MINUTE, "调用频率超过限制")


def _business(fault: Fault) -> web.Response:
    return _reply(fault.code, fault.message)


def _denied(fault: Fault) -> web.Response:
    return _reply(TOKEN, "access_token 无效或已过期")


def _orders(samples: Samples, count: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        shop = n % 4
        rows.append(
            {
                "o_id": BIG + n,
                "so_id": f"SO{2024000000 + n}",
                "shop_id": 10 + shop,
                "shop_name": samples.shop(shop),
                "status": ("WaitConfirm", "Sent", "Cancelled")[n % 3],
                "order_date": shown(at - 7200),
                "modified": shown(at),
                "pay_amount": samples.amount(),
                "freight": str(samples.amount(20)),
                "receiver_name": samples.name(),
                "receiver_city": samples.city(),
                "remark": samples.remark(),
                "ts": 1_000_000 + n,
                "items": [] if n % 13 == 12 else _lines(samples, n, "oi_id", ("price", "amount")),
            }
        )
    return rows


def _outbound(samples: Samples, count: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        shop = n % 4
        rows.append(
            {
                "io_id": BIG + 500_000 + n,
                "o_id": BIG + n,
                "so_id": f"SO{2024000000 + n}",
                "shop_id": 10 + shop,
                "shop_name": samples.shop(shop),
                "status": "Confirmed",
                "io_date": shown(at - 3600),
                "modified": shown(at),
                "warehouse": samples.city() + "仓",
                "logistics_company": "顺丰速运",
                "l_id": f"SF{100000000000 + n}",
                "freight": samples.amount(20),
                "ts": 2_000_000 + n,
                "items": _lines(samples, n, "ioi_id", ("sale_price", "sale_amount")),
            }
        )
    return rows


def _lines(samples: Samples, n: int, key: str, prices: tuple[str, str]) -> list[dict[str, Any]]:
    """One to three lines; the price is a number, the amount a text in every other row."""
    rows = []
    for line in range(1 + n % 3):
        price, quantity = samples.amount(), samples.quantity()
        amount = price * quantity
        rows.append(
            {
                key: BIG + n * 10 + line,
                "sku_id": f"SKU{(n + line) % 25:03}",
                "name": samples.goods(),
                "qty": quantity,
                prices[0]: price,
                prices[1]: str(amount) if n % 2 else amount,
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `jushuitan` takes."""
    parser.add_argument("--app-key", default="demo-key")
    parser.add_argument("--app-secret", default="demo-secret")
    parser.add_argument("--access-token", default="demo-access")
    parser.add_argument("--refresh-token", default="demo-refresh")
    parser.add_argument("--token-seconds", type=float, default=30 * 86400, help="how long a token lives")
    parser.add_argument("--window-days", type=int, default=7, help="the widest window; 0: none is needed")
    parser.add_argument("--per-second", type=int, default=5, help="0: no limit")
    parser.add_argument("--per-minute", type=int, default=100, help="0: no limit")
    add_data_arguments(parser, orders=60, outbound=60)


def from_arguments(chosen: argparse.Namespace) -> Jushuitan:
    """The company that the arguments describe."""
    return made_of(Jushuitan, chosen)
