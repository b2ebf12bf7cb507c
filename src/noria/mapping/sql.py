"""Writes an SQL expression's tree as Python source over `mysql`'s functions.

Types are inferred as MySQL does: where text takes part in a calculation, it is done with the digits of a double and
printed without trailing zeros; otherwise decimals keep their scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from noria.mapping import mysql
from noria.metadata.functions import FUNCTIONS
from noria.metadata.sql import NOTHING, Bind, Call, Const, Sql

# RAW is text that compares in its own way: bytes and JSON.
TEXT, RAW, EXACT, REAL, TRUTH = "text", "raw", "exact", "real", "truth"


class Code(NamedTuple):
    """Python source of a value, its static type, and how deep its parentheses are nested."""

    source: str
    type: str
    depth: int = 0


class Host(Protocol):
    """The function writer that the expression becomes a part of."""

    def constant(self, value: object) -> str:
        """The name of a value in the generated module."""
        ...

    def fresh(self, prefix: str) -> str:
        """A new variable's name."""
        ...

    def helper(self, lines: list[str]) -> str:
        """The call of a new function with this body, over the same variables."""
        ...

    def here(self) -> str:
        """Source of a tuple of the record and the lines that the expression stands in."""
        ...


# Each function's Python function and the type of what it gives. `env` first where it needs the run's times.
_TEXTS = {
    "CONCAT": "concat", "CONCAT_WS": "concat_ws", "SUBSTRING": "substring", "LEFT": "left", "RIGHT": "right",
    "SUBSTRING_INDEX": "substring_index", "REPLACE": "replace", "TRIM": "trim", "LTRIM": "ltrim", "RTRIM": "rtrim",
    "UPPER": "upper", "LOWER": "lower", "LPAD": "lpad", "RPAD": "rpad", "REPEAT": "repeat", "REVERSE": "reverse",
    "SPACE": "space", "ELT": "elt", "CHAR": "char",
    "FORMAT": "format_", "HEX": "hexadecimal", "MD5": "md5", "SHA1": "sha1",
    "SHA2": "sha2", "INSERT": "insert", "CONV": "conv", "UNHEX": "unhex", "TO_BASE64": "to_base64",
    "FROM_BASE64": "from_base64", "DAYNAME": "day_name", "MONTHNAME": "month_name", "TIME_FORMAT": "time_format",
    "SEC_TO_TIME": "sec_to_time", "TIMEDIFF": "time_diff",
    "DATE_FORMAT": "date_format", "JSON_UNQUOTE": "unquote", "JSON_VALUE": "json_value",
    "REGEXP_REPLACE": "regexp_replace", "REGEXP_SUBSTR": "regexp_substr", "TIME": "time_part",
}  # fmt: skip
_RAWS = {
    "JSON_EXTRACT": "json_extract", "JSON_OBJECT": "json_object", "JSON_ARRAY": "json_array", "JSON_KEYS": "json_keys",
}  # fmt: skip
_CASTS = {"CHAR": TEXT, "TIME": TEXT, "BINARY": RAW, "JSON": RAW, "DOUBLE": REAL}
_NUMBERS = {
    "SIGN": "sign", "LENGTH": "length", "CHAR_LENGTH": "char_length", "LOCATE": "locate", "INSTR": "instr",
    "STRCMP": "strcmp", "FIND_IN_SET": "find_in_set", "FIELD": "field", "ASCII": "ascii_", "DIV": "int_divide",
    "TIMESTAMPDIFF": "timestamp_diff", "DATEDIFF": "date_diff", "JSON_LENGTH": "json_length",
    "REGEXP_INSTR": "regexp_instr", "EXTRACT": "part", "CRC32": "crc32", "WEEK": "week", "WEEKOFYEAR": "week_of_year",
    "YEARWEEK": "year_week", "TIME_TO_SEC": "time_to_sec", "TO_DAYS": "to_days",
}  # fmt: skip
_TRUTHS = {
    "=": "eq", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "<=>": "same", "IS": "is_", "IN": "within",
    "BETWEEN": "between", "LIKE": "like", "REGEXP": "matches", "AND": "both", "OR": "either", "XOR": "xor",
    "NOT": "not_",
    "JSON_VALID": "json_valid",
}  # fmt: skip
_TIMES = {
    "DATE": "date_part", "TIMESTAMP": "timestamp", "LAST_DAY": "last_day", "STR_TO_DATE": "str_to_date",
    "DATE_ADD": "date_add", "DATE_SUB": "date_sub", "TIMESTAMPADD": "timestamp_add", "MAKEDATE": "make_date",
    "FROM_DAYS": "from_days", "ADDTIME": "add_time", "SUBTIME": "sub_time",
}  # fmt: skip
# What is exact or real as its first operand is.
_AS_OPERAND = {
    "+": "add", "-": "subtract", "*": "multiply", "%": "modulo", "MOD": "modulo", "NEG": "negative", "ABS": "absolute",
    "ROUND": "round_", "TRUNCATE": "truncate", "CEIL": "ceiling", "FLOOR": "floor",
}  # fmt: skip
_REALS = {
    "POW": "power", "SQRT": "square_root", "EXP": "exponential", "LN": "logarithm", "LOG10": "logarithm_10",
}  # fmt: skip
_WITH_ENV = {
    "NOW": ("now", EXACT), "CURDATE": ("today", EXACT), "CURTIME": ("clock", TEXT), "UTC_TIMESTAMP": ("utc", EXACT),
    "UNIX_TIMESTAMP": ("unix_timestamp", EXACT), "FROM_UNIXTIME": ("from_unixtime", EXACT),
}  # fmt: skip
_PARTS = ("YEAR", "QUARTER", "MONTH", "DAY", "DAYOFWEEK", "WEEKDAY", "DAYOFYEAR", "HOUR", "MINUTE", "SECOND")
_AGGREGATES = {
    "SUM": "total", "AVG": "average", "MAX": "maximum", "MIN": "minimum", "COUNT": "count",
    "GROUP_CONCAT": "group_concat",
}  # fmt: skip
_EXTREMES = {"GREATEST": "greatest", "LEAST": "least"}
_BITS = ("&", "|", "^", "<<", ">>", "~")
_SPECIAL = ("CASE", "COALESCE", "IFNULL", "IF", "NULLIF", "ISNULL", "CAST", "/", "REAL", "DISTINCT", "UUID", "RAND")
# What calculates: a bare value of the record that is no number has no place there.
_CALCULATES = {*_AS_OPERAND, *_REALS, "/", "DIV", "SIGN", "SUM", "AVG"}
_COMPARES = ("=", "<>", "<", "<=", ">", ">=", "<=>", "IN", "BETWEEN")
# What can make texts that are longer than those it is given.
GROWING = {
    "CONCAT", "CONCAT_WS", "REPLACE", "REGEXP_REPLACE", "REPEAT", "SPACE", "LPAD", "RPAD", "GROUP_CONCAT", "HEX",
    "INSERT", "TO_BASE64", "DATE_FORMAT", "JSON_EXTRACT", "JSON_OBJECT", "JSON_ARRAY", "CAST",
}  # fmt: skip
_GROUPS = ((_TRUTHS, TRUTH), (_TEXTS, TEXT), (_RAWS, RAW), (_NUMBERS, EXACT), (_TIMES, EXACT), (_REALS, REAL))

