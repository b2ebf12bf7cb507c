"""What compiled mappings call at run time: fields, formats, coercion, look-ups. Numbers stay exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.expression_tree import Function, pasted
from noria.metadata.kinds import TRUE_TEXTS, TRUTHS
from noria.metadata.macros import Moment, PagePosition, formatted
from noria.metadata.numbers import is_vast, written
from noria.metadata.paths import MISSING, at
from noria.metadata.validation import shown

# Fractions decode to Decimal and encode with the same digits: money is never a float.
DECODER = msgspec.json.Decoder(float_hook=Decimal)
ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
encode = _ENCODER.encode


def encode_all(values: list[Any]) -> list[bytes]:
    """Each value's JSON, as `encode` gives it; many at a time are cheaper."""
    return _ENCODER.encode_lines(values).split(b"\n")[:-1]


Key = tuple[str | tuple[str, ...], ...]


class MappingError(Exception):
    """A record that can't be mapped; it becomes `invalid` with this reason."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.key)
        self.message = message


class Waiting(Exception):
    """A look-up found nothing yet: the record waits for the other plan."""

    def __init__(self, number: int, key: Key) -> None:
        super().__init__(number, key)
        self.number = number
        self.key = key


@dataclass
class Environment:
    """What a mapping needs besides the record: the run's times, for each look-up what the ledger found, and in a
    source's request the page that is asked for.

    `patient`: an unanswered look-up makes the record wait (`Waiting`); otherwise it is empty, or the record is
    invalid when `missing_is_invalid`.
    """

    moment: Moment
    found: list[dict[Key, Any]] = field(default_factory=list)
    patient: bool = True
    missing_is_invalid: bool = False
    position: PagePosition | None = None


def field_at(row: Any, path: str) -> Any:
    """The value at a path in a row, None when there is none. Where no `a` holds a `b`, `a.b` is the field `a_b`: so it
    is called in flattened rows, and in Kingdee's; plans also write it `a.a_b`."""
    found = at(row, path)
    if found is MISSING and "." in path and isinstance(row, dict):
        found = row.get(path.replace(".", "_"), MISSING)
        if found is MISSING:
            array, _, name = path.rpartition(".")
            if name.startswith(array.replace(".", "_") + "_"):
                found = row.get(name, MISSING)
    return None if found is MISSING else found


def spread_at(row: Any, path: str) -> Any:
    """The value at a path that may lead through arrays: then the list of what each element has there."""
    found = field_at(row, path)
    if found is not None:
        return found
    *steps, last = path.split(".")
    for depth in range(len(steps)):
        array = field_at(row, ".".join(steps[: depth + 1]))
        if isinstance(array, list):
            return _through(array, ".".join([*steps[depth + 1 :], last]))
    return None


def _through(array: list[Any], path: str) -> list[Any]:
    values: list[Any] = []
    for element in array:
        inner = spread_at(element, path)
        values += inner if isinstance(inner, list) else [inner]
    return values


def of_all_lines(own: Any, array: Any, path: str) -> Any:
    """What an aggregate inside a line goes over: the lines of this line where it has some (`own` is a list), else all
    lines of its array."""
    return own if isinstance(own, list) or not isinstance(array, list) else _through(array, path)


def elements(value: Any) -> list[Any]:
    """An array's elements; what is no array, or an empty one, stands for one line without fields."""
    return value if isinstance(value, list) and value else [{}]


