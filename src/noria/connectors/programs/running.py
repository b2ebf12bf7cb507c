"""Programs that speak in lines: how they are started, heard, fed and stopped.

A program has an environment of its own: the variables that any program needs, and those that its connection names;
what else noria was started with, secrets above all, is none of its business. What it is given as a file (its
configuration, mostly) lies in memory where the system can do that, and is gone with the program.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.failures import Failure, Kind
from noria.connectors.settings import HttpSettings, Limits, Number, Paging, Write
from noria.connectors.transport import Answer, Transport
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.validation import nearest, shown

# What programs need of the surroundings, whoever started noria.
_HANDED_ON = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
# The longest line, and how much of it is taken at once; in bytes.
_MOST_LINE, _CHUNK = 64 * 1024 * 1024, 256 * 1024
# How many of its last complaints are kept, and how long they may be.
_COMPLAINTS, _MOST_COMPLAINT = 30, 2000
# How long a program may take to end once it has said everything; how long what it leaves behind is listened to, since
# something that it has started may hold its ends of the pipes for ever; how often it is looked. In seconds.
_ENDING, _LINGERING, _LOOK = 30.0, 1.0, 0.02
# What is lacking for the moment when a program can't be started.
_FOR_NOW = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)

# An argument, or the content of a file whose path is the argument.
Argument = str | bytes


class ProgramSettings(msgspec.Struct, kw_only=True):
    """What every connection to a program has."""

    connector: str
    config: Annotated[
        dict[str, Any],
        Meta(description="程序的配置，密钥写 env:名称 | the program's configuration; secrets as env:NAME"),
    ] = msgspec.field(default_factory=dict)
    environment: Annotated[
        dict[str, str], Meta(description="程序的环境变量 | environment variables of the program")
    ] = msgspec.field(default_factory=dict)
    silence: Annotated[
        Number, Meta(description="多少秒没有输出就算失败 | seconds without a word after which it has failed")
    ] = 600
    page: Annotated[int, Meta(ge=1, description="每页行数 | rows a page")] = 1000
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)


class Running:
    """A program at work. `line()` gives what it says, line by line; raises `Failure`."""

    def __init__(
        self, process: asyncio.subprocess.Process, shown: str, patience: float, programs: Programs, files: _Files
    ) -> None:
        self.shown = shown
        self._process = process
        self._files = files
        self._patience = patience
        self._programs = programs
        self._chunks: deque[bytes] = deque()
        self._lines: deque[bytes] = deque()
        self._complaints: deque[str] = deque(maxlen=_COMPLAINTS)
        self._listening = asyncio.ensure_future(self._listen())
        self._gone = asyncio.ensure_future(self._wait())

    async def line(self) -> bytes | None:
        """Its next line; None when there is none any more."""
        assert self._process.stdout is not None
        while not self._lines:
            chunk = await self._heard()
            if not chunk:
                rest = b"".join(self._chunks)
                self._chunks.clear()
                return rest or None
            *whole, rest = chunk.split(b"\n")
            if whole:
                self._lines.append(b"".join([*self._chunks, whole[0]]))
                self._lines.extend(whole[1:])
                self._chunks.clear()
            self._chunks.append(rest)
            if sum(map(len, self._chunks)) > _MOST_LINE:
                raise self.failure("permanent", "programs.long_line", most=_MOST_LINE // 1024 // 1024)
        return self._lines.popleft()

    async def _heard(self) -> bytes:
        """What it says next; nothing when it has gone and says no more."""
        assert self._process.stdout is not None
        reading = asyncio.ensure_future(self._process.stdout.read(_CHUNK))
        try:
            await asyncio.wait({reading, self._gone}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and self._gone.done():
                self._kill()
                await asyncio.wait({reading}, timeout=_LINGERING)
                return reading.result() if reading.done() else b""
            if not reading.done():
                raise self.failure("transient", "programs.silent", seconds=round(self._patience))
            return reading.result()
        finally:
            reading.cancel()

    async def _wait(self) -> None:
        """Until it has ended, whoever else still holds its pipes."""
        # By itself asyncio waits for the pipes as well.
        while self._process.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)

    async def lines(self) -> list[bytes]:
        """All its lines, when it has ended well; raises `Failure`."""
        found = []
        while (line := await self.line()) is not None:
            found.append(line)
        await self.ended()
        return found

    async def feed(self, content: Iterable[bytes]) -> None:
        """Say this to it, and no more."""
        assert self._process.stdin is not None
        # A program that reads no further has a reason, which its end tells.
        with suppress(BrokenPipeError, ConnectionResetError):
            try:
                for piece in content:
                    self._process.stdin.write(piece)
                    await self._process.stdin.drain()
            finally:
                self._process.stdin.close()

    async def ended(self) -> None:
        """Wait for its end; raises `Failure` unless it says that all went well."""
        await asyncio.wait({self._gone}, timeout=_ENDING)
        if not self._gone.done():
            raise self.failure("transient", "programs.silent", seconds=round(_ENDING))
        code = self._process.returncode
        await self.stop()
        if code != 0:
            raise self.failure("transient", "programs.ended", code=code)

    async def stop(self) -> None:
        """End it, and whatever it has started; once, since its number may be another's afterwards."""
        if not self._programs.forget(self):
            return
        self._files.remove()
        self._kill()
        await asyncio.wait({self._listening, self._gone}, timeout=_LINGERING)
        self._listening.cancel()
        self._gone.cancel()
        # What has left its group may hold the pipes for ever; nobody listens any more.
        self._process._transport.close()  # type: ignore[attr-defined]

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def excerpt(self, line: bytes) -> str:
        """The start of a line as a message shows it, without secrets."""
        return self._programs.excerpt(line)

    def cleaned(self, words: str) -> str:
        """Its words, without secrets."""
        return " ".join(self._programs.redactor.clean(words).split())[:300]

    def failure(self, kind: Kind, key: str, **values: object) -> Failure:
        """What went wrong, with the program's own last words."""
        reason = self.cleaned(" / ".join(list(self._complaints)[-3:])) or "-"
        return Failure(kind, Message(key, {"program": self.shown, "reason": reason, **values}), request=self.shown)

    async def _listen(self) -> None:
        """Keep what it complains of, so that it never waits for somebody to hear it."""
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            self._complain(lines)
            if len(rest) > _CHUNK:
                self._complain([rest])
                rest = b""
        self._complain([rest])

    def _complain(self, lines: list[bytes]) -> None:
        for line in lines[-_COMPLAINTS:]:
            if line.strip():
                words = self._programs.redactor.clean(line.decode("utf-8", "replace").strip())
                self._complaints.append(words[:_MOST_COMPLAINT])


