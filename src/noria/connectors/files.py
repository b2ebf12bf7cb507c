"""Connector `file`: CSV, JSON lines, JSON and Excel files in a folder, or in an object store that fsspec speaks to.

As a source, the plan's `api` names files by a pattern (`in/orders-*.csv`); they are read in order of their names, row
by row, with `_file` and `_row` in each record. The parameter `since` leaves out files that have not changed since. As a
target, each batch is one new file whose name ends with the batch's key: sent again, it is the same file.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from zipfile import BadZipFile

import msgspec
from msgspec import Meta

from noria.connectors.declaration import Connector
from noria.connectors.failures import Failure
from noria.connectors.paging import Place
from noria.connectors.settings import HttpSettings, Limits, Paging, Write
from noria.connectors.source import Source
from noria.connectors.target import Row, Target, Written
from noria.connectors.transport import Answer, Transport
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.times import start_of

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".xlsx")


class FileSettings(msgspec.Struct, kw_only=True):
    """A connection to a folder of files."""

    connector: Annotated[str, Meta(description="连接器 | file")] = "file"
    folder: Annotated[
        str, Meta(min_length=1, description="目录，或 fsspec 地址如 s3://桶/前缀 | a folder, or an fsspec address")
    ]
    storage: Annotated[
        dict[str, Any],
        Meta(description="fsspec 的选项，密钥写 env:名称 | options of fsspec; secrets as env:NAME"),
    ] = msgspec.field(default_factory=dict)
    encoding: Annotated[
        str, Meta(description="编码；缺省 UTF-8，读不通时 GB18030 | encoding; default: UTF-8, else GB18030")
    ] = ""
    delimiter: Annotated[str, Meta(description="CSV 分隔符 | what separates the cells of CSV")] = ","
    sheet: Annotated[str, Meta(description="Excel 工作表，缺省第一个 | sheet of Excel; default: the first")] = ""
    header: Annotated[int, Meta(ge=1, description="表头在第几行 | the row with the columns' names")] = 1
    page: Annotated[int, Meta(ge=1, description="每页行数 | rows a page")] = 1000
    batch_size: Annotated[int, Meta(ge=1, description="每个文件的行数 | rows a file")] = 1000
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)


class Folder(Transport):
    """A folder, behind the same gate as any other system; files are read and written in threads."""

    def __init__(self, own: FileSettings, base_url: str, **rest: Any) -> None:
        super().__init__(base_url, **rest)
        self.own = own
        self._opened: tuple[Any, str] | None = None

    @property
    def opened(self) -> tuple[Any, str]:
        """The file system, and where in it the folder is."""
        if self._opened is None:
            try:
                from fsspec.core import url_to_fs
            except ImportError as error:
                raise Failure("permanent", Message("files.no_driver", {"reason": str(error)})) from None
            folder = self.own.folder if "://" in self.own.folder else str(Path(self.own.folder).absolute())
            # What was listed is not to be remembered: files come and go.
            self._opened = url_to_fs(folder, use_listings_cache=False, **self.own.storage)
        return self._opened

    async def do(self, shown: str, work: Callable[[], Any], before: Callable[[], None] = lambda: None) -> Any:
        """Work in a thread; raises `Failure`."""
        async with self.gate.place("/"):
            before()
            self.requests += 1
            try:
                return await asyncio.to_thread(work)
            except FileNotFoundError as error:
                reason = Message("files.missing", {"reason": self.redactor.clean(str(error))[:300]})
                raise Failure("permanent", reason, request=shown) from None
            except ImportError as error:
                raise Failure("permanent", Message("files.no_driver", {"reason": str(error)}), request=shown) from None
            except (OSError, EOFError) as error:
                reason = Message("files.failed", {"reason": self.redactor.clean(str(error))[:300]})
                kind = "permanent" if isinstance(error, PermissionError | IsADirectoryError) else "transient"
                raise Failure(kind, reason, request=shown) from None  # type: ignore[arg-type]

    async def probe(self) -> Message:
        """Whether the folder is there; raises `Failure`."""
        files = await self.do(self.own.folder, lambda: len(self.named("*")))
        return Message("files.there", {"count": files})

    def named(self, pattern: str, since: float | None = None) -> list[str]:
        """Files by a pattern of their paths in the folder, in order; those that have changed since a time."""
        system, root = self.opened
        if not system.exists(root):
            raise FileNotFoundError(self.own.folder)
        found = []
        for path, info in system.find(root, detail=True).items():
            name = path.removeprefix(root).lstrip("/")
            wanted = fnmatchcase(name, pattern) or fnmatchcase(name, pattern.lstrip("/"))
            if wanted and (since is None or _changed(info) is None or (_changed(info) or 0.0) >= since):
                found.append(name)
        return sorted(found)

    def read(self, name: str) -> bytes:
        """A file's content."""
        system, root = self.opened
        content: bytes = system.cat_file(f"{root.rstrip('/')}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file, or none of it."""
        system, root = self.opened
        path = f"{root.rstrip('/')}/{name}"
        system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        if "://" in self.own.folder:
            system.pipe_file(path, content)
            return
        part = f"{path}.part"
        system.pipe_file(part, content)
        Path(part).replace(path)


def _changed(info: dict[str, Any]) -> float | None:
    """When a file was changed last (epoch seconds), where its store says so."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        at = info.get(key)
        if isinstance(at, datetime):
            return at.timestamp()
        if isinstance(at, int | float):
            return float(at)
    return None


class _Reading(Source):
    """Rows of files, one after the other."""

    transport: Folder
    _rows: tuple[str, int, Iterator[bytes]] | None = None

    async def _page(self, place: Place) -> tuple[Answer, list[bytes], int | None, Any]:
        request = self._request(place)
        since = start_of(request["since"]) if request.get("since") not in (None, "") else None
        pattern = self.metadata.api
        started = time.perf_counter()
        rows, token = await self.transport.do(pattern, lambda: self._after(pattern, since, place.token))
        answer = Answer(200, {}, b"", self.transport.redactor.clean(pattern), time.perf_counter() - started)
        return answer, rows, None, {"next": token}

    def _after(self, pattern: str, since: float | None, token: str | None) -> tuple[list[bytes], str | None]:
        """The rows after a place, and the place after them; None at the end of the last file."""
        size = self.transport.own.page
        name, row = json.loads(token) if token else ("", 0)
        files = [one for one in self.transport.named(pattern, since) if one >= name]
        found: list[bytes] = []
        for one in files:
            at = row if one == name else 0
            known = self._rows
            if known is None or known[:2] != (one, at):
                known = (one, at, islice(self._read(one), at, None))
            part = list(islice(known[2], size - len(found)))
            found += part
            self._rows = (one, at + len(part), known[2])
            if len(found) == size:
                return found, json.dumps([one, at + len(part)])
        self._rows = None
        return found, None

    def _read(self, name: str) -> Iterator[bytes]:
        rows = rows_in(name, self.transport.read(name), self.transport.own)
        for number, row in enumerate(rows, 1):
            yield msgspec.json.encode({**row, "_file": name, "_row": number})


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


class _Writing(Target):
    """Batches as files."""

    transport: Folder

    @property
    def honours_keys(self) -> bool:
        """The batch's key is its file's name."""
        return True

    def said_of(self, key: str) -> str:
        """The file's name."""
        return msgspec.json.encode({"file": self._name(key)}).decode()

    def _name(self, key: str) -> str:
        path = PurePosixPath(self.api.lstrip("/"))
        return str(path.with_name(f"{path.stem}-{key}{path.suffix}"))

    async def send(
        self, body: bytes, key: str, rows: Sequence[Row], before: Callable[[], None] = lambda: None
    ) -> Written:
        """Write a batch; raises `Failure`."""
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[dict[str, msgspec.Raw]])
        name = self._name(key)
        content = content_of(name, found if isinstance(found, list) else [found], self.transport.own)
        started = time.perf_counter()
        await self.transport.do(name, lambda: self.transport.write(name, content), before)
        answer = Answer(200, {}, b"", name, time.perf_counter() - started)
        return Written(answer, msgspec.json.encode({"file": name, "bytes": len(content)}), [None] * len(rows))


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


def _check(own: FileSettings, name: str, path: str) -> list[Problem]:
    try:
        "".encode(own.encoding or "utf-8")
    except LookupError:
        return [Problem(Message("files.encoding", {"name": own.encoding}), f"{path}.encoding")]
    return []


FILE = Connector(
    name="file",
    title=("文件：CSV、JSON、Excel，本地或对象存储", "files: CSV, JSON, Excel, in folders or object stores"),
    settings_type=FileSettings,
    to_http=lambda own: HttpSettings(
        connector="file",
        base_url=own.folder,
        timezone=own.timezone,
        paging=Paging(type="cursor", next="next"),
        limits=own.limits,
        write=Write(batch_size=own.batch_size, idempotency_header="file"),
    ),
    check=_check,
    source_type=_Reading,
    target_type=_Writing,
    reached=lambda own: partial(Folder, own),
)
