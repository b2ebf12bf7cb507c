"""`make matrix`: which tests of the contract each connector passes, and how many lines it took."""

from __future__ import annotations

import ast
import importlib
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []


def contracts() -> dict[str, dict[str, bool]]:
    """By connector, and by the names of the contract's tests, whether the test is among those that it has to pass.
    Where it isn't, the system has nothing of the kind: no writing, no tokens, no results by row."""
    from noria.testing import ConnectorContract
    from noria.testing.contract import contract_tests

    found: dict[str, dict[str, bool]] = {}
    for file in sorted((ROOT / "tests" / "contract").glob("test_contract_*.py")):
        module = importlib.import_module(f"tests.contract.{file.stem}")
        for one in vars(module).values():
            if isinstance(one, type) and issubclass(one, ConnectorContract) and one.connector:
                has = found.setdefault(one.connector, dict.fromkeys(contract_tests(), False))
                for name in has:
                    has[name] |= getattr(one, name) is not None
    return found


def said(name: str) -> str:
    """A test's name in words."""
    return name.removeprefix("test_").replace("_", " ")


def lines() -> Iterator[tuple[str, int]]:
    """Each connector's module or package, and its lines of declaration and code: without blank ones, comments and
    docstrings."""
    from noria.connectors.registry import CONNECTORS, OWN

    folder = ROOT / "src" / "noria" / "connectors"
    for place in sorted(folder.iterdir()):
        texts = [file.read_text("utf-8") for file in (place.glob("*.py") if place.is_dir() else [place])]
        if any(re.search(rf'\bname="{name}"', text) and name in CONNECTORS for name in OWN for text in texts):
            yield place.stem, sum(_code(text) for text in texts)


def _code(text: str) -> int:
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        kind = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kind) and ast.get_docstring(node, clean=False) is not None:
            documented |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank:
            held |= set(range(token.start[0], token.end[0] + 1))
    return len(held - documented)


def table() -> str:
    """Both as tables in Markdown."""
    kept = contracts()
    names = list(next(iter(kept.values())))
    rows = ["| | " + " | ".join(kept) + " |", "|---|" + "---|" * len(kept)]
    for name in names:
        rows.append(f"| {said(name)} | " + " | ".join("✓" if kept[one][name] else "–" for one in kept) + " |")
    counted = ["| | |", "|---|---|", *(f"| `{name}` | {count} |" for name, count in lines())]
    return "\n".join(rows) + "\n\n" + "\n".join(counted)


if __name__ == "__main__":
    print(table())
