"""Compiles the items of a request into one Python function.

The generated text holds only names made here (`k3`, `v`, `line_1`); every name, path and literal of the metadata is
passed as data in the function's namespace, so hostile metadata can't become code.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Names
from dataclasses import dataclass
from typing import Any, NamedTuple

from noria.mapping import mysql, values
from noria.mapping.parsers import parser_of, value_map_of
from noria.mapping.sql import GROWING, SqlWriter
from noria.mapping.values import Environment, Key, MappingError, Waiting
from noria.metadata.documents import Item
from noria.metadata.expression_tree import Expression, Function, Literal, Lookup, Macro, Reference, Structure, Template
from noria.metadata.items import array_path, expression_of, takes_many
from noria.metadata.macros import macro_value
from noria.metadata.paths import put
from noria.metadata.sql import calls
from noria.metadata.valuemaps import ValueTable

Payload = Callable[[dict[str, Any], Environment], dict[str, Any]]

_COERCE = {"int": "to_int", "float": "to_float", "bool": "to_bool"}
_RUNTIME = (
    "field_at",
    "spread_at",
    "as_text",
    "with_format",
    "to_int",
    "to_float",
    "to_bool",
    "looked_up",
    "key_part",
    "key_list",
    "elements",
    "flat_line",
    "of_all_lines",
    "sql_failed",
)


@dataclass(frozen=True)
class PlannedLookup:
    """A look-up of a mapping: what to find, and the keys that a record will ask for."""

    lookup: Lookup
    keys: Callable[[dict[str, Any], Environment], list[Key]]


@dataclass(frozen=True)
class Mapping:
    """A compiled mapping. `payload(row, environment)` gives the payload or raises `MappingError` or `Waiting`.

    `lookups` are in the order in which they can be answered: one that needs another's answer comes after it.
    `whole`: the target declares no request, so the record goes through as it came.
    """

    payload: Payload
    lookups: tuple[PlannedLookup, ...]
    whole: bool = False


def compile_mapping(
    items: list[Item],
    tables: Names[str, ValueTable] | None = None,
    *,
    source: bool = False,
    lenient: bool = False,
) -> Mapping:
    """The mapping of a target's `request` and `otherRequest`; no items: the record itself.

    `tables`: the static value maps that items may name. `source`: the items are a source's request, where an array's
    text is a literal. `lenient`: a malformed `_function` is its text, as on the platform. Raises `NoriaError` for any
    other expression that is malformed.
    """
    if not items and not source:
        return Mapping(payload=lambda row, env: row, lookups=(), whole=True)
    writer = _Writer(dict(tables or {}), source, lenient)
    writer.function("payload", items, [Scope((), "row")])
    namespace = writer.run()
    lookups = tuple(PlannedLookup(lookup, namespace[f"keys_{number}"]) for number, lookup in enumerate(writer.lookups))
    return Mapping(payload=namespace["payload"], lookups=lookups)


class Scope(NamedTuple):
    """What names can mean at a place: the head, or the current element of an array under the array's names.
    `variable` holds the element's fields, `whole` the element itself."""

    names: tuple[str, ...]
    variable: str
    whole: str = ""


Scopes = list[Scope]


