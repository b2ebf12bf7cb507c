"""Records `noria demo` in a terminal of 110 columns and draws what it showed: docs/demo-zh.svg and docs/demo-en.svg."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
WIDTH = 110


def recorded(lang: str) -> str:
    """What the demo printed on its terminal, colours and all; its progress goes elsewhere."""
    master, slave = pty.openpty()
    env = {**os.environ, "NORIA_LANG": lang, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
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


CELL, LINE, SIZE, PAD, BAR = 8.4, 20, 14, 16, 36
# The terminal's colours by number: red, green, yellow, blue, magenta.
COLOURS = {1: "#fc618d", 2: "#7bd88f", 3: "#fce566", 4: "#5ad4e6", 5: "#c792ea"}


def drawn(text: str) -> str:
    """A terminal window as SVG. Wide characters are placed by the two cells that they take, whatever the font."""
    console = Console(width=WIDTH, force_terminal=True, color_system="standard")
    lines = console.render_lines(Text.from_ansi(text.rstrip()), pad=False)
    spans = []
    for row, line in enumerate(lines):
        x, y = PAD, BAR + PAD + row * LINE
        for segment in line:
            style = segment.style
            shade = "#e6e6e6"
            if style is not None and style.dim:
                shade = "#9a9a9a"
            elif style is not None and style.color is not None:
                shade = COLOURS.get((style.color.number or 0) % 8, shade)
            bold = ' font-weight="bold"' if style is not None and style.bold else ""
            for wide, group in groupby(segment.text, key=lambda c: cell_len(c) == 2):
                run = "".join(group)
                length = cell_len(run) * CELL
                if run.strip():
                    fit = f' textLength="{length:.1f}" lengthAdjust="spacing"' if not wide else ""
                    gap = f' letter-spacing="{2 * CELL - SIZE:.1f}"' if wide else ""
                    spans.append(
                        f'<text x="{x:.1f}" y="{y}" fill="{shade}"{bold}{fit}{gap} xml:space="preserve">{escape(run)}</text>'
                    )
                x += length
    width, height = WIDTH * CELL + 2 * PAD, BAR + PAD + len(lines) * LINE
    lights = "".join(
        f'<circle cx="{22 + 20 * i}" cy="18" r="6" fill="{c}"/>'
        for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    fonts = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Noto Sans Mono CJK SC', 'PingFang SC', 'Microsoft YaHei', monospace"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="{fonts}" font-size="{SIZE}">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#1e1f22"/>{lights}\n' + "\n".join(spans) + "\n</svg>\n"
    )


def main() -> None:
    """Draw both languages."""
    for lang in ("zh", "en"):
        text = "\x1b[1;32m$\x1b[0m make demo\n" + recorded(lang)
        (HERE / f"demo-{lang}.svg").write_text(drawn(text), encoding="utf-8")


if __name__ == "__main__":
    main()
