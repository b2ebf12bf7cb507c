"""Connector `singer`: taps as sources and targets as targets, of the many hundred that follow Singer's specification.

A plan's `api` names the stream, its `request` goes over the tap's configuration (`start_date` from `LAST_SYNC_TIME`,
say). The tap is asked for its catalog, of which the stream is selected; its last state is where the next read begins.
As a target, a batch is a run of the program: schema, records, state. The plan's `otherRequest` names the stream's
`key_properties` and may have its `schema`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.declaration import Connector
from noria.connectors.failures import Failure
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
from noria.connectors.raws import elements_of, fields_of
from noria.connectors.settings import Write
from noria.connectors.target import Row as Sent
from noria.connectors.target import Target, Written
from noria.connectors.transport import Answer
from noria.messages import Message
from noria.metadata.errors import Problem


class SingerSettings(ProgramSettings, kw_only=True):
    """A connection to a Singer tap or target."""

    connector: Annotated[str, Meta(description="连接器 | singer")] = "singer"
    tap: Annotated[str, Meta(description="作为来源的命令，如 tap-github | command of the source")] = ""
    target: Annotated[str, Meta(description="作为目标的命令，如 target-jsonl | command of the target")] = ""
    catalog: Annotated[
        str,
        Meta(
            description="目录文件；缺省向 tap 询问，不支持目录的 tap 写 none"
            " | file of the catalog; default: the tap is asked; none for a tap without"
        ),
    ] = ""
    catalog_option: Annotated[
        str, Meta(description="传目录的选项，旧的 tap 用 --properties | option of the catalog; old taps: --properties")
    ] = "--catalog"
    upserts: Annotated[
        bool,
        Meta(
            description="目标按主键更新，重复写入无害 | the target updates by key, so that writing twice does no harm"
        ),
    ] = False
    batch_size: Annotated[int, Meta(ge=1, description="每批行数 | rows a batch")] = 1000


class SingerPrograms(Programs):
    """A tap, a target, or both."""

    own: SingerSettings

    async def probe(self) -> Message:
        """Whether the tap shows its catalog; of a target, whether it starts. Raises `Failure`."""
        if self.own.tap and self.own.catalog != "none":
            streams = await catalog_of(self, self.own.config)
            return Message("programs.streams", {"count": len(streams), "names": ", ".join(map(name_of, streams[:20]))})
        await (await self.start(self.own.tap or self.own.target, ["--help"])).stop()
        return Message("programs.there", {"program": self.own.tap or self.own.target})


async def catalog_of(programs: SingerPrograms, config: dict[str, Any]) -> list[dict[str, Any]]:
    """The streams of a tap's catalog; raises `Failure`."""
    own = programs.own
    if own.catalog:
        try:
            text = await asyncio.to_thread((programs.folder / own.catalog).read_bytes)
        except OSError as error:
            values = {"name": own.catalog, "reason": error.strerror or str(error)}
            raise Failure("permanent", Message("programs.unreadable", values)) from None
    else:
        text = b"\n".join(await programs.said(own.tap, ["--config", msgspec.json.encode(config), "--discover"]))
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])["streams"]
        return [one for one in found if isinstance(one, dict)]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        values = {"name": own.catalog or f"{own.tap} --discover", "reason": programs.excerpt(text)}
        raise Failure("permanent", Message("programs.unreadable", values)) from None


def name_of(entry: dict[str, Any]) -> str:
    """A stream's name in a catalog."""
    return str(entry.get("tap_stream_id") or entry.get("stream") or "")


def found_in(streams: list[dict[str, Any]], wanted: str, program: str) -> dict[str, Any]:
    """A stream's entry in a catalog, by its id, else by its name where just one has that; raises `Failure`."""
    found = [one for one in streams if name_of(one) == wanted] or [
        one for one in streams if one.get("stream") == wanted
    ]
    if len(found) == 1:
        return found[0]
    raise no_stream(wanted, [name_of(one) for one in found or streams], program, all_of_them=bool(found))


