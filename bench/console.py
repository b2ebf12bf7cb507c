"""`python -m bench.console`: the console's pages with a million records in the ledger, on SQLite and on PostgreSQL.

Time at the server, a page at a time, and what a page weighs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
from tests.postgres import server as postgres_server

from noria.console.app import Operations
from noria.console.server import serving
from noria.engine import Workspace
from noria.ledger import Ledger, open_ledger
from noria.ledger.arrivals import Arrivals
from noria.ledger.delivery import Attempt, Exempt
from noria.messages import Message
from noria.metadata.project import load_project
from noria.metadata.times import DEFAULT_ZONE

PLANS = 200
PAGES = {
    "overview": "/",
    "plans": "/plans",
    "plan": "/plans/p000",
    "plan, its alerts": "/plans/p000?tab=alerts",
    "records, newest": "/records?plan=p000",
    "records, delivered": "/records?plan=p000&state=delivered",
    "records, dead": "/records?plan=p000&state=dead",
    "records, pending": "/records?plan=p000&state=pending",
    "records, a page far back": "/records?plan=p000&before=1000",
    "records, by id": "/records?plan=p000&q=4711",
    "records, by number": "/records?plan=p000&q=C99999",
    "records, an hour long ago": "/records?plan=p000&since={since}&until={until}",
    "dead, an hour long ago": "/records?plan=p000&state=dead&since={since}&until={until}",
    "records, words of the reason": "/records?plan=p000&error=部门",
    "records, words that none has": "/records?plan=p000&error=nowhere",
    "records of all plans": "/records",
    "dead of all plans": "/records?state=dead",
    "record": "/plans/p000/record?id=4711",
    "record, by number": "/plans/p000/record?id=C4712",
    "failures": "/failures",
    "runs": "/runs",
    "run": "/runs/{run}",
    "reconciliation": "/reconciliation?plan=p000",
    "alerts": "/alerts",
    "connections": "/connections",
    "editor": "/plans/p000/edit",
    "versions": "/plans/p000/versions",
    "changes": "/audit",
    "tokens": "/tokens",
}
_AT_ONCE = 500
# The ledger's records were staged over so many hours, this last one of them being the newest.
_HOURS = 240


def _filled(ledger: Ledger, records: int) -> None:
    """All records in one plan: nine of ten delivered, one of a thousand dead for one of 40 causes, the rest to be sent;
    runs of every plan."""
    begun = time.time() - _HOURS * 3600
    now = begun
    for n in range(PLANS):
        run = ledger.runs.begin(f"p{n:03d}", f"plan {n}", "run", now)
        ledger.runs.finish(run, "done", now + 1, {"staged": n, "delivered": n})
    run = ledger.runs.begin("p000", "plan 0", "run", now)
    read = ledger.reads.begin(run, now, "s", 0)
    for first in range(0, records, _AT_ONCE):
        ids = [str(n) for n in range(first, min(first + _AT_ONCE, records))]
        raws = [b'{"id":%s,"name":"customer %s","note":"%s"}' % (i.encode(), i.encode(), b"x" * 120) for i in ids]
        arrivals = Arrivals(raws, [*ids], [f"C{i}" for i in ids])
        number = first // _AT_ONCE
        now = begun + _HOURS * 3600 * first / records
        ledger.staging.stage(
            run, read, number=number, request="GET /x", arrivals=arrivals, cursor=None, now=now, delivers_changes=True
        )
        if first >= records * 9 // 10:
            continue
        due = ledger.delivery.fresh(run.plan_id, ledger.delivery.claimed(run.plan_id), _AT_ONCE)
        body = b"[" + b",".join(raws) + b"]"
        batch = ledger.delivery.claim(
            run, "fresh", due, [], body=body, body_path="", key=str(first), now=now, claimed_to=due[-1].seq
        )
        assert batch is not None
        dead = [
            Exempt(
                one.seq,
                "dead",
                Message("reason.refused_row", {"answer": f"部门 {one.id} 不存在 {'x' * (number % 40)}"}),
            )
            for one in due
            if one.seq % 1000 == 0
        ]
        tried = Attempt(now, 0.05, "partial" if dead else "delivered", "POST /items", 200, None, b'{"success":true}')
        ledger.delivery.close(run, batch, state="delivered", attempt=tried, failed=dead, attempts=1, now=now)
    ledger.runs.finish(run, "incomplete", now + 60, {"staged": records})


async def _timed(folder: Path, rounds: int) -> dict[str, tuple[float, int]]:
    """Median seconds and bytes of each page."""
    found = {}
    middle = datetime.fromtimestamp(time.time() - _HOURS * 1800, DEFAULT_ZONE)
    shown = {"since": f"{middle:%Y-%m-%dT%H:%M}", "until": f"{middle + timedelta(hours=1):%Y-%m-%dT%H:%M}"}
    async with Workspace(load_project(folder)) as workspace:
        operations = Operations(workspace)
        async with (
            serving(operations.app(), "127.0.0.1:0") as port,
            aiohttp.ClientSession(headers={"Accept": "text/html"}) as session,
        ):
            for name, path in PAGES.items():
                taken, size = [], 0
                for _ in range(rounds + 1):
                    begun = time.perf_counter()
                    async with session.get(f"http://127.0.0.1:{port}{path.format(run=PLANS + 1, **shown)}") as answer:
                        size = len(await answer.read())
                        assert answer.status == 200, (path, answer.status)
                    taken.append(time.perf_counter() - begun)
                found[name] = (statistics.median(taken[1:]), size)
        operations.close()
    return found


def _project(folder: Path, url: str) -> None:
    (folder / "plans").mkdir()
    (folder / "noria.toml").write_text(
        f'[ledger]\nurl = "{url}"\n[connections.x]\nconnector = "http"\nbase_url = "http://127.0.0.1:9"\n'
    )
    for n in range(PLANS):
        side = {"connection": "x", "metadata": {"api": "/x", "id": "id"}}
        target = {"connection": "x", "metadata": {"api": "/y", "request": [{"field": "id", "value": "{{id}}"}]}}
        (folder / "plans" / f"p{n:03d}.json").write_text(json.dumps({"source": side, "target": target}))


def main() -> None:
    """Fill a ledger of each kind, and look at every page."""
    parser = argparse.ArgumentParser(prog="python -m bench.console")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    tables: dict[str, dict[str, tuple[float, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="noria-") as folder, postgres_server(Path(folder)) as database:
        for kind in ("sqlite", "postgres"):
            url = "sqlite:///l.db" if kind == "sqlite" else database.database()
            with tempfile.TemporaryDirectory() as project:
                _project(Path(project), url)
                with open_ledger(url, Path(project)) as ledger:
                    _filled(ledger, chosen.records)
                tables[kind] = asyncio.run(_timed(Path(project), chosen.rounds))
    print(f"{chosen.records:,} records, {PLANS} plans; median of {chosen.rounds}, milliseconds (bytes)")
    for name in PAGES:
        figures = "  ".join(f"{kind} {found[name][0] * 1000:7.1f}" for kind, found in tables.items())
        print(f"  {name:30}{figures}  ({tables['sqlite'][name][1]:,})")


if __name__ == "__main__":
    main()
