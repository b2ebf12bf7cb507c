"""JSON one level deep: the parts of an object or an array, each as its bytes are."""

from __future__ import annotations

import msgspec


def fields_of(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The fields of an object; none for anything else."""
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if bytes(raw)[:1] == b"{" else {}


def elements_of(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    """The elements of an array; None for anything else."""
    return msgspec.json.decode(raw, type=list[msgspec.Raw]) if bytes(raw)[:1] == b"[" else None
