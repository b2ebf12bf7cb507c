"""What a source's metadata makes of a row: `beatFlat` takes it apart, `formatResponse` adds fields, `condition` leaves
rows and lines out.

Rows are kept as they came (taken apart where they are flattened). Formats and the leaving out of lines are applied
whenever a row is used, so that a change to the plan counts for rows that are already there.
"""

from __future__ import annotations

from typing import Any

import msgspec
from xxhash import xxh3_64_hexdigest

from noria.mapping.conditions import Conditions
from noria.mapping.row_formats import Format
from noria.mapping.values import Environment, MappingError
from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.paths import at

Row = dict[str, Any]
# Places of an element: in the outermost array, in the one inside that element, and so on.
Positions = tuple[int, ...]


class RowRules:
    """A source's `beatFlat`, `formatResponse` and `condition`, ready to be applied to rows."""

    def __init__(self, metadata: Metadata) -> None:
        self.arrays = list(metadata.beatFlat or [])
        self.formats = [Format(one) for one in metadata.formats()]
        self.conditions = Conditions(metadata.groups())
        self._prefixes = {name: name.replace(".", "_") for name in self.arrays}
        rules = msgspec.json.encode([self.arrays, metadata.formatResponse, metadata.condition])
        # Tells indexes of derived fields apart from those made under other rules.
        self.fingerprint = xxh3_64_hexdigest(rules) if self.derives else ""

    @property
    def derives(self) -> bool:
        """Whether a row that is used differs from the row that is kept."""
        return bool(self.formats) or self.conditions.cuts

    @property
    def filters(self) -> bool:
        """Whether rows may be left out."""
        return bool(self.conditions.groups)

    def split(self, row: Row) -> list[Row]:
        """The rows that `beatFlat` makes of one: a row per element, in the order of the arrays; without any element,
        the head's fields alone. Arrays inside elements are named with both (`details_batch`)."""
        head, roots = row, []
        for name in self.arrays:
            found = at(row, name)
            if isinstance(found, list | dict):
                roots.append((self._prefixes[name], found if isinstance(found, list) else [found]))
            head = _removed(head, name)
        rows: list[Row] = []
        for prefix, elements in roots:
            expanded = _expanded([head | {prefix: elements}], prefix)
            for nested in dict.fromkeys(self._prefixes.values()):
                if nested.startswith(prefix + "_"):
                    expanded = [
                        one for part in expanded for one in (_expanded([part], nested) or [_without(part, nested)])
                    ]
            rows += expanded
        return rows or [head]

    def flattens(self, row: Row) -> bool:
        """Whether a row has something that is taken apart: then its parts are numbered."""
        return any(isinstance(found := at(row, name), list | dict) and found for name in self.arrays)

    def derived(self, row: Row, env: Environment) -> Row:
        """The row as it is used: with formatted fields, without the lines that a condition leaves out. Raises
        `MappingError`."""
        row = self._formatted(row, env)
        return self.conditions.apply(row, env)[0] if self.conditions.cuts else row

    def rejected(self, row: Row, env: Environment) -> Message | None:
        """Why a condition leaves the whole row out. A row that can't be formatted is not left out: mapping says so."""
        if not self.conditions.groups:
            return None
        try:
            return self.conditions.apply(self._formatted(row, env), env)[1]
        except MappingError:
            return None

    def _formatted(self, row: Row, env: Environment) -> Row:
        if not self.formats:
            return row
        for one in self.formats:
            row = one.applied(row, env.moment)
        return row


def _expanded(rows: list[Row], array: str) -> list[Row]:
    """A row per element of an array; elements that are no objects stand under the array's own name."""
    found: list[Row] = []
    for row in rows:
        elements = row.get(array)
        if not isinstance(elements, list):
            continue
        head = _without(row, array)
        for element in elements:
            fields = element if isinstance(element, dict) else None
            own = {array: element} if fields is None else {f"{array}_{name}": value for name, value in fields.items()}
            found.append(head | own)
    return found


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


def _removed(row: Row, path: str) -> Row:
    """A copy of the row without what stands at a path."""
    first, _, rest = path.partition(".")
    if not rest:
        return _without(row, first)
    return {**row, first: _removed(row[first], rest)} if isinstance(row.get(first), dict) else row
