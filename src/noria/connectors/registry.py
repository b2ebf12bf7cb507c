"""The connectors there are, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from noria.connectors.declaration import Connector
from noria.connectors.dingtalk import DINGTALK
from noria.connectors.feishu import FEISHU
from noria.connectors.http import HTTP
from noria.connectors.kingdee import KINGDEE
from noria.connectors.noria import NORIA
from noria.connectors.okki import OKKI
from noria.connectors.qeasy import QEASY
from noria.connectors.settings import Limits
from noria.connectors.wecom import WECOM
from noria.connectors.yonsuite import YONSUITE
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.validation import nearest, shown

CONNECTORS: dict[str, Connector] = {
    connector.name: connector for connector in (HTTP, NORIA, OKKI, DINGTALK, KINGDEE, WECOM, FEISHU, YONSUITE, QEASY)
}


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


def limits_of(table: Mapping[str, Any]) -> Limits:
    """The rate limits of a connection's table; none where the table can't be used."""
    connector = CONNECTORS.get(str(table.get("connector")))
    try:
        return Limits() if connector is None else connector.settings(dict(table)).limits
    except msgspec.ValidationError:
        return Limits()
