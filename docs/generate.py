"""Writes the reference pages from the code: `make docs`. A test fails when they are not what this writes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def pages(lang: str) -> Iterator[tuple[str, str]]:
    """Each reference page's name and text in a language."""
    os.environ["NORIA_LANG"] = lang
    # Help texts are put into words when the commands are defined, so the language has to be chosen first.
    for name in [name for name in sys.modules if name == "noria.cli" or name.startswith("noria.cli.")]:
        del sys.modules[name]
    from docs.matrix import table as matrix

    from noria.connectors.guarantees import guarantees
    from noria.connectors.registry import CONNECTORS, OWN
    from noria.metadata.declared import options_of
    from noria.metadata.documents import (
        FilterCondition,
        GroupCalculate,
        Item,
        Metadata,
        OmissionRemedy,
        Operation,
        ResponseFormat,
    )
    from noria.metadata.expressions import MACRO_NAMES
    from noria.metadata.plan import PlanDocument
    from noria.metadata.project import ProjectDocument
    from noria.metadata.times import FORMATS

    zh = lang == "zh"
    made = "本页由代码生成（`make docs`）。" if zh else "This page is generated from the code (`make docs`)."
    yield "commands.md", f"# {'命令' if zh else 'Commands'}\n\n{made}\n\n" + "\n".join(_commands(zh))
    head = ("键", "类型", "默认", "含义") if zh else ("key", "type", "default", "meaning")
    parts = [f"# {'方案与 noria.toml' if zh else 'Plans and noria.toml'}\n\n{made}\n"]
    for title, kind in (("noria.toml", ProjectDocument), ("plans/*.json", PlanDocument)):
        parts.append(f"## {title}\n\n{_table(head, options_of(kind))}\n")
    yield "plan.md", "\n".join(parts)
    parts = [f"# {'元数据' if zh else 'Metadata'}\n\n{made}\n"]
    for title, kind in (
        ("源与目标文档" if zh else "source and target documents", Metadata),
        ("request / response", Item),
        ("condition", FilterCondition),
        ("formatResponse", ResponseFormat),
        ("operation", Operation),
        ("groupCalculate", GroupCalculate),
        ("omissionRemedy", OmissionRemedy),
    ):
        parts.append(f"## {title}\n\n{_table(head, options_of(kind))}\n")
    parts.append(f"## {'系统宏' if zh else 'System macros'}\n\n" + ", ".join(f"`{{{{{m}}}}}`" for m in MACRO_NAMES))
    parts.append(f"\n{'格式后缀' if zh else 'Suffixes'}: " + ", ".join(f"`|{fmt}`" for fmt in FORMATS) + "\n")
    yield "metadata.md", "\n".join(parts)
    yield "language.md", f"# {'元数据语言' if zh else 'The metadata language'}\n\n{made}\n\n" + "\n".join(_language(zh))
    yield "openapi.json", json.dumps(_api(), ensure_ascii=False, indent=1)
    kept = (
        "✓：连接器对着模拟系统必须通过这项测试（`tests/contract`）。–：这个系统没有这种事，例如不写入、没有令牌。\n\n"
        "下表是每个连接器的声明和代码行数，不含空行、注释和文档字符串。"
        if zh
        else "✓: the connector has to pass this test against the simulated system (`tests/contract`). –: the system has"
        " nothing of the kind, such as writing, or tokens.\n\nBelow: each connector's lines of declaration and code,"
        " without blank ones, comments and docstrings."
    )
    yield "contract.md", f"# {'连接器合约' if zh else 'The contract of connectors'}\n\n{made}\n\n{kept}\n\n{matrix()}\n"
    for connector in (CONNECTORS[name] for name in OWN):
        options = _table(head, options_of(connector.settings_type))
        promises = "\n".join(f"| {' | '.join(one.words())} |" for one in guarantees(connector))
        text = (
            f"# {connector.name}: {connector.title[0 if zh else 1]}\n\n{made}\n\n"
            f"## {'保证' if zh else 'Guarantees'}\n\n| | | |\n|---|---|---|\n{promises}\n\n"
            f"## {'设置' if zh else 'Settings'}\n\n{options}\n"
        )
        if connector.endpoints:
            text += f"\n## {'接口' if zh else 'Endpoints'}\n\n| | | |\n|---|---|---|\n"
            for endpoint in connector.endpoints:
                text += f"| {endpoint.method} | `{endpoint.path}` | {endpoint.name} |\n"
        yield f"connector-{connector.name}.md", text


