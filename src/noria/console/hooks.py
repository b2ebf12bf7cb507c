"""Events that systems push: whether they are genuine, which message they are, what is answered.

An event says no more than that something has changed: the plan then reads what did, as it does on its schedule.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from xxhash import xxh3_128_hexdigest

from noria.console.sealed import Seal, Unsealed, as_json, given, in_json, in_xml
from noria.metadata.paths import MISSING, at
from noria.metadata.plan import Webhook

# How far a signed time may be from ours, in seconds.
_LATE = 300.0
_IV, _TAG = 12, 16


class Refused(Exception):
    """An event that is not taken: the HTTP status, and why (for the log; the sender is told the status only)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Event:
    """A genuine one: the message's own id, and what is answered: JSON, or a text as it is. `asks`: it only asks whether
    this is the right address, and nothing has changed."""

    message: str
    answer: dict[str, Any] | str = field(default_factory=lambda: {"ok": True})
    asks: bool = False


@dataclass(frozen=True)
class Pushed:
    """A request as it came: `headers` by their lower-case names."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


def event_of(hook: Webhook, secret: str, token: str, pushed: Pushed, now: float) -> Event:
    """The event in a request (`now`: epoch seconds); raises `Refused`."""
    headers, body = pushed.headers, pushed.body
    if hook.kind in ("dingtalk", "wecom"):
        return _sealed(hook, Seal(token, secret, hook.owner), pushed, now)
    if hook.kind == "okki":
        return _okki(secret, headers, body, now)
    signed = body
    if hook.timestamp_header:
        stamp = headers.get(hook.timestamp_header.lower(), "")
        _in_time(stamp, now)
        signed = stamp.encode() + body
    _signed(secret.encode(), signed, headers.get(hook.header.lower(), ""))
    found: Any = MISSING
    if hook.id:
        try:
            found = at(msgspec.json.decode(body), hook.id)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused(400, "not JSON") from None
    return Event(xxh3_128_hexdigest(body) if found is MISSING or found is None else str(found))


def _sealed(hook: Webhook, seal: Seal, pushed: Pushed, now: float) -> Event:
    """钉钉's and 企业微信's: signed with a token and encrypted. 企业微信 asks with a GET whether the address is right,
    钉钉 with an event."""
    signature, stamp, nonce = given(pushed.query)
    _in_time(stamp, now)
    asks = pushed.query.get("echostr") if hook.kind == "wecom" else None
    try:
        encrypted = asks or (in_xml(pushed.body) if hook.kind == "wecom" else in_json(pushed.body))
        message = seal.opened(encrypted, stamp, nonce, signature)
    except Unsealed as error:
        raise Refused(401, str(error)) from None
    except ValueError as error:
        raise Refused(503, f"secret is no EncodingAESKey: {type(error).__name__}") from None
    if hook.kind == "wecom":
        return Event(xxh3_128_hexdigest(message), message.decode("utf-8", "replace") if asks else "success", bool(asks))
    checked = b'"check_url"' in message
    return Event(xxh3_128_hexdigest(message), as_json(seal, "success", str(int(now * 1000)), nonce), checked)


def _okki(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Event:
    """小满's: signed over time and body with the configuration as text, encrypted with it decoded (AES-256-GCM, the tag
    before the text)."""
    stamp = headers.get("x-timestamp", "")
    _in_time(stamp, now)
    _signed(secret.encode(), stamp.encode() + body, headers.get("x-signature", ""))
    try:
        sent = msgspec.json.decode(body, type=dict[str, Any])
        data = base64.b64decode(sent["data"], validate=True)
        key = base64.b64decode(secret, validate=True)
        opened = AESGCM(key).decrypt(data[:_IV], data[_IV + _TAG :] + data[_IV : _IV + _TAG], None)
        plain = msgspec.json.decode(opened, type=dict[str, Any])
        message = str(sent["message_id"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, InvalidTag, UnicodeDecodeError) as error:
        raise Refused(400, f"can't be decrypted: {type(error).__name__}") from None
    answer: dict[str, Any] = {"message_id": message}
    tests = [one for one in plain.get("biz") or [] if str(one.get("biz_type", "")).endswith(".test")]
    if tests:
        # The vendor's text and its example name the field differently.
        answer |= {"data": tests[0].get("biz_data"), "biz_data": tests[0].get("biz_data")}
    return Event(message, {"code": 200, "data": answer}, bool(tests))


def _in_time(stamp: str, now: float) -> None:
    try:
        sent = float(stamp)
    except ValueError:
        raise Refused(401, "no time") from None
    sent = sent / 1000 if sent > 1e11 else sent
    if not abs(now - sent) <= _LATE:
        raise Refused(401, "the time is too far off")


def _signed(key: bytes, signed: bytes, signature: str) -> None:
    """Raise `Refused` unless the signature is HMAC-SHA256 in hexadecimal or base64, with or without `sha256=`."""
    wanted = hmac.digest(key, signed, "sha256")
    given = signature.strip().removeprefix("sha256=")
    candidates = []
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            candidates.append(decode(given))
        except (ValueError, binascii.Error):
            continue
    if not any(hmac.compare_digest(wanted, one) for one in candidates):
        raise Refused(401, "the signature is not that of the body")
