"""Plans' files as the console changes them: never over what somebody else wrote meanwhile, and each text is kept."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from noria.console.denied import Denied
from noria.console.desk import Desk
from noria.engine import Workspace
from noria.ledger import Ledger
from noria.metadata.errors import NoriaError
from noria.metadata.files import parsed, read_text, replace_file
from noria.metadata.secrets import literal_secrets
from noria.metadata.splicing import with_value

# What a plan may be called: the stem of its file, and a part of addresses.
KEY = re.compile(r"[^\W_][\w.-]{0,79}\Z")
# A file's name may have no more bytes than this, with what is put behind it while it is written.
LONGEST_KEY = 200
_WRITING = threading.Lock()


@dataclass(frozen=True)
class FileText:
    """A plan's file as it is now: its text, and the digest by which a change of it is noticed ("" where there is no
    file)."""

    text: str
    digest: str


class Conflict(Exception):
    """The file is not what it was when the change was begun. `now`: what it is."""

    def __init__(self, now: FileText) -> None:
        super().__init__(now.digest)
        self.now = now


class PlanFiles:
    """The files of a project's plans."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        self.workspace = workspace
        self.desk = desk

    def path(self, key: str) -> Path:
        """Where a plan is, or would be."""
        return self.workspace.project.folder / "plans" / f"{key}.json"

    def read(self, key: str) -> FileText:
        """A plan's file; raises `NoriaError` where it can't be read."""
        path = self.path(key)
        if not path.exists():
            return FileText("", "")
        text = read_text(path, key)
        return FileText(text, digest_of(text))

    def of_plan(self, key: str) -> FileText:
        """The file of a plan that there is; raises `Denied`, or `NoriaError` where it can't be read."""
        now = self.read(key) if KEY.match(key) else FileText("", "")
        if not now.digest:
            raise Denied(404, "console.no_such_plan")
        return now

    async def save(self, key: str, text: str, base: str, *, who: str, at: float, note: str | None = None) -> FileText:
        """Write a text to a plan's file that is still the one with the digest `base` ("": there is none yet), and keep
        it, and what was there, as versions. Raises `Conflict`, or `NoriaError` where it can't be written."""
        path = self.path(key)
        before = self._unchanged(key, base, text)
        if "\r\n" in before.text and before.text.count("\r\n") == before.text.count("\n"):
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        after = FileText(text, digest_of(text))
        # First who did it, then what they did: nobody's change is in the file without a name.
        made = await self.desk.ask(lambda ledger: self._keep(ledger, key, before, after, who, at, note))
        try:
            with _WRITING:
                self._unchanged(key, base, text)
                path.parent.mkdir(exist_ok=True)
                replace_file(path, ("\ufeff" if _begins_marked(path) else "") + text)
        except (Conflict, NoriaError):
            if made is not None:
                await self.desk.ask(lambda ledger: ledger.plan_versions.drop(key, made))
            raise
        return after

    async def switch(self, key: str, enabled: bool, *, who: str, at: float) -> None:
        """Switch a plan on or off in its file; raises as `save` does."""
        now = self.read(key)
        await self.save(key, with_value(now.text, ("enabled",), enabled), now.digest, who=who, at=at)

    def _unchanged(self, key: str, base: str, text: str) -> FileText:
        """The file as it is, when it is what it was, or what it is to be already; raises `Conflict`."""
        now = self.read(key)
        if now.digest not in (base, digest_of(text) if base else base):
            raise Conflict(now)
        return now

    def _keep(
        self, ledger: Ledger, key: str, before: FileText, after: FileText, who: str, at: float, note: str | None
    ) -> int | None:
        """Keep both texts, but none in which a secret is written down; gives the number of the second."""
        made = None
        for one, by, remark in ((before, None, None), (after, who, note)):
            if one.text and not self.holds_secret(key, one.text):
                made = ledger.plan_versions.keep(key, one.text, one.digest, at, by, remark)
        return made

    def holds_secret(self, key: str, text: str) -> bool:
        """Whether a secret is written down in a text, instead of being named; of one that is no JSON nobody knows."""
        try:
            document = parsed(text, self.path(key), key)
        except NoriaError:
            return True
        options = document.get("options") if isinstance(document, dict) else None
        return isinstance(options, dict) and bool(literal_secrets(options, "$.options"))


def _begins_marked(path: Path) -> bool:
    """Whether a file begins with a byte order mark."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.read(3) == b"\xef\xbb\xbf"


def digest_of(text: str) -> str:
    """What a text is known by, however its lines end."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8", "surrogatepass")).hexdigest()[:32]
