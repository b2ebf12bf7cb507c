"""A folder: the settings of a connection to it, and its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.failures import Failure
from noria.connectors.settings import Limits
from noria.connectors.transport import Transport
from noria.messages import Message


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
