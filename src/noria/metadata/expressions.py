"""What a `value` of metadata says: a literal, a template with `{{…}}`, or a look-up into another plan.

Parsing only; what an expression gives for a record is the mapping's business, and for a request the engine's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import FORMATS
from noria.metadata.validation import nearest, shown

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_AGO = re.compile(r"(DAYS?|HOURS?|MINUTES?)_AGO_(\d{1,6})$")
_PLAIN_MACROS = (
    "LAST_SYNC_TIME",
    "CURRENT_TIME",
    "PAGINATION_PAGE_SIZE",
    "PAGINATION_START_ROW",
    "PAGINATION_START_PAGE",
)
MACRO_NAMES = (*_PLAIN_MACROS, "DAYS_AGO_1", "HOUR_AGO_1", "MINUTE_AGO_1")

_FIND = re.compile(r"_findCollection\s+find\s+(\S+)\s+from\s+(\S+)(?:\s+where\s+(.+))?\s*$", re.DOTALL)
_CONDITION = re.compile(r"([^\s=]+)=('(?:[^']*)'|\"(?:[^\"]*)\"|\{\{.*?\}\}|\S+)(?:\s+|$)", re.DOTALL)


@dataclass(frozen=True)
class Literal:
    """A value that stands for itself."""

    value: Any


@dataclass(frozen=True)
class Reference:
    """`{{path}}` or `{{path|format}}`: a field of the current row."""

    path: str
    format: str | None = None


@dataclass(frozen=True)
class Macro:
    """A system macro. `seconds_ago` is set for `DAYS_AGO_n` and its kin."""

    name: str
    format: str | None = None
    seconds_ago: int | None = None


@dataclass(frozen=True)
class Template:
    """Text with macros or references in it; the result is text."""

    parts: tuple[str | Reference | Macro, ...]


@dataclass(frozen=True)
class Lookup:
    """`_findCollection find FIELD from PLAN where A={{b}} …`: one field of another plan's record."""

    field: str
    plan: str
    conditions: tuple[tuple[str, Literal | Reference | Macro | Template], ...]


Expression = Literal | Reference | Macro | Template | Lookup


def parse(value: Any) -> Expression:
    """The expression that a metadata `value` is; raises `NoriaError` (`bad_expression`) when it is malformed."""
    if not isinstance(value, str):
        return Literal(value)
    head = value.lstrip()
    if head.startswith("_findCollection"):
        return _lookup(head.rstrip())
    for keyword in ("_function", "_mongoQuery"):
        if head.startswith(keyword + " "):
            raise _bad("expression.not_supported", value, Message("expression.not_supported_hint"), name=keyword)
    return _template(value)


def _template(text: str) -> Literal | Reference | Macro | Template:
    parts: list[str | Reference | Macro] = []
    end = 0
    for match in _BRACES.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(_inner(match[1], text))
        end = match.end()
    rest = text[end:]
    if "{{" in rest or any(isinstance(part, str) and "}}" in part for part in [*parts, rest]):
        raise _bad("expression.unbalanced", text, Message("expression.unbalanced_hint"))
    if rest:
        parts.append(rest)
    if not parts:
        return Literal(text)
    if len(parts) == 1:
        only = parts[0]
        return Literal(only) if isinstance(only, str) else only
    return Template(tuple(parts))


def _inner(inside: str, whole: str) -> Reference | Macro:
    name, bar, fmt = inside.partition("|")
    name, fmt = name.strip(), fmt.strip()
    if not name or (bar and not fmt) or "{" in name:
        raise _bad("expression.empty_macro", whole, Message("expression.unbalanced_hint"))
    suffix = fmt or None
    if name in _PLAIN_MACROS:
        return Macro(name, suffix)
    ago = _AGO.match(name)
    if ago:
        unit = {"D": 86400, "H": 3600, "M": 60}[ago[1][0]]
        return Macro(name, suffix, unit * int(ago[2]))
    return Reference(name, suffix)


def _lookup(text: str) -> Lookup:
    match = _FIND.match(text)
    if match is None:
        raise _bad("expression.lookup", text, Message("expression.lookup_hint"))
    field, plan, where = match.groups()
    conditions: list[tuple[str, Literal | Reference | Macro | Template]] = []
    position = 0
    where = (where or "").strip()
    while position < len(where):
        condition = _CONDITION.match(where, position)
        if condition is None:
            raise _bad("expression.lookup", text, Message("expression.lookup_hint"))
        right = condition[2]
        quoted = right[0] in "'\"" and right[-1] == right[0] and len(right) > 1
        conditions.append((condition[1], _template(right[1:-1] if quoted else right)))
        position = condition.end()
    if not conditions:
        raise _bad("expression.lookup_where", text, Message("expression.lookup_hint"))
    return Lookup(field, plan, tuple(conditions))


def _bad(key: str, value: str, hint: Message, **values: Any) -> NoriaError:
    return NoriaError("bad_expression", Message(key, {"value": shown(value), **values}), hint=hint)


def unknown_format(fmt: str | None) -> Message | None:
    """Why a suffix is not one of the language's, or None when it is."""
    if fmt is None or fmt.lower() in FORMATS:
        return None
    meant = nearest(fmt, list(FORMATS))
    return Message("valid.did_you_mean", {"name": meant}) if meant else _choices()


def _choices() -> Message:
    return Message("valid.choices", {"choices": ", ".join(FORMATS)})


def atoms(expression: Expression) -> list[Reference | Macro]:
    """Every reference and macro in an expression, in order."""
    match expression:
        case Reference() | Macro():
            return [expression]
        case Template(parts):
            return [part for part in parts if not isinstance(part, str)]
        case Lookup(conditions=conditions):
            return [atom for _, right in conditions for atom in atoms(right)]
        case _:
            return []
