"""A source's request, made by the same mapping that makes payloads: literals, macros, `_function`."""

from __future__ import annotations

from typing import Any

from noria.connectors.failures import Failure
from noria.connectors.source import BuildRequest
from noria.mapping import Environment, MappingError, compile_mapping
from noria.metadata.macros import Moment, PagePosition
from noria.metadata.plan import Plan


def request_of(plan: Plan, moment: Moment) -> BuildRequest:
    """A function that makes the plan's request for a page. It raises `Failure` for a value that can't be made."""
    mapping = compile_mapping(plan.source.metadata.items(), plan.maps, source=True)

    def build(position: PagePosition | None) -> dict[str, Any]:
        try:
            return mapping.payload({}, Environment(moment, position=position))
        except MappingError as error:
            raise Failure("permanent", error.message) from None

    return build
