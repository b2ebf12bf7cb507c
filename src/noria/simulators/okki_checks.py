"""How strictly 小满 OKKI looks at what it is sent; every check raises `Refused` with the vendor's code and text.

Not documented, and so chosen on the strict side: unknown fields of a body are refused (fields that users define have
numbers for names), whole numbers may be texts of digits, texts may not be numbers, and `count` is at most 500.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from aiohttp import web

from noria.simulators.okki_facts import Operation
from noria.simulators.wire import Refused, decoded, is_amount, whole

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$")
_MOST = 500
_NOTHING: tuple[Any, ...] = (None, "")


def checked_query(given: Mapping[str, str], operation: Operation) -> dict[str, str]:
    """The parameters of a query or form."""
    for name, value in given.items():
        kind = operation.parameters.get(name)
        if kind is None:
            raise Refused(400, f"Invalid query: {name}")
        if not _fits(name, value, kind):
            raise Refused(400, f"Invalid query: {name}={value}")
    for name in operation.required:
        if not given.get(name):
            raise Refused(400, "Invalid query")
    return dict(given)


def _fits(name: str, value: str, kind: str) -> bool:
    match kind:
        case "string":
            return True
        case "integer":
            return value.isdecimal()
        case "time":
            return _TIME.match(value) is not None
        case "positive":
            return value.isdecimal() and 1 <= int(value) <= (_MOST if name == "count" else int(value))
        case _:
            return value in kind.split("|")


async def sent_in(request: web.Request) -> Any:
    """What a body in JSON holds."""
    raw = await request.read()
    if not raw.strip():
        raise Refused(400, "Empty POST request body data")
    try:
        body = decoded(raw)
    except ValueError:
        raise Refused(400, "Invalid data json") from None
    if request.content_type != "application/json" or not isinstance(body, dict | list):
        raise Refused(400, "Invalid data json")
    if not body:
        raise Refused(400, "Empty POST request body data")
    return body


async def form_in(request: web.Request) -> dict[str, str]:
    """What a form holds, of either kind; nothing may be beside it."""
    if request.query or request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise Refused(400, "Invalid query")
    return {name: str(value) for name, value in (await request.post()).items()}


def check_body(body: Any, operation: Operation) -> None:
    """Whether an object has the fields it must have, and only values that they can have."""
    if not isinstance(body, dict):
        raise Refused(400, "Invalid data json")
    if operation.any_of is not None:
        names, code, text = operation.any_of
        if all(body.get(name) in _NOTHING for name in names):
            raise Refused(code, text)
    _check_fields(body, operation.body, operation.says)


def _check_fields(body: dict[str, Any], fields: dict[str, Any], says: Mapping[str, tuple[int, str]]) -> None:
    known = {name.rstrip("*"): kind for name, kind in fields.items()}
    for name in (name.rstrip("*") for name in fields if name.endswith("*")):
        if body.get(name) in _NOTHING:
            raise Refused(*says.get(name, (404, f"{name} cannot be empty")))
    for name, value in body.items():
        if name.isdecimal():
            continue
        if name not in known:
            raise Refused(404, f"Input data validate error {name} is unknown")
        if value not in _NOTHING:
            _check_value(name, value, known[name], says)


def _check_value(name: str, value: Any, kind: Any, says: Mapping[str, tuple[int, str]]) -> None:
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise Refused(404, f"Input data validate error {name} must be array")
        for one in value:
            _check_value(name, one, kind[0], says)
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            raise Refused(404, f"Input data validate error {name} must be object")
        _check_fields(value, kind, {})
    elif not _is(value, kind):
        raise Refused(*says.get(name, (404, f"Input data validate error {name} must be {kind}")))


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "any":
            return True
        case "integer":
            return whole(value) is not None
        case "number":
            return is_amount(value)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "date":
            return isinstance(value, str) and _is_date(value)
        case _:
            return str(value) in kind.split("|")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
