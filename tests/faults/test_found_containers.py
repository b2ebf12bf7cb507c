"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import subprocess
import sys

from tests.faults.fleet import Fleet

SPACE = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_two_containers_that_share_the_host_s_name(fleet: Fleet) -> None:
    """Containers in `network_mode: host` (or with one `hostname:`) have one host name and process ids of their own. One
    runs the plan, is alive and beats; the other takes its lease away at once."""
    fleet.plan("p", concurrency=1)
    fleet.sink.latency = 0.6
    command = [*SPACE, sys.executable, "-m", "noria", "run", "p", "--project", str(fleet.project.folder), "--json"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        fleet.until(lambda: fleet.sink.rows or first.poll() is not None)
        assert first.poll() is None, first.stdout.read()[-1500:]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said, _ = first.communicate(timeout=60)
    finally:
        first.kill()
    with fleet.ledger() as ledger:
        runs = ledger.store.tuples("SELECT run_id, status FROM runs ORDER BY run_id")
    assert "being run" in second.stdout + second.stderr, (second.stdout[-300:], second.stderr[-300:], said[-300:], runs)
    assert [status for _, status in runs] == ["done"], runs


def test_a_crontab_that_is_wrong_ends_every_worker(fleet: Fleet) -> None:
    fleet.plan("p")
    fleet.start(2)
    fleet.want("p")
    fleet.until(fleet.done)
    fleet.project.plan(
        "q",
        ("okki", {"api": "/v1/company/list", "id": "company_id"}),
        ("sink", {"api": "/items"}),
        schedule="0 0/10 * * * ?",
    )
    # Whoever looks at the schedules has seen it, and has gone on.
    fleet.until(lambda: '"plan":"q"' in fleet.logs())
    fleet.want("p")
    fleet.until(fleet.done)
    assert [one.poll() for one in fleet.workers] == [None, None], fleet.logs()[-1500:]
