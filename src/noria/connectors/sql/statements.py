"""Statements as plans have them, and names that go into statements."""

from __future__ import annotations

import re

from sqlalchemy import TextClause, text

from noria.connectors.failures import Failure
from noria.messages import Message

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`")
_NAME = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*)?$")


def prepared(statement: str) -> TextClause:
    """A statement with its binds; what stands in quotes is none."""
    return text(_QUOTED.sub(lambda found: found[0].replace(":", "\\:"), statement))


def check_name(name: str) -> None:
    """Raise `Failure` for what is no name of a table or a column."""
    if not _NAME.match(name):
        raise Failure("permanent", Message("sql.bad_name", {"name": name}))
