"""What a connector is: its settings, its endpoints, and how both become a source and a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from noria.connectors.auth import Authentication, authentication_for
from noria.connectors.details import Detailed
from noria.connectors.settings import Envelope, HttpSettings, Paging, Verify, Write
from noria.connectors.source import BuildRequest, Source
from noria.connectors.target import Target
from noria.connectors.transport import Transport
from noria.messages import Message
from noria.metadata.clock import Clock
from noria.metadata.documents import EMPTY_OPERATION, Metadata
from noria.metadata.errors import Problem
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor, is_reference
from noria.metadata.times import zone
from noria.metadata.validation import BLANK, is_web_address, nearest, problems_in, shown


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """A call for each row of a list that gives the whole record. `param`: takes the row's id, which is at `value` in
    the row (empty: the row is the id); `records`: where the answer has the record; `named`: the record lacks its id,
    which is put in; `gone`: codes that mean that there is none any more."""

    api: str
    param: str
    method: str = "POST"
    value: str = ""
    records: str = ""
    named: bool = False
    gone: tuple[int | str, ...] = ()


class Endpoint(msgspec.Struct, frozen=True):
    """An operation of a system. A segment of `path` that is `{…}` is any. `reads`: "array" or "list" when it lists
    records, "one" when it gives one; `parameters`: name to type, of what is asked or of the fields that are written,
    and `required`: those it can't do without; `split`: in which parts its list is read, where it shows no more at once.
    `records`, `total`, `envelope`, `paging`, `write`: where it is otherwise than elsewhere in the system. `keys`,
    `verify`: as in `Write`, where that leaves them open. `list`: the list that is asked for instead, where this gives
    one record only, and `detail`: what is then asked for each of its rows. `id`, `number`: of its records."""

    path: str
    method: str
    name: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    required: tuple[str, ...] = ()
    reads: str = ""
    split: Split | None = None
    records: str = ""
    total: str = ""
    envelope: Envelope | None = None
    paging: Paging | None = None
    write: Write | None = None
    keys: tuple[str, ...] | None = None
    verify: Verify | None = None
    list: str = ""
    detail: Detail | None = None
    id: str = ""
    number: str = ""

    def at(self, api: str) -> str | None:
        """The path of a plan's `api` where it is this endpoint's, its open segments as in the plan; None where it is
        not. A first stroke and capitals don't matter."""
        if _plain(self.path) == _plain(api):
            return self.path
        mine, given = self.path.strip("/").split("/"), api.strip("/").split("/")
        if len(mine) != len(given):
            return None
        pairs = list(zip(mine, given, strict=True))
        if any(not _is_open(one) and one.lower() != other.lower() for one, other in pairs):
            return None
        return "/" + "/".join(other if _is_open(one) else one for one, other in pairs)


# A list as it is read.
Listed = Source | Detailed


def _authenticated(own: Any, settings: HttpSettings, redactor: Redactor, clock: Clock) -> Authentication:
    return authentication_for(settings.auth, redactor, clock)


