"""Rows that each hold a list, sent as one list: `{"items": [a]}` and `{"items": [b]}` leave as `{"items": [a, b]}`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from noria.connectors.failures import Failure
from noria.connectors.raws import elements_of, fields_of
from noria.connectors.target import Row, Target, Written
from noria.messages import Message
from noria.metadata.paths import MISSING, at


class Joined(Target):
    """A target whose endpoint takes a list under the declared batch key. A row is an element of it, or an object that
    has one or more under that key; the ledger keeps rows as they were made."""

    async def send(
        self, body: bytes, key: str, rows: Sequence[Row], before: Callable[[], None] = lambda: None
    ) -> Written:
        """As one list."""
        return await super().send(self.joined(body), key, rows, before)

    def joined(self, body: bytes) -> bytes:
        """The body with all elements in one list. Raises `Failure` where what rows say beside it differs: such rows go
        by themselves."""
        name = self.write.batch_key
        whole = msgspec.json.decode(body, type=dict[str, msgspec.Raw]) if name else {}
        # As one object the body is a row by itself, and has the list or is an element.
        rows = elements_of(whole[name]) if name in whole else [msgspec.Raw(body)]
        if not name or rows is None:
            return body
        elements: list[msgspec.Raw] = []
        beside = {one: raw for one, raw in whole.items() if one != name} if name in whole else {}
        for row in rows:
            inner = fields_of(row)
            own = elements_of(inner[name]) if name in inner else None
            elements += [row] if own is None else own
            for one, raw in inner.items() if own is not None else ():
                if one != name and bytes(beside.setdefault(one, raw)) != bytes(raw):
                    raise Failure("permanent", Message("http.rows_differ", {"field": one}), request=self.api)
        return msgspec.json.encode({**beside, name: elements})

    def ids(self, row: Row) -> list[str]:
        """The ids of a row's elements under the name that results use."""
        payload = msgspec.json.decode(row.payload)
        own = at(payload, self.write.batch_key) if isinstance(payload, dict) else MISSING
        found = [at(one, self.write.result_id) for one in (own if isinstance(own, list) else [payload])]
        return [str(one) for one in found if one is not MISSING]

    def worst(self, results: Sequence[Any]) -> Any:
        """Of several results the one that complains; `MISSING` where there are none."""
        return max(results, key=lambda one: self._outcome(one) is not None, default=MISSING)

    def matched(self, results: list[Any], rows: Sequence[Row]) -> list[Any]:
        """By the elements' ids; a row with an element of which nothing was said has no result."""
        named = self.by_id(results)
        found = []
        for row in rows:
            own = [self.worst(named.get(one, ())) for one in self.ids(row)]
            found.append(MISSING if any(one is MISSING for one in own) else self.worst(own))
        return found

    def by_id(self, results: list[Any]) -> dict[str, list[Any]]:
        """Results by the ids that they name."""
        named: dict[str, list[Any]] = {}
        for one in results:
            named.setdefault(str(at(one, self.write.result_id)), []).append(one)
        return named
