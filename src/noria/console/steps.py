"""What the buttons of the editor do to a plan's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from noria.engine.sampling import SampleField
from noria.metadata.paths import at
from noria.metadata.project import is_metadata
from noria.metadata.splicing import Path, Written, inserted, moved, pointer, spans, steps, with_value, without

_ITEM = {"field": "", "label": "", "type": "string", "value": ""}
_TEST = {"field": "", "logic": "eq", "value": ""}
_MAPPED: Path = ("target", "metadata", "request")
BLANK_PLAN = """{
  "name": "",
  "source": {
    "metadata": {
      "method": "GET",
      "idCheck": true,
      "request": []
    }
  },
  "target": {
    "metadata": {
      "method": "POST",
      "request": []
    }
  }
}
"""


def carried_out(text: str, step: str, fields: list[SampleField]) -> str:
    """A text after a button's step, written `word:argument`; one that is none changes nothing. `fields`: the sample's.
    Raises `ValueError` where the text has something else in that place."""
    word, _, argument = step.partition(":")
    found = _STEPS.get(word)
    return text if found is None else found(text, argument, fields)


def pasted(text: str, given: str, side: str) -> str:
    """A text with what was pasted: a side's metadata, or a whole plan. Raises `ValueError` for anything else."""
    try:
        value = msgspec.json.decode(given)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    sides = [value.get(name) for name in ("source", "target")] if isinstance(value, dict) else []
    if sides and all(isinstance(one, dict) for one in sides):
        if not all(is_metadata(one) for one in sides):
            return given.strip().replace("\r\n", "\n") + "\n"
        # Both documents, as they are published side by side.
        for name in ("source", "target"):
            span = spans(given).at((name,))
            assert span is not None
            text = with_value(text, (name, "metadata"), Written(given[span.start : span.end]))
        return text
    if not is_metadata(value):
        raise ValueError("api")
    return with_value(text, (side, "metadata"), Written(given))


def _added(text: str, where: str, _: list[SampleField], what: Any = _ITEM) -> str:
    return _appended(text, steps(where, spans(text)), dict(what))


def _appended(text: str, path: Path, *values: Any) -> str:
    """The text with further elements at the end of an array."""
    array = spans(text).at(path)
    return inserted(text, path, len(array.parts) if array is not None else 0, *values)


def _tested(text: str, where: str, fields: list[SampleField]) -> str:
    """A further condition: in a group, or with `-` as its place in a group of its own."""
    if where.endswith("/-"):
        return _appended(text, steps(where.removesuffix("/-"), spans(text)), [dict(_TEST)])
    return _added(text, where, fields, _TEST)


def _removed(text: str, where: str, _: list[SampleField]) -> str:
    path = steps(where, spans(text))
    text = without(text, path)
    holder = spans(text).at(path[:-1])
    # A group without conditions is none.
    if path[:3] == ("source", "metadata", "condition") and len(path) == 5 and holder is not None and not holder.parts:
        return without(text, path[:-1])
    return text


def _named(key: str) -> Callable[[str, str, list[SampleField]], str]:
    return lambda text, path, _: with_value(text, ("source", "metadata", key), path)


def _mapped(text: str, path: str, fields: list[SampleField]) -> str:
    """The text with a target's field made of a source's: of lines inside an array made of the lines' array."""
    found = next((one for one in fields if one.path == path), None)
    kind = found.kind if found is not None else "string"
    array = _array_of(path, fields)
    if found is None or not found.lines or array is None:
        return _added(text, pointer(_MAPPED), fields, _item(path, kind, path))
    where = _lines_of(text, array)
    item = _item(path[len(array) + 1 :], kind, path)
    if where is None:
        line = {"field": array, "label": "", "type": "array", "value": array, "children": [item]}
        return _added(text, pointer(_MAPPED), fields, line)
    return _added(text, pointer(where), fields, item)


def _mapped_all(text: str, _: str, fields: list[SampleField]) -> str:
    """The text with each field of the sample that is not mapped yet."""
    left = [one for one in fields if one.kind not in ("object", "array") and "{{" + one.path + "}}" not in text]
    plain = [_item(one.path, one.kind, one.path) for one in left if not one.lines]
    if plain:
        text = _appended(text, _MAPPED, *plain)
    arrays: dict[str, list[SampleField]] = {}
    for one in left:
        array = _array_of(one.path, fields) if one.lines else None
        if array is not None:
            arrays.setdefault(array, []).append(one)
    for array, inside in arrays.items():
        # The first makes the lines, where there are none; the others come behind it together.
        text = _mapped(text, inside[0].path, fields)
        where = _lines_of(text, array)
        more = [_item(one.path[len(array) + 1 :], one.kind, one.path) for one in inside[1:]]
        if where is not None and more:
            text = _appended(text, where, *more)
    return text


def _array_of(path: str, fields: list[SampleField]) -> str | None:
    """The outermost array that a field of lines is in."""
    found = [one.path for one in fields if one.kind == "array" and path.startswith(one.path + ".")]
    return min(found, key=len) if found else None


def _lines_of(text: str, array: str) -> Path | None:
    """Where the target's lines are that an array is made into."""
    items = at(msgspec.json.decode(text), ".".join(map(str, _MAPPED)))
    for place, one in enumerate(items if isinstance(items, list) else []):
        if isinstance(one, dict) and one.get("value") == array:
            return (*_MAPPED, place, "children")
    return None


def _item(name: str, kind: str, path: str) -> dict[str, str]:
    """A target's field that is made of a source's."""
    known = kind if kind in ("int", "float", "bool") else "string"
    return {"field": name, "label": "", "type": known, "value": "{{" + path + "}}"}


_STEPS: dict[str, Callable[[str, str, list[SampleField]], str]] = {
    "add": _added,
    "test": _tested,
    "remove": _removed,
    "up": lambda text, where, _: moved(text, steps(where, spans(text)), -1),
    "down": lambda text, where, _: moved(text, steps(where, spans(text)), 1),
    "id": _named("id"),
    "number": _named("number"),
    "map": _mapped,
    "map_all": _mapped_all,
    "records": lambda text, path, _: with_value(text, ("options", "source", "envelope", "records"), path),
}
