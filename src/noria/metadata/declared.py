"""What settings there are, as they are declared: for the reference, the commands and the console's forms."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from noria.messages import language


def options_of(settings: Any, prefix: str = "") -> list[dict[str, str]]:
    """A settings type's options, nested ones with dotted names, in the reader's language."""
    return _options(settings, prefix, language())


@cache
def _options(settings: Any, prefix: str, lang: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    info: Any = msgspec.inspect.type_info(settings)
    for field in info.fields:
        kind, meta = field.type, ""
        if isinstance(kind, msgspec.inspect.Metadata):
            meta, kind = (kind.extra_json_schema or {}).get("description", ""), kind.type
        inner = kind
        if isinstance(kind, msgspec.inspect.UnionType):
            inner = next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
        if isinstance(inner, msgspec.inspect.Metadata):
            inner = inner.type
        if isinstance(inner, msgspec.inspect.StructType):
            rows += _options(inner.cls, f"{prefix}{field.encode_name}.", lang)
            continue
        if isinstance(inner, msgspec.inspect.DictType) and isinstance(inner.value_type, msgspec.inspect.StructType):
            rows += _options(inner.value_type.cls, f"{prefix}{field.encode_name}.*.", lang)
            continue
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if isinstance(inner, msgspec.inspect.LiteralType):
            word = " | ".join(str(value) for value in inner.values)
        else:
            word = type(inner).__name__.removesuffix("Type").lower()
        zh, _, en = meta.partition(" | ")
        rows.append(
            {
                "name": prefix + field.encode_name,
                "type": word,
                "default": "" if default is msgspec.NODEFAULT else msgspec.json.encode(default).decode(),
                "meaning": zh if lang == "zh" or not en else en,
            }
        )
    return rows
