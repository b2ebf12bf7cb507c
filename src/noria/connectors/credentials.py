"""Whether a connection's table has what its requests are proved with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from noria.messages import Message
from noria.metadata.errors import Problem


def needs(connector: str, keys: Sequence[str], instead: Sequence[str] = ()) -> Callable[[Any, str, str], list[Problem]]:
    """A connector's `check`: a connection has all of these settings, or one of those that serve `instead`, as a group
    robot's does."""

    def check(own: Any, name: str, path: str) -> list[Problem]:
        lacking = [key for key in keys if not getattr(own, key)]
        if not lacking or any(getattr(own, key) for key in instead):
            return []
        words = ", ".join(keys) + (f" ({', '.join(instead)})" if instead else "")
        return [
            Problem(
                Message("connection.credentials", {"connector": connector, "keys": words}),
                f"{path}.{lacking[0]}",
                Message("connection.credentials_hint", {"name": name, "key": lacking[0]}),
            )
        ]

    return check
