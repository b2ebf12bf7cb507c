"""How a request can fail, and what each kind asks for."""

from __future__ import annotations

from typing import Any, Literal

from noria.messages import Message

# transient: try again; throttled: wait as told, then try again; auth: credentials are refused; permanent: the same
# request will be refused again; doubt: it may have been carried out, nobody knows.
Kind = Literal["transient", "throttled", "auth", "permanent", "doubt"]


class Failure(Exception):
    """A request that failed. `retry_after` in seconds when the server said so; `answer` is the start of its body,
    `code` the business code inside it. `restart`: the list must be read from its first page again."""

    def __init__(
        self,
        kind: Kind,
        message: Message,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        answer: bytes | None = None,
        request: str = "",
        code: Any = None,
    ) -> None:
        super().__init__(message.key)
        self.kind: Kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.answer = answer
        self.request = request
        self.code = code
        self.restart = False

    def __str__(self) -> str:
        return str(self.message)
