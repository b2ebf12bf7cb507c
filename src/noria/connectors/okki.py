"""Connector `okki`: 小满 OKKI CRM, after the vendor's pages (open.xiaoman.cn) as restated in the project's reference.

With `client_id` and `client_secret` it speaks the vendor's own API: OAuth token, success code 200 inside an HTTP 200,
lists under `data` or `data.list`, pages by `start_index` (a page number) and `count`. With a `token` it sends that as a
bearer token and every parameter as the plan has it, and takes bare arrays as well as envelopes.

`data/okki.json` says of each endpoint what it takes and gives. A push edits where it has the record's id (of orders and
registered receipts also their number), and else makes a record: in doubt, what is there by its number was written, and
what has neither is held. `/v1/invoices/quotation/info`, a GET that is documented with a body, is asked by parameters.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Write
from noria.messages import Message
from noria.metadata.errors import Problem

SCOPES = (
    "product company lead opportunity invoices user costInvoice paymentInvoice purchaseOrder warehouse capitalAccount"
)
# 8 hours, the documented lifetime, where an answer names none (the client_credentials reply usually doesn't).
_TOKEN_SECONDS = 28800


class OkkiSettings(msgspec.Struct, kw_only=True):
    """A connection to 小满 OKKI CRM."""

    connector: Annotated[str, Meta(description="连接器 | okki")] = "okki"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "https://api-sandbox.xiaoman.cn"
    )
    client_id: Annotated[str, Meta(description="API对接 中的 client_id | from OKKI's API settings")] = ""
    client_secret: Annotated[str, Meta(description="API对接 中的 client_secret | likewise")] = ""
    scope: Annotated[
        str,
        Meta(
            description="授权范围，空格分隔；供应商、统计另需 supplier、report"
            " | scopes, separated by blanks; suppliers and reports need supplier and report besides"
        ),
    ] = SCOPES
    token_body: Annotated[
        Literal["auto", "json", "form"], Meta(description="取令牌的请求体 | body of the token request")
    ] = "auto"
    token: Annotated[str, Meta(description="固定令牌（代替 client_id） | a fixed token instead of client_id")] = ""
    auth: Annotated[Auth | None, Meta(description="固定令牌的另一种写法 | another way to write the token")] = None
    headers: Annotated[dict[str, str], Meta(description="附加请求头 | further headers")] = msgspec.field(
        default_factory=dict
    )
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)
    envelope: Annotated[Envelope | None, Meta(description="响应结构（通常不用写） | shape of answers")] = None
    paging: Annotated[Paging | None, Meta(description="分页（通常不用写） | paging")] = None
    write: Annotated[Write | None, Meta(description="写入 | writing")] = None


def _to_http(settings: OkkiSettings) -> HttpSettings:
    if settings.auth is not None and settings.auth.type != "none":
        auth = settings.auth
    elif settings.token:
        auth = Auth(type="bearer", token=settings.token)
    else:
        auth = Auth(
            type="oauth2",
            token_url="/v1/oauth2/access_token",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            scope=settings.scope,
            body=settings.token_body,
            expires_in=_TOKEN_SECONDS,
        )
    return HttpSettings(
        connector="okki",
        base_url=settings.base_url,
        headers=settings.headers,
        timezone=settings.timezone,
        auth=auth,
        envelope=settings.envelope
        or Envelope(
            records="data.list|data",
            total="data.totalItem|data.count",
            code="code",
            success=[200],
            message="message",
            now="now",
        ),
        paging=settings.paging or Paging(type="page", page_param="start_index", size_param="count", first=1, size=100),
        limits=settings.limits,
        # Pushes take one object a request and know no idempotency key: what is written to again is said of each.
        write=settings.write or Write(batch_size=1),
    )


def _check(settings: OkkiSettings, name: str, path: str) -> list[Problem]:
    fixed = settings.token or (settings.auth is not None and settings.auth.type != "none")
    if fixed or (settings.client_id and settings.client_secret):
        return []
    key = "client_secret" if settings.client_id else "client_id"
    return [Problem(Message("connection.okki_credentials"), f"{path}.{key}", Message("connection.okki_hint"))]


def _endpoints() -> tuple[Endpoint, ...]:
    text = resources.files("noria.connectors").joinpath("data/okki.json").read_bytes()
    return tuple(msgspec.json.decode(text, type=list[Endpoint]))


OKKI = Connector(
    name="okki",
    title=("小满 OKKI CRM", "Xiaoman OKKI CRM"),
    settings_type=OkkiSettings,
    to_http=_to_http,
    check=_check,
    endpoints=_endpoints(),
    auth_codes=frozenset({"access_denied"}),
    paged_by="start_index",
    upserts=True,
    # Fields that users define go by their numbers.
    own_field=str.isdecimal,
    # The vendor's API refuses parameters it doesn't know; the article's server is sent what the plan says.
    strict_parameters=lambda settings: settings.auth.type == "oauth2",
)
