"""What a record is known by: its id (one field or several joined), its number, and why it has none."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.ledger.staging import Arrival
from noria.mapping import DECODER
from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.paths import MISSING, at


def arrivals_of(metadata: Metadata) -> Callable[[list[bytes]], list[Arrival]]:
    """A function from a page's records, as they came, to arrivals with their ids.

    With idCheck a record without a usable id is invalid; without, its content is what it is known by.
    """
    paths = metadata.id_paths()
    number_path = metadata.number or paths[0]
    pick = _picker([*paths, number_path])
    checks = metadata.checks_ids()

    def arrivals(records: list[bytes]) -> list[Arrival]:
        return [one(raw) for raw in records]

    def one(raw: bytes) -> Arrival:
        try:
            *parts, number = pick(raw)
        except msgspec.ValidationError:
            return Arrival(None, None, raw, Message("reason.not_an_object"))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return Arrival(None, None, raw, Message("reason.unreadable"))
        shown = _text(number)
        texts = [_text(part) for part in parts]
        missing = next((path for path, text in zip(paths, texts, strict=True) if text is None), None)
        if missing is None:
            return Arrival(_joined(texts), shown, raw)
        if not checks:
            return Arrival("hash:" + xxh3_128_hexdigest(raw), shown, raw)
        wrong = isinstance(parts[paths.index(missing)], dict | list)
        key = "reason.id_not_plain" if wrong else "reason.no_id"
        return Arrival(None, shown, raw, Message(key, {"path": missing}))

    return arrivals


def _picker(paths: list[str]) -> Callable[[bytes], list[Any]]:
    """Reads just these paths of a record; the rest of it is skipped without being decoded."""
    if any("." in path for path in paths):
        return lambda raw: [at(_record(raw), path) for path in paths]
    names = {f"f{i}": path for i, path in enumerate(dict.fromkeys(paths))}
    key = msgspec.defstruct("Key", [(name, Any, MISSING) for name in names], rename=names)
    decoder = msgspec.json.Decoder(key, float_hook=Decimal)
    order = [next(name for name, path in names.items() if path == wanted) for wanted in paths]

    def pick(raw: bytes) -> list[Any]:
        found = decoder.decode(raw)
        return [getattr(found, name) for name in order]

    return pick


def _record(raw: bytes) -> dict[str, Any]:
    row = DECODER.decode(raw)
    if not isinstance(row, dict):
        raise msgspec.ValidationError
    return row


def _text(value: Any) -> str | None:
    """An id's text; None for what can't be one. Zero is an id."""
    if isinstance(value, str):
        return value if value.strip() else None
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _joined(texts: list[str | None]) -> str:
    """Several parts with `|` between them; a part's own `|` is escaped, so that different parts never join to the
    same id."""
    if len(texts) == 1:
        return texts[0] or ""
    return "|".join((text or "").replace("\\", "\\\\").replace("|", "\\|") for text in texts)
