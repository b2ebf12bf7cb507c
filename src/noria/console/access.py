"""Who may see and do what: users with passwords and roles, sessions, tokens against forged requests.

Without users the console answers this machine only, and whoever sits at it may do everything. With users everybody logs
in, wherever from.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import Request

from noria.console.denied import Denied
from noria.console.guesses import Guesses
from noria.engine import Workspace
from noria.metadata.project import User
from noria.metadata.secrets import resolve

ROLES = ("viewer", "operator", "admin")
_HASHER = PasswordHasher()
# Verified in vain where there is no such user, so that the answer takes as long.
_NOBODY = _HASHER.hash(secrets.token_hex(8))


@dataclass(frozen=True)
class Reader:
    """Who asks: a name, and what they may do."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether they may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Access:
    """Knows a project's users, and keeps guessing slow."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.guesses = Guesses(workspace.clock.steady)

    @property
    def users(self) -> dict[str, User]:
        """As `noria.toml` has them now."""
        return self.workspace.project.console.users

    @property
    def open(self) -> bool:
        """Whether nobody needs to log in, because only this machine is answered."""
        return not self.users

    def reader(self, request: Request) -> Reader | None:
        """Who asks; None when they have to log in. Raises `Denied` when they may not ask at all."""
        if self.open:
            if not _local(request):
                raise Denied(403, "console.local_only")
            return Reader("local", "admin")
        name = request.session.get("user")
        user = self.users.get(name) if isinstance(name, str) else None
        if user is None or request.session.get("of") != _print_of(self._known(user)):
            return None
        return Reader(str(name), user.role)

    def log_in(self, request: Request, name: str, password: str) -> Reader:
        """A session for somebody who knows the password; raises `Denied`."""
        address = request.client.host if request.client else ""
        keys = (f"address {address}", f"name {name[:100]}")
        # Counted before it is looked at, since that takes its time and others may try meanwhile.
        self.guesses.refuse(keys)
        self.guesses.count(keys)
        user = self.users.get(name)
        known = self._known(user) if user is not None else _NOBODY
        try:
            _HASHER.verify(known, password)
        except (VerificationError, InvalidHashError):
            user = None
        if user is None:
            raise Denied(401, "console.wrong_password")
        self.guesses.forget(keys)
        request.session.clear()
        request.session.update({"user": name, "of": _print_of(known)})
        return Reader(name, user.role)

    def _known(self, user: User) -> str:
        return resolve(user.password, self.workspace.project.folder)


def hashed(password: str) -> str:
    """A password as `noria.toml` keeps it (argon2id)."""
    return _HASHER.hash(password)


def _print_of(stored: str) -> str:
    """What ties a session to a password: another one ends it."""
    return hmac.digest(b"noria.session", stored.encode(), "sha256").hex()[:16]


def _local(request: Request) -> bool:
    """Whether a request comes from this machine and means it: a page elsewhere must not reach it by another name."""
    host = request.client.host if request.client else ""
    return _loopback(host) and _loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def forgery_token(session: dict[str, Any]) -> str:
    """The token that a session's forms carry."""
    return str(session.setdefault("token", secrets.token_urlsafe(24)))


def refuse_forgery(request: Request, given: str) -> None:
    """Raise `Denied` unless a change was asked for by one of our own pages, which know the session's token."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Denied(403, "console.forged")
    known = request.session.get("token")
    if not isinstance(known, str) or not hmac.compare_digest(known.encode(), given.encode()):
        raise Denied(403, "console.forged")
