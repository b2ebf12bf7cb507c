"""A project is a folder: `noria.toml` (ledger, connections) and `plans/*.json`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

import msgspec
from msgspec import Meta

from noria.messages import Message
from noria.metadata.alerts import AlertSettings
from noria.metadata.documents import Metadata
from noria.metadata.errors import InvalidDocument, NoriaError, Problem
from noria.metadata.exports import read_export
from noria.metadata.files import duplicate_keys, parsed, read_json, read_json_text, read_toml
from noria.metadata.plan import Options, Plan, PlanDocument, Side, SideDocument
from noria.metadata.secrets import resolve
from noria.metadata.times import duration
from noria.metadata.validation import BLANK, mended, nearest, problems_in, validated
from noria.metadata.valuemaps import ValueTable, map_files, table_from, tables_beside

PROJECT_FILE = "noria.toml"


class Keep(msgspec.Struct, kw_only=True):
    """How long the ledger keeps what is not needed for its work: durations such as 90d, or "forever"."""

    bodies: Annotated[int | float | str, Meta(description="源数据原文 | records as they came")] = "365d"
    payloads: Annotated[int | float | str, Meta(description="发出的内容 | what was sent")] = "180d"
    attempts: Annotated[int | float | str, Meta(description="每次尝试及其回答 | tries, with their answers")] = "90d"
    runs: Annotated[int | float | str, Meta(description="执行记录 | runs")] = "365d"

    def before(self, now: float) -> dict[str, float | None]:
        """By name, the time up to which things may be let go; None for ever. Raises `ValueError` for no duration."""
        kept = {name: getattr(self, name) for name in ("bodies", "payloads", "attempts", "runs")}
        return {name: None if value == "forever" else now - duration(value) for name, value in kept.items()}


class LedgerSettings(msgspec.Struct, kw_only=True):
    """Where the ledger is, how it writes, what it keeps."""

    url: Annotated[str, Meta(min_length=1, description="sqlite:///noria.db, postgresql://…, env:NAME")] = (
        "sqlite:///noria.db"
    )
    synchronous: Annotated[
        Literal["normal", "full"],
        Meta(description="断电时：normal 可能丢最后几笔提交，full 不丢 | full: no commit is lost when the power fails"),
    ] = "normal"
    keep: Annotated[Keep, Meta(description="保留多久 | how long things are kept")] = msgspec.field(default_factory=Keep)


class User(msgspec.Struct, kw_only=True):
    """Somebody who may look at the console."""

    password: Annotated[
        str, Meta(min_length=1, description="noria password 的输出，或 env:NAME | what noria password prints")
    ]
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        Meta(description="viewer 只看；operator 可执行、重放；admin 全部 | viewer looks, operator acts, admin all"),
    ] = "viewer"


class ConsoleSettings(msgspec.Struct, kw_only=True):
    """The console: who may use it. Without users it answers this machine only."""

    users: Annotated[dict[str, User], Meta(description="用户 | users by name")] = msgspec.field(default_factory=dict)


class ProjectDocument(msgspec.Struct, kw_only=True):
    """`noria.toml`."""

    ledger: LedgerSettings = msgspec.field(default_factory=LedgerSettings)
    connections: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    console: ConsoleSettings = msgspec.field(default_factory=ConsoleSettings)
    alerts: Annotated[AlertSettings, Meta(description="告警 | alerts")] = msgspec.field(default_factory=AlertSettings)


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded project. Plans are loaded one by one, so that a broken file stops only itself."""

    folder: Path
    ledger: LedgerSettings
    connections: dict[str, dict[str, Any]]
    warnings: list[Problem]
    console: ConsoleSettings = msgspec.field(default_factory=ConsoleSettings)
    alerts: AlertSettings = msgspec.field(default_factory=AlertSettings)

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

    def enabled(self, key: str) -> Plan | None:
        """The plan in the file of that stem, as long as it is there, can be loaded and is enabled; the file is read
        anew only when it has changed."""
        file = self.folder / "plans" / f"{key}.json"
        try:
            found = _known_plan(file) if key and file.is_file() else None
        except OSError:
            # No file can have such a name.
            return None
        return found if isinstance(found, Plan) and found.enabled else None

    def plans(self) -> tuple[list[Plan], list[InvalidDocument | NoriaError]]:
        """Every plan that can be loaded, and the errors of those that can't."""
        loaded: list[Plan] = []
        broken: list[InvalidDocument | NoriaError] = []
        for file in self.plan_files():
            found = _known_plan(file)
            if isinstance(found, Plan):
                loaded.append(found)
            else:
                broken.append(found)
        return loaded, broken


