"""A plan as somebody is writing it: what its text says so far, what is wrong with it, what would come out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from noria.engine.checking import check_text
from noria.engine.preview import NO_MATTER, asked_by, preview
from noria.ledger import Ledger
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.files import parsed
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan
from noria.metadata.project import Project, problems_of

# What may be wrong without keeping records from being shown: it concerns how they are read, when, and where they go.
_ELSEWHERE = re.compile(
    r"\$\.(schedule|target_schedule|timezone|name|uuid|enabled|(source|target)\.connection"
    r"|(source|target)\.metadata\.(api|method|effect|type)|source\.metadata\.(request|otherRequest|pagination"
    r"|omissionRemedy)|options\.(?!maps|lookup|lenient))"
)
_ITEM = re.compile(r"\$\.target\.metadata\.(request|otherRequest)\[(\d+)\]")


@dataclass(frozen=True)
class Draft:
    """A text that is to be a plan's file: its value (None: it is no JSON), the plan as far as it can be read, all
    problems."""

    text: str
    document: Any
    plan: Plan | None
    problems: list[Problem]

    def errors(self) -> list[Problem]:
        """What keeps the plan from being run."""
        return [one for one in self.problems if one.severity == "error"]


def draft_of(project: Project, path: Path, text: str) -> Draft:
    """A text that is to be the file at `path`."""
    try:
        document = parsed(text, path, path.stem)
    except NoriaError as error:
        return Draft(text, None, None, problems_of(error))
    return Draft(text, document if isinstance(document, dict) else None, *check_text(project, path, text))


def shown_by(
    draft: Draft, records: list[bytes], moment: Moment, ledger: Ledger | None, project: Project
) -> list[dict[str, Any]] | None:
    """What records would become, as `preview` gives it, without the fields that can't be made yet; None while what is
    wrong concerns them all."""
    plan = draft.plan
    if plan is None:
        return None
    left_out: dict[str, set[int]] = {"request": set(), "otherRequest": set()}
    for problem in draft.errors():
        item = _ITEM.match(problem.path)
        if problem.message.key in NO_MATTER or _ELSEWHERE.match(problem.path):
            continue
        if item is None:
            return None
        left_out[item[1]].add(int(item[2]))
    metadata = plan.target.metadata
    kept = {
        name: [one for place, one in enumerate(getattr(metadata, name) or []) if place not in left_out[name]]
        for name in left_out
    }
    target = msgspec.structs.replace(plan.target, metadata=msgspec.structs.replace(metadata, **kept))
    plan = msgspec.structs.replace(plan, target=target)
    asked = asked_by(plan, project.plans()[0], ledger)
    return preview(plan, records, moment, ledger, asked)
