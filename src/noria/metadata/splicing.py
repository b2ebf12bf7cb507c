"""Changes in a JSON text that leave the rest of it as it is written: numbers, order, blanks, keys that nobody knows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
_BLANKS = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,:\[\]{}\"]+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
# What is put in is written in one line as long as that is no longer than so many characters.
_ONE_LINE = 80


class Written(str):
    """A JSON text that is put in as it is written."""

    __slots__ = ()


@dataclass(frozen=True)
class Span:
    """Where a value stands in a text. `parts`: what an object or array (`opens`: its bracket) holds, each with its key
    and where that begins."""

    start: int
    end: int
    opens: str = ""
    parts: list[tuple[str | int, int, Span]] = field(default_factory=list)

    def inner(self, key: str | int) -> Span | None:
        """The value of a key; of several with that key the last, which is the one that counts."""
        return next((span for name, _, span in reversed(self.parts) if name == key), None)

    def at(self, path: Sequence[str | int]) -> Span | None:
        """The value at a path; None where there is none."""
        found: Span | None = self
        for key in path:
            found = found.inner(key) if found is not None else None
        return found


def spans(text: str) -> Span:
    """Where everything stands in a JSON text; raises `ValueError` when it is none."""
    try:
        found = _value(text, _after_blanks(text, 0))
    except RecursionError:
        raise ValueError("too deep") from None
    if _after_blanks(text, found.end) != len(text):
        raise ValueError("more than one value")
    return found


def steps(pointer: str, root: Span) -> Path:
    """A JSON pointer (RFC 6901) as a path: numbers where there is an array, or nothing yet."""
    here: Span | None = root
    found: list[str | int] = []
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        numbered = name.isascii() and name.isdigit() and (here is None or here.opens != "{")
        found.append(int(name) if numbered else name)
        here = here.inner(found[-1]) if here is not None else None
    return tuple(found)


def pointer(path: Sequence[str | int]) -> str:
    """A path as a JSON pointer."""
    return "".join("/" + str(one).replace("~", "~0").replace("/", "~1") for one in path)


def with_value(text: str, path: Path, value: Any) -> str:
    """The text with a value at a path, in place of what is there; objects that lead there are made. Raises
    `ValueError` where something else stands in the way."""
    root, depth = spans(text), 0
    here = root
    while depth < len(path) and (inner := here.inner(path[depth])) is not None:
        if depth + 1 < len(path) and not inner.opens and text[inner.start : inner.end] == "null":
            break
        here, depth = inner, depth + 1
    rest = path[depth + 1 :]
    for key in reversed(rest):
        if isinstance(value, Written):
            name = json.dumps(key, ensure_ascii=False)
            value = Written(f"[{value}]" if isinstance(key, int) else f"{{{name}: {value.strip()}}}")
        else:
            value = [value] if isinstance(key, int) else {key: value}
    if depth == len(path):
        return _replaced(text, here, _shown(value, text, here.start))
    old = here.inner(path[depth])
    if old is not None:
        return _replaced(text, old, _shown(value, text, old.start))
    key = path[depth]
    if here.opens != ("[" if isinstance(key, int) else "{"):
        raise ValueError(pointer(path[: depth + 1]))
    return _put(text, root, here, len(here.parts), key, value)


def replaced(text: str, changes: Sequence[tuple[Span, Any]]) -> str:
    """The text with values in place of those that stand at these spans, none of which is inside another."""
    for span, value in sorted(changes, key=lambda one: -one[0].start):
        text = _replaced(text, span, _shown(value, text, span.start))
    return text


def without(text: str, path: Path) -> str:
    """The text without what is at a path; a key that is there twice goes with both."""
    holder = spans(text).at(path[:-1])
    place = next((n for n, (name, _, _) in enumerate(holder.parts) if name == path[-1]), None) if holder else None
    if holder is None or place is None:
        return text
    parts = holder.parts
    if len(parts) == 1:
        return text[: holder.start + 1] + text[holder.end - 1 :]
    if place:
        text = text[: parts[place - 1][2].end] + text[parts[place][2].end :]
    else:
        text = text[: parts[0][1]] + text[parts[1][1] :]
    return text if isinstance(path[-1], int) else without(text, path)


def inserted(text: str, path: Path, place: int, *values: Any) -> str:
    """The text with further elements in the array at a path, which is made where there is none. Raises `ValueError`
    where something else stands there."""
    root = spans(text)
    array = root.at(path)
    if array is None or text[array.start : array.end] == "null":
        return with_value(text, path, list(values))
    if array.opens != "[":
        raise ValueError(pointer(path))
    several = Written(",\n".join(json.dumps(one, ensure_ascii=False) for one in values))
    value = several if len(values) > 1 else values[0]
    return _put(text, root, array, min(place, len(array.parts)), place, value)


def moved(text: str, path: Path, by: int) -> str:
    """The text in which an array's element has changed places with the one `by` further."""
    array, place = spans(text).at(path[:-1]), path[-1]
    if array is None or not isinstance(place, int):
        return text
    first, second = sorted((place, place + by))
    if first < 0 or second >= len(array.parts):
        return text
    one, other = array.parts[first][2], array.parts[second][2]
    between = text[one.end : other.start]
    return text[: one.start] + text[other.start : other.end] + between + text[one.start : one.end] + text[other.end :]