class _Writer:
    """Collects the generated functions and the data they refer to."""

    def __init__(self, tables: dict[str, ValueTable], source: bool, lenient: bool) -> None:
        self.tables = tables
        self.source = source
        self.lenient = lenient
        self.functions: list[str] = []
        self.data: dict[str, Any] = {name: getattr(values, name) for name in _RUNTIME}
        self.data |= {
            "macro_value": macro_value,
            "put": put,
            "sql": mysql,
            "sql_eq": mysql.eq,
            "sql_bare": mysql.bare,
            "sql_quoted": mysql.quoted,
            "sql_result": mysql.result,
            "NO_VALUE": (MappingError, Waiting),
            "SQL_ERRORS": (mysql.SqlError, ArithmeticError),
            "EMPTY": {},
        }
        if source:
            # What a request's author declares is sent as written where it isn't of the declared type.
            self.data |= {name: values.leniently(getattr(values, name)) for name in _COERCE.values()}
        self.known: dict[tuple[type, Any], str] = {}
        self.lookups: list[Lookup] = []
        self.numbers: dict[tuple[Lookup, tuple[str, ...]], tuple[int, str]] = {}
        self.counter = 0

    def constant(self, value: Any) -> str:
        """The name under which the generated code sees a value."""
        key = (type(value), value) if isinstance(value, str | int) else None
        if key is not None and key in self.known:
            return self.known[key]
        name = f"k{len(self.data)}"
        self.data[name] = value
        if key is not None:
            self.known[key] = name
        return name

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}_{self.counter}"

    def run(self) -> dict[str, Any]:
        namespace = dict(self.data)
        code = compile("\n".join(self.functions), "<mapping>", "exec")
        exec(code, namespace)  # noqa: S102 - text made here alone; metadata enters as data
        return namespace

    def function(self, name: str, items: list[Item], scopes: Scopes) -> None:
        """A function from the scopes' variables to the object that `items` describe."""
        lines = [f"def {name}({_parameters(scopes)}):", *_unpacked(scopes), "    out = {}"]
        for item in items:
            lines += self.item(item, scopes)
        lines.append("    return out")
        self.functions.append("\n".join(lines))

    def item(self, item: Item, scopes: Scopes) -> list[str]:
        if item.kind == "array" and item.children:
            return self.lines(item, scopes)
        if item.children:
            inner = self.fresh("object")
            self.function(inner, item.children, scopes)
            return [f"    v = {inner}({_arguments(scopes)}) or None", *self.store(item)]
        expression = self.parsed(item)
        if takes_many(item) and isinstance(expression, Reference) and expression.format is None:
            text = self.spread(expression, item, scopes)
        else:
            text = self.expression(expression, item, scopes)
        if item.mapping is not None:
            text = f"{self.constant(value_map_of(item.mapping, self.tables))}({text})"
        coerce = _COERCE.get(item.kind)
        if coerce:
            text = f"{coerce}({text}, {self.constant(item.field)})"
        return [f"    v = {text}", *self.store(item)]

    def parsed(self, item: Item) -> Expression:
        return expression_of(item, source=self.source, lenient=self.lenient)

    def store(self, item: Item) -> list[str]:
        """Nothing is left out, except that a required item is sent as null."""
        lines = []
        if item.parser is not None:
            lines.append(f"    v = {self.constant(parser_of(item.parser, item.field))}(v)")
        guard = "    " if item.is_required else "    if v is not None: "
        field = self.constant(item.field)
        return [*lines, f"{guard}put(out, {field}, v)" if "." in item.field else f"{guard}out[{field}] = v"]

    def lines(self, item: Item, scopes: Scopes) -> list[str]:
        """An array of lines: one object from `children` per element, or one from the head (section 8.3); an object
        where an array should be is its only element."""
        path = array_path(item)
        function = self.fresh("line")
        inner = self.inside(path, scopes)
        self.function(function, item.children or [], inner)
        source = self.reference(path, scopes) if path else "None"
        return [
            f"    a = {source}",
            "    if a.__class__ is list and a:",
            # A line without any value is none.
            f"        v = [v for x in a if (v := {function}({_arguments(scopes, 'x')}))] or None",
            "    else:",
            f"        x = a if a.__class__ is dict else {self.flat(path, scopes)}",
            f"        v = {function}({_arguments(scopes, 'x')})",
            "        v = [v] if v and a.__class__ is not list else None",
            *self.store(item),
        ]

    def flat(self, path: str, scopes: Scopes) -> str:
        """The one line that a flattened row is for an array that it no longer has: its `ARRAY_…` fields."""
        if not path:
            return "EMPTY"
        return f"flat_line({scopes[0].variable}, {self.constant(path.replace('.', '_') + '_')})"

    def inside(self, path: str, scopes: Scopes) -> Scopes:
        """The scopes of an array's children. An array inside another is known by its whole path and by the rest."""
        names = {path} if path else set()
        for outer in scopes[1:]:
            for name in outer.names:
                names |= (
                    {path[len(name) + 1 :]} if path.startswith(name + ".") else {f"{name}.{path}"} if path else set()
                )
        number = len(scopes)
        return [*scopes, Scope(tuple(sorted(names, key=len, reverse=True)), f"e{number}", f"x{number}")]

    def expression(self, expression: Expression, item: Item, scopes: Scopes) -> str:
        match expression:
            case Literal(value):
                return "None" if value is None else self.constant(value)
            case Reference() | Macro():
                return self.atom(expression, scopes)
            case Template(parts):
                return self.template(parts, scopes)
            case Structure():
                return self.structure(expression, item, scopes)
            case Lookup():
                return self.lookup(expression, item, scopes)
            case Function():
                return self.sql(expression, item, scopes)

    def atom(self, atom: Reference | Macro, scopes: Scopes) -> str:
        if isinstance(atom, Macro):
            return f"macro_value({self.constant(atom)}, env.moment, env.position)"
        text = self.reference(atom.path, scopes)
        if atom.format is not None:
            text = f"with_format({text}, {self.constant(atom.format)}, env, {self.constant(atom.path)})"
        return text

    def template(self, parts: tuple[str | Reference | Macro, ...], scopes: Scopes) -> str:
        texts = []
        for part in parts:
            if isinstance(part, str):
                texts.append(self.constant(part))
            else:
                held = self.fresh("t")
                texts.append(f"({held} if ({held} := {self.atom(part, scopes)}).__class__ is str else as_text({held}))")
        return f"''.join(({', '.join(texts)},))"

    def structure(self, structure: Structure, item: Item, scopes: Scopes) -> str:
        if structure.members is not None:
            members = (f"{self.constant(k)}: {self.expression(v, item, scopes)}" for k, v in structure.members)
            return "{" + ", ".join(members) + "}"
        return "[" + ", ".join(self.expression(one, item, scopes) for one in structure.elements or ()) + "]"

    def reference(self, path: str, scopes: Scopes) -> str:
        """`items.x` is the current line of `items`; a bare name is the head's, else the current line's. An array's own
        name is the element, unless that has a field of this name."""
        for scope in reversed(scopes[1:]):
            for name in scope.names:
                if path == name:
                    found = self.fresh("f")
                    own = f"{scope.variable}.get({self.constant(path)})"
                    return f"({found} if ({found} := {own}) is not None else {scope.whole})"
                if path.startswith(name + "."):
                    return self.get(scope.variable, path[len(name) + 1 :])
        *others, last = [self.get(scope.variable, path) for scope in [scopes[0], *reversed(scopes[1:])]]
        for source in reversed(others):
            found = self.fresh("f")
            last = f"({found} if ({found} := {source}) is not None else {last})"
        return last

    def get(self, variable: str, path: str) -> str:
        """Code for the value at a path of an object: its fields, and fields one or two objects deep, are read without
        a call; whatever is not where it should be is left to `field_at`."""
        *outer, last = path.split(".")
        slow = f"field_at({variable}, {self.constant(path)})"
        if len(outer) > 2:
            return slow
        inner = variable
        guards = []
        for step in outer:
            held = self.fresh("d")
            guards.append(f"({held} := {inner}.get({self.constant(step)})).__class__ is dict")
            inner = held
        value = f"{inner}.get({self.constant(last)})"
        if not guards:
            return value
        found = self.fresh("g")
        guards.append(f"({found} := {value}) is not None")
        return f"({found} if {' and '.join(guards)} else {slow})"

    def lookup(self, lookup: Lookup, item: Item, scopes: Scopes) -> str:
        """A look-up's value, and beside it a function with the keys that a record will ask for. The same look-up at
        the same place is asked once."""
        known = (lookup, tuple(scope.names[0] if scope.names else "" for scope in scopes))
        try:
            if known not in self.numbers:
                self.numbers[known] = self.new_lookup(lookup, item, scopes)
            number, parts = self.numbers[known]
        except TypeError:  # a literal in it that can't be a key
            number, parts = self.new_lookup(lookup, item, scopes)
        return f"looked_up(env, {number}, {parts}, {self.constant(item.field)})"

    def new_lookup(self, lookup: Lookup, item: Item, scopes: Scopes) -> tuple[int, str]:
        values = []
        for condition in lookup.conditions:
            kind = "key_list" if condition.operator in ("in", "notin") else "key_part"
            values.append(f"{kind}({self.expression(condition.value, item, scopes)})")
        parts = f"({', '.join(values)},)"
        number = len(self.lookups)
        self.lookups.append(lookup)
        key = self.fresh("key")
        self.functions.append(
            "\n".join(
                [
                    f"def {key}({_parameters(scopes)}):",
                    *_unpacked(scopes),
                    f"    parts = {parts}",
                    "    return None if None in parts else parts",
                ]
            )
        )
        self.functions.append(self.all_keys(f"keys_{number}", key, scopes))
        return number, parts

    def all_keys(self, name: str, key: str, scopes: Scopes) -> str:
        """A function from a record to every key that a look-up inside its (nested) lines asks for. Where a key has no
        value, the record itself says so when it is mapped."""
        lines = [f"def {name}(row, env):", "    keys = []"]
        indent = "    "
        for depth in range(1, len(scopes)):
            scope = scopes[depth]
            source = self.reference(scope.names[0], scopes[:depth]) if scope.names else "None"
            lines.append(f"{indent}for {scope.whole} in elements({source}):")
            indent += "    "
            lines.append(f"{indent}{scope.variable} = {_fields(scope.whole)}")
        lines.append(f"{indent}try: keys.append({key}({_arguments(scopes)}))")
        lines.append(f"{indent}except NO_VALUE: pass")
        lines.append("    return [k for k in keys if k is not None]")
        return "\n".join(lines)

    def sql(self, function: Function, item: Item, scopes: Scopes) -> str:
        """An SQL expression in a function of its own, which says what it was called with where it has no value."""
        operands = [self.expression(one.value, item, scopes) for one in function.operands]
        writer = SqlWriter(
            _SqlHost(self, scopes),
            lambda number: operands[number],
            lambda number: self.spread(function.operands[number].value, item, scopes, summed=True),
            lambda number: function.operands[number].quoted,
        )
        source = writer.expression(function.tree)
        name = self.fresh("sql")
        given = "".join(f"lambda: {operand}, " for operand in operands)
        self.functions.append(
            "\n".join(
                [
                    f"def {name}({_parameters(scopes)}):",
                    *_unpacked(scopes),
                    *(["    sql.begin()"] if any(call.name in GROWING for call in calls(function.tree)) else []),
                    f"    try: return {source}",
                    "    except SQL_ERRORS as error:",
                    f"        return sql_failed(env, error, {self.constant(function)}, ({given}))",
                ]
            )
        )
        return f"{name}({_arguments(scopes)})"

    def spread(self, operand: Reference | Macro | Lookup, item: Item, scopes: Scopes, *, summed: bool = False) -> str:
        """A value that may be many: a list where the path leads through lines. `summed`: a field of the current lines'
        array is that of all its lines."""
        if not isinstance(operand, Reference):
            return self.expression(operand, item, scopes)
        source = f"spread_at(row, {self.constant(operand.path)})"
        for depth in range(len(scopes) - 1, 0, -1):
            scope = scopes[depth]
            name = next((name for name in scope.names if operand.path.startswith(name + ".")), None)
            if name is not None:
                rest = self.constant(operand.path[len(name) + 1 :])
                source = f"spread_at({scope.variable}, {rest})"
                if summed:
                    source = f"of_all_lines({source}, {self.array_of(scope, scopes[:depth])}, {rest})"
                break
        if operand.format is not None:
            fmt, path = self.constant(operand.format), self.constant(operand.path)
            one = self.fresh("o")
            return f"[with_format({one}, {fmt}, env, {path}) for {one} in elements({source})]"
        return source

    def array_of(self, scope: Scope, outer: Scopes) -> str:
        """The array that a line belongs to, by a function of its own: an aggregate's lines can't hold assignments."""
        name = self.fresh("array")
        body = [*_unpacked(outer), f"    return {self.reference(scope.names[0], outer)}"]
        self.functions.append("\n".join([f"def {name}({_parameters(outer)}):", *body]))
        return f"{name}({_arguments(outer)})"


