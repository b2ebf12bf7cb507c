"""Connector `http`: any JSON API, described by the connection's settings."""

from __future__ import annotations

from noria.connectors.declaration import Connector
from noria.connectors.settings import AUTH_NEEDS, HttpSettings
from noria.messages import Message
from noria.metadata.errors import Problem
from noria.metadata.times import start_of
from noria.metadata.validation import shown

_PAGING_NEEDED = {"page": "page_param", "offset": "offset_param", "cursor": "next"}


def _check(settings: HttpSettings, name: str, path: str) -> list[Problem]:
    found = []
    auth = settings.auth
    named = auth.type == "token" and auth.sent_in != "bearer"
    for key in (*AUTH_NEEDS[auth.type], *(("name",) if named else ())):
        if not getattr(auth, key):
            message = Message("connection.auth_incomplete", {"type": auth.type, "key": key})
            hint = Message("connection.auth_hint", {"name": name, "key": key})
            found.append(Problem(message, f"{path}.auth.{key}", hint))
    try:
        if auth.expires:
            start_of(auth.expires)
    except ValueError:
        message = Message("check.time", {"value": shown(auth.expires)})
        found.append(Problem(message, f"{path}.auth.expires", Message("check.time_hint")))
    needed = _PAGING_NEEDED.get(settings.paging.type)
    if needed and not getattr(settings.paging, needed):
        message = Message("connection.paging_incomplete", {"type": settings.paging.type, "key": needed})
        found.append(Problem(message, f"{path}.paging.{needed}", Message("valid.needs_text")))
    return found


HTTP = Connector(
    name="http",
    title=("任意 JSON 接口", "any JSON API"),
    settings_type=HttpSettings,
    to_http=lambda settings: settings,
    check=_check,
)