class Programs(Transport):
    """A connection's programs, behind the same gate as any other system."""

    def __init__(self, own: ProgramSettings, folder: Path, base_url: str, **rest: Any) -> None:
        super().__init__(base_url, **rest)
        self.own = own
        self.folder = folder
        self._running: set[Running] = set()

    async def start(
        self,
        command: str,
        arguments: Sequence[Argument],
        *,
        fed: bool = False,
        before: Callable[[], None] = lambda: None,
    ) -> Running:
        """Start a program in the project's folder, which is `fed` or hears nothing; `before` is called right before.
        Raises `Failure` where there is none."""
        words = shlex.split(command)
        kept = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        async with self.gate.place("/"):
            before()
            self.requests += 1
            files = _Files()
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    *(one if isinstance(one, str) else files.path_of(one) for one in arguments),
                    stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    cwd=self.folder,
                    env={**kept, "PYTHONUTF8": "1", **self.own.environment},
                    start_new_session=True,
                    pass_fds=files.handed,
                )
            except OSError as error:
                files.remove()
                values = {"program": self.redactor.clean(words[0]), "reason": error.strerror or str(error)}
                kind: Kind = "transient" if error.errno in _FOR_NOW else "permanent"
                raise Failure(kind, Message("programs.not_started", values)) from None
            finally:
                files.close()
        running = Running(process, self.redactor.clean(Path(words[0]).name), float(self.own.silence), self, files)
        self._running.add(running)
        return running

    async def send(self, method: str, path: str, **_: Any) -> Answer:
        """Nothing goes to a program over HTTP: raises `Failure`."""
        raise Failure("permanent", Message("connection.only_read", {"connector": self.own.connector}), request=path)

    async def said(self, command: str, arguments: Sequence[Argument]) -> list[bytes]:
        """All lines of a program that is to say something and end; raises `Failure`."""
        running = await self.start(command, arguments)
        try:
            return await running.lines()
        finally:
            await running.stop()

    def digest(self, name: str) -> str:
        """A digest of what stands in a file of the project's; "" where there is none."""
        try:
            return sha256((self.folder / name).read_bytes()).hexdigest() if name else ""
        except OSError:
            return ""

    def forget(self, running: Running) -> bool:
        """A program has ended, or is being ended; whether it was known."""
        known = running in self._running
        self._running.discard(running)
        return known

    async def close(self) -> None:
        """End what still runs."""
        for running in list(self._running):
            await running.stop()
        await super().close()


class _Files:
    """What a program is given as files: in memory, where the system can do that, else in a folder that nobody else can
    look into."""

    def __init__(self) -> None:
        self.handed: list[int] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path_of(self, content: bytes) -> str:
        """Where the program finds it."""
        if hasattr(os, "memfd_create"):
            self.handed.append(os.memfd_create("noria"))
            with open(self.handed[-1], "wb", closefd=False) as file:
                file.write(content)
            return f"/proc/self/fd/{self.handed[-1]}"
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="noria-")
        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=".json", delete=False) as kept:
            kept.write(content)
        return kept.name

    def close(self) -> None:
        """The program has what it inherits."""
        for one in self.handed:
            os.close(one)
        self.handed.clear()

    def remove(self) -> None:
        """Nobody reads them any more."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def http_settings(own: ProgramSettings, write: Write | None = None) -> HttpSettings:
    """A connection's settings, as far as the HTTP machinery asks for such."""
    return HttpSettings(
        connector=own.connector,
        base_url=f"http://{own.connector}",
        timezone=own.timezone,
        paging=Paging(type="cursor", next="next", size=own.page),
        limits=own.limits,
        write=write or Write(),
    )


def no_stream(wanted: str, names: Sequence[str], program: str, *, all_of_them: bool = False) -> Failure:
    """There is no such stream, but others: the one that is nearly called so, or `all_of_them` as far as can be said."""
    known = (None if all_of_them else nearest(wanted, list(names))) or ", ".join(names[:20])
    return Failure("permanent", Message("programs.no_stream", {"name": wanted, "program": program, "known": known}))


def command_problems(commands: dict[str, str], path: str) -> list[Problem]:
    """What is wrong with the commands of a connection, by their settings."""
    found = []
    for name, command in commands.items():
        try:
            words = shlex.split(command)
        except ValueError as error:
            words = []
            reason = str(error)
        else:
            reason = "-"
        if command and not words:
            message = Message("programs.command", {"value": shown(command), "reason": reason})
            found.append(Problem(message, f"{path}.{name}"))
    return found
