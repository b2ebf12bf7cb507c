"""The SQL functions of `_function`: their arguments, and an example of each that the tests run.

The reference pages are made from this table; `mapping` carries the functions out.
"""

from __future__ import annotations

from typing import NamedTuple


class Function(NamedTuple):
    """A function: how many arguments it takes (`most` None: any number), how it is written, what it does, and an
    example with its value. `alias`: the function that it is another name of."""

    least: int
    most: int | None
    usage: str
    zh: str
    en: str
    example: str
    gives: str
    alias: str = ""


UNITS = (
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
)

_TABLE = """
ABS 1 1 ABS(x) | 绝对值 | absolute value | ABS(-2.50) | 2.50
SIGN 1 1 SIGN(x) | 符号 -1、0、1 | sign | SIGN(-3) | -1
ROUND 1 2 ROUND(x[, d]) | 四舍五入到 d 位 | rounds half away from zero, to d decimals | ROUND(2.345, 2) | 2.35
TRUNCATE 2 2 TRUNCATE(x, d) | 截断到 d 位 | cuts off digits | TRUNCATE(2.349, 2) | 2.34
CEIL 1 1 CEIL(x) | 向上取整 | rounds up | CEIL(2.1) | 3
CEILING=CEIL 1 1 CEILING(x) | 同 CEIL | as CEIL | CEILING(-2.1) | -2
FLOOR 1 1 FLOOR(x) | 向下取整 | rounds down | FLOOR(-2.1) | -3
MOD 2 2 MOD(x, y) | 余数 | remainder | MOD(10, 3) | 1
POW 2 2 POW(x, y) | 乘方 | power | POW(2, 10) | 1024
POWER=POW 2 2 POWER(x, y) | 同 POW | as POW | POWER(3, 2) | 9
EXP 1 1 EXP(x) | e 的 x 次方 | e to the power of x | EXP(0) | 1
LN 1 1 LN(x) | 自然对数 | natural logarithm | LN(1) | 0
LOG10 1 1 LOG10(x) | 以 10 为底的对数 | logarithm to the base 10 | LOG10(1000) | 3
SQRT 1 1 SQRT(x) | 平方根 | square root | SQRT(16) | 4
GREATEST 2 * GREATEST(a, b, …) | 最大者 | the greatest | GREATEST(1, 3, 2) | 3
LEAST 2 * LEAST(a, b, …) | 最小者 | the least | LEAST(1, 3, 2) | 1
CONCAT 1 * CONCAT(a, …) | 连接文本，有 NULL 则为 NULL | joins texts; NULL if one is | CONCAT('a', 1, 'b') | a1b
CONCAT_WS 2 * CONCAT_WS(sep, a, …) | 以分隔符连接，略过 NULL | joins with a separator, skips NULL | CONCAT_WS('-', 'a', NULL, 'b') | a-b
SUBSTRING 2 3 SUBSTRING(s, from[, n]) | 子串，从 1 起，负数从末尾 | part of a text, from 1, negative from the end | SUBSTRING('noria', 2, 3) | ori
SUBSTR=SUBSTRING 2 3 SUBSTR(s, from[, n]) | 同 SUBSTRING | as SUBSTRING | SUBSTR('noria', -2) | ia
MID=SUBSTRING 2 3 MID(s, from[, n]) | 同 SUBSTRING | as SUBSTRING | MID('noria', 1, 2) | no
LEFT 2 2 LEFT(s, n) | 前 n 个字符 | first n characters | LEFT('轻易云', 2) | 轻易
RIGHT 2 2 RIGHT(s, n) | 后 n 个字符 | last n characters | RIGHT('轻易云', 1) | 云
SUBSTRING_INDEX 3 3 SUBSTRING_INDEX(s, d, n) | 第 n 个分隔符之前（负数：之后） | before the n-th separator (negative: after) | SUBSTRING_INDEX('a-b-c', '-', 2) | a-b
LENGTH 1 1 LENGTH(s) | UTF-8 字节数 | bytes in UTF-8 | LENGTH('云a') | 4
OCTET_LENGTH=LENGTH 1 1 OCTET_LENGTH(s) | 同 LENGTH | as LENGTH | OCTET_LENGTH('a') | 1
CHAR_LENGTH 1 1 CHAR_LENGTH(s) | 字符数 | characters | CHAR_LENGTH('云a') | 2
CHARACTER_LENGTH=CHAR_LENGTH 1 1 CHARACTER_LENGTH(s) | 同 CHAR_LENGTH | as CHAR_LENGTH | CHARACTER_LENGTH('云') | 1
REPLACE 3 3 REPLACE(s, old, new) | 替换 | replaces | REPLACE('a.b.c', '.', '') | abc
LOCATE 2 3 LOCATE(part, s[, from]) | 位置，从 1 起，0 为没有 | position from 1, 0 if absent | LOCATE('仔细', '请仔细核对') | 2
INSTR 2 2 INSTR(s, part) | 同 LOCATE，参数相反 | as LOCATE, arguments swapped | INSTR('abc', 'c') | 3
TRIM 1 1 TRIM([BOTH|LEADING|TRAILING x FROM] s) | 去除两端 | trims | TRIM('  a ') | a
LTRIM 1 1 LTRIM(s) | 去除左端空格 | trims the left | LTRIM('  a') | a
RTRIM 1 1 RTRIM(s) | 去除右端空格 | trims the right | RTRIM('a  ') | a
UPPER 1 1 UPPER(s) | 大写 | upper case | UPPER('abc') | ABC
UCASE=UPPER 1 1 UCASE(s) | 同 UPPER | as UPPER | UCASE('a') | A
LOWER 1 1 LOWER(s) | 小写 | lower case | LOWER('ABC') | abc
LCASE=LOWER 1 1 LCASE(s) | 同 LOWER | as LOWER | LCASE('A') | a
LPAD 2 3 LPAD(s, n[, with]) | 左补到 n 个字符 | pads the left to n characters | LPAD('7', 3, '0') | 007
RPAD 2 3 RPAD(s, n[, with]) | 右补 | pads the right | RPAD('7', 3, '0') | 700
INSERT 4 4 INSERT(s, from, n, new) | 把从 from 起的 n 个字符换成 new | replaces n characters from a place | INSERT('noria', 2, 1, '00') | n00ria
REPEAT 2 2 REPEAT(s, n) | 重复 | repeats | REPEAT('ab', 2) | abab
REVERSE 1 1 REVERSE(s) | 倒序 | reverses | REVERSE('abc') | cba
SPACE 1 1 SPACE(n) | n 个空格 | n spaces | CONCAT('a', SPACE(2), 'b') | a  b
STRCMP 2 2 STRCMP(a, b) | 比较文本 -1、0、1 | compares texts | STRCMP('a', 'b') | -1
FIND_IN_SET 2 2 FIND_IN_SET(s, list) | 在逗号列表中的位置 | position in a comma list | FIND_IN_SET('b', 'a,b') | 2
FIELD 2 * FIELD(x, a, …) | x 是第几个 | which one x is | FIELD('b', 'a', 'b') | 2
ELT 2 * ELT(n, a, …) | 第 n 个 | the n-th | ELT(2, 'a', 'b') | b
FORMAT 2 2 FORMAT(x, d) | 千分位文本 | with thousands separators | FORMAT(12345.678, 2) | 12,345.68
HEX 1 1 HEX(x) | 十六进制 | hexadecimal | HEX('a') | 61
CHAR 1 * CHAR(n, …) | 由字节值组成文本 | the text of these byte values | CHAR(65, 66) | AB
ASCII 1 1 ASCII(s) | 首字节的值 | value of the first byte | ASCII('a') | 97
CONV 3 3 CONV(x, from, to) | 进制转换 | a number in another base | CONV('ff', 16, 10) | 255
UNHEX 1 1 UNHEX(s) | 由十六进制还原文本 | the text of hexadecimal bytes | UNHEX('61') | a
TO_BASE64 1 1 TO_BASE64(s) | Base64 编码 | as Base64 | TO_BASE64('abc') | YWJj
FROM_BASE64 1 1 FROM_BASE64(s) | Base64 解码 | from Base64 | FROM_BASE64('YWJj') | abc
CRC32 1 1 CRC32(s) | CRC-32 校验和 | CRC-32 checksum | CRC32('abc') | 891568578
UUID 0 0 UUID() | 唯一编号：同一数据每次相同，重试不变 | a unique number, the same for the same record on every try | LENGTH(UUID()) | 36
RAND 0 0 RAND() | 0 到 1 的伪随机数：同一数据每次相同 | a number from 0 to 1, the same for the same record on every try | RAND() < 1 | 1
MD5 1 1 MD5(s) | MD5 摘要 | MD5 digest | MD5('') | d41d8cd98f00b204e9800998ecf8427e
SHA1 1 1 SHA1(s) | SHA-1 摘要 | SHA-1 digest | SHA1('') | da39a3ee5e6b4b0d3255bfef95601890afd80709
SHA2 2 2 SHA2(s, bits) | SHA-2 摘要 | SHA-2 digest | LEFT(SHA2('', 256), 8) | e3b0c442
IF 3 3 IF(c, a, b) | 条件 | a if c, else b | IF(1 > 0, 'a', 'b') | a
IFNULL 2 2 IFNULL(a, b) | a，若为 NULL 则 b | a, or b where a is NULL | IFNULL(NULL, 'b') | b
NVL=IFNULL 2 2 NVL(a, b) | 同 IFNULL | as IFNULL | NVL(NULL, 'b') | b
NULLIF 2 2 NULLIF(a, b) | 相等则 NULL | NULL where equal, else a | IFNULL(NULLIF('a', 'a'), 'n') | n
COALESCE 1 * COALESCE(a, …) | 第一个非 NULL | the first that is not NULL | COALESCE(NULL, 'x') | x
ISNULL 1 1 ISNULL(x) | 是否 NULL | whether NULL | ISNULL(NULL) | 1
NOW 0 1 NOW() | 当前时间 | the run's time | DATE_FORMAT(NOW(), 'x') | x
SYSDATE=NOW 0 1 SYSDATE() | 同 NOW | as NOW | DATE_FORMAT(SYSDATE(), 'x') | x
CURRENT_TIMESTAMP=NOW 0 1 CURRENT_TIMESTAMP() | 同 NOW | as NOW | DATE_FORMAT(CURRENT_TIMESTAMP(), 'x') | x
CURDATE 0 0 CURDATE() | 今天 | today | DATE_FORMAT(CURDATE(), '%H') | 00
CURRENT_DATE=CURDATE 0 0 CURRENT_DATE() | 同 CURDATE | as CURDATE | DATE_FORMAT(CURRENT_DATE(), '%H') | 00
CURTIME 0 1 CURTIME() | 当前时刻 | time of day | LENGTH(CURTIME()) | 8
CURRENT_TIME=CURTIME 0 1 CURRENT_TIME() | 同 CURTIME | as CURTIME | LENGTH(CURRENT_TIME()) | 8
UTC_TIMESTAMP 0 0 UTC_TIMESTAMP() | UTC 时间 | time in UTC | DATE_FORMAT(UTC_TIMESTAMP(), 'x') | x
DATE 1 1 DATE(t) | 日期部分 | the date | DATE('2024-05-06 07:08:09') | 2024-05-06
TIME 1 1 TIME(t) | 时刻部分 | the time of day | TIME('2024-05-06 07:08:09') | 07:08:09
TIMESTAMP 1 2 TIMESTAMP(t[, time]) | 转为日期时间，可再加时刻 | as a date-time, a time later | TIMESTAMP('2024-05-06') | 2024-05-06 00:00:00
YEAR 1 1 YEAR(t) | 年 | year | YEAR('2024-05-06') | 2024
QUARTER 1 1 QUARTER(t) | 季度 | quarter | QUARTER('2024-05-06') | 2
MONTH 1 1 MONTH(t) | 月 | month | MONTH('2024-05-06') | 5
DAY 1 1 DAY(t) | 日 | day of the month | DAY('2024-05-06') | 6
DAYOFMONTH=DAY 1 1 DAYOFMONTH(t) | 同 DAY | as DAY | DAYOFMONTH('2024-05-06') | 6
DAYOFWEEK 1 1 DAYOFWEEK(t) | 星期，周日为 1 | day of the week, Sunday 1 | DAYOFWEEK('2024-05-06') | 2
WEEKDAY 1 1 WEEKDAY(t) | 星期，周一为 0 | day of the week, Monday 0 | WEEKDAY('2024-05-06') | 0
DAYOFYEAR 1 1 DAYOFYEAR(t) | 一年中的第几天 | day of the year | DAYOFYEAR('2024-02-01') | 32
HOUR 1 1 HOUR(t) | 时 | hour | HOUR('07:08:09') | 7
MINUTE 1 1 MINUTE(t) | 分 | minute | MINUTE('07:08:09') | 8
SECOND 1 1 SECOND(t) | 秒 | second | SECOND('07:08:09') | 9
LAST_DAY 1 1 LAST_DAY(t) | 当月最后一天 | last day of the month | LAST_DAY('2024-02-01') | 2024-02-29
EXTRACT 1 1 EXTRACT(unit FROM t) | 取一部分 | one part of a time | EXTRACT(MONTH FROM '2024-05-06') | 5
DATE_FORMAT 2 2 DATE_FORMAT(t, format) | 按格式输出时间 | a time as text | DATE_FORMAT('2024-05-06 07:08:09', '%Y/%m/%d %H:%i') | 2024/05/06 07:08
TIME_FORMAT 2 2 TIME_FORMAT(t, format) | 按格式输出时刻 | a time of day as text | TIME_FORMAT('25:08:09', '%H:%i') | 25:08
DAYNAME 1 1 DAYNAME(t) | 星期的英文名 | name of the day | DAYNAME('2024-05-06') | Monday
MONTHNAME 1 1 MONTHNAME(t) | 月份的英文名 | name of the month | MONTHNAME('2024-05-06') | May
WEEK 1 2 WEEK(t[, mode]) | 第几周，mode 0 至 3 | week number, modes 0 to 3 | WEEK('2024-05-06', 1) | 19
WEEKOFYEAR 1 1 WEEKOFYEAR(t) | ISO 周数 | ISO week number | WEEKOFYEAR('2024-05-06') | 19
YEARWEEK 1 2 YEARWEEK(t[, mode]) | 年与周 | year and week | YEARWEEK('2024-05-06', 1) | 202419
MAKEDATE 2 2 MAKEDATE(year, n) | 一年的第 n 天 | the n-th day of a year | MAKEDATE(2024, 32) | 2024-02-01
SEC_TO_TIME 1 1 SEC_TO_TIME(n) | 秒 → 时刻 | seconds as a time | SEC_TO_TIME(3661) | 01:01:01
TIME_TO_SEC 1 1 TIME_TO_SEC(t) | 时刻 → 秒 | a time in seconds | TIME_TO_SEC('01:01:01') | 3661
TO_DAYS 1 1 TO_DAYS(t) | 自公元 0 年的天数 | days since year 0 | TO_DAYS('2024-01-01') | 739251
FROM_DAYS 1 1 FROM_DAYS(n) | 天数 → 日期 | the date of so many days | FROM_DAYS(739251) | 2024-01-01
TIMEDIFF 2 2 TIMEDIFF(a, b) | 相差的时间 | time from b to a | TIMEDIFF('10:00:00', '09:30:00') | 00:30:00
ADDTIME 2 2 ADDTIME(t, time) | 加时间 | adds a time | ADDTIME('2024-01-01 10:00:00', '01:30:00') | 2024-01-01 11:30:00
SUBTIME 2 2 SUBTIME(t, time) | 减时间 | subtracts a time | SUBTIME('2024-01-01 10:00:00', '01:30:00') | 2024-01-01 08:30:00
STR_TO_DATE 2 2 STR_TO_DATE(s, format) | 按格式读取时间 | reads a time | STR_TO_DATE('06/05/2024', '%d/%m/%Y') | 2024-05-06
FROM_UNIXTIME 1 2 FROM_UNIXTIME(x[, format]) | 由 Unix 秒 | from epoch seconds | FROM_UNIXTIME(1700000000, '%Y-%m-%d') | 2023-11-15
UNIX_TIMESTAMP 0 1 UNIX_TIMESTAMP([t]) | 到 Unix 秒 | to epoch seconds | UNIX_TIMESTAMP('2023-11-15 06:13:20') | 1700000000
DATE_ADD 3 3 DATE_ADD(t, INTERVAL n unit) | 加时间 | adds to a time | DATE_ADD('2024-01-31', INTERVAL 1 MONTH) | 2024-02-29
ADDDATE=DATE_ADD 3 3 ADDDATE(t, INTERVAL n unit) | 同 DATE_ADD；也可 ADDDATE(t, 天数) | as DATE_ADD; also ADDDATE(t, days) | ADDDATE('2024-01-31', 1) | 2024-02-01
DATE_SUB 3 3 DATE_SUB(t, INTERVAL n unit) | 减时间 | subtracts from a time | DATE_SUB('2024-03-01', INTERVAL 1 DAY) | 2024-02-29
SUBDATE=DATE_SUB 3 3 SUBDATE(t, INTERVAL n unit) | 同 DATE_SUB | as DATE_SUB | SUBDATE('2024-03-01', 1) | 2024-02-29
TIMESTAMPADD 3 3 TIMESTAMPADD(unit, n, t) | 同 DATE_ADD | as DATE_ADD | TIMESTAMPADD(HOUR, 1, '2024-03-01') | 2024-03-01 01:00:00
TIMESTAMPDIFF 3 3 TIMESTAMPDIFF(unit, a, b) | b 与 a 相差几个单位 | whole units from a to b | TIMESTAMPDIFF(DAY, '2024-01-01', '2024-02-01') | 31
DATEDIFF 2 2 DATEDIFF(a, b) | 相差天数 | days from b to a | DATEDIFF('2024-02-01', '2024-01-31') | 1
CAST 2 4 CAST(x AS type) | 转换类型：CHAR SIGNED UNSIGNED DECIMAL(m,d) DOUBLE DATE DATETIME TIME | converts | CAST('12.345' AS DECIMAL(10,2)) | 12.35
CONVERT=CAST 2 4 CONVERT(x, type) | 同 CAST | as CAST | CONVERT('12', SIGNED) | 12
JSON_EXTRACT 2 * JSON_EXTRACT(j, path, …) | 取 JSON 中的值 | a value inside JSON | JSON_EXTRACT('{"a":[1,2]}', '$.a[1]') | 2
JSON_UNQUOTE 1 1 JSON_UNQUOTE(j) | 去掉 JSON 引号 | a JSON text without its quotes | JSON_UNQUOTE('"a"') | a
JSON_VALUE 2 2 JSON_VALUE(j, path) | 取 JSON 中的标量 | a scalar inside JSON | JSON_VALUE('{"a":"x"}', '$.a') | x
JSON_OBJECT 0 * JSON_OBJECT(key, value, …) | 组成 JSON 对象 | makes a JSON object | JSON_OBJECT('a', 1) | {"a": 1}
JSON_ARRAY 0 * JSON_ARRAY(a, …) | 组成 JSON 数组 | makes a JSON array | JSON_ARRAY(1, 'x') | [1, "x"]
JSON_KEYS 1 2 JSON_KEYS(j[, path]) | 对象的键 | keys of an object | JSON_KEYS('{"a":1,"b":2}') | ["a", "b"]
JSON_LENGTH 1 2 JSON_LENGTH(j[, path]) | 元素个数 | number of elements | JSON_LENGTH('[1,2,3]') | 3
JSON_VALID 1 1 JSON_VALID(j) | 是否 JSON | whether it is JSON | JSON_VALID('{') | 0
REGEXP_REPLACE 3 3 REGEXP_REPLACE(s, re, with) | 按正则替换 | replaces by a regular expression | REGEXP_REPLACE('a1b22', '[0-9]+', '#') | a#b#
REGEXP_SUBSTR 2 2 REGEXP_SUBSTR(s, re) | 第一处匹配 | the first match | REGEXP_SUBSTR('ab12', '[0-9]+') | 12
REGEXP_INSTR 2 2 REGEXP_INSTR(s, re) | 匹配的位置 | position of the match | REGEXP_INSTR('ab12', '[0-9]') | 3
SUM 1 1 SUM(x) | 明细合计 | sum over lines | SUM({{items.qty}}) | 5
AVG 1 1 AVG(x) | 明细平均 | average over lines | AVG({{items.qty}}) | 2.5000
MAX 1 1 MAX(x) | 明细最大值 | greatest of the lines | MAX({{items.qty}}) | 3
MIN 1 1 MIN(x) | 明细最小值 | least of the lines | MIN({{items.qty}}) | 2
COUNT 1 1 COUNT(x) | 非 NULL 的明细数 | lines in which x is not NULL | COUNT({{items.qty}}) | 2
GROUP_CONCAT 1 2 GROUP_CONCAT(x [SEPARATOR s]) | 连接明细 | joins the lines | GROUP_CONCAT({{items.name}} SEPARATOR '/') | a/b
"""


