"""Preview: records through ids and mapping, without writing anything."""

from __future__ import annotations

from typing import Any

import msgspec

from noria.connectors.source import Source
from noria.engine.identity import arrivals_of
from noria.ledger import Ledger
from noria.ledger.content import same_content
from noria.mapping import DECODER, Environment, Mapping, MappingError, Waiting, compile_mapping
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan
from noria.metadata.times import DEFAULT_ZONE


async def source_records(source: Source, pages: int) -> list[bytes]:
    """The records of the first pages of a source; raises `Failure`."""
    records: list[bytes] = []
    cursor: str | None = None
    for _ in range(pages):
        page = await source.fetch(cursor)
        records += page.records
        cursor = page.cursor
        if cursor is None:
            break
    return records


def preview(
    plan: Plan, records: list[bytes], moment: Moment, ledger: Ledger | None, plan_ids: dict[str, int | None]
) -> list[dict[str, Any]]:
    """One result per record, in order: `id`, `number`, `state`, `reason`, `raw`, `payload`.

    `plan_ids`: what the plans that look-ups name are numbered in the ledger; None for one it has never seen.
    """
    mapping = compile_mapping(plan.target.metadata.items())
    seen: dict[str, bytes] = {}
    results = []
    identify = arrivals_of(plan.source.metadata) if plan.source.metadata.id_paths() else None
    for raw in records:
        result: dict[str, Any] = {"id": None, "number": None, "state": "pending", "reason": None}
        reason: Message | None = None
        if identify is not None:
            arrival = identify([raw])
            record_id = arrival.ids[0]
            result |= {"id": record_id, "number": arrival.numbers[0]}
            reason = arrival.invalid.get(0)
            if record_id is not None and not same_content(seen.setdefault(record_id, raw), raw):
                reason = Message("reason.ambiguous_id", {"id": record_id})
        payload: Any = None
        if reason is None:
            payload, reason, waits = _mapped(mapping, raw, moment, ledger, plan_ids)
            result["state"] = "pending" if reason is None or waits else "invalid"
        else:
            result["state"] = "invalid"
        result["reason"] = str(reason) if reason else None
        results.append({**result, "raw": msgspec.Raw(raw), "payload": payload})
    return results


def _mapped(
    mapping: Mapping, raw: bytes, moment: Moment, ledger: Ledger | None, plan_ids: dict[str, int | None]
) -> tuple[Any, Message | None, bool]:
    """A record's payload; or why there is none, and whether it would wait."""
    try:
        row = DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None, Message("reason.unreadable"), False
    if not isinstance(row, dict):
        return None, Message("reason.not_an_object"), False
    env = Environment(moment)
    for planned in mapping.lookups:
        plan_id = plan_ids.get(planned.lookup.plan)
        keys = planned.keys(row, env)
        if ledger is None or plan_id is None or not keys:
            env.found.append({})
            continue
        fields = tuple(name for name, _ in planned.lookup.conditions)
        env.found.append(ledger.lookups.find(plan_id, fields, keys, planned.lookup.field, DECODER))
    try:
        return mapping.payload(row, env), None, False
    except MappingError as error:
        return None, error.message, False
    except Waiting as waiting:
        lookup = mapping.lookups[waiting.number].lookup
        asked = ", ".join(f"{n}={v}" for (n, _), v in zip(lookup.conditions, waiting.key, strict=True))
        return None, Message("reason.waits_for", {"plan": lookup.plan, "asked": asked}), True


def default_moment(now: float) -> Moment:
    """The times of a preview that has no connection."""
    return Moment(last_sync=0.0, now=now, tz=DEFAULT_ZONE)
