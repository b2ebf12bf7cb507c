"""Compiles a target's items into one Python function.

The generated text holds only names made here (`k3`, `v`, `line_1`); every name, path and literal of the metadata is
passed as data in the function's namespace, so hostile metadata can't become code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from noria.mapping import values
from noria.mapping.values import Environment, Key
from noria.metadata.documents import Item
from noria.metadata.expressions import (
    Expression,
    Literal,
    Lookup,
    Macro,
    Reference,
    Template,
    parse,
)
from noria.metadata.macros import macro_value

Payload = Callable[[dict[str, Any], Environment], dict[str, Any]]

_COERCE = {"int": "to_int", "float": "to_float", "bool": "to_bool", "boolean": "to_bool"}


@dataclass(frozen=True)
class PlannedLookup:
    """A look-up of a mapping: what to find, and the keys that a record will ask for."""

    lookup: Lookup
    keys: Callable[[dict[str, Any], Environment], list[Key]]


@dataclass(frozen=True)
class Mapping:
    """A compiled mapping. `payload(row, environment)` gives the payload or raises `MappingError` or `Waiting`.

    `whole`: the target declares no request, so the record goes through as it came.
    """

    payload: Payload
    lookups: tuple[PlannedLookup, ...]
    whole: bool = False


def compile_mapping(items: list[Item]) -> Mapping:
    """The mapping of a target's `request` and `otherRequest`; no items: the record itself."""
    if not items:
        return Mapping(payload=lambda row, env: row, lookups=(), whole=True)
    writer = _Writer()
    writer.function("payload", items, [("", "row")])
    namespace = writer.run()
    lookups = tuple(PlannedLookup(lookup, namespace[f"keys_{number}"]) for number, lookup in enumerate(writer.lookups))
    return Mapping(payload=namespace["payload"], lookups=lookups)


Scopes = list[tuple[str, str]]  # (path of the array, variable of its current line); first the head with ""


