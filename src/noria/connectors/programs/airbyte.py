"""Connector `airbyte`: sources that follow Airbyte's protocol, first of all declarative manifests.

With `manifest`, a YAML file, the source is Airbyte's own program for manifests (`pip install airbyte-cdk`, best in an
environment of its own); else `source` is the command of a source that is a Python package. A plan's `api` names the
stream, its `request` goes over the source's configuration. A stream that can be read in increments is, from the state
on that the read before has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.declaration import Connector
from noria.connectors.failures import Failure, Kind
from noria.connectors.programs.reading import Row, State, Streamed, object_in, text_of
from noria.connectors.programs.running import (
    Argument,
    Programs,
    ProgramSettings,
    Running,
    command_problems,
    http_settings,
    no_stream,
)
from noria.connectors.raws import fields_of
from noria.messages import Message
from noria.metadata.errors import Problem

# What Airbyte calls the ways in which a source fails; anything else may pass.
_KINDS: dict[str, Kind] = {"config_error": "permanent"}


class AirbyteSettings(ProgramSettings, kw_only=True):
    """A connection to a source of Airbyte's."""

    connector: Annotated[str, Meta(description="连接器 | airbyte")] = "airbyte"
    source: Annotated[str, Meta(min_length=1, description="来源的命令 | command of the source")] = (
        "source-declarative-manifest"
    )
    manifest: Annotated[str, Meta(description="声明式清单文件（YAML） | file of a declarative manifest, in YAML")] = ""


class AirbytePrograms(Programs):
    """A source."""

    own: AirbyteSettings

    def arguments(self, verb: str, config: dict[str, Any], *more: Argument) -> list[Argument]:
        """What the source is started with for one of its verbs."""
        manifest = ["--manifest-path", self.own.manifest] if self.own.manifest else []
        return [verb, "--config", msgspec.json.encode(config), *manifest, *more]

    async def asked(self, verb: str, config: dict[str, Any]) -> list[dict[str, msgspec.Raw]]:
        """All messages of a source that is asked for something about itself; raises `Failure`."""
        running = await self.start(self.own.source, self.arguments(verb, config))
        found = []
        try:
            while (line := await running.line()) is not None:
                found.append(message_in(line, running))
            await running.ended()
        finally:
            await running.stop()
        return found

    async def streams(self, config: dict[str, Any]) -> list[dict[str, Any]]:
        """The streams that the source has; raises `Failure`."""
        for message in await self.asked("discover", config):
            if text_of(message.get("type")) == "CATALOG":
                catalog = msgspec.json.decode(message["catalog"], type=dict[str, Any])
                return [one for one in catalog.get("streams") or [] if isinstance(one, dict)]
        raise self._says_nothing("discover")

    async def probe(self) -> Message:
        """Whether the source can connect, as it says itself; raises `Failure`."""
        for message in await self.asked("check", self.own.config):
            if text_of(message.get("type")) == "CONNECTION_STATUS":
                status = msgspec.json.decode(message["connectionStatus"], type=dict[str, Any])
                if status.get("status") == "SUCCEEDED":
                    return Message("programs.there", {"program": self.own.source})
                reason = self.redactor.clean(str(status.get("message") or "-"))[:300]
                raise Failure("auth", Message("programs.refused", {"program": self.own.source, "reason": reason}))
        raise self._says_nothing("check")

    def _says_nothing(self, verb: str) -> Failure:
        return Failure("permanent", Message("programs.says_nothing", {"program": self.own.source, "verb": verb}))


