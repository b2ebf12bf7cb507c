"""The SQL expression of a `_function` value: parsed by sqlglot's MySQL grammar into a small tree.

Only expressions: no statement, query, column or variable is accepted. Fields of the record are bound as values; their
content never becomes SQL text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.functions import AGGREGATES, FUNCTIONS, OTHERS, UNITS
from noria.metadata.validation import nearest, shown

LONGEST = 16_384
DEEPEST = 40


@dataclass(frozen=True)
class Const:
    """A literal: text, int, Decimal or None."""

    value: str | int | Decimal | None


@dataclass(frozen=True)
class Bind:
    """A value of the record, by its number among the expression's binds."""

    number: int


@dataclass(frozen=True)
class Call:
    """An operator or a function and its operands. CASE is `CASE(operand or Const(None), when, then, …, else)` with
    `Call("", ())` for an operand that isn't there."""

    name: str
    args: tuple[Sql, ...]


Sql = Const | Bind | Call
NOTHING = Call("", ())

_BINARY = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "Mod": "%",
    "IntDiv": "DIV",
    "EQ": "=",
    "NEQ": "<>",
    "LT": "<",
    "LTE": "<=",
    "GT": ">",
    "GTE": ">=",
    "NullSafeEQ": "<=>",
    "And": "AND",
    "Or": "OR",
    "Xor": "XOR",
    "Is": "IS",
    "BitwiseAnd": "&",
    "BitwiseOr": "|",
    "BitwiseXor": "^",
    "BitwiseLeftShift": "<<",
    "BitwiseRightShift": ">>",
    "RegexpLike": "REGEXP",
}
_CHAINS = ("+", "AND", "OR", "*")
_CASTS = {
    "CHAR": "CHAR", "NCHAR": "CHAR", "VARCHAR": "CHAR", "NVARCHAR": "CHAR", "TEXT": "CHAR",
    "BIGINT": "SIGNED", "INT": "SIGNED", "UBIGINT": "UNSIGNED", "UINT": "UNSIGNED",
    "DECIMAL": "DECIMAL", "DOUBLE": "DOUBLE", "FLOAT": "DOUBLE",
    "DATE": "DATE", "DATETIME": "DATETIME", "TIMESTAMP": "DATETIME", "TIME": "TIME", "JSON": "JSON",
    "BINARY": "BINARY", "VARBINARY": "BINARY",
}  # fmt: skip


def parse_sql(text: str, whole: str, names: Sequence[str] = ()) -> Sql:
    """The tree of an expression in which binds stand as `:b0`, `:b1`, …; `whole` is the metadata's value and `names`
    what each bind is called, for messages. Raises `NoriaError` (`bad_expression`)."""
    # Imported here: plans without a `_function` start faster.
    from sqlglot.errors import SqlglotError

    text = _SIGNED_INT.sub(lambda m: m[1] or m[2], text)
    try:
        statements = _dialect().parse("SELECT " + text)
        if len(statements) != 1 or statements[0] is None or type(statements[0]).__name__ != "Select":
            raise _bad("function.not_an_expression", whole)
        select = statements[0]
        given = [name for name, value in select.args.items() if value and name != "expressions"]
        if given or len(select.expressions) != 1:
            raise _bad("function.not_an_expression", whole)
        _refuse_unknown(select, whole)
        tree = _tree(select.expressions[0], whole, 0)
    except SqlglotError as error:
        raise _syntax(error, whole, names) from None
    except RecursionError:
        raise _bad("function.too_deep", whole, deepest=DEEPEST) from None
    for call in calls(tree):
        if call.name in AGGREGATES and any(one.name in AGGREGATES for arg in call.args for one in calls(arg)):
            raise _bad("function.nested_aggregate", whole, name=call.name)
        if call.name == "COUNT" and not any(isinstance(one, Bind) for one in nodes(call)):
            raise _bad("function.count_lines", whole)
    return tree


