"""`python -m bench`: what noria's ledger costs, as ratios to a bare loop of the same work in the same run."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import beside

Figures = dict[str, float]


def measured(module: str, *arguments: str) -> tuple[Figures, str]:
    """A module run by itself: its figures, and what else it printed."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    first, _, rest = done.stdout.partition("\n")
    return json.loads(first), rest


def whole(url: str, folder: Path, *more: str) -> tuple[Figures, str]:
    """A whole run of noria into the ledger in `folder`."""
    return measured("bench.whole", url, str(folder), *more)


def ratio(pairs: list[tuple[Figures, Figures]], key: str) -> tuple[float, float, float]:
    """Bare loop to noria, pair by pair: median, lowest, highest (1 would be as fast as the bare loop)."""
    ratios = [bare[key] / own[key] for bare, own in pairs]
    return statistics.median(ratios), min(ratios), max(ratios)


def speed(records: int, rounds: int) -> dict[str, list[tuple[Figures, Figures]]]:
    """All sides in turn, so that a machine that slows down slows each: the bare loop, then noria with a ledger that
    is synchronous=NORMAL and with one that is FULL. Gives the pairs (bare, noria) of each."""
    pairs: dict[str, list[tuple[Figures, Figures]]] = {"normal": [], "full": []}

    def shown(name: str, figures: Figures) -> str:
        return f"{name} {figures['seconds'] / records * 1e6:5.1f} µs ({figures['cpu'] / records * 1e6:5.1f} CPU)"

    with beside("bench.server", str(records)) as url:
        for _ in range(rounds):
            bare, _rest = measured("bench.bare", url, str(records))
            line = "  " + shown("bare", bare)
            for synchronous, kept in pairs.items():
                with tempfile.TemporaryDirectory() as folder:
                    own, _rest = whole(url, Path(folder), "--synchronous", synchronous)
                kept.append((bare, own))
                line += "   " + shown(f"noria, {synchronous.upper()}", own)
            print(line, flush=True)
    return pairs


def main() -> None:
    """Every figure, or the ones asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("speed", "profile", "memory", "reconcile", "size", "mapping"), default=None)
    chosen = parser.parse_args()
    if chosen.only in (None, "speed"):
        print(f"a whole run of {chosen.records:,} records: pages of 200, batches of 200, SQLite ledger")
        for synchronous, pairs in speed(chosen.records, chosen.rounds).items():
            for key, name in (("seconds", "records per second"), ("cpu", "CPU per record")):
                median, low, high = ratio(pairs, key)
                print(
                    f"synchronous={synchronous.upper()}, {name}: {median:.2f} of the bare loop's"
                    f" ({low:.2f} to {high:.2f})"
                )
    if chosen.only in (None, "profile"):
        print("\nwhere the time goes (top ten by own time; the profiler slows Python code down, not C)")
        with beside("bench.server", "20000") as url, tempfile.TemporaryDirectory() as folder:
            _, profile = whole(url, Path(folder), "--profile")
        table = profile[profile.index("ncalls") :].splitlines()
        print("\n".join(table[:11]))
    if chosen.only in (None, "memory"):
        peaks = []
        for records in (20_000, 200_000):
            with beside("bench.server", str(records)) as url, tempfile.TemporaryDirectory() as folder:
                peaks.append(whole(url, Path(folder))[0]["peak"])
        more = peaks[1] - peaks[0]
        print(f"\nmemory: {peaks[0]:.0f} MiB for 20,000 records, {peaks[1]:.0f} MiB for 200,000 (+{more:.0f})")
    if chosen.only in (None, "reconcile"):
        reconcile()
    if chosen.only in (None, "mapping"):
        compiled, _ = measured("bench.mapping")
        print("\nthe compiled mapping (best of several rounds, all in turn)")
        for case, figures in compiled.items():
            print(f"{case}: " + ", ".join(f"{value:.2f} {name}" for name, value in figures.items()))  # type: ignore[attr-defined]
    if chosen.only in (None, "size"):
        size()


def reconcile() -> None:
    """What comparing source, ledger and target takes, for few and for many ids."""
    seen = []
    for records in (20_000, 200_000):
        with beside("bench.server", str(records)) as url, tempfile.TemporaryDirectory() as folder:
            whole(url, Path(folder))
            seen.append((records, measured("bench.reconcile", folder)[0]))
    for records, figures in seen:
        each = figures["seconds"] / records * 1e6
        print(f"\nreconciling {records:,} ids on three sides: {figures['peak']:.0f} MiB, {each:.0f} µs an id", end="")
    print()


def size() -> None:
    """Time per record into a ledger that holds few or many records already."""
    step = 10_000
    seen: dict[int, list[Figures]] = {}
    with beside("bench.server", "560000") as url, tempfile.TemporaryDirectory() as folder:
        few, many = range(step, 7 * step, step), range(500_000, 561_000, step)
        for upto in (*few, *many):
            figures, _ = whole(url, Path(folder), "--upto", str(upto), "--start-page", str(_page_after(seen)))
            seen.setdefault(upto, []).append(figures)
    ratios = []
    for key in ("seconds", "cpu"):
        at_few = statistics.median(seen[n][0][key] for n in few[1:])
        at_many = statistics.median(seen[n][0][key] for n in many[1:])
        ratios.append(at_many / at_few)
    print(
        f"time per record at 500,000 records in the ledger: {ratios[0]:.2f} times that at 10,000 (CPU {ratios[1]:.2f})"
    )


def _page_after(seen: dict[int, list[Figures]]) -> int:
    return max(seen, default=0) // 200 + 1


if __name__ == "__main__":
    main()
