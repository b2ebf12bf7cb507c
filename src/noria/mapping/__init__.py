"""What a plan's metadata makes of records: rows as a source's rules leave them, documents as a target groups them, and
the `request` list compiled into a function from record to payload."""

from noria.mapping.compiler import Mapping, compile_mapping
from noria.mapping.grouping import Grouping, grouping_of
from noria.mapping.rows import RowRules
from noria.mapping.values import DECODER, ROWS, Environment, Key, MappingError, Waiting, encode, encode_all

__all__ = [
    "DECODER",
    "ROWS",
    "Environment",
    "Grouping",
    "Key",
    "Mapping",
    "MappingError",
    "RowRules",
    "Waiting",
    "compile_mapping",
    "encode",
    "encode_all",
    "grouping_of",
]
