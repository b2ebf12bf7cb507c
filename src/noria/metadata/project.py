"""A project is a folder: `noria.toml` (ledger, connections) and `plans/*.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.errors import InvalidDocument, NoriaError, Problem
from noria.metadata.exports import read_export
from noria.metadata.files import read_json, read_toml
from noria.metadata.plan import Options, Plan, PlanDocument, Side, SideDocument
from noria.metadata.validation import nearest, problems_in, validated
from noria.metadata.valuemaps import ValueTable, table_from, tables_beside

PROJECT_FILE = "noria.toml"


class LedgerSettings(msgspec.Struct, kw_only=True):
    """Where the ledger is."""

    url: Annotated[str, Meta(min_length=1, description="sqlite:///noria.db, postgresql://…")] = "sqlite:///noria.db"


class ProjectDocument(msgspec.Struct, kw_only=True):
    """`noria.toml`."""

    ledger: LedgerSettings = msgspec.field(default_factory=LedgerSettings)
    connections: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    alerts: Any = None


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded project. Plans are loaded one by one, so that a broken file stops only itself."""

    folder: Path
    ledger_url: str
    connections: dict[str, dict[str, Any]]
    warnings: list[Problem]

    def plan_files(self) -> list[Path]:
        """Every plan's file, in order of name."""
        return sorted((self.folder / "plans").glob("*.json"))

    def plan(self, reference: str) -> Plan:
        """The plan that a person means by a path, a file's stem or a name; raises `NoriaError`."""
        path = Path(reference)
        if reference.endswith(".json"):
            for candidate in (path, self.folder / path, self.folder / "plans" / path):
                if candidate.is_file():
                    return load_plan(candidate)[0]
        files = self.plan_files()
        for file in files:
            if file.stem == reference:
                return load_plan(file)[0]
        names = [file.stem for file in files]
        for file in files:
            try:
                document = read_json(file)
            except NoriaError:
                continue
            name = document.get("name") if isinstance(document, dict) else None
            if name == reference:
                return load_plan(file)[0]
            if isinstance(name, str):
                names.append(name)
        meant = nearest(reference, names)
        hint = Message("valid.did_you_mean", {"name": meant}) if meant else Message("plan.unknown_hint")
        raise NoriaError("unknown_plan", Message("plan.unknown", {"plan": reference}), plan=reference, hint=hint)

    def plans(self) -> tuple[list[Plan], list[InvalidDocument | NoriaError]]:
        """Every plan that can be loaded, and the errors of those that can't."""
        loaded: list[Plan] = []
        broken: list[InvalidDocument | NoriaError] = []
        for file in self.plan_files():
            try:
                loaded.append(load_plan(file)[0])
            except NoriaError as error:
                broken.append(error)
        return loaded, broken


def load_project(folder: Path) -> Project:
    """The project in `folder`; raises `NoriaError` when there is none or `noria.toml` has errors."""
    file = folder / PROJECT_FILE
    if not file.is_file():
        raise NoriaError(
            "no_project",
            Message("project.missing", {"folder": str(folder)}),
            plan=PROJECT_FILE,
            path="$",
            hint=Message("project.missing_hint"),
        )
    document, warnings = validated(read_toml(file), ProjectDocument, "$", PROJECT_FILE)
    return Project(
        folder=folder,
        ledger_url=document.ledger.url,
        connections=document.connections,
        warnings=warnings,
    )


def load_plan(path: Path) -> tuple[Plan, list[Problem]]:
    """The plan in a file with its warnings; raises `NoriaError` with every problem found."""
    key = path.stem
    raw = read_json(path, key)
    if not isinstance(raw, dict):
        _refuse(key, "$", raw)
    document, warnings = validated(raw, PlanDocument, "$", key)
    source, source_warnings = _side(document.source, raw["source"], "source", path)
    target, target_warnings = _side(document.target, raw["target"], "target", path)
    plan = Plan(
        key=key,
        name=document.name or key,
        path=path,
        source=source,
        target=target,
        options=document.options,
        uuid=document.uuid,
        schedule=document.schedule,
        target_schedule=document.target_schedule,
        timezone=document.timezone,
        enabled=document.enabled,
        maps=_maps(path, document.options.maps),
    )
    return plan, [*warnings, *source_warnings, *target_warnings]


def _maps(path: Path, own: dict[str, Any]) -> dict[str, ValueTable]:
    """The static value maps that a plan may name: its own, then those beside it."""
    found = {name: table_from(name, given) for name, given in own.items()}
    return {**tables_beside(path), **found}


def load_metadata(path: Path) -> tuple[Plan, list[Problem]]:
    """A metadata document that stands alone, as a plan without connections: for `check` and `preview`."""
    key = path.stem
    raw = read_json(path, key)
    metadata, warnings = _document(raw, "$", key)
    empty = Metadata(api="写入空操作", idCheck=False)
    writes = (metadata.effect or metadata.type or "QUERY").upper() == "EXECUTE" or metadata.id is None
    own = Side(connection="", metadata=metadata, document=raw)
    other = Side(connection="", metadata=empty, document={})
    plan = Plan(
        key=key,
        name=key,
        path=path,
        source=other if writes else own,
        target=own if writes else other,
        options=Options(),
        maps=tables_beside(path),
    )
    return plan, warnings


def is_metadata(raw: Any) -> bool:
    """Whether a document is one side alone: an `api`, and no `source` or `target` around it."""
    return isinstance(raw, dict) and "api" in raw and "source" not in raw and "target" not in raw


def _side(side: SideDocument, raw: dict[str, Any], name: str, file: Path) -> tuple[Side, list[Problem]]:
    if isinstance(side.metadata, str):
        document = read_json(file.parent / side.metadata, file.stem)
        path = f"$.{name}.metadata"
        if not isinstance(document, dict):
            _refuse(file.stem, path, document)
    else:
        document, path = raw["metadata"], f"$.{name}.metadata"
    metadata, warnings = _document(document, path, file.stem)
    return Side(connection=side.connection, metadata=metadata, document=document), warnings


def _document(raw: Any, path: str, plan: str) -> tuple[Metadata, list[Problem]]:
    """A metadata document as the platform exports it, with its warnings; raises `InvalidDocument`."""
    read, hints = read_export(raw, Metadata, path)
    metadata, warnings = validated(read, Metadata, path, plan)
    return metadata, [*warnings, *(msgspec.structs.replace(hint, plan=plan) for hint in hints)]


def _refuse(plan: str, path: str, value: Any) -> NoReturn:
    found = problems_in(value, PlanDocument, path)
    raise InvalidDocument([msgspec.structs.replace(problem, plan=plan) for problem in found])
