"""What a mapping means, as plainly as it can be said: one function per construct, nothing prepared, nothing fast.

The compiled mapping is compared with this. Both use the same parser of expressions and the same SQL functions (those
are compared with a real server); everything else is written twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from noria.mapping import mysql
from noria.mapping.values import (
    MappingError,
    Waiting,
    as_text,
    key_list,
    key_part,
    to_bool,
    to_float,
    to_int,
    with_format,
)
from noria.messages import Message
from noria.metadata import expression_tree as e
from noria.metadata.expressions import parse as parse_expression
from noria.metadata.expressions import quoted_macros
from noria.metadata.macros import macro_value
from noria.metadata.sql import NOTHING, Bind, Call, Const

MISSING = object()


def interpret(
    items: list[Any], row: dict[str, Any], env: Any, tables: Any = None, parse: Any = parse_expression
) -> dict[str, Any]:
    """The payload of a row. `env.found` is looked into by plan name. `parse`: `remembered`, to parse a text once."""
    return _Interpreter(row, env, tables or {}, parse).members(items, [])


_TEXTS: dict[str, Any] = {}


def remembered(value: Any) -> Any:
    """The expression of a value, parsed the first time only."""
    if not isinstance(value, str):
        return parse_expression(value)
    if value not in _TEXTS:
        _TEXTS[value] = parse_expression(value)
    return _TEXTS[value]


class _Interpreter:
    def __init__(self, row: dict[str, Any], env: Any, tables: Any, parse: Any) -> None:
        self.row, self.env, self.tables, self.parse = row, env, tables, parse

    # A scope is (names of the array, element); the head has none.
    def members(self, items: list[Any], scopes: list[Any]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for item in items:
            value = self.item(item, scopes)
            if item.parser is not None:
                value = parsed(item, value)
            if value is None and not item.is_required:
                continue
            where = body
            *outer, last = item.field.split(".")
            for step in outer:
                if not isinstance(where.get(step), dict):
                    where[step] = {}
                where = where[step]
            where[last] = value
        return body

    def item(self, item: Any, scopes: list[Any]) -> Any:
        if item.children and item.kind == "array":
            return self.lines(item, scopes)
        if item.children:
            return self.members(item.children, scopes) or None
        expression = self.expression(item)
        many = item.kind == "array" or (item.parser is not None and item.parser.name == "ArrayToString")
        if many and isinstance(expression, e.Reference) and expression.format is None:
            value = self.many(expression, scopes)
        else:
            value = self.value(expression, scopes, item.field)
        if item.mapping is not None:
            table = self.tables[item.mapping.target]
            pairs = table.backward if item.mapping.direction == "reverse" else table.forward
            if value is not None and not isinstance(value, dict | list):
                value = pairs.get(as_text(value), value)
        coerce = {"int": to_int, "float": to_float, "bool": to_bool}.get(item.kind)
        return coerce(value, item.field) if coerce else value

    def expression(self, item: Any) -> Any:
        value = item.value
        if value == "" and not item.is_required:
            return e.Literal(None)
        reads_json = item.parser is not None and item.parser.name == "ConvertJson"
        if isinstance(value, str) and (item.kind in ("array", "object") or reads_json):
            text = value.strip()
            if text.startswith("[") or (text.startswith("{") and not text.startswith("{{")):
                try:
                    return parse_expression(msgspec.json.decode(quoted_macros(text)))
                except msgspec.DecodeError:
                    pass
            if item.kind == "array" and isinstance(parse_expression(value), e.Literal):
                return e.Reference(text) if text else e.Literal(None)
        return self.parse(value)

    def lines(self, item: Any, scopes: list[Any]) -> Any:
        path = (item.value if isinstance(item.value, str) else "").strip()
        if path.startswith("{{") and path.endswith("}}"):
            path = path[2:-2].strip()
        elif path.startswith("{") and path.endswith("}"):
            path = path[1:-1].strip()
        array = self.reference(path, scopes) if path else None
        names = {path} if path else set()
        for outer_names, _ in scopes:
            for name in outer_names:
                if path.startswith(name + "."):
                    names.add(path[len(name) + 1 :])
                elif path:
                    names.add(f"{name}.{path}")
        if isinstance(array, list) and array:
            lines = [self.members(item.children, [*scopes, (names, element)]) for element in array]
            return [line for line in lines if line] or None
        flat = array if isinstance(array, dict) else self.flattened(path)
        one = self.members(item.children, [*scopes, (names, flat)])
        return [one] if one and not isinstance(array, list) else None

    def flattened(self, path: str) -> dict[str, Any]:
        """What a flattened row has of an array: `items_x`, as `items_x` and as `x`."""
        prefix = path.replace(".", "_") + "_"
        line: dict[str, Any] = {}
        for name, value in self.row.items():
            if path and name.startswith(prefix):
                line[name] = value
        for name in list(line):
            if name != prefix:
                line[name[len(prefix) :]] = line[name]
        return line

    def value(self, expression: Any, scopes: list[Any], field: str) -> Any:
        if isinstance(expression, e.Literal):
            return expression.value
        if isinstance(expression, e.Macro):
            return macro_value(expression, self.env.moment, self.env.position)
        if isinstance(expression, e.Reference):
            value = self.reference(expression.path, scopes)
            if expression.format is not None:
                value = with_format(value, expression.format, self.env, expression.path)
            return value
        if isinstance(expression, e.Template):
            parts = (p if isinstance(p, str) else as_text(self.value(p, scopes, field)) for p in expression.parts)
            return "".join(parts)
        if isinstance(expression, e.Structure):
            if expression.members is not None:
                return {name: self.value(one, scopes, field) for name, one in expression.members}
            return [self.value(one, scopes, field) for one in expression.elements or ()]
        if isinstance(expression, e.Lookup):
            return self.lookup(expression, scopes, field)
        return self.function(expression, scopes, field)

    def reference(self, path: str, scopes: list[Any]) -> Any:
        for names, element in reversed(scopes):
            for name in sorted(names, key=len, reverse=True):
                if path == name:
                    own = element.get(path) if isinstance(element, dict) else None
                    return element if own is None else own
                if path.startswith(name + "."):
                    return at(element if isinstance(element, dict) else {}, path[len(name) + 1 :])
        value = at(self.row, path)
        for _, element in reversed(scopes):
            if value is None:
                value = at(element if isinstance(element, dict) else {}, path)
        return value

    def lookup(self, lookup: Any, scopes: list[Any], field: str) -> Any:
        key: list[Any] = []
        for condition in lookup.conditions:
            value = self.value(condition.value, scopes, field)
            key.append(key_list(value) if condition.operator in ("in", "notin") else key_part(value))
        if None in key:
            return None
        found = self.env.found[lookup.plan]
        if tuple(key) in found:
            return found[tuple(key)]
        if self.env.patient:
            raise Waiting(0, tuple(key))
        if self.env.missing_is_invalid:
            raise MappingError(Message("mapping.lookup_empty", {"field": field, "key": ""}))
        return None

    def many(self, reference: Any, scopes: list[Any], summed: bool = False) -> Any:
        """The value of a reference that may lead through arrays. `summed`: an aggregate inside a line goes over all
        lines of the array, unless the line has lines of its own there."""
        for depth in range(len(scopes) - 1, -1, -1):
            names, element = scopes[depth]
            for name in sorted(names, key=len, reverse=True):
                if reference.path.startswith(name + "."):
                    rest = reference.path[len(name) + 1 :]
                    own = through(element if isinstance(element, dict) else {}, rest)
                    longest = max(names, key=len)
                    array = self.reference(longest, scopes[:depth]) if summed else None
                    if isinstance(own, list) or not isinstance(array, list):
                        return own
                    return through({"lines": array}, f"lines.{rest}")
        return through(self.row, reference.path)

    # --- SQL ---

    def function(self, function: Any, scopes: list[Any], field: str) -> Any:
        def operand(number: int) -> Any:
            return self.value(function.operands[number].value, scopes, field)

        def many(number: int) -> Any:
            one = function.operands[number].value
            if not isinstance(one, e.Reference):
                return operand(number)
            value = self.many(one, scopes, summed=True)
            if one.format is None:
                return value
            values = value if isinstance(value, list) and value else [value if not isinstance(value, list) else {}]
            return [with_format(v, one.format, self.env, one.path) for v in values]

        sql = _Sql(function, operand, many, self.env)
        try:
            return mysql.result(sql.shown(function.tree))
        except (mysql.SqlError, ArithmeticError):
            raise MappingError(Message("mapping.function", {})) from None


TEXTS = set(
    "CONCAT CONCAT_WS SUBSTRING LEFT RIGHT SUBSTRING_INDEX REPLACE TRIM LTRIM RTRIM UPPER LOWER LPAD RPAD REPEAT"
    " REVERSE SPACE ELT FORMAT HEX MD5 SHA1 SHA2 DATE_FORMAT JSON_UNQUOTE JSON_VALUE REGEXP_REPLACE REGEXP_SUBSTR TIME"
    " GROUP_CONCAT CURTIME".split()
)
SAME_AS_OPERANDS = {"+", "-", "*", "/", "%", "MOD"}
SAME_AS_FIRST = {"NEG", "ABS", "ROUND", "TRUNCATE", "CEIL", "FLOOR"}
PYTHON = {
    "+": mysql.add, "-": mysql.subtract, "*": mysql.multiply, "%": mysql.modulo, "MOD": mysql.modulo, "DIV": mysql.int_divide,
    "NEG": mysql.negative, "ABS": mysql.absolute, "SIGN": mysql.sign, "ROUND": mysql.round_, "CEIL": mysql.ceiling,
    "FLOOR": mysql.floor, "CONCAT": mysql.concat, "LEFT": mysql.left, "UPPER": mysql.upper, "LOCATE": mysql.locate,
    "REPLACE": mysql.replace, "TRIM": mysql.trim, "LENGTH": mysql.length, "=": mysql.eq, "<>": mysql.ne, "<": mysql.lt,
    ">": mysql.gt, "<=": mysql.le, ">=": mysql.ge, "LIKE": mysql.like, "IN": mysql.within, "BETWEEN": mysql.between,
    "IS": mysql.is_, "AND": mysql.both, "OR": mysql.either, "NOT": mysql.not_, "DATE_FORMAT": mysql.date_format,
    "SUBSTRING": mysql.substring,
}  # fmt: skip


COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "IN", "BETWEEN")


class _Sql:
    """Walks a tree. `type` gives TEXT, real or exact by MySQL's rules for mixed operands."""

    def __init__(self, function: Any, operand: Any, many: Any, env: Any) -> None:
        self.function, self.operand, self.many, self.env = function, operand, many, env
        self.line: dict[int, Any] | None = None

    def type(self, tree: Any) -> str:
        if isinstance(tree, Const):
            return "null" if tree.value is None else "text" if isinstance(tree.value, str) else "exact"
        if isinstance(tree, Bind):
            return "text" if self.function.operands[tree.number].quoted else "exact"
        kinds = [self.type(one) for one in tree.args]
        if tree.name in TEXTS:
            return "text"
        if tree.name in SAME_AS_OPERANDS:
            return "real" if {"text", "real"} & set(kinds) else "exact"
        if tree.name in SAME_AS_FIRST:
            return "real" if kinds[0] in ("text", "real") else "exact"
        if tree.name in ("SUM", "AVG"):
            return "real" if kinds[0] in ("text", "real") else "exact"
        if tree.name in ("MAX", "MIN"):
            return kinds[0]
        if tree.name == "CASE":
            return self.merged([*kinds[2:-1:2], kinds[-1]])
        if tree.name in ("COALESCE", "IFNULL"):
            return self.merged(kinds)
        if tree.name == "IF":
            return self.merged(kinds[1:])
        return "exact"

    @staticmethod
    def merged(kinds: list[str]) -> str:
        return "text" if "text" in kinds else "real" if "real" in kinds else "exact"

    def shown(self, tree: Any) -> Any:
        value = self.value(tree)
        return mysql.trimmed(value) if self.type(tree) == "real" else value

    def branch(self, tree: Any, kind: str) -> Any:
        value = self.shown(tree) if kind == "text" else self.value(tree)
        return mysql.text(value) if kind == "text" else value

    def value(self, tree: Any) -> Any:
        if isinstance(tree, Const):
            return tree.value
        if isinstance(tree, Bind):
            given = self.line[tree.number] if self.line is not None else self.operand(tree.number)
            return mysql.quoted(given) if self.function.operands[tree.number].quoted else mysql.bare(given)
        name, args = tree.name, tree.args
        if name in ("SUM", "AVG", "MAX", "MIN", "COUNT", "GROUP_CONCAT"):
            return self.aggregate(tree)
        if name in ("COALESCE", "IFNULL"):
            for one in args:
                if self.value(one) is not None:
                    return self.branch(one, self.type(tree))
            return None
        if name == "IF":
            return self.branch(args[1] if self.truth(args[0]) else args[2], self.type(tree))
        if name == "CASE":
            operand, *branches, default = args
            for when, then in zip(branches[::2], branches[1::2], strict=True):
                hit = self.truth(when) if operand is NOTHING else mysql.eq(self.shown(operand), self.shown(when))
                if hit:
                    return self.branch(then, self.type(tree))
            return self.branch(default, self.type(tree))
        if name == "/":
            a, b = (mysql.numeric(self.value(one)) if self.is_bare(one) else self.value(one) for one in args)
            return mysql.divide(a, b, self.type(tree) == "real")
        exact = name in SAME_AS_OPERANDS or name in SAME_AS_FIRST
        given = [self.value(one) if exact else self.shown(one) for one in args]
        if exact or (name in COMPARISONS and any(self.is_number(one) for one in args)):
            given = [mysql.numeric(one) if self.is_bare(arg) else one for arg, one in zip(args, given, strict=True)]
        return PYTHON[name](*given)

    def is_bare(self, tree: Any) -> bool:
        """A value of the record that stands without quotes: where it is calculated with, it must be a number."""
        return isinstance(tree, Bind) and not self.function.operands[tree.number].quoted

    def is_number(self, tree: Any) -> bool:
        return not isinstance(tree, Bind) and self.type(tree) in ("exact", "real")

    def truth(self, tree: Any) -> bool:
        """A condition: what comes after the outcome is known is not asked."""
        if isinstance(tree, Call) and tree.name == "AND":
            return all(self.truth(one) for one in tree.args)
        if isinstance(tree, Call) and tree.name == "OR":
            return any(self.truth(one) for one in tree.args)
        return mysql.truth(self.value(tree))

    def aggregate(self, tree: Any) -> Any:
        inner = tree.args[0]
        binds = sorted({one.number for one in nodes(inner) if isinstance(one, Bind)})
        values = []
        for line in mysql.spread([self.many(number) for number in binds]) if binds else [()]:
            self.line = dict(zip(binds, line, strict=True))
            value = self.shown(inner)
            bare = tree.name in ("SUM", "AVG") and self.is_bare(inner)
            values.append(mysql.numeric(value) if bare else value)
        self.line = None
        rest = [self.shown(one) for one in tree.args[1:]]
        function = {
            "SUM": mysql.total, "AVG": mysql.average, "MAX": mysql.maximum, "MIN": mysql.minimum, "COUNT": mysql.count,
            "GROUP_CONCAT": mysql.group_concat,
        }[tree.name]  # fmt: skip
        return function(values, *rest)


