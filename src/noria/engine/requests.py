"""A source's request, made by the same mapping that makes payloads: literals, macros, `_function`."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.source import BuildRequest, SourcePage
from noria.engine.callbacks import CallbackSource
from noria.engine.workspace import Workspace
from noria.mapping import Environment, MappingError, compile_mapping
from noria.metadata.asking import asks_for
from noria.metadata.documents import Item, Metadata
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.plan import Plan


class Readable(Protocol):
    """A list that is read page by page."""

    def signature(self) -> str:
        """What is asked for: a read is only continued when this is the same."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether the list can't move under the reader, because the other side keeps the place."""
        ...

    @property
    def certain(self) -> bool:
        """Whether it says beyond doubt where it ends: that a page is empty, or shows what was there, means nothing."""
        ...

    async def close(self) -> None:
        """Let go of what the read holds, when no more is read."""
        ...

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`, None for the first; raises `Failure`."""
        ...

    def repeatable(self, cursor: str) -> bool:
        """Whether the page at a cursor can be asked for once more."""
        ...

    def resumable(self, cursor: str) -> str | None:
        """From where the list is read again when the page at `cursor` can't be had: None for from where it began."""
        ...

    def before(self, cursor: str | None) -> str | None:
        """The cursor of the page before that at `cursor`; None where there is none."""
        ...

    def skew(self) -> float | None:
        """Seconds that the other side's clock is ahead of ours; None when it doesn't say."""
        ...


def source_of(
    workspace: Workspace,
    plan: Plan,
    moment: Moment,
    items: list[Item] | None = None,
    also: dict[str, Any] | None = None,
) -> Readable:
    """A plan's source: its system's list, or what other plans hand over to it. `items`: another request than the
    plan's; `also`: parameters besides."""
    connection = workspace.connection(plan, "source")
    if connection.connector.inside:
        return CallbackSource(workspace, plan, moment)
    metadata = plan.source.metadata
    if items is not None:
        metadata = msgspec.structs.replace(metadata, request=items, otherRequest=None)
    return connection.source(metadata, request_of(plan, metadata, moment, also))


def windowed(metadata: Metadata) -> bool:
    """Whether a request asks only for what changed since the last read."""
    return any(asks_for(item, "LAST_SYNC_TIME") for item in metadata.items())


def request_of(plan: Plan, metadata: Metadata, moment: Moment, also: dict[str, Any] | None = None) -> BuildRequest:
    """A function that makes a source's request for a page, `also` with these parameters. It raises `Failure` for a
    value that can't be made."""
    mapping = compile_mapping(metadata.items(), plan.maps, source=True, lenient=plan.options.lenient)

    def build(position: PagePosition | None) -> dict[str, Any]:
        try:
            return mapping.payload({}, Environment(moment, position=position)) | (also or {})
        except MappingError as error:
            raise Failure("permanent", error.message) from None

    return build
