"""An integration plan (集成方案): source, target, schedule and noria's own options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from noria.metadata.documents import Metadata
from noria.metadata.times import DEFAULT_ZONE, zone
from noria.metadata.valuemaps import ValueTable

NonNegative = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int | float, Meta(description="seconds")]


class Retry(msgspec.Struct, kw_only=True):
    """When a failed delivery is tried again. Times in seconds."""

    tries: Annotated[Positive, Meta(description="一次执行中的尝试次数 | tries within a run")] = 3
    wait: Annotated[Seconds, Meta(description="尝试间隔 | between those tries")] = 5
    schedule: Annotated[
        list[int | float], Meta(description="之后的重试间隔 | waits before later runs try again, then dead")
    ] = msgspec.field(default_factory=lambda: [20, 300, 3600, 14400, 72000])


class LookupOptions(msgspec.Struct, kw_only=True):
    """What happens to a record whose look-up finds nothing yet."""

    wait: Annotated[int | float | str, Meta(description="等待多久 | how long it waits, e.g. 86400 or 1d")] = 86400
    missing: Annotated[Literal["empty", "invalid"], Meta(description="之后 | and then")] = "empty"


class SweepOptions(msgspec.Struct, kw_only=True):
    """The second schedule that reads a past window again (补漏)."""

    schedule: Annotated[
        str | None, Meta(description="cron；缺省用 omissionRemedy.crontab | cron; default: omissionRemedy.crontab")
    ] = None
    window: Annotated[
        int | float | str, Meta(description="回看多久，all 为全部 | how far back, e.g. 3d; all: everything")
    ] = "3d"


class Split(msgspec.Struct, kw_only=True):
    """A source that is read in parts by themselves: time windows, or one part for each value of a parameter."""

    window: Annotated[
        int | float | str | None, Meta(description="每个时间窗口最多多长，如 7d | the longest window, e.g. 7d")
    ] = None
    param: Annotated[str, Meta(description="每份取一个值的请求参数 | has another value in each part")] = ""
    values: Annotated[list[str | int], Meta(description="这些值 | those values")] = msgspec.field(default_factory=list)
    api: Annotated[str, Meta(description="或给出这些值的列表接口 | or a list of the same system that has them")] = ""
    method: Annotated[str | None, Meta(description="该列表的方法，缺省 GET | that list's method, GET if not said")] = (
        None
    )
    request: Annotated[dict[str, Any], Meta(description="该列表的请求参数 | that list's parameters")] = msgspec.field(
        default_factory=dict
    )
    value: Annotated[str, Meta(description="值在列表行中的路径 | where a row of that list has the value")] = "id"
    below: Annotated[
        str, Meta(description="按此参数逐级取下级 | parameter that asks that list for what is below a value")
    ] = ""
    at_once: Annotated[Positive, Meta(description="每个进程同时读取几份 | parts a process reads at once")] = 4


class Webhook(msgspec.Struct, kw_only=True):
    """Events that the source pushes to `/hooks/<plan>`: the plan then reads at once."""

    kind: Annotated[
        Literal["hmac", "okki", "dingtalk", "wecom"],
        Meta(description="种类 | kind: HMAC-SHA256, or that of 小满 OKKI, 钉钉, 企业微信"),
    ] = "hmac"
    secret: Annotated[
        str,
        Meta(
            min_length=1,
            description="密钥，写作 env:名称；dingtalk、wecom 为 EncodingAESKey"
            " | the secret, as env:NAME; of dingtalk and wecom the EncodingAESKey",
        ),
    ]
    token: Annotated[
        str, Meta(description="dingtalk、wecom：签名 Token，写作 env:名称 | the Token that signs, as env:NAME")
    ] = ""
    owner: Annotated[str, Meta(description="dingtalk：AppKey 或 CorpId，wecom：CorpID | whose messages they are")] = ""
    header: Annotated[str, Meta(description="hmac：签名所在请求头 | hmac: header of the signature")] = "X-Signature"
    timestamp_header: Annotated[
        str,
        Meta(description="hmac：时间戳请求头，与请求体一起签名 | hmac: header of a time that is signed, too"),
    ] = ""
    id: Annotated[str, Meta(description="hmac：消息编号的路径 | hmac: where the message's id is")] = ""


class Options(msgspec.Struct, kw_only=True):
    """noria's own settings of a plan. Times in seconds."""

    batch_size: Annotated[Positive | None, Meta(description="每批条数 | records a batch")] = None
    concurrency: Annotated[Positive, Meta(description="每个进程并行写入的批次 | batches a process sends at once")] = 4
    workers: Annotated[
        Positive,
        Meta(description="最多几个 worker 分担；concurrency 为 1 时写入不分 | workers; one sends at concurrency 1"),
    ] = 4
    retry: Annotated[Retry, Meta(description="重试 | retries")] = msgspec.field(default_factory=Retry)
    on_doubt: Annotated[
        Literal["resend", "hold"], Meta(description="结果不明时 | when a send's outcome is unknown")
    ] = "resend"
    target_down: Annotated[
        Literal["stage", "pause"],
        Meta(
            description="目标不可用时源端继续入账或暂停 | while the target is down: go on staging, or pause the source"
        ),
    ] = "stage"
    on_change: Annotated[
        Literal["skip", "deliver"] | None,
        Meta(description="内容变化时；缺省按 idCheck | default: as idCheck says"),
    ] = None
    overlap: Annotated[Seconds, Meta(description="每次读取的重叠 | overlap of each read")] = 60
    start: Annotated[str | int | None, Meta(description="首次 LAST_SYNC_TIME | LAST_SYNC_TIME of the first run")] = None
    resume: Annotated[
        Seconds,
        Meta(description="中断的读取在多久内续读 | an interrupted read is continued within this time"),
    ] = 3600
    endpoint: Annotated[
        str | None, Meta(description="写入空操作的 POST 地址 | where 写入空操作 is POSTed to, if anywhere")
    ] = None
    lenient: Annotated[bool, Meta(description="宽松 | as the platform: leave what can't be formatted")] = False
    lookup: Annotated[LookupOptions, Meta(description="查找 | look-ups")] = msgspec.field(default_factory=LookupOptions)
    sweep: Annotated[SweepOptions | None, Meta(description="补漏 | sweep")] = None
    split: Annotated[Split | None, Meta(description="分份读取 | read in parts")] = None
    webhook: Annotated[Webhook | None, Meta(description="接收推送事件 | take events")] = None
    maps: Annotated[
        dict[str, dict[str, Any] | list[dict[str, Any]]],
        Meta(description="静态值映射表，也可放在 maps/*.csv | static value maps, also in maps/*.csv"),
    ] = msgspec.field(default_factory=dict)
    source: Annotated[dict[str, Any], Meta(description="覆盖源连接设置 | override the source connection")] = (
        msgspec.field(default_factory=dict)
    )
    target: Annotated[dict[str, Any], Meta(description="覆盖目标连接设置 | override the target connection")] = (
        msgspec.field(default_factory=dict)
    )


