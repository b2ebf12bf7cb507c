"""What 小满 OKKI documents of its lists and operations, as `data/okki_endpoints.json` has it.

The file restates the vendor's pages (open.xiaoman.cn). Where these contradict themselves it says what is likely: a list
whose schema is broken has the envelope of the others, an amount that is "integer" is a number, a GET that is to have a
body has parameters, and what a page marks as required and its own example leaves out is not.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec


class ListFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of rows. `event`, `tells`: what its events are called, and which fields they name; `first`: its lowest id;
    `columns`: name to type."""

    id: str
    number: str = ""
    event: str = ""
    tells: tuple[str, ...] = ()
    first: int = 0
    title: str = ""
    columns: dict[str, str] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True, rename={"names": "as"}):
    """An endpoint. `does`: what kind it is; `of`: with which rows; `parameters`: of the query, name to type; `body`: of
    the object that is sent, those that it must have with a `*`; `names`: what columns are called here otherwise.

    Pushes: `keys`: by which of its fields a row is known again; `new`: what a new row can't do without; `reply`: what
    is answered; `edits`: makes no rows; `open`: an id that isn't there yet makes one; `many`: takes an array; `sets`,
    `adds`: what it does to columns besides; `ids`: parts of a row that get ids; `belongs`: rows that have to be there.
    `any_of`, `says`, `absent`, `empty`: codes and texts of the vendor's errors."""

    path: str
    method: str
    scope: str
    does: str
    of: str = ""
    parameters: dict[str, str] = {}
    required: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    size: int = 10
    names: dict[str, str] = {}
    defaults: dict[str, str] = {}
    lists: dict[str, str] = {}
    needs: dict[str, str] = {}
    body: dict[str, Any] = {}
    keys: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    reply: dict[str, str] = {}
    ids: dict[str, str] = {}
    sets: dict[str, str] = {}
    adds: dict[str, str] = {}
    belongs: str = ""
    edits: bool = False
    open: bool = False
    many: bool = False
    takes: str = "query"
    public: bool = False
    any_of: tuple[tuple[str, ...], int, str] | None = None
    says: dict[str, tuple[int, str]] = {}
    absent: tuple[int, str] = (404, "Not Found Resource")
    empty: tuple[int, str] = (400, "Invalid query")

    def column(self, name: str) -> str:
        """The column that a parameter or field is about."""
        return self.names.get(name, name)


class Facts(msgspec.Struct, frozen=True):
    """All of it."""

    lists: dict[str, ListFacts]
    endpoints: tuple[Operation, ...]


@cache
def facts() -> Facts:
    """The file's content."""
    text = resources.files("noria.simulators").joinpath("data/okki_endpoints.json").read_bytes()
    return msgspec.json.decode(text, type=Facts)
