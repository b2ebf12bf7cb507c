"""When fixed tokens of connections run out: by what the connection says (`auth.expires`), else by the token itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from noria.metadata.errors import NoriaError
from noria.metadata.project import Project
from noria.metadata.secrets import Redactor, resolve_all
from noria.metadata.times import start_of

# A JSON Web Token (RFC 7519): header, claims, signature; also behind "Bearer ".
_JWT = re.compile(r"\beyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]*")


class _Claims(msgspec.Struct):
    exp: int | float


def expiries(project: Project, redactor: Redactor) -> dict[str, float]:
    """By connection the time (epoch seconds) at which the first of its fixed tokens runs out, where that is known. A
    token that noria gets by itself (oauth2, 小满) is renewed by itself and not among them."""
    found = {}
    for name, table in project.connections.items():
        said = table.get("auth", {}).get("expires") if isinstance(table.get("auth"), dict) else None
        try:
            times = [start_of(said)] if said else list(_claimed(resolve_all(table, project.folder, redactor=redactor)))
        except (NoriaError, ValueError):
            continue  # `noria check` says what is wrong with it
        if times:
            found[name] = min(times)
    return found


def _claimed(settings: Any) -> Iterator[float]:
    if isinstance(settings, dict):
        for value in settings.values():
            yield from _claimed(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _claimed(value)
    elif isinstance(settings, str):
        for claims in _JWT.findall(settings):
            try:
                yield float(msgspec.json.decode(base64.urlsafe_b64decode(claims + "=="), type=_Claims).exp)
            except (ValueError, msgspec.MsgspecError):
                continue