class SideDocument(msgspec.Struct, kw_only=True):
    """One side of a plan as it stands in the file."""

    connection: Annotated[str, Meta(min_length=1, description="noria.toml 中的连接 | a connection of noria.toml")]
    metadata: Annotated[dict[str, Any] | str, Meta(description="元数据，或其文件 | the document, or its file")]


class PlanDocument(msgspec.Struct, kw_only=True):
    """A plan as it stands in its file."""

    schema: Annotated[str | None, Meta(description="JSON Schema，供编辑器使用 | for editors")] = msgspec.field(
        name="$schema", default=None
    )
    name: Annotated[str | None, Meta(description="名称 | name")] = None
    uuid: Annotated[str | None, Meta(description="平台方案编号 | the platform's id, for look-ups")] = None
    description: Annotated[str | None, Meta(description="说明 | what it is for")] = None
    schedule: Annotated[str | None, Meta(description="源端 cron | cron of the source")] = None
    target_schedule: Annotated[str | None, Meta(description="目标端 cron | cron of the target")] = None
    timezone: Annotated[str | None, Meta(description="cron 的时区 | zone of the schedules")] = None
    enabled: Annotated[bool, Meta(description="启用 | on or off")] = True
    source: Annotated[SideDocument, Meta(description="源 | where records come from")]
    target: Annotated[SideDocument, Meta(description="目标 | where they go")]
    options: Annotated[Options, Meta(description="选项 | noria's own")] = msgspec.field(default_factory=Options)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a loaded plan."""

    connection: str
    metadata: Metadata
    document: dict[str, Any]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded plan. `key` is its file's stem and identifies it in the ledger."""

    key: str
    name: str
    path: Path
    source: Side
    target: Side
    options: Options
    uuid: str | None = None
    schedule: str | None = None
    target_schedule: str | None = None
    timezone: str | None = None
    enabled: bool = True
    maps: dict[str, ValueTable] = msgspec.field(default_factory=dict)

    def answers_to(self, reference: str) -> bool:
        """Whether a person or a look-up means this plan by `reference`: key, name or platform id."""
        return reference in (self.key, self.name) or (self.uuid is not None and reference == self.uuid)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its schedules; raises `ValueError` where it names none that there is."""
        return zone(self.timezone) if self.timezone else DEFAULT_ZONE

    @property
    def alone(self) -> bool:
        """Whether this is a document that stands alone, without a project around it."""
        return not self.source.connection and not self.target.connection

    def refuses_missing_ids(self) -> bool:
        """Whether records without an id are kept back (decision 1): the source checks ids, as it does unless it says
        false, or the target says that it does."""
        return self.source.metadata.checks_ids() or self.target.metadata.idCheck is True

    def overwrites(self) -> bool:
        """Whether another content of an id in the same read takes the place of the first, instead of making the id
        ambiguous: the source's idCheck is false."""
        return not self.source.metadata.checks_ids()

    def delivers_changes(self) -> bool:
        """Whether changed content of a known id is delivered again (decision 1)."""
        if self.options.on_change is not None:
            return self.options.on_change == "deliver"
        return not self.source.metadata.checks_ids()