class _SqlHost:
    """The part of the writer that an SQL expression needs, with the scopes that it stands in."""

    def __init__(self, writer: _Writer, scopes: Scopes) -> None:
        self.writer = writer
        self.scopes = scopes
        self.constant = writer.constant
        self.fresh = writer.fresh

    def helper(self, lines: list[str]) -> str:
        name = self.writer.fresh("part")
        body = [f"    {line}" for line in lines]
        self.writer.functions.append(
            "\n".join([f"def {name}({_parameters(self.scopes)}):", *_unpacked(self.scopes), *body])
        )
        return f"{name}({_arguments(self.scopes)})"

    def here(self) -> str:
        return f"({''.join(f'{scope.whole or scope.variable}, ' for scope in self.scopes)})"


def _parameters(scopes: Scopes) -> str:
    return ", ".join([scope.whole or scope.variable for scope in scopes] + ["env"])


def _arguments(scopes: Scopes, *element: str) -> str:
    return ", ".join([scope.whole or scope.variable for scope in scopes] + [*element, "env"])


def _unpacked(scopes: Scopes) -> list[str]:
    """The fields of each element: an element that is no object has none."""
    return [f"    {scope.variable} = {_fields(scope.whole)}" for scope in scopes[1:]]


def _fields(whole: str) -> str:
    return f"{whole} if {whole}.__class__ is dict else EMPTY"
