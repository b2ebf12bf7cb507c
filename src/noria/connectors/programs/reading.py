"""Reading: what a program says of one stream, row by row, and the states that it can go on from."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.programs.running import Programs, Running
from noria.connectors.source import Source, SourcePage
from noria.metadata.secrets import is_secret_key


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in what a program says: the last state that it gave (JSON), and how many rows came after that."""

    state: str | None = None
    after: int = 0


class Row(msgspec.Struct, frozen=True):
    """A row of the stream, as it came."""

    raw: bytes


class State(msgspec.Struct, frozen=True):
    """A state (JSON): all rows before it need not come again."""

    text: str


class Streamed(Source):
    """A stream of a program. It goes on for as long as it is read without a gap; from another place on, a new one
    starts with the state that is known there, and rows after it come again."""

    transport: Programs
    # The settings that say which program it is.
    identity: tuple[str, ...] = ()
    _running: Running | None = None
    _mark = Mark()

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

    @property
    def remembers(self) -> bool:
        """What has been said stays said."""
        return True

    @property
    def certain(self) -> bool:
        """It ends by itself."""
        return True

    def repeatable(self, cursor: str) -> bool:
        """Where a state was given last: what came after one can't be told from what comes again."""
        return msgspec.json.decode(cursor, type=Mark).after == 0

    def resumable(self, cursor: str) -> str | None:
        """From its last state."""
        mark = Mark(msgspec.json.decode(cursor, type=Mark).state)
        return None if mark.state is None else msgspec.json.encode(mark).decode()

    def before(self, cursor: str | None) -> str | None:
        """Nothing can slip past."""
        return None

    def skew(self) -> float | None:
        """It doesn't say."""
        return None

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
        running, rows = self._running, list[bytes]()
        request = f"{running.shown} {self.metadata.api}"
        while len(rows) < self.settings.paging.size:
            line = await running.line()
            if line is None:
                await running.ended()
                await self.close()
                kept = msgspec.json.encode(Mark(mark.state)).decode() if mark.state and self.keeps_states else None
                return SourcePage(rows, None, request, bookmark=kept)
            said = self.heard(line, running) if line.strip() else None
            if isinstance(said, Row):
                rows.append(said.raw)
                mark = Mark(mark.state, mark.after + 1)
            elif isinstance(said, State):
                mark = Mark(said.text)
        self._mark = mark
        cursor = msgspec.json.encode(mark).decode()
        return SourcePage(rows, cursor, request, token=cursor, more=True)

    def configured(self) -> dict[str, Any]:
        """What the program is configured with: the connection's table, and what the plan asks for over that."""
        return {**self.transport.own.config, **self.build(None)}

    def signature(self) -> str:
        """What is asked for, of whom, and with which configuration; a new secret changes nothing of that."""
        own = {key: value for key, value in msgspec.to_builtins(self.transport.own).items() if key in self.identity}
        own["config"] = {key: one for key, one in self.transport.own.config.items() if not is_secret_key(key)}
        return xxh3_128_hexdigest(super().signature().encode() + msgspec.json.encode(own, order="deterministic"))


def object_in(line: bytes, running: Running) -> dict[str, msgspec.Raw]:
    """A line that is to be a JSON object; raises `Failure`."""
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        shown = running.excerpt(line)
        raise running.failure("permanent", "programs.not_json", line=shown) from None


def text_of(raw: msgspec.Raw | None) -> str:
    """A text in JSON; "" for anything else."""
    found = msgspec.json.decode(raw) if raw is not None else ""
    return found if isinstance(found, str) else ""
