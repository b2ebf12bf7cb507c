"""Signed forms: what a request asks for, taken apart and put into the form that a vendor has it in."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.transport import Request
from noria.messages import Message

# For a connection's headers.
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def asked(request: Request) -> dict[str, msgspec.Raw]:
    """What a request asks for, in its query or its body: each parameter's JSON as it is. Raises `Failure` for a body
    that is no object."""
    found = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in request.params.items()}
    try:
        return found | msgspec.json.decode(request.body or b"{}", type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        values = {"reason": str(error)}
        raise Failure("permanent", Message("http.bad_request", values), request=request.path) from None


def encoded(value: Any) -> str:
    """JSON as the text of a field."""
    return msgspec.json.encode(value).decode()


def field(raw: msgspec.Raw) -> str:
    """A parameter as the text of a field: a text as it is, anything else as JSON."""
    return msgspec.json.decode(raw, type=str) if bytes(raw)[:1] == b'"' else bytes(raw).decode()


def posted(request: Request, path: str, form: Mapping[str, str]) -> Request:
    """A request as a form."""
    return replace(request, method="POST", path=path, params={}, body=urlencode(form).encode())


def md5(text: str) -> str:
    """Lower-case hex of the MD5 of a text, which is how these vendors sign."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def hmac_sha256(key: str, text: str) -> str:
    """Base64 of the HMAC-SHA256 of a text, not yet percent-encoded."""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha256)).decode()