def selected(entry: dict[str, Any], chosen: bool, *, fields: bool = True) -> dict[str, Any]:
    """The entry of a stream that is read, or is not, in all the ways in which taps look for that. `fields`: with all of
    its fields; else as the catalog has them."""
    schema = entry["schema"] if isinstance(entry.get("schema"), dict) else {}
    places = [(), *(("properties", name) for name in (schema.get("properties") or {} if fields else ()))]
    known = {tuple(one.get("breadcrumb") or ()): dict(one.get("metadata") or {}) for one in entry.get("metadata") or []}
    for place in places:
        said = known.setdefault(place, {})
        if said.get("inclusion") != "unsupported":
            said["selected"] = chosen
    metadata = [{"breadcrumb": list(place), "metadata": said} for place, said in known.items()]
    return {**entry, "selected": chosen, "schema": {**schema, "selected": chosen}, "metadata": metadata}


class Tap(Streamed):
    """A stream of a tap. Some call it otherwise in what they say than in their catalog: then it is the one that the
    catalog doesn't have."""

    transport: SingerPrograms
    identity = ("tap", "catalog", "catalog_option")
    files = ("catalog",)

    async def started(self, config: dict[str, Any], state: str | None) -> Running:
        """The tap, with the stream selected; raises `Failure`."""
        own = self.transport.own
        if not own.tap:
            raise Failure("permanent", Message("programs.no_command", {"name": "tap"}))
        arguments: list[Argument] = ["--config", msgspec.json.encode(config)]
        self._names, self._others, self._strange = {self.metadata.api}, set[str](), set[str]()
        self._came = False
        if own.catalog != "none":
            streams = await catalog_of(self.transport, config)
            entry = found_in(streams, self.metadata.api, own.tap)
            others = [one for one in streams if one is not entry]
            self._names = {name_of(entry), str(entry.get("stream") or name_of(entry))}
            self._others = {str(name) for one in others for name in (name_of(one), one.get("stream"))} - self._names
            # In a catalog that somebody has written, what is selected besides may be needed for this stream.
            kept = others if own.catalog else [selected(one, False) for one in others]
            catalog = {"streams": [*kept, selected(entry, True, fields=not own.catalog)]}
            arguments += [own.catalog_option, msgspec.json.encode(catalog)]
        if state is not None:
            arguments += ["--state", state.encode()]
        return await self.transport.start(own.tap, arguments)

    def heard(self, line: bytes, running: Running) -> Row | State | None:
        """A record of the stream, a state, or something else; raises `Failure`."""
        said = object_in(line)
        if said is None:
            # It may be half a line.
            raise running.failure("transient", "programs.not_json", line=running.excerpt(line))
        kind = text_of(said.get("type"))
        if kind == "STATE":
            value = bytes(said["value"]).decode()
            return None if value == "null" else State(value)
        if kind not in ("SCHEMA", "RECORD", "BATCH") or not self._is_own(text_of(said["stream"])):
            return None
        if kind == "BATCH":
            raise running.failure("permanent", "programs.batches")
        return Row(bytes(said["record"])) if kind == "RECORD" else None

    def _is_own(self, name: str) -> bool:
        """Whether it is the stream that is asked for; raises `Failure` where that can't be told."""
        if name in self._names:
            self._came = True
            return True
        if name in self._others:
            return False
        self._strange.add(name)
        if self.transport.own.catalog == "none":
            return False
        if len(self._strange) > 1 or self.transport.own.catalog:
            raise self._not_there()
        return True

    def finished(self, running: Running) -> None:
        """Other streams only are not what was asked for."""
        if self._strange and not self._came and self.transport.own.catalog == "none":
            raise self._not_there()

    def _not_there(self) -> Failure:
        return no_stream(self.metadata.api, sorted(self._strange), self.transport.own.tap, all_of_them=True)


