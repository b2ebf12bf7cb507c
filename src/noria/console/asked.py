"""What pages and acts are asked with."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from noria.console.endpoints import Asked, Before, Limit, Number, Text

State = Annotated[
    Literal["pending", "sending", "delivered", "failed", "dead", "skipped", "invalid", "held"],
    Meta(description="数据的状态 | a record's state"),
]
Trouble = Annotated[
    Literal["dead", "held", "invalid", "failed"],
    Meta(description="哪种状态的数据 | records of this state"),
]
PlanOnly = Annotated[Text, Meta(description="只要这个方案的 | of this plan only", examples=["users"])]
CauseOnly = Annotated[Text, Meta(description="同一原因（死信页给出）| of one cause, as the page of failures gives it")]

Clock = Annotated[str, Meta(max_length=40, description="入账时间 | when it was staged", examples=["2026-01-31T08:00"])]
Ticked = Annotated[
    str,
    Meta(max_length=2000, pattern=r"^[0-9]{1,18}@.", description="编号@方案 | number@plan", examples=["12@users"]),
]
Reason = Annotated[str, Meta(max_length=500, description="原因 | why", examples=["#4711"])]
Yes = Annotated[Literal["yes", ""], Meta(description="yes 为是 | yes, or nothing")]
Base = Annotated[Text, Meta(description="改动所依据的文件摘要 | the digest of the file that the change begins from")]


class OlderThan(Asked, frozen=True, kw_only=True):
    """A page of a list, newest first."""

    before: Before | None = None
    limit: Limit = 50


class ListAsked(Asked, frozen=True, kw_only=True):
    """Which records: of one plan or all, in a state, of one cause, by id or number, by words of the reason, by when
    they were staged."""

    plan: PlanOnly | None = None
    state: State | None = None
    cause: CauseOnly | None = None
    q: Annotated[Text, Meta(description="主键或单号的开头 | how an id or number begins")] | None = None
    error: Annotated[Text, Meta(description="原因里的词 | words of the reason")] | None = None
    since: Clock | None = None
    until: Clock | None = None


class RecordsAsked(ListAsked, frozen=True, kw_only=True):
    """A page of them."""

    before: Before | None = None
    limit: Limit = 50
    after: (
        Annotated[
            Number,
            Meta(
                description="按入账顺序，从这个编号往后；只用 plan、state、id"
                " | in the order staged, after this number; with plan, state and id only"
            ),
        ]
        | None
    ) = None
    id: Annotated[Text, Meta(description="主键，与 after 一起用 | its id; with after")] | None = None
    full: Annotated[Yes, Meta(description="带原文和内容，与 after 一起用 | with raw and payload; with after")] = ""
    begin: Annotated[Text, Meta(description="从这个方案开始 | begin with this plan")] | None = msgspec.field(
        default=None, name="from"
    )


class ChosenAsked(ListAsked, frozen=True, kw_only=True):
    """Records that were ticked, or all that match."""

    chosen: list[Ticked] = msgspec.field(default_factory=list)
    all: Yes = ""


class ExportAsked(ChosenAsked, frozen=True, kw_only=True):
    """Records as a file."""

    format: Annotated[Literal["csv", "jsonl"], Meta(description="格式 | the format")]


class ConfirmAsked(ChosenAsked, frozen=True, kw_only=True):
    """What is to be done with records."""

    act: Annotated[Literal["replay", "skip", "mark_done"], Meta(description="操作 | what is to be done")]


class ActAsked(ConfirmAsked, frozen=True, kw_only=True):
    """It is done: why, and as of when; what has changed since (epoch seconds) is left alone."""

    reason: Reason = ""
    asked: Annotated[float, Meta(ge=0, le=1e11, description="询问的时间 | when it was asked, epoch seconds")]


class PlanAsked(Asked, frozen=True, kw_only=True):
    """Which side of a plan."""

    tab: Annotated[
        Literal["flow", "runs", "mapping", "schedule", "alerts", "metadata"],
        Meta(description="哪一页 | which page of it"),
    ] = "flow"


class ReconcileAsked(Asked, frozen=True, kw_only=True):
    """Over which window, and whether what differs is mended."""

    days: Annotated[Literal[0, 1, 7, 30], Meta(description="最近几天；0 为全部 | of how many days; 0: everything")] = 0
    fixes: Yes = ""


class SweepAsked(Asked, frozen=True, kw_only=True):
    """The window of which reconciliation is read again."""

    reconciliation: Annotated[Number, Meta(description="对账的编号 | a reconciliation's number")]


class RecordAsked(Asked, frozen=True, kw_only=True):
    """Which record."""

    id: Annotated[Text, Meta(description="数据的主键或单号 | a record's id or number", examples=["1001"])] = ""
    seq: Annotated[Number, Meta(description="数据在账本里的编号 | a record's number in the ledger")] | None = None


class UneditAsked(RecordAsked, frozen=True, kw_only=True):
    """Whose correction is taken back, and why."""

    reason: Reason = ""
    anew: Yes = ""


class EditAsked(UneditAsked, frozen=True, kw_only=True):
    """A corrected payload: shown beside what it was, and sent when it is confirmed."""

    payload: Annotated[str, Meta(max_length=1_000_000, description="改正后的 JSON | the corrected JSON")] = ""
    seen: Annotated[Number, Meta(description="看到的是第几次改正 | the correction that was seen")] = 0
    confirmed: Yes = ""


class DecideAsked(Asked, frozen=True, kw_only=True):
    """Which record is set aside, and why."""

    seq: Annotated[Number, Meta(description="数据在账本里的编号 | a record's number in the ledger")]
    reason: Reason


class VersionsAsked(OlderThan, frozen=True, kw_only=True):
    """Which versions, and which of them is shown whole."""

    of: Annotated[Number, Meta(description="看这个版本 | the version to be shown")] | None = None


class RestoreAsked(Asked, frozen=True, kw_only=True):
    """What the file is taken to be now."""

    base: Base = ""


class SheetAsked(Asked, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A plan in the editor, and what is to be done with it. A form has its fields besides, by their places."""

    do: Annotated[
        Text,
        Meta(
            description="save 保存；run 保存并执行；sample 取样；其他为编辑器的按钮 | save, run: save"
            " and run, sample: fetch records; else a button of the editor",
            examples=["save"],
        ),
    ] = ""
    key: Annotated[Text, Meta(description="新方案的键 | a new plan's key")] = ""
    text: Annotated[str, Meta(max_length=1_000_000, description="方案的 JSON | the plan's JSON")] = ""
    base: Base = ""
    note: Annotated[str, Meta(max_length=2000, description="备注 | a remark")] = ""
    sample: Annotated[Text, Meta(description="样本（编辑页给出）| the sample, as the editor gives it")] = ""
    pasted: Annotated[str, Meta(max_length=1_000_000, description="粘贴的元数据 | metadata that is pasted")] = ""
    shown: Annotated[Text, Meta(description="表单对应的文本 | the text that the form was made of")] = ""
    looked_at: Annotated[Number, Meta(description="看第几条样本 | which record of the sample is looked at")] = 0


