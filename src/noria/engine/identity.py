"""What a record is known by: its id (one field or several joined), its number, and why it has none."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.ledger.arrivals import Arrivals
from noria.mapping import DECODER, Environment, MappingError, RowRules, encode
from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.macros import Moment
from noria.metadata.numbers import written
from noria.metadata.paths import MISSING, at

_BROKEN = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def arrivals_of(
    metadata: Metadata, moment: Moment, *, refuses_missing: bool = True
) -> Callable[[list[bytes]], Arrivals]:
    """A function from a page's records, as they came, to arrivals with their ids.

    A record without a usable id is invalid; unless `refuses_missing`, its content is what it is known by. `beatFlat`
    takes records apart, and `condition` marks those that are left out.
    """
    rules = RowRules(metadata)
    known = _known(metadata, refuses_missing)
    if not rules.arrays and not rules.filters:
        return known
    env = Environment(moment)
    own_id = metadata.id_paths()

    def arrivals(records: list[bytes]) -> Arrivals:
        suffixes: list[str] = []
        owners: list[int] | None = None
        if rules.arrays:
            records, suffixes, owners = _flattened(records, rules, own_id)
        found = known(records)
        found.owners = owners
        for position, suffix in enumerate(suffixes):
            record_id = found.ids[position]
            if suffix and record_id is not None and not record_id.startswith("hash:"):
                found.ids[position] = record_id + suffix
        if rules.filters:
            for position, raw in enumerate(records):
                reason = None if position in found.invalid else _rejected(raw, rules, env)
                if reason is not None:
                    found.skipped[position] = reason
        return found

    return arrivals


def _flattened(records: list[bytes], rules: RowRules, id_paths: list[str]) -> tuple[list[bytes], list[str], list[int]]:
    """The rows that `beatFlat` makes of records, what is put behind each row's id (its number from 1, unless the id is
    a field of the element, which is an id by itself), and the number of the record that each is made of."""
    rows: list[bytes] = []
    suffixes: list[str] = []
    owners: list[int] = []
    for owner, raw in enumerate(records):
        try:
            record = _record(raw)
        except _BROKEN:
            rows.append(raw)
            suffixes.append("")
            owners.append(owner)
            continue
        parts = rules.split(record)
        numbered = rules.flattens(record) and all(at(record, path) is not MISSING for path in id_paths)
        for number, part in enumerate(parts, 1):
            rows.append(encode(part))
            suffixes.append(f"-{number}" if numbered else "")
            owners.append(owner)
    return rows, suffixes, owners


def _rejected(raw: bytes, rules: RowRules, env: Environment) -> Message | None:
    try:
        return rules.rejected(_record(raw), env)
    except (*_BROKEN, MappingError):
        return None


def _known(metadata: Metadata, refuses_missing: bool) -> Callable[[list[bytes]], Arrivals]:
    """What records are known by, one by one."""
    paths = metadata.id_paths()
    number_path = metadata.number_path() or paths[0]
    pick = _picker([*paths, number_path])

    def arrivals(records: list[bytes]) -> Arrivals:
        found = Arrivals(raws=records)
        try:
            picked = pick(records)
        except _BROKEN:
            # One record that can't be read must not hide the others.
            picked = [_alone(pick, raw) for raw in records]
        else:
            if len(paths) == 1 and all(
                type(one) is int or (type(one) is str and one.strip() and "\0" not in one) for one, _ in picked
            ):
                found.ids = [one if type(one) is str else str(one) for one, _ in picked]
                found.numbers = [
                    number if type(number) is str and "\0" not in number else _number(number) for _, number in picked
                ]
                return found
        for index, values in enumerate(picked):
            record_id, number, reason = _known_by(values)
            if reason is not None and not refuses_missing and not isinstance(values, Message):
                record_id, reason = "hash:" + xxh3_128_hexdigest(records[index]), None
            found.ids.append(record_id)
            found.numbers.append(number)
            if reason is not None:
                found.invalid[index] = reason
        return found

    def _known_by(values: list[Any] | Message) -> tuple[str | None, str | None, Message | None]:
        if isinstance(values, Message):
            return None, None, values
        *parts, number = values
        texts = [_text(part) for part in parts]
        if None not in texts:
            return _joined(texts), _number(number), None
        missing = texts.index(None)
        part = parts[missing]
        key = "reason.id_not_plain" if isinstance(part, dict | list) else "reason.no_id"
        if isinstance(part, str) and "\0" in part:
            key = "reason.id_with_nul"
        return None, _number(number), Message(key, {"path": paths[missing]})

    return arrivals


Picker = Callable[[list[bytes]], list[Any]]


def _picker(paths: list[str]) -> Picker:
    """Reads just these paths of a page's records; the rest of them is skipped without being decoded."""
    if any("." in path for path in paths):
        return lambda raws: [[at(row, path) for path in paths] for row in map(_record, raws)]
    names = {f"f{i}": path for i, path in enumerate(dict.fromkeys(paths))}
    key = msgspec.defstruct("Key", [(name, Any, MISSING) for name in names], rename=names)
    decoder = msgspec.json.Decoder(list[key], float_hook=Decimal)  # type: ignore[valid-type]
    order = [next(name for name, path in names.items() if path == wanted) for wanted in paths]

    def pick(raws: list[bytes]) -> list[Any]:
        keys: list[Any] = decoder.decode(b"[" + b",".join(raws) + b"]")
        columns = [[getattr(one, name) for one in keys] for name in order]
        return list(zip(*columns, strict=True))

    return pick


def _alone(pick: Picker, raw: bytes) -> Any:
    """One record's values, or why it has none."""
    try:
        return pick([raw])[0]
    except msgspec.ValidationError:
        return Message("reason.not_an_object")
    except _BROKEN:
        return Message("reason.unreadable")


def _record(raw: bytes) -> dict[str, Any]:
    row = DECODER.decode(raw)
    if not isinstance(row, dict):
        raise msgspec.ValidationError
    return row


def _text(value: Any) -> str | None:
    """An id's text; None for what can't be one: no database keeps the character NUL. Zero is an id."""
    if isinstance(value, str):
        return value if value.strip() and "\0" not in value else None
    if value is MISSING or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return written(value) if isinstance(value, Decimal) else str(value)


def _number(value: Any) -> str | None:
    """A number's text, which is only shown."""
    return _text(value.replace("\0", "") if isinstance(value, str) else value)


def _joined(texts: list[str | None]) -> str:
    """Several parts with `|` between them; a part's own `|` is escaped, so that different parts never join to the
    same id."""
    if len(texts) == 1:
        return texts[0] or ""
    return "|".join((text or "").replace("\\", "\\\\").replace("|", "\\|") for text in texts)
