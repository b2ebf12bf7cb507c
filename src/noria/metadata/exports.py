"""Documents as the platform exports them and as its user interface leaves them: PHP's empty array for an empty object,
an object with numbered keys for an array, numbers and truth values as text, rows of a table that nobody filled in,
parsers in several spellings. They are read as what they mean before their types are checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

from noria.messages import Message
from noria.metadata.documents import (
    FilterCondition,
    GroupCalculate,
    Item,
    Metadata,
    OmissionRemedy,
    Operation,
    Pagination,
    Parser,
    ResponseFormat,
    ValueMap,
)
from noria.metadata.errors import Problem
from noria.metadata.validation import BLANK, fits, shown, type_info

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
# Keys whose truth is written as text or number, as sheets and forms do; elsewhere that is a mistake.
_WRITTEN_TRUTHS = ("is_required", "strictMode")
_EMPTY: tuple[Any, ...] = (None, "", [], {})
Keys = dict[str, Any]


def read_export(value: Any, type_: Any, path: str = "$") -> tuple[Any, list[Problem]]:
    """A document with every such value as its declared type has it, and a hint for each that was read differently.

    What can't be read otherwise stays as it is, for the check of types to complain of.
    """
    found: list[Problem] = []
    return _read(value, type_info(type_), path, found), found


def _read(value: Any, info: inspect.Type, path: str, found: list[Problem]) -> Any:
    match info:
        case inspect.Metadata():
            return _read(value, info.type, path, found)
        case inspect.UnionType():
            return _read_union(value, info, path, found)
        case inspect.StructType():
            if info.cls in _SPELLINGS:
                value = _SPELLINGS[info.cls](value)
            if not isinstance(value, dict):
                return value
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
    members = [_bare(member) for member in info.types if not isinstance(member, inspect.NoneType)]
    if len(members) < len(info.types):
        spelt = next((m.cls for m in members if isinstance(m, inspect.StructType) and m.cls in _SPELLINGS), None)
        if spelt is not None:
            value = _SPELLINGS[spelt](value)
        if _is_nothing(value, members):
            return None
    for member in members:
        if fits(value, member):
            return _read(value, member, path, found)
    for member in members:
        read = _read(value, member, path, found)
        if read is not value:
            return read
    return value


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _is_nothing(value: Any, members: list[inspect.Type]) -> bool:
    """Whether an optional value is only written as empty: `[]` or `{}` for an object that would need keys, `""` for
    what is no text."""
    if value == "" and isinstance(value, str):
        return not any(fits("", member) for member in members)
    if value == [] and isinstance(value, list):
        return not any(fits([], member) for member in members)
    if value == {} and isinstance(value, dict):
        return not any(isinstance(member, inspect.DictType | inspect.AnyType) for member in members) and not any(
            isinstance(member, inspect.StructType) and not any(field.required for field in member.fields)
            for member in members
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
        case inspect.BoolType() if path.rpartition(".")[2] in _WRITTEN_TRUTHS and isinstance(value, str | int):
            read = _TRUTHS.get(str(value).strip().lower(), value)
        case inspect.IntType() if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
            read = int(value)
        case _:
            pass
    if read is not value:
        message = Message("valid.read_as", {"value": shown(value), "read": shown(read)})
        found.append(Problem(message, path, None, "hint"))
    return read


# --- spellings of single kinds ----------------------------------------------------------------------------------------


def _is_empty(value: Any) -> bool:
    """Nothing, or only nothings."""
    if isinstance(value, dict):
        return all(_is_empty(one) for one in value.values())
    if isinstance(value, list):
        return all(_is_empty(one) for one in value)
    return value is None or value is False or value == "" or (isinstance(value, str) and not value.strip())


def _without(value: Keys, *names: str, zero: bool = False) -> Keys:
    """A table without those of these keys that hold nothing (`zero`: or 0)."""
    return {
        name: one
        for name, one in value.items()
        if name not in names or not (one in _EMPTY or (zero and one in (0, "0")))
    }


def _parser(value: Any) -> Any:
    """A parser by name alone, as JSON text, in a list of one, with `param` for `params`, parameters in an object."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.strip():
        text = value.strip()
        if text.startswith("{"):
            try:
                value = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                return value
        else:
            value = {"name": text}
    if not isinstance(value, dict):
        return value
    if _is_empty(value.get("name")):
        return None if _is_empty(value) else value
    read = dict(value)
    if isinstance(read["name"], str):
        read["name"] = read["name"].strip()
    if "params" not in read and "param" in read:
        read["params"] = read.pop("param")
    params = read.get("params")
    if isinstance(params, dict):
        read |= {name: one for name, one in params.items() if name in _PARAMETERS and name != "params"}
        rest = [one for name, one in params.items() if name not in _PARAMETERS or name == "params"]
        read["params"] = rest[0] if rest else None
    elif isinstance(params, list) and len(params) == 1:
        read["params"] = params[0]
    return read


_PARAMETERS = {field.encode_name for field in msgspec.structs.fields(Parser)} - {"name"}


def _value_map(value: Any) -> Any:
    if isinstance(value, dict) and _is_empty(value.get("target")):
        return None if _is_empty(value.get("direction")) or value.get("direction") == "positive" else value
    return _without(value, "direction") if isinstance(value, dict) else value


def _item(value: Any) -> Any:
    """An item; one without a field and without anything to send is blank."""
    if not isinstance(value, dict):
        return value
    if _is_empty(value.get("field")) and _is_empty([value.get(name) for name in ("value", "children", "parser")]):
        return {"field": BLANK}
    return _without(value, "parent", "parent_id", zero=True)


def _condition(value: Any) -> Any:
    if isinstance(value, dict) and _is_empty(value.get("field")) and _is_empty(value.get("value")):
        return {"field": BLANK, "logic": "notnull"}
    return value


def _format(value: Any) -> Any:
    if isinstance(value, dict) and _is_empty([value.get(name) for name in ("old", "new", "format")]):
        return {"old": BLANK, "new": BLANK, "format": "date"}
    return value


def _pagination(value: Any) -> Any:
    return _without(value, "pageSize", zero=True) if isinstance(value, dict) else value


def _remedy(value: Any) -> Any:
    return None if isinstance(value, dict) and _is_empty(value) else value


def _lists(*names: str) -> Callable[[Any], Any]:
    return lambda value: _without(value, *names) if isinstance(value, dict) else value


def _metadata(value: Any) -> Any:
    return _without(value, "id", "number", "name") if isinstance(value, dict) else value


_SPELLINGS: dict[type, Callable[[Any], Any]] = {
    Parser: _parser,
    ValueMap: _value_map,
    Item: _item,
    FilterCondition: _condition,
    ResponseFormat: _format,
    Pagination: _pagination,
    OmissionRemedy: _remedy,
    Operation: _lists("header", "body", "bodySum", "rows"),
    GroupCalculate: _lists("bodyGroup", "calculate", "bodyMaxLine"),
    Metadata: _metadata,
}
