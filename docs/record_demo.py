"""Records `noria demo` in a terminal of 110 columns and draws what it showed: docs/demo-zh.svg and docs/demo-en.svg."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent


def recorded(lang: str) -> str:
    """What the demo printed on its terminal, colours and all; its progress goes elsewhere."""
    master, slave = pty.openpty()
    env = {**os.environ, "NORIA_LANG": lang, "COLUMNS": "110", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "noria", "demo"], stdout=slave, stderr=subprocess.DEVNULL, env=env
    )
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    return b"".join(parts).decode("utf-8").replace("\r\n", "\n")


def main() -> None:
    """Draw both languages."""
    for lang in ("zh", "en"):
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=110, file=nowhere, force_terminal=True)
            console.print("[bold green]$[/] make demo")
            console.print(Text.from_ansi(recorded(lang)))
            svg = console.export_svg(title="noria demo")
        # The picture must not fetch fonts from elsewhere.
        svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
        svg = svg.replace("Fira Code", "ui-monospace, 'Noto Sans Mono CJK SC', Menlo, Consolas")
        (HERE / f"demo-{lang}.svg").write_text(
            "\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
