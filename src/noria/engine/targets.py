"""A plan's way into its target, with what is said once in a request."""

from __future__ import annotations

from typing import Any

from noria.connectors.failures import Failure
from noria.connectors.target import Target
from noria.engine.workspace import Workspace
from noria.mapping import Environment, MappingError, compile_mapping
from noria.metadata.documents import tree_of
from noria.metadata.macros import Moment
from noria.metadata.plan import Plan


def target_of(workspace: Workspace, plan: Plan) -> Target | None:
    """The plan's way into its target; None where nothing is written outside. Raises `Failure` where what its connector
    says apart from the rows, of `otherRequest`, can't be made."""
    connection = workspace.connection(plan, "target")
    apart: dict[str, Any] = {}
    if connection.connector.options_apart:
        if problems := connection.connector.said_twice(plan.target.metadata, "$.target.metadata"):
            raise Failure("permanent", problems[0].message)
        items, lenient = tree_of(plan.target.metadata.otherRequest or []), plan.options.lenient
        moment = Moment(last_sync=0.0, now=workspace.clock.now(), tz=connection.zone, lenient=lenient)
        try:
            apart = compile_mapping(items, plan.maps, source=True, lenient=lenient).payload({}, Environment(moment))
        except MappingError as error:
            raise Failure("permanent", error.message) from None
    return connection.target(plan, apart)
