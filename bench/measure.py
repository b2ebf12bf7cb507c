"""Measures a block inside its own process: wall and CPU seconds, and the peak of its memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def measured() -> Iterator[None]:
    """Print one JSON line about the block: seconds, cpu (seconds, user and system), peak (MiB)."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    figures = {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024),
    }
    print(json.dumps(figures), flush=True)
