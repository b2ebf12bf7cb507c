"""Who asks with a token (`Authorization: Bearer noria_…`)."""

from __future__ import annotations

from starlette.requests import Request

from noria.console.access import Reader
from noria.console.denied import Denied
from noria.console.desk import Desk
from noria.console.guesses import Guesses
from noria.ledger.tokens import digest_of
from noria.metadata.clock import Clock

# So many tokens that were right are remembered; whoever shows one of them is not guessing.
_REMEMBERED = 1000


def bearer(request: Request) -> str | None:
    """The token that a request shows; None when it shows none."""
    kind, _, given = request.headers.get("authorization", "").strip().partition(" ")
    return given.strip() if kind.lower() == "bearer" else None


class Bearers:
    """Knows the ledger's tokens, and keeps guessing slow."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self.desk = desk
        self.clock = clock
        self.guesses = Guesses(clock.steady)
        self._right: dict[bytes, None] = {}

    async def reader(self, request: Request, given: str) -> Reader:
        """Whose token it is; raises `Denied` for one that is unknown, expired or revoked."""
        digest, now = digest_of(given), self.clock.now()
        address = (f"address {request.client.host if request.client else ''}",)
        guessed = digest not in self._right
        if guessed:
            self.guesses.refuse(address)
        found = await self.desk.ask(lambda ledger: ledger.tokens.known(digest, now))
        if guessed:
            # Others may have guessed meanwhile.
            self.guesses.refuse(address)
        if found is None:
            self.guesses.count(address)
            raise Denied(401, "api.bad_token")
        if not found.holds(now):
            raise Denied(401, "api.bad_token")
        self._right[digest] = None
        if len(self._right) > _REMEMBERED:
            del self._right[next(iter(self._right))]
        return Reader(f"token:{found.name}", found.role)
