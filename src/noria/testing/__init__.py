"""For who writes connectors: the contract that every connector keeps, as pytest tests (see `ConnectorContract`)."""

from noria.testing.contract import ConnectorContract
from noria.testing.systems import Reads, System, Writes

__all__ = ["ConnectorContract", "Reads", "System", "Writes"]
