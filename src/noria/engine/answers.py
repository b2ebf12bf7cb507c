"""Answers to a mapping's look-ups, many records at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from noria.ledger import Ledger
from noria.mapping import DECODER, Environment, Key, Mapping, MappingError, RowRules, Waiting
from noria.messages import Message
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan

Row = dict[str, Any]


class Asked(NamedTuple):
    """A plan that is looked into: its number in the ledger (None: it was never run) and its rows' rules."""

    plan_id: int | None
    rules: RowRules | None


class Answers:
    """What a mapping's look-ups find in the ledger."""

    def __init__(self, ledger: Ledger | None, mapping: Mapping, asked: Sequence[Asked], moment: Moment) -> None:
        self.ledger = ledger
        self.mapping = mapping
        self.asked = asked
        self.env = Environment(moment)

    def fill(self, rows: Sequence[Row], env: Environment) -> list[int]:
        """Put the answers to every look-up of these rows into `env`, inner ones before those that need them; gives
        where each plan looked into stood before."""
        stood_at = []
        for planned, asked in zip(self.mapping.lookups, self.asked, strict=True):
            if self.ledger is None or asked.plan_id is None:
                stood_at.append(0)
                env.found.append({})
                continue
            # What a target answered comes after its record: that is looked for again in every run.
            answers = planned.lookup.wanted.part == "response"
            stood_at.append(0 if answers else self.ledger.lookups.next_seq(asked.plan_id))
            keys = [key for row in rows for key in planned.keys(row, env)]
            found: dict[Key, Any] = {}
            if keys:
                fingerprint = asked.rules.fingerprint if asked.rules else ""
                decode = partial(self._decoded, asked.rules)
                found = self.ledger.lookups.find(asked.plan_id, planned.lookup, keys, decode, fingerprint)
            env.found.append(found)
        return stood_at

    def _decoded(self, rules: RowRules | None, raw: bytes) -> Any:
        """A stored record as its plan's rules have it; None where they can't be applied."""
        if not raw:
            return None  # pruned
        try:
            row = DECODER.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if rules is None or not rules.derives or not isinstance(row, dict):
            return row
        try:
            return rules.derived(row, self.env)
        except MappingError:
            return row

    def waits_for(self, waiting: Waiting) -> Message:
        """Why a record waits."""
        lookup = self.mapping.lookups[waiting.number].lookup
        asked = ", ".join(
            f"{condition.place.path}={value if isinstance(value, str) else ','.join(value)}"
            for condition, value in zip(lookup.conditions, waiting.key, strict=True)
        )
        return Message("reason.waits_for", {"plan": lookup.plan, "asked": asked})


def rules_of(plan: Plan) -> RowRules:
    """The rules of a plan's rows."""
    return RowRules(plan.source.metadata)


def decoded(raw: bytes) -> Row | Message:
    """A record's content, or why it has none that can be mapped."""
    if not raw:
        return Message("reason.pruned")
    try:
        row = DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Message("reason.unreadable")
    return row if isinstance(row, dict) else Message("reason.not_an_object")
