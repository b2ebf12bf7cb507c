"""用友 YonSuite as its clients know it: gateway lookup, signed token, lists with conditions, saves that fail in part.

Source: clients of apigateway.yonyoucloud.com. What those leave open is chosen here, as strictly as can be: a
token's timestamp may be 5 minutes off; a wrong signature or clock is code 10019, an unknown tenant 10017, a
wrong parameter 310400; each token is a new one, and the older ones live on; the code of lists is the text
"200", that of saves the number 200; requests beyond the limit answer 310032, and only those of the
sales-order list are limited; pages have at most 500 rows; conditions (`simpleVOs`) name a field of the head
with `egt`, `elt`, `eq` or `between`; bodies hold what is named here and nothing else.

A save takes `{"data": {...}}` or `{"data": [...]}` of at most 100 documents and answers `data: {count,
sucessCount, failCount, messages: [{key, message}], infos: [{id, code}]}`; `key` is the code of the document,
else its `resubmitCheckKey`, else its place. A key of more than 32 characters is refused; one that was saved
before answers what it answered then. A code that is taken is refused; a document without one is given one.
Lines are the lists in it; none may be empty, and `num`, `qty`, `price` and `amount` in them must be numbers.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from noria.simulators.arguments import add_data_arguments, made_of
from noria.simulators.books import Books, digest, poisoned, rejected, shaken
from noria.simulators.faults import Fault, Faults
from noria.simulators.pace import Pace, takes
from noria.simulators.samples import BIG, START, Samples
from noria.simulators.server import Simulator
from noria.simulators.wire import Refused, answer, is_amount, md5, object_of, same, shown, truth_route, whole

NO_TOKEN, BAD_TOKEN, NOT_ALLOWED, UNKNOWN, THROTTLED = "310001", "310036", "310037", "310404", "310032"
TENANT, APP_KEY, SIGN, PARAMETER = "10017", "10018", "10019", "310400"
LIST, SAVE = "/yonbip/sd/voucherorder/list", "/yonbip/scm/salesout/save"
_GATEWAY, _AUTH = "/iuap-api-gateway", "/iuap-api-auth"
_SKEW, _PAGE, _BATCH, _KEY = 300_000, 500, 100, 32
_AMOUNTS = ("num", "qty", "price", "amount")


class YonSuite(Simulator):
    """A simulated tenant. `orders`: how many; `allowed`: the paths that the app may call; `per_minute`: of the order
    list, 0 for no limit; `clock`: monotonic seconds; `now`: epoch seconds."""

    name = "yonsuite"

    def __init__(
        self,
        *,
        tenant_id: str = "demo-tenant",
        app_key: str = "demo-key",
        app_secret: str = "demo-secret",
        orders: int = 60,
        seed: int = 1,
        start: str = START,
        days: int = 20,
        token_seconds: float = 7200,
        allowed: tuple[str, ...] = (LIST, SAVE),
        per_minute: int = 60,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.tenant_id = tenant_id
        self.app_key = app_key
        self.app_secret = app_secret
        self.token_seconds = token_seconds
        self.allowed = allowed
        self.clock = clock
        self.now = now
        self.orders = _orders(Samples(seed, start, days), orders)
        self.tokens: dict[str, float] = {}
        self.tokens_issued = 0
        self.books = Books()
        self.stored = self.books.stored
        self.replayed = 0
        self._saved: dict[str, dict[str, str]] = {}
        self.faults = Faults(
            expire=self.tokens.clear,
            throttled=lambda _: _no(THROTTLED, "接口调用超过流量限制"),
            business=_business,
            denied=lambda _: _no(BAD_TOKEN, "非法 token"),
        )
        self._pace = Pace(per_minute, 60, clock)

    def routes(self) -> list[web.RouteDef]:
        """The lookup, both addresses of tokens, the business paths; everything else is unknown."""
        return [
            truth_route(self.truth),
            web.get("/open-auth/dataCenter/getGatewayAddress", self._guarded(self._gateway)),
            web.get(_AUTH + "/open-auth/selfAppAuth/base/v1/getAccessToken", self._guarded(self._token)),
            web.get(_AUTH + "/open-auth/selfAppAuth/getAccessToken", self._guarded(self._token)),
            web.post(_GATEWAY + LIST, self._guarded(self._list)),
            web.post(_GATEWAY + SAVE, self._guarded(self._save)),
            web.route("*", "/{anything:.*}", self._guarded(self._unknown)),
        ]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every row of `orders` as the API shows it; raises `KeyError` for another kind."""
        return list({"orders": self.orders}[kind])

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports. `replayed`: documents that a known `resubmitCheckKey` kept from being
        made again."""
        return {
            **super().state(),
            "orders": len(self.orders),
            "tokens_issued": self.tokens_issued,
            "stored": len(self.stored),
            "written": self.books.count(),
            "replayed": self.replayed,
            "duplicates": self.books.duplicates(),
        }

    def _guarded(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Refused as refused:
                self.refused.append(f"{request.path}: {refused.message}")
                return _no(str(refused.code), refused.message, 404 if refused.code == UNKNOWN else 200)

        return respond

    async def _unknown(self, request: web.Request) -> web.Response:
        raise Refused(UNKNOWN, f"请求路径不存在 {request.method} {request.path}")

    # --- who asks

    async def _gateway(self, request: web.Request) -> web.Response:
        if dict(request.query) != {"tenantId": self.tenant_id}:
            raise Refused(TENANT, "租户不存在")
        here = f"{request.scheme}://{request.host}"
        return _ok({"gatewayUrl": here + _GATEWAY, "tokenUrl": here + _AUTH}, "00000")

    async def _token(self, request: web.Request) -> web.Response:
        query = request.query
        if set(query) != {"appKey", "timestamp", "signature"} or query["appKey"] != self.app_key:
            raise Refused(APP_KEY, "appKey 不存在")
        stamp = whole(query["timestamp"])
        if stamp is None or abs(stamp - self.now() * 1000) > _SKEW:
            raise Refused(SIGN, "timestamp 无效或超时")
        text = f"appKey{query['appKey']}timestamp{query['timestamp']}"
        mac = hmac.new(self.app_secret.encode(), text.encode(), hashlib.sha256).digest()
        if not same(query["signature"], base64.b64encode(mac).decode()):
            raise Refused(SIGN, "签名错误")
        self.tokens_issued += 1
        token = md5(f"token {self.tokens_issued}")
        self.tokens[token] = self.clock() + self.token_seconds
        return _ok({"access_token": token, "expire": int(self.token_seconds)}, "00000")

    async def _body(self, request: web.Request) -> dict[str, Any]:
        """The body of a request with a valid token, to a path that the app may call."""
        token = request.query.get("access_token")
        if not token:
            raise Refused(NO_TOKEN, "缺少 access_token")
        if self.clock() >= self.tokens.get(token, float("-inf")):
            raise Refused(BAD_TOKEN, "非法 token")
        if request.path.removeprefix(_GATEWAY) not in self.allowed:
            raise Refused(NOT_ALLOWED, "应用未获得接口授权")
        return await object_of(request, PARAMETER)

    # --- the list

    async def _list(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        if takes(self._pace) is not None:
            raise Refused(THROTTLED, "接口调用超过流量限制")
        unknown = sorted(set(body) - {"pageIndex", "pageSize", "simpleVOs", "code"})
        page, size = whole(body.get("pageIndex")), whole(body.get("pageSize"))
        if unknown or not page or not size or size > _PAGE:
            raise Refused(PARAMETER, f"pageIndex 从 1 开始，pageSize 最大 {_PAGE}，未知参数 {unknown}")
        rows = [row for row in self.orders if body.get("code") in (None, row["code"])]
        conditions = body.get("simpleVOs") or []
        if not isinstance(conditions, list):
            raise Refused(PARAMETER, "simpleVOs 必须是数组")
        for condition in conditions:
            test = _test(condition, self.orders)
            rows = [row for row in rows if test(row)]
        data = {"pageIndex": page, "pageSize": size, "recordCount": len(rows), "pageCount": -(-len(rows) // size)}
        return _ok({**data, "recordList": rows[(page - 1) * size : page * size]}, "200")

    # --- saves

    async def _save(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        given = body.get("data")
        documents = given if isinstance(given, list) else [given]
        if set(body) != {"data"} or not 0 < len(documents) <= _BATCH or None in documents:
            raise Refused(PARAMETER, f"data 必须是单据，或 1 到 {_BATCH} 个单据")
        keys = [_key(one, place) for place, one in enumerate(documents)]
        poison = poisoned(self.faults, request.path, keys)
        if poison is not None:
            raise Refused(poison.code, poison.message)
        no = rejected(self.faults, request.path, keys)
        infos, messages = [], []
        for key, one in zip(keys, documents, strict=True):
            try:
                if key in no:
                    raise Refused("", no[key])
                infos.append(self._made(one))
            except Refused as refused:
                self.refused.append(f"{key}: {refused.message}")
                messages.append({"key": key, "message": refused.message})
        counts = {"count": len(documents), "sucessCount": len(infos), "failCount": len(messages)}
        data = {**counts, "messages": shaken(self.faults, request.path, messages), "infos": infos}
        return _ok(data, 200)

    def _made(self, document: Any) -> dict[str, str]:
        """Make a document, unless its key was saved before; raises `Refused`."""
        if not isinstance(document, dict) or not document:
            raise Refused("", "单据必须是对象")
        check = str(document.get("resubmitCheckKey") or "")
        if len(check) > _KEY:
            raise Refused("", f"resubmitCheckKey 不能超过 {_KEY} 位")
        if check and check in self._saved:
            self.replayed += 1
            return self._saved[check]
        for name, lines in document.items():
            if isinstance(lines, list):
                _check_lines(name, lines)
        code = str(document.get("code") or "")
        if code in self.stored:
            raise Refused("", f"单据编号重复：{code}")
        count = len(self.stored)
        code, identity = code or f"XSCK{count:08}", code or check or digest(document)
        self.books.make(identity, code, document)
        info = {"id": str(BIG + 900_000 + count), "code": code}
        if check:
            self._saved[check] = info
        return info


def _test(condition: Any, orders: list[dict[str, Any]]) -> Callable[[dict[str, Any]], bool]:
    """What a condition wants of a row; raises `Refused`."""
    if not isinstance(condition, dict) or set(condition) - {"field", "op", "value1", "value2"}:
        raise Refused(PARAMETER, "simpleVOs 必须是 field、op、value1、value2")
    field, op = condition.get("field"), condition.get("op")
    low, high = condition.get("value1"), condition.get("value2")
    known = {key for row in orders for key, value in row.items() if not isinstance(value, list)}
    if field not in known or op not in ("egt", "elt", "eq", "between") or low is None:
        raise Refused(PARAMETER, f"simpleVOs 条件错误：{field} {op}")
    if op == "between" and high is None:
        raise Refused(PARAMETER, "between 缺少 value2")

    def test(row: dict[str, Any]) -> bool:
        held = row.get(str(field))
        if held is None:
            return False
        least, most = (_like(held, low), _like(held, high)) if op == "between" else (_like(held, low),) * 2
        return bool((op == "elt" or held >= least) and (op == "egt" or held <= most))

    return test


def _like(held: Any, value: Any) -> Any:
    """A condition's value as it compares with what a row holds."""
    if isinstance(held, str):
        return str(value)
    if not is_amount(value):
        raise Refused(PARAMETER, f"simpleVOs 的值不是数字：{value}")
    return Decimal(str(value))


