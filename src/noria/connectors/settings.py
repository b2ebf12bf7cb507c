"""A connection's settings: what `noria.toml` may say about a system reached over HTTP, declared once.

A plan's `options.source` and `options.target` override any of them. Times in seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Number = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]


class Auth(msgspec.Struct, kw_only=True):
    """How requests prove who they are."""

    type: Annotated[
        Literal["none", "bearer", "basic", "header", "query", "oauth2", "token"], Meta(description="认证方式 | kind")
    ] = "none"
    token: Annotated[str, Meta(description="bearer：令牌 | the token")] = ""
    expires: Annotated[
        str,
        Meta(
            description="固定令牌的到期日，用于告警；JWT 自带 | when a fixed token runs out, for alerts; a JWT has it"
        ),
    ] = ""
    username: Annotated[str, Meta(description="basic：用户名 | user")] = ""
    password: Annotated[str, Meta(description="basic：密码 | password")] = ""
    name: Annotated[
        str, Meta(description="header、query、token：请求头或参数的名称 | name of the header or parameter")
    ] = ""
    value: Annotated[str, Meta(description="header、query：值 | its value")] = ""
    token_url: Annotated[str, Meta(description="oauth2、token：取令牌的地址 | where tokens are given out")] = ""
    token_method: Annotated[
        Literal["GET", "POST"], Meta(description="token：取令牌的方法 | method of the token request")
    ] = "POST"
    request: Annotated[
        dict[str, Any],
        Meta(description="token：取令牌的参数，密钥写 env:名称 | parameters of the token request; secrets as env:NAME"),
    ] = msgspec.field(default_factory=dict)
    token_path: Annotated[str, Meta(description="token：令牌在回答中的路径 | where the answer has the token")] = (
        "access_token"
    )
    expires_path: Annotated[
        str, Meta(description="token：有效秒数在回答中的路径 | where the answer says how many seconds it holds")
    ] = "expires_in"
    sent_in: Annotated[
        Literal["bearer", "header", "query"],
        Meta(description="token：放在哪里发送 | where it is sent: Authorization, another header, or the query"),
    ] = "bearer"
    client_id: Annotated[str, Meta(description="oauth2")] = ""
    client_secret: Annotated[str, Meta(description="oauth2")] = ""
    scope: Annotated[str, Meta(description="oauth2：范围 | scopes, separated by blanks")] = ""
    body: Annotated[
        Literal["auto", "form", "json"],
        Meta(description="oauth2、token：请求体格式 | body of the token request"),
    ] = "form"
    expires_in: Annotated[
        Number, Meta(description="oauth2、token：未返回有效期时的默认值 | lifetime where the answer names none")
    ] = 3600


# What each kind of authentication can't do without.
AUTH_NEEDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("token",),
    "basic": ("username",),
    "header": ("name", "value"),
    "query": ("name", "value"),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "token": ("token_url",),
}


class Envelope(msgspec.Struct, kw_only=True):
    """Where things are in an answer. Dotted paths; "" is the whole body (or: not there)."""

    records: Annotated[str, Meta(description="数据列表 | the records")] = ""
    total: Annotated[str, Meta(description="总数 | how many there are in all")] = ""
    code: Annotated[str, Meta(description="业务码 | the business code")] = ""
    success: Annotated[list[Any], Meta(description="表示成功的业务码 | codes that mean success")] = msgspec.field(
        default_factory=lambda: [0, 200]
    )
    expired: Annotated[
        list[Any], Meta(description="表示令牌失效的业务码 | codes that mean the token is no longer valid")
    ] = msgspec.field(default_factory=list)
    throttled: Annotated[list[Any], Meta(description="表示限流的业务码 | codes that mean too many requests")] = (
        msgspec.field(default_factory=lambda: [429, 42901])
    )
    waits: Annotated[
        dict[str, Number],
        Meta(description="限流业务码之后等待的秒数 | how many seconds nobody sends after a code of too many requests"),
    ] = msgspec.field(default_factory=dict)
    doubt: Annotated[
        list[Any],
        Meta(description="表示结果不明的业务码，如超时 | codes that mean nobody knows, such as a time-out behind it"),
    ] = msgspec.field(default_factory=list)
    message: Annotated[str, Meta(description="错误说明 | the error's text")] = ""
    now: Annotated[str, Meta(description="对方当前时间 | the system's own time")] = ""


class Paging(msgspec.Struct, kw_only=True):
    """How a list is read page by page."""

    type: Annotated[Literal["none", "page", "offset", "cursor", "link"], Meta(description="分页方式 | kind")] = "none"
    page_param: Annotated[str, Meta(description="页码参数 | parameter of the page number")] = "page"
    size_param: Annotated[str, Meta(description="每页条数参数 | parameter of the page's size")] = ""
    first: Annotated[int, Meta(description="首页页码 | number of the first page")] = 1
    size: Annotated[int, Meta(ge=1, description="每页条数 | rows a page")] = 100
    offset_param: Annotated[str, Meta(description="行偏移参数 | parameter of the row offset")] = "offset"
    cursor_param: Annotated[str, Meta(description="游标参数 | parameter of the cursor")] = "cursor"
    cursor_start: Annotated[
        int | str | None,
        Meta(
            description="首页的游标，缺省不发送；是数字时都按数字发送"
            " | the first page's cursor; where it is a number, all are"
        ),
    ] = None
    next: Annotated[str, Meta(description="下一游标的路径 | where the next cursor is")] = "next_cursor"
    more: Annotated[str, Meta(description="是否还有下一页的路径 | where it says whether there is more")] = ""
    restart: Annotated[
        list[Any],
        Meta(description="表示须从首页重读的状态码或业务码 | statuses or codes that ask to read from the first page"),
    ] = msgspec.field(default_factory=list)
    end: Annotated[
        list[Any],
        Meta(description="表示已在末页之后的状态码或业务码 | statuses or codes that mean behind the last page"),
    ] = msgspec.field(default_factory=list)


class Rates(msgspec.Struct, kw_only=True):
    """How many requests. 0: no limit."""

    per_second: Annotated[Number, Meta(description="每秒请求数 | requests a second")] = 0
    per_minute: Annotated[Number, Meta(description="每分钟请求数 | requests a minute")] = 0
    concurrent: Annotated[int, Meta(ge=0, description="并发请求数 | requests at once")] = 0


# What vendors publish of their limits, for one account; where they count by endpoint, all of the account's endpoints
# together are kept to it, which is the safe side. Requests a second, a minute (0: none published).
VENDOR_LIMITS: dict[str, tuple[int, int]] = {
    # 20 a second per app and API, "how to process API throttling" (2026-01-22).
    "dingtalk": (20, 0),
    # A robot's messages, beyond which it is silenced for ten minutes.
    "dingtalk-robot": (0, 20),
    # 100 a minute and 5 a second per tenant and bot.
    "feishu-robot": (5, 100),
    # 5 a second and 100 a minute, openweb.jushuitan.com.
    "jushuitan": (5, 100),
    # 60 a minute, beyond which one waits five.
    "qeasy": (0, 60),
    # 10,000 a minute per company and API, document 90454.
    "wecom": (0, 10_000),
    # Document 91770.
    "wecom-robot": (0, 20),
    # The sales order APIs since 2026-03-31; of the others nothing is published.
    "yonsuite": (0, 60),
}
Vendor = Literal[
    "", "dingtalk", "dingtalk-robot", "feishu-robot", "jushuitan", "qeasy", "wecom", "wecom-robot", "yonsuite"
]


class Limits(Rates, kw_only=True):
    """What the system bears. 0: no limit, or the vendor's."""

    vendor: Annotated[
        Vendor,
        Meta(description="厂商公布的限制；写明的数字优先 | the limits that a vendor publishes; numbers given go first"),
    ] = ""
    timeout: Annotated[Number, Meta(description="超时秒数 | seconds until a request is given up")] = 60
    endpoints: Annotated[
        dict[str, Rates],
        Meta(description="单个接口的限制，按路径开头 | limits of single endpoints, by how their paths begin"),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        per_second, per_minute = VENDOR_LIMITS.get(self.vendor, (0, 0))
        self.per_second, self.per_minute = self.per_second or per_second, self.per_minute or per_minute


def within(own: Limits, published: Limits) -> Limits:
    """A connection's limits; where they say nothing, those that its vendor publishes."""
    return msgspec.structs.replace(
        own,
        vendor=own.vendor or published.vendor,
        per_second=own.per_second or published.per_second,
        per_minute=own.per_minute or published.per_minute,
        concurrent=own.concurrent or published.concurrent,
        endpoints={**published.endpoints, **own.endpoints},
    )


class Verify(msgspec.Struct, kw_only=True):
    """How to ask the target whether it has a record."""

    api: Annotated[str, Meta(min_length=1, description="查询接口 | the path to ask")]
    param: Annotated[str, Meta(description="主键参数 | the parameter that takes the id")] = "id"
    records: Annotated[str, Meta(description="结果列表路径 | where the found records are")] = ""
    keys: Annotated[
        dict[str, str],
        Meta(
            description="数据中可用来查询的字段及其参数，取第一个有值的；都没有就无从查询。缺省：param，和源端主键"
            " | fields of a row to ask by, each with its parameter: the first that it has; a row that has none can't be"
            " asked for. Empty: param, and the source's id"
        ),
    ] = msgspec.field(default_factory=dict)
    missing: Annotated[
        str, Meta(description="表示没有该记录的错误说明 | the text of an error that says that there is no such record")
    ] = ""


class Listing(msgspec.Struct, kw_only=True):
    """How to list what the target has, for reconciliations; paged as the connection's lists are."""

    api: Annotated[str, Meta(min_length=1, description="列表接口 | the path of the list")]
    params: Annotated[dict[str, Any], Meta(description="查询参数 | parameters")] = msgspec.field(default_factory=dict)
    id: Annotated[str, Meta(min_length=1, description="列表中的主键 | an entry's id")] = "id"
    records: Annotated[str, Meta(description="列表路径 | where the entries are")] = ""
    total: Annotated[str, Meta(description="总数路径 | how many there are in all")] = ""
    only_total: Annotated[bool, Meta(description="只比总数 | compare the total only")] = False


class Write(msgspec.Struct, kw_only=True):
    """How records are written."""

    batch_size: Annotated[
        int, Meta(ge=1, description="每请求条数；1 为单个对象 | records a request; 1: one object")
    ] = 200
    batch_key: Annotated[str, Meta(description="数组所在的键 | key that holds the array; empty: the body is one")] = ""
    sent_in: Annotated[
        Literal["body", "query", "form"],
        Meta(
            description="单条数据放在哪里：JSON 请求体、查询参数、表单"
            " | where a single record goes: a body in JSON, parameters, a form"
        ),
    ] = "body"
    results: Annotated[str, Meta(description="逐条结果路径 | where the rows' results are")] = ""
    result_id: Annotated[str, Meta(description="结果中的主键 | a result's id")] = "id"
    result_ok: Annotated[str, Meta(description="结果中的成功标志 | a result's success")] = "ok"
    result_ok_values: Annotated[list[Any] | None, Meta(description="表示成功的值 | values that mean success")] = None
    result_message: Annotated[str, Meta(description="结果中的说明 | a result's text")] = "message"
    idempotency_header: Annotated[str, Meta(description="幂等键请求头 | header of the idempotency key")] = ""
    idempotency_field: Annotated[
        str,
        Meta(description="每行中放幂等键（32 字符）的字段 | field of a row for its idempotency key, 32 characters"),
    ] = ""
    keys: Annotated[
        list[str] | None,
        Meta(
            description="目标据以认出同一条记录的字段；都没有的数据每次发送都会新建，结果不明时留给人处理。缺省：不知道"
            " | fields by which the target knows a record again; a row that has none is made anew each time it is sent,"
            " and in doubt it is held for a person. Not given: unknown"
        ),
    ] = None
    verify: Annotated[Verify | None, Meta(description="核实方法 | how to verify")] = None
    listing: Annotated[Listing | None, Meta(description="列出目标数据，对账用 | how to list what is there")] = None


class HttpSettings(msgspec.Struct, kw_only=True):
    """A connection of connector `http`."""

    connector: Annotated[str, Meta(description="连接器 | the connector")]
    base_url: Annotated[str, Meta(min_length=1, description="服务地址 | the system's address")]
    headers: Annotated[dict[str, str], Meta(description="附加请求头 | further headers")] = msgspec.field(
        default_factory=dict
    )
    timezone: Annotated[str, Meta(description="无时区时间的时区 | zone of times without one")] = "Asia/Shanghai"
    auth: Annotated[Auth, Meta(description="认证 | authentication")] = msgspec.field(default_factory=Auth)
    envelope: Annotated[Envelope, Meta(description="响应结构 | shape of answers")] = msgspec.field(
        default_factory=Envelope
    )
    paging: Annotated[Paging, Meta(description="分页 | paging")] = msgspec.field(default_factory=Paging)
    limits: Annotated[Limits, Meta(description="限制 | limits")] = msgspec.field(default_factory=Limits)
    write: Annotated[Write, Meta(description="写入 | writing")] = msgspec.field(default_factory=Write)
