"""The platform's metadata documents as types: one side of a plan, its items.

Keys and meanings are those of published 轻易云 plans (metadata-dialect, sections 1 and 2). Keys that are not declared
here are kept in the plan's file and reported as warnings.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from noria.metadata.kinds import kind_of
from noria.metadata.validation import BLANK

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
    label: Annotated[Any, Meta(description="显示名 | display text")] = None
    type: Annotated[str | None, Meta(description="string int float bool object array date datetime timestamp")] = (
        "string"
    )
    value: Annotated[Any, Meta(description="常量或表达式 | a literal or an expression")] = None
    describe: Annotated[Any, Meta(description="说明 | a remark")] = None
    is_required: Annotated[bool | None, Meta(description="必填 | must have a value")] = False
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

    @property
    def kind(self) -> str:
        """int, float, bool, array, object, date, datetime, timestamp, string, or `""` for a type that nobody knows.

        With children it is an array or an object: as the type says, else an array where a value names its source.
        """
        named = kind_of(self.type)
        if not self.children or named in ("array", "object"):
            return named
        return "array" if isinstance(self.value, str | list) and self.value else "object"


class FilterCondition(msgspec.Struct, kw_only=True):
    """One condition of `condition`: a field of the row or of its lines, an operator, and what it is compared with."""

    field: Annotated[Text, Meta(description="字段路径，可指向明细 | path, may lead into lines")]
    logic: Annotated[str, Meta(description="eq neq gt egt lt elt like notlike between in notin isnull null notnull")]
    value: Annotated[Any, Meta(description="比较值，可含宏 | value, may hold macros")] = None
    strictMode: Annotated[  # noqa: N815
        bool | None, Meta(description="true：一行不符即整条略过 | one line that fails drops the whole row")
    ] = False
    type: Annotated[Any, Meta(description="界面类型（忽略） | ignored")] = None
    label: Annotated[Any, Meta(description="显示名（忽略） | ignored")] = None


class ResponseFormat(msgspec.Struct, kw_only=True):
    """One entry of `formatResponse`: a new field from an old one."""

    old: Annotated[Text, Meta(description="原字段路径 | path of the old field")]
    new: Annotated[Text, Meta(description="新字段名 | the new field")]
    format: Annotated[Text, Meta(description="格式，如 date、round(2) | format, such as date, round(2)")]


class Operation(msgspec.Struct, kw_only=True):
    """`operation` of a target: several records in one request, or several records merged into one document."""

    method: Annotated[Text, Meta(description="batchArraySave 或 merge")]
    rows: Annotated[int | str | None, Meta(description="每次请求的条数 | records a request")] = None
    rowsKey: Annotated[str | None, Meta(description="数组的键 | key of the array")] = None  # noqa: N815
    field: Annotated[str | None, Meta(description="合并键 | records with equal value are merged")] = None
    bodyName: Annotated[str | None, Meta(description="明细数组名 | name of the lines")] = None  # noqa: N815
    bodySum: Annotated[list[str] | None, Meta(description="相同行累加的列 | columns added up for equal lines")] = None  # noqa: N815
    header: Annotated[list[str] | None, Meta(description="表头列 | columns of the head")] = None
    body: Annotated[list[str] | None, Meta(description="明细列 | columns of a line")] = None


class GroupCalculate(msgspec.Struct, kw_only=True):
    """`groupCalculate` of a target: rows are grouped into documents and lines, columns calculated over each."""

    headerGroup: Annotated[list[str], Meta(min_length=1, description="表头分组列 | columns that make a document")]  # noqa: N815
    bodyGroup: Annotated[list[str] | None, Meta(description="明细分组列 | columns that make a line")] = None  # noqa: N815
    bodyName: Annotated[str | None, Meta(description="明细名 | name of the lines")] = None  # noqa: N815
    targetBodyName: Annotated[str | None, Meta(description="目标明细名 | their name in the result")] = None  # noqa: N815
    bodyMaxLine: Annotated[int | str | None, Meta(description="每单最多行数 | lines a document")] = None  # noqa: N815
    calculate: Annotated[
        dict[str, str] | None, Meta(description="列: $sum $avg $min $max $push $addToSet $first $last")
    ] = None


class OmissionRemedy(msgspec.Struct, kw_only=True):
    """`omissionRemedy`: a second schedule that reads a past window again."""

    crontab: Annotated[Text, Meta(description="cron")]
    takeOverRequest: Annotated[  # noqa: N815
        list[Item] | None, Meta(description="替换的请求参数 | parameters that replace those of the request")
    ] = None
    adapter: Annotated[str | None, Meta(description="适配器（忽略） | ignored")] = None


class Pagination(msgspec.Struct, kw_only=True):
    """How many rows a page has."""

    pageSize: Annotated[int, Meta(ge=1, description="每页条数 | rows a page")] = 100  # noqa: N815


class Metadata(msgspec.Struct, kw_only=True):
    """One side of a plan: the platform's source or target document."""

    schema: Annotated[str | None, Meta(description="JSON Schema，供编辑器使用 | for editors")] = msgspec.field(
        name="$schema", default=None
    )
    api: Annotated[Text, Meta(description="接口 | the operation, often a path")]
    type: Annotated[str | None, Meta(description="QUERY 或 EXECUTE（旧） | older name of effect")] = None
    effect: Annotated[str | None, Meta(description="QUERY 或 EXECUTE | reads or writes")] = None
    method: Annotated[str | None, Meta(description="HTTP 方法 | HTTP verb")] = None
    id: Annotated[
        Annotated[str, Meta(min_length=1)] | list[str] | None,
        Meta(description="主键路径，可多个 | path of the key; several joined by commas"),
    ] = None
    number: Annotated[str | list[str] | None, Meta(description="编码路径 | path of the number people see")] = None
    name: Annotated[str | None, Meta(description="名称路径 | path of the display name")] = None
    idCheck: Annotated[bool | None, Meta(description="检查主键 | check ids")] = None  # noqa: N815
    request: Annotated[list[Item] | None, Meta(description="请求参数 | parameters")] = None
    otherRequest: Annotated[list[Item] | None, Meta(description="其他请求参数 | further parameters")] = None  # noqa: N815
    response: Annotated[list[Item] | None, Meta(description="响应字段 | declared fields")] = None
    otherResponse: Annotated[list[Item] | None, Meta(description="其他响应参数 | likewise")] = None  # noqa: N815
    autoFillResponse: Annotated[bool | None, Meta(description="自动填充响应字段 | fill from a sample")] = None  # noqa: N815
    condition: Annotated[
        list[list[FilterCondition] | FilterCondition] | None,
        Meta(description="过滤条件：外层或，内层与 | filter after the pull: any of the groups, all in a group"),
    ] = None
    condition_bk: Annotated[Any, Meta(description="停用的条件 | a disabled copy")] = None
    pagination: Annotated[Pagination | None, Meta(description="分页 | paging")] = None
    beatFlat: Annotated[list[str] | None, Meta(description="拍扁数组 | arrays to flatten")] = None  # noqa: N815
    formatResponse: Annotated[list[ResponseFormat] | None, Meta(description="格式化 | value formats")] = None  # noqa: N815
    omissionRemedy: Annotated[OmissionRemedy | None, Meta(description="补漏 | the sweep")] = None  # noqa: N815
    buildModel: Annotated[bool | None, Meta(description="物理建模（忽略） | ignored")] = None  # noqa: N815
    delay: Annotated[int | float | None, Meta(description="请求间隔秒 | seconds between requests")] = None
    operation: Annotated[Operation | None, Meta(description="合并或批量 | merge or batch")] = None
    groupCalculate: Annotated[GroupCalculate | None, Meta(description="分组计算 | grouping")] = None  # noqa: N815
    distributionOrg: Annotated[Any, Meta(description="分配组织 | organisations")] = None  # noqa: N815
    callBackStrategy: Annotated[  # noqa: N815
        dict[str, Any] | None,
        Meta(description="回写：strategyId 为接收方案 | write-back: strategyId names the plan that takes it"),
    ] = None

    def id_paths(self) -> list[str]:
        """The key's paths: one, or several whose values are joined."""
        if self.id is None:
            return []
        parts = self.id if isinstance(self.id, list) else self.id.split(",")
        return [part.strip() for part in parts if part.strip()]

    def number_path(self) -> str | None:
        """The path of the number that people see."""
        number = self.number[0] if isinstance(self.number, list) and self.number else self.number
        return number.strip() if isinstance(number, str) and number.strip() else None

    def checks_ids(self) -> bool:
        """idCheck; absent means true (decision 1)."""
        return self.idCheck is not False

    def items(self) -> list[Item]:
        """request and otherRequest, which make one body (section 1), as a tree."""
        return [*tree_of(self.request or []), *tree_of(self.otherRequest or [])]

    def groups(self) -> list[list[FilterCondition]]:
        """The condition's groups; conditions that stand without a group make one together."""
        given = self.condition or []
        single = [one for one in given if isinstance(one, FilterCondition) and one.field != BLANK]
        groups = [[test for test in one if test.field != BLANK] for one in given if isinstance(one, list)]
        return [group for group in groups if group] + ([single] if single else [])

    def formats(self) -> list[ResponseFormat]:
        """The entries of formatResponse."""
        return [entry for entry in self.formatResponse or [] if entry.old != BLANK]

    def swept(self) -> list[Item]:
        """The request of the sweep: items of `takeOverRequest` replace those of the same field, new ones are added."""
        taken = tree_of((self.omissionRemedy.takeOverRequest if self.omissionRemedy else None) or [])
        by_field = {item.field: item for item in taken}
        own = self.items()
        kept = [by_field.get(item.field, item) for item in own]
        return kept + [item for item in taken if item.field not in {one.field for one in own}]