# MySQL's SIGNED INT, which the grammar has as SIGNED INTEGER and SIGNED alone; quoted texts are left alone.
_SIGNED_INT = re.compile(
    r"""('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")|\b((?:UN)?SIGNED)\s+INT(?:EGER)?\b""", re.IGNORECASE
)
_BIND = re.compile(r":b([0-9]+)")
_EXPECTING = re.compile(r"Expect(?:ing|ed) (\S+)")


def _syntax(error: Exception, whole: str, names: Sequence[str]) -> NoriaError:
    """Where an expression can't be read, in the author's own words."""
    found = (getattr(error, "errors", None) or [{}])[0]
    where = "".join(str(found.get(k) or "") for k in ("start_context", "highlight", "end_context"))
    near = _BIND.sub(lambda m: names[int(m[1])] if int(m[1]) < len(names) else m[0], where.removeprefix("SELECT "))
    expected = _EXPECTING.match(str(found.get("description") or ""))
    if expected:
        return _bad("function.syntax_expected", whole, near=shown(near.strip()[:60]), expected=expected[1].rstrip("."))
    return _bad("function.syntax", whole, near=shown(near.strip()[:60]))


def _refuse_unknown(select: Any, whole: str) -> None:
    """Functions that there aren't: all of them at once."""
    from sqlglot.expressions import Anonymous

    unknown = [str(one.this).upper() for one in select.find_all(Anonymous)]
    unknown = list(dict.fromkeys(name for name in unknown if name == "VALUES" or name not in FUNCTIONS))
    if not unknown:
        return
    meant = [OTHERS.get(name) or nearest(name, list(FUNCTIONS)) for name in unknown]
    known = ", ".join(dict.fromkeys(name for name in meant if name))
    hint = Message("valid.did_you_mean", {"name": known}) if known else Message("function.known_hint")
    values = {"name": ", ".join(unknown[:10]), "value": shown(whole)}
    raise NoriaError("bad_expression", Message("function.unknown", values), hint=hint)


def nodes(tree: Sql) -> Iterator[Sql]:
    """Every node of a tree."""
    waiting: list[Sql] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Call):
            waiting += node.args


def calls(tree: Sql) -> Iterator[Call]:
    """Every call in a tree."""
    return (node for node in nodes(tree) if isinstance(node, Call))


_made: list[Any] = []


def _dialect() -> Any:
    """sqlglot's MySQL, in which every function keeps the name and arguments that it was written with."""
    if not _made:
        import logging

        from sqlglot.dialects.mysql import MySQL

        own = {name: how for name, how in MySQL.Parser.FUNCTION_PARSERS.items() if not name.startswith("JSON_")}
        parser: Any = type("Parser", (MySQL.Parser,), {"FUNCTIONS": {}, "FUNCTION_PARSERS": own})
        grammar: Any = type("Grammar", (MySQL,), {"Parser": parser})
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        _made.append(grammar())
    return _made[0]


def _tree(node: Any, whole: str, depth: int) -> Sql:
    if depth > DEEPEST:
        raise _bad("function.too_deep", whole, deepest=DEEPEST)
    kind = type(node).__name__
    handler = _HANDLERS.get(kind)
    if handler is not None:
        made: Sql = handler(node, whole, depth + 1)
        return made
    if kind in _BINARY:
        return _binary(node, whole, depth + 1)
    raise _bad("function.unsupported", whole, what=shown(_words(node)))


def _words(node: Any) -> str:
    try:
        return str(node.sql(dialect="mysql"))
    except Exception:  # noqa: BLE001 - only for a message, and sqlglot's generator raises what it likes
        return type(node).__name__


def _binary(node: Any, whole: str, depth: int) -> Sql:
    name = _BINARY[type(node).__name__]
    if name in _CHAINS:
        # a + b + c is left-deep however long it is: taken apart without recursion.
        operands: list[Any] = []
        kind = type(node)
        while type(node) is kind:
            operands.append(node.expression)
            node = node.this
        operands.append(node)
        operands.reverse()
        if name == "+" and any(type(one).__name__ == "Interval" for one in operands):
            return _date_sum(operands, whole, depth)
        return Call(name, tuple(_tree(one, whole, depth) for one in operands))
    if name == "-" and type(node.expression).__name__ == "Interval":
        return Call("DATE_SUB", (_tree(node.this, whole, depth), *_interval(node.expression, whole, depth)))
    return Call(name, (_tree(node.this, whole, depth), _tree(node.expression, whole, depth)))


