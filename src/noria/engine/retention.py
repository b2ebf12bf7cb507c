"""Retention of a project's ledger: what `noria.toml` says, except for what plans still look into."""

from __future__ import annotations

from noria.ledger import Ledger
from noria.ledger.pruning import Pruned
from noria.messages import Message
from noria.metadata.check import lookups_in
from noria.metadata.errors import NoriaError
from noria.metadata.plan import Plan
from noria.metadata.project import PROJECT_FILE, Project


def prune_project(project: Project, ledger: Ledger, now: float, *, only_counts: bool = False) -> Pruned:
    """Let go of what is older than the project keeps it.

    Raises `NoriaError` for a time that is none, and while a plan's file can't be read: it may be the one that looks
    into another.
    """
    plans, broken = project.plans()
    if broken:
        raise broken[0]
    try:
        before = project.ledger.keep.before(now)
    except ValueError as error:
        message = Message("check.duration", {"value": str(error)})
        hint = Message("check.duration_hint")
        raise NoriaError("invalid", message, plan=PROJECT_FILE, path="$.ledger.keep", hint=hint) from None
    spared = [ledger.runs.known_plan(key) for key in _looked_into(plans)]
    return ledger.pruning.prune(**before, spared=[one for one in spared if one is not None], only_counts=only_counts)


def _looked_into(plans: list[Plan]) -> set[str]:
    """The keys of plans whose records or answers are asked for later: by look-ups, or by a plan that takes rows."""
    found = {plan.key for plan in plans if plan.target.metadata.callBackStrategy}
    references = {lookup.plan for plan in plans for lookup, _ in lookups_in(plan)}
    return found | {plan.key for plan in plans if any(plan.answers_to(one) for one in references)}
