"""Reading: what a program says of one stream, row by row, and the states that it can go on from."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from hashlib import sha256
from typing import Any

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.programs.running import Programs, Running
from noria.connectors.source import Lasting, Source, SourcePage

# Names of settings that are nothing but a secret.
_SECRET = re.compile(r"(secret|token|password|passwd|pwd|api_?key|private_?key|access_?key|(^|_)pat)$", re.IGNORECASE)


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in what a program says: the last state that it gave (JSON), and how many rows came after that."""

    state: str | None = None
    after: int = 0


def _text(mark: Mark) -> str:
    """As the ledger keeps it."""
    return msgspec.json.encode(mark).decode()


class Row(msgspec.Struct, frozen=True):
    """A row of the stream, as it came."""

    raw: bytes


class State(msgspec.Struct, frozen=True):
    """A state (JSON): all rows before it need not come again."""

    text: str


class Streamed(Lasting, Source):
    """A stream of a program. It goes on for as long as it is read without a gap; from another place on, a new one
    starts with the state that is known there, and rows after it come again."""

    transport: Programs
    # The settings that say which program it is, and those that name files which say what it reads.
    identity: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    _running: Running | None = None
    _mark = Mark()
    # The rows of the newest page that was cut short, to see whether another is any other.
    _saved: list[bytes] | None = None

    @abstractmethod
    async def started(self, config: dict[str, Any], state: str | None) -> Running:
        """The program at its work, with the connection's configuration and the plan's; raises `Failure`."""

    @abstractmethod
    def heard(self, line: bytes, running: Running) -> Row | State | None:
        """What a line says; None where that is nothing of this stream. Raises `Failure`."""

    @property
    def keeps_states(self) -> bool:
        """Whether the next read begins where this one ends."""
        return True

    def repeatable(self, cursor: str) -> bool:
        """Where a state was given last: what came after one can't be told from what comes again."""
        return msgspec.json.decode(cursor, type=Mark).after == 0

    def resumable(self, cursor: str) -> str | None:
        """From its last state."""
        mark = Mark(msgspec.json.decode(cursor, type=Mark).state)
        return None if mark.state is None else _text(mark)

    async def fetch(self, cursor: str | None) -> SourcePage:
        """As many rows as a page has, from a place on; raises `Failure`."""
        mark = msgspec.json.decode(cursor, type=Mark) if cursor else Mark()
        try:
            return await self._rows(mark)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the program."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    async def _rows(self, mark: Mark) -> SourcePage:
        if self._running is None or mark != self._mark:
            await self.close()
            self._running = await self.started(self.configured(), mark.state)
            mark = Mark(mark.state)
        running, rows, began = self._running, list[bytes](), mark.state
        request = f"{running.shown} {self.metadata.api}"
        sure = 0
        try:
            while len(rows) < self.settings.paging.size:
                line = await running.line()
                if line is None:
                    await running.ended()
                    self.finished(running)
                    await self.close()
                    return SourcePage(rows, None, request, bookmark=self._bookmark(mark))
                said = self._heard(line, running)
                if isinstance(said, Row):
                    rows.append(said.raw)
                    mark = Mark(mark.state, mark.after + 1)
                elif isinstance(said, State):
                    mark, sure = Mark(said.text), len(rows)
        except Failure as failure:
            # What came before its last state is whole, and the next page begins there, unless nothing is won by that.
            saved = rows[:sure]
            if failure.kind != "transient" or saved in ([], self._saved) or mark.state == began:
                raise
            await self.close()
            rows, mark, self._saved = saved, Mark(mark.state), saved
        self._mark = mark
        return SourcePage(rows, _text(mark), request, token=_text(mark), more=True)

    def _heard(self, line: bytes, running: Running) -> Row | State | None:
        try:
            return self.heard(line, running) if line.strip() else None
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
            raise running.failure("permanent", "programs.not_json", line=running.excerpt(line)) from None

    def _bookmark(self, mark: Mark) -> str | None:
        return _text(Mark(mark.state)) if mark.state is not None and self.keeps_states else None

    def finished(self, running: Running) -> None:
        """It has said everything; raises `Failure` where that was not all."""

    def configured(self) -> dict[str, Any]:
        """What the program is configured with: the connection's table, and what the plan asks for over that."""
        return {**self.transport.own.config, **self.build(None)}

    def signature(self) -> str:
        """What is asked for, of whom, and with which configuration; a new secret changes nothing of that."""
        own = self.transport.own
        said = [getattr(own, name) for name in self.identity]
        files = [self.transport.digest(getattr(own, name)) for name in self.files]
        asked = msgspec.json.encode([said, files, telling(own.config), telling(own.environment)], order="deterministic")
        return sha256(super().signature().encode() + asked).hexdigest()


def object_in(line: bytes) -> dict[str, msgspec.Raw] | None:
    """A line that is a JSON object; None for another. What programs write although it is no JSON (`NaN`, half a
    surrogate) stands in it as they wrote it: the row that has it is shown as one that can't be read."""
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return (
        {key: msgspec.Raw(json.dumps(one).encode()) for key, one in found.items()} if isinstance(found, dict) else None
    )


def text_of(raw: msgspec.Raw | None) -> str:
    """A text in JSON; "" for anything else."""
    found = msgspec.json.decode(raw) if raw is not None else ""
    return found if isinstance(found, str) else ""


def telling(value: Any, key: str = "") -> Any:
    """What a configuration says of what is read: without the secrets in it, which may be replaced."""
    if isinstance(value, dict):
        return {name: telling(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [telling(one, key) for one in value]
    return None if _SECRET.search(key) else value
