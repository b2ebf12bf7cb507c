"""旺店通 as its documents say: 企业版 at `/openapi2/<name>.php`, 旗舰版 (qjb) at `/openapi`, each with its signature.

Sources: open.wangdian.cn (Y, qjb), ports of the PHP SDK. What those leave open is chosen here, as strictly as can be.

企业版: the lengths in a signature count characters; a timestamp may be 5 minutes off; code 1001 sid or appkey, 1002
signature, 1003 clock, 2900 a parameter that is missing, wrong or unknown, 2160 a time that is missing or wrong or a
window that is too wide, 1004 an unknown method. Windows are closed, of the last modification, and needed unless the
number of a document is given. Lists are called `trades` and `stockout_list`. `goods_push.php` takes `goods_list`, a
JSON array of at most 100, updates the goods of the same `goods_no`, and answers `{code: 0, message, new_count,
chg_count, error_list: [{goods_no, error}]}`, code 0 even when some rows are refused.

旗舰版: every refusal is status 100, but for too many requests (1012, as in the other edition); windows are
closed, 30 days for trades and 60 minutes for stock-outs; the body is an array of one object; pages have at most
100 rows; the list is called `order_list`; without `calc_total=1` there is no `total_count`.

There are no tokens: the fault `expire` answers once as to an unknown appkey.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from noria.simulators import wangdian_data
from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.books import Books, poisoned, rejected, shaken
from noria.simulators.faults import Fault, Faults
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused, answer, decoded, form_of, md5, moment, same, shown, truth_route, whole

ACCOUNT, SIGN, CLOCK, METHOD, FREQUENT, TIME, PARAMETER = 1001, 1002, 1003, 1004, 1012, 2160, 2900
_SKEW, _QJB_SKEW, _QJB_EPOCH = 300, 120, 1325347200
_MOST, _PUSH = 100, 100
_AUTH = {"sid", "appkey", "timestamp", "sign"}
_PAGE = {"page_no", "page_size", "start_time", "end_time"}
_QJB_AUTH = {"sid", "key", "salt", "method", "v", "timestamp", "sign"}
_QJB_PAGE = {"page_no", "page_size", "calc_total"}
# method -> kind, the list's name, number of a document, what else is compared
_LISTS = {
    "trade_query.php": ("trades", "trades", "trade_no", ("shop_no", "trade_status")),
    "stockout_order_query_trade.php": ("stockouts", "stockout_list", "stockout_no", ("shop_no", "status")),
}
_QJB = {
    "sales.TradeQuery.queryWithDetail": ("qjb_trades", "trade_no", ("shop_no", "trade_status"), 30 * 1440),
    "wms.stockout.Sales.queryWithDetail": ("qjb_stockouts", "order_no", ("shop_no", "status"), 60),
}


class Wangdian(Simulator):
    """A simulated company in both editions. `qjb_secret`: secret and salt, with a colon between; `window_days`: the
    widest window of 企业版, 0: none is needed; `windows`: whether 旗舰版 has its own; `per_minute`: 0 for no limit;
    `clock`: monotonic seconds; `now`: epoch seconds."""

    name = "wangdian"

    def __init__(
        self,
        *,
        sid: str = "demo-sid",
        appkey: str = "demo-key",
        appsecret: str = "demo-secret",
        qjb_key: str = "demo-qjb",
        qjb_secret: str = "demo-secret:demo-salt",
        trades: int = 60,
        stockouts: int = 60,
        seed: int = 1,
        start: str = START,
        days: int = 20,
        window_days: int = 30,
        windows: bool = True,
        per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.sid = sid
        self.appkey = appkey
        self.appsecret = appsecret
        self.qjb_key = qjb_key
        self.qjb_secret, _, self.qjb_salt = qjb_secret.partition(":")
        self.window = window_days * 86400
        self.windows = windows
        self.now = now
        samples = Samples(seed, start, days)
        self.rows: dict[str, list[dict[str, Any]]] = {
            "trades": wangdian_data.trades(samples, trades),
            "stockouts": wangdian_data.stockouts(samples, stockouts),
            "qjb_trades": wangdian_data.qjb_trades(samples, trades),
            "qjb_stockouts": wangdian_data.qjb_stockouts(samples, stockouts),
        }
        self.books = Books()
        self.stored = self.books.stored
        self.faults = Faults(throttled=_throttled, business=_business, denied=_denied)
        self._paces = (Pace(per_minute, 60, clock), Pace(per_minute, 60, clock))

    def routes(self) -> list[web.RouteDef]:
        """Both editions."""
        return [
            truth_route(self.truth),
            web.post("/openapi2/{method}", self._enterprise),
            web.post("/openapi", self._flagship),
        ]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every row as the API shows it: `trades`, `stockouts` of 企业版, `qjb_trades`, `qjb_stockouts` of 旗舰版.
        Raises `KeyError` for another kind."""
        return list(self.rows[kind])

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            **{kind: len(rows) for kind, rows in self.rows.items()},
            "tokens_issued": 0,
            **self.books.state(),
        }

    # --- 企业版

    async def _enterprise(self, request: web.Request) -> web.Response:
        try:
            return answer({"code": 0, "message": "ok", **self._asked(request, await self._signed(request))})
        except Refused as refused:
            self.refused.append(f"{request.path}: {refused.message}")
            return _code(int(refused.code), refused.message)

    async def _signed(self, request: web.Request) -> dict[str, str]:
        """The form of a request whose account, clock and signature are right, without these."""
        try:
            form = await form_of(request)
        except ValueError as error:
            raise Refused(PARAMETER, f"请求必须是表单：{error}") from None
        missing = sorted(_AUTH - set(form))
        if missing:
            raise Refused(PARAMETER, f"缺少参数 {missing}")
        if (form["sid"], form["appkey"]) != (self.sid, self.appkey):
            raise Refused(ACCOUNT, "sid 或 appkey 无效")
        stamp = whole(form["timestamp"])
        if stamp is None or abs(stamp - self.now()) > _SKEW:
            raise Refused(CLOCK, "timestamp 无效或超时")
        if not same(form["sign"], enterprise_sign(form, self.appsecret)):
            raise Refused(SIGN, "签名错误")
        if takes(self._paces[0]) is not None:
            raise Refused(FREQUENT, "接口调用过于频繁")
        return {key: value for key, value in form.items() if key not in _AUTH}

    def _asked(self, request: web.Request, form: dict[str, str]) -> dict[str, Any]:
        method = request.match_info["method"]
        if method == "goods_push.php":
            return self._push(request.path, form)
        if method not in _LISTS:
            raise Refused(METHOD, f"接口不存在 {method}")
        kind, name, number, others = _LISTS[method]
        unknown = sorted(set(form) - _PAGE - {number, *others})
        if unknown:
            raise Refused(PARAMETER, f"未知参数 {unknown}")
        page, size = _page(form)
        rows = _matching(self.truth(kind), form, (number, *others))
        if number not in form and (self.window or _PAGE & set(form) & {"start_time", "end_time"}):
            low, high = _window(form, self.window, TIME)
            rows = [row for row in rows if low <= row["modified"] <= high]
        rows.sort(key=lambda row: str(row["modified"]))
        total = {} if page else {"total_count": len(rows)}
        return {**total, name: rows[page * size : (page + 1) * size]}

    def _push(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        try:
            goods = decoded(form.get("goods_list", ""))
        except ValueError:
            goods = None
        if set(form) != {"goods_list"} or not isinstance(goods, list) or not 0 < len(goods) <= _PUSH:
            raise Refused(PARAMETER, f"goods_list 必须是 1 到 {_PUSH} 个货品的 JSON 数组")
        ids = [str(one.get("goods_no")) if isinstance(one, dict) else "" for one in goods]
        poison = poisoned(self.faults, path, ids)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        no = rejected(self.faults, path, ids)
        new, errors = 0, []
        for number, one in zip(ids, goods, strict=True):
            problem = no.get(number) or _wrong_goods(one)
            if problem is None:
                new += self.books.write(number, one)
            else:
                errors.append({"goods_no": number, "error": problem})
        changed = len(goods) - len(errors) - new
        return {"new_count": new, "chg_count": changed, "error_list": shaken(self.faults, path, errors)}

    # --- 旗舰版

    async def _flagship(self, request: web.Request) -> web.Response:
        try:
            return answer({"status": 0, "message": "", "data": await self._found(request)})
        except Refused as refused:
            self.refused.append(f"{request.path}: {refused.message}")
            return _status(int(refused.code), refused.message)

    async def _found(self, request: web.Request) -> dict[str, Any]:
        query, body = await self._qjb_signed(request)
        if query["method"] not in _QJB:
            raise Refused(100, f"接口不存在 {query['method']}")
        kind, number, others, minutes = _QJB[query["method"]]
        try:
            arguments = decoded(body)
        except ValueError:
            arguments = None
        if not isinstance(arguments, list) or len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise Refused(100, "请求体必须是只有一个对象的 JSON 数组")
        asked = arguments[0]
        unknown = sorted(set(asked) - {"start_time", "end_time", number, *others})
        if unknown:
            raise Refused(100, f"未知参数 {unknown}")
        page, size = _page(query, 100)
        rows = _matching(self.truth(kind), asked, (number, *others))
        if number not in asked and (self.windows or set(asked) & {"start_time", "end_time"}):
            low, high = _window(asked, minutes * 60 if self.windows else 0, 100)
            rows = [row for row in rows if low <= row["modified"] <= high]
        rows.sort(key=lambda row: str(row["modified"]))
        total = {"total_count": len(rows)} if query.get("calc_total", "0") == "1" else {}
        return {**total, "order_list": rows[page * size : (page + 1) * size]}

    async def _qjb_signed(self, request: web.Request) -> tuple[dict[str, str], str]:
        """Query and body of a request whose account, clock and signature are right."""
        query = dict(request.query)
        missing = sorted(_QJB_AUTH - set(query))
        if missing or set(query) - _QJB_AUTH - _QJB_PAGE or len(request.query) != len(query):
            raise Refused(100, f"公共参数错误 {missing or sorted(query)}")
        if (query["sid"], query["key"], query["salt"]) != (self.sid, self.qjb_key, self.qjb_salt):
            raise Refused(100, "sid、key 或 salt 无效")
        stamp = whole(query["timestamp"])
        if query["v"] != "1.0" or stamp is None or abs(stamp + _QJB_EPOCH - self.now()) > _QJB_SKEW:
            raise Refused(100, "v 或 timestamp 无效")
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            raise Refused(100, "请求体不是 UTF-8") from None
        if not same(query["sign"], flagship_sign(query, body, self.qjb_secret)):
            raise Refused(100, "签名错误")
        if takes(self._paces[1]) is not None:
            raise Refused(FREQUENT, "接口调用过于频繁")
        return query, body


def enterprise_sign(form: dict[str, str], secret: str) -> str:
    """The signature of a form: `LL-key:VVVV-value` in key order, joined by `;`; lengths in characters."""
    pairs = [(key, form[key]) for key in sorted(form) if key != "sign"]
    return md5(";".join(f"{len(key):02}-{key}:{len(value):04}-{value}" for key, value in pairs) + secret)


def flagship_sign(query: dict[str, str], body: str, secret: str) -> str:
    """The signature of a query and its body: keys and values in key order, the secret on both sides."""
    signed = {**query, "body": body}
    return md5(secret + "".join(key + signed[key] for key in sorted(signed) if key != "sign") + secret)


def _page(asked: dict[str, str], code: int = PARAMETER) -> tuple[int, int]:
    page, size = whole(asked.get("page_no", "0")), whole(asked.get("page_size", "40"))
    if page is None or not size or size > _MOST:
        raise Refused(code, f"page_no 从 0 开始，page_size 最大 {_MOST}")
    return page, size


def _matching(rows: list[dict[str, Any]], asked: dict[str, Any], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    wanted = {key: str(asked[key]) for key in keys if key in asked}
    return [row for row in rows if all(str(row[key]) == value for key, value in wanted.items())]


def _window(asked: dict[str, Any], widest: int, code: int) -> tuple[str, str]:
    """Both ends of the window that is asked for; `widest` in seconds, 0: any."""
    begin, end = moment(asked.get("start_time")), moment(asked.get("end_time"))
    if begin is None or end is None or begin > end:
        raise Refused(code, "start_time、end_time 为空或格式错误")
    if widest and end - begin > widest:
        shown_as = f"{widest // 86400}天" if widest >= 86400 else f"{widest // 60}分钟"
        raise Refused(code, f"start_time 与 end_time 间隔最大{shown_as}")
    return shown(begin), shown(end)


def _wrong_goods(one: Any) -> str | None:
    if not isinstance(one, dict):
        return "货品必须是对象"
    for key in ("goods_no", "goods_name"):
        if not isinstance(one.get(key), str) or not one[key]:
            return f"{key} 不能为空，且必须是文本"
    return None


def _code(code: int, message: str) -> web.Response:
    return answer({"code": code, "message": message})


def _status(status: int, message: str) -> web.Response:
    return answer({"status": status, "message": message, "data": None})


def _form(fault: Fault) -> Callable[[int, str], web.Response]:
    return _status if fault.at == "/openapi" else _code


def _throttled(fault: Fault) -> web.Response:
    return _form(fault)(FREQUENT, "接口调用过于频繁")


def _business(fault: Fault) -> web.Response:
    return _form(fault)(fault.code, fault.message)


def _denied(fault: Fault) -> web.Response:
    form = _form(fault)
    return form(100 if form is _status else ACCOUNT, "sid 或 appkey 无效")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `wangdian` takes."""
    parser.add_argument("--sid", default="demo-sid")
    parser.add_argument("--appkey", default="demo-key", help="of 企业版")
    parser.add_argument("--appsecret", default="demo-secret", help="of 企业版")
    parser.add_argument("--qjb-key", default="demo-qjb", help="of 旗舰版")
    parser.add_argument("--qjb-secret", default="demo-secret:demo-salt", help="of 旗舰版: secret and salt")
    parser.add_argument("--window-days", type=int, default=30, help="the widest window of 企业版; 0: none is needed")
    parser.add_argument("--no-windows", dest="windows", action="store_false", help="旗舰版 needs no window")
    parser.add_argument("--per-minute", type=int, default=0, help="0: no limit")
    add_data_arguments(parser, trades=60, stockouts=60)


def from_arguments(chosen: argparse.Namespace) -> Wangdian:
    """The company that the arguments describe."""
    return made_of(Wangdian, chosen)