# Parents above each other, and steps in a `field`: more than any body has.
MOST_ANCESTORS = 50


def items_from(row: dict[str, Any]) -> list[Item]:
    """The `response` that a row shows (`autoFillResponse`): each field with its type, members and lines as children.
    An array's fields are those of all its elements."""
    return [_item_from(name, value) for name, value in row.items() if name]


def _item_from(name: str, value: Any) -> Item:
    kinds = ((bool, "bool"), (int, "int"), (str, "string"), (dict, "object"), (list, "array"), (type(None), "string"))
    kind = next((word for type_, word in kinds if isinstance(value, type_)), "float")
    members: dict[str, Any] = value if isinstance(value, dict) else {}
    for element in value if isinstance(value, list) else []:
        if isinstance(element, dict):
            members = {**element, **{key: one for key, one in members.items() if one is not None}}
    children = [msgspec.structs.replace(child, parent=name) for child in items_from(members)] or None
    return Item(field=name, label=name, type=kind, describe="_autoFillResponse", children=children)


def parents_of(items: list[Item]) -> list[int | None]:
    """For each item of a list the place of the item that it belongs to, in the flat form: the first whose `field` its
    `parent` names, else the only object or array whose `id` its `parent_id` equals."""
    by_field: dict[str, list[int]] = {}
    by_id: dict[Any, list[int]] = {}
    for place, item in enumerate(items):
        by_field.setdefault(item.field, []).append(place)
        by_id.setdefault(item.id, []).append(place)
    found: list[int | None] = []
    for place, item in enumerate(items):
        parent: int | None = None
        if item.parent:
            parent = next((one for one in by_field.get(item.parent, ()) if one != place), None)
        elif item.parent_id not in (None, "", 0, "0"):
            named = [one for one in by_id.get(item.parent_id, ()) if one != place]
            if len(named) == 1 and items[named[0]].type in ("object", "array"):
                parent = named[0]
        found.append(parent)
    return found


