"""Documents as the platform exports them: PHP's empty array for an empty object, an object with numbered keys for an
array, numbers and truth values as text. They are read as what they mean before their types are checked."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.validation import fits, shown

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def read_export(value: Any, type_: Any, path: str = "$") -> tuple[Any, list[Problem]]:
    """A document with every such value as its declared type has it, and a hint for each that was read differently.

    What can't be read otherwise stays as it is, for the check of types to complain of.
    """
    found: list[Problem] = []
    return _read(value, inspect.type_info(type_), path, found), found


def _read(value: Any, info: inspect.Type, path: str, found: list[Problem]) -> Any:
    match info:
        case inspect.Metadata():
            return _read(value, info.type, path, found)
        case inspect.UnionType():
            return _read_union(value, info, path, found)
        case inspect.StructType() if isinstance(value, dict):
            types = {field.encode_name: field.type for field in info.fields}
            return {
                name: _read(one, types[name], f"{path}.{name}", found) if name in types else one
                for name, one in value.items()
            }
        case inspect.ListType():
            elements = _elements(value, info)
            if elements is None:
                return value
            return [_read(one, info.item_type, f"{path}[{i}]", found) for i, one in enumerate(elements)]
        case _:
            return value if fits(value, info) else _scalar(value, info, path, found)


def _read_union(value: Any, info: inspect.UnionType, path: str, found: list[Problem]) -> Any:
    members = [member for member in info.types if not isinstance(member, inspect.NoneType)]
    nullable = len(members) < len(info.types)
    if nullable and _is_nothing(value, members):
        return None
    for member in members:
        if fits(value, member):
            return _read(value, member, path, found)
    for member in members:
        read = _read(value, member, path, found)
        if read is not value:
            return read
    return value


def _is_nothing(value: Any, members: list[inspect.Type]) -> bool:
    """Whether an optional value is only written as empty: `[]` or `{}` for an object that would need keys, `""` for
    what is no text."""
    if value == "" and isinstance(value, str):
        return not any(fits("", member) for member in members)
    if value == [] and isinstance(value, list):
        return not any(fits([], member) for member in members)
    if value == {} and isinstance(value, dict):
        bare = [member.type if isinstance(member, inspect.Metadata) else member for member in members]
        return all(
            not isinstance(member, inspect.DictType | inspect.AnyType)
            and not (isinstance(member, inspect.StructType) and not any(field.required for field in member.fields))
            for member in bare
        )
    return False


def _elements(value: Any, info: inspect.ListType) -> list[Any] | None:
    """The elements of an array, of an object whose keys are its numbers, or of a text where texts are wanted."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and all(str(key).isdecimal() for key in value):
        return list(value.values())
    if isinstance(value, str) and value.strip() and fits("", info.item_type):
        return [part.strip() for part in value.split(",") if part.strip()]
    return None


def _scalar(value: Any, info: inspect.Type, path: str, found: list[Problem]) -> Any:
    read = value
    match info:
        case inspect.BoolType() if isinstance(value, str | int):
            read = _TRUTHS.get(str(value).strip().lower(), value)
        case inspect.IntType() if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
            read = int(value)
        case _:
            pass
    if read is not value:
        message = Message("valid.read_as", {"value": shown(value), "read": shown(read)})
        found.append(Problem(message, path, None, "hint"))
    return read