def _date_sum(operands: list[Any], whole: str, depth: int) -> Sql:
    """`date + INTERVAL 1 DAY`, also with the interval first."""
    operands.sort(key=lambda one: type(one).__name__ == "Interval")
    if type(operands[0]).__name__ == "Interval":
        raise _bad("function.unsupported", whole, what="INTERVAL")
    dates = [one for one in operands if type(one).__name__ != "Interval"]
    tree = _tree(dates[0], whole, depth)
    if len(dates) > 1:
        tree = Call("+", (tree, *(_tree(one, whole, depth) for one in dates[1:])))
    if depth + len(operands) - len(dates) > DEEPEST:
        raise _bad("function.too_deep", whole, deepest=DEEPEST)
    for one in operands[len(dates) :]:
        tree = Call("DATE_ADD", (tree, *_interval(one, whole, depth)))
    return tree


def _literal(node: Any, whole: str, depth: int) -> Sql:
    if node.is_string:
        return Const(str(node.this))
    text = str(node.this)
    if "e" in text.lower():
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise _bad("function.number", whole, number=shown(text)) from None
        if abs(number.adjusted()) > 80:
            raise _bad("function.number", whole, number=shown(text))
        return Call("REAL", (Const(number),))
    if len(text) > 100:
        raise _bad("function.number", whole, number=shown(text))
    try:
        return Const(Decimal(text) if "." in text else int(text))
    except (InvalidOperation, ValueError):
        raise _bad("function.number", whole, number=shown(text)) from None


def _name(node: Any, whole: str, depth: int) -> Sql:
    """A bare word: no function and no field; most likely a field without braces or text without quotes."""
    if str(node.name).upper() == "UTC_TIMESTAMP":
        return Call("UTC_TIMESTAMP", ())
    raise _bad("function.bare_word", whole, word=shown(str(node.name)))


def _function(node: Any, whole: str, depth: int) -> Sql:
    name = str(node.this).upper()
    operands = list(node.expressions)
    args: list[Sql] = []
    for position, one in enumerate(operands):
        kind = type(one).__name__
        if kind == "Interval":
            args += _interval(one, whole, depth)
        elif position == 0 and name in ("TIMESTAMPDIFF", "TIMESTAMPADD") and kind in ("Column", "Var", "Identifier"):
            args.append(_unit(one.name, whole))
        elif kind == "Star" and name == "COUNT":
            raise _bad("function.count_lines", whole)
        elif kind == "Distinct" and name in AGGREGATES and len(one.expressions) == 1:
            args.append(Call("DISTINCT", tuple(_tree(x, whole, depth) for x in one.expressions)))
        else:
            args.append(_tree(one, whole, depth))
    if name in ("ADDDATE", "SUBDATE") and len(args) == 2:
        args.append(Const("DAY"))
    return called(name, tuple(args), whole)


def called(name: str, args: tuple[Sql, ...], whole: str) -> Call:
    """A call with as many arguments as the function takes."""
    spec = FUNCTIONS[name]
    if len(args) < spec.least or (spec.most is not None and len(args) > spec.most):
        raise _bad("function.arguments", whole, name=name, usage=spec.usage, given=len(args))
    return Call(spec.alias or name, args)


def _interval(node: Any, whole: str, depth: int) -> list[Sql]:
    amount = node.this
    unit = node.args.get("unit")
    if amount is None or unit is None:
        raise _bad("function.unsupported", whole, what=shown(_words(node)))
    return [_tree(amount, whole, depth), _unit(str(unit), whole)]


def _unit(name: str, whole: str) -> Const:
    unit = str(name).upper().removeprefix("SQL_TSI_")
    if unit not in UNITS:
        raise _bad("function.unit", whole, unit=shown(unit), units=", ".join(UNITS))
    return Const(unit)


