"""What acts answer with."""

from __future__ import annotations

import msgspec

from noria.console.answers.base import Answer


class Done(Answer, frozen=True, kw_only=True):
    """An act that was done, and with which plan."""

    done: str
    plan: str | None


class Tested(Done, frozen=True, kw_only=True):
    """A connection that was tried: how many records its first page holds, or why it can't be read."""

    connection: str
    count: int | None = None
    reason: str | None = None


class Replayed(Done, frozen=True, kw_only=True):
    """Records that are to be sent again: how many."""

    id: str | None
    state: str | None
    cause: str | None
    count: int


class Decided(Done, frozen=True, kw_only=True):
    """What somebody decided about a record, and of how many the document is."""

    id: str | None
    seq: int
    count: int


class Restored(Done, frozen=True, kw_only=True):
    """A version that is the plan's file again."""

    version: int


class Saved(Done, frozen=True, kw_only=True):
    """A plan that was saved. `base`: the digest of its file now."""

    note: str
    new: bool
    base: str


class TokenMade(Done, frozen=True, kw_only=True):
    """A new token: `token` is shown here and never again."""

    name: str
    role: str
    expires_at: float | None
    token: str


class Revoked(Done, frozen=True, kw_only=True):
    """A token that is refused from now on."""

    name: str


class Connected(Done, frozen=True, kw_only=True):
    """A connection that was written or removed; `secrets`: which of its settings were kept as such."""

    connection: str
    connector: str
    secrets: list[str]


class Cancelled(Done, frozen=True, kw_only=True):
    """A run that was asked to stop."""

    run: int


class Windowed(Done, frozen=True, kw_only=True):
    """A window that will be reconciled or read again (epoch seconds; `from` null: everything)."""

    begin: float | None = msgspec.field(name="from")
    to: float


class DoneToMany(Done, frozen=True, kw_only=True):
    """What was done with records, and with how many."""

    count: int


class Acknowledged(Done, frozen=True, kw_only=True):
    """An alert that somebody has seen."""

    connection: str
    rule: str
    alert: int


class ChannelTested(Done, frozen=True, kw_only=True):
    """A channel that was tried; `reason`: why it can't be used."""

    connection: str
    reason: str | None = None