def nodes(tree: Any) -> list[Any]:
    found = [tree]
    if isinstance(tree, Call):
        for one in tree.args:
            found += nodes(one)
    return found


def at(value: Any, path: str) -> Any:
    """The value at a path, None when there is none; then a key that holds dots, then one with `_` in their place."""
    here = value
    for step in path.split("."):
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        else:
            if not isinstance(value, dict):
                return None
            return elsewhere(value, path)
    return here


def elsewhere(value: dict[str, Any], path: str) -> Any:
    """A path that leads nowhere: `a.b` as a key with a dot, as `a_b`, or `a.a_b` as `a_b`."""
    array, _, name = path.rpartition(".")
    for key in [path, path.replace(".", "_"), *([name] if name.startswith(array.replace(".", "_") + "_") else [])]:
        if key in value:
            return value[key]
    return None


def through(value: Any, path: str) -> Any:
    """The value at a path that may lead through arrays, as a list then."""
    found = at(value, path)
    if found is not None:
        return found
    steps = path.split(".")
    for depth in range(1, len(steps)):
        array = at(value, ".".join(steps[:depth]))
        if isinstance(array, list):
            values: list[Any] = []
            for element in array:
                inner = through(element, ".".join(steps[depth:]))
                values += inner if isinstance(inner, list) else [inner]
            return values
    return None


def parsed(item: Any, value: Any) -> Any:
    """The parsers that the generated plans use."""
    parser = item.parser
    if parser.name == "StringToArray":
        if isinstance(value, list):
            return value
        text = as_text(value)
        return text.split(parser.params or ",") if text.strip() else []
    if parser.name == "ArrayToString":
        return parser.params.join(as_text(one) for one in value) if isinstance(value, list) else value
    if value is None:
        return None
    if parser.name == "ConvertObjectParser":
        return {parser.params: value}
    assert parser.name == "ConvertTwoStageObjectParser"
    return {parser.params1: {parser.params2: value}}