def _case(node: Any, whole: str, depth: int) -> Sql:
    operand = node.args.get("this")
    args: list[Sql] = [NOTHING if operand is None else _tree(operand, whole, depth)]
    for branch in node.args["ifs"]:
        args.append(_tree(branch.this, whole, depth))
        args.append(_tree(branch.args["true"], whole, depth))
    default = node.args.get("default")
    args.append(Const(None) if default is None else _tree(default, whole, depth))
    return Call("CASE", tuple(args))


def _cast(node: Any, whole: str, depth: int) -> Sql:
    to = node.args["to"]
    kind = str(getattr(to.this, "name", to.this)).upper()
    if kind == "CHARACTER_SET":
        return Call("CAST", (_tree(node.this, whole, depth), Const("CHAR")))
    if kind not in _CASTS:
        raise _bad(
            "function.cast",
            whole,
            type=shown(_words(to)),
            types="CHAR, SIGNED, UNSIGNED, DECIMAL(m,d), DOUBLE, DATE, DATETIME, TIME, JSON",
        )
    sizes = [int(str(one.name)) for one in to.expressions if str(one.name).isdigit() and len(str(one.name)) < 6]
    return Call("CAST", (_tree(node.this, whole, depth), Const(_CASTS[kind]), *(Const(size) for size in sizes)))


def _if(node: Any, whole: str, depth: int) -> Sql:
    if node.args.get("false") is None:
        raise _bad("function.arguments", whole, name="IF", usage=FUNCTIONS["IF"].usage, given=2)
    parts = (node.this, node.args["true"], node.args["false"])
    return Call("CASE", (NOTHING, *(_tree(one, whole, depth) for one in parts)))


def _in(node: Any, whole: str, depth: int) -> Sql:
    if not node.expressions:
        raise _bad("function.unsupported", whole, what=shown(_words(node)))
    return Call("IN", tuple(_tree(one, whole, depth) for one in (node.this, *node.expressions)))


def _like(node: Any, whole: str, depth: int) -> Sql:
    tree = Call("LIKE", (_tree(node.this, whole, depth), _tree(node.expression, whole, depth)))
    return Call("NOT", (tree,)) if node.args.get("negate") else tree


def _escape(node: Any, whole: str, depth: int) -> Sql:
    like = _tree(node.this, whole, depth)
    escape = _tree(node.expression, whole, depth)
    if isinstance(like, Call) and like.name == "NOT" and isinstance(like.args[0], Call):
        return Call("NOT", (Call("LIKE", (*like.args[0].args, escape)),))
    if isinstance(like, Call) and like.name == "LIKE":
        return Call("LIKE", (*like.args, escape))
    raise _bad("function.unsupported", whole, what=shown(_words(node)))


def _trim(node: Any, whole: str, depth: int) -> Sql:
    where = str(node.args.get("position") or "BOTH").upper()
    what = node.args.get("expression")
    return Call(
        "TRIM",
        (_tree(node.this, whole, depth), Const(" ") if what is None else _tree(what, whole, depth), Const(where)),
    )


def _substring(node: Any, whole: str, depth: int) -> Sql:
    parts = [node.this, node.args.get("start"), node.args.get("length")]
    return called("SUBSTRING", tuple(_tree(one, whole, depth) for one in parts if one is not None), whole)


def _position(node: Any, whole: str, depth: int) -> Sql:
    return Call("LOCATE", (_tree(node.args["substr"], whole, depth), _tree(node.this, whole, depth)))


def _json(node: Any, whole: str, depth: int) -> Sql:
    """`x->'$.path'` and `x->>'$.path'`."""
    path = node.expression
    text = path.sql(dialect="mysql") if type(path).__name__ == "JSONPath" else str(path.name)
    got = Call("JSON_EXTRACT", (_tree(node.this, whole, depth), Const(text.strip("'"))))
    return Call("JSON_UNQUOTE", (got,)) if type(node).__name__ == "JSONExtractScalar" else got


