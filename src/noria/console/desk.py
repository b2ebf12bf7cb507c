"""The ledger as the console uses it: in a thread of its own, so that no run waits for a page."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from noria.ledger import Ledger, ledger_of
from noria.metadata.project import Project

T = TypeVar("T")


class Desk:
    """Asks the project's ledger, one question after the other."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._thread = ThreadPoolExecutor(1, "noria-console")
        self._ledger: Ledger | None = None

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """What `question` gives; raises `NoriaError` when the ledger can't be used."""

        def asked() -> T:
            if self._ledger is None:
                self._ledger = ledger_of(self.project)
            return question(self._ledger)

        # With the reader's language.
        here = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: here.run(asked))

    async def key(self) -> str:
        """What sessions are signed with: the same in every process, and after a restart."""

        def read(ledger: Ledger) -> str:
            with ledger.store.transaction() as c:
                c.run(
                    "INSERT INTO facts (name, value) VALUES ('console_key', :key) ON CONFLICT (name) DO NOTHING",
                    {"key": secrets.token_hex(32)},
                )
                return str(c.value("SELECT value FROM facts WHERE name = 'console_key'", {}))

        return await self.ask(read)

    def close(self) -> None:
        """Close the ledger."""

        def end() -> None:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None

        self._thread.submit(end).result()
        self._thread.shutdown()
