"""Ways to lose or double records that a second look by people told only to break it has found."""

from __future__ import annotations

import signal
import time

from tests.faults.fleet import Fleet


def test_a_frozen_worker_that_waits_for_its_rate_limit(fleet: Fleet) -> None:
    """Real processes. A target that can be asked and takes a request every five seconds; the worker is frozen between
    two, another does the rest, the first wakes up."""
    file = fleet.project.folder / "noria.toml"
    text = file.read_text("utf-8").replace(
        'idempotency_header = "Idempotency-Key", batch_size = 5',
        'verify = { api = "/items", param = "id", records = "data" }, batch_size = 40',
    )
    text = text.replace("[connections.sink]\n", "[connections.sink]\nlimits = { per_second = 0.2 }\n")
    file.write_text(text, "utf-8")
    fleet.sink.keys = False
    # Asked once for every row, it would take for ever: the successor finds nothing `sending` worth more than one.
    fleet.plan("p", concurrency=1, batch_size=40)
    fleet.start(2)
    fleet.want("p")
    fleet.until(lambda: len(fleet.sink.rows) >= 40, 40)
    time.sleep(1.0)
    first = fleet.runner_of("p")
    assert first is not None
    first.send_signal(signal.SIGSTOP)
    # The successor asks for the batch's rows, one every five seconds; soon enough after, it wakes up.
    fleet.until(lambda: (found := fleet.runner_of("p")) is not None and found is not first, 60)
    before = len(fleet.sink.rows)
    assert before == 40
    time.sleep(1)
    first.send_signal(signal.SIGCONT)
    time.sleep(7)
    assert len(fleet.sink.rows) == before, (before, len(fleet.sink.rows), fleet.logs()[-600:])