def _group_concat(node: Any, whole: str, depth: int) -> Sql:
    separator = node.args.get("separator")
    inner = node.this
    distinct = type(inner).__name__ == "Distinct"
    what = inner.expressions[0] if distinct else inner
    if type(what).__name__ == "Order":
        raise _bad("function.unsupported", whole, what="ORDER BY")
    tree = _tree(what, whole, depth)
    return Call(
        "GROUP_CONCAT",
        (
            Call("DISTINCT", (tree,)) if distinct else tree,
            Const(",") if separator is None else _tree(separator, whole, depth),
        ),
    )


def _placeholder(node: Any, whole: str, depth: int) -> Sql:
    name = str(node.name)
    if name[:1] == "b" and name[1:].isdecimal() and name.isascii():
        return Bind(int(name[1:]))
    raise _bad("function.unsupported", whole, what=shown(":" + name))


def _inside(node: Any, whole: str, depth: int) -> Sql:
    return _tree(node.this, whole, depth)


def _collate(node: Any, whole: str, depth: int) -> Sql:
    """A collation is accepted where it means what noria does or compares bytes."""
    name = str(node.expression.name).lower()
    inner = _tree(node.this, whole, depth)
    return Call("CAST", (inner, Const("BINARY"))) if name.endswith("_bin") or name == "binary" else inner


def _ceil_floor(node: Any, whole: str, depth: int) -> Sql:
    if node.args.get("decimals") is not None or node.args.get("to") is not None:
        raise _bad("function.arguments", whole, name=type(node).__name__.upper(), usage="CEIL(x)", given=2)
    return Call("CEIL" if type(node).__name__ == "Ceil" else "FLOOR", (_tree(node.this, whole, depth),))


def _bare_call(name: str) -> Any:
    return lambda node, whole, depth: Call(name, ())


_HANDLERS: dict[str, Any] = {
    "Literal": _literal,
    "Boolean": lambda node, whole, depth: Const(int(bool(node.this))),
    "Null": lambda node, whole, depth: Const(None),
    "Placeholder": _placeholder,
    "Column": _name,
    "Identifier": _name,
    "Var": _name,
    "Anonymous": _function,
    "Case": _case,
    "If": _if,
    "Paren": _inside,
    "Neg": lambda node, whole, depth: Call("NEG", (_tree(node.this, whole, depth),)),
    "Not": lambda node, whole, depth: Call("NOT", (_tree(node.this, whole, depth),)),
    "BitwiseNot": lambda node, whole, depth: Call("~", (_tree(node.this, whole, depth),)),
    "Cast": _cast,
    "TryCast": _cast,
    "In": _in,
    "Between": lambda node, whole, depth: Call(
        "BETWEEN", tuple(_tree(one, whole, depth) for one in (node.this, node.args["low"], node.args["high"]))
    ),
    "Like": _like,
    "Escape": _escape,
    "Trim": _trim,
    "Substring": _substring,
    "StrPosition": _position,
    "JSONExtract": _json,
    "JSONExtractScalar": _json,
    "GroupConcat": _group_concat,
    "Extract": lambda node, whole, depth: Call(
        "EXTRACT", (_unit(str(node.this.name), whole), _tree(node.expression, whole, depth))
    ),
    "Concat": lambda node, whole, depth: Call("CONCAT", tuple(_tree(one, whole, depth) for one in node.expressions)),
    "CurrentTimestamp": _bare_call("NOW"),
    "Localtimestamp": _bare_call("NOW"),
    "Localtime": _bare_call("NOW"),
    "CurrentDate": _bare_call("CURDATE"),
    "CurrentTime": _bare_call("CURTIME"),
    "Chr": lambda node, whole, depth: called(
        "CHAR", tuple(_tree(one, whole, depth) for one in node.expressions), whole
    ),
    "Collate": _collate,
    "Ceil": _ceil_floor,
    "Floor": _ceil_floor,
}


def _bad(key: str, value: str, **values: Any) -> NoriaError:
    hint = {
        "function.bare_word": "function.bare_word_hint",
        "function.count_lines": "function.count_lines_hint",
        "function.full_width": "function.full_width_hint",
    }.get(key, "function.hint")
    return NoriaError("bad_expression", Message(key, {"value": shown(value), **values}), hint=Message(hint))
