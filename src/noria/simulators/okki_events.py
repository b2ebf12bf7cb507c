"""Events of 小满 OKKI: the requests that tell of them, and what they must be answered with.

Encryption: AES-256-GCM with the configuration's key, decoded; 12 bytes of chance, the tag, then the text. Signature:
lower-hex HMAC-SHA256 of time and whole body, with the key as the text it is. (The vendor's page of `/v1/webhook/test`,
whose example decrypts so.)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TEST = "xiaoman.open.callback.test"
_TAG = 16


@dataclass(frozen=True)
class Event:
    """A request that the vendor would make."""

    headers: dict[str, str]
    body: bytes


def event(biz_type: str, biz_data: Any, secret: str, *, message: str, timestamp: str) -> Event:
    """The request that tells of one thing; `timestamp` in seconds."""
    plain = json.dumps({"biz": [{"biz_type": biz_type, "biz_data": biz_data}]}, ensure_ascii=False)
    chance = os.urandom(12)
    sealed = AESGCM(base64.b64decode(secret)).encrypt(chance, plain.encode(), None)
    data = base64.b64encode(chance + sealed[-_TAG:] + sealed[:-_TAG]).decode()
    body = json.dumps({"message_id": message, "data": data}).encode()
    signed = hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Timestamp": timestamp, "X-Signature": signed}
    return Event(headers, body)


def check_answer(body: bytes, message: str, biz_data: Any = None) -> None:
    """Whether an answer takes a message; that to a test has its data too, under either of the names that the vendor
    gives it. Raises `ValueError` for one that the vendor would not take."""
    found = json.loads(body)
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, dict) or data.get("message_id") != message or found.get("code", 200) != 200:
        raise ValueError(f"the answer has no data.message_id {message}")
    if biz_data is not None and biz_data not in (data.get("data"), data.get("biz_data")):
        raise ValueError("the answer has not the test's biz_data")
