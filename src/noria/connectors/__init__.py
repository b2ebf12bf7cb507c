"""The outside world: one transport, and one file a vendor."""

from noria.connectors.connection import Connection, open_connection
from noria.connectors.registry import CONNECTORS, connector_named

__all__ = ["CONNECTORS", "Connection", "connector_named", "open_connection"]
