"""Functions on text."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from noria.mapping.mysql.comparing import compare, folded
from noria.mapping.mysql.values import EXACT, Binary, decimals, grown, number, strict, text, whole

# Texts up to this length aren't counted: a record holds many of them.
_SMALL = 4096


def concat(*values: Any) -> str | None:
    """CONCAT"""
    texts = []
    for value in values:
        one = value if value.__class__ is str else text(value)
        if one is None:
            return None
        texts.append(one)
    length = sum(map(len, texts))
    if length > _SMALL:
        grown(length)
    return "".join(texts)


def concat_ws(separator: Any, *values: Any) -> str | None:
    """CONCAT_WS"""
    between_ = text(separator)
    if between_ is None:
        return None
    texts = [t for t in map(text, values) if t is not None]
    grown(sum(map(len, texts)) + len(between_) * len(texts))
    return between_.join(texts)


@strict
def substring(value: Any, start: Any, length: Any = 1 << 40) -> str:
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
    if len(with_) > len(what):
        grown(len(subject) + subject.count(what) * (len(with_) - len(what)))
    return subject.replace(what, with_)


@strict
def locate(part: Any, value: Any, *start: Any) -> int:
    """LOCATE: a place with as many bytes that compares equal, as servers search."""
    place, wanted, subject = whole(start[0]) if start else 1, text(part) or "", text(value) or ""
    if place <= 0 or (start and place > len(subject)):
        return 0
    if isinstance(part, Binary) or isinstance(value, Binary):
        return subject.find(wanted, place - 1) + 1
    there, size = folded(subject), len(wanted.encode("utf-8", "surrogatepass"))
    found = there.find(folded(wanted), place - 1)
    while found >= 0 and len(subject[found : found + len(wanted)].encode("utf-8", "surrogatepass")) != size:
        found = there.find(folded(wanted), found + 1)
    return found + 1


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
        begin = len(mark) * _repeats(lambda n, done: subject.startswith(mark * n, done * len(mark)))
    if where != "LEADING":
        rest, size = subject[begin:], len(mark)
        end -= size * _repeats(lambda n, done: rest.endswith(mark * n, 0, max(len(rest) - done * size, 0)))
    return subject[begin:end]


def _repeats(more: Callable[[int, int], bool]) -> int:
    """How often something is repeated, where `more(n, done)` says whether it stands n times behind `done` times."""
    done, step = 0, 1
    while more(step, done):
        done += step
        step *= 2
    while step > 1:
        step //= 2
        if more(step, done):
            done += step
    return done


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
    subject = text(value) or ""
    changed = subject.upper()
    if len(changed) == len(subject):
        return changed
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in subject)


@strict
def lower(value: Any) -> str:
    """LOWER"""
    subject = text(value) or ""
    changed = subject.lower()
    if len(changed) == len(subject):
        return changed
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in subject)


@strict
def lpad(value: Any, n: Any, with_: Any = " ") -> str | None:
    """LPAD"""
    return _pad(value, n, with_, left_=True)


@strict
def rpad(value: Any, n: Any, with_: Any = " ") -> str | None:
    """RPAD"""
    return _pad(value, n, with_, left_=False)


def _pad(value: Any, n: Any, with_: Any, *, left_: bool) -> str | None:
    subject, wanted, mark = text(value) or "", whole(n), text(with_) or ""
    if wanted < 0:
        return None
    if wanted <= len(subject):
        return subject[:wanted]
    if not mark:
        return None
    grown(wanted)
    missing = wanted - len(subject)
    padding = (mark * (missing // len(mark) + 1))[:missing]
    return padding + subject if left_ else subject + padding


@strict
def repeat(value: Any, n: Any) -> str:
    """REPEAT"""
    subject, count = text(value) or "", max(whole(n), 0)
    grown(len(subject) * count)
    return subject * count


@strict
def reverse(value: Any) -> str:
    """REVERSE"""
    return (text(value) or "")[::-1]


@strict
def space(n: Any) -> str:
    """SPACE"""
    return str(repeat(" ", n))


@strict
def insert(value: Any, start: Any, length_: Any, new: Any) -> str:
    """INSERT: part of a text replaced by another."""
    subject, place, most, with_ = text(value) or "", whole(start), whole(length_), text(new) or ""
    if not 0 < place <= len(subject):
        return subject
    grown(len(subject) + len(with_))
    return subject[: place - 1] + with_ + (subject[place - 1 + most :] if most >= 0 else "")


@strict
def conv(value: Any, from_: Any, to: Any) -> str | None:
    """CONV: a number between bases 2 and 36, as an unsigned 64-bit one."""
    source, target = whole(from_), whole(to)
    if not (2 <= source <= 36 and 2 <= target <= 36):
        return None
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    found = re.match(r"\s*(-?)([0-9A-Za-z]*)", text(value) or "")
    taken = 0
    for char in (found[2].upper() if found else "")[:400]:
        if char not in digits[:source]:
            break
        taken = min(taken * source + digits.index(char), (1 << 64) - 1)
    if found and found[1]:
        taken = -taken & ((1 << 64) - 1)
    made = ""
    while taken:
        taken, digit = divmod(taken, target)
        made = digits[digit] + made
    return made or "0"


@strict
def unhex(value: Any) -> str | None:
    """UNHEX; NULL for what is no hexadecimal text."""
    subject = text(value) or ""
    try:
        return bytes.fromhex(subject.zfill(len(subject) + len(subject) % 2)).decode("utf-8", "replace")
    except ValueError:
        return None


@strict
def to_base64(value: Any) -> str:
    """TO_BASE64, in lines of 76 characters."""
    made = binascii.b2a_base64(_bytes(value), newline=False).decode()
    grown(len(made))
    return "\n".join(made[i : i + 76] for i in range(0, len(made), 76))


@strict
def from_base64(value: Any) -> str | None:
    """FROM_BASE64; NULL for what is none."""
    try:
        return binascii.a2b_base64(_bytes(value)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


@strict
def crc32(value: Any) -> int:
    """CRC32"""
    return binascii.crc32(_bytes(value))


def strcmp(a: Any, b: Any) -> int | None:
    """STRCMP"""
    return compare(text(a), text(b))


@strict
def find_in_set(value: Any, choices: Any) -> int:
    """FIND_IN_SET"""
    subject, listed = text(value) or "", text(choices) or ""
    if not listed or "," in subject:
        return 0
    return next((i for i, one in enumerate(listed.split(","), 1) if folded(one) == folded(subject)), 0)


@strict
def format_(value: Any, d: Any) -> str:
    """FORMAT: thousands separators"""
    digits = max(0, decimals(d))
    amount = Decimal(number(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, EXACT)
    return f"{amount or abs(amount):,f}"


@strict
def hexadecimal(value: Any) -> str:
    """HEX"""
    if isinstance(value, int | Decimal):
        return f"{whole(value) & ((1 << 64) - 1):X}"
    grown(2 * len(text(value) or ""))
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
