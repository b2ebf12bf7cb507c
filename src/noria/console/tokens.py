"""The page of tokens: made for programs, seen once, revoked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from noria.console.access import Reader
from noria.console.answers import Revoked, TokenMade, TokensPage
from noria.console.asked import OlderThan, TokenAsked
from noria.console.denied import Denied
from noria.console.door import Door
from noria.console.endpoints import Endpoint, cut, does, shows
from noria.console.render import as_json, page, wants_json
from noria.ledger.tokens import expiry, new_token


class Tokens:
    """The tokens of a project."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def endpoints(self) -> list[Endpoint]:
        """The list, and what can be done; an admin's."""
        return [
            shows("tokens", "/tokens", self._list, TokensPage, takes=OlderThan, role="admin"),
            does("token_make", "/tokens", self._make, TokenMade, takes=TokenAsked, role="admin"),
            does("token_revoke", "/tokens/{name}/revoke", self._revoke, Revoked, role="admin"),
        ]

    async def _list(self, request: Request) -> Response:
        return page(request, "tokens.html", await self._shown(request, request.state.asked))

    async def _shown(self, request: Request, asked: OlderThan, made: TokenMade | None = None) -> TokensPage:
        rows = await self.door.desk.ask(lambda ledger: ledger.tokens.page(before=asked.before, limit=asked.limit + 1))
        tokens, more = cut(rows, asked.limit)
        return TokensPage(tokens=tokens, next=tokens[-1].number if more else None, made=made)

    async def _make(self, request: Request) -> Response:
        """A new token, which is in this answer and nowhere else."""
        asked: TokenAsked = request.state.asked
        reader: Reader = request.state.reader
        now, token = request.state.now, new_token()
        if not reader.may(asked.role):
            raise Denied(403, "console.not_yours")
        until = expiry(asked.expires, now)
        name = asked.name.strip()
        made = await self.door.desk.ask(
            lambda ledger: ledger.tokens.add(name, asked.role, token, reader.name, now, until)
        )
        await self.door.note(request, "token", None, name=made.name, role=made.role, expires_at=until)
        shown = TokenMade(done="token", plan=None, name=made.name, role=made.role, expires_at=until, token=token)
        if wants_json(request):
            return as_json(shown)
        # Not by way of a session, which a browser keeps.
        return page(request, "tokens.html", await self._shown(request, OlderThan(), shown))

    async def _revoke(self, request: Request) -> Response:
        name, now = request.path_params["name"], request.state.now
        await self.door.desk.ask(lambda ledger: ledger.tokens.revoke(name, now))
        return await self.door.noted(request, "token_revoke", None, "/tokens", name=name)
