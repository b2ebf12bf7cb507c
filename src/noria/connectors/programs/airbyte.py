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
from noria.connectors.programs.reading import Row, State, Streamed, text_of
from noria.connectors.programs.running import Argument, Programs, ProgramSettings, Running, command_problems
from noria.connectors.raws import fields_of
from noria.connectors.settings import HttpSettings, Paging
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.validation import nearest

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
                message = message_in(line, running)
                if message is not None:
                    found.append(message)
            await running.ended()
        finally:
            await running.stop()
        return found

    async def streams(self, config: dict[str, Any]) -> list[dict[str, Any]]:
        """The streams that the source has; raises `Failure`."""
        for message in await self.asked("discover", config):
            if "catalog" in message:
                catalog = msgspec.json.decode(message["catalog"], type=dict[str, Any])
                return [one for one in catalog.get("streams") or [] if isinstance(one, dict)]
        raise self._says_nothing("discover")

    async def probe(self) -> Message:
        """Whether the source can connect, as it says itself; raises `Failure`."""
        for message in await self.asked("check", self.own.config):
            if "connectionStatus" in message:
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
    _increments = False

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
            names = [str(one.get("name")) for one in streams]
            values = {"name": name, "program": self.transport.own.source}
            raise Failure(
                "permanent",
                Message("programs.no_stream", {**values, "known": nearest(name, names) or ", ".join(names[:20])}),
            )
        self._increments = "incremental" in (stream.get("supported_sync_modes") or [])
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
        if message is None:
            return None
        if "record" in message:
            record = fields_of(message["record"])
            return Row(bytes(record["data"])) if text_of(record.get("stream")) == self.metadata.api else None
        return State(bytes(message["state"]).decode()) if "state" in message else None


def message_in(line: bytes, running: Running) -> dict[str, msgspec.Raw] | None:
    """A line as a message of the protocol; None where it is none, which counts as a log. Raises `Failure` for one that
    says why the source stops."""
    try:
        message = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    trace = fields_of(message["trace"]) if "trace" in message else {}
    if text_of(trace.get("type")) == "ERROR" and "error" in trace:
        error = msgspec.json.decode(trace["error"], type=dict[str, Any])
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
    to_http=lambda own: HttpSettings(
        connector="airbyte",
        base_url="http://airbyte",
        timezone=own.timezone,
        paging=Paging(type="cursor", next="next", size=own.page),
        limits=own.limits,
    ),
    check=_check,
    writes=False,
    source_type=Stream,
    promises={
        "paging": ("yes", "guarantee.program_paging"),
        "restart": ("yes", "guarantee.program_restart"),
    },
    reached=lambda own, folder: partial(AirbytePrograms, own, folder),
)
