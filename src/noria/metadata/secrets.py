"""Secrets are named, never written down: `env:NAME` or `file:PATH`; and whatever is printed is cleaned of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from noria.messages import Message
from noria.metadata.errors import NoriaError, Problem

_SECRET_KEY = re.compile(
    r"(secret|password|passwd|pwd|token|api[_-]?key|app[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|robot[_-]?key"
    r"|account[_-]?key|connection[_-]?string|authorization|cookie|credential)",
    re.IGNORECASE,
)
# Settings whose names contain such a word but hold a place, a name or a duration, not a secret.
_NOT_SECRET = re.compile(r"(_url|_path|_method|_param|_field|_header|_seconds|_type|_body|_ttl|_in)$", re.IGNORECASE)
_REFERENCE = re.compile(r"^(env|file):(.+)$", re.DOTALL)
_MASK = "***"
# Tables that are handed on to somebody else's program or driver.
_FREE = ("config", "environment", "storage")


def is_secret_key(key: str) -> bool:
    """Whether a setting of this name holds a secret."""
    return bool(_SECRET_KEY.search(key)) and not _NOT_SECRET.search(key)


def is_reference(value: object) -> bool:
    """Whether a setting's value names a secret (`env:NAME`, `file:PATH`) instead of holding it."""
    return isinstance(value, str) and _REFERENCE.match(value) is not None


def resolve(value: str, folder: Path, environ: Mapping[str, str] = os.environ, path: str = "") -> str:
    """The value behind a reference; text that is no reference is returned as it is.

    Raises `NoriaError` (`missing_secret`) when the variable is not set or the file can't be read.
    """
    match = _REFERENCE.match(value)
    if match is None:
        return value
    kind, name = match.groups()
    if kind == "env":
        if name not in environ:
            raise NoriaError(
                "missing_secret",
                Message("secret.env_missing", {"name": name}),
                path=path,
                hint=Message("secret.env_hint", {"name": name}),
            )
        return environ[name]
    file = folder / name
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "UTF-8"
        raise NoriaError(
            "missing_secret",
            Message("secret.file_missing", {"path": name, "reason": reason or ""}),
            path=path,
            hint=Message("secret.file_hint"),
        ) from None


def resolve_all(
    settings: Any,
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    path: str = "$",
    redactor: Redactor | None = None,
    secret: bool = False,
    free: bool = False,
) -> Any:
    """Settings with every reference replaced by its value; values of secret settings become known to `redactor`, and
    whatever is only named in tables whose keys are another program's own (`free`)."""
    if isinstance(settings, dict):
        hidden_value = settings.get("type") in ("header", "query")
        return {
            key: resolve_all(
                value,
                folder,
                environ,
                f"{path}.{key}",
                redactor,
                secret or is_secret_key(key) or (hidden_value and key == "value"),
                free or key in _FREE,
            )
            for key, value in settings.items()
        }
    if isinstance(settings, list):
        return [
            resolve_all(value, folder, environ, f"{path}[{i}]", redactor, secret, free)
            for i, value in enumerate(settings)
        ]
    if isinstance(settings, str):
        value = resolve(settings, folder, environ, path)
        if redactor is not None and (secret or (free and is_reference(settings))):
            redactor.hide(value)
        return value
    return settings


def literal_secrets(settings: Any, path: str, key: str = "", kind: object = None) -> list[Problem]:
    """An error for each secret that is written down instead of named. The value itself is never shown."""
    found: list[Problem] = []
    if isinstance(settings, dict):
        for name, value in settings.items():
            found += literal_secrets(value, f"{path}.{name}", name, settings.get("type"))
        return found
    if isinstance(settings, list):
        for i, value in enumerate(settings):
            found += literal_secrets(value, f"{path}[{i}]", key, kind)
        return found
    secret = is_secret_key(key) or (key == "value" and kind in ("header", "query"))
    if secret and isinstance(settings, str | int) and settings != "" and not is_reference(settings):
        hint = Message("secret.literal_hint", {"name": re.sub(r"\W+", "_", key).upper()})
        found.append(Problem(Message("secret.literal", {"key": key}), path, hint))
    return found


_QUERY_SECRET = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:token|secret|password|passwd|signature|sign|app_?key|api_?key|access_?key|key))=)([^&#\s\"']+)"
)
_HEADER_SECRET = re.compile(r"(?i)\b((?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{6,})")
_JSON_SECRET = re.compile(
    r"(?i)(\"[\w.-]*(?:token|secret|password|passwd|app_?key|api_?key|access_?key)\"\s*:\s*\")((?:[^\"\\]|\\.)+)"
)
# What programs show to the API.
_TOKEN = re.compile(r"\bnoria_[A-Za-z0-9_-]{40,}")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]*:)([^@/\s]+)(@)")


class Redactor:
    """Replaces known secrets, and what looks like one, by `***` in any text that leaves the process."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def hide(self, *secrets: str) -> None:
        """Learn secrets; shorter than four characters they can't be told from ordinary text and are ignored."""
        # Texts of several lines, such as private keys, are often shown line by line.
        lines = [line for secret in secrets if "\n" in secret for line in secret.splitlines() if len(line) >= 16]
        for secret in (*secrets, *lines):
            if len(secret) >= 4:
                escaped = json.dumps(secret)[1:-1]
                for form in {secret, quote(secret, safe=""), quote_plus(secret), escaped}:
                    self._known[form] = None

    def clean(self, text: str) -> str:
        """`text` without secrets."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        text = _QUERY_SECRET.sub(rf"\g<1>{_MASK}", text)
        text = _HEADER_SECRET.sub(rf"\g<1>{_MASK}", text)
        text = _TOKEN.sub(_MASK, text)
        text = _JSON_SECRET.sub(rf"\g<1>{_MASK}", text)
        return _USERINFO.sub(rf"\g<1>{_MASK}\g<3>", text)

    def clean_known(self, text: str) -> str:
        """`text` without the secrets that are known: for answers and bodies, where data must stay as it is."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return text
