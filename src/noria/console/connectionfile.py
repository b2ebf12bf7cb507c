"""The connections of `noria.toml` as the console changes them: comments and everything else in the file stay, secrets
go into files of their own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from noria.console.planfiles import Conflict, FileText, digest_of
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.files import read_text, replace_file
from noria.metadata.project import PROJECT_FILE

NAME = re.compile(r"[^\W_][\w-]{0,39}\Z")
SECRETS = "secrets"


class ConnectionFile:
    """A project's `noria.toml`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / PROJECT_FILE

    def read(self) -> FileText:
        """The file as it is; raises `NoriaError` where it can't be read."""
        text = read_text(self.path, PROJECT_FILE)
        return FileText(text, digest_of(text))

    def save(self, name: str, table: dict[str, Any] | None, base: str, secrets: Mapping[str, str]) -> None:
        """Put a connection's table in the place of what there is (None: take it out), as long as the file is the one
        with the digest `base`. `secrets`: by the place in the table, what goes into files. Raises `Conflict`, or
        `NoriaError` where the file can't be written so."""
        now = self.read()
        if now.digest != base:
            raise Conflict(now)
        text = changed(now.text, name, table)
        before = {self._secret(name, place): self._kept(name, place) for place in secrets}
        try:
            for place, secret in secrets.items():
                self._keep(self._secret(name, place), secret)
            replace_file(self.path, text)
        except NoriaError:
            # What is used now goes on being used.
            for file, old in before.items():
                if old is None:
                    file.unlink(missing_ok=True)
                else:
                    self._keep(file, old)
            raise

    def _secret(self, name: str, place: str) -> Path:
        return self.folder / reference(name, place).removeprefix("file:")

    def _kept(self, name: str, place: str) -> str | None:
        file = self._secret(name, place)
        return read_text(file, PROJECT_FILE) if file.exists() else None

    def _keep(self, file: Path, secret: str) -> None:
        """A secret in a file that only the user who runs noria can read, and that no repository takes."""
        file.parent.mkdir(mode=0o700, exist_ok=True)
        ignored = file.parent / ".gitignore"
        if not ignored.exists():
            replace_file(ignored, "*\n")
        replace_file(file, secret, mode=0o600)


def reference(name: str, place: str) -> str:
    """How a connection's secret is named that is kept in a file."""
    return f"file:{SECRETS}/{name}.{place}"


def changed(text: str, name: str, table: dict[str, Any] | None) -> str:
    """The text of a `noria.toml` with a connection's table in place of what it had; raises `NoriaError` where the text
    would not say just that."""
    reason = "…"
    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unwritable(name, str(error)) from None
    connections = wanted.setdefault("connections", {})
    connections.pop(name, None)
    if table is not None:
        connections[name] = table
    # Changed word by word; where the library can't do that, as with tables out of order, the table is written anew.
    for anew in (False, True):
        try:
            made = _changed(text, name, table, anew)
            if tomllib.loads(made) == wanted:
                return made
        except (TOMLKitError, tomllib.TOMLDecodeError, ValueError, TypeError, LookupError) as error:
            reason = str(error)
    raise _unwritable(name, reason)


def _unwritable(name: str, reason: str) -> NoriaError:
    message = Message("connections.not_written", {"reason": reason})
    return NoriaError("bad_toml", message, plan=PROJECT_FILE, path=f"$.connections.{name}")


def _changed(text: str, name: str, table: dict[str, Any] | None, anew: bool) -> str:
    document = tomlkit.parse(text)
    connections = document.setdefault("connections", tomlkit.table(is_super_table=True))
    if table is None or anew:
        connections.pop(name, None)
    if table is not None:
        if name in connections:
            _overwritten(connections[name], table)
        else:
            connections[name] = _filled(tomlkit.table(), table) if isinstance(connections, Table) else _inline(table)
    return tomlkit.dumps(document)


def _overwritten(old: Any, new: dict[str, Any]) -> None:
    """Make a table say what another does, touching only what differs."""
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _overwritten(old[key], value)
        elif key not in old or old[key] != value:
            old[key] = _inline(value) if isinstance(value, dict) else value


def _inline(value: dict[str, Any]) -> Any:
    """A table in one line."""
    return _filled(tomlkit.inline_table(), value)


def _filled(made: Any, value: dict[str, Any]) -> Any:
    for key, one in value.items():
        made[key] = _inline(one) if isinstance(one, dict) else one
    return made