@dataclass(frozen=True)
class Connector:
    """A vendor, declared. `to_http` turns its own settings into those of the HTTP machinery; `authenticate` says how
    requests prove who sends them, where that is more than settings can say; `hosts`: further addresses of the system.
    `source_type`, `target_type`: how it is read and written, where its answers or bodies are of a form of their own;
    `also`: other words by which people look for it; `options_apart`: what a target's `otherRequest` has is no part of a
    row, but said once in a request."""

    name: str
    title: tuple[str, str]
    settings_type: type[msgspec.Struct]
    to_http: Callable[[Any], HttpSettings]
    check: Callable[[Any, str, str], list[Problem]]
    endpoints: tuple[Endpoint, ...] = ()
    also: tuple[str, ...] = ()
    auth_codes: frozenset[str] = frozenset()
    paged_by: str = ""
    inside: bool = False  # reads and writes nothing outside
    upserts: bool = False  # a write with a known id changes that record and makes no other
    own_field: Callable[[str], bool] = field(default=lambda name: False)  # whether users define it themselves
    strict_parameters: Callable[[HttpSettings], bool] = field(default=lambda settings: False)
    authenticate: Callable[[Any, HttpSettings, Redactor, Clock], Authentication] = _authenticated
    hosts: Callable[[Any], tuple[str, ...]] = field(default=lambda own: ())
    source_type: type[Source] = Source
    target_type: type[Target] = Target
    options_apart: bool = False
    writes: bool = True  # can be a plan's target
    # What it promises in a way of its own, by the names of `guarantees`: whether it holds, and the message that says
    # how.
    promises: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # How it is reached from the project's folder, where that is not HTTP; such a system has no web address, and its own
    # methods.
    reached: Callable[[Any, Path], Callable[..., Transport]] | None = None

    def problems(self, name: str, table: dict[str, Any], path: str) -> list[Problem]:
        """What is wrong with a connection's table."""
        found = problems_in(table, self.settings_type, path)
        if any(problem.severity == "error" for problem in found):
            return found
        settings = self.own(table)
        common = [] if self.inside or self.reached is not None else _common_problems(settings, path)
        return [*found, *common, *self.check(settings, name, path)]

    def own(self, table: dict[str, Any]) -> Any:
        """A checked table as the connector's own settings."""
        return msgspec.convert(table, self.settings_type)

    def settings(self, table: dict[str, Any]) -> HttpSettings:
        """A checked table as the HTTP machinery's settings."""
        return self.to_http(self.own(table))

    def endpoint(self, path: str) -> Endpoint | None:
        """The endpoint of that path that reads, else any of that path."""
        same = self.all_at(path)
        reading = [one for one in same if one.reads] or [one for one in same if one.method == "GET"] or same
        return reading[0] if reading else None

    def all_at(self, path: str) -> list[Endpoint]:
        """The endpoints of a path, of every method; those with open segments where no other has it."""
        same = [endpoint for endpoint in self.endpoints if endpoint.at(path) is not None]
        return [one for one in same if _plain(one.path) == _plain(path)] or same

    def source(self, transport: Transport, settings: HttpSettings, metadata: Metadata, build: BuildRequest) -> Listed:
        """A plan's list on this system; `build` makes the request of a page."""
        endpoint = self.endpoint(metadata.api)
        parameters = None
        if endpoint is not None:
            if self.strict_parameters(settings):
                parameters = frozenset(endpoint.parameters)
            settings = _as_declared(settings, endpoint)
            method = endpoint.method if endpoint.list else metadata.method
            api = endpoint.list or endpoint.at(metadata.api) or endpoint.path
            metadata = msgspec.structs.replace(metadata, api=api, method=method)
        if self.paged_by and (endpoint is None or endpoint.paging is None):
            asked = {item.field for item in metadata.items()}
            pages = self.paged_by in (endpoint.parameters if endpoint else asked)
            if not pages:
                paging = msgspec.structs.replace(settings.paging, type="none", size_param="")
                settings = msgspec.structs.replace(settings, paging=paging)
        made = self.source_type(
            transport,
            settings,
            metadata,
            build,
            method=endpoint.method if endpoint else None,
            parameters=parameters,
            auth_codes=self.auth_codes,
            one=endpoint is not None and endpoint.reads == "one",
        )
        return Detailed(made, endpoint.detail) if endpoint is not None and endpoint.detail is not None else made

    def target(
        self,
        transport: Transport,
        settings: HttpSettings,
        *,
        api: str,
        method: str | None,
        batch_size: int | None,
        batch_key: str | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Target:
        """A plan's way into this system. `batch_key`: the array's key in the body, where the plan says so; `options`:
        what is said once in a request, where the connector sends these apart from the rows."""
        endpoint = self.endpoint(api)
        if endpoint is not None:
            methods = {one.method for one in self.all_at(api)}
            settings, api = _as_declared(settings, endpoint), endpoint.at(api) or api
            method = method or (endpoint.method if len(methods) == 1 else None)
        if batch_key is not None:
            write = msgspec.structs.replace(settings.write, batch_key=batch_key)
            settings = msgspec.structs.replace(settings, write=write)
        return self.target_type(
            transport,
            settings,
            api=api,
            method=method,
            batch_size=batch_size,
            options=options,
        )

    def plan_problems(self, metadata: Metadata, settings: HttpSettings, base: str, side: str) -> list[Problem]:
        """What a plan asks of this system that it doesn't have."""
        if metadata.api == EMPTY_OPERATION or self.inside:
            return []
        if side == "target" and not self.writes:
            return [Problem(Message("connection.only_read", {"connector": self.name}), f"{base}.api")]
        if side == "target" and (twice := self.said_twice(metadata, base)):
            return twice
        if (metadata.method or "").strip().upper() == "SQL" and self.reached is None:
            return [Problem(Message("connection.sql"), f"{base}.method", Message("connection.sql_hint"))]
        if not self.endpoints or self.reached is not None:
            return []
        endpoint = self.endpoint(metadata.api)
        if endpoint is None:
            meant = nearest(metadata.api, [one.path for one in self.endpoints])
            hint = Message("valid.did_you_mean", {"name": meant}) if meant else None
            message = Message("connection.unknown_api", {"connector": self.name, "api": metadata.api})
            return [Problem(message, f"{base}.api", hint, "warning")]
        methods = [one.method for one in self.all_at(metadata.api)]
        found = []
        if metadata.method and metadata.method.upper() not in methods:
            values = {"api": metadata.api, "expected": ", ".join(methods), "method": metadata.method}
            found.append(
                Problem(
                    Message("connection.wrong_method", values),
                    f"{base}.method",
                    Message("valid.choices", {"choices": ", ".join(methods)}),
                )
            )
        if self.strict_parameters(settings):
            found += self._field_problems(metadata, base, side)
        return found

    def said_twice(self, metadata: Metadata, base: str) -> list[Problem]:
        """Fields of rows with the name of something that is said once: which of the two is meant can't be told."""
        once = {item.field for item in metadata.otherRequest or [] if item.field != BLANK}
        return [
            Problem(Message("connection.said_twice", {"field": item.field}), f"{base}.request[{i}].field")
            for i, item in enumerate(metadata.request or [])
            if self.options_apart and item.field in once and not item.parent
        ]

    def _field_problems(self, metadata: Metadata, base: str, side: str) -> list[Problem]:
        """Which parameters or fields of a plan the system doesn't know, and which it can't do without."""
        reading = self.endpoint(metadata.api)
        writing = next((one for one in self.all_at(metadata.api) if one.method != "GET"), reading)
        endpoint = reading if side == "source" else writing
        if endpoint is None or (side == "target" and not endpoint.parameters):
            return []
        given = [
            (f"{base}.{key}[{i}].field", item.field.partition(".")[0] if side == "target" else item.field)
            for key in ("request", "otherRequest")
            for i, item in enumerate(getattr(metadata, key) or [])
            if item.field != BLANK and not item.parent
        ]
        known = Message("connection.parameter_hint", {"known": ", ".join(endpoint.parameters) or "-"})
        said = "connection.parameter_dropped" if side == "source" else "connection.field_unknown"
        found = [
            Problem(Message(said, {"api": metadata.api, "field": name}), path, known, "warning")
            for path, name in given
            if name not in endpoint.parameters and not (side == "target" and self.own_field(name))
        ]
        names = {name for _, name in given}
        for name in endpoint.required if names else ():
            if name not in names:
                message = Message("connection.field_missing", {"api": metadata.api, "field": name})
                found.append(Problem(message, f"{base}.request", None, "warning"))
        return found


def _plain(path: str) -> str:
    return path.strip("/").lower()


def _is_open(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _as_declared(settings: HttpSettings, endpoint: Endpoint) -> HttpSettings:
    """The settings with what is otherwise at an endpoint."""
    envelope, paging = endpoint.envelope or settings.envelope, endpoint.paging or settings.paging
    if endpoint.records:
        envelope = msgspec.structs.replace(envelope, records=endpoint.records)
    if endpoint.total:
        envelope = msgspec.structs.replace(envelope, total=endpoint.total)
    write = endpoint.write or settings.write
    keys = list(endpoint.keys) if write.keys is None and endpoint.keys is not None else write.keys
    write = msgspec.structs.replace(write, keys=keys, verify=write.verify or endpoint.verify)
    return msgspec.structs.replace(settings, envelope=envelope, paging=paging, write=write)


def _common_problems(settings: Any, path: str) -> list[Problem]:
    found = []
    base_url = settings.base_url
    if not is_reference(base_url) and not is_web_address(base_url):
        found.append(
            Problem(
                Message("connection.base_url", {"value": shown(base_url)}),
                f"{path}.base_url",
                Message("connection.base_url_hint"),
            )
        )
    try:
        zone(settings.timezone)
    except ValueError:
        found.append(
            Problem(
                Message("connection.timezone", {"value": shown(settings.timezone)}),
                f"{path}.timezone",
                Message("connection.timezone_hint"),
            )
        )
    return found