# Deeper than this a sub-expression becomes a function of its own: Python's parser has a limit.
_DEEPEST = 40
_MANY_BRANCHES = 8


def carried_out() -> set[str]:
    """Every operator and function that has an implementation; a test compares it with the declared ones."""
    groups = (
        _TEXTS,
        _RAWS,
        _NUMBERS,
        _TRUTHS,
        _TIMES,
        _AS_OPERAND,
        _REALS,
        _WITH_ENV,
        _PARTS,
        _AGGREGATES,
        _EXTREMES,
        _SPECIAL,
    )
    return {name for group in groups for name in group} | {n for n, f in FUNCTIONS.items() if f.alias}


class SqlWriter:
    """Writes one expression. `operand(i)` gives the source of bind i; `lines(i)` of the list of its values for an
    aggregate."""

    def __init__(
        self,
        host: Host,
        operand: Callable[[int], str],
        lines: Callable[[int], str],
        is_text: Callable[[int], bool],
    ) -> None:
        self.host = host
        self.operand = operand
        self.lines = lines
        self.is_text = is_text
        self.in_line: dict[int, str] = {}

    def expression(self, tree: Sql) -> str:
        """Source of the whole expression's value as a payload holds it."""
        code = self._value(tree)
        return code.source if code.type == TRUTH else f"sql_result({self._shown(code)})"

    def _shown(self, code: Code) -> str:
        return f"sql.trimmed({code.source})" if code.type == REAL else code.source

    def _value(self, tree: Sql) -> Code:
        code = self._written(tree)
        if code.depth > _DEEPEST and not self.in_line:
            return Code(self.host.helper([f"return {code.source}"]), code.type, 1)
        return code

    def _written(self, tree: Sql) -> Code:
        if isinstance(tree, Const):
            kind = TEXT if isinstance(tree.value, str) else EXACT
            return Code("None" if tree.value is None else self.host.constant(tree.value), kind)
        if isinstance(tree, Bind):
            mode = "sql_quoted" if self.is_text(tree.number) else "sql_bare"
            inner = self.in_line.get(tree.number) or self.operand(tree.number)
            return Code(f"{mode}({inner})", TEXT if self.is_text(tree.number) else EXACT, 2)
        name = tree.name
        if name in _AGGREGATES:
            return self._aggregate(tree)
        special = getattr(self, "_" + name.lower(), None) if name in _SPECIAL else None
        if special is not None:
            return special(tree)  # type: ignore[no-any-return]
        args = [self._value(one) for one in tree.args]
        if name in _CALCULATES or (name in _COMPARES and self._has_number(tree.args, args)):
            args = [self._numeric(one, code) for one, code in zip(tree.args, args, strict=True)]
        if name == "/":
            return self._division(args)
        depth = 1 + max((one.depth for one in args), default=0)
        if name in _AS_OPERAND:
            real = any(
                one.type in (TEXT, RAW, REAL) for one in (args if name in ("+", "-", "*", "%", "MOD") else args[:1])
            )
            return Code(self._call(_AS_OPERAND[name], [one.source for one in args]), REAL if real else EXACT, depth)
        shown = [self._shown(one) for one in args]
        if name in _WITH_ENV:
            function, kind = _WITH_ENV[name]
            # NOW(3) asks for fractions that a run's time does not have.
            given = shown if name in ("UNIX_TIMESTAMP", "FROM_UNIXTIME") else []
            return Code(self._call(function, ["env", *given]), TEXT if len(given) > 1 else kind, depth)
        if name in _PARTS:
            return Code(self._call("part", [self.host.constant(name), *shown]), EXACT, depth)
        if name in _BITS:
            return Code(self._call("bits", [self.host.constant(name), *shown]), EXACT, depth)
        if name in _EXTREMES:
            kind = _merged(args)
            if kind in (TEXT, RAW) and any(one.type in (EXACT, REAL, TRUTH) for one in args):
                # A text among numbers is compared as a number, and is one.
                return Code(self._call(_EXTREMES[name], [f"sql.number({one})" for one in shown]), REAL, depth + 1)
            return Code(self._call(_EXTREMES[name], shown), kind, depth)
        for table, kind in (
            (_TRUTHS, TRUTH),
            (_TEXTS, TEXT),
            (_RAWS, RAW),
            (_NUMBERS, EXACT),
            (_TIMES, EXACT),
            (_REALS, REAL),
        ):
            if name in table:
                return Code(self._call(table[name], shown), kind, depth)
        raise AssertionError(name)

    def _has_number(self, trees: tuple[Sql, ...], codes: list[Code]) -> bool:
        """Whether one of the operands is a number by what is written, not by what the record holds."""
        return any(
            code.type in (EXACT, REAL, TRUTH) and not isinstance(tree, Bind) and code.source != "None"
            for tree, code in zip(trees, codes, strict=True)
        )

    def _numeric(self, tree: Sql, code: Code) -> Code:
        """A bare value of the record that is calculated with: it must be a number."""
        if not isinstance(tree, Bind) or self.is_text(tree.number):
            return code
        return Code(f"sql.numeric({code.source})", EXACT, code.depth + 1)

    def _uuid(self, tree: Call) -> Code:
        return Code(f"sql.uuid({self.host.constant(self.host.fresh('uuid'))}, {self.host.here()})", TEXT, 2)

    def _rand(self, tree: Call) -> Code:
        return Code(f"sql.random_number({self.host.constant(self.host.fresh('rand'))}, {self.host.here()})", REAL, 2)

    @staticmethod
    def _call(function: str, args: list[str]) -> str:
        assert hasattr(mysql, function), function
        return f"sql.{function}({', '.join(args)})"

    def _division(self, args: list[Code]) -> Code:
        real = any(one.type in (TEXT, RAW, REAL) for one in args)
        depth = 1 + max(one.depth for one in args)
        sources = [one.source for one in args]
        return Code(self._call("divide", [*sources, "True"] if real else sources), REAL if real else EXACT, depth)

    def _real(self, tree: Call) -> Code:
        return Code(self._value(tree.args[0]).source, REAL)

    def _cast(self, tree: Call) -> Code:
        value, *rest = (self._value(one) for one in tree.args)
        kind = tree.args[1]
        assert isinstance(kind, Const)
        gives = _CASTS.get(str(kind.value), EXACT)
        sources = [self._shown(value), *(one.source for one in rest)]
        return Code(self._call("cast", sources), gives, value.depth + 1)

    def _nullif(self, tree: Call) -> Code:
        a, b = (self._value(one) for one in tree.args)
        return Code(self._call("nullif", [self._shown(a), self._shown(b)]), a.type, 1 + max(a.depth, b.depth))

    def _isnull(self, tree: Call) -> Code:
        value = self._value(tree.args[0])
        return Code(f"(1 if {value.source} is None else 0)", TRUTH, value.depth + 1)

    def _if(self, tree: Call) -> Code:
        return self._case(Call("CASE", (NOTHING, *tree.args)))

    def _ifnull(self, tree: Call) -> Code:
        return self._coalesce(tree)

    def _coalesce(self, tree: Call) -> Code:
        args = [self._value(one) for one in tree.args]
        kind = _merged(args)
        *others, last = [self._as(one, kind) for one in args]
        name = self.host.fresh("n")
        source = "".join(f"{name} if ({name} := {one}) is not None else " for one in others) + last
        return Code(f"({source})", kind, 1 + max(one.depth for one in args))

    def _as(self, code: Code, kind: str) -> str:
        """A branch's value in the type of all branches: numbers become text where another branch is text."""
        if kind == TEXT and code.type != TEXT:
            return f"sql.text({self._shown(code)})"
        return code.source

    def _case(self, tree: Call) -> Code:
        operand, branches, default = tree.args[0], tree.args[1:-1], tree.args[-1]
        values = [self._value(one) for one in branches[1::2]]
        last = self._value(default)
        kind = _merged([*values, last])
        if operand is not NOTHING and kind == TEXT:
            table = self._table(operand, branches, default)
            if table is not None:
                return table
        compared = self.host.fresh("c")
        conditions, depth = [], 0
        whens = branches[0::2]
        if operand is not NOTHING:
            subject = self._value(operand)
            for place, one in enumerate(whens):
                when = self._value(one)
                left = f"({compared} := {self._shown(subject)})" if place == 0 and len(whens) > 1 else compared
                left = self._shown(subject) if len(whens) == 1 else left
                if subject.type == TEXT and isinstance(one, Const) and isinstance(one.value, str):
                    folded = self.host.constant(mysql.fold(one.value))
                    conditions.append(f"sql.eq_text({left}, {folded})")
                else:
                    conditions.append(f"sql_eq({left}, {self._shown(when)})")
                depth = max(depth, when.depth, subject.depth)
        else:
            for one in whens:
                condition = self._condition(one)
                conditions.append(condition.source)
                depth = max(depth, condition.depth)
        results = [self._as(one, kind) for one in values]
        final = self._as(last, kind)
        if len(conditions) > _MANY_BRANCHES and not self.in_line:
            lines = [f"if {when}: return {then}" for when, then in zip(conditions, results, strict=True)]
            return Code(self.host.helper([*lines, f"return {final}"]), kind, 1)
        source = "".join(f"{then} if {when} else " for when, then in zip(conditions, results, strict=True)) + final
        depth = max(depth, last.depth, *(one.depth for one in values))
        return Code(f"({source})", kind, depth + 2)

    def _table(self, operand: Sql, branches: tuple[Sql, ...], default: Sql) -> Code | None:
        """A CASE from texts to texts is looked up, however many branches it has."""
        if not all(isinstance(one, Const) and isinstance(one.value, str) for one in branches):
            return None
        if not isinstance(default, Const) or not isinstance(default.value, str | None):
            return None
        subject = self._value(operand)
        if subject.type != TEXT:
            return None
        texts = [str(one.value) for one in branches if isinstance(one, Const)]
        table: dict[str, str] = {}
        for when, then in zip(texts[::2], texts[1::2], strict=True):
            table.setdefault(mysql.fold(when), then)
        otherwise = "None" if default.value is None else self.host.constant(default.value)
        return Code(f"sql.chosen({self.host.constant(table)}, {subject.source}, {otherwise})", TEXT, subject.depth + 1)

    def _condition(self, tree: Sql) -> Code:
        """Source that is true where the value is true; AND and OR stop where the outcome is known."""
        if isinstance(tree, Call) and tree.name in ("AND", "OR"):
            parts = [self._condition(one) for one in tree.args]
            joined = f" {tree.name.lower()} ".join(one.source for one in parts)
            code = Code(f"({joined})", TRUTH, 1 + max(one.depth for one in parts))
            if code.depth > _DEEPEST and not self.in_line:
                return Code(self.host.helper([f"return {code.source}"]), TRUTH, 1)
            return code
        code = self._value(tree)
        return code if code.type == TRUTH else Code(f"sql.truth({code.source})", TRUTH, code.depth + 1)

    def _aggregate(self, tree: Call) -> Code:
        inner = tree.args[0]
        once = isinstance(inner, Call) and inner.name == "DISTINCT"
        if isinstance(inner, Call) and once:
            inner = inner.args[0]
        numbers = sorted({node.number for node in _nodes(inner) if isinstance(node, Bind)})
        names = {number: self.host.fresh("x") for number in numbers}
        sources = [self.lines(number) for number in numbers]
        self.in_line = names
        code = self._value(inner)
        if tree.name in _CALCULATES:
            code = self._numeric(inner, code)
        self.in_line = {}
        values = (
            f"[{self._shown(code)} for {', '.join(names.values())}, in sql.spread(({', '.join(sources)},))]"
            if numbers
            else f"[{self._shown(code)}]"
        )
        if once:
            values = f"sql.distinct({values})"
        rest = [self._shown(self._value(one)) for one in tree.args[1:]]
        kind = {"SUM": EXACT, "AVG": EXACT, "COUNT": EXACT, "GROUP_CONCAT": TEXT}.get(tree.name, code.type)
        if tree.name in ("SUM", "AVG") and code.type in (TEXT, RAW, REAL):
            kind = REAL
        return Code(self._call(_AGGREGATES[tree.name], [values, *rest]), kind, code.depth + 3)


def _nodes(tree: Sql) -> list[Sql]:
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, Call):
            waiting += node.args
    return found


def _merged(codes: list[Code]) -> str:
    """The type of a value that may be any of these."""
    kinds = {code.type for code in codes if code.source != "None"}
    if TEXT in kinds or RAW in kinds:
        return RAW if kinds == {RAW} else TEXT
    return REAL if REAL in kinds else TRUTH if kinds == {TRUTH} else EXACT
