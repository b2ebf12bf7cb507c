"""Values that are almost an expression: a prefix in another spelling, braces of another kind, a reference without any.

Such a value is sent as text, which is hardly ever meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from noria.messages import Message
from noria.metadata.check.findings import hint, warning
from noria.metadata.errors import Problem
from noria.metadata.expression_tree import Expression, Function, Literal, Lookup, Reference, Template
from noria.metadata.expressions import MACRO_NAMES, SINGLE_BRACES, is_macro
from noria.metadata.validation import nearest, shown

_PREFIXES = {"function": "_function", "findcollection": "_findCollection find", "mongoquery": "_mongoQuery"}
_WORD = re.compile(r"_([A-Za-z]{4,20})")
_INSIDE = re.compile(r"(?<!\S)_(function|findCollection|mongoQuery)\s", re.IGNORECASE)
_NAME = r"\s*([^\W\d][\w.]*(?:\s*[|｜]\s*\w+)?)\s*"
# `${name}` and `#{name}`; and braces or bars of Chinese typing, or three braces.
_FOREIGN = re.compile(rf"[$#]\{{+{_NAME}\}}+")
_ANY_BRACES = re.compile(rf"[｛{{]+{_NAME}[｝}}]+")
_BARE_MACRO = re.compile(r"([A-Z_]+(?:_[0-9]+)?)(?:\s*\|\s*(\w+))?\Z")


def misspelled(value: object, expression: Expression, path: str) -> Iterator[Problem]:
    """What an item's text looks like beside what it is."""
    if not isinstance(value, str) or len(value) > 10_000:
        return
    text = value.strip()
    if not isinstance(expression, Function | Lookup):
        yield from _prefixes(text, path)
    if not isinstance(expression, Function):
        yield from _braces(text, path)
    single = [match[1] for match in SINGLE_BRACES.finditer(text)]
    if single:
        right = SINGLE_BRACES.sub(lambda m: "{{" + m[1] + "}}", text)
        yield hint("check.single_braces", path, Message("check.no_braces_hint", {"right": right}), value=shown(text))
    macro = _BARE_MACRO.match(text)
    if isinstance(expression, Literal) and macro and is_macro(macro[1]):
        yield no_braces(text, "{{" + text + "}}", path)
    if isinstance(expression, Template) and value != text and _is_one_reference(expression):
        yield hint("check.spaces", path, Message("check.no_braces_hint", {"right": text}), value=shown(value))


def _is_one_reference(template: Template) -> bool:
    """Whether a template is one reference with nothing but blanks around it."""
    texts = [part for part in template.parts if isinstance(part, str)]
    return len(template.parts) - len(texts) == 1 and not "".join(texts).strip()


def _prefixes(text: str, path: str) -> Iterator[Problem]:
    word = _WORD.match(text)
    meant = nearest(word[1].lower(), list(_PREFIXES)) if word else None
    inside = _INSIDE.search(text)
    if meant is None and inside is not None:
        meant = inside[1].lower()
    if meant is not None:
        right = _PREFIXES[meant]
        yield warning("check.prefix", path, Message("check.prefix_hint", {"right": right}), value=shown(text))


def _braces(text: str, path: str) -> Iterator[Problem]:
    """Braces that aren't `{{…}}`."""
    match = _FOREIGN.search(text) or next(
        (one for one in _ANY_BRACES.finditer(text) if set("｛｝｜") & set(one[0]) or one[0].startswith("{{{")), None
    )
    if match is not None:
        yield no_braces(text, text.replace(match[0], "{{" + match[1].replace("｜", "|") + "}}"), path)


def no_braces(text: str, right: str, path: str) -> Problem:
    """A reference without braces, or with braces of another kind."""
    values = {"value": shown(text), "right": right}
    return warning("check.no_braces", path, Message("check.no_braces_hint", values), **values)


_SPELT = {re.sub(r"[^a-z]", "", macro.lower()): macro for macro in MACRO_NAMES}


def macro_meant(name: str) -> str | None:
    """The system macro that a name most likely means: `LAST_SYNC_TIM`, `lastSyncTime`, `$now`."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    if bare in _SPELT:
        return _SPELT[bare]
    if bare in ("now", "currenttimestamp", "lastexecutetime") and not name.isalpha():
        return "LAST_SYNC_TIME" if bare == "lastexecutetime" else "CURRENT_TIME"
    return nearest(name, list(MACRO_NAMES)) if re.fullmatch(r"[A-Z]{2,}(_[A-Z0-9]+)+", name) else None


def reference_meant(atom: Reference) -> str | None:
    """How a reference that nobody declares should be written, where its spelling shows that."""
    path = re.sub(r"\[(\d+)\]", r".\1", atom.path)
    return "{{" + path + "}}" if path != atom.path else None
