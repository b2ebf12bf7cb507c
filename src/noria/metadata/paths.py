"""Dotted paths into JSON values: `data.list`, `items.0.name`."""

from __future__ import annotations

from typing import Any, Final


class _Missing:
    """What a path gives that leads nowhere; unlike null, which is a value."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def at(value: Any, path: str) -> Any:
    """The value at a dotted path, or `MISSING`. `""` is the whole value; a key that holds dots itself is found when the
    path leads nowhere else."""
    if not path:
        return value
    found = walk(value, path.split("."))
    if found is MISSING and isinstance(value, dict):
        return value.get(path, MISSING)
    return found


def walk(value: Any, steps: list[str]) -> Any:
    """The value at the end of `steps`, or `MISSING`; a number is an index into an array."""
    for step in steps:
        if isinstance(value, dict):
            if step not in value:
                return MISSING
            value = value[step]
        elif isinstance(value, list):
            if not step.isdecimal() or len(step) > 9 or int(step) >= len(value):
                return MISSING
            value = value[int(step)]
        else:
            return MISSING
    return value


def put(target: dict[str, Any], path: str, value: Any) -> None:
    """Set a value at a dotted path, making the objects on the way (`pager.page_no`)."""
    *outer, last = path.split(".")
    for step in outer:
        inner = target.get(step)
        if not isinstance(inner, dict):
            inner = target[step] = {}
        target = inner
    target[last] = value
