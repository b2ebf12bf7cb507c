"""The constructs of the metadata language, each with an example that the tests run. `make docs` makes pages of them.

An example is metadata (source and target keys), records, and the payloads that come out; `None` for a record that is
left out or has no payload. Times are those of a run at 2023-11-16 06:13:20 whose last one was a day before.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Construct(NamedTuple):
    """A construct: its section, its name, what it does, and an example."""

    section: str
    name: str
    zh: str
    en: str
    source: dict[str, Any]
    target: dict[str, Any]
    records: list[dict[str, Any]]
    payloads: list[dict[str, Any] | None]
    more: dict[str, Any] | None = None


SECTIONS = {
    "items": ("参数", "Items"),
    "values": ("取值表达式", "Values"),
    "sql": ("_function", "_function"),
    "lookups": ("查找", "Look-ups"),
    "rows": ("源数据处理", "Rows of the source"),
    "documents": ("合并与批量", "Documents of the target"),
}


def I(field: str, value: Any = None, **more: Any) -> dict[str, Any]:  # noqa: E743, N802
    """An item."""
    return {"field": field, **({} if value is None else {"value": value}), **more}


def R(*items: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: N802
    """A target."""
    return {"request": list(items), **more}


DEPARTMENTS = {
    "departments": [{"id": "0", "name": "我的企业", "code": "A"}, {"id": "7", "name": "销售部", "code": "B"}]
}
A = {"a": "1", "b": 2}

CONSTRUCTS = [
    Construct("items", "request / otherRequest", "两组参数合成一个请求体；写入时每项是目标的一个字段。", "Both lists make one body; in a target each item is a field.",
        {}, {"request": [I("name", "{{name}}")], "otherRequest": [I("FormId", "BD_Customer")]}, [{"name": "远景"}], [{"name": "远景", "FormId": "BD_Customer"}]),
    Construct("items", "type", "int、float、bool 转换能转换的文本，不能转换时该条无效；小数精确；其余类型不转换。", "int, float and bool convert text that they can read, otherwise the record is invalid; decimals are exact; other types convert nothing.",
        {}, R(I("n", "{{n}}", type="int"), I("m", "{{m}}", type="float"), I("on", "{{on}}", type="bool")), [{"n": "7", "m": "12.50", "on": "是"}, {"n": "x"}], [{"n": 7, "m": "12.50", "on": True}, None]),
    Construct("items", "type 的别名 · other names of types", "integer long bigint、decimal double number、boolean、list、varchar(32) 等与上述相同，大小写不限；不认识的类型不转换。", "integer, long, bigint; decimal, double, number; boolean; list; varchar(32) and so on are the same, in any case; an unknown type converts nothing.",
        {}, R(I("n", "{{n}}", type="BigInt"), I("m", "{{m}}", type="decimal"), I("t", "{{n}}", type="varchar(32)")), [{"n": "7", "m": "1.50"}], [{"n": 7, "m": "1.50", "t": "7"}]),
    Construct("items", "is_required", "空值不发送，空文本常量也不发送；必填项以 null 发送。", "What is missing is left out, and so is an empty text that stands in the metadata; a required item is sent as null.",
        {}, R(I("a", "{{gone}}"), I("b", "{{gone}}", is_required=True), I("c", "")), [{}], [{"b": None}]),
    Construct("items", "object / children", "对象由固定的子项组成；field 中的点也表示嵌套。", "An object has fixed members; dots in a field nest, too.",
        {}, R(I("head", type="object", children=[I("no", "{{no}}")]), I("pager.page_no", 1)), [{"no": "N1"}], [{"head": {"no": "N1"}, "pager": {"page_no": 1}}]),
    Construct("items", "array / children", "明细：value 是源数组的路径（不带花括号），children 是一行的模板。{{items.sku}} 取当前行，不带前缀的名称先取表头、再取当前行。", "Lines: value is the source array's path (without braces), children the template of one line. {{items.sku}} is the current line's; a bare name is the head's, else the current line's.",
        {}, R(I("lines", "items", type="array", children=[I("sku", "{{items.sku}}"), I("no", "{{no}}"), I("qty", "{{qty}}")])), [{"no": "N1", "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2}]}],
        [{"lines": [{"sku": "a", "no": "N1", "qty": 1}, {"sku": "b", "no": "N1", "qty": 2}]}]),
    Construct("items", "array 套 array · arrays in arrays", "明细中的明细写完整路径。", "Lines of lines are named by the whole path.",
        {}, R(I("lines", "items", type="array", children=[I("sku", "{{items.sku}}"), I("sn", "items.serials", type="array", children=[I("no", "{{items.serials.no}}")])])), [{"items": [{"sku": "a", "serials": [{"no": "x"}, {"no": "y"}]}]}], [{"lines": [{"sku": "a", "sn": [{"no": "x"}, {"no": "y"}]}]}]),
    Construct("items", "array 无源数组 · array from the head", "数组在记录中不存在时，由表头字段组成一行（拍扁的源）；空数组则不发送。", "Where the record has no such array, the head's fields make one line (flattened sources); an empty array is left out.",
        {}, R(I("lines", type="array", children=[I("sku", "{{sku}}")]), I("none", "items", type="array", children=[I("sku", "{{items.sku}}")])), [{"sku": "a", "items": []}], [{"lines": [{"sku": "a"}]}]),
    Construct("items", "列表与对象值 · list and object values", "value 可以是数组或对象，其中的文本都可含宏；整个数组也可引用。", "A value may be an array or an object with macros inside; a whole array can be referred to.",
        {}, R(I("tags", "{{tags}}", type="array"), I("pair", ["{{a}}", "x"]), I("ext", {"k": "{{a}}"}, type="object")), [{"a": 1, "tags": ["新", "热"]}], [{"tags": ["新", "热"], "pair": [1, "x"], "ext": {"k": 1}}]),
    Construct("items", "明细的细节 · lines in detail", "一行没有任何值时不发送；源数组若是单个对象，按一行处理；没有写 type 而 value 指向数组的父项按 array 处理。", "A line without any value is left out; an object where an array should be is its only line; an item with children and a value but without a type is an array.",
        {}, R({"field": "lines", "value": "items", "children": [I("sku", "{{items.sku}}")]}), [{"items": [{"sku": "a"}, {"x": 1}]}, {"items": {"sku": "b"}}], [{"lines": [{"sku": "a"}]}, {"lines": [{"sku": "b"}]}]),
    Construct("items", "array 取一列 · one column of lines", "array 项引用明细的字段时取所有行的值；ArrayToString 也如此。", "An array item that refers to a field of lines takes the values of all of them; so does ArrayToString.",
        {}, R(I("skus", "{{items.sku}}", type="array"), I("text", "{{items.sku}}", parser={"name": "ArrayToString", "params": "/"})), [{"items": [{"sku": "a"}, {"sku": "b"}]}], [{"skus": ["a", "b"], "text": "a/b"}]),
    Construct("items", "JSON 文本 · JSON text", "array、object 项和 ConvertJson 的 value 可以是 JSON 文本，其中的宏按值放入，引号不会破坏它。", "The value of an array or object item, or under ConvertJson, may be JSON text; macros in it are put in as values, so quotes don't break it.",
        {}, R(I("o", '{"x":"{{s}}","y":{{n}}}', type="object"), I("l", '[{"Key":2052,"Value":"{{s}}"}]', type="array"), I("k", '{"2052":"{{s}}"}', parser={"name": "ConvertJson"})), [{"s": '轮"胎', "n": 2}],
        [{"o": {"x": '轮"胎', "y": 2}, "l": [{"Key": 2052, "Value": '轮"胎'}], "k": [{"Key": 2052, "Value": '轮"胎'}]}]),
    Construct("items", "parent", "平铺写法：parent 写父项的 field，与嵌套的 children 等同。", "The flat form: parent names the parent's field; the same as nested children.",
        {}, R(I("head", type="object"), I("no", "{{no}}", parent="head")), [{"no": "N1"}], [{"head": {"no": "N1"}}]),
    Construct("items", "mapping", "静态值映射：表在 maps/名称.csv 或 options.maps；positive 源→目标，reverse 相反；没有的值原样通过。顺序：取值 → 映射 → 解析器。", "A static map of values, in maps/NAME.csv or options.maps; positive is source to target, reverse the other way; values without an entry pass through. Order: value, map, parser.",
        {}, R(I("sex", "{{sex}}", mapping={"target": "sex", "direction": "positive"})), [{"sex": 1}, {"sex": 9}], [{"sex": "男"}, {"sex": 9}], {"maps": {"sex": {"1": "男", "2": "女"}}}),
    Construct("values", "{{字段}}", "单独一个宏保留原类型；与文字相连则成文本；缺失在文本中为空。", "Alone a macro keeps its type; beside other text it becomes text; what is missing is empty there.",
        {}, R(I("n", "{{b}}"), I("t", "号{{b}}-{{gone}}"), I("deep", "{{o.x.0}}")), [{"b": 2, "o": {"x": ["q"]}}], [{"n": 2, "t": "号2-", "deep": "q"}]),
    Construct("values", "{字段}", "单花括号与双花括号相同，只要里面是一个名称；JSON、空括号、数字不受影响。", "Single braces are as good as two around a name; JSON, empty braces and numbers stay as they are.",
        {}, R(I("a", "{no}"), I("b", "订单{no}"), I("c", "_function CASE '{s}' WHEN '1' THEN '是' ELSE '否' END"), I("d", '{"k":1} {} {0}')), [{"no": "N1", "s": 1}], [{"a": "N1", "b": "订单N1", "c": "是", "d": '{"k":1} {} {0}'}]),
    Construct("values", "拍扁后的字段 · flattened fields", "a.b 不存在时取字段 a_b，{{details.details_qty}} 取 details_qty；数组已拍扁的 array 项得到一行。", "Where there is no a.b, the field a_b is taken, and {{details.details_qty}} is details_qty; an array item whose array was flattened gives one line.",
        {"beatFlat": ["details"]}, R(I("q", "{{details.qty}}"), I("lines", "details", type="array", children=[I("q", "{{details.details_qty}}")])), [{"id": 1, "details": [{"qty": 3}]}], [{"q": 3, "lines": [{"q": 3}]}]),
    Construct("values", "{{字段|格式}}", "时间后缀 datetime、date、time、timestamp、timestamp_ms，不分大小写；空值不变。", "The suffixes datetime, date, time, timestamp, timestamp_ms, in any case; empty values stay.",
        {}, R(I("d", "{{created|date}}"), I("t", "{{created|dateTime}}"), I("s", "{{text|timestamp}}")), [{"created": 1700000000, "text": "2023-11-15 06:13:20"}], [{"d": "2023-11-15", "t": "2023-11-15 06:13:20", "s": 1700000000}]),
    Construct("values", "系统宏 · system macros", "LAST_SYNC_TIME 上次成功执行的开始；CURRENT_TIME 现在；DAYS_AGO_n、HOUR_AGO_n、MINUTE_AGO_n 之前；不带后缀为 Unix 秒。", "LAST_SYNC_TIME, the start of the last successful run; CURRENT_TIME, now; DAYS_AGO_n, HOUR_AGO_n, MINUTE_AGO_n before now; epoch seconds without a suffix.",
        {}, R(I("a", "{{LAST_SYNC_TIME|datetime}}"), I("b", "{{LAST_SYNC_TIME}}000"), I("c", "{{DAYS_AGO_2|date}}"), I("d", "FDate>='{{HOUR_AGO_1|datetime}}'")), [{}], [{"a": "2023-11-15 06:13:20", "b": "1700000000000", "c": "2023-11-14", "d": "FDate>='2023-11-16 05:13:20'"}]),
    Construct("sql", "_function", "后接一个 MySQL 表达式。字段按值绑定，从不拼接为 SQL：引号中的是文本；不带引号的，写成数字的文本按数字，空值为 NULL。小数精确，除法多四位。", "One MySQL expression. Fields are bound as values and never become SQL: between quotes they are text; bare, text that is a number counts as one, and nothing is NULL. Decimals are exact, a division has four more.",
        {}, R(I("x", "_function CONCAT('{{a}}','-',{{b}}*1.5)"), I("y", "_function {{b}}/3")), [A], [{"x": "1-3.0", "y": "0.6667"}]),
    Construct("sql", "CASE / IF", "条件按 MySQL 规则：文本比较不分大小写，'1' 等于 true 而 'true' 不等于。", "Conditions as in MySQL: text compares without case; '1' equals true, 'true' does not.",
        {}, R(I("s", "_function case '{{s}}' when 'ok' then '完成' when 'no' then '取消' else '其他' end"), I("f", "_function IF('{{s}}' LIKE 'o%',1,0)")), [{"s": "OK"}, {"s": ""}], [{"s": "完成", "f": 1}, {"s": "其他", "f": 0}]),
    Construct("sql", "SUM({{明细.字段}})", "SUM AVG MAX MIN COUNT GROUP_CONCAT 在表头汇总明细，可含算式。", "SUM AVG MAX MIN COUNT GROUP_CONCAT over lines, at the head; their operand may be an expression.",
        {}, R(I("total", "_function SUM({{items.qty}}*{{items.price}})"), I("skus", "_function GROUP_CONCAT({{items.sku}} SEPARATOR '/')")), [{"items": [{"sku": "a", "qty": 2, "price": "1.50"}, {"sku": "b", "qty": 1, "price": "2.00"}]}], [{"total": "5.00", "skus": "a/b"}]),
    Construct("sql", "行内汇总 · aggregates inside a line", "在明细的一行中，汇总遍历整个数组，其余引用仍是当前行。", "Inside a line an aggregate goes over the whole array; other references are still the current line's.",
        {}, R(I("l", "items", type="array", children=[I("share", "_function ROUND({{items.q}}/SUM({{items.q}}),2)")])), [{"items": [{"q": 1}, {"q": 3}]}], [{"l": [{"share": "0.25"}, {"share": "0.75"}]}]),
    Construct("sql", "UUID() / RAND()", "由数据本身算出：同一条数据每次重试都得到同一个值。", "Derived from the record: every try of the same record gives the same value.",
        {}, R(I("n", "_function LENGTH(REPLACE(UUID(),'-',''))")), [A], [{"n": 32}]),
    Construct("sql", "不是数字 · not a number", "参与计算的裸值必须是数字，否则该条无效，而不是按 0 计算。", "A bare value that is calculated with must be a number; otherwise the record is invalid instead of counting as 0.",
        {}, R(I("x", "_function {{price}}*2")), [{"price": "1,234.50"}, {"price": "1.50"}], [None, {"x": "3.00"}]),
    Construct("sql", "出错与除零 · errors and division by zero", "该条无效，原因写出表达式和各值；options.lenient 时如原平台一样发送原文本。", "The record is invalid, and the reason shows the expression and its values; with options.lenient the text is sent as the platform does.",
        {}, R(I("x", "_function {{b}}/{{zero}}")), [{"b": 1, "zero": 0}], [None]),
    Construct("lookups", "_findCollection", "取另一方案已入账数据的一个字段；条件以空格分隔、全部成立；右边可为宏、文本或另一个查找；多条取最新。对方尚未入账时该条等待（options.lookup）。", "A field of another plan's record; conditions are separated by blanks and all must hold; the right side may be a macro, a text or another look-up; of several the newest. Where the other plan has not staged it yet, the record waits (options.lookup).",
        {}, R(I("dept", "_findCollection find name from departments where id={{dept}} code='B'"), I("code", "_findCollection find code from departments where id=_findCollection find id from departments where name={{name}} _endFind")), [{"dept": 7, "name": "我的企业"}], [{"dept": "销售部", "code": "A"}], {"lookups": DEPARTMENTS}),
    Construct("lookups", "_findCollection … _endFind", "在 _function 中以 _endFind 结束。", "Inside _function it ends with _endFind.",
        {}, R(I("x", "_function case _findCollection find code from departments where id={{dept}} _endFind when 'B' then '销售' else '其他' end")), [{"dept": 7}], [{"x": "销售"}], {"lookups": DEPARTMENTS}),
    Construct("lookups", "_mongoQuery", "以 MongoDB 条件查找：content. 源数据，response. 目标的应答，以及 id number status created_at response_at；运算符 $eq $ne $gt $gte $lt $lte $in $nin $regex $exists $and。", "A look-up with a MongoDB filter: content. for the record, response. for the target's answer, and id number status created_at response_at; operators $eq $ne $gt $gte $lt $lte $in $nin $regex $exists $and.",
        {}, R(I("x", '_mongoQuery departments findField=content.name where={"content.id":{"$eq":"{{dept}}"},"content.code":{"$in":["A","B"]}}')), [{"dept": 7}], [{"x": "销售部"}], {"lookups": DEPARTMENTS}),
    Construct("rows", "condition", "外层数组为或，内层为与；不符的数据入账为“已过滤”。指向明细的条件去掉不符的行，strictMode 为 true 时一行不符即整条过滤；行全被去掉也过滤。", "Any of the groups, all conditions of a group; what fails is kept as skipped. Conditions on lines remove the lines that fail; with strictMode one such line drops the row, as does the loss of all lines.",
        {"condition": [[{"field": "status", "logic": "in", "value": "1,2"}, {"field": "items.qty", "logic": "gt", "value": "0"}]]}, R(I("lines", "items", type="array", children=[I("sku", "{{items.sku}}")])), [{"id": 1, "status": 2, "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 0}]}, {"id": 2, "status": 9, "items": []}], [{"lines": [{"sku": "a"}]}, None]),
    Construct("rows", "formatResponse", "由旧字段得到新字段；可指向明细。账本保存原样，使用时才格式化。", "New fields from old ones, also in lines. The ledger keeps what came; formats apply when a row is used.",
        {"formatResponse": [{"old": "at", "new": "day", "format": "date"}, {"old": "tags", "new": "tags_text", "format": "implode('|')"}]}, R(I("day", "{{day}}"), I("tags", "{{tags_text}}")), [{"id": 1, "at": "2024-03-15 14:30:25", "tags": ["a", "b"]}], [{"day": "2024-03-15", "tags": "a|b"}]),
    Construct("rows", "明细中的明细 · lines in lines", "条件和格式都可以指向多层明细；内层全被去掉的行也去掉。", "Conditions and formats may lead through arrays in arrays; a line that is left without inner ones goes, too.",
        {"condition": [[{"field": "l.s.n", "logic": "gt", "value": "1"}]]}, R(I("n", "{{l.s.n}}", type="array")), [{"id": 1, "l": [{"s": [{"n": 1}]}, {"s": [{"n": 2}, {"n": 0}]}]}], [{"n": [2]}]),
    Construct("rows", "编码比较 · comparing codes", "两边都是文本时，01 与 1、1E3 与 1000 不相等；其中一边是数字则按值比较。", "Of two texts 01 is not 1 and 1E3 is not 1000; where one side is a number, values are compared.",
        {"condition": [[{"field": "code", "logic": "in", "value": "01,1E3"}]]}, R(I("c", "{{code}}")), [{"id": 1, "code": "01"}, {"id": 2, "code": "1"}, {"id": 3, "code": "1000"}], [{"c": "01"}, None, None]),
    Construct("rows", "beatFlat", "数组拍扁为多条，字段名为 数组_字段，主键加 -1、-2；内层数组写 数组_数组；多个数组各自成条；空数组保留表头一条。", "An array becomes rows: fields are named ARRAY_FIELD, ids get -1, -2; inner arrays are ARRAY_ARRAY; several arrays give their own rows; an empty one leaves the head's row.",
        {"beatFlat": ["items"]}, R(I("no", "{{id}}"), I("sku", "{{items_sku}}")), [{"id": "N1", "items": [{"sku": "a"}, {"sku": "b"}]}], [{"no": "N1", "sku": "a"}, {"no": "N1", "sku": "b"}]),
    Construct("documents", "operation: merge", "field 相同的数据合并为一单，header 为表头列，body 为明细列，bodySum 的列在其余列相同时累加。", "Records with the same field make one document: header is the head's columns, body the lines', and columns of bodySum are added up where the others are equal.",
        {}, R(I("no", "{{no}}"), I("lines", "details", type="array", children=[I("sku", "{{details.sku}}"), I("qty", "{{details.qty}}")]), operation={"method": "merge", "field": "no", "bodyName": "details", "header": ["no"], "body": ["sku"], "bodySum": ["qty"]}), [{"id": 1, "no": "N1", "sku": "a", "qty": 1}, {"id": 2, "no": "N1", "sku": "a", "qty": "2"}, {"id": 3, "no": "N2", "sku": "b", "qty": 1}], [{"no": "N1", "lines": [{"sku": "a", "qty": 3}]}, {"no": "N2", "lines": [{"sku": "b", "qty": 1}]}]),
    Construct("documents", "operation: batchArraySave", "每次请求 rows 条，放在 rowsKey 的数组中。每条的内容不变。", "rows records a request, in the array rowsKey. What each holds is not changed.",
        {}, R(I("a", "{{a}}"), operation={"method": "batchArraySave", "rows": 20, "rowsKey": "array"}), [{"id": 1, "a": 1}], [{"a": 1}]),
    Construct("documents", "groupCalculate", "按 headerGroup 成单、bodyGroup 成行，calculate 各列用 $sum $avg $min $max $push $addToSet $first $last；行数超过 bodyMaxLine 时拆单。行中是该行的值，表头中是整单的值。", "Documents by headerGroup, lines by bodyGroup, columns by $sum $avg $min $max $push $addToSet $first $last; more lines than bodyMaxLine make several documents. Lines hold the line's value, the head the whole document's.",
        {}, R(I("shop", "{{shop}}"), I("total", "{{num}}"), I("lines", "details", type="array", children=[I("sku", "{{details.sku}}"), I("num", "{{details.num}}")]), groupCalculate={"headerGroup": ["shop"], "bodyGroup": ["sku"], "bodyName": "details", "calculate": {"num": "$sum"}}), [{"id": 1, "shop": "S", "sku": "a", "num": 1}, {"id": 2, "shop": "S", "sku": "a", "num": 2}, {"id": 3, "shop": "S", "sku": "b", "num": 5}], [{"shop": "S", "total": 8, "lines": [{"sku": "a", "num": 3}, {"sku": "b", "num": 5}]}]),
]  # fmt: skip

# What noria chose where the platform's published plans and documents leave it open or contradict each other, and where a
# `_function` differs from a MySQL server.
CHOICES = [
    ("目标的 idCheck 写 true，或源的 idCheck 不是 false 时，没有主键的数据无效；源的 idCheck 为 false 时，一次读取中主键重复的以后者为准。", "A record without an id is invalid where the target's idCheck is true or the source's is not false; with a source's idCheck of false the later of two contents of an id counts."),
    ("源的 idCheck：true（缺省）时已入账主键的新内容只留作记录，不再写入；false 时重新写入。", "idCheck of a source: with true (the default) new content of a known id is only kept; with false it is written again."),
    ("condition、formatResponse、beatFlat 的顺序：先拍扁，再格式化，再过滤。", "Order: beatFlat, then formatResponse, then condition."),
    ("formatResponse 的 dateTime 没有秒，后缀 |datetime 有秒；0000-00-00 视为空。", "formatResponse's dateTime has no seconds, the suffix |datetime has; 0000-00-00 counts as empty."),
    ("主键若是明细字段，拍扁后不再加序号。", "An id that is a field of the element gets no number."),
    ("合并的单据在源读完后才写入；同一单的数据一起成功、一起重试。", "Merged documents are written when the source is read; the records of one succeed and are retried together."),
    ("autoFillResponse、buildModel、condition_bk 及界面用的键保留但不影响结果。", "autoFillResponse, buildModel, condition_bk and keys of the user interface are kept and change no result."),
    ("omissionRemedy 作为配置读取并检查。", "omissionRemedy is read and checked as configuration."),
    ("_function：文本参与的计算精确到 17 位有效数字而非双精度；整数没有 64 位上限；除以零是错误而非 NULL。", "_function: a calculation with text has 17 significant digits instead of a double's binary fraction; integers have no 64-bit limit; division by zero is an error, not NULL."),
    ("_function：文本按 utf8mb4_general_ci 比较，但表情等补充字符各不相同；[[:upper:]] 不分大小写；带时区的时间文本忽略时区；夏令时按连接时区的历史规则。", "_function: text compares as utf8mb4_general_ci does, except that emoji and other supplementary characters differ from each other; [[:upper:]] ignores case; offsets in time texts are ignored; daylight saving follows the connection's zone."),
    ("_function：文本的 ROUND 逢半进位（双精度是取偶）；IF、CASE、IFNULL 的小数位是所取分支的；INTERVAL 的天以上单位舍去小数；CURTIME() 是文本。", "_function: ROUND of a text rounds halves away from zero (a double's go to even); IF, CASE and IFNULL have the decimals of the branch that is taken; fractions of an INTERVAL in days or more are cut off; CURTIME() is text."),
    ("_function：不存在的日期（2024-02-30、0000-00-00、月或日为 00）为 NULL；1970 年之前 UNIX_TIMESTAMP 为 0；超过 16 MB 的文本是错误。", "_function: dates that there aren't (2024-02-30, 0000-00-00, a month or day of 00) are NULL; UNIX_TIMESTAMP before 1970 is 0; a text above 16 MB is an error."),
    ("_function：不是 JSON 的文本是错误；JSON 路径不支持 ** 和 to；GROUP_CONCAT 不支持 ORDER BY。", "_function: text that is not JSON is an error; JSON paths have no ** and no to; GROUP_CONCAT has no ORDER BY."),
    ("时间可写作秒或毫秒的 Unix 时间（文本至少九位）、ISO 8601、2024/3/5、2024.03.05、2024年3月5日、2024-03、20240305；0000-00-00 为空，24:00 是次日零时。", "Times may be epoch seconds or milliseconds (a text of at least nine digits), ISO 8601, 2024/3/5, 2024.03.05, 2024年3月5日, 2024-03, 20240305; 0000-00-00 is empty and 24:00 the next day."),
    ("首次执行的 LAST_SYNC_TIME 早于 1970 年时，不带后缀的宏为 0。", "Where LAST_SYNC_TIME of the first run is before 1970, the macro without a suffix is 0."),
    ("导出的写法：空对象写成 []、编号对象代替数组、空白行、1/0/\"true\" 的 is_required、解析器写成列表、JSON 文本或只写名称，都按其含义读取。", "As exports write: [] for an empty object, an object with numbered keys for an array, blank rows, is_required as 1, 0 or \"true\", a parser in a list, as JSON text or by its name alone; all are read as what they mean."),
    ("合并键为空的数据无效；field 可用逗号写多列。", "A record whose merge key is empty is invalid; field may name several columns with commas."),
    ("_function：不支持查询、变量、赋值、多单位 INTERVAL、WEEK() 等未列出的函数；正则超时为错误。", "_function: no queries, variables, assignments, compound INTERVAL units or functions that aren't listed; a pattern that takes too long is an error."),
    ("callBackStrategy：接收方案的源连接用连接器 noria，从账本读取此前写入成功的数据；primaryWriteback 取该条的结果，没有时取整个应答。", "callBackStrategy: the plan that takes the rows has a source connection with the connector noria and reads them out of the ledger; primaryWriteback is the record's own result, or the whole answer."),
    ("distributionOrg 由金蝶连接器执行，尚不支持，check 会报错。", "distributionOrg is the Kingdee connector's business and not supported yet; check says so."),
]  # fmt: skip
