"""Connector `qeasy`: the open API of 轻易云, whose schemes take records in and give them out.

Source: the documents of `qeasy-cloud/datahub` (V2), as restated in the project's reference. They say of a token that it
goes into the query, or into a header: here it goes into the query, as with every endpoint's own page; and show a
query's answer in three forms, which are all read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.connectors.batches import Batches
from noria.connectors.credentials import needs
from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.envelope import unwrapped
from noria.connectors.failures import Failure
from noria.connectors.settings import Auth, Envelope, HttpSettings, Limits, Paging, Verify, Write, within
from noria.connectors.target import Row, Written
from noria.connectors.transport import Answer
from noria.messages import Message
from noria.metadata.paths import at

_SCHEME = "/v2/open-api/business/{scheme_id}"
_RECORDS = "content.list|content.rows|content"
_SIZE = 100


class QeasySettings(msgspec.Struct, kw_only=True):
    """A connection to 轻易云, as one of its applications."""

    connector: Annotated[str, Meta(description="连接器 | qeasy")] = "qeasy"
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")] = (
        "https://api.qeasy.cloud"
    )
    app_key: Annotated[str, Meta(description="应用的 app_key | the application's app_key")] = ""
    app_secret: Annotated[str, Meta(description="它的 app_secret | its app_secret")] = ""
    id_field: Annotated[
        str,
        Meta(
            description="写入的数据中唯一的字段：据此查询结果不明的写入，并成批写入；缺省逐条写入"
            " | the field that tells written records apart: sends in doubt are asked for by it, and records go in"
            " batches; without it they go one by one"
        ),
    ] = ""
    timezone: Annotated[str, Meta(description="时区 | zone of times without one")] = "Asia/Shanghai"
    limits: Annotated[Limits, Meta(description="限制，缺省为厂商公布的 | limits; the vendor's if not said")] = (
        msgspec.field(default_factory=Limits)
    )


class _Store(Batches):
    """A store keeps a record again whenever it comes again, and counts those it refuses without naming them."""

    def _results(self, answer: Answer, rows: Sequence[Row]) -> list[Message | None]:
        """All, none, or nobody knows which."""
        results = super()._results(answer, rows)
        body = msgspec.json.decode(answer.body)
        inserted, failed = at(body, "content.inserted"), at(body, "content.failed")
        if not failed or not isinstance(failed, int):
            return results
        if inserted == 0 or failed >= len(rows):
            return [self.refusal(self.transport.excerpt(answer.body))] * len(rows)
        return [Message("reason.no_result")] * len(rows)

    async def send(
        self, body: bytes, key: str, rows: Sequence[Row], before: Callable[[], None] = lambda: None
    ) -> Written:
        """As elsewhere; where some records of a batch were refused, the scheme is asked which it has."""
        written = await super().send(body, key, rows, before)
        if not written.silent or not self.can_verify:
            return written
        try:
            there = [await self.has(row) for row in rows]
        except Failure:
            return written
        if there.count(False) != at(msgspec.json.decode(written.answer.body), "content.failed"):
            return written
        refused = self.refusal(self.transport.excerpt(written.answer.body))
        return replace(written, rows=[None if found else refused for found in there], silent=frozenset())

    async def shown(self, verify: Verify, row: Row, asked: Any) -> tuple[Answer, list[bytes]]:
        """What the scheme has of a record; raises `Failure` for one that lacks the field."""
        payload = msgspec.json.decode(row.payload) if row.payload else None
        if isinstance(payload, dict) and payload.get(verify.param) in (None, ""):
            raise Failure("permanent", Message("http.not_verified", {"answer": verify.param}))
        query = {"page": 1, "pageSize": _SIZE, f"CONTENT_{verify.param}": asked}
        path = f"{self.api.rstrip('/').rpartition('/')[0]}/{verify.api}"
        answer = await self.transport.send("POST", path, body=msgspec.json.encode(query))
        envelope = msgspec.structs.replace(self.settings.envelope, total="")
        found = unwrapped(answer, envelope, self.transport)[0]
        return answer, [bytes(msgspec.json.decode(one, type=dict[str, msgspec.Raw])["content"]) for one in found]


def _to_http(own: QeasySettings) -> HttpSettings:
    verify = Verify(api="query", param=own.id_field) if own.id_field else None
    return HttpSettings(
        connector="qeasy",
        base_url=own.base_url,
        timezone=own.timezone,
        auth=Auth(
            type="token",
            token_url="/v2/oauth",
            request={"app_key": own.app_key, "app_secret": own.app_secret},
            body="json",
            token_path="content.access_token",
            expires_path="content.expires_in",
            sent_in="query",
            name="access_token",
            expires_in=7200,
        ),
        envelope=Envelope(
            records=_RECORDS,
            total="content.total",
            code="code",
            success=[0],
            message="message",
            expired=[40102],
            throttled=[42901],
            # Who comes too often is not answered for five minutes.
            waits={"42901": 300},
        ),
        paging=Paging(type="page", page_param="page", size_param="pageSize", first=1, size=_SIZE),
        limits=within(own.limits, Limits(vendor="qeasy")),
        write=Write(batch_size=_SIZE if own.id_field else 1, batch_key="content", verify=verify),
    )


ENDPOINTS = (
    Endpoint(f"{_SCHEME}/query", "POST", "查询方案数据", reads="list", id="id", number="id"),
    Endpoint(f"{_SCHEME}/store", "POST", "写入方案"),
    Endpoint(f"{_SCHEME}/store-dispatch", "POST", "写入方案并触发目标"),
)

QEASY = Connector(
    name="qeasy",
    title=("轻易云", "Qeasy"),
    settings_type=QeasySettings,
    to_http=_to_http,
    check=needs("qeasy", ("app_key", "app_secret")),
    endpoints=ENDPOINTS,
    target_type=_Store,
)
