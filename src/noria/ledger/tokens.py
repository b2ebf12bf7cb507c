"""Tokens that programs show to the API: of each its name, its role and a digest; what it is itself is kept nowhere."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from noria.ledger.store import Store
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.times import duration

# How every token begins, so that people and scanners know one when they see it.
PREFIX = "noria_"
# When a token was used last is written once in so many seconds at most.
_NOTED_SECONDS = 60.0
# None holds longer than this, in seconds, unless it has no end.
_LONGEST = 10 * 365 * 86400.0
_SHOWN = "SELECT token_id, name, role, created_by, created_at, used_at, expires_at, revoked_at FROM tokens"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, as far as it may be shown; times in epoch seconds, `expires_at` None: never."""

    number: int
    name: str
    role: str
    created_by: str
    created_at: float
    used_at: float | None
    expires_at: float | None
    revoked_at: float | None

    def holds(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_token() -> str:
    """A new one: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def expiry(after: str, now: float) -> float | None:
    """When a token ends that is made now (epoch seconds) and holds so long (`90d`; `never`: None). Raises `NoriaError`
    (`expires`)."""
    if after == "never":
        return None
    try:
        seconds = duration(after)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        message, hint = Message("token.expires", {"value": after}), Message("token.expires_hint")
        raise NoriaError("expires", message, path="$.expires", hint=hint)
    return now + seconds


def digest_of(token: str) -> bytes:
    """By what a token is known again (SHA-256)."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Tokens:
    """Keeps tokens."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, name: str, role: str, token: str, by: str, now: float, expires_at: float | None) -> Token:
        """Keep a new token; raises `NoriaError` (`exists`) while another of that name is not revoked."""
        with self.store.transaction() as c:
            row = c.row(
                "INSERT INTO tokens (name, role, digest, created_by, created_at, expires_at)"
                " VALUES (:name, :role, :digest, :by, :now, :until) ON CONFLICT DO NOTHING RETURNING token_id",
                {"name": name, "role": role, "digest": digest_of(token), "by": by, "now": now, "until": expires_at},
            )
        if row is None:
            raise NoriaError("exists", Message("token.exists", {"name": name}), hint=Message("token.exists_hint"))
        return Token(row.token_id, name, role, by, now, None, expires_at, None)

    def known(self, digest: bytes, now: float) -> Token | None:
        """The token of a digest, whether it still holds or not; that it was used is noted where it does."""
        rows = self.store.tuples(f"{_SHOWN} WHERE digest = :digest", digest=digest)
        if not rows:
            return None
        found = Token(*rows[0])
        if found.holds(now) and (found.used_at is None or not 0 <= now - found.used_at < _NOTED_SECONDS):
            with self.store.transaction() as c:
                c.run("UPDATE tokens SET used_at = :now WHERE token_id = :t", {"now": now, "t": found.number})
        return found

    def page(self, *, before: int | None = None, limit: int = 50) -> list[Token]:
        """The newest tokens before the one numbered `before`."""
        rows = self.store.tuples(
            f"{_SHOWN} WHERE token_id < :before ORDER BY token_id DESC LIMIT :n",
            before=2**62 if before is None else before,
            n=limit,
        )
        return [Token(*row) for row in rows]

    def revoke(self, name: str, now: float) -> None:
        """From now on the token of that name is refused; raises `NoriaError` (`unknown_token`) when there is none."""
        with self.store.transaction() as c:
            done = c.run(
                "UPDATE tokens SET revoked_at = :now WHERE name = :name AND revoked_at IS NULL",
                {"now": now, "name": name},
            ).rowcount
        if not done:
            raise NoriaError("unknown_token", Message("token.unknown", {"name": name}))
