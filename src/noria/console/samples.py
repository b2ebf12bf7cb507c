"""Records that people look at while they write a plan: kept for a while, in memory, each for who fetched them."""

from __future__ import annotations

import secrets
from collections import OrderedDict

# Samples that are kept, records and bytes of each.
_MOST, MOST_RECORDS, _MOST_BYTES = 50, 50, 2_000_000


class Samples:
    """Keeps the newest samples."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, list[bytes]]] = OrderedDict()

    def keep(self, who: str, records: list[bytes]) -> str:
        """Keep records for somebody; gives what they are asked for by."""
        kept: list[bytes] = []
        size = 0
        for record in records[:MOST_RECORDS]:
            size += len(record)
            if size > _MOST_BYTES and kept:
                break
            kept.append(record)
        name = secrets.token_urlsafe(12)
        self._kept[name] = who, kept
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return name

    def of(self, who: str, name: str) -> list[bytes] | None:
        """Somebody's records; None where they are no longer kept."""
        found = self._kept.get(name)
        return found[1] if found is not None and found[0] == who else None