def _read(table: str) -> dict[str, Function]:
    functions = {}
    for line in table.strip().splitlines():
        head, zh, en, example, gives = (part.strip() for part in line.split(" | "))
        name, least, most, usage = head.split(" ", 3)
        name, _, alias = name.partition("=")
        functions[name] = Function(int(least), None if most == "*" else int(most), usage, zh, en, example, gives, alias)
    return functions


FUNCTIONS = _read(_TABLE)
# What other databases call them.
OTHERS = {
    "GETDATE": "NOW", "SYSDATETIME": "NOW", "TODAY": "CURDATE", "TO_CHAR": "DATE_FORMAT", "FORMAT_DATE": "DATE_FORMAT",
    "TO_DATE": "STR_TO_DATE", "DATEADD": "DATE_ADD", "LEN": "CHAR_LENGTH", "CHARINDEX": "LOCATE", "STRPOS": "LOCATE",
    "DECODE": "CASE", "IIF": "IF", "TO_NUMBER": "CAST", "STUFF": "INSERT", "STRING_AGG": "GROUP_CONCAT",
    "LISTAGG": "GROUP_CONCAT", "NEWID": "UUID", "TRUNC": "TRUNCATE",
}  # fmt: skip
AGGREGATES = ("SUM", "AVG", "MAX", "MIN", "COUNT", "GROUP_CONCAT")
