"""What happens, as lines of JSON."""

from __future__ import annotations

import io
import json
from typing import Any

from noria.engine import run_plan
from noria.messages import Message
from noria.metadata.secrets import Redactor
from noria.monitoring.logs import JsonLog
from tests.conftest import ITEMS, USERS, Project, connections


def test_a_line_has_time_plan_event_and_no_secret() -> None:
    redactor, out = Redactor(), io.StringIO()
    redactor.hide("geheim-12345")
    JsonLog(redactor.clean, lambda: 1_700_000_000.0, out).said("p", Message("serve.broken", {"reason": "geheim-12345"}))
    [line] = map(json.loads, out.getvalue().splitlines())
    assert (line["plan"], line["event"], line["run_id"]) == ("p", "serve.broken", None)
    assert line["time"].startswith("2023-11-15T06:13:20") and "geheim" not in out.getvalue()


async def test_records_in_trouble_are_named_with_their_run(project: Project, okki: Any, sink: Any) -> None:
    out = io.StringIO()
    project.connections(connections(okki[1].url, sink[1].url))
    request = [ITEMS["request"][0], {"field": "name", "value": "{{full_name|datetime}}"}]
    project.plan("users", ("okki", USERS), ("sink", {**ITEMS, "request": request}))
    async with project.workspace() as workspace:
        workspace.observer = JsonLog(workspace.redactor.clean, workspace.clock.now, out)
        finished = await run_plan(workspace, workspace.project.plan("users"))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    invalid = [line for line in lines if line["event"] == "record.invalid"]
    assert invalid and sum(line["count"] for line in invalid) == finished.counts.invalid == 30
    assert {line["run_id"] for line in invalid} == {finished.run_id}
    assert all(line["records"] and line["text"] for line in invalid)
