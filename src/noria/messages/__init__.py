"""What noria says to people, in 中文 and English, from one catalogue.

A `Message` is a key with its values and is put into words only when somebody reads it, so that one ledger can be
read in both languages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from noria.messages.catalogue import CATALOGUE, LANGUAGES

__all__ = ["CATALOGUE", "LANGUAGES", "READER", "Message", "language", "t"]

# The language of who reads what this task writes, where that is not the process's own.
READER: ContextVar[str | None] = ContextVar("reader", default=None)


def language(environ: Mapping[str, str] = os.environ) -> str:
    """The reader's language, `zh` or `en`: `NORIA_LANG`, then the locale; 中文 where the locale says nothing."""
    if environ is os.environ and (reader := READER.get()) is not None:
        return reader
    for name in ("NORIA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        wanted = environ.get(name, "").lower().replace("-", "_")
        if not wanted or wanted.split(".")[0] in ("c", "posix"):
            continue
        return "zh" if wanted.startswith("zh") else "en"
    return "zh"


@dataclass(frozen=True)
class Message:
    """A catalogue key and its values; `str()` gives the text in the reader's language."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, lang: str | None = None) -> str:
        """The words in `lang` (default: the reader's). A key that is not in the catalogue is shown as it is."""
        pair = CATALOGUE.get(self.key)
        if pair is None:
            return " ".join([self.key, *(f"{k}={v}" for k, v in self.values.items())])
        template = pair[LANGUAGES.index(lang or language())]
        values = {k: v.text(lang) if isinstance(v, Message) else v for k, v in self.values.items()}
        return template.format_map(_Shown(values))

    def __str__(self) -> str:
        return self.text()


class _Shown(dict[str, Any]):
    """A value that is missing from a stored message (made by another version) is shown by its name."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def t(key: str, **values: Any) -> str:
    """The text of a catalogue key in the reader's language."""
    return Message(key, values).text()
