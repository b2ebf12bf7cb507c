"""What every answer is: a page's data, or an error."""

from __future__ import annotations

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered."""


class Finding(Answer, frozen=True, kw_only=True):
    """One of the things that are wrong with a plan or a connection, with its place."""

    plan: str
    path: str
    message: str
    hint: str
    severity: str


class Problem(Answer, frozen=True, kw_only=True):
    """What is wrong: a stable word for programs, the message in the reader's language, the place (plan, JSON path), and
    what would be right; empty where there is nothing to say. `problems`: all of them, where a text was checked."""

    code: str
    message: str
    plan: str
    path: str
    hint: str
    problems: list[Finding] | msgspec.UnsetType = msgspec.UNSET


class Failed(Answer, frozen=True, kw_only=True):
    """The answer to what can't be answered."""

    error: Problem
