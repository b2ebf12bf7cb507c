"""Connector `file`: CSV, JSON lines, JSON and Excel files in a folder, or in an object store that fsspec speaks to.

As a source, the plan's `api` names files by a pattern (`in/orders-*.csv`); they are read in order of their names, row
by row, with `_file` and `_row` in each record. The parameter `since` leaves out files that have not changed since. As a
target, each batch is one new file whose name ends with the batch's key: sent again, it is the same file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import msgspec

from noria.connectors.declaration import Connector
from noria.connectors.failures import Failure
from noria.connectors.files.folder import FileSettings, Folder
from noria.connectors.files.formats import content_of, rows_in
from noria.connectors.paging import Place
from noria.connectors.settings import HttpSettings, Paging, Write
from noria.connectors.source import Source
from noria.connectors.target import Row, Target, Written
from noria.connectors.transport import Answer
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.secrets import is_reference
from noria.metadata.times import start_of
from noria.metadata.validation import is_web_address, shown

# A file that changes while it is read would give rows of two contents: the list is read anew.
_CHANGED = "changed"


@dataclass
class _Opened:
    """A file that is being read: its mark when it was opened, and how many of its rows have been given."""

    name: str
    mark: str
    given: int
    rows: Generator[bytes, None, None]


class _Reading(Source):
    """Rows of files, one after the other."""

    transport: Folder
    _kept: _Opened | None = None

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
        found: list[bytes] = []
        for file in self._files(pattern, since, token):
            rows = list(islice(file.rows, size - len(found)))
            found += rows
            file.given += len(rows)
            if self.transport.mark(file.name) != file.mark:
                file.rows.close()
                raise _changed(file.name)
            if len(found) == size:
                self._kept = file
                return found, json.dumps([file.name, file.given, file.mark])
        return found, None

    def _files(self, pattern: str, since: float | None, token: str | None) -> Iterator[_Opened]:
        """The file that a place is in, from there on, and those after it."""
        kept, self._kept = self._kept, None
        last = ""
        if token is not None:
            last, given, *mark = json.loads(token)
            if kept is None or [kept.name, kept.given, kept.mark] != [last, given, *mark]:
                kept = self._opened(last, given)
            if [kept.mark] != mark:
                raise _changed(last)
            yield kept
        for name in self.transport.named(pattern, since):
            if name > last:
                yield self._opened(name)

    def _opened(self, name: str, given: int = 0) -> _Opened:
        # The mark goes first: what changes from here on shows.
        return _Opened(name, self.transport.mark(name), given, self._rows(name, given))

    def _rows(self, name: str, given: int) -> Generator[bytes, None, None]:
        with self.transport.reading(name) as file:
            for number, row in enumerate(rows_in(name, file, self.transport.own), 1):
                if number > given:
                    yield msgspec.json.encode({**row, "_file": name, "_row": number})


def _changed(name: str) -> Failure:
    return Failure("transient", Message("files.changed", {"name": name}), code=_CHANGED)


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


def _check(own: FileSettings, name: str, path: str) -> list[Problem]:
    found = []
    try:
        "".encode(own.encoding or "utf-8")
    except LookupError:
        found.append(Problem(Message("files.encoding", {"name": own.encoding}), f"{path}.encoding"))
    client = own.storage.get("client_kwargs")
    server = client.get("endpoint_url") if isinstance(client, dict) else None
    if server is not None and not is_reference(server) and not is_web_address(str(server)):
        where, hint = f"{path}.storage.client_kwargs.endpoint_url", Message("connection.base_url_hint")
        found.append(Problem(Message("connection.base_url", {"value": shown(server)}), where, hint))
    return found


FILE = Connector(
    name="file",
    title=("文件：CSV、JSON、Excel，本地或对象存储（S3）", "files: CSV, JSON, Excel, in folders or object stores (S3)"),
    also=("object-store", "s3", "csv", "jsonl", "excel", "sftp"),
    settings_type=FileSettings,
    to_http=lambda own: HttpSettings(
        connector="file",
        base_url=own.folder,
        timezone=own.timezone,
        paging=Paging(type="cursor", next="next", restart=[_CHANGED]),
        limits=own.limits,
        write=Write(batch_size=own.batch_size, idempotency_header="file"),
    ),
    check=_check,
    promises={
        "keys": ("yes", "guarantee.file_keys"),
        "paging": ("yes", "guarantee.file_paging"),
        "restart": ("yes", "guarantee.file_restart"),
    },
    source_type=_Reading,
    target_type=_Writing,
    reached=lambda own, folder: partial(Folder, own, folder),
)
