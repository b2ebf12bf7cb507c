"""The connectors there are, by name."""

from __future__ import annotations

from noria.connectors.declaration import Connector
from noria.connectors.http import HTTP
from noria.connectors.noria import NORIA
from noria.connectors.okki import OKKI
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.validation import nearest, shown

CONNECTORS: dict[str, Connector] = {connector.name: connector for connector in (HTTP, NORIA, OKKI)}


def connector_named(name: object, connection: str, path: str) -> Connector:
    """The connector of a connection; raises `NoriaError` with the nearest name."""
    choices = Message("valid.choices", {"choices": ", ".join(CONNECTORS)})
    if name is None:
        message = Message("connection.no_connector", {"name": connection})
        raise NoriaError("unknown_connector", message, path=f"{path}.connector", hint=choices)
    if not isinstance(name, str) or name not in CONNECTORS:
        meant = nearest(str(name), list(CONNECTORS))
        hint = Message("valid.did_you_mean", {"name": meant}) if meant else choices
        message = Message("connection.unknown_connector", {"connector": shown(name)})
        raise NoriaError("unknown_connector", message, path=f"{path}.connector", hint=hint)
    return CONNECTORS[name]