def flat_line(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A flattened row's fields of one array (`items_`), under their own names and under those of the element."""
    line = {name: value for name, value in row.items() if name.startswith(prefix)}
    return line | {name[len(prefix) :]: value for name, value in line.items() if name != prefix}


def as_text(value: Any) -> str:
    """A value inside a text: nothing for null, JSON spelling for numbers, booleans, objects and arrays."""
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    if value.__class__ is int:
        return str(value)
    if isinstance(value, Decimal):
        return written(value)
    return encode(value).decode()


def with_format(value: Any, fmt: str, env: Environment, path: str) -> Any:
    """A field with its suffix; null and empty stay as they are."""
    if value is None or value == "":
        return value
    try:
        return formatted(value, fmt, env.moment)
    except KeyError:
        raise MappingError(Message("check.unknown_format", {"format": fmt})) from None
    except (ValueError, OverflowError):
        if env.moment.lenient:
            return value
        raise MappingError(
            Message("mapping.not_a_time", {"path": path, "value": shown(_plain(value)), "format": fmt})
        ) from None


def to_int(value: Any, name: str) -> int | None:
    """An item of type int: text and whole fractions become integers, booleans 0 or 1, empty text nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, bool | int):
        return int(value)
    number = _number(value, name, "int")
    if number != number.to_integral_value():
        raise _unfit(value, name, "int")
    return int(number)


def to_float(value: Any, name: str) -> int | Decimal | None:
    """An item of type float: text becomes an exact decimal, empty text nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | Decimal):
        return value
    return _number(value, name, "float")


def to_bool(value: Any, name: str) -> bool | None:
    """An item of type bool: 1/0, true/false, yes/no, 是/否; empty text nothing."""
    if value is None or value == "" or isinstance(value, bool):
        return None if value == "" else value
    text = str(value).strip().lower()
    if text in TRUTHS:
        return text in TRUE_TEXTS
    raise _unfit(value, name, "bool")


def leniently(coerce: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A coercion that leaves what doesn't fit as it is."""

    def kept(value: Any, name: str) -> Any:
        try:
            return coerce(value, name)
        except MappingError:
            return value

    return kept


def _number(value: Any, name: str, type_: str) -> Decimal:
    if isinstance(value, Decimal) and not is_vast(value):
        return value
    if isinstance(value, str) and len(value) < 400:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise _unfit(value, name, type_) from None
        if number.is_finite() and abs(number.adjusted()) < 400:
            return number
    raise _unfit(value, name, type_)


def _unfit(value: Any, name: str, type_: str) -> MappingError:
    return MappingError(Message("mapping.not_of_type", {"field": name, "value": shown(_plain(value)), "type": type_}))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def sql_failed(env: Environment, error: Exception, function: Function, operands: tuple[Callable[[], Any], ...]) -> str:
    """An SQL expression without a value: the record is invalid, or in a lenient plan the value is the expression's text
    with the record's values pasted in, as the platform has it."""
    texts = [_said(one) for one in operands]
    if env.moment.lenient:
        return pasted(function, texts)
    reason = Message(getattr(error, "reason", "sql.out_of_range"), getattr(error, "values", {}))
    given = ", ".join(f"{{{{{name}}}}} = {shown(text)}" for name, text in zip(function.names(), texts, strict=True))
    values = {"expression": function.text[:200], "reason": reason, "values": given[:400] or "-"}
    raise MappingError(Message("mapping.function", values)) from None


def _said(operand: Callable[[], Any]) -> str:
    """An operand's text for a message; one that has no value itself has none here."""
    try:
        return as_text(operand())
    except (MappingError, Waiting):
        return ""


def looked_up(env: Environment, number: int, key: Any, name: str) -> Any:
    """What look-up `number` found for `key`; nothing when a value to look for is missing (None)."""
    found = env.found[number].get(key, MISSING)
    if found is not MISSING:
        return found
    if None in key:
        return None
    if env.patient:
        raise Waiting(number, key)
    if env.missing_is_invalid:
        raise MappingError(Message("mapping.lookup_empty", {"field": name, "key": ", ".join(map(str, key))}))
    return None


def key_part(value: Any) -> str | None:
    """A value as look-ups compare it: by its text, so that 101 finds "101"."""
    if value.__class__ is str:
        return value or None
    return None if value is None or isinstance(value, dict | list) else as_text(value)


def key_list(value: Any) -> tuple[str, ...] | None:
    """The values that `$in` compares with: an array, or a text with commas."""
    if value is None or isinstance(value, dict):
        return None
    return tuple(map(as_text, value if isinstance(value, list) else as_text(value).split(",")))
