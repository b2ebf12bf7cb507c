"""A folder: the settings of a connection to it, and its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta

from noria.connectors.failures import Failure
from noria.connectors.files.drivers import kind_of, store_errors
from noria.connectors.settings import Limits
from noria.connectors.transport import Transport
from noria.messages import Message

# How much of a file in a store is asked for at once.
_BLOCK = 4 * 1024 * 1024


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
    """A folder, from the `project`'s on where it doesn't say otherwise, behind the same gate as any other system; files
    are read and written in threads."""

    def __init__(self, own: FileSettings, project: Path, base_url: str, **rest: Any) -> None:
        super().__init__(base_url, **rest)
        self.own = own
        self._address = own.folder if "://" in own.folder else str((project / own.folder).absolute())
        self._opened: tuple[Any, str] | None = None
        self._reading: dict[int, BinaryIO] = {}

    @property
    def opened(self) -> tuple[Any, str]:
        """The file system, and where in it the folder is; raises `Failure` where the settings don't lead to one."""
        if self._opened is None:
            try:
                from fsspec.core import url_to_fs

                # What was listed is not to be remembered: files come and go.
                self._opened = url_to_fs(self._address, use_listings_cache=False, **self.own.storage)
            except ImportError as error:
                raise Failure("permanent", Message("files.no_driver", {"reason": str(error)})) from None
            except (ValueError, TypeError) as error:
                raise Failure("permanent", Message("files.failed", {"reason": self._said(error)})) from None
        return self._opened

    @property
    def in_bucket(self) -> bool:
        """Whether its path begins with a bucket: nothing of a folder is there, then, but the files in it."""
        return "://" in self.own.folder and not self.opened[1].startswith("/")

    async def do(self, shown: str, work: Callable[[], Any], before: Callable[[], None] = lambda: None) -> Any:
        """Work in a thread; raises `Failure`."""
        shown = self.redactor.clean(shown)
        async with self.gate.place("/"):
            before()
            self.requests += 1
            try:
                return await asyncio.to_thread(work)
            except FileNotFoundError as error:
                said = str(error.filename or error)
                what = said if self.own.folder in said else f"{self.own.folder}: {said}"
                reason = Message("files.missing", {"reason": self.redactor.clean(what)[:300]})
                raise Failure("permanent", reason, request=shown) from None
            except ImportError as error:
                raise Failure("permanent", Message("files.no_driver", {"reason": str(error)}), request=shown) from None
            except store_errors() as error:
                kind = kind_of(error, remote="://" in self.own.folder)
                if kind == "throttled":
                    self.gate.hold(1.0)
                raise Failure(kind, Message("files.failed", {"reason": self._said(error)}), request=shown) from None

    def _said(self, error: Exception) -> str:
        return self.redactor.clean(" ".join(str(error).split()) or type(error).__name__)[:300]

    async def probe(self) -> Message:
        """Whether the folder is there; raises `Failure`."""
        files = await self.do(self.own.folder, lambda: len(self.named("*")))
        return Message("files.there", {"count": files})

    async def close(self) -> None:
        """Close every file that is still being read."""
        await super().close()
        while self._reading:
            self._reading.popitem()[1].close()

    def named(self, pattern: str, since: float | None = None) -> list[str]:
        """Files by a pattern of their paths in the folder, in order; those that have changed since a time."""
        system, root = self.opened
        listed = system.find(root, detail=True)
        if not listed and not system.exists(root.partition("/")[0] if self.in_bucket else root):
            raise FileNotFoundError(self.own.folder)
        found = []
        for path, info in listed.items():
            name = path.removeprefix(root).lstrip("/")
            wanted = fnmatchcase(name, pattern) or fnmatchcase(name, pattern.lstrip("/"))
            if wanted and (since is None or _changed(info) is None or (_changed(info) or 0.0) >= since):
                found.append(name)
        return sorted(found)

    def mark(self, name: str) -> str:
        """What tells one content of a file from another: its size, with its ETag or the time of its last change."""
        info = self.opened[0].info(self._path(name))
        return f"{info.get('size')} {info.get('ETag') or info.get('etag') or _changed(info)}"

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """A file, open for reading until the connection is closed at the latest."""
        with self.opened[0].open(self._path(name), "rb", block_size=_BLOCK) as file:
            self._reading[id(file)] = file
            try:
                yield file
            finally:
                self._reading.pop(id(file), None)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file, or none of it."""
        system, path = self.opened[0], self._path(name)
        if not self.in_bucket:
            system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        if "://" in self.own.folder:
            system.pipe_file(path, content)
            return
        part = f"{path}.part"
        system.pipe_file(part, content)
        Path(part).replace(path)

    def _path(self, name: str) -> str:
        return f"{self.opened[1].rstrip('/')}/{name}"


def _changed(info: dict[str, Any]) -> float | None:
    """When a file was changed last (epoch seconds), where its store says so."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        at = info.get(key)
        if isinstance(at, datetime):
            return at.timestamp()
        if isinstance(at, int | float):
            return float(at)
    return None