class Stream(Streamed):
    """A stream of a source."""

    transport: AirbytePrograms
    identity = ("source", "manifest")
    files = ("manifest",)
    _increments = _incomplete = False

    @property
    def keeps_states(self) -> bool:
        """Of a stream that is read whole, the state says only how far that was."""
        return self._increments

    async def started(self, config: dict[str, Any], state: str | None) -> Running:
        """The source, reading just this stream; raises `Failure`."""
        own = self.transport.own
        catalog = self._configured_catalog(await self.transport.streams(config))
        more: list[Argument] = ["--catalog", msgspec.json.encode(catalog)]
        if state is not None:
            more += ["--state", b"[" + state.encode() + b"]"]
        return await self.transport.start(own.source, self.transport.arguments("read", config, *more))

    def _configured_catalog(self, streams: Sequence[dict[str, Any]]) -> dict[str, Any]:
        name = self.metadata.api
        stream = next((one for one in streams if one.get("name") == name), None)
        if stream is None:
            raise no_stream(name, [str(one.get("name")) for one in streams], self.transport.own.source)
        # Where nobody says by which column, the source itself has to know.
        column = stream.get("source_defined_cursor") or stream.get("default_cursor_field")
        self._increments = "incremental" in (stream.get("supported_sync_modes") or []) and bool(column)
        self._incomplete = False
        chosen: dict[str, Any] = {
            "stream": stream,
            "sync_mode": "incremental" if self._increments else "full_refresh",
            "destination_sync_mode": "append",
            "cursor_field": stream.get("default_cursor_field") or [],
            "primary_key": stream.get("source_defined_primary_key") or [],
        }
        return {"streams": [chosen]}

    def heard(self, line: bytes, running: Running) -> Row | State | None:
        """A record of the stream, a state, or something else; raises `Failure` for what stops it."""
        message = message_in(line, running)
        kind = text_of(message.get("type"))
        if kind == "RECORD":
            record = object_in(bytes(message["record"])) or {}
            return Row(bytes(record["data"])) if text_of(record["stream"]) == self.metadata.api else None
        if kind == "TRACE":
            trace = msgspec.json.decode(message["trace"], type=dict[str, Any])
            status = trace.get("stream_status") or {}
            if (status.get("stream_descriptor") or {}).get("name") == self.metadata.api:
                self._incomplete = status.get("status") == "INCOMPLETE"
        return State(bytes(message["state"]).decode()) if kind == "STATE" else None

    def finished(self, running: Running) -> None:
        """It may say of its stream that that is not all of it."""
        if self._incomplete:
            raise running.failure("transient", "programs.incomplete")


def message_in(line: bytes, running: Running) -> dict[str, msgspec.Raw]:
    """A line as a message of the protocol; empty where it is none, which counts as a log. Raises `Failure` for one that
    says why the source stops, and where a record may be in what is no message: half a line, or something printed before
    it."""
    message = object_in(line)
    if message is None:
        if b'"RECORD"' in line or b'"STATE"' in line:
            raise running.failure("transient", "programs.not_json", line=running.excerpt(line))
        return {}
    trace = fields_of(message["trace"]) if text_of(message.get("type")) == "TRACE" else {}
    if text_of(trace.get("type")) == "ERROR":
        error = msgspec.json.decode(trace["error"], type=dict[str, Any]) if "error" in trace else {}
        said = running.cleaned(str(error.get("message") or error.get("internal_message") or "-"))
        kind = _KINDS.get(str(error.get("failure_type")), "transient")
        why = Message("programs.stopped", {"program": running.shown, "reason": said})
        raise Failure(kind, why, request=running.shown)
    return message


def _check(own: AirbyteSettings, name: str, path: str) -> list[Problem]:
    if own.source == "source-declarative-manifest" and not own.manifest:
        return [Problem(Message("programs.no_manifest"), f"{path}.manifest")]
    return command_problems({"source": own.source}, path)


AIRBYTE = Connector(
    name="airbyte",
    title=("Airbyte 来源：声明式清单与 Python 来源", "Airbyte's sources: declarative manifests and Python packages"),
    settings_type=AirbyteSettings,
    to_http=http_settings,
    check=_check,
    writes=False,
    source_type=Stream,
    promises={
        "paging": ("yes", "guarantee.program_paging"),
        "restart": ("yes", "guarantee.program_restart"),
    },
    reached=lambda own, folder: partial(AirbytePrograms, own, folder),
)
