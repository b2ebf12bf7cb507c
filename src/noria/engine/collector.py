"""Python's cycle collector, kept from walking over a page's records again and again while they pass through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A page makes thousands of short-lived containers and hardly a cycle: with the default threshold of 700 the collector
# looks at them a dozen times a page, which was measured to cost a seventh of a run's time.
_THRESHOLDS = (20_000, 20, 50)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect less often inside the block; what is loaded before is not walked over at all."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
