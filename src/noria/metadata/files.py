"""Files that people write, JSON and TOML: read with errors that say where, and replaced whole."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from noria.messages import Message
from noria.metadata.errors import NoriaError

# Objects and arrays inside each other: more than any plan has, less than any part of noria would stumble over.
DEEPEST = 128


def read_text(path: Path, plan: str = "") -> str:
    """A UTF-8 file's text (with or without a byte order mark); raises `NoriaError`. `plan` is named in errors."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        message = Message("file.missing", {"path": str(path)})
        raise NoriaError("not_found", message, plan=plan, path="$", hint=Message("file.missing_hint")) from None
    except UnicodeDecodeError as error:
        raise NoriaError(
            "not_utf8",
            Message("file.not_utf8", {"path": str(path), "byte": error.start}),
            plan=plan,
            path="$",
            hint=Message("file.not_utf8_hint"),
        ) from None
    except OSError as error:
        message = Message("file.unreadable", {"path": str(path), "reason": error.strerror or ""})
        raise NoriaError("unreadable", message, plan=plan, path="$") from None


def read_json(path: Path, plan: str = "") -> Any:
    """A JSON file's value; raises `NoriaError` with line and column when it is malformed."""
    return read_json_text(path, plan)[0]


def read_json_text(path: Path, plan: str = "") -> tuple[Any, str]:
    """A JSON file's value and its text; raises `NoriaError` with line and column when it is malformed."""
    text = read_text(path, plan)
    return parsed(text, path, plan), text


def parsed(text: str, path: Path, plan: str = "") -> Any:
    """The value of a text that is, or is to be, in a JSON file; raises `NoriaError` as `read_json` does."""
    try:
        value = msgspec.json.decode(text)
        _refuse_deep(value)
        return value
    except RecursionError:
        message = Message("file.too_deep", {"path": path.name, "deepest": DEEPEST})
        raise NoriaError("bad_json", message, plan=plan, path="$", hint=Message("file.too_deep_hint")) from None
    except msgspec.ValidationError:
        # The only thing that is not of some type is a number that none can hold.
        message = Message("file.number", {"path": path.name})
        raise NoriaError("bad_json", message, plan=plan, path="$", hint=Message("file.number_hint")) from None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        place = _place(text, str(error))
        message = Message("file.bad_json", {"path": path.name, "reason": str(error), **place})
        raise NoriaError("bad_json", message, plan=plan, path="$", hint=Message("file.bad_json_hint")) from None


class _Keys(dict[str, Any]):
    """An object with the keys that it has twice."""

    twice: list[str]


def duplicate_keys(text: str) -> list[tuple[str, str]]:
    """Keys that an object of a JSON text has twice, with the path behind `$` of the later one."""

    def gather(pairs: list[tuple[str, Any]]) -> _Keys:
        made = _Keys(pairs)
        counts = Counter(key for key, _ in pairs)
        made.twice = [key for key, count in counts.items() if count > 1]
        return made

    found: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("", json.loads(text, object_pairs_hook=gather, parse_int=str, parse_float=str))]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Keys):
            found += [(f"{path}.{key}", key) for key in value.twice]
            waiting += [(f"{path}.{key}", one) for key, one in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{i}]", one) for i, one in enumerate(value)]
    return found


def _refuse_deep(value: Any) -> None:
    """Raises `RecursionError` for objects and arrays that are nested deeper than `DEEPEST`."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise RecursionError


def _place(text: str, reason: str) -> dict[str, int]:
    """Line and column of msgspec's `(byte N)`, or of the text's end."""
    _, _, number = reason.rpartition("byte ")
    data = text.encode("utf-8", "surrogatepass")
    offset = int(number.rstrip(")")) if number.rstrip(")").isdigit() else len(data)
    before = data[:offset].decode("utf-8", "ignore")
    return {"line": before.count("\n") + 1, "column": len(before) - (before.rfind("\n") + 1) + 1}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's table; raises `NoriaError` with the place when it is malformed."""
    try:
        return tomllib.loads(read_text(path, path.name))
    except RecursionError:
        message = Message("file.too_deep", {"path": path.name, "deepest": DEEPEST})
        raise NoriaError("bad_toml", message, plan=path.name, path="$", hint=Message("file.too_deep_hint")) from None
    except tomllib.TOMLDecodeError as error:
        message = Message("file.bad_toml", {"path": path.name, "reason": str(error)})
        raise NoriaError("bad_toml", message, plan=path.name, path="$", hint=Message("file.bad_toml_hint")) from None


def replace_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Put another text in a file's place at once: who reads it meanwhile sees the one or the other. What a link leads
    to is replaced, not the link. `mode`: of a new file; raises `NoriaError` where it can't be written."""
    path = path.resolve()
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode if path.exists() and mode == 0o644 else mode)
        Path(name).replace(path)
    except BaseException as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        if not isinstance(error, OSError | UnicodeEncodeError):
            raise
        reason = error.strerror if isinstance(error, OSError) else "UTF-8"
        message = Message("file.unwritable", {"path": path.name, "reason": reason or ""})
        raise NoriaError("unwritable", message, plan=path.stem, path="$") from None
