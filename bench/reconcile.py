"""A reconciliation of source, ledger and target over the benchmark's server, for a ledger that `bench.whole` made."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from bench.measure import measured
from noria.engine import Workspace, reconcile_plan
from noria.engine.sweep import sweep_of
from noria.metadata.project import load_project


async def main(folder: Path) -> None:
    """Compare everything; the three sides have to be equal."""
    async with Workspace(load_project(folder)) as workspace:
        plan = workspace.project.plan("bench")
        wanted = sweep_of(plan, time.time(), whole=True)
        finished, found = await reconcile_plan(workspace, plan, wanted=wanted)
    if finished.status != "done" or not found.equal() or not found.source == found.ledger == found.target:
        raise SystemExit(f"{finished.status}: {finished.error} {found}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    with measured():
        asyncio.run(main(chosen.folder))
