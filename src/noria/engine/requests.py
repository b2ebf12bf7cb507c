"""A source's request, made by the same mapping that makes payloads: literals, macros, `_function`."""

from __future__ import annotations

from typing import Any, Protocol

from noria.connectors.failures import Failure
from noria.connectors.source import BuildRequest, SourcePage
from noria.engine.callbacks import CallbackSource
from noria.engine.workspace import Workspace
from noria.mapping import Environment, MappingError, compile_mapping
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.plan import Plan


class Readable(Protocol):
    """A list that is read page by page."""

    def signature(self) -> str:
        """What is asked for: a read is only continued when this is the same."""
        ...

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`, None for the first; raises `Failure`."""
        ...


def source_of(workspace: Workspace, plan: Plan, moment: Moment) -> Readable:
    """A plan's source: its system's list, or what other plans hand over to it."""
    connection = workspace.connection(plan, "source")
    if connection.connector.inside:
        return CallbackSource(workspace, plan, moment)
    return connection.source(plan, request_of(plan, moment))


def request_of(plan: Plan, moment: Moment) -> BuildRequest:
    """A function that makes the plan's request for a page. It raises `Failure` for a value that can't be made."""
    mapping = compile_mapping(plan.source.metadata.items(), plan.maps, source=True, lenient=plan.options.lenient)

    def build(position: PagePosition | None) -> dict[str, Any]:
        try:
            return mapping.payload({}, Environment(moment, position=position))
        except MappingError as error:
            raise Failure("permanent", error.message) from None

    return build
