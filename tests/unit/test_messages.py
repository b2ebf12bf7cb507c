"""The catalogue: both languages, the same values in both, every key that the code uses."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from noria.messages import CATALOGUE, Message, catalogue, language, t

SOURCE = Path(__file__).parents[2] / "src" / "noria"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
# A key that is put together when it is used: t(f"state.{name}"), t("state." + name).
_MADE = re.compile(r"""(?:t|Message)\(f?["']([a-z]+\.(?:[a-z]+_)?)(?:\{|["'] \+)""")
# Names of settings that look like keys.
_SETTINGS = {"paging.restart", "paging.type"}
# Texts that are the same word in both languages or hold nothing but values and names.
_SAME = {"type.null", "run.failed_at", "http.status", "split.part", "console.comma"}


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(CATALOGUE))
def test_both_languages_say_the_same_with_the_same_values(key: str) -> None:
    zh, en = CATALOGUE[key]
    assert _fields(zh) == _fields(en)
    assert zh.strip() and en.strip()
    if key not in _SAME:
        assert _CHINESE.search(zh) or zh == en, zh
        without_names = en.replace("写入空操作", "").replace("企业管理 → 外部对接 → API对接", "")
        assert not _CHINESE.search(without_names), en


def test_every_key_that_the_code_uses_is_there_and_every_key_is_used() -> None:
    used: set[str] = set()
    made: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if "messages" not in file.parts and "simulators" not in file.parts:
            code = file.read_text("utf-8")
            keys = set(re.findall(r"""["']([a-z]+\.[a-z0-9_]+)["']""", code))
            used |= keys | (
                {f"{key}_hint" for key in keys if f"{key}_hint" in CATALOGUE} if "{key}_hint" in code else set()
            )
            made |= set(_MADE.findall(code))
    for file in SOURCE.rglob("*.html"):
        template = file.read_text("utf-8")
        used |= set(re.findall(r"""t\(["']([a-z]+\.[a-z0-9_]+)["']""", template))
        made |= set(_MADE.findall(template))
        if "t('console.' + key)" in template:
            # The pages in the navigation.
            made.discard("console.")
            used |= {f"console.{key}" for key in re.findall(r"\('/[a-z]*', '([a-z]+)'\)", template)}
    prefixes = {key.split(".")[0] for key in CATALOGUE}
    unknown = {key for key in used if key.split(".")[0] in prefixes and key not in CATALOGUE}
    assert {key for key in unknown - _SETTINGS if not key.endswith((".json", ".toml", ".py", ".html", "_"))} == set()
    assert {key for key in CATALOGUE if key not in used and not key.startswith(tuple(made))} == set()
    assert all(any(key.startswith(one) for key in CATALOGUE) for one in made)


def test_language_follows_noria_lang_then_the_locale_then_chinese() -> None:
    assert language({"NORIA_LANG": "en", "LANG": "zh_CN.UTF-8"}) == "en"
    assert language({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language({"LANG": "de_DE.UTF-8"}) == "en"
    assert language({"LANG": "C.UTF-8"}) == "zh"
    assert language({}) == "zh"


def test_messages_inside_messages_and_missing_values(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Message("type.int")
    outer = Message("type.array_of", {"of": inner})
    assert outer.text("en") == "an array of an integer"
    assert outer.text("zh") == "数组，元素为整数"
    assert Message("type.array_of").text("en") == "an array of {of}"
    assert Message("no.such_key", {"a": 1}).text("en") == "no.such_key a=1"
    monkeypatch.setenv("NORIA_LANG", "zh")
    assert t("state.dead") == "死信"


def test_no_key_stands_in_two_tables() -> None:
    tables = [value.TEXTS for value in vars(catalogue).values() if hasattr(value, "TEXTS")]
    assert len(tables) > 5 and sum(map(len, tables)) == len(CATALOGUE)
