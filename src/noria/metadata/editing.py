"""Changes of a plan's file: atomic, and nothing else in it is touched."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from noria.metadata.files import read_json


def set_enabled(path: Path, enabled: bool) -> None:
    """Switch a plan on or off in its file; raises `NoriaError` when that can't be read."""
    document = read_json(path)
    document["enabled"] = enabled
    replace_file(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Put another text in a file's place at once: who reads it meanwhile sees the one or the other."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
