"""What a plan's documents say that can't be right: found without network, all at once.

Connections and connectors are checked by those who know them; this is about the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.asking import asks_for
from noria.metadata.check.between import check_between
from noria.metadata.check.findings import error
from noria.metadata.check.rules import check_cron
from noria.metadata.check.sides import check_source, check_target
from noria.metadata.errors import Problem
from noria.metadata.plan import Plan
from noria.metadata.times import duration, start_of, zone
from noria.metadata.validation import shown


def check_plan(plan: Plan, others: Iterable[Plan]) -> list[Problem]:
    """Every problem of a plan's language, schedule and options. `others` are the plans it may look into."""
    found: list[Problem] = []
    found += check_source(plan)
    found += check_target(plan)
    known = [plan, *(other for other in others if other.key != plan.key)]
    found += check_between(plan, known)
    for name in ("schedule", "target_schedule"):
        found += check_cron(getattr(plan, name), f"$.{name}")
    if plan.timezone is not None:
        try:
            zone(plan.timezone)
        except ValueError:
            found.append(
                error("connection.timezone", "$.timezone", "connection.timezone_hint", value=shown(plan.timezone))
            )
    found += check_options(plan)
    found += check_split(plan)
    return [msgspec.structs.replace(problem, plan=plan.key) for problem in found]


def check_options(plan: Plan) -> list[Problem]:
    """What is wrong with noria's own options."""
    options = plan.options
    found: list[Problem] = []
    if options.start is not None:
        try:
            start_of(options.start)
        except ValueError:
            found.append(error("check.time", "$.options.start", "check.time_hint", value=shown(options.start)))
    durations: list[tuple[Any, str]] = [(options.lookup.wait, "$.options.lookup.wait")]
    if options.sweep is not None:
        found += check_cron(options.sweep.schedule, "$.options.sweep.schedule")
        if options.sweep.window != "all":
            durations.append((options.sweep.window, "$.options.sweep.window"))
    for value, path in durations:
        try:
            if duration(value) <= 0 and path.endswith("window"):
                raise ValueError(value)
        except ValueError:
            found.append(error("check.duration", path, "check.duration_hint", value=shown(value)))
    for name, most in (("concurrency", 1000), ("workers", 1000), ("batch_size", 100_000)):
        value = getattr(options, name)
        if value is not None and value > most:
            hint_ = Message("check.at_most", {"most": most})
            found.append(Problem(Message("check.out_of_range", {"value": shown(value)}), f"$.options.{name}", hint_))
    if options.endpoint is not None and not re.match(r"(https?://[^\s/]+|/)\S*\Z", options.endpoint):
        values = {"value": shown(options.endpoint)}
        found.append(error("check.endpoint", "$.options.endpoint", "check.endpoint_hint", **values))
    numbers = {
        "overlap": options.overlap,
        "resume": options.resume,
        "retry.wait": options.retry.wait,
        **{f"retry.schedule[{i}]": wait for i, wait in enumerate(options.retry.schedule)},
    }
    for name, number in numbers.items():
        if number < 0:
            found.append(error("valid.too_small", f"$.options.{name}", "valid.at_least", value=number, least=0))
        elif not number < 1e10:
            hint_ = Message("check.at_most", {"most": 10**10})
            found.append(Problem(Message("check.out_of_range", {"value": shown(number)}), f"$.options.{name}", hint_))
    return found


def check_split(plan: Plan) -> list[Problem]:
    """What is wrong with how a source is to be read in parts."""
    split = plan.options.split
    if split is None:
        return []
    base = "$.options.split"
    if split.window is None and not split.param:
        return [error("check.split_nothing", base, "check.split_nothing_hint")]
    found: list[Problem] = []
    if split.window is not None:
        try:
            if duration(split.window) <= 0:
                raise ValueError(split.window)
        except ValueError:
            found.append(error("check.duration", f"{base}.window", "check.duration_hint", value=shown(split.window)))
        items = plan.source.metadata.items()
        missing = [
            name for name in ("LAST_SYNC_TIME", "CURRENT_TIME") if not any(asks_for(item, name) for item in items)
        ]
        if missing:
            values = {"macros": ", ".join(missing)}
            found.append(error("check.split_window", f"{base}.window", "check.split_window_hint", **values))
    if split.param and not split.values and not split.api:
        found.append(error("check.split_values", f"{base}.values", "check.split_values_hint", param=split.param))
    if not split.param and (split.values or split.api):
        found.append(error("check.split_param", f"{base}.param", "check.split_param_hint"))
    if split.below and not split.api:
        found.append(error("check.split_below", f"{base}.below", "check.split_below_hint"))
    return found