class OfPlan(Asked, frozen=True, kw_only=True):
    """Of one plan only, or of all."""

    plan: PlanOnly | None = None


class RunsAsked(OlderThan, frozen=True, kw_only=True):
    """Which runs."""

    plan: PlanOnly | None = None


class EnabledAsked(Asked, frozen=True, kw_only=True):
    """Whether a plan is to run."""

    enabled: Annotated[bool, Meta(description="启用或停用 | on or off")]


class ReplayAsked(Asked, frozen=True, kw_only=True):
    """Which records of a plan are to be sent again: one by its id, or those of a state, of one cause."""

    id: Annotated[Text, Meta(description="一条数据的主键 | one record's id")] | None = None
    state: Trouble | None = None
    cause: CauseOnly | None = None
    all: Annotated[bool, Meta(description="全部失败、死信和待人工的 | all that are failed, dead or held")] = False
    anew: Annotated[bool, Meta(description="结果不明的也换新键重发 | those in doubt, too, each under a new key")] = (
        False
    )


class ConnectionOf(Asked, frozen=True, kw_only=True):
    """Which connection; none for a new one."""

    name: Annotated[Text, Meta(description="连接的名称 | a connection's name")] = ""


class ConnectionAsked(ConnectionOf, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A connection in the form, and what is to be done with it; its settings besides, as `set:<setting>`."""

    do: Annotated[
        Text, Meta(description="save 保存，test 测试，remove 删除 | save, test or remove it", examples=["test"])
    ] = ""
    was: Annotated[
        Text, Meta(description="要改的连接；新建时不填 | the connection that is changed; none: a new one")
    ] = ""
    connector: Annotated[Text, Meta(description="连接器 | its connector", examples=["http"])] = "http"
    base: Base = ""


class TokenAsked(Asked, frozen=True, kw_only=True):
    """A token to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="名称 | its name", examples=["ci"])]
    role: Annotated[Literal["viewer", "operator", "admin"], Meta(description="角色 | its role")] = "viewer"
    expires: Annotated[
        str,
        Meta(
            max_length=20,
            description="有效期，如 90d；never 为不过期 | how long it holds, such as 90d; never: for ever",
        ),
    ] = "90d"
