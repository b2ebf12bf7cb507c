"""CAST and CONVERT."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from noria.mapping.mysql.json import json_text, parsed
from noria.mapping.mysql.times import date_part, time_part, timestamp
from noria.mapping.mysql.values import EXACT, Binary, number, strict, text, trimmed, whole


@strict
def cast(value: Any, kind: str, size: int = -1, scale: int = 0) -> Any:
    """CAST"""
    match kind:
        case "CHAR":
            shown = text(value) or ""
            return shown if size < 0 else shown[:size]
        case "BINARY":
            return Binary(text(value) or "")
        case "SIGNED" | "UNSIGNED":
            integer = whole(value)
            low, high = (-(1 << 63), (1 << 63) - 1) if kind == "SIGNED" else (0, (1 << 64) - 1)
            if kind == "UNSIGNED" and integer < 0:
                return integer + (1 << 64) if isinstance(value, str | int) and integer >= -(1 << 63) else 0
            return max(low, min(high, integer))
        case "DECIMAL":
            most = Decimal(10) ** ((10 if size < 0 else size) - scale) - Decimal(1).scaleb(-scale)
            found = max(-most, min(most, Decimal(number(value))))
            found = found.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)
            return int(found) if scale == 0 else found
        case "DOUBLE":
            return trimmed(Decimal(number(value)))
        case "DATE":
            return date_part(value)
        case "DATETIME":
            found_time = timestamp(value)
            return None if found_time is None else found_time.replace(microsecond=0)
        case "TIME":
            return time_part(value)
        case _:
            return json_text(parsed(value))
