"""Writes the reference pages from the code: `make docs`. A test fails when they are not what this writes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def pages(lang: str) -> Iterator[tuple[str, str]]:
    """Each reference page's name and text in a language."""
    os.environ["NORIA_LANG"] = lang
    # Help texts are put into words when the commands are defined, so the language has to be chosen first.
    for name in [name for name in sys.modules if name == "noria.cli" or name.startswith("noria.cli.")]:
        del sys.modules[name]
    from noria.cli.projects import options_of
    from noria.connectors import CONNECTORS
    from noria.metadata.documents import NOT_YET, Item, Metadata
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
    ):
        parts.append(f"## {title}\n\n{_table(head, options_of(kind))}\n")
    parts.append(f"## {'系统宏' if zh else 'System macros'}\n\n" + ", ".join(f"`{{{{{m}}}}}`" for m in MACRO_NAMES))
    parts.append(f"\n{'格式后缀' if zh else 'Suffixes'}: " + ", ".join(f"`|{fmt}`" for fmt in FORMATS) + "\n")
    later = "已能读取、尚不执行（`check` 会报错）" if zh else "Read but not carried out yet (`check` says so)"
    parts.append(
        f"## {later}\n\n"
        + ", ".join(f"`{key}`" for key in (*NOT_YET, "_function", "_mongoQuery", "parser", "mapping"))
        + "\n"
    )
    yield "metadata.md", "\n".join(parts)
    for connector in CONNECTORS.values():
        options = _table(head, options_of(connector.settings_type))
        text = f"# {connector.name}: {connector.title[0 if zh else 1]}\n\n{made}\n\n{options}\n"
        if connector.endpoints:
            text += f"\n## {'接口' if zh else 'Endpoints'}\n\n| | | |\n|---|---|---|\n"
            for endpoint in connector.endpoints:
                text += f"| {endpoint.method} | `{endpoint.path}` | {endpoint.name} |\n"
        yield f"connector-{connector.name}.md", text


def _commands(zh: bool) -> Iterator[str]:
    import typer

    from noria.cli.main import app

    group: Any = typer.main.get_command(app)
    for name in sorted(group.commands):
        command = group.commands[name]
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
