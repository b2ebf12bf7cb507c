"""Static value maps: tables in `maps/*.csv` or `maps/*.json` beside the plans, or in a plan's `options.maps`.

A sheet has the columns source value, source label, target value, target label (in that order, or named in the first
row); a JSON file is an object of source value to target value, or an array of `{"source": …, "target": …}`.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.files import read_json


class ValueTable(msgspec.Struct, frozen=True):
    """A map in both directions. Where a value occurs twice, its first row counts."""

    forward: dict[str, Any]
    backward: dict[str, Any]


def table_of(pairs: list[tuple[Any, Any]]) -> ValueTable:
    """A table from pairs of source and target values."""
    forward: dict[str, Any] = {}
    backward: dict[str, Any] = {}
    for source, target in pairs:
        forward.setdefault(_text(source), target)
        backward.setdefault(_text(target), source)
    return ValueTable(forward, backward)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def tables_beside(plan: Path) -> dict[str, ValueTable]:
    """The tables of the project that a plan's file belongs to, by name; raises `NoriaError` for a broken one."""
    found: dict[str, ValueTable] = {}
    for file in map_files(plan):
        if file.suffix in (".csv", ".json"):
            found.setdefault(file.stem, load_table(file))
    return found


def map_files(plan: Path) -> list[Path]:
    """The folders that tables of a plan's project may be in, each with what is in it."""
    found = []
    for folder in (plan.parent / "maps", plan.parent.parent / "maps"):
        found.append(folder)
        if folder.is_dir():
            found += sorted(folder.iterdir())
    return found


def load_table(file: Path) -> ValueTable:
    """A table from its file; raises `NoriaError` (`bad_map`)."""
    if file.suffix == ".csv":
        try:
            text = file.read_text("utf-8-sig")
        except (UnicodeDecodeError, OSError) as error:
            raise _bad(file.name, str(error)) from None
        try:
            rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
        except csv.Error as error:
            raise _bad(file.name, str(error)) from None
        return table_of(list(_pairs(rows, file)))
    return table_from(file.name, read_json(file, file.stem))


def table_from(name: str, document: Any) -> ValueTable:
    """A table from JSON; raises `NoriaError` (`bad_map`)."""
    if isinstance(document, dict):
        return table_of(list(document.items()))
    if isinstance(document, list) and all(
        isinstance(one, dict) and {"source", "target"} <= set(one) for one in document
    ):
        return table_of([(one["source"], one["target"]) for one in document])
    raise _bad(name, Message("map.shape"))


_NAMES = {
    "source": ("source", "source value", "source_value", "源值", "源系统值", "源平台值"),
    "target": ("target", "target value", "target_value", "目标值", "目标系统值", "目标平台值"),
}


def _pairs(rows: list[list[str]], file: Path) -> list[tuple[str, str]]:
    if not rows:
        return []
    head = [cell.strip().lower() for cell in rows[0]]
    named = {key: next((head.index(n) for n in names if n in head), None) for key, names in _NAMES.items()}
    if named["source"] is not None and named["target"] is not None:
        source, target, rows = named["source"], named["target"], rows[1:]
    else:
        source, target = 0, 2 if len(rows[0]) > 2 else 1
    for number, row in enumerate(rows, 1):
        if len(row) <= max(source, target):
            raise _bad(file.name, Message("map.row", {"row": number}))
    return [(row[source].strip(), row[target].strip()) for row in rows]


def _bad(name: str, said: str | Message) -> NoriaError:
    return NoriaError("bad_map", Message("map.unreadable", {"file": name, "said": said}), hint=Message("map.hint"))