class Load(Target):
    """Batches as runs of a target."""

    transport: SingerPrograms

    @property
    def honours_keys(self) -> bool:
        """Where the target updates by key, as its connection says, and is told the key."""
        return self.transport.own.upserts and bool(self._keys)

    @property
    def _keys(self) -> list[str]:
        return [one.strip() for one in str(self.options.get("key_properties") or "").split(",") if one.strip()]

    def said_of(self, key: str) -> str:
        """The state that it is to give back."""
        return msgspec.json.encode({"state": key}).decode()

    async def send(
        self, body: bytes, key: str, rows: Sequence[Sent], before: Callable[[], None] = lambda: None
    ) -> Written:
        """Run the target with a batch; raises `Failure`, in doubt once it has begun."""
        own, started = self.transport.own, time.perf_counter()
        if not own.target:
            raise Failure("permanent", Message("programs.no_command", {"name": "target"}))
        records = [self._record(row) for row in elements_of(msgspec.Raw(body)) or [msgspec.Raw(body)]]
        arguments: list[Argument] = ["--config", msgspec.json.encode(own.config)]
        lines = list(self._lines(records, key))
        running = await self.transport.start(own.target, arguments, fed=True, before=before)
        feeding = asyncio.ensure_future(running.feed(lines))
        try:
            said = await running.lines()
        except Failure as failure:
            raise Failure("doubt", failure.message, request=failure.request) from None
        finally:
            await running.stop()
            await feeding
        if key.encode() not in b"".join(said):
            # Without its state nobody knows whether it has kept anything.
            raise running.failure("doubt", "programs.no_state")
        answer = Answer(200, {}, b"\n".join(said), f"{running.shown} {self.api}", time.perf_counter() - started)
        return Written(answer, self.transport.kept(answer.body), [None] * len(rows))

    def _record(self, row: msgspec.Raw) -> msgspec.Raw:
        """A row without what is said once for all."""
        fields = {name: raw for name, raw in fields_of(row).items() if name not in self.options}
        return msgspec.Raw(msgspec.json.encode(fields))

    def _lines(self, records: list[msgspec.Raw], key: str) -> Iterator[bytes]:
        given = self.options.get("schema")
        schema = (msgspec.json.decode(given) if isinstance(given, str) else given) or schema_of(records)
        about = {"type": "SCHEMA", "stream": self.api, "schema": schema, "key_properties": self._keys}
        yield msgspec.json.encode(about) + b"\n"
        for record in records:
            yield msgspec.json.encode({"type": "RECORD", "stream": self.api, "record": record}) + b"\n"
        yield msgspec.json.encode({"type": "STATE", "value": {"noria": key}}) + b"\n"


# Fractions of any size.
_EXACT = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_KINDS = ((bool, "boolean"), (int, "integer"), (Decimal, "number"), (str, "string"), (dict, "object"), (list, "array"))


def schema_of(records: list[msgspec.Raw]) -> dict[str, Any]:
    """A JSON schema that these records keep: for each field the types that it has in them, or none."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, value in _EXACT.decode(record).items():
            kind = next((word for type_, word in _KINDS if isinstance(value, type_)), None)
            found.setdefault(name, set()).update([kind] if kind else [])
    properties = {}
    for name, kinds in found.items():
        if "number" in kinds:
            kinds.discard("integer")
        properties[name] = {"type": ["null", *sorted(kinds or {"string"})]}
    return {"type": "object", "properties": properties}


def _check(own: SingerSettings, name: str, path: str) -> list[Problem]:
    if not own.tap and not own.target:
        return [Problem(Message("programs.no_command", {"name": "tap, target"}), f"{path}.tap")]
    return command_problems({"tap": own.tap, "target": own.target}, path)


SINGER = Connector(
    name="singer",
    title=("Singer：tap 作为来源，target 作为目标", "Singer: taps as sources, targets as targets"),
    settings_type=SingerSettings,
    to_http=lambda own: http_settings(own, Write(batch_size=own.batch_size)),
    check=_check,
    source_type=Tap,
    target_type=Load,
    options_apart=True,
    promises={
        "keys": ("setting", "guarantee.singer_keys"),
        "paging": ("yes", "guarantee.program_paging"),
        "restart": ("yes", "guarantee.program_restart"),
    },
    reached=lambda own, folder: partial(SingerPrograms, own, folder),
)
