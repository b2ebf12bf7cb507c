"""What the vendors' simulators read and write alike: JSON whose amounts keep their digits, times of China, digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

ZONE = ZoneInfo("Asia/Shanghai")
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$")


class Refused(Exception):
    """A request, or a row of one, that the vendor refuses: its code and its text."""

    def __init__(self, code: int | str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def encoded(value: Any) -> str:
    """JSON; a `Decimal` is a number with the digits it has."""
    return _ENCODER.encode(value).decode()


def decoded(text: str | bytes) -> Any:
    """Any JSON, its fractions as `Decimal`; raises `ValueError`, also for NaN and infinities."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A value as an answer in JSON."""
    text = encoded(value)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json", charset="utf-8")


def shown(epoch: float) -> str:
    """Epoch seconds as the vendors write local times."""
    return datetime.fromtimestamp(int(epoch), ZONE).strftime("%Y-%m-%d %H:%M:%S")


def moment(value: object) -> int | None:
    """The epoch seconds of a local time text; None when it is none."""
    if not isinstance(value, str) or not _TIME.match(value):
        return None
    try:
        return int(datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp())
    except ValueError:
        return None


def whole(value: object) -> int | None:
    """A number of at most 18 digits, given as JSON number or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if re.fullmatch(r"\d{1,18}", str(value), re.ASCII) else None


def is_amount(value: object) -> bool:
    """Whether a value is a JSON number, or the text of one."""
    if isinstance(value, str):
        return re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII) is not None
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def md5(text: str) -> str:
    """Lower-case hex of the MD5 of a text in UTF-8."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two signatures are the same."""
    return hmac.compare_digest(one.encode(), other.encode())


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form; raises `ValueError` for another content type, and for a field that comes twice."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise ValueError(f"content type {request.content_type}")
    form: dict[str, str] = {}
    for key, value in (await request.post()).items():
        if key in form or not isinstance(value, str):
            raise ValueError(f"field {key} twice")
        form[key] = value
    return form


async def object_of(request: web.Request, code: int | str) -> dict[str, Any]:
    """The JSON object in a body; raises `Refused` with a code for anything else."""
    try:
        body = decoded(await request.read())
    except ValueError:
        body = None
    if request.content_type != "application/json" or not isinstance(body, dict):
        raise Refused(code, "请求体必须是 JSON 对象")
    return body


def truth_route(truth: Callable[[str], list[dict[str, Any]]]) -> web.RouteDef:
    """`/_control/truth?list=`: every row of a list, one JSON a line; 404 for a list that isn't there."""

    async def show(request: web.Request) -> web.Response:
        try:
            rows = truth(request.query.get("list", ""))
        except KeyError as unknown:
            return web.json_response({"error": f"no list {unknown}"}, status=404)
        text = "".join(encoded(row) + "\n" for row in rows)
        return web.Response(text=text, content_type="application/jsonl", charset="utf-8")

    return web.get("/_control/truth", show)
