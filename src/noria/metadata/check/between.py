"""What plans ask of each other: look-ups and write-back, to plans that exist, not round in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from noria.messages import Message
from noria.metadata.check.fields import source_fields
from noria.metadata.check.findings import error
from noria.metadata.check.sides import base_of
from noria.metadata.check.tree import items_with_paths
from noria.metadata.errors import NoriaError, Problem, Severity
from noria.metadata.expression_tree import Lookup, parts_of
from noria.metadata.expressions import parse
from noria.metadata.plan import Plan
from noria.metadata.validation import nearest, shown


def lookups_in(plan: Plan) -> Iterator[tuple[Lookup, str]]:
    """Every look-up of a plan's target with its JSON path. Malformed values are left to the check."""
    for key in ("request", "otherRequest"):
        base = f"{base_of(plan, 'target')}.{key}"
        for item, path in items_with_paths(getattr(plan.target.metadata, key), base):
            try:
                expression = parse(item.value)
            except NoriaError:
                continue
            for one in parts_of(expression):
                if isinstance(one, Lookup):
                    yield one, f"{path}.value"


def check_between(plan: Plan, known: list[Plan]) -> list[Problem]:
    """Every problem of a plan's look-ups and of its write-back. `known` are all plans, this one first."""
    return [*_check_lookups(plan, known), *_check_taker(plan, known)]


def _check_lookups(plan: Plan, known: list[Plan]) -> list[Problem]:
    found: list[Problem] = []
    for lookup, path in lookups_in(plan):
        other = plan_named(lookup.plan, known)
        if other is None:
            names = [name for one in known for name in (one.key, one.name)]
            meant = nearest(lookup.plan, names)
            hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("plan.unknown_hint")
            # A document that stands alone has no plans around it.
            severity: Severity = "warning" if plan.alone else "error"
            found.append(Problem(Message("check.lookup_plan", {"plan": lookup.plan}), path, hint, severity))
            continue
        if other.key == plan.key:
            found.append(error("check.lookup_itself", path, "check.lookup_itself_hint", plan=plan.key))
        else:
            circle = _circle(plan, other, known, _looks_into)
            if circle:
                found.append(error("check.lookup_loop", path, "check.lookup_loop_hint", plans=" → ".join(circle)))
        found += _unknown_in(other, lookup, path)
    return found


def _unknown_in(other: Plan, lookup: Lookup, path: str) -> list[Problem]:
    """Fields of the other plan's records that its source doesn't declare."""
    fields = source_fields(other.source.metadata)
    places = [lookup.wanted, *(condition.place for condition in lookup.conditions)]
    names = dict.fromkeys(place.path for place in places if place.part == "content")
    if not fields.certain:
        return []
    found = []
    for name in names:
        if not fields.knows(name):
            meant = nearest(name, list(fields.types))
            hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("check.unknown_field_hint")
            message = Message("check.unknown_looked_up", {"field": name, "plan": other.key})
            found.append(Problem(message, path, hint, "warning" if meant else "hint"))
    return found


def _check_taker(plan: Plan, known: list[Plan]) -> list[Problem]:
    """The plan that rows are handed over to after the write."""
    reference = (plan.target.metadata.callBackStrategy or {}).get("strategyId")
    if not isinstance(reference, str) or not reference.strip():
        return []
    path = f"{base_of(plan, 'target')}.callBackStrategy.strategyId"
    taker = plan_named(reference, known)
    if taker is None:
        return [error("check.no_taker", path, "check.callback_hint", plan=shown(reference))]
    circle = [plan.key, plan.key] if taker.key == plan.key else _circle(plan, taker, known, _hands_to)
    if circle:
        return [error("check.callback_loop", path, "check.callback_loop_hint", plans=" → ".join(circle))]
    return []


def plan_named(reference: str, known: list[Plan]) -> Plan | None:
    """The plan that a look-up or a write-back means."""
    return next((other for other in known if other.answers_to(reference)), None)


def _looks_into(plan: Plan) -> list[str]:
    return [lookup.plan for lookup, _ in lookups_in(plan)]


def _hands_to(plan: Plan) -> list[str]:
    return [str((plan.target.metadata.callBackStrategy or {}).get("strategyId"))]


def _circle(plan: Plan, first: Plan, known: list[Plan], asked: Callable[[Plan], list[str]]) -> list[str] | None:
    """The chain from `first` back to `plan`, if there is one; `asked` says which plans a plan names."""
    waiting: list[tuple[Plan, list[str]]] = [(first, [plan.key, first.key])]
    seen = {first.key}
    while waiting:
        here, chain = waiting.pop()
        for reference in asked(here):
            other = plan_named(reference, known)
            if other is None:
                continue
            if other.key == plan.key:
                return [*chain, plan.key]
            if other.key not in seen:
                seen.add(other.key)
                waiting.append((other, [*chain, other.key]))
    return None
