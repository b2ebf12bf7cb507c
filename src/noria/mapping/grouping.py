"""`operation` (merge) and `groupCalculate` of a target: several records become one document with lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from noria.mapping import mysql
from noria.mapping.values import MappingError, as_text, field_at
from noria.messages import Message
from noria.metadata.documents import GroupCalculate, Metadata, Operation
from noria.metadata.paths import put

Row = dict[str, Any]

# `groupCalculate`'s calculations over the values of a group.
CALCULATIONS: dict[str, Callable[[list[Any]], Any]] = {
    "$sum": lambda values: mysql.total(_numbers(values)) if values else 0,
    "$avg": lambda values: mysql.result(mysql.average(_numbers(values))),
    "$min": lambda values: mysql.minimum(values),
    "$max": lambda values: mysql.maximum(values),
    "$push": lambda values: values,
    "$addToSet": lambda values: _set(values),
    "$first": lambda values: values[0] if values else None,
    "$last": lambda values: values[-1] if values else None,
}


def _numbers(values: list[Any]) -> list[Any]:
    return [value if isinstance(value, int | Decimal) else mysql.numeric(mysql.bare(value)) for value in values]


def _set(values: list[Any]) -> list[Any]:
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(as_text(value), value)
    return list(found.values())


class Grouping:
    """How a target puts records together. `key(row)` says which document a record belongs to; `documents(rows)` makes
    the rows of one key into documents, each with the positions of the rows that it holds."""

    def __init__(
        self,
        key: list[str],
        line: list[str] | None,
        most: int | None,
        merge: Callable[[Sequence[Row]], Row],
        *,
        needs_key: bool = False,
    ) -> None:
        self._key = key
        self._needs_key = needs_key
        self._line = line
        self._most = most
        self._merge = merge

    def key(self, row: Row) -> tuple[str, ...]:
        """What rows of the same document have in common. Raises `MappingError` for a row that lacks what records are
        merged by: it would be merged with all others that do."""
        key = tuple(as_text(field_at(row, path)) for path in self._key)
        if self._needs_key and not all(key):
            path = next(path for path, text in zip(self._key, key, strict=True) if not text)
            raise MappingError(Message("mapping.no_merge_key", {"path": path}))
        return key

    def documents(self, rows: Sequence[Row]) -> list[tuple[Row, list[int]]]:
        """Rows of one key as documents with at most `bodyMaxLine` lines each, with the positions of their rows. Raises
        `MappingError` for columns that can't be added up."""
        lines: dict[tuple[str, ...], list[int]] = {}
        for position, row in enumerate(rows):
            own = (str(position),) if self._line is None else tuple(as_text(field_at(row, p)) for p in self._line)
            lines.setdefault(own, []).append(position)
        groups = list(lines.values())
        size = self._most or len(groups)
        chunks = [
            sorted(i for group in groups[start : start + size] for i in group) for start in range(0, len(groups), size)
        ]
        try:
            return [(self._merge([rows[i] for i in chunk]), chunk) for chunk in chunks]
        except (mysql.SqlError, ArithmeticError) as error:
            reason = Message(getattr(error, "reason", "sql.out_of_range"), getattr(error, "values", {}))
            raise MappingError(Message("mapping.not_added_up", {"reason": reason})) from None


def grouping_of(metadata: Metadata) -> Grouping | None:
    """A target's grouping, or None when every record is a document by itself."""
    if metadata.groupCalculate is not None:
        spec = metadata.groupCalculate
        most = int(spec.bodyMaxLine) if spec.bodyMaxLine else None
        return Grouping(spec.headerGroup, spec.bodyGroup or None, most, lambda rows: _calculated(spec, rows))
    operation = metadata.operation
    if operation is not None and operation.method == "merge" and operation.field:
        return Grouping(merge_fields(operation), None, None, lambda rows: _merged(operation, rows), needs_key=True)
    return None


def merge_fields(operation: Operation) -> list[str]:
    """The columns that records are merged by: one, or several with commas."""
    return [part.strip() for part in (operation.field or "").split(",") if part.strip()]


def _merged(operation: Operation, rows: Sequence[Row]) -> Row:
    """`merge`: the head's columns of the first record, a line per record; lines that are equal but for the columns of
    `bodySum` become one with these added up."""
    sums = operation.bodySum or []
    body = operation.body
    if body is None:
        head = set(operation.header or [])
        body = list(dict.fromkeys(name for row in rows for name in row if name not in head))
    columns = list(dict.fromkeys([*body, *sums]))
    header = operation.header
    if header is None:
        header = [name for name in rows[0] if name not in columns or name in merge_fields(operation)]
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        values = tuple(as_text(field_at(row, name)) for name in columns if name not in sums)
        # Without columns to add up every record keeps its own line.
        lines.setdefault(values if sums else (*values, str(len(lines))), []).append(row)
    document: Row = {}
    for name in dict.fromkeys([*header, *merge_fields(operation)]):
        _copy(rows[0], name, document)
    document[operation.bodyName or "details"] = [_line(group, columns, sums) for group in lines.values()]
    return document


def _line(group: list[Row], columns: list[str], sums: list[str]) -> Row:
    line: Row = {}
    for name in columns:
        if name in sums:
            put(line, name, mysql.total(_numbers([field_at(row, name) for row in group])))
        else:
            _copy(group[0], name, line)
    return line


def _calculated(spec: GroupCalculate, rows: Sequence[Row]) -> Row:
    """`groupCalculate`: the head's columns, lines by the body's columns, each calculated column over the lines of a
    line and, in the head, over the whole document."""
    document: Row = {}
    for name in spec.headerGroup:
        _copy(rows[0], name, document)
    calculate = spec.calculate or {}
    for name, how in calculate.items():
        put(document, name, _calculate(how, rows, name))
    if spec.bodyGroup or spec.bodyName:
        lines: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            key = tuple(as_text(field_at(row, name)) for name in spec.bodyGroup or [])
            lines.setdefault(key, []).append(row)
        body = []
        for group in lines.values():
            line: Row = {}
            for name in spec.bodyGroup or []:
                _copy(group[0], name, line)
            for name, how in calculate.items():
                put(line, name, _calculate(how, group, name))
            body.append(line)
        document[spec.targetBodyName or spec.bodyName or "details"] = body
    return document


def _calculate(how: str, rows: Sequence[Row], name: str) -> Any:
    values = [value for value in (field_at(row, name) for row in rows) if value is not None]
    return CALCULATIONS[how](values)


def _copy(source: Row, name: str, target: Row) -> None:
    value = field_at(source, name)
    if value is not None:
        put(target, name, value)
