"""A plan's target `request` list, compiled once into a function from record to payload."""

from noria.mapping.compiler import Mapping, compile_mapping
from noria.mapping.values import DECODER, ROWS, Environment, MappingError, Waiting, encode

__all__ = [
    "DECODER",
    "ROWS",
    "Environment",
    "Mapping",
    "MappingError",
    "Waiting",
    "compile_mapping",
    "encode",
]