class _Writer:
    """Collects the generated functions and the data they refer to."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.data: dict[str, Any] = {
            name: getattr(values, name)
            for name in (
                "field_at",
                "as_text",
                "with_format",
                "to_int",
                "to_float",
                "to_bool",
                "looked_up",
                "key_part",
            )
        }
        self.data["macro_value"] = macro_value
        self.lookups: list[Lookup] = []
        self.counter = 0

    def constant(self, value: Any) -> str:
        """The name under which the generated code sees a value."""
        name = f"k{len(self.data)}"
        self.data[name] = value
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
        lines = [f"def {name}({', '.join(variable for _, variable in scopes)}, env):", "    out = {}"]
        for item in items:
            lines += self.item(item, scopes)
        lines.append("    return out")
        self.functions.append("\n".join(lines))

    def item(self, item: Item, scopes: Scopes) -> list[str]:
        if item.type == "array" and item.children:
            return self.lines(item, scopes)
        arguments = ", ".join(variable for _, variable in scopes)
        if item.children:
            inner = self.fresh("object")
            self.function(inner, item.children, scopes)
            return [f"    v = {inner}({arguments}, env) or None", *self.store(item)]
        expression = parse(item.value)
        if item.type == "array" and isinstance(expression, Literal) and isinstance(expression.value, str):
            # On an array the value is the source array's path, without braces (section 2).
            expression = Reference(expression.value) if expression.value else Literal(None)
        text = self.expression(expression, item, scopes)
        coerce = _COERCE.get(item.type or "")
        if coerce:
            text = f"{coerce}({text}, {self.constant(item.field)})"
        return [f"    v = {text}", *self.store(item)]

    def store(self, item: Item) -> list[str]:
        """Nothing is left out, except that a required item is sent as null."""
        guard = "    " if item.is_required else "    if v is not None: "
        *outer, last = item.field.split(".")
        target = "out"
        for step in outer:
            target += f".setdefault({self.constant(step)}, {{}})"
        return [f"{guard}{target}[{self.constant(last)}] = v"]

    def lines(self, item: Item, scopes: Scopes) -> list[str]:
        """An array of lines: one object from `children` per element, or one from the head (section 8.3)."""
        path = item.value if isinstance(item.value, str) else ""
        path = path.strip().removeprefix("{{").removesuffix("}}").strip()
        function, variable = self.fresh("line"), self.fresh("element")
        self.function(function, item.children or [], [*scopes, (path, variable)])
        arguments = ", ".join(name for _, name in scopes)
        source = self.reference(path, scopes) if path else "None"
        return [
            f"    a = {source}",
            "    if isinstance(a, list) and a:",
            f"        v = [{function}({arguments}, x, env) for x in a]",
            "    else:",
            f"        v = {function}({arguments}, {{}}, env)",
            "        v = [v] if v and not isinstance(a, list) else None",
            *self.store(item),
        ]

    def expression(self, expression: Expression, item: Item, scopes: Scopes) -> str:
        match expression:
            case Literal(value):
                return "None" if value is None else self.constant(value)
            case Reference() | Macro():
                return self.atom(expression, scopes)
            case Template(parts):
                return self.template(parts, scopes)
            case Lookup():
                return self.lookup(expression, item, scopes)

    def atom(self, atom: Reference | Macro, scopes: Scopes) -> str:
        if isinstance(atom, Macro):
            return f"macro_value({self.constant(atom)}, env.moment)"
        text = self.reference(atom.path, scopes)
        if atom.format is not None:
            text = f"with_format({text}, {self.constant(atom.format)}, env, {self.constant(atom.path)})"
        return text

    def template(self, parts: tuple[str | Reference | Macro, ...], scopes: Scopes) -> str:
        texts = [
            self.constant(part) if isinstance(part, str) else f"as_text({self.atom(part, scopes)})" for part in parts
        ]
        return f"''.join(({', '.join(texts)},))"

    def reference(self, path: str, scopes: Scopes) -> str:
        """`items.x` is the current line of `items`; a bare name is the head's, else the current line's."""
        for array, variable in reversed(scopes[1:]):
            if array and path.startswith(array + "."):
                return self.get(variable, path[len(array) + 1 :])
        head = self.get("row", path)
        if len(scopes) == 1:
            return head
        inner = self.get(scopes[-1][1], path)
        found = self.fresh("f")
        return f"({found} if ({found} := {head}) is not None else {inner})"

    def get(self, variable: str, path: str) -> str:
        """Code for the value at a path. The head is known to be an object: its fields, and fields one or two objects
        deep, are read without a call; whatever is not where it should be is left to `field_at`."""
        *outer, last = path.split(".")
        slow = f"field_at({variable}, {self.constant(path)})"
        if variable != "row" or len(outer) > 2:
            return slow
        inner = "row"
        guards = []
        for step in outer:
            held = self.fresh("d")
            guards.append(f"({held} := {inner}.get({self.constant(step)})).__class__ is dict")
            inner = held
        value = f"{inner}.get({self.constant(last)})"
        return f"({value} if {' and '.join(guards)} else {slow})" if guards else value

    def lookup(self, lookup: Lookup, item: Item, scopes: Scopes) -> str:
        """A look-up's value, and beside it a function with the keys that a record will ask for."""
        number = len(self.lookups)
        self.lookups.append(lookup)
        parts = []
        for _, right in lookup.conditions:
            parts.append(f"key_part({self.expression(right, item, scopes)})")
        key = self.fresh("key")
        variables = [variable for _, variable in scopes]
        self.functions.append(
            f"def {key}({', '.join(variables)}, env):\n"
            f"    parts = ({', '.join(parts)},)\n"
            f"    return None if None in parts else parts"
        )
        self.functions.append(self.all_keys(f"keys_{number}", key, scopes))
        arguments = ", ".join([*variables, "env"])
        return f"looked_up(env, {number}, {key}({arguments}), {self.constant(item.field)})"

    def all_keys(self, name: str, key: str, scopes: Scopes) -> str:
        """A function from a record to every key that a look-up inside its (nested) lines asks for."""
        lines = [f"def {name}(row, env):", "    keys = []"]
        indent = "    "
        for depth in range(1, len(scopes)):
            path, variable = scopes[depth]
            source = self.reference(path, scopes[:depth]) if path else "None"
            lines.append(f"{indent}for {variable} in ({source} or [{{}}]):")
            indent += "    "
        lines.append(f"{indent}keys.append({key}({', '.join(variable for _, variable in scopes)}, env))")
        lines.append("    return [k for k in keys if k is not None]")
        return "\n".join(lines)