def ancestors(place: int, parents: list[int | None]) -> int:
    """How many items are above one; more than `MOST_ANCESTORS` also where they are each other's parents."""
    for count in range(MOST_ANCESTORS + 1):
        above = parents[place]
        if above is None:
            return count
        place = above
    return MOST_ANCESTORS + 1


def tree_of(items: list[Item]) -> list[Item]:
    """Items whose flat children (`parent`) are put inside their parents, without blank ones. Items that are their own
    ancestors, or have too many, stay where they are."""
    items = [_without_blanks(item) for item in items if item.field != BLANK]
    parents = parents_of(items)
    if all(parent is None for parent in parents):
        return items
    sound = [ancestors(place, parents) <= MOST_ANCESTORS for place in range(len(items))]
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        if parent is not None and sound[place]:
            children.setdefault(parent, []).append(place)

    def built(place: int, inside: str) -> Item:
        item = items[place]
        field = item.field.removeprefix(inside + ".") if inside else item.field
        below = [built(child, item.field) for child in children.get(place, [])]
        both = [*(item.children or []), *below]
        return msgspec.structs.replace(item, field=field, children=both or None)

    return [built(place, "") for place, parent in enumerate(parents) if parent is None or not sound[place]]


def _without_blanks(item: Item) -> Item:
    children = item.children
    if children is None or all(child.field != BLANK and not child.children for child in children):
        return item
    return msgspec.structs.replace(
        item, children=[_without_blanks(one) for one in children if one.field != BLANK] or None
    )


# Constructs of the language that this version reads but does not carry out yet: named in `check`, never ignored.
NOT_YET = ("distributionOrg",)
EMPTY_OPERATION = "写入空操作"
