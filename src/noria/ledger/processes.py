"""Who this process is, and whether another may still live."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def owner() -> str:
    """This process: host, process id, and when it started, so that a reused id is not mistaken for it."""
    return f"{host()}/{os.getpid()}/{_started(os.getpid())}"


@cache
def host() -> str:
    """This machine, as far as process numbers mean the same: its name, and the space that they are counted in."""
    found = [socket.gethostname()]
    try:
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        found.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        pass  # other systems know no such spaces
    return ".".join(found)


def alive(name: str) -> bool:
    """Whether the process that took a lease may still live; a process on another machine may."""
    where, _, rest = name.partition("/")
    pid, _, started = rest.partition("/")
    if where != host() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where the system doesn't say, "dead" for one that has ended
    and whose parent has not asked for its exit code yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "dead" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
