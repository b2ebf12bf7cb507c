"""What a source's request asks for, as far as its items say."""

from __future__ import annotations

from noria.metadata.documents import Item
from noria.metadata.errors import NoriaError
from noria.metadata.expression_tree import Macro, atoms
from noria.metadata.expressions import parse


def asks_for(item: Item, macro: str) -> bool:
    """Whether a macro stands in an item, or in one below it."""
    if item.children:
        return any(asks_for(child, macro) for child in item.children)
    try:
        expression = parse(item.value)
    except NoriaError:
        return False
    return any(isinstance(atom, Macro) and atom.name == macro for atom in atoms(expression))
