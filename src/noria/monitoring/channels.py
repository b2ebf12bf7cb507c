"""Sending over a channel: 钉钉, 企业微信, 飞书, e-mail, a webhook, or whatever else Apprise knows.

Imported by whoever sends, for Apprise takes its time to load.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests
from apprise import Apprise
from apprise.common import NotifyFormat, NotifyType
from apprise.exception import AppriseImproperlyConfigured
from apprise.plugins.base import NotifyBase
from apprise.plugins.custom_json import NotifyJSON
from apprise.plugins.email.base import NotifyEmail

from noria.messages import Message
from noria.metadata.alerts import Channel
from noria.metadata.errors import NoriaError
from noria.metadata.secrets import Redactor, is_reference, is_secret_key, resolve
from noria.metadata.validation import is_web_address
from noria.monitoring.robots import ADDRESSES, Refused, robot, unreachable
from noria.monitoring.telling import Text

# A message that was not taken after so long is given up, in seconds.
PATIENCE = 15.0
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 10.0
# How Apprise tells of an HTTP status, and of what the network said.
_STATUS, _NETWORK = re.compile(r"error=([0-9]{3})\b"), re.compile(r"Socket Exception: (.+)")
_SECURITY = {"starttls": "starttls", "ssl": "ssl", "none": "insecure"}


class _Heard(logging.Handler):
    """Keeps what Apprise says in a thread, and from everybody else: it names tokens."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.here = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning, and the network's own words."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING or "Exception" in text:
            self.here.__dict__.setdefault("lines", []).append(" ".join(text.split()))

    def lines(self) -> list[str]:
        """What was said in this thread since somebody asked last."""
        found: list[str] = self.here.__dict__.pop("lines", [])
        return found


_heard = _Heard()
_apprise = logging.getLogger("apprise")
_apprise.addHandler(_heard)
_apprise.setLevel(logging.DEBUG)
_apprise.propagate = False


def opened(name: str, channel: Channel, folder: Path, redactor: Redactor, now: Callable[[], float]) -> NotifyBase:
    """Apprise's plugin for a channel; its secrets become known to `redactor`. `now`: epoch seconds. Raises `NoriaError`
    where a secret is missing or a setting can't be used."""
    path = f"$.alerts.channels.{name}"
    secret, token, password, url = (
        resolve(getattr(channel, key), folder, path=f"{path}.{key}") for key in ("secret", "token", "password", "url")
    )
    redactor.hide(secret, token, password)
    plugin: NotifyBase | None = None
    with suppress(AppriseImproperlyConfigured, TypeError, ValueError):
        if channel.kind == "email":
            plugin = _mail(channel, password)
        elif channel.kind == "webhook":
            plugin = _hook(url, token, redactor)
            if is_reference(channel.url):
                redactor.hide(url)
        elif channel.kind == "apprise":
            redactor.hide(url)
            plugin = Apprise.instantiate(url)
        elif (match := ADDRESSES[channel.kind].match(url.strip())) is not None:
            redactor.hide(match[2])
            plugin = robot(channel.kind, match[1], match[2], secret, now)
    _heard.lines()
    if plugin is None:
        key = "host" if channel.kind == "email" else "url"
        hint = Message(f"alerts.channel_{channel.kind}_hint")
        raise NoriaError("channel", Message("channel.unusable"), path=f"{path}.{key}", hint=hint)
    plugin.socket_connect_timeout, plugin.socket_read_timeout = _CONNECT_SECONDS, _READ_SECONDS
    return plugin


def _mail(channel: Channel, password: str) -> NotifyBase:
    return NotifyEmail(
        smtp_host=channel.host,
        host=channel.host,
        port=channel.port or None,
        secure_mode=_SECURITY[channel.security],
        secure=channel.security != "none",
        user=quote(channel.user, safe="") or None,
        password=quote(password, safe="") or None,
        from_addr=channel.sender,
        targets=channel.to,
    )


def _hook(url: str, token: str, redactor: Redactor) -> NotifyBase:
    parts = urlsplit(url)
    if not is_web_address(url):
        raise ValueError(parts.scheme)
    redactor.hide(
        unquote(parts.password or ""), *(value for key, value in parse_qsl(parts.query) if is_secret_key(key))
    )
    return NotifyJSON(
        host=parts.hostname,
        port=parts.port,
        secure=parts.scheme == "https",
        fullpath=parts.path or "/",
        user=parts.username,
        password=parts.password,
        params=dict(parse_qsl(parts.query)),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        redirect="no",
    )


async def send(
    name: str, channel: Channel, text: Text, folder: Path, redactor: Redactor, now: Callable[[], float]
) -> Message | None:
    """Send a message; None when it was taken, else why it was not. Waits `PATIENCE` seconds at most."""
    try:
        plugin = opened(name, channel, folder, redactor, now)
    except NoriaError as error:
        return Message("channel.settings", {"reason": error.message})
    text = text.cleaned(redactor.clean)
    if isinstance(plugin, NotifyJSON):
        plugin.payload_extras["alerts"] = text.items
    kind = NotifyType.FAILURE if text.bad else NotifyType.SUCCESS
    try:
        async with asyncio.timeout(PATIENCE):
            found = await _beside(lambda: _notified(plugin, text, kind))
    except TimeoutError:
        return Message("channel.timeout", {"seconds": round(PATIENCE)})
    if found is None:
        return None
    return Message(found.key, {k: redactor.clean(v) if isinstance(v, str) else v for k, v in found.values.items()})


def _notified(plugin: NotifyBase, text: Text, kind: NotifyType) -> Message | None:
    _heard.lines()
    try:
        if plugin.notify(body=text.body, title=text.title, notify_type=kind, body_format=NotifyFormat.TEXT):
            return None
    except Refused as refused:
        return refused.reason
    except (requests.RequestException, OSError) as error:
        return unreachable(error)
    said = "; ".join(_heard.lines())
    if (status := _STATUS.search(said)) is not None:
        return Message("channel.http", {"status": int(status[1])})
    if (network := _NETWORK.search(said)) is not None:
        return unreachable(OSError(network[1]))
    return Message("channel.refused", {"reason": said[:400] or "?"})


async def _beside(work: Callable[[], Message | None]) -> Message | None:
    """Do blocking work in a thread that nobody waits for when it hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Message | None] = loop.create_future()

    def settle(result: Any) -> None:
        if done.done():
            return
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)

    def run() -> None:
        try:
            result: Any = work()
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
            result = error
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="noria-channel", daemon=True).start()
    return await done
