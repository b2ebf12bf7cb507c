"""Connector `jushuitan`: 聚水潭, whose requests are signed forms with what they ask for as JSON in `biz`.

A plan names an endpoint by its path, or by its method (`jushuitan.itemsku.upload`). Order lists show seven days at
once: a plan that asks from LAST_SYNC_TIME to CURRENT_TIME is read in windows of that length, one without times is
answered as the vendor answers it (it wants `modified_begin` and `modified_end`, or numbers of documents).

Sources: clients that restate openweb.jushuitan.com (documents 30, 34, 70), as the project's reference has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from noria.connectors.auth import Fetched, Token
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.failures import Failure
from noria.connectors.forms import FORM, asked, encoded, md5, posted
from noria.connectors.joined import Joined
from noria.connectors.settings import Envelope, HttpSettings, Limits, Paging, Write, within
from noria.connectors.transport import Request, Transport
from noria.metadata.clock import Clock
from noria.metadata.paths import at
from noria.metadata.plan import Split
from noria.metadata.secrets import Redactor

_REFRESH = "/openWeb/auth/refreshToken"
# After so many seconds it is looked for what another process has got, which has used the refresh token first.
_MEANWHILE = (0.5, 2.0)


class JushuitanSettings(msgspec.Struct, kw_only=True):
    """A connection to 聚水潭. With a refresh token a new access token is asked for when one was refused; that ends the
    old one, and may end the refresh token. What came is kept for all processes, until another refresh token is given
    here."""

    connector: Annotated[str, Meta(description="连接器 | jushuitan")] = "jushuitan"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "https://openapi.jushuitan.com"
    )
    app_key: Annotated[str, Meta(description="应用的 app_key | the application's app_key")] = ""
    app_secret: Annotated[str, Meta(description="应用的 app_secret | its app_secret")] = ""
    access_token: Annotated[str, Meta(description="授权得到的 access_token | the access token it was given")] = ""
    refresh_token: Annotated[
        str,
        Meta(description="refresh_token，access_token 失效后用它换新的 | gets a new access token when that is refused"),
    ] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Signed(Fetched):
    """The access token, another one when it was refused; and the form around `biz`."""

    def __init__(self, own: JushuitanSettings, settings: HttpSettings, redactor: Redactor, clock: Clock) -> None:
        super().__init__(redactor, clock, math.inf)
        self.own = own
        self._token, self._expires = own.access_token, math.inf
        self._refresh = own.refresh_token
        self._refused: str | None = None
        self._remembered = False

    async def token(self, transport: Transport, path: str) -> str | None:
        """The token that is known, to whichever process."""
        if not self._remembered:
            self._remembered = True
            self._recall(transport)
        return await super().token(transport, path)

    def renew(self, refused: str | None) -> bool:
        """Only with a refresh token."""
        self._refused = refused
        return bool(self._refresh) and super().renew(refused)

    async def asked(self, transport: Transport) -> Token:
        """What another process has got meanwhile; else with the refresh token, which may be replaced."""
        if self._recall(transport):
            return Token(str(self._token), None)
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh, "scope": "all"}
        for pause in (*_MEANWHILE, None):
            try:
                reply = await self.reply(transport, "POST", _REFRESH, self._form(form, self.clock.now()), "form")
                token = self.token_in(reply, "data.access_token", "data.expires_in")
                break
            except Failure as failure:
                # Another process may have used the refresh token a moment ago.
                if failure.kind != "auth" or pause is None:
                    raise
            await self.clock.sleep(pause)
            if self._recall(transport):
                return Token(str(self._token), None)
        again = at(reply, "data.refresh_token")
        self._refresh = again if isinstance(again, str) and again else self._refresh
        self.redactor.hide(token.text, self._refresh)
        kept = {"given": self.own.refresh_token, "access": token.text, "refresh": self._refresh}
        transport.memory.write(self.own.app_secret, kept)
        return token

    def _recall(self, transport: Transport) -> bool:
        """Take the tokens that are kept, where they came of the refresh token that is given; whether that is another
        access token than the one that was refused."""
        kept = transport.memory.read(self.own.app_secret)
        if not self.own.refresh_token or kept.get("given") != self.own.refresh_token:
            return False
        self.redactor.hide(kept["access"], kept["refresh"])
        self._refresh = kept["refresh"]
        if kept["access"] == self._refused:
            return False
        self._token, self._expires = kept["access"], math.inf
        return True

    def dress(self, request: Request, now: float) -> Request:
        """The form, signed as it is sent."""
        # A method is the path without its beginning.
        path = request.path if "/" in request.path else "/open/" + request.path.replace(".", "/")
        biz = encoded(asked(request))
        return posted(request, path, self._form({"access_token": str(self._token), "version": "2", "biz": biz}, now))

    def _form(self, more: Mapping[str, str], now: float) -> dict[str, str]:
        form = {"app_key": self.own.app_key, "timestamp": str(int(now)), "charset": "utf-8", **more}
        return {**form, "sign": sign(form, self.own.app_secret)}


def sign(form: Mapping[str, str], secret: str) -> str:
    """A form's signature: of the secret, then keys and values in the keys' order without those that are empty."""
    return md5(secret + "".join(key + form[key] for key in sorted(form) if key != "sign" and form[key]))


def _to_http(own: JushuitanSettings) -> HttpSettings:
    return HttpSettings(
        connector="jushuitan",
        base_url=own.base_url,
        headers=FORM,
        timezone=own.timezone,
        envelope=Envelope(
            records="data.datas|data.orders",
            total="data.data_count",
            code="code",
            success=[0],
            message="msg",
            expired=[100],
            # 5 a second, and 100 a minute.
            throttled=[199, 200],
            waits={"199": 1, "200": 60},
        ),
        # 50 is the most that every list takes.
        paging=Paging(
            type="page", page_param="page_index", size_param="page_size", first=1, size=50, more="data.has_next"
        ),
        limits=within(own.limits, Limits(vendor="jushuitan")),
        write=Write(batch_size=1),
    )


_WEEK = Split(window="7d")
_UPLOAD = Write(
    batch_size=200,
    batch_key="items",
    results="data.datas",
    result_id="sku_id",
    result_ok="is_success",
    result_message="msg",
)

ENDPOINTS = (
    Endpoint(
        "/open/orders/single/query",
        "POST",
        name="订单查询",
        reads="list",
        split=_WEEK,
        records="data.orders",
        id="o_id",
        number="so_id",
    ),
    Endpoint(
        "/open/orders/out/simple/query",
        "POST",
        name="销售出库查询",
        reads="list",
        split=_WEEK,
        records="data.datas",
        id="io_id",
        number="so_id",
    ),
    Endpoint("/open/jushuitan/itemsku/upload", "POST", name="普通商品资料上传", write=_UPLOAD),
    Endpoint("jushuitan.itemsku.upload", "POST", name="普通商品资料上传", write=_UPLOAD),
)

JUSHUITAN = Connector(
    name="jushuitan",
    title=("聚水潭", "Jushuitan"),
    settings_type=JushuitanSettings,
    to_http=_to_http,
    check=needs("jushuitan", ("app_key", "app_secret", "access_token")),
    endpoints=ENDPOINTS,
    authenticate=_Signed,
    target_type=Joined,
    upserts=True,
)
