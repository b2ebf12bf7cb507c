"""The robots of 钉钉, 企业微信 and 飞书: Apprise's plugins, with what it leaves out.

Apprise 2.3 does not look at the `errcode` of 钉钉 and 企业微信 (whose errors are HTTP 200), encodes the signature for
钉钉 twice, cannot sign for 飞书, and knows each vendor's public host only. Sources: the vendors' pages on custom robots
(企业微信: document 91770).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

import msgspec
import requests
from apprise.plugins.base import NotifyBase
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.wecombot import NotifyWeComBot

from noria.messages import Message

# The address that a vendor shows when a robot is made, in its parts.
ADDRESSES = {
    "dingtalk": re.compile(r"(https?://[^\s?#]+)\?access_token=([A-Za-z0-9]+)\Z"),
    "wecom": re.compile(r"(https?://[^\s?#]+)\?key=([A-Za-z0-9_-]+)\Z"),
    "feishu": re.compile(r"(https?://[^\s?#]+/hook)/([A-Za-z0-9_-]+)/?\Z"),
}


class Refused(Exception):
    """A message that was not taken; `reason` says why."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason.key)
        self.reason = reason


def robot(kind: str, base: str, token: str, secret: str, now: Callable[[], float]) -> NotifyBase:
    """The robot at an address (`ADDRESSES`). `now`: epoch seconds, which signatures are made with. Raises Apprise's
    `AppriseImproperlyConfigured` for a token or secret that can't be one."""
    if kind == "dingtalk":
        return _DingTalk(base, token, secret, now)
    return _WeCom(base, token) if kind == "wecom" else _Feishu(base, token, secret, now)


class _DingTalk(NotifyDingTalk):  # type: ignore[misc]
    def __init__(self, base: str, token: str, secret: str, now: Callable[[], float]) -> None:
        super().__init__(token=token, secret=secret or None, redirect="no")
        self.notify_url = base
        self.now = now

    def get_signature(self) -> tuple[str, str]:
        """The time in milliseconds, and base64(HMAC-SHA256(key = secret, time + newline + secret)), as it is: it is
        encoded when it is put into the address."""
        stamp = str(round(self.now() * 1000))
        signed = hmac.digest(self.secret.encode(), f"{stamp}\n{self.secret}".encode(), hashlib.sha256)
        return stamp, base64.b64encode(signed).decode()

    def send(self, body: str, title: str = "", **_: Any) -> bool:
        """Send a text. Raises `Refused`."""
        params = {"access_token": self.token}
        if self.secret:
            params["timestamp"], params["sign"] = self.get_signature()
        text = {"msgtype": "text", "text": {"content": _joined(title, body)}}
        return _posted(self, self.notify_url, text, "errcode", "errmsg", params)


class _WeCom(NotifyWeComBot):  # type: ignore[misc]
    # The title comes by itself, not put before the text.
    title_maxlen = 250

    def __init__(self, base: str, token: str) -> None:
        super().__init__(key=token, redirect="no")
        self.notify_url = base

    def send(self, body: str, title: str = "", **_: Any) -> bool:
        """Send a text. Raises `Refused`."""
        text = {"msgtype": "text", "text": {"content": _joined(title, body)}}
        return _posted(self, self.notify_url, text, "errcode", "errmsg", {"key": self.key})


class _Feishu(NotifyFeishu):  # type: ignore[misc]
    def __init__(self, base: str, token: str, secret: str, now: Callable[[], float]) -> None:
        super().__init__(token=token, redirect="no")
        self.notify_url = f"{base}/{token}"
        self.secret = secret
        self.now = now

    def signature(self) -> dict[str, str]:
        """The time in seconds, and base64(HMAC-SHA256(key = time + newline + secret, nothing))."""
        if not self.secret:
            return {}
        stamp = str(int(self.now()))
        signed = hmac.digest(f"{stamp}\n{self.secret}".encode(), b"", hashlib.sha256)
        return {"timestamp": stamp, "sign": base64.b64encode(signed).decode()}

    def send(self, body: str, title: str = "", **_: Any) -> bool:
        """Send a text. Raises `Refused`."""
        text = {**self.signature(), "msg_type": "text", "content": {"text": _joined(title, body)}}
        return _posted(self, self.notify_url, text, "code", "msg")


def _joined(title: str, body: str) -> str:
    return f"{title}\n{body}" if title else body


def _posted(
    plugin: NotifyBase, url: str, payload: Any, code: str, text: str, params: dict[str, str] | None = None
) -> bool:
    """Post as the plugin is set up to; whether the answer says by its own code that the message was taken."""
    try:
        answer = requests.post(
            url,
            params=params,
            data=msgspec.json.encode(payload),
            headers={"Content-Type": "application/json", "User-Agent": "noria"},
            verify=plugin.verify_certificate,
            timeout=plugin.request_timeout,
            allow_redirects=plugin.redirects,
        )
    except requests.RequestException as error:
        raise Refused(unreachable(error)) from None
    try:
        found = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        found = {}
    if found.get(code, 0) != 0:
        raise Refused(Message("channel.code", {"code": found[code], "text": str(found.get(text, ""))[:200]}))
    if answer.status_code != 200 or code not in found:
        raise Refused(Message("channel.http", {"status": answer.status_code}))
    return True


def unreachable(error: Exception) -> Message:
    """Why there was no answer: what the network said, not the address, which holds a secret."""
    inner = error.args[0] if error.args else error
    reason = str(getattr(inner, "reason", inner))
    # After the library's own names for what it is connecting with.
    for before in ("new connection: ", ">: "):
        reason = reason.partition(before)[2] or reason
    return Message("channel.unreachable", {"reason": reason[:200] or type(error).__name__})
