"""Item types: the platform's, and the other names that plans give them."""

from __future__ import annotations

# What each kind is called in plans; compared without case and without a size (`varchar(32)`).
_NAMES = {
    "int": "int integer long bigint smallint tinyint mediumint short int32 int64",
    "float": "float double decimal number numeric money real",
    "bool": "bool boolean bit",
    "array": "array list arraylist jsonarray",
    "object": "object map dict jsonobject",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "timestamp",
    "string": "string text varchar char nvarchar nchar longtext mediumtext tinytext str json sql time enum uuid blob",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
# Those that the platform's own documents use.
ITEM_TYPES = ("string", "int", "float", "bool", "boolean", "object", "array", "date", "datetime", "timestamp")

# How truth is written as text; compared without case.
TRUE_TEXTS = frozenset({"1", "true", "yes", "y", "on", "是"})
FALSE_TEXTS = frozenset({"0", "false", "no", "n", "off", "否"})
TRUTHS = TRUE_TEXTS | FALSE_TEXTS


def kind_of(type_: str | None) -> str:
    """The kind that a type's name stands for; `""` for a name that nobody knows. Absent means string."""
    if type_ is None or not type_.strip():
        return "string"
    return _KINDS.get(type_.strip().lower().partition("(")[0].strip(), "")
