"""Connector `noria`: the platform itself (轻易云集成平台).

As a target it is 写入空操作, which writes nothing outside; as a source it gives the rows that other plans hand over
after their write (`callBackStrategy`). It has no address.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from noria.connectors.declaration import Connector
from noria.connectors.settings import HttpSettings


class NoriaSettings(msgspec.Struct, kw_only=True):
    """A connection to the platform itself."""

    connector: Annotated[str, Meta(description="连接器 | noria")] = "noria"
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"


NORIA = Connector(
    name="noria",
    title=("轻易云集成平台：写入空操作与回写", "the platform itself: empty operation and write-back"),
    settings_type=NoriaSettings,
    to_http=lambda settings: HttpSettings(connector="noria", base_url="http://localhost", timezone=settings.timezone),
    check=lambda settings, name, path: [],
    inside=True,
)
