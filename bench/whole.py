"""A whole run of noria over the benchmark's server: paged list, mapping, SQLite ledger, batches to the target."""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
from pathlib import Path

from bench.measure import measured
from bench.server import PAGE
from noria.engine import Workspace, run_plan
from noria.engine.collector import rare_collections
from noria.ledger import open_ledger
from noria.metadata.project import load_project

PLAN = {
    "name": "bench",
    "source": {
        "connection": "server",
        "metadata": {
            "api": "/list",
            "method": "GET",
            "id": "order_id",
            "number": "order_no",
            "idCheck": True,
        },
    },
    "target": {
        "connection": "server",
        "metadata": {
            "api": "/post",
            "method": "POST",
            "idCheck": True,
            "request": [
                {"field": "id", "value": "{{order_id}}"},
                {"field": "no", "value": "{{order_no}}"},
                {"field": "date", "value": "{{account_date}}"},
                {"field": "currency", "value": "{{currency}}"},
                {"field": "amount", "value": "{{amount}}"},
                {"field": "customer", "value": "{{company.name}}"},
                {"field": "owner", "value": "{{handler.name}}"},
                {"field": "department", "value": "{{handler.department.id}}"},
            ],
        },
    },
}
SETTINGS = """
[connections.server]
connector = "http"
base_url = "{url}"
envelope = {{ records = "data.list", total = "data.count", code = "code", success = [200] }}
paging = {{ type = "page", page_param = "start_index", size_param = "count", size = 200 }}

[connections.server.write]
batch_size = 200
listing = {{ api = "/list", id = "order_id", records = "data.list", total = "data.count" }}

[ledger]
synchronous = "{synchronous}"
"""


def project(folder: Path, url: str, synchronous: str, first_page: int, pages: int | None) -> None:
    """Write the benchmark's project; it reads from `first_page` on, `pages` of them (default: all)."""
    plan = json.loads(json.dumps(PLAN))
    plan["source"]["metadata"]["request"] = [{"field": "start_index", "value": str(first_page)}]
    if pages is not None:
        plan["source"]["metadata"]["request"].append({"field": "last", "value": str(first_page + pages - 1)})
    (folder / "plans").mkdir(parents=True, exist_ok=True)
    (folder / "noria.toml").write_text(SETTINGS.format(url=url, synchronous=synchronous), encoding="utf-8")
    (folder / "plans" / "bench.json").write_text(json.dumps(plan), encoding="utf-8")


async def main(folder: Path) -> None:
    """One run of the plan."""
    async with Workspace(load_project(folder)) as workspace:
        finished = await run_plan(workspace, workspace.project.plan("bench"))
    if finished.status != "done":
        raise SystemExit(f"the run ended {finished.status}: {finished.error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--start-page", type=int, default=1)
    parser.add_argument("--synchronous", choices=("normal", "full"), default="normal")
    parser.add_argument("--upto", type=int, default=None, help="stop after this record")
    chosen = parser.parse_args()
    pages = None if chosen.upto is None else chosen.upto // PAGE - chosen.start_page + 1
    project(chosen.folder, chosen.url, chosen.synchronous, chosen.start_page, pages)
    # An empty ledger is made before: creating one happens once in a project's life, not once a run.
    open_ledger("sqlite:///noria.db", chosen.folder).close()
    profile = cProfile.Profile() if chosen.profile else None
    with measured():
        if profile is not None:
            profile.enable()
        with rare_collections():
            asyncio.run(main(chosen.folder))
        if profile is not None:
            profile.disable()
    if profile is not None:
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(12)