def _key(document: Any, place: int) -> str:
    if not isinstance(document, dict):
        return str(place)
    return str(document.get("code") or document.get("resubmitCheckKey") or place)


def _check_lines(name: str, lines: list[Any]) -> None:
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise Refused("", f"{name} 不能为空，且必须是对象")
    for line in lines:
        wrong = [key for key in _AMOUNTS if line.get(key) is not None and not is_amount(line[key])]
        if wrong:
            raise Refused("", f"{name}.{wrong[0]} 必须是数字")


def _ok(data: Any, code: str | int) -> web.Response:
    return answer({"code": code, "message": "操作成功", "data": data})


def _no(code: str, message: str, status: int = 200) -> web.Response:
    return answer({"code": code, "message": message, "data": None}, status)


def _business(fault: Fault) -> web.Response:
    return _no(str(fault.code), fault.message)


def _orders(samples: Samples, count: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        lines = []
        for line in range(1 + n % 3):
            price, quantity = samples.amount(), samples.quantity()
            row = {"id": BIG + 300_000 + n * 10 + line, "productCode": f"SKU{(n + line) % 25:03}", "qty": quantity}
            lines.append({**row, "oriTaxUnitPrice": price, "oriSum": str(price * quantity)})
        rows.append(
            {
                "id": BIG + n,
                "code": f"XSDD{202401000000 + n}",
                "vouchdate": shown(at)[:10] + " 00:00:00",
                "agentId_name": samples.shop(n),
                "material": f"SKU{n % 25:03}",
                "payMoney": samples.amount(),
                "memo": samples.remark(),
                "nextStatus": ("CONFIRMORDER", "ENDORDER")[n % 2],
                "pubts": shown(at),
                "orderDetails": lines,
            }
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `yonsuite` takes."""
    parser.add_argument("--tenant-id", default="demo-tenant")
    parser.add_argument("--app-key", default="demo-key")
    parser.add_argument("--app-secret", default="demo-secret")
    parser.add_argument("--token-seconds", type=float, default=7200, help="how long a token lives")
    parser.add_argument("--per-minute", type=int, default=60, help="of the order list; 0: no limit")
    add_data_arguments(parser, orders=60)


def from_arguments(chosen: argparse.Namespace) -> YonSuite:
    """The tenant that the arguments describe."""
    return made_of(YonSuite, chosen)
