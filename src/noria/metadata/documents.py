"""The platform's metadata documents as types: one side of a plan, its items.

Keys and meanings are those of published 轻易云 plans (metadata-dialect, sections 1 and 2). Keys that are not declared
here are kept in the plan's file and reported as warnings.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]


class Parser(msgspec.Struct, kw_only=True):
    """A named conversion that is applied to an item's value."""

    name: Annotated[Text, Meta(description="解析器名称 | the parser's name")]
    params: Annotated[Any, Meta(description="解析器参数 | its parameters")] = None
    params1: Any = None
    params2: Any = None
    keyName: Any = None  # noqa: N815
    view: Any = None
    edit: Any = None
    fieldId: Any = None  # noqa: N815


class ValueMap(msgspec.Struct, kw_only=True):
    """A reference to a static table of values."""

    target: Annotated[str, Meta(description="映射表 | the table's name")]
    direction: Annotated[str, Meta(description="positive 或 reverse | forwards or backwards")] = "positive"


class Item(msgspec.Struct, kw_only=True):
    """One parameter of a request, or one field of a response."""

    field: Annotated[Text, Meta(description="请求体中的键；点表示嵌套 | key in the body; dots nest")]
    label: Annotated[str | None, Meta(description="显示名 | display text")] = None
    type: Annotated[str | None, Meta(description="string int float bool object array date datetime timestamp")] = (
        "string"
    )
    value: Annotated[Any, Meta(description="常量或表达式 | a literal or an expression")] = None
    describe: Annotated[str | None, Meta(description="说明 | a remark")] = None
    is_required: Annotated[bool | int | None, Meta(description="必填 | must have a value")] = False
    parser: Annotated[Parser | None, Meta(description="解析器 | conversion of the value")] = None
    children: Annotated[list[Item] | None, Meta(description="子项 | members or the template of a line")] = None
    parent: Annotated[str | None, Meta(description="父项 | the parent's field, in the flat form")] = None
    id: Annotated[str | int | None, Meta(description="界面标识 | identity in the user interface")] = None
    parent_id: Annotated[str | int | None, Meta(description="界面标识 | likewise")] = None
    mapping: Annotated[ValueMap | None, Meta(description="静态值映射 | static table of values")] = None
    formModel: Any = None  # noqa: N815
    tableModel: Any = None  # noqa: N815
    physicalModel: Any = None  # noqa: N815
    display: Any = None
    enableDisplay: Any = None  # noqa: N815


class Pagination(msgspec.Struct, kw_only=True):
    """How many rows a page has."""

    pageSize: Annotated[int, Meta(ge=1, description="每页条数 | rows a page")] = 100  # noqa: N815


class Metadata(msgspec.Struct, kw_only=True):
    """One side of a plan: the platform's source or target document."""

    api: Annotated[Text, Meta(description="接口 | the operation, often a path")]
    type: Annotated[str | None, Meta(description="QUERY 或 EXECUTE（旧） | older name of effect")] = None
    effect: Annotated[str | None, Meta(description="QUERY 或 EXECUTE | reads or writes")] = None
    method: Annotated[str | None, Meta(description="HTTP 方法 | HTTP verb")] = None
    id: Annotated[
        Annotated[str, Meta(min_length=1)] | list[str] | None,
        Meta(description="主键路径，可多个 | path of the key; several joined by commas"),
    ] = None
    number: Annotated[str | None, Meta(description="编码路径 | path of the number people see")] = None
    name: Annotated[str | None, Meta(description="名称路径 | path of the display name")] = None
    idCheck: Annotated[bool | None, Meta(description="检查主键 | check ids")] = None  # noqa: N815
    request: Annotated[list[Item] | None, Meta(description="请求参数 | parameters")] = None
    otherRequest: Annotated[list[Item] | None, Meta(description="其他请求参数 | further parameters")] = None  # noqa: N815
    response: Annotated[list[Item] | None, Meta(description="响应字段 | declared fields")] = None
    otherResponse: Annotated[list[Item] | None, Meta(description="其他响应参数 | likewise")] = None  # noqa: N815
    autoFillResponse: Annotated[bool | None, Meta(description="自动填充响应字段 | fill from a sample")] = None  # noqa: N815
    condition: Annotated[list[Any] | None, Meta(description="过滤条件 | filter after the pull")] = None
    condition_bk: Annotated[Any, Meta(description="停用的条件 | a disabled copy")] = None
    pagination: Annotated[Pagination | None, Meta(description="分页 | paging")] = None
    beatFlat: Annotated[list[str] | None, Meta(description="拍扁数组 | arrays to flatten")] = None  # noqa: N815
    formatResponse: Annotated[list[Any] | None, Meta(description="格式化 | value formats")] = None  # noqa: N815
    omissionRemedy: Annotated[Any, Meta(description="补漏 | the sweep")] = None  # noqa: N815
    buildModel: Annotated[bool | None, Meta(description="物理建模（忽略） | ignored")] = None  # noqa: N815
    delay: Annotated[int | float | None, Meta(description="请求间隔秒 | seconds between requests")] = None
    operation: Annotated[Any, Meta(description="合并或批量 | merge or batch")] = None
    groupCalculate: Annotated[Any, Meta(description="分组计算 | grouping")] = None  # noqa: N815
    distributionOrg: Annotated[Any, Meta(description="分配组织 | organisations")] = None  # noqa: N815
    callBackStrategy: Annotated[Any, Meta(description="回写方案 | write-back")] = None  # noqa: N815

    def id_paths(self) -> list[str]:
        """The key's paths: one, or several whose values are joined."""
        if self.id is None:
            return []
        parts = self.id if isinstance(self.id, list) else self.id.split(",")
        return [part.strip() for part in parts if part.strip()]

    def checks_ids(self) -> bool:
        """idCheck; absent means true (decision 1)."""
        return self.idCheck is not False

    def items(self) -> list[Item]:
        """request and otherRequest, which make one body (section 1)."""
        return [*(self.request or []), *(self.otherRequest or [])]


# Constructs of the language that this version reads but does not carry out yet: named in `check`, never ignored.
NOT_YET = (
    "condition",
    "beatFlat",
    "formatResponse",
    "operation",
    "groupCalculate",
    "callBackStrategy",
    "distributionOrg",
)
EMPTY_OPERATION = "写入空操作"
