"""Connector `NAME`: what the system is, and from which documents this was written."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Write


class Settings(msgspec.Struct, kw_only=True):
    """What `noria.toml` says of a connection; each setting with its meaning in 中文 | English."""

    connector: Annotated[str, Meta(description="连接器 | NAME")] = "NAME"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")]
    app_key: Annotated[str, Meta(description="应用的 key | the application's key")] = ""
    app_secret: Annotated[str, Meta(description="应用的密钥 | the application's secret")] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(
        default_factory=lambda: Limits(per_second=20)
    )


def _to_http(own: Settings) -> HttpSettings:
    return HttpSettings(
        connector="NAME",
        base_url=own.base_url,
        timezone=own.timezone,
        # How requests prove who sends them: here a token that is asked for, and sent in the query.
        auth=Auth(
            type="token",
            token_url="/token",
            request={"app_key": own.app_key, "app_secret": own.app_secret},
            body="json",
            token_path="data.token",
            expires_path="data.seconds",
            sent_in="query",
            name="token",
        ),
        # Where an answer has what, and what its codes mean.
        envelope=Envelope(
            records="data.items",
            total="data.total",
            code="code",
            success=[0],
            message="message",
            expired=[40101],
            throttled=[42901],
            waits={"42901": 1},
        ),
        paging=Paging(type="page", page_param="page", size_param="size", first=1, size=50),
        limits=own.limits,
        # How records are written, and where the answer says how each went.
        write=Write(batch_size=20, batch_key="items", results="data.results", idempotency_header="Idempotency-Key"),
    )


CONNECTOR = Connector(
    name="NAME",
    title=("NAME", "NAME"),
    settings_type=Settings,
    to_http=_to_http,
    check=needs("NAME", ("app_key", "app_secret")),
    endpoints=(
        Endpoint("/items", "GET", name="items", reads="list", id="id", number="name"),
        Endpoint("/items/batch", "POST", name="write items"),
    ),
)