class _Known(NamedTuple):
    """What a file gave, and the state of every file that was read for it."""

    files: dict[Path, tuple[int, int] | None]
    plan: Plan | InvalidDocument | NoriaError


_KNOWN: dict[Path, _Known] = {}
# A file that was written so short a time ago (in ns) may be written again without its times showing it.
_FRESH = 2_000_000_000


def _known_plan(file: Path) -> Plan | InvalidDocument | NoriaError:
    """The plan in a file, or what is wrong with it; read anew only when one of the files it is made of has changed."""
    known = _KNOWN.get(file)
    if known is not None and all(_state(path) == state for path, state in known.files.items()):
        return known.plan
    loading = _Loading(file, mends=False)
    found: Plan | InvalidDocument | NoriaError
    try:
        found = loading.plan()[0]
    except NoriaError as error:
        found = error
    # The folder of value maps counts as a file: what is added or renamed in it changes its times.
    read = [*loading.read, *map_files(file)]
    states = {path: _state(path) for path in read}
    newest = max((state[0] for state in states.values() if state is not None), default=0)
    if newest < time.time_ns() - _FRESH:
        _KNOWN[file] = _Known(states, found)
    else:
        _KNOWN.pop(file, None)
    return found


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


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
        ledger=msgspec.structs.replace(document.ledger, url=resolve(document.ledger.url, folder, path="$.ledger.url")),
        connections=document.connections,
        warnings=warnings,
        console=document.console,
        alerts=document.alerts,
    )


def load_plan(path: Path) -> tuple[Plan, list[Problem]]:
    """The plan in a file with its warnings; raises `NoriaError` with every problem found."""
    return _Loading(path, mends=False).plan()


def load_plan_to_check(path: Path, text: str | None = None) -> tuple[Plan | None, list[Problem]]:
    """The plan in a file as far as it can be read, with every problem of its form: what is wrong in one place does not
    hide what is wrong in another. None where nothing can be read. `text`: what the file is to hold instead."""
    loading = _Loading(path, mends=True, text=text)
    try:
        return loading.plan()
    except NoriaError as error:
        return None, [*loading.found, *problems_of(error)]


def load_metadata(path: Path) -> tuple[Plan, list[Problem]]:
    """A metadata document that stands alone, as a plan without connections: for `check` and `preview`."""
    return _Loading(path, mends=False).metadata()


def load_metadata_to_check(path: Path) -> tuple[Plan | None, list[Problem]]:
    """Likewise, as far as it can be read."""
    loading = _Loading(path, mends=True)
    try:
        return loading.metadata()
    except NoriaError as error:
        return None, [*loading.found, *problems_of(error)]


def problems_of(error: NoriaError) -> list[Problem]:
    """An error as the findings that it stands for."""
    if isinstance(error, InvalidDocument):
        return error.problems
    return [Problem(error.message, error.path or "$", error.hint, plan=error.plan)]


