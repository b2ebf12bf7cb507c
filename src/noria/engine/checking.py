"""Checks a whole project without network: documents, connections, secrets, and what they ask of each other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from noria.connectors.connection import merged
from noria.connectors.registry import connector_named
from noria.messages import Message
from noria.metadata.check import check_plan
from noria.metadata.check.alerts import alert_problems
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.files import read_json
from noria.metadata.plan import Plan
from noria.metadata.project import (
    PROJECT_FILE,
    Project,
    is_metadata,
    load_metadata_to_check,
    load_plan_to_check,
    problems_of,
)
from noria.metadata.secrets import Redactor, literal_secrets, resolve_all
from noria.metadata.times import duration
from noria.metadata.validation import BLANK, nearest, shown


def check_project(project: Project | None, references: list[str], folder: Path) -> list[Problem]:
    """Every problem of the named plans (all of the project's, when none is named), their connections and
    `noria.toml`. A metadata document that stands alone is checked as such."""
    found: list[Problem] = list(project.warnings) if project else []
    files, missing = _files(project, references, folder)
    found += missing
    if project is not None:
        found += _check_ledger(project)
        found += _check_connections(project)
        found += _check_alerts(project)
    loaded = project.plans()[0] if project else []
    for file in files:
        found += _check_file(project, file, loaded)
    return found


def _files(project: Project | None, references: list[str], folder: Path) -> tuple[list[Path], list[Problem]]:
    if not references:
        return (project.plan_files() if project else []), []
    files: list[Path] = []
    missing: list[Problem] = []
    for reference in references:
        given = [path for path in (Path(reference), folder / reference) if path.is_file()]
        if given:
            files.append(given[0])
            continue
        if project is None:
            problem = Problem(Message("file.missing", {"path": reference}), "$", Message("file.missing_hint"))
            missing.append(msgspec.structs.replace(problem, plan=reference))
            continue
        stems = {file.stem: file for file in project.plan_files()}
        if reference in stems:
            files.append(stems[reference])
            continue
        try:
            files.append(project.plan(reference).path)
        except NoriaError as error:
            missing += problems_of(error)
    return files, missing


def _check_file(project: Project | None, file: Path, loaded: list[Plan]) -> list[Problem]:
    try:
        alone = is_metadata(read_json(file, file.stem))
    except NoriaError as error:
        return problems_of(error)
    plan, found = load_metadata_to_check(file) if alone else load_plan_to_check(file)
    return found if plan is None else _check_loaded(None if alone else project, plan, found, loaded, alone)


def check_text(project: Project, file: Path, text: str) -> tuple[Plan | None, list[Problem]]:
    """What a plan's file would be with another text: the plan as far as it can be read, and every problem."""
    plan, found = load_plan_to_check(file, text)
    if plan is None:
        return None, found
    loaded = [one for one in project.plans()[0] if one.key != plan.key]
    return plan, _check_loaded(project, plan, found, [*loaded, plan], False)


def _check_loaded(
    project: Project | None, plan: Plan, found: list[Problem], loaded: list[Plan], alone: bool
) -> list[Problem]:
    """Problems of a plan's form, with those of what it says."""
    later = check_plan(plan, loaded)
    if project is not None:
        later += _check_taker(project, plan, loaded)
        later += _check_names(plan, loaded)
    for side in () if alone else ("source", "target"):
        later += literal_secrets(getattr(plan.options, side), f"$.options.{side}")
        if project is not None:
            later += _check_side(project, plan, side)
    # What is wrong with a place has been said where its type is checked; the rest of it was only made up.
    wrong = [problem.path for problem in found if problem.severity == "error"]
    return found + [
        msgspec.structs.replace(problem, plan=plan.key)
        for problem in later
        if not any(problem.path == path or problem.path.startswith((f"{path}.", f"{path}[")) for path in wrong)
        and BLANK not in problem.path
    ]


def _check_names(plan: Plan, loaded: list[Plan]) -> list[Problem]:
    """Other plans that look-ups could mean as well."""
    found: list[Problem] = []
    for other in loaded:
        if other.key == plan.key:
            continue
        for key, name in (("name", plan.name), ("uuid", plan.uuid)):
            if name is not None and other.answers_to(name) and not (key == "name" and name == plan.key):
                values = {"other": other.key, "name": name}
                hint = Message("check.same_name_hint")
                found.append(Problem(Message("check.same_name", values), f"$.{key}", hint, "warning"))
    return found


def _check_taker(project: Project, plan: Plan, loaded: list[Plan]) -> list[Problem]:
    """Whether the plan that rows are handed over to reads them."""
    reference = (plan.target.metadata.callBackStrategy or {}).get("strategyId")
    for taker in loaded:
        if reference and taker.answers_to(str(reference)):
            table = project.connections.get(taker.source.connection, {})
            if table.get("connector") != "noria":
                message = Message("check.callback_source", {"plan": taker.key})
                path = "$.target.metadata.callBackStrategy.strategyId"
                return [Problem(message, path, Message("check.callback_hint"))]
    return []


def _check_side(project: Project, plan: Plan, side: str) -> list[Problem]:
    """What a plan's side asks of its connection."""
    name = getattr(plan, side).connection
    table = project.connections.get(name)
    if table is None:
        known = list(project.connections)
        meant = nearest(name, known)
        hint = (
            Message("valid.did_you_mean", {"name": meant})
            if meant
            else Message("connection.unknown_hint", {"known": ", ".join(known) or "-"})
        )
        return [Problem(Message("connection.unknown", {"name": name}), f"$.{side}.connection", hint)]
    overrides: dict[str, Any] = {k: v for k, v in getattr(plan.options, side).items() if k != "endpoint"}
    try:
        connector = connector_named(table.get("connector"), name, "")
    except NoriaError:
        return []  # reported with the connection
    whole = merged(table, overrides)
    before = {(p.path, p.message.key) for p in connector.problems(name, table, f"$.options.{side}")}
    found = [
        problem
        for problem in connector.problems(name, whole, f"$.options.{side}")
        if (problem.path, problem.message.key) not in before
    ]
    if before or any(problem.severity == "error" for problem in found):
        return found
    metadata = getattr(plan, side).metadata
    return [
        *found,
        *connector.plan_problems(metadata, connector.settings(whole), f"$.{side}.metadata", side),
    ]


def _check_ledger(project: Project) -> list[Problem]:
    """How long the ledger keeps things."""
    found = []
    for name, value in msgspec.structs.asdict(project.ledger.keep).items():
        try:
            if value != "forever":
                duration(value)
        except ValueError:
            message = Message("check.duration", {"value": shown(value)})
            problem = Problem(message, f"$.ledger.keep.{name}", Message("check.keep_hint"))
            found.append(msgspec.structs.replace(problem, plan=PROJECT_FILE))
    return found


def _check_alerts(project: Project) -> list[Problem]:
    """What is told to whom; a channel that looks right is opened, which sends nothing."""
    found = alert_problems(project.alerts, [file.stem for file in project.plan_files()])
    wrong = {problem.path for problem in found if problem.severity == "error"}
    for name, channel in project.alerts.channels.items():
        if any(path.startswith(f"$.alerts.channels.{name}.") for path in wrong):
            continue
        # Imported here: Apprise takes its time to load.
        from noria.monitoring.channels import opened

        try:
            opened(name, channel, project.folder, Redactor(), time.time)
        except NoriaError as error:
            found += problems_of(error)
    return [msgspec.structs.replace(problem, plan=PROJECT_FILE) for problem in found]


def _check_connections(project: Project) -> list[Problem]:
    found: list[Problem] = []
    for name, table in project.connections.items():
        path = f"$.connections.{name}"
        found += literal_secrets(table, path)
        try:
            connector = connector_named(table.get("connector"), name, path)
            found += connector.problems(name, table, path)
            resolve_all(table, project.folder, path=path)
        except NoriaError as error:
            found += problems_of(error)
    return [msgspec.structs.replace(problem, plan=PROJECT_FILE) for problem in found]
