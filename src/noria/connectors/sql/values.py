"""Values between databases and records: nothing is rounded, and times are written as the platform writes them."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection


def as_json(row: Mapping[str, Any]) -> bytes:
    """A row as a record: decimals with all their digits, times as texts, bytes that are no text as base64."""
    return msgspec.json.encode({name: _value(value) for name, value in row.items()})


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return msgspec.Raw(format(value, "f").encode()) if value.is_finite() else None
    if isinstance(value, dt.datetime):
        return value.isoformat(sep="T" if value.tzinfo else " ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return base64.b64encode(raw).decode()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value


def bindable(connection: Connection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a payload as a database takes them: objects and lists as JSON texts; SQLite knows no decimals, and big
    integers only as texts."""
    plain = connection.dialect.name == "sqlite"
    return {name: _bound(value, plain) for name, value in values.items()}


def _bound(value: Any, plain: bool) -> Any:
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    if plain and (isinstance(value, Decimal) or (isinstance(value, int) and abs(value) >= 2**63)):
        return str(value)
    return value
