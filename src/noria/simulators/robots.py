"""The group robots of 钉钉, 企业微信 and 飞书, and a plain webhook, on one server: as strict as the vendors are.

`/robot/send?access_token=…` 钉钉, `/cgi-bin/webhook/send?key=…` 企业微信, `/open-apis/bot/v2/hook/…` 飞书,
`/webhook` anything. Errors are HTTP 200 with a code of the vendor's own, as theirs are.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from noria.simulators.arguments import made_of
from noria.simulators.faults import Faults
from noria.simulators.pace import Paces
from noria.simulators.server import Simulator

# A signature's time may be off by so much, in seconds (钉钉 and 飞书: an hour).
_SKEW = 3600.0
# Messages a minute, and how long 钉钉 silences a robot that sent more, in seconds.
_A_MINUTE, _SILENCED = 20, 600.0


@dataclass
class Heard:
    """A message that was taken: by which robot, its text, the whole body, when (epoch seconds)."""

    robot: str
    text: str
    body: dict[str, Any]
    at: float


class Robots(Simulator):
    """`token`: of every robot; `secret`: what messages to 钉钉 and 飞书 must be signed with (empty: not at all);
    `bearer`: what the webhook wants to see; `now`: epoch seconds."""

    name = "robots"

    def __init__(
        self,
        *,
        token: str = "demo0123456789",
        secret: str = "SECdemo0123456789",
        bearer: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.token = token
        self.secret = secret
        self.bearer = bearer
        self.now = now
        self.faults = Faults()
        self.messages: list[Heard] = []
        self._paces = Paces(_A_MINUTE, 60.0, now, blocked=_SILENCED)

    def routes(self) -> list[web.RouteDef]:
        """One address a robot."""
        return [
            web.post("/robot/send", self._dingtalk),
            web.post("/cgi-bin/webhook/send", self._wecom),
            web.post("/open-apis/bot/v2/hook/{token}", self._feishu),
            web.post("/webhook", self._webhook),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports: every message that was taken, and why others were not."""
        taken = [{"robot": one.robot, "text": one.text, "at": one.at, "body": one.body} for one in self.messages]
        return {**super().state(), "messages": taken}

    async def _dingtalk(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("access_token") != self.token:
            return self._no("errcode", 300005, "errmsg", "token is not exist")
        if self.secret:
            stamp = query.get("timestamp", "")
            if not stamp.isdigit() or len(stamp) != 13 or abs(int(stamp) / 1000 - self.now()) > _SKEW:
                return self._no("errcode", 310000, "errmsg", "invalid timestamp")
            mac = hmac.new(self.secret.encode("utf-8"), digestmod=hashlib.sha256)
            mac.update(stamp.encode("ascii") + b"\n" + self.secret.encode("utf-8"))
            if query.get("sign", "") != base64.b64encode(mac.digest()).decode("ascii"):
                return self._no("errcode", 310000, "errmsg", "sign not match")
        body = await _body(request)
        text = body.get("text", {}).get("content") if body.get("msgtype") == "text" else None
        if not isinstance(text, str) or not text or len(await request.read()) > 20_000:
            return self._no("errcode", 400105, "errmsg", "unsupported msgtype, or too long")
        if not self._paces.takes("dingtalk"):
            return self._no("errcode", 130101, "errmsg", "send too fast, exceed 20 times per minute")
        return self._taken("dingtalk", text, body, {"errcode": 0, "errmsg": "ok"})

    async def _wecom(self, request: web.Request) -> web.Response:
        if request.query.get("key") != self.token:
            return self._no("errcode", 93000, "errmsg", "invalid webhook url")
        body = await _body(request)
        text = body.get("text", {}).get("content") if body.get("msgtype") == "text" else None
        if not isinstance(text, str) or not text:
            return self._no("errcode", 40008, "errmsg", "invalid message type")
        if len(text.encode("utf-8")) > 2048:
            return self._no("errcode", 40058, "errmsg", "text.content exceed max length 2048")
        if not self._paces.takes("wecom"):
            return self._no("errcode", 45009, "errmsg", "api freq out of limit")
        return self._taken("wecom", text, body, {"errcode": 0, "errmsg": "ok"})

    async def _feishu(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != self.token:
            return self._no("code", 19001, "msg", "param invalid: incoming webhook access token invalid")
        body = await _body(request)
        if self.secret:
            stamp = body.get("timestamp")
            if not isinstance(stamp, str) or not stamp.isdigit() or abs(int(stamp) - self.now()) > _SKEW:
                return self._no("code", 19021, "msg", "sign match fail or timestamp is not within one hour")
            key = f"{stamp}\n{self.secret}".encode()
            if body.get("sign") != base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode("ascii"):
                return self._no("code", 19021, "msg", "sign match fail or timestamp is not within one hour")
        text = body.get("content", {}).get("text") if body.get("msg_type") == "text" else None
        if not isinstance(text, str) or not text or len(await request.read()) > 20 * 1024:
            return self._no("code", 9499, "msg", "Bad Request")
        return self._taken("feishu", text, body, {"code": 0, "msg": "success", "data": {}})

    async def _webhook(self, request: web.Request) -> web.Response:
        if self.bearer and request.headers.get("Authorization") != f"Bearer {self.bearer}":
            self.refused.append("webhook 401")
            return web.json_response({"error": "unauthorized"}, status=401)
        body = await _body(request)
        return self._taken("webhook", f"{body.get('title')}\n{body.get('message')}", body, {"ok": True})

    def _taken(self, robot: str, text: str, body: dict[str, Any], answer: dict[str, Any]) -> web.Response:
        self.messages.append(Heard(robot, text, body, self.now()))
        return web.json_response(answer)

    def _no(self, code_key: str, code: int, text_key: str, text: str) -> web.Response:
        self.refused.append(f"{code} {text}")
        return web.json_response({code_key: code, text_key: text})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `robots` takes."""
    parser.add_argument("--token", default="demo0123456789", help="of every robot")
    parser.add_argument("--secret", default="SECdemo0123456789", help="what messages must be signed with")
    parser.add_argument("--bearer", default="", help="what the webhook wants to see")


def from_arguments(chosen: argparse.Namespace) -> Robots:
    """The robots that the arguments describe."""
    return made_of(Robots, chosen)
