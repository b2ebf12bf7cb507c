"""Functions on text."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from noria.mapping.mysql.comparing import compare, fold, folded
from noria.mapping.mysql.values import EXACT, decimals, number, strict, text, whole

# The longest text that a function may make (MySQL's max_allowed_packet): longer is NULL.
LONGEST = 16 * 1024 * 1024


def concat(*values: Any) -> str | None:
    """CONCAT"""
    texts = []
    for value in values:
        one = value if value.__class__ is str else text(value)
        if one is None:
            return None
        texts.append(one)
    return _limited("".join(texts))


def _limited(value: str) -> str | None:
    return value if len(value) <= LONGEST else None


def concat_ws(separator: Any, *values: Any) -> str | None:
    """CONCAT_WS"""
    between_ = text(separator)
    return None if between_ is None else _limited(between_.join(t for t in map(text, values) if t is not None))


@strict
def substring(value: Any, start: Any, length: Any = LONGEST) -> str:
    """SUBSTRING"""
    subject, place, most = text(value) or "", whole(start), whole(length)
    if place == 0 or most <= 0 or place < -len(subject):
        return ""
    begin = place - 1 if place > 0 else len(subject) + place
    return subject[begin : begin + most]


@strict
def left(value: Any, n: Any) -> str:
    """LEFT"""
    return (text(value) or "")[: max(whole(n), 0)]


@strict
def right(value: Any, n: Any) -> str:
    """RIGHT"""
    count = max(whole(n), 0)
    return (text(value) or "")[-count:] if count else ""


@strict
def substring_index(value: Any, delimiter: Any, count: Any) -> str:
    """SUBSTRING_INDEX"""
    subject, mark, n = text(value) or "", text(delimiter) or "", whole(count)
    if not mark or n == 0:
        return ""
    parts = subject.split(mark)
    return mark.join(parts[:n] if n > 0 else parts[n:])


@strict
def length(value: Any) -> int:
    """LENGTH in bytes"""
    return len((text(value) or "").encode("utf-8", "surrogatepass"))


@strict
def char_length(value: Any) -> int:
    """CHAR_LENGTH"""
    return len(text(value) or "")


@strict
def replace(value: Any, old: Any, new: Any) -> str | None:
    """REPLACE, with case"""
    subject, what, with_ = text(value) or "", text(old) or "", text(new) or ""
    if not what:
        return subject
    if len(with_) > 1 and len(subject) + subject.count(what) * len(with_) > LONGEST:
        return None
    return subject.replace(what, with_)


@strict
def locate(part: Any, value: Any, start: Any = 1) -> int:
    """LOCATE"""
    place = whole(start)
    return folded(text(value) or "").find(folded(text(part) or ""), place - 1) + 1 if place > 0 else 0


def instr(value: Any, part: Any) -> Any:
    """INSTR"""
    return locate(part, value)


@strict
def trim(value: Any, what: Any = " ", where: str = "BOTH") -> str:
    """TRIM"""
    subject, mark = text(value) or "", text(what) or ""
    if not mark:
        return subject
    begin, end = 0, len(subject)
    if where != "TRAILING":
        while subject.startswith(mark, begin, end):
            begin += len(mark)
    if where != "LEADING":
        while end - begin >= len(mark) and subject.endswith(mark, begin, end):
            end -= len(mark)
    return subject[begin:end]


@strict
def ltrim(value: Any) -> str:
    """LTRIM"""
    return (text(value) or "").lstrip(" ")


@strict
def rtrim(value: Any) -> str:
    """RTRIM"""
    return (text(value) or "").rstrip(" ")


@strict
def upper(value: Any) -> str:
    """UPPER"""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text(value) or "")


@strict
def lower(value: Any) -> str:
    """LOWER"""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text(value) or "")


@strict
def lpad(value: Any, n: Any, with_: Any) -> str | None:
    """LPAD"""
    return _pad(value, n, with_, left_=True)


@strict
def rpad(value: Any, n: Any, with_: Any) -> str | None:
    """RPAD"""
    return _pad(value, n, with_, left_=False)


def _pad(value: Any, n: Any, with_: Any, *, left_: bool) -> str | None:
    subject, wanted, mark = text(value) or "", whole(n), text(with_) or ""
    if wanted < 0 or wanted > LONGEST:
        return None
    if wanted <= len(subject):
        return subject[:wanted]
    if not mark:
        return None
    missing = wanted - len(subject)
    padding = (mark * (missing // len(mark) + 1))[:missing]
    return padding + subject if left_ else subject + padding


@strict
def repeat(value: Any, n: Any) -> str | None:
    """REPEAT"""
    subject, count = text(value) or "", max(whole(n), 0)
    return None if len(subject) * count > LONGEST else subject * count


@strict
def reverse(value: Any) -> str:
    """REVERSE"""
    return (text(value) or "")[::-1]


@strict
def space(n: Any) -> str | None:
    """SPACE"""
    return repeat(" ", n)  # type: ignore[no-any-return]


def strcmp(a: Any, b: Any) -> int | None:
    """STRCMP"""
    return compare(text(a), text(b))


@strict
def find_in_set(value: Any, choices: Any) -> int:
    """FIND_IN_SET"""
    subject, listed = text(value) or "", text(choices) or ""
    if not listed or "," in subject:
        return 0
    return next((i for i, one in enumerate(listed.split(","), 1) if fold(one) == fold(subject)), 0)


@strict
def format_(value: Any, d: Any) -> str:
    """FORMAT: thousands separators"""
    digits = max(0, decimals(d))
    amount = Decimal(number(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, EXACT)
    return f"{amount:,f}"


@strict
def hexadecimal(value: Any) -> str:
    """HEX"""
    if isinstance(value, int | Decimal):
        return f"{whole(value) & ((1 << 64) - 1):X}"
    return (text(value) or "").encode("utf-8", "surrogatepass").hex().upper()


@strict
def ascii_(value: Any) -> int:
    """ASCII"""
    return next(iter((text(value) or "").encode("utf-8", "surrogatepass")), 0)


def char(*codes: Any) -> str:
    """CHAR: the text whose UTF-8 bytes these numbers are; NULLs are left out."""
    numbers = [max(whole(code), 0) % (1 << 32) for code in codes if code is not None]
    parts = [one.to_bytes(max(1, (one.bit_length() + 7) // 8), "big") for one in numbers]
    return b"".join(parts).decode("utf-8", "replace")


@strict
def md5(value: Any) -> str:
    """MD5"""
    return hashlib.md5(_bytes(value), usedforsecurity=False).hexdigest()


@strict
def sha1(value: Any) -> str:
    """SHA1"""
    return hashlib.sha1(_bytes(value), usedforsecurity=False).hexdigest()


@strict
def sha2(value: Any, size: Any) -> str | None:
    """SHA2"""
    name = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}.get(whole(size))
    return None if name is None else hashlib.new(name, _bytes(value), usedforsecurity=False).hexdigest()


def _bytes(value: Any) -> bytes:
    return (text(value) or "").encode("utf-8", "surrogatepass")
