"""The connectors there are, by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import msgspec

from noria.connectors.declaration import Connector
from noria.connectors.dingtalk import DINGTALK
from noria.connectors.feishu import FEISHU
from noria.connectors.files import FILE
from noria.connectors.http import HTTP
from noria.connectors.jackyun import JACKYUN
from noria.connectors.jushuitan import JUSHUITAN
from noria.connectors.kingdee import KINGDEE
from noria.connectors.noria import NORIA
from noria.connectors.okki import OKKI
from noria.connectors.programs import AIRBYTE, SINGER
from noria.connectors.qeasy import QEASY
from noria.connectors.settings import Limits
from noria.connectors.sql import SQL
from noria.connectors.wangdian import WANGDIAN, WANGDIAN_QJB
from noria.connectors.wecom import WECOM
from noria.connectors.yonsuite import YONSUITE
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.validation import nearest, shown

_OURS = (
    *(HTTP, NORIA, OKKI, DINGTALK, WECOM, FEISHU, JUSHUITAN, WANGDIAN, WANGDIAN_QJB, JACKYUN),
    *(KINGDEE, YONSUITE, QEASY, SQL, FILE, SINGER, AIRBYTE),
)
CONNECTORS: dict[str, Connector] = {connector.name: connector for connector in _OURS}
# What is noria's own; other packages bring theirs under this group of entry points.
OWN = tuple(CONNECTORS)
GROUP = "noria.connectors"
# Connectors of other packages that can't be used, and why.
BROKEN: dict[str, str] = {}


def add(connector: Connector) -> None:
    """Make a connector known; raises `ValueError` for the name of another one."""
    known = CONNECTORS.setdefault(connector.name, connector)
    if known is not connector:
        raise ValueError(f"there is another connector {connector.name}")


def _add_installed() -> None:
    """Add the connectors that other packages bring; one that can't be used is no reason not to start."""
    for point in entry_points(group=GROUP):
        try:
            made = point.load()
            if not isinstance(made, Connector) or made.name != point.name:
                raise ValueError(f"{point.value} is no connector named {point.name}")
            add(made)
        except Exception as error:  # noqa: BLE001 - told whoever uses it
            BROKEN[point.name] = f"{type(error).__name__}: {error}"


_add_installed()


def connector_named(name: object, connection: str, path: str) -> Connector:
    """The connector of a connection; raises `NoriaError` with the nearest name."""
    choices = Message("valid.choices", {"choices": ", ".join(CONNECTORS)})
    if name is None:
        message = Message("connection.no_connector", {"name": connection})
        raise NoriaError("unknown_connector", message, path=f"{path}.connector", hint=choices)
    if isinstance(name, str) and name in BROKEN and name not in OWN:
        message = Message("connection.broken_connector", {"connector": name, "reason": BROKEN[name]})
        raise NoriaError("unknown_connector", message, path=f"{path}.connector")
    if not isinstance(name, str) or name not in CONNECTORS:
        words = {word: one for one, known in CONNECTORS.items() for word in (one, *known.also)}
        meant = nearest(str(name), list(words))
        hint = Message("valid.did_you_mean", {"name": words[meant]}) if meant else choices
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
