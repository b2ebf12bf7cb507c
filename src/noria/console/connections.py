"""Connections: what they are, and the form in which an admin makes and changes them; secrets go in and never out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from noria.connectors.connection import open_connection
from noria.connectors.failures import Failure
from noria.connectors.http import HTTP
from noria.connectors.registry import CONNECTORS
from noria.connectors.settings import AUTH_NEEDS
from noria.console.answers import Connected, ConnectionPage, Finding, SettingShown
from noria.console.asked import ConnectionAsked, ConnectionOf
from noria.console.connectionfile import NAME, ConnectionFile, reference
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, body_of, does, shows
from noria.console.fields import Field, default_of, worded
from noria.console.planfiles import Conflict
from noria.console.render import as_json, page, wants_json
from noria.messages import LANGUAGES, Message, language, t
from noria.metadata.declared import options_of
from noria.metadata.errors import NoriaError, Problem
from noria.metadata.paths import MISSING, at, put
from noria.metadata.project import load_project, problems_of
from noria.metadata.secrets import is_reference, is_secret_key, literal_secrets, resolve_all

# Where a connector is described by its settings, these come first with what every connection has.
_DESCRIBING = "auth.type envelope.records envelope.code envelope.message paging.type".split()
# What a kind of authentication can be told besides what it needs.
_ALSO_OF_AUTH = {
    "basic": ("password",),
    "oauth2": ("scope", "body", "expires_in"),
    "token": ("token_method", "request", "body", "token_path", "expires_path", "expires_in", "sent_in", "name"),
}
# What stands in the field of a secret that is set: it isn't shown.
_KEPT = ""


@dataclass
class Form:
    """A connection as somebody writes it: its name, its table, secrets that were typed, what is wrong, what is said."""

    name: str
    new: bool
    base: str
    table: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)


class Connections:
    """Makes and changes connections."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.file = ConnectionFile(door.workspace.project.folder)

    def endpoints(self) -> list[Endpoint]:
        """The form, an admin's."""
        path, gives = "/connection", ConnectionPage | Connected
        return [
            shows("connection", path, self._open, ConnectionPage, takes=ConnectionOf, role="admin", errors=(404,)),
            does("change_connection", path, self._step, gives, takes=ConnectionAsked, role="admin", errors=(404,)),
        ]

    async def _open(self, request: Request) -> Response:
        name = request.state.asked.name
        # The file's mark first: what is changed after it is a conflict, and never lost.
        base, known = self.file.read().digest, self._known()
        if name and name not in known:
            raise Denied(404, "console.no_such_page")
        table = dict(known[name]) if name else {"connector": "http"}
        form = Form(name, not name, base, table)
        if name:
            form.problems = self._problems(form)
        return self._shown(request, form)

    def _known(self) -> dict[str, dict[str, Any]]:
        """The connections as `noria.toml` has them now; where that is broken, as it had them before."""
        workspace = self.door.workspace
        with suppress(NoriaError):
            workspace.project = load_project(workspace.project.folder)
        return workspace.project.connections

    async def _step(self, request: Request) -> Response:
        """What was put into the form, and the button that was pressed."""
        asked: ConnectionAsked = request.state.asked
        form = self._filled(asked, await body_of(request))
        do = asked.do
        form.problems = self._problems(form)
        if do == "test":
            await self._test(form)
        if do == "save":
            return await self._save(request, form)
        if do == "remove" and not form.new:
            return await self._remove(request, form)
        return self._shown(request, form)

    def _filled(self, asked: ConnectionAsked, given: Mapping[str, Any]) -> Form:
        """The connection's table with what was put into its fields."""
        was, connector = asked.was, asked.connector
        known = self._known()
        if was and was not in known:
            raise Denied(404, "console.no_such_page")
        if connector not in CONNECTORS:
            raise Denied(400, "console.no_such_page")
        before = dict(known.get(was, {}))
        table: dict[str, Any] = {"connector": connector}
        form = Form(was or asked.name.strip(), not was, asked.base, table)
        for row in options_of(CONNECTORS[connector].settings_type):
            place = row["name"]
            if place == "connector":
                continue
            typed = given.get(f"set:{place}")
            old = _at(before, place) if before.get("connector") == connector else None
            value = old if typed is None else self._value(form, row, str(typed).replace("\r\n", "\n"), old)
            if value is not None:
                put(table, place, value)
        # What is set and no form shows stays.
        for key, value in before.items() if before.get("connector") == connector else ():
            table.setdefault(key, value)
        return form

    def _value(self, form: Form, row: dict[str, str], typed: str, old: Any) -> Any:
        """What a field's content stands for; None for nothing."""
        place, text = row["name"], typed.strip()
        if _is_secret(place):
            if not text:
                return old
            if is_reference(text):
                return text
            form.secrets[place] = text
            return reference(form.name, place)
        if not text:
            return None
        if row["type"] in ("int", "float") or row["type"] in ("list", "dict", "bool"):
            try:
                return msgspec.json.decode(text)
            except msgspec.DecodeError:
                return typed
        return text

    def _problems(self, form: Form) -> list[Problem]:
        """What is wrong with the connection as it is written; a secret that was just typed is not one."""
        path = f"$.connections.{form.name}"
        connector = CONNECTORS.get(str(form.table.get("connector")))
        if connector is None:
            return []
        found = [*literal_secrets(form.table, path), *connector.problems(form.name, form.table, path)]
        try:
            resolve_all(self._with_secrets(form), self.file.folder, path=path)
        except NoriaError as error:
            found += problems_of(error)
        return found

    @staticmethod
    def _with_secrets(form: Form) -> dict[str, Any]:
        """The table with the secrets that were typed, as if they were in their files."""
        table: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(form.table))
        for place, secret in form.secrets.items():
            put(table, place, secret)
        return table

    async def _test(self, form: Form) -> None:
        """Whether the system is there and takes the credentials, as they are written now."""
        workspace = self.door.workspace
        workspace.redactor.hide(*form.secrets.values())
        clean = workspace.redactor.clean
        try:
            table = self._with_secrets(form)
            connection = open_connection(
                form.name or "new",
                table,
                self.file.folder,
                redactor=workspace.redactor,
                clock=workspace.clock,
                keeper=workspace.keeper,
            )
        except NoriaError as error:
            form.said.append(("bad", clean(str(error.message))))
            return
        try:
            form.said.append(("", str(await connection.transport.probe())))
        except Failure as failure:
            form.said.append(("bad", clean(str(failure.message))))
        finally:
            await connection.close()

    async def _save(self, request: Request, form: Form) -> Response:
        known = self.door.workspace.project.connections
        if not NAME.match(form.name):
            return self._refused(request, form, "connections.bad_name")
        if form.new and form.name in known:
            return self._refused(request, form, "connections.taken")
        if any(one.severity == "error" for one in form.problems):
            return self._refused(request, form, "connections.mend_first")
        return await self._written(request, form, form.table, "connect")

    async def _remove(self, request: Request, form: Form) -> Response:
        users = [one.key for one in self.door.plans() if form.name in (one.source.connection, one.target.connection)]
        if users:
            return self._refused(request, form, "connections.used", plans=", ".join(users[:5]))
        return await self._written(request, form, None, "disconnect")

    async def _written(self, request: Request, form: Form, table: dict[str, Any] | None, what: str) -> Response:
        workspace = self.door.workspace
        workspace.redactor.hide(*form.secrets.values())
        try:
            self.file.save(form.name, table, form.base, form.secrets)
        except Conflict:
            return self._refused(request, form, "connections.conflict", 409)
        # Other processes see it at their next look.
        workspace.project = load_project(workspace.project.folder)
        detail = {"connection": form.name, "connector": form.table["connector"], "secrets": sorted(form.secrets)}
        return await self.door.noted(request, what, "", "/connections", **detail)

    def _refused(self, request: Request, form: Form, key: str, status: int = 400, **values: Any) -> Response:
        message = str(Message(key, values))
        if wants_json(request):
            raise Denied(status, key, values, problems=form.problems)
        form.said.append(("bad", message))
        return self._shown(request, form, status)

    def _shown(self, request: Request, form: Form, status: int = 200) -> Response:
        where = LANGUAGES.index(language())
        said: dict[str, list[str]] = {}
        base = f"$.connections.{form.name}."
        for problem in form.problems:
            said.setdefault(problem.path.removeprefix(base), []).append(worded(problem))
        fields = [self._field(form, row, said) for row in options_of(CONNECTORS[form.table["connector"]].settings_type)]
        shown = [one for one in fields if one is not None and (one.value or one.wrong or _matters(form, one.pointer))]
        first = [one for one in shown if _comes_first(form, one)]
        answer = ConnectionPage(
            name=form.name,
            new=form.new,
            base=form.base,
            connector=form.table["connector"],
            problems=[Finding(**one.to_json()) for one in form.problems],
            fields=[SettingShown(name=one.pointer, value=one.value, secret=one.kind == "secret") for one in shown],
            said=[text for _, text in form.said],
        )
        if wants_json(request):
            return as_json(answer, status)
        data = {
            **msgspec.structs.asdict(answer),
            "said": form.said,
            "first": first,
            "rest": [one for one in shown if one not in first],
            "connectors": [(one.name, one.title[where]) for one in CONNECTORS.values()],
        }
        name = "connection_form.html" if request.headers.get("hx-request") else "connection.html"
        return page(request, name, data, 200 if request.headers.get("hx-request") else status)

    @staticmethod
    def _field(form: Form, row: dict[str, str], said: dict[str, list[str]]) -> Field | None:
        """The field of a setting."""
        place = row["name"]
        if place == "connector":
            return None
        value = _at(form.table, place)
        wrong = [one for key, list_ in said.items() if key == place or key.startswith(place + ".") for one in list_]
        common: dict[str, Any] = {"code": place, "wrong": wrong}
        label = row["meaning"] or place
        if _is_secret(place):
            typed = form.secrets.get(place)
            hint = t("connections.secret_set") if value else t("connections.secret_hint")
            named = value if isinstance(value, str) and is_reference(value) and typed is None else _KEPT
            return Field(place, "secret", label, named, hint=hint, **common)
        if " | " in row["type"]:
            choices = [("", t("editor.default")), *((one, one) for one in row["type"].split(" | "))]
            return Field(place, "choice", label, "" if value is None else str(value), choices=choices, **common)
        hint = default_of(row)
        if row["type"] in ("list", "dict"):
            shown = "" if value is None else msgspec.json.encode(value).decode()
            return Field(place, "json", label, shown, hint=hint, **common)
        text = value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
        return Field(place, "text", label, text, hint=hint, **common)


def _matters(form: Form, place: str) -> bool:
    """Whether a setting can do anything, as the others are: of those of `auth` what the chosen kind needs."""
    group, _, name = place.partition(".")
    if group != "auth" or name == "type":
        return True
    kind = str(_at(form.table, "auth.type") or "none")
    return name in (*AUTH_NEEDS.get(kind, ()), *_ALSO_OF_AUTH.get(kind, ()))


def _comes_first(form: Form, one: Field) -> bool:
    """Whether a setting stands before the fold: what is the connector's own, and what is set or wrong."""
    if one.value or one.wrong or (one.kind == "secret" and _at(form.table, one.pointer)):
        return True
    if "." not in one.pointer:
        return one.kind != "json"
    described = form.table["connector"] == HTTP.name
    return described and (one.pointer in _DESCRIBING or one.pointer.startswith("auth."))


def _is_secret(place: str) -> bool:
    """Whether a setting holds a secret; `auth.value` is a header's or a parameter's."""
    return place == "auth.value" or is_secret_key(place.rpartition(".")[2])


def _at(table: dict[str, Any], place: str) -> Any:
    """The value of a setting; None where there is none."""
    found = at(table, place)
    return None if found is MISSING else found
