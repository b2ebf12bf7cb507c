"""Kinds of files: what rows they hold, and what holds rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from zipfile import BadZipFile

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.files.folder import FileSettings
from noria.messages import Message

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xlsx")


def rows_in(name: str, content: bytes, own: FileSettings) -> Iterator[dict[str, Any]]:
    """The rows of a file by its kind; raises `Failure` for one of another kind, or that can't be read."""
    kind = PurePosixPath(name).suffix.lower()
    try:
        if kind == ".xlsx":
            yield from _excel(content, own)
            return
        text = _decoded(content, own.encoding)
        if kind in (".jsonl", ".ndjson"):
            for line in text.splitlines():
                if line.strip():
                    yield msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        elif kind == ".json":
            yield from msgspec.json.decode(text, type=list[dict[str, msgspec.Raw]])
        elif kind in (".csv", ".tsv"):
            lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if kind == ".tsv" else own.delimiter)
            yield from _named(islice(lines, own.header - 1, None))
        else:
            raise Failure("permanent", Message("files.kind", {"name": name, "kinds": ", ".join(FORMATS)}))
    except (ValueError, msgspec.MsgspecError, csv.Error, KeyError, BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise Failure("permanent", Message("files.unreadable", {"name": name, "reason": reason})) from None


def _named(lines: Iterator[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Rows under the names of their columns; empty rows are none, cells beyond the names are refused."""
    names = [str(one).strip() if one is not None else "" for one in next(lines, [])]
    for number, line in enumerate(lines, 1):
        if not any(cell not in (None, "") for cell in line):
            continue
        beyond = [cell for cell in line[len(names) :] if cell not in (None, "")]
        if beyond:
            raise ValueError(f"row {number}: {len(line)} cells, {len(names)} columns")
        yield {name: cell for name, cell in zip(names, line, strict=False) if name}


def _decoded(content: bytes, encoding: str) -> str:
    if encoding:
        return content.decode(encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030")


def _excel(content: bytes, own: FileSettings) -> Iterator[dict[str, Any]]:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    sheet = book[own.sheet] if own.sheet else book.worksheets[0]
    lines = sheet.iter_rows(min_row=own.header, values_only=True)
    for row in _named(iter(lines)):
        yield {name: _cell(value) for name, value in row.items()}


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
