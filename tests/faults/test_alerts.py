"""Alerts with workers that are real processes: one of them tells, and when it is killed another goes on."""

from __future__ import annotations

import signal
import subprocess

import pytest

from noria.simulators.robots import Robots
from tests.faults.fleet import Fleet
from tests.servers import beside

SETTINGS = """
[alerts.channels.ops]
kind = "wecom"
url = "env:OPS_URL"
[alerts.rules.failures]
after = 2
"""


def _leader(fleet: Fleet) -> subprocess.Popen[bytes] | None:
    """The worker that looks at the schedules, and so at what has to be told."""
    with fleet.ledger() as ledger:
        rows = ledger.store.rows("SELECT owner FROM leases WHERE plan_id = 0 AND stage = 'schedule'")
    pids = [int(row.owner.split("/")[1]) for row in rows]
    return next((one for one in fleet.workers if one.pid in pids and one.poll() is None), None)


def test_one_of_many_tells_and_is_followed_by_another(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    robots = Robots()
    file = fleet.project.folder / "noria.toml"
    file.write_text(file.read_text("utf-8") + SETTINGS, encoding="utf-8")
    with beside(robots) as running:
        monkeypatch.setenv("OPS_URL", f"{running.url}/cgi-bin/webhook/send?key={robots.token}")
        fleet.plan("p")
        monkeypatch.setenv("OKKI_CLIENT_SECRET", "wrong")
        fleet.ready(3)
        for times in (1, 2):
            fleet.want("p")
            fleet.until(lambda times=times: len(fleet.ended()) == times and fleet.done())
        fleet.until(lambda: robots.messages)
        first = fleet.until(lambda: _leader(fleet))
        first.send_signal(signal.SIGKILL)
        # Workers that know the right secret take over.
        monkeypatch.setenv("OKKI_CLIENT_SECRET", "demo-secret")
        for one in fleet.workers:
            one.send_signal(signal.SIGTERM)
        fleet.start(2)
        fleet.want("p")
        fleet.until(lambda: len(robots.messages) == 2)
        assert _leader(fleet) in fleet.workers[3:]
    told = [one.text.splitlines()[1] for one in robots.messages]
    assert told == ["[critical] p", "[over] p"] and robots.refused == []
    with fleet.ledger() as ledger:
        assert ledger.alerts.on() == [] and ledger.alerts.channels()["ops"].sent == 2
