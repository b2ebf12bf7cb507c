"""What a `value` of metadata says: a literal, a template with `{{…}}`, a look-up into another plan, an SQL expression.

Parsing only; what an expression gives for a record is the mapping's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.expression_tree import (
    OPERATORS,
    RECORD_FIELDS,
    Condition,
    Expression,
    Function,
    Literal,
    Lookup,
    Macro,
    Operand,
    Place,
    Reference,
    Structure,
    Template,
)
from noria.metadata.sql import LONGEST, parse_sql
from noria.metadata.validation import shown

_AGO = re.compile(r"(DAYS?|HOURS?|MINUTES?)_AGO_(\d{1,6})$")
_PLAIN_MACROS = (
    "LAST_SYNC_TIME",
    "CURRENT_TIME",
    "PAGINATION_PAGE_SIZE",
    "PAGINATION_START_ROW",
    "PAGINATION_START_PAGE",
)
MACRO_NAMES = (*_PLAIN_MACROS, "DAYS_AGO_1", "HOUR_AGO_1", "MINUTE_AGO_1")
# Many published plans write references and macros in single braces. Only what can be a name is read so: JSON, empty
# braces and numbers stay text.
SINGLE_BRACES = re.compile(r"(?<!\{)\{\s*([^\W\d][\w.]*(?:\s*\|\s*\w+)?)\s*\}(?!\})")
_BRACES = re.compile(rf"\{{\{{([^{{}}]*)\}}\}}|{SINGLE_BRACES.pattern}")

_FIND = re.compile(r"_findCollection\s+find\s+(\S+)\s+from\s+(\S+)(?:\s+where(?:\s+(.*))?)?\s*$", re.DOTALL)
_CONDITION = re.compile(
    r"(?:(?:and|AND|&&)\s+)?([^\s={]+)\s*=\s*"
    r"('[^']*'|\"[^\"]*\"|_findCollection\s.*|(?:\{\{[^{}]*\}\}|\{[^{}]*\}|[^\s{])+)(?:\s+|$)",
    re.DOTALL,
)
_MONGO = re.compile(r"_mongoQuery\s+(\S+)\s+findField=(\S+)\s+where=(.*)$", re.DOTALL)
# Where look-ups begin and end inside other texts.
_MARKS = re.compile(r"_findCollection\b|_mongoQuery\b|_end(?:Find|Query)\b")
_END = re.compile(r"\s*\b_end(?:Find|Query)\s*$")
# A text longer than this is no expression that anybody wrote by hand.
_LONGEST = 65_536
_LONGEST_NAME = 1000
# Look-ups inside look-ups.
_MOST_NESTED = 20

# Marks of Chinese typing that look like SQL's.
_FULL_WIDTH = dict(zip("（），；：‘’“”＝＋－＊／＜＞｛｝｜", "(),;:''\"\"=+-*/<>{}|", strict=True)) | {"\u3000": " "}


def parse(value: Any, *, lenient: bool = False) -> Expression:
    """The expression that a metadata `value` is; raises `NoriaError` (`bad_expression`) when it is malformed.

    `lenient`: a malformed `_function` is its text with the record's values in it, as the platform has it.
    """
    try:
        return _parsed(value, lenient)
    except RecursionError:
        raise _bad("expression.too_deep", str(type(value).__name__), Message("expression.too_deep_hint")) from None


def _parsed(value: Any, lenient: bool = False) -> Expression:
    if isinstance(value, str):
        return _parsed_text(value, lenient)
    if isinstance(value, dict):
        members = tuple((str(key), _parsed(one, lenient)) for key, one in value.items())
        return Literal(value) if all(isinstance(one, Literal) for _, one in members) else Structure(members=members)
    if isinstance(value, list):
        elements = tuple(_parsed(one, lenient) for one in value)
        return Literal(value) if all(isinstance(one, Literal) for one in elements) else Structure(elements=elements)
    return Literal(value)


def _parsed_text(value: str, lenient: bool) -> Expression:
    head = value.strip()
    if head.startswith("_findCollection"):
        return _lookup(_END.sub("", head))
    if head.startswith("_mongoQuery"):
        return _mongo(_END.sub("", head))
    if head != "_function" and not (head.startswith("_function") and head[9].isspace()):
        return _template(value)
    text = head[10:].strip()
    try:
        if not text:
            raise _bad("function.empty", value, Message("function.hint"))
        return _function(text, value)
    except NoriaError:
        if lenient:
            return _template(text)
        raise


def _template(text: str) -> Literal | Reference | Macro | Template:
    if "{{" not in text and "}}" not in text and not ("{" in text and SINGLE_BRACES.search(text)):
        return Literal(text)
    if len(text) > _LONGEST:
        raise _bad("expression.too_long", text, Message("expression.too_long_hint"), longest=_LONGEST)
    parts: list[str | Reference | Macro] = []
    end = 0
    for match in _BRACES.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        parts.append(_inner(match[1] if match[2] is None else match[2], text))
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
    if not name or (bar and not fmt):
        raise _bad("expression.empty_macro", whole, Message("expression.unbalanced_hint"))
    if len(name) > _LONGEST_NAME:
        raise _bad("expression.name_too_long", whole, Message("expression.unbalanced_hint"), longest=_LONGEST_NAME)
    suffix = fmt or None
    if name in _PLAIN_MACROS:
        return Macro(name, suffix)
    ago = _AGO.match(name)
    if ago:
        unit = {"D": 86400, "H": 3600, "M": 60}[ago[1][0]]
        return Macro(name, suffix, unit * int(ago[2]))
    return Reference(name, suffix)


def _lookup(text: str) -> Lookup:
    match = _FIND.match(text) if len(text) <= _LONGEST and text.count("_findCollection") <= _MOST_NESTED else None
    if match is None:
        raise _bad("expression.lookup", text, Message("expression.lookup_hint"))
    field, plan, where = match.groups()
    conditions: list[Condition] = []
    position = 0
    where = (where or "").strip()
    while position < len(where):
        condition = _CONDITION.match(where, position)
        if condition is None:
            raise _bad("expression.lookup", text, Message("expression.lookup_hint"))
        right, position = condition[2], condition.end()
        if right.startswith("_findCollection"):
            right, position = _nested(where, condition.start(2))
        if right.startswith("=") or re.search(r"\}\s*[,，]", right):
            raise _bad("expression.lookup", text, Message("expression.lookup_hint"))
        quoted = right[0] in "'\"" and right[-1] == right[0] and len(right) > 1
        conditions.append(Condition(Place(condition[1]), "eq", _parsed(right[1:-1] if quoted else right)))
    if not conditions:
        raise _bad("expression.lookup_where", text, Message("expression.lookup_hint"))
    return Lookup(Place(field), plan, tuple(conditions))


def _nested(where: str, start: int) -> tuple[str, int]:
    """A look-up that stands as the right side of a condition: to its own `_endFind`, or to the end."""
    end = _look_up_end(where, start)
    if end is None:
        return where[start:], len(where)
    rest = where[end:]
    return where[start:end], end + len(rest) - len(rest.lstrip())


def _mongo(text: str) -> Lookup:
    """`_mongoQuery PLAN findField=content.X where={"content.Y":{"$eq":"{{Z}}"}}`."""
    match = _MONGO.match(text) if len(text) <= _LONGEST else None
    hint = Message("expression.mongo_hint", {"operators": ", ".join(OPERATORS)})
    if match is None:
        raise _bad("expression.mongo", text, hint)
    plan, wanted, where = match.groups()
    try:
        filters = msgspec.json.decode(quoted_macros(where))
    except (msgspec.DecodeError, RecursionError):
        raise _bad("expression.mongo", text, hint) from None
    conditions = list(_filters(filters, text, hint))
    if not conditions:
        raise _bad("expression.mongo", text, hint)
    return Lookup(_place(wanted), plan, tuple(conditions))


def _filters(filters: Any, text: str, hint: Message) -> Iterator[Condition]:
    if not isinstance(filters, dict):
        raise _bad("expression.mongo", text, hint)
    for key, wanted in filters.items():
        if key == "$and" and isinstance(wanted, list):
            for one in wanted:
                yield from _filters(one, text, hint)
            continue
        tests = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        for name, value in tests.items():
            if key.startswith("$") or name not in OPERATORS:
                operator = key if key.startswith("$") else name
                raise _bad("expression.mongo_operator", text, hint, operator=shown(operator))
            yield Condition(_place(key), OPERATORS[name], _parsed(value))


def _place(path: str) -> Place:
    for part in ("content", "response"):
        if path.startswith(part + "."):
            return Place(path[len(part) + 1 :], part)
    return Place(path, "record") if path in RECORD_FIELDS else Place(path)


def quoted_macros(text: str) -> str:
    """JSON in which macros may stand without quotes, with them quoted."""
    pieces, inside, end = [], False, 0
    for match in re.finditer(rf'\\.|"|{_BRACES.pattern}', text, re.DOTALL):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match[0] == '"':
            inside = not inside
        pieces.append(f'"{match[0]}"' if match[0].startswith("{") and not inside else match[0])
    return "".join([*pieces, text[end:]])


def _function(text: str, whole: str) -> Function:
    """The SQL text with its macros taken out: each becomes a bound value."""
    if len(text) > LONGEST:
        raise _bad("function.too_long", whole, Message("function.hint"), longest=LONGEST)
    operands: list[Operand] = []
    spans: list[tuple[int, int]] = []
    sql: list[str] = []
    literal: list[str] | None = None  # the parts of the quoted text that is open
    quote = ""

    def bound(start: int, end: int, quoted: bool) -> str:
        unit = text[start:end]
        spans.append((start, end))
        parsed = _parsed(unit)
        if not isinstance(parsed, Reference | Macro | Lookup):
            raise _bad("function.operand", whole, Message("function.hint"), unit=shown(unit))
        operands.append(Operand(parsed, quoted))
        return f" :b{len(operands) - 1} "

    position = 0
    while position < len(text):
        end = _unit_end(text, position)
        if end is not None:
            if literal is None:
                sql.append(bound(position, end, False))
            else:
                literal.append(bound(position, end, True))
                literal.append("")
            position = end
            continue
        if text.startswith(("_findCollection ", "_mongoQuery "), position):
            raise _bad("function.open_lookup", whole, Message("function.open_lookup_hint"))
        char = text[position]
        position += 1
        if literal is None:
            if char in "'\"":
                literal, quote = [""], char
            elif char in _FULL_WIDTH:
                values = {"char": char, "right": _FULL_WIDTH[char]}
                raise _bad("function.full_width", whole, Message("function.full_width_hint", values), **values)
            elif char == ":":
                raise _bad("function.unsupported", whole, Message("function.hint"), what=":")
            elif char == "-" and text.startswith("-", position) and not text[position + 1 : position + 2].isspace():
                sql.append("- ")  # for a server only `-- ` is a comment
            else:
                sql.append(char)
        elif char == "\\" and position < len(text):
            if _unit_end(text, position) is None:
                literal[-1] += char + text[position]
                position += 1
        elif char == quote and text[position : position + 1] == quote:
            literal[-1] += char * 2
            position += 1
        elif char == quote:
            sql.append(_quoted(literal, quote))
            literal = None
        else:
            literal[-1] += char
    if literal is not None:
        raise _bad("function.open_quote", whole, Message("function.hint"))
    names = [text[start:end] for start, end in spans]
    return Function(text, parse_sql("".join(sql), whole, names), tuple(operands), tuple(spans))


def _unit_end(text: str, start: int) -> int | None:
    """Where the macro or look-up that begins at a place of a `_function` ends; None when none begins there."""
    if text.startswith("{", start):
        match = _BRACES.match(text, start)
        return match.end() if match else None
    if not text.startswith(("_findCollection", "_mongoQuery"), start):
        return None
    return _look_up_end(text, start)


def _look_up_end(text: str, start: int) -> int | None:
    """Behind the end mark of a look-up, or of the look-up inside it that has no mark of its own."""
    depth, last = 0, None
    for mark in _MARKS.finditer(text, start):
        depth += -1 if mark[0].startswith("_end") else 1
        if mark[0].startswith("_end"):
            last = mark.end()
        if depth == 0:
            return mark.end()
    return last


def is_macro(name: str) -> bool:
    """Whether a name is that of a system macro."""
    return name in _PLAIN_MACROS or _AGO.match(name) is not None


def _quoted(parts: list[str], quote: str) -> str:
    """A quoted text: itself, one bound value, or a CONCAT of both. Bound values are at the odd places."""
    pieces = [part if place % 2 else quote + part + quote for place, part in enumerate(parts) if place % 2 or part]
    if not pieces:
        return quote * 2
    return pieces[0] if len(pieces) == 1 else f"CONCAT({', '.join(pieces)})"


def _bad(key: str, value: str, hint: Message, **values: Any) -> NoriaError:
    return NoriaError("bad_expression", Message(key, {"value": shown(value), **values}), hint=hint)