class _Loading:
    """A file on its way to a plan. `mends`: what doesn't fit is left out and noted, instead of ending it; `text`: what
    the file is to hold instead."""

    def __init__(self, path: Path, *, mends: bool, text: str | None = None) -> None:
        self.path = path
        self.text = text
        self.key = path.stem
        self.mends = mends
        self.found: list[Problem] = []
        self.read: list[Path] = []

    def plan(self) -> tuple[Plan, list[Problem]]:
        raw = self._read(self.path, "$")
        if not isinstance(raw, dict):
            _refuse(self.key, "$", raw)
        whole = self._fitting(raw, PlanDocument, "$")
        document = msgspec.convert(whole, PlanDocument)
        source = self._side(document.source, whole["source"], "source")
        target = self._side(document.target, whole["target"], "target")
        plan = Plan(
            key=self.key,
            name=document.name or self.key,
            path=self.path,
            source=source,
            target=target,
            options=document.options,
            uuid=document.uuid,
            schedule=document.schedule,
            target_schedule=document.target_schedule,
            timezone=document.timezone,
            enabled=document.enabled,
            maps=self._maps(document.options.maps),
        )
        return plan, self.found

    def metadata(self) -> tuple[Plan, list[Problem]]:
        raw = self._read(self.path, "$")
        metadata = self._document(raw, "$")
        empty = Metadata(api="写入空操作", idCheck=False)
        effect = (metadata.effect or metadata.type or "").strip().upper()
        writes = effect == "EXECUTE" or (effect != "QUERY" and metadata.id is None)
        own = Side(connection="", metadata=metadata, document=raw)
        other = Side(connection="", metadata=empty, document={})
        plan = Plan(
            key=self.key,
            name=self.key,
            path=self.path,
            source=other if writes else own,
            target=own if writes else other,
            options=Options(),
            maps=self._maps({}),
        )
        return plan, self.found

    def _read(self, path: Path, place: str) -> Any:
        self.read.append(path)
        if self.text is not None and path == self.path:
            raw, text = parsed(self.text, path, self.key), self.text
        else:
            raw, text = read_json_text(path, self.key)
        for where, name in duplicate_keys(text) if self.mends else ():
            message = Message("valid.duplicate_key", {"key": name})
            self._note([Problem(message, place + where, Message("check.duplicate_hint"), "warning")])
        return raw

    def _note(self, problems: list[Problem]) -> None:
        self.found += [msgspec.structs.replace(problem, plan=self.key) for problem in problems]

    def _fitting(self, raw: Any, type_: type[msgspec.Struct], path: str) -> Any:
        """A document that fits its type; raises `InvalidDocument` unless what doesn't can be left out."""
        if not self.mends:
            _, warnings = validated(raw, type_, path, self.key)
            self.found += warnings
            return raw
        self._note(problems_in(raw, type_, path))
        return mended(raw, type_)

    def _document(self, raw: Any, path: str) -> Metadata:
        """A metadata document as the platform exports it."""
        read, hints = read_export(raw, Metadata, path)
        fitting = self._fitting(read, Metadata, path)
        self._note(hints)
        return msgspec.convert(fitting, Metadata)

    def _side(self, side: SideDocument, raw: dict[str, Any], name: str) -> Side:
        path = f"$.{name}.metadata"
        document = raw["metadata"]
        if isinstance(side.metadata, str):
            document = {"api": BLANK}
            if side.metadata != BLANK:
                document = self._file(side.metadata, path)
        elif not side.metadata and side.connection == BLANK:
            document = {"api": BLANK}  # the whole side is missing, which is said already
        return Side(connection=side.connection, metadata=self._document(document, path), document=document)

    def _file(self, name: str, path: str) -> Any:
        """A document in a file of its own; its problems are told at the place that names it."""
        try:
            if self.text is not None and not self._within(self.path.parent / name):
                # A text that somebody is only writing opens no file elsewhere.
                message = Message("file.elsewhere", {"path": name})
                raise NoriaError("elsewhere", message, plan=self.key, path=path)
            document = self._read(self.path.parent / name, path)
        except NoriaError as error:
            error.path = path
            if not self.mends:
                raise
            self._note(problems_of(error))
            return {"api": BLANK}
        if not isinstance(document, dict):
            if not self.mends:
                _refuse(self.key, path, document)
            self._note(problems_in(document, PlanDocument, path))
            return {"api": BLANK}
        return document

    def _within(self, path: Path) -> bool:
        """Whether a file is in the project's folder."""
        return path.resolve().is_relative_to(self.path.parent.parent.resolve())

    def _maps(self, own: dict[str, Any]) -> dict[str, ValueTable]:
        """The static value maps that a plan may name: its own, then those beside it."""
        try:
            found = {name: table_from(name, given) for name, given in own.items()}
            return {**tables_beside(self.path), **found}
        except NoriaError as error:
            error.plan = error.plan or self.key
            error.path = error.path or "$.options.maps"
            if not self.mends:
                raise
            self._note(problems_of(error))
            return {}


def is_metadata(raw: Any) -> bool:
    """Whether a document is one side alone: an `api`, and no `source` or `target` around it."""
    return isinstance(raw, dict) and "api" in raw and "source" not in raw and "target" not in raw


def _refuse(plan: str, path: str, value: Any) -> NoReturn:
    found = problems_in(value, PlanDocument, path)
    raise InvalidDocument([msgspec.structs.replace(problem, plan=plan) for problem in found])
