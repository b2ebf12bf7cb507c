"""What the benchmarks share: a block measured inside its own process, a server beside them."""

from __future__ import annotations

import json
import resource
import subprocess
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


@contextmanager
def beside(module: str, *arguments: str) -> Iterator[str]:
    """A module that serves in a process of its own and first prints its port; gives its address."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
