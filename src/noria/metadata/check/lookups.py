"""Look-ups into other plans: do the plans exist, do they go round in a circle?"""

from __future__ import annotations

from collections.abc import Iterator

from noria.messages import Message
from noria.metadata.check.findings import error
from noria.metadata.check.items import items_with_paths
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.expressions import (
    Lookup,
    parse,
    parts_of,
)
from noria.metadata.plan import Plan
from noria.metadata.validation import nearest


def lookups_in(plan: Plan) -> Iterator[tuple[Lookup, str]]:
    """Every look-up of a plan's target with its JSON path. Malformed values are left to the check."""
    for key in ("request", "otherRequest"):
        base = f"$.target.metadata.{key}"
        for item, path in items_with_paths(getattr(plan.target.metadata, key), base):
            try:
                expression = parse(item.value)
            except NoriaError:
                continue
            for one in parts_of(expression):
                if isinstance(one, Lookup):
                    yield one, f"{path}.value"


def check_lookups(plan: Plan, known: list[Plan]) -> list[Problem]:
    """Look-ups into plans that don't exist, into the plan itself, or round in a circle."""
    found: list[Problem] = []
    for lookup, path in lookups_in(plan):
        looked_into = [other for other in known if other.answers_to(lookup.plan)]
        if not looked_into:
            names = [name for other in known for name in (other.key, other.name)]
            meant = nearest(lookup.plan, names)
            hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("plan.unknown_hint")
            found.append(Problem(Message("check.lookup_plan", {"plan": lookup.plan}), path, hint))
        elif looked_into[0].key == plan.key:
            found.append(error("check.lookup_itself", path, "check.lookup_itself_hint", plan=plan.key))
        else:
            circle = _circle(plan, looked_into[0], known)
            if circle:
                found.append(error("check.lookup_loop", path, "check.lookup_loop_hint", plans=" → ".join(circle)))
    return found


def _circle(plan: Plan, first: Plan, known: list[Plan]) -> list[str] | None:
    """The chain of look-ups from `first` back to `plan`, if there is one."""
    waiting: list[tuple[Plan, list[str]]] = [(first, [plan.key, first.key])]
    seen = {first.key}
    while waiting:
        here, chain = waiting.pop()
        for lookup, _ in lookups_in(here):
            for other in known:
                if not other.answers_to(lookup.plan):
                    continue
                if other.key == plan.key:
                    return [*chain, plan.key]
                if other.key not in seen:
                    seen.add(other.key)
                    waiting.append((other, [*chain, other.key]))
    return None
