"""Connectors of other projects, run as programs of their own: Singer's taps and targets, and Airbyte's sources."""

from noria.connectors.programs.airbyte import AIRBYTE
from noria.connectors.programs.singer import SINGER

__all__ = ["AIRBYTE", "SINGER"]
