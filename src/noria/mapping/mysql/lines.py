"""Aggregates over the lines of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noria.mapping.mysql.arithmetic import add, quotient
from noria.mapping.mysql.comparing import extreme, fold
from noria.mapping.mysql.values import SqlError, grown, number, text


def spread(values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The operands of an aggregate, one tuple per line: lists are walked together, single values repeated."""
    longest = max((len(one) for one in values if isinstance(one, list)), default=1)
    columns = []
    for one in values:
        if not isinstance(one, list):
            columns.append([one] * longest)
        elif len(one) == longest:
            columns.append(one)
        else:
            raise SqlError("sql.uneven_lines", a=longest, b=len(one))
    return list(zip(*columns, strict=True))


def total(values: Sequence[Any]) -> Any:
    """SUM"""
    found = [number(one) for one in values if one is not None]
    return add(*found) if found else None


def average(values: Sequence[Any]) -> Any:
    """AVG, with four more decimals"""
    found = [number(one) for one in values if one is not None]
    if not found:
        return None
    return quotient(add(*found), len(found))


def maximum(values: Sequence[Any]) -> Any:
    """MAX"""
    found = [one for one in values if one is not None]
    return extreme(found, 1) if found else None


def minimum(values: Sequence[Any]) -> Any:
    """MIN"""
    found = [one for one in values if one is not None]
    return extreme(found, -1) if found else None


def count(values: Sequence[Any]) -> int:
    """COUNT"""
    return sum(one is not None for one in values)


def group_concat(values: Sequence[Any], separator: Any = ",") -> str | None:
    """GROUP_CONCAT"""
    found = [text(one) or "" for one in values if one is not None]
    between = text(separator) or ""
    grown(sum(map(len, found)) + len(between) * len(found))
    return between.join(found) if found else None


def distinct(values: Sequence[Any]) -> list[Any]:
    """DISTINCT: the first of those that compare equal."""
    found: list[Any] = []
    seen: set[Any] = set()
    for one in values:
        key = fold(one) if isinstance(one, str) else one
        if one is not None and key not in seen:
            seen.add(key)
            found.append(one)
    return found