def _api() -> dict[str, Any]:
    """The OpenAPI document, of no project in particular."""
    from noria.console.app import Operations
    from noria.engine import Workspace
    from noria.metadata.project import LedgerSettings, Project

    operations = Operations(Workspace(Project(folder=HERE, ledger=LedgerSettings(), connections={}, warnings=[])))
    made = operations.reference.document()
    operations.close()
    return made


def _commands(zh: bool) -> Iterator[str]:
    import typer

    from noria.cli.main import app

    group: Any = typer.main.get_command(app)
    commands = dict(group.commands)
    for name, command in group.commands.items():
        commands |= {f"{name} {below}": one for below, one in getattr(command, "commands", {}).items()}
    for name in sorted(commands):
        command = commands[name]
        yield f"## noria {name}\n\n{command.help}\n"
        rows = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            shown = (
                ", ".join(parameter.opts) if parameter.param_type_name == "option" else (parameter.name or "").upper()
            )
            rows.append(f"| `{shown}` | {getattr(parameter, 'help', '') or ''} |")
        if rows:
            yield f"| {'参数' if zh else 'argument'} | |\n|---|---|\n" + "\n".join(rows) + "\n"


def _language(zh: bool) -> Iterator[str]:
    """Every construct with its example, then the tables of functions, parsers, formats and operators."""
    from docs.language import CHOICES, CONSTRUCTS, SECTIONS

    from noria.metadata.formats import FORMATS, OPERATORS
    from noria.metadata.functions import FUNCTIONS
    from noria.metadata.parsers import PARSERS

    words = ("元数据", "数据", "写入") if zh else ("metadata", "records", "payloads")
    for section, names in SECTIONS.items():
        yield f"## {names[0 if zh else 1]}\n"
        for one in CONSTRUCTS:
            if one.section != section:
                continue
            document = {key: value for key, value in (("source", one.source), ("target", one.target)) if value}
            yield f"### {one.name}\n\n{one.zh if zh else one.en}\n"
            for word, value in zip(words, (document | (one.more or {}), one.records, one.payloads), strict=True):
                lines = "\n".join(map(_readable, value)) if isinstance(value, list) else _readable(value)
                yield f"{word}\n\n```json\n{lines}\n```\n"
    head = ("写法", "含义", "例", "结果") if zh else ("usage", "meaning", "example", "gives")
    rows = [(f.usage, f.zh if zh else f.en, f.example, f.gives) for f in FUNCTIONS.values()]
    yield f"## {'函数' if zh else 'Functions'}\n\n{_cells(head, rows)}\n"
    head = ("解析器", "含义", "参数", "例") if zh else ("parser", "meaning", "parameters", "example")
    rows = [
        (n, p.zh if zh else p.en, _json(p.example), f"{_json(p.value)} → {_json(p.gives)}") for n, p in PARSERS.items()
    ]
    yield f"## {'解析器' if zh else 'Parsers'}\n\n{_cells(head, rows)}\n"
    head = ("格式", "含义", "值", "结果") if zh else ("format", "meaning", "value", "gives")
    rows = [
        (n if f.default is None else f"{n}({f.default})", f.zh if zh else f.en, _json(f.value), _json(f.gives))
        for n, f in FORMATS.items()
    ]
    yield f"## formatResponse\n\n{_cells(head, rows)}\n"
    rows = [(name, text[0 if zh else 1]) for name, text in OPERATORS.items()]
    yield f"## condition\n\n{_cells(('logic', '含义' if zh else 'meaning'), rows)}\n"
    yield f"## {'选择与差异' if zh else 'Choices and differences'}\n"
    yield "\n".join(f"- {choice[0 if zh else 1]}" for choice in CHOICES)


def _readable(value: Any, indent: str = "") -> str:
    """JSON that is broken into lines only where it is long."""
    short = _json(value)
    if len(short) + len(indent) <= 100 or not isinstance(value, dict | list) or not value:
        return short
    inner = indent + "  "
    if isinstance(value, dict):
        members = [f"{inner}{_json(key)}: {_readable(one, inner)}" for key, one in value.items()]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _readable(one, inner) for one in value) + f"\n{indent}]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cells(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in which every first cell is code."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for first, second, *rest in rows:
        cells = [f"`{first}`", second, *(f"`{cell}`" for cell in rest)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: list[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (f"`{row['name']}`", row["type"], f"`{row['default']}`" if row["default"] else "", row["meaning"])
        lines.append("| " + " | ".join(re.sub(r"\|", "\\|", cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Write every page, and the JSON Schemas that are shipped."""
    from noria.metadata import schema

    for name in schema.NAMES:
        file = Path(schema.__file__).parent / "schemas" / f"{name}.schema.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(schema.rendered(name), encoding="utf-8")
    for lang in ("zh", "en"):
        for name, text in pages(lang):
            (HERE / "reference" / lang / name).write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
