"""Kinds of files: what rows they hold, and what holds rows."""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime
from itertools import count, islice
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.files.encoding import Fault, encoding_of, fault_in, misencoded
from noria.connectors.files.folder import FileSettings
from noria.messages import Message

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xlsx")
# A line of JSON, and a whole file of it, have to fit into memory; so many characters.
_LONGEST_LINE = 16 * 1024 * 1024
_LONGEST_ARRAY = 64 * 1024 * 1024


def rows_in(name: str, file: BinaryIO, own: FileSettings) -> Iterator[dict[str, Any]]:
    """The rows of an open file by its kind, read as they are asked for; raises `Failure` for one of another kind, or
    that can't be read."""
    kind = PurePosixPath(name).suffix.lower()
    if kind == ".xlsx":
        yield from _excel(name, file, own)
        return
    if kind not in FORMATS:
        raise Failure("permanent", Message("files.kind", {"name": name, "kinds": ", ".join(FORMATS)}))
    encoding = own.encoding or encoding_of(name, file)
    if codecs.lookup(encoding).name == "utf-8":
        # A mark at the start, as Excel writes it, is no part of the first name.
        encoding = "utf-8-sig"
    text = io.TextIOWrapper(file, encoding, newline="")
    try:
        if kind == ".json":
            yield from _array(name, text)
        elif kind in (".jsonl", ".ndjson"):
            yield from _objects(name, text)
        else:
            yield from _table(name, text, own, "\t" if kind == ".tsv" else own.delimiter)
    except UnicodeDecodeError as error:
        fault = fault_in(file, encoding) or Fault(1, 0)
        raise misencoded(name, fault, own.encoding or encoding) from error


def _objects(name: str, text: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    for number in count(1):
        line = text.readline(_LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > _LONGEST_LINE:
            values = {"name": name, "line": number, "most": _LONGEST_LINE // 2**20}
            raise Failure("permanent", Message("files.long_line", values))
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            except msgspec.MsgspecError as error:
                raise _unreadable(name, error, number) from None


def _array(name: str, text: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    content = text.read(_LONGEST_ARRAY + 1)
    if len(content) > _LONGEST_ARRAY:
        raise Failure("permanent", Message("files.long_array", {"name": name, "most": _LONGEST_ARRAY // 2**20}))
    try:
        yield from msgspec.json.decode(content, type=list[dict[str, msgspec.Raw]])
    except msgspec.MsgspecError as error:
        raise _unreadable(name, error) from None


def _table(name: str, text: io.TextIOWrapper, own: FileSettings, delimiter: str) -> Iterator[dict[str, Any]]:
    lines = csv.reader(text, delimiter=delimiter)
    numbered = ((lines.line_num, cells) for cells in lines)
    try:
        yield from _named(name, islice(numbered, own.header - 1, None))
    except csv.Error as error:
        raise _unreadable(name, error, lines.line_num) from None


def _excel(name: str, file: BinaryIO, own: FileSettings) -> Iterator[dict[str, Any]]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(file, read_only=True, data_only=True)
        with closing(book):
            sheet = book[own.sheet] if own.sheet else book.worksheets[0]
            lines = sheet.iter_rows(min_row=own.header, values_only=True)
            for row in _named(name, enumerate(lines, own.header)):
                yield {key: _cell(value) for key, value in row.items()}
    except (ValueError, KeyError, BadZipFile, ParseError, zlib.error) as error:
        raise _unreadable(name, error) from None


def _named(name: str, lines: Iterator[tuple[int, Sequence[Any]]]) -> Iterator[dict[str, Any]]:
    """Numbered rows under the names of their columns; empty rows are none, cells beyond the names are refused."""
    _, head = next(lines, (0, ()))
    names = [str(one).strip() if one is not None else "" for one in head]
    for number, line in lines:
        if not any(cell not in (None, "") for cell in line):
            continue
        if any(cell not in (None, "") for cell in line[len(names) :]):
            values = {"name": name, "line": number, "cells": len(line), "columns": len(names)}
            raise Failure("permanent", Message("files.cells", values))
        yield {key: cell for key, cell in zip(names, line, strict=False) if key}


def _unreadable(name: str, error: Exception, line: int | None = None) -> Failure:
    values = {"name": name, "reason": " ".join(str(error).split())[:200]}
    if line is None:
        return Failure("permanent", Message("files.unreadable", values))
    return Failure("permanent", Message("files.unreadable_line", {**values, "line": line}))


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    # Excel keeps every number as a fraction.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def content_of(name: str, rows: list[dict[str, msgspec.Raw]], own: FileSettings) -> bytes:
    """A file's content by its kind: rows with all their digits; in tables, the columns of all rows together. Raises
    `Failure` for another kind."""
    kind = PurePosixPath(name).suffix.lower()
    if kind in (".jsonl", ".ndjson"):
        return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    if kind == ".json":
        return msgspec.json.encode(rows)
    names = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[_shown(row.get(one)) for one in names] for row in rows]
    if kind in (".csv", ".tsv"):
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="\t" if kind == ".tsv" else own.delimiter, lineterminator="\r\n")
        writer.writerows([names, *lines])
        # Excel takes a CSV without this mark for one in the local encoding.
        return out.getvalue().encode(own.encoding or "utf-8-sig")
    if kind == ".xlsx":
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet(own.sheet or "noria")
        for line in [names, *lines]:
            sheet.append(line)
        kept = io.BytesIO()
        book.save(kept)
        return kept.getvalue()
    raise Failure("permanent", Message("files.kind", {"name": name, "kinds": ", ".join(FORMATS)}))


def _shown(raw: msgspec.Raw | None) -> str:
    """A value as a cell: texts as they are, numbers with their digits, the rest as JSON."""
    text = bytes(raw).decode() if raw is not None else ""
    return msgspec.json.decode(text) if text.startswith('"') else "" if text == "null" else text
