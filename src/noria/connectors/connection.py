"""An open connection: settings checked, secrets resolved, one transport for all plans that use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from noria.connectors.declaration import Connector, Listed
from noria.connectors.envelope import judge_of
from noria.connectors.keeping import InMemory, Keeper, Memory
from noria.connectors.limits import Gate, Places
from noria.connectors.registry import connector_named
from noria.connectors.source import BuildRequest, Source
from noria.connectors.target import Target
from noria.connectors.transport import Transport
from noria.messages import Message
from noria.metadata.clock import Clock, SystemClock
from noria.metadata.documents import EMPTY_OPERATION, Metadata
from noria.metadata.errors import InvalidDocument, NoriaError
from noria.metadata.plan import Plan, Split
from noria.metadata.secrets import Redactor, resolve_all
from noria.metadata.times import zone


class Connection:
    """A named account on a system, ready to be used. Close it when done."""

    def __init__(
        self,
        name: str,
        connector: Connector,
        own: Any,
        folder: Path,
        redactor: Redactor,
        clock: Clock,
        places: Places | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.name = name
        self.connector = connector
        self.settings = settings = connector.to_http(own)
        self.zone = zone(settings.timezone)
        made = Transport if connector.reached is None else connector.reached(own, folder)
        self.transport: Transport = made(
            settings.base_url,
            headers=settings.headers,
            limits=settings.limits,
            gate=Gate(name, settings.limits, clock, places),
            authentication=connector.authenticate(own, settings, redactor, clock),
            redactor=redactor,
            clock=clock,
            hosts=connector.hosts(own),
            judge=judge_of(settings.envelope),
            memory=Memory(name, keeper or InMemory()),
        )

    def source(self, metadata: Metadata, build: BuildRequest) -> Listed:
        """A plan's list on this system; `build` makes the request of a page."""
        return self.connector.source(self.transport, self.settings, metadata, build)

    def split(self, api: str) -> Split | None:
        """How the connector declares that a list is read in parts; None where it does not."""
        endpoint = self.connector.endpoint(api)
        return endpoint.split if endpoint is not None else None

    def target(self, plan: Plan, apart: Mapping[str, Any] = MappingProxyType({})) -> Target | None:
        """The plan's way into this system; None for 写入空操作 without an endpoint, which writes nothing outside.
        `apart`: what is said once in a request, where the connector sends that apart from the rows."""
        metadata, options = plan.target.metadata, plan.options
        api = metadata.api
        if api == EMPTY_OPERATION:
            endpoint = options.endpoint or options.target.get("endpoint")
            if not endpoint:
                return None
            api = str(endpoint)
        operation = metadata.operation
        batches = operation is not None and operation.method == "batchArraySave"
        size = options.batch_size
        if size is None and operation is not None and batches and operation.rows:
            size = int(operation.rows)
        return self.connector.target(
            self.transport,
            self.settings,
            api=api,
            method=metadata.method,
            batch_size=size,
            batch_key=operation.rowsKey if operation is not None and batches else None,
            options=apart,
        )

    def listing(self) -> Source | None:
        """What this system has, as a list, as `write.listing` says; None where it can't be listed."""
        listed = self.settings.write.listing
        if listed is None:
            return None
        envelope = msgspec.structs.replace(self.settings.envelope, records=listed.records, total=listed.total)
        settings = msgspec.structs.replace(self.settings, envelope=envelope)
        metadata = Metadata(api=listed.api, id=listed.id)
        return Source(
            self.transport, settings, metadata, lambda _: dict(listed.params), auth_codes=self.connector.auth_codes
        )

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()


def open_connection(
    name: str,
    table: dict[str, Any] | None,
    folder: Path,
    *,
    overrides: dict[str, Any] | None = None,
    redactor: Redactor,
    clock: Clock | None = None,
    known: list[str] | None = None,
    places: Places | None = None,
    keeper: Keeper | None = None,
) -> Connection:
    """The connection `name` of `noria.toml`, with a plan's overrides; raises `NoriaError` with everything wrong.

    `places`: where processes share a ledger, their rate limits; `keeper`: what remembers things beyond this process.
    """
    path = f"$.connections.{name}"
    if table is None:
        raise NoriaError(
            "unknown_connection",
            Message("connection.unknown", {"name": name}),
            path=path,
            hint=Message("connection.unknown_hint", {"known": ", ".join(known or [])}),
        )
    connector = connector_named(table.get("connector"), name, path)
    own = {key: value for key, value in (overrides or {}).items() if key != "endpoint"}
    resolved = resolve_all(merged(table, own), folder, path=path, redactor=redactor)
    problems = [problem for problem in connector.problems(name, resolved, path) if problem.severity == "error"]
    if problems:
        raise InvalidDocument(problems)
    return Connection(
        name, connector, connector.own(resolved), folder, redactor, clock or SystemClock(), places, keeper
    )


def merged(table: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Settings with overrides laid over them, table by table."""
    result = dict(table)
    for key, value in overrides.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