def _value(text: str, at: int) -> Span:
    opens = text[at : at + 1]
    if opens == "{":
        return _container(text, at, "}", _member)
    if opens == "[":
        return _container(text, at, "]", _element)
    if opens == '"':
        return Span(at, _string(text, at)[1])
    match = _SCALAR.match(text, at)
    if match is None:
        raise ValueError(f"no value at {at}")
    json.loads(match[0], parse_int=str, parse_float=str)
    return Span(at, match.end())


def _container(text: str, start: int, closes: str, part: Callable[[str, int, int], tuple[str | int, Span]]) -> Span:
    parts: list[tuple[str | int, int, Span]] = []
    at = _after_blanks(text, start + 1)
    while text[at : at + 1] != closes or parts:
        key, span = part(text, at, len(parts))
        parts.append((key, at, span))
        at = _after_blanks(text, span.end)
        if text[at : at + 1] == closes:
            break
        if text[at : at + 1] != ",":
            raise ValueError(f"no comma at {at}")
        at = _after_blanks(text, at + 1)
    return Span(start, at + 1, text[start], parts)


def _member(text: str, at: int, _: int) -> tuple[str, Span]:
    if text[at : at + 1] != '"':
        raise ValueError(f"no key at {at}")
    key, end = _string(text, at)
    colon = _after_blanks(text, end)
    if text[colon : colon + 1] != ":":
        raise ValueError(f"no colon at {colon}")
    return key, _value(text, _after_blanks(text, colon + 1))


def _element(text: str, at: int, number: int) -> tuple[int, Span]:
    return number, _value(text, at)


def _string(text: str, at: int) -> tuple[str, int]:
    match = _STRING.match(text, at)
    if match is None:
        raise ValueError(f"no text at {at}")
    return str(json.loads(match[0])), match.end()


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _replaced(text: str, span: Span, new: str) -> str:
    return text[: span.start] + new + text[span.end :]


def _put(text: str, root: Span, holder: Span, place: int, key: str | int, value: Any) -> str:
    """The text with a further part in an object or array."""
    name = "" if isinstance(key, int) else json.dumps(key, ensure_ascii=False) + ": "
    parts = holder.parts
    if not parts:
        if not _has_lines(text, root, holder):
            return _replaced(text, holder, holder.opens + name + _one_line(value) + text[holder.end - 1])
        outer = _indent(text, holder.start)
        inner = outer + _unit(text, root)
        new = name + _indented(value, inner, _unit(text, root))
        return _replaced(text, holder, f"{holder.opens}\n{inner}{new}\n{outer}{text[holder.end - 1]}")
    lines = "\n" in text[holder.start : parts[0][1]]
    inner = _indent(text, parts[0][1])
    new = name + (_indented(value, inner, _unit(text, root)) if lines else _one_line(value))
    gap = f",\n{inner}" if lines else ", "
    if place:
        end = parts[place - 1][2].end
        return text[:end] + gap + new + text[end:]
    return text[: parts[0][1]] + new + gap + text[parts[0][1] :]


def _has_lines(text: str, root: Span, holder: Span) -> bool:
    """Whether what is put into an empty object or array gets lines of its own: where what it stands in has such."""
    if holder.start == root.start:
        return True
    around = next(one for one in _holders(root) if any(span is holder for _, _, span in one.parts))
    return "\n" in text[around.start : around.parts[0][1]]


def _holders(span: Span) -> Iterator[Span]:
    if span.opens:
        yield span
        for _, _, inner in span.parts:
            yield from _holders(inner)


def _indent(text: str, at: int) -> str:
    """The blanks that the line of a place begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _unit(text: str, root: Span) -> str:
    """By how much a text is indented at each level."""
    return (root.parts and _indent(text, root.parts[0][1])) or "  "


def _shown(value: Any, text: str, at: int) -> str:
    return _indented(value, _indent(text, at), "  ")


def _one_line(value: Any) -> str:
    if isinstance(value, Written):
        return " ".join(line.strip() for line in value.strip().split("\n"))
    return json.dumps(value, ensure_ascii=False)


def _indented(value: Any, indent: str, unit: str) -> str:
    """A value with its lines, of which all but the first are indented."""
    if isinstance(value, Written):
        lines = value.strip().replace("\r\n", "\n").split("\n")
    else:
        short = json.dumps(value, ensure_ascii=False)
        if len(short) <= _ONE_LINE:
            return short
        lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return f"\n{indent}".join(lines)
