"""Events of 钉钉: the requests that tell of them, and what they must be answered with."""

from __future__ import annotations

import json
from typing import Any

from noria.simulators.callbacks import Callback, Keys, encrypt, opened, signature


def event(what: dict[str, Any], keys: Keys, *, timestamp: str, nonce: str, old_names: bool = False) -> Callback:
    """The request that tells of an event (`{"EventType": …}`). `old_names`: `signature` and `timestamp` in the query,
    else `msg_signature` and `timeStamp`; both occur."""
    encrypted = encrypt(json.dumps(what, ensure_ascii=False), keys)
    signed = signature(keys.token, timestamp, nonce, encrypted)
    names = ("signature", "timestamp") if old_names else ("msg_signature", "timeStamp")
    query = {names[0]: signed, names[1]: timestamp, "nonce": nonce}
    return Callback(query, json.dumps({"encrypt": encrypted}).encode())


def answered(body: bytes, keys: Keys) -> str:
    """The text of the answer to an event, `success` when it was taken; raises `ValueError` for an answer that the
    vendor would not take."""
    found = json.loads(body)
    fields = ("msg_signature", "encrypt", "timeStamp", "nonce")
    if not isinstance(found, dict) or set(found) != set(fields):
        raise ValueError(f"the answer has {', '.join(fields)}")
    signed, encrypted, timestamp, nonce = (found[name] for name in fields)
    if not all(isinstance(value, str) for value in (signed, encrypted, timestamp, nonce)):
        raise ValueError("the answer's values are texts")
    return opened(encrypted, timestamp, nonce, signed, keys)
