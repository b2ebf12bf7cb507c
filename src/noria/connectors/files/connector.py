"""Connector `file`: CSV, JSON lines, JSON and Excel files in a folder, or in an object store that fsspec speaks to.

As a source, the plan's `api` names files by a pattern (`in/orders-*.csv`); they are read in order of their names, row
by row, with `_file` and `_row` in each record. The parameter `since` leaves out files that have not changed since. As a
target, each batch is one new file whose name ends with the batch's key: sent again, it is the same file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import msgspec

from noria.connectors.declaration import Connector
from noria.connectors.files.folder import FileSettings, Folder
from noria.connectors.files.formats import content_of, rows_in
from noria.connectors.paging import Place
from noria.connectors.settings import HttpSettings, Paging, Write
from noria.connectors.source import Source
from noria.connectors.target import Row, Target, Written
from noria.connectors.transport import Answer
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.times import start_of


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
    reached=lambda own, folder: partial(Folder, own),
)
