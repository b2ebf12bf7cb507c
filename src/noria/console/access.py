"""Who may see and do what: users with passwords and roles, sessions, tokens against forged requests.

Without users the console answers this machine only, and whoever sits at it may do everything. With users everybody logs
in, wherever from.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import Request

from noria.engine import Workspace
from noria.metadata.project import User
from noria.metadata.secrets import resolve

ROLES = ("viewer", "operator", "admin")
# Failed log-ins from one address, or of one name, within this many seconds: no more than so many.
_WINDOW, _MOST = 300.0, 5
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


class Denied(Exception):
    """A request that is not answered as asked: the HTTP status, and a catalogue key that says why."""

    def __init__(self, status: int, key: str) -> None:
        super().__init__(key)
        self.status = status
        self.key = key


class Access:
    """Knows a project's users, and keeps guessing slow."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._tried: dict[str, deque[float]] = {}

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
        self._try(keys)
        user = self.users.get(name)
        known = self._known(user) if user is not None else _NOBODY
        try:
            _HASHER.verify(known, password)
        except (VerificationError, InvalidHashError):
            user = None
        if user is None:
            raise Denied(401, "console.wrong_password")
        for key in keys:
            self._tried.pop(key, None)
        request.session.clear()
        request.session.update({"user": name, "of": _print_of(known)})
        return Reader(name, user.role)

    def _known(self, user: User) -> str:
        return resolve(user.password, self.workspace.project.folder)

    def _try(self, keys: Sequence[str]) -> None:
        """Count a try; raises `Denied` when there were too many."""
        now = self.workspace.clock.steady()
        for key, recent in list(self._tried.items()):
            while recent and recent[0] <= now - _WINDOW:
                recent.popleft()
            if not recent:
                del self._tried[key]
        if any(len(self._tried.get(key, ())) >= _MOST for key in keys):
            raise Denied(429, "console.too_often")
        for key in keys:
            self._tried.setdefault(key, deque()).append(now)


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


async def refuse_forgery(request: Request) -> None:
    """Raise `Denied` unless a change was asked for by one of our own pages."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Denied(403, "console.forged")
    given = request.headers.get("x-token")
    if given is None:
        # As many fields as a large plan has in the editor.
        form = await request.form(max_fields=20_000)
        given = str(form.get("token", ""))
    known = request.session.get("token")
    if not isinstance(known, str) or not hmac.compare_digest(known.encode(), given.encode()):
        raise Denied(403, "console.forged")
