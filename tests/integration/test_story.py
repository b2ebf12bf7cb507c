"""One record's story in the console, and what a person does about it: corrects, skips, marks as done, replays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from noria.engine import run_plan
from tests.conftest import Project
from tests.integration.test_console_pages import NASTY, USERS, Console, opened
from tests.servers import listening

BOTH_LEDGERS = True
TARGET = {
    "api": "/items",
    "method": "POST",
    "request": [
        {"field": "id", "label": "编码", "value": "{{id}}"},
        {"field": "name", "value": "客户 {{name}}", "is_required": True},
        {"field": "amount", "type": "float", "value": "{{amount}}"},
        {"field": "kind", "value": "C"},
        {"field": "lines", "type": "array", "value": "lines", "children": [{"field": "sku", "value": "{{code}}"}]},
    ],
}
SOURCE = {"api": "/list", "id": "id", "number": "no"}


@dataclass
class Office:
    """A source whose rows a test changes, and a target that refuses some names and keeps what it is sent."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=lambda: {"客户 n3", "客户 n5"})
    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    status: int = 200

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/list", self._list), web.post("/items", self._items)]

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"data": list(self.rows.values())})

    async def _items(self, request: web.Request) -> web.Response:
        text = await request.text()
        rows = json.loads(text)
        rows = rows if isinstance(rows, list) else [rows]
        self.bodies += rows
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        if self.status != 200:
            return web.Response(status=self.status, text="broken")
        done = [{"id": r.get("id"), "ok": r.get("name") not in self.refused, "message": "no such"} for r in rows]
        return web.json_response({"results": done})

    def sent(self, record_id: str) -> list[Any]:
        return [body for body in self.bodies if body.get("id") == record_id]


def office() -> Office:
    rows = {
        f"r{n}": {
            "id": f"r{n}",
            "no": f"N{n}",
            "name": f"n{n}",
            "amount": 12.5,
            "lines": [{"code": "a"}, {"code": "b"}],
        }
        for n in range(6)
    }
    return Office(rows)


@asynccontextmanager
async def shown(
    project: Project,
    there: Office,
    *,
    settings: str = "",
    target: dict[str, Any] | None = None,
    write: str = 'results = "results", idempotency_header = "Idempotency-Key"',
    source: dict[str, Any] | None = None,
    **rest: Any,
) -> AsyncIterator[Console]:
    async with listening(there.routes()) as url:
        project.connections(
            f'[connections.here]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
            f'headers = {{ X-Api-Key = "hush-hush-1" }}\nwrite = {{ {write} }}\n{settings}'
        )
        project.plan("p", ("here", source or SOURCE), ("here", target or TARGET), **rest)
        async with opened(project) as found:
            yield found


async def again(console: Console, **how: Any) -> Any:
    workspace = console.operations.workspace
    return await run_plan(workspace, workspace.project.plan("p"), **how)


async def story(console: Console, record_id: str) -> Any:
    status, found = await console.json(f"/plans/p/record?id={record_id}")
    assert status == 200
    return found


async def correct(console: Console, record_id: str, payload: str, **more: str) -> tuple[int, str]:
    """As the page does it: what is to be sent, confirmed."""
    found = await story(console, record_id)
    form = {"seq": str(found["record"]["seq"]), "seen": str(found["seen"]), "payload": payload, **more}
    return await console.post("/plans/p/record/edit", **{"confirmed": "yes", "reason": "typo", **form})


def audit(project: Project) -> list[tuple[str, str, Any]]:
    rows = project.ledger("p", lambda ledger, _: ledger.store.rows("SELECT who, what, detail FROM audit ORDER BY 1, 2"))
    return [(row.who, row.what, json.loads(row.detail)) for row in rows]


async def test_a_records_story_from_its_raw_fields_to_what_was_sent(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        found = await story(console, "r3")
        fields = {one["path"]: one for one in found["fields"]}
        assert fields["name"] == {
            "path": "name",
            "label": None,
            "expression": "客户 {{name}}",
            "reads": [{"path": "name", "value": "n3"}],
            "value": "客户 n3",
        }
        assert fields["amount"]["value"] == 12.5 and fields["id"]["label"] == "编码"
        assert fields["kind"] == {"path": "kind", "label": None, "expression": "C", "reads": [], "value": "C"}
        assert fields["lines"]["reads"] == [{"path": "lines", "value": [{"code": "a"}, {"code": "b"}]}]
        assert fields["lines[1].sku"]["reads"] == [{"path": "code", "value": "b"}]
        assert fields["lines[1].sku"]["value"] == "b"
        (tried,) = found["record"]["tries"]
        assert tried["request"].startswith("POST http://127.0.0.1") and tried["rows"] == 6
        assert tried["headers"] == {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": there.keys[0]}
        assert tried["payload"] == there.sent("r3")[0] and "no such" in tried["answer"]
        assert found["changed"] is False
        _, text = await console.get("/plans/p/record?id=r3", **{"Accept-Language": "en"})
        assert "Idempotency-Key" in text and "hush-hush" not in text and "has changed since" not in text
        # The mapping is another one now: what was sent is shown as it was sent.
        target = {**TARGET, "request": [{"field": "id", "value": "{{id}}"}, {"field": "name", "value": "X {{name}}"}]}
        project.plan("p", ("here", SOURCE), ("here", target))
        found = await story(console, "r3")
        assert found["changed"] is True
        assert [(one["expression"], one["value"]) for one in found["fields"]] == [
            ("{{id}}", "r3"),
            ("X {{name}}", "客户 n3"),
        ]
        assert "has changed since" in (await console.get("/plans/p/record?id=r3", **{"Accept-Language": "en"}))[1]


async def test_a_corrected_record_is_sent_once_as_it_was_corrected(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        found = await story(console, "r3")
        status, text = await console.get(f"/plans/p/record/edit?seq={found['record']['seq']}")
        assert status == 200 and "客户 n3" in text
        seq, payload = (
            str(found["record"]["seq"]),
            '{"id": "r3", "name": "right", "amount": 12.500, "n": 12345678901234567890}',
        )
        # Looked at first: nothing has happened yet.
        status, text = await console.post("/plans/p/record/edit", seq=seq, seen="0", payload=payload)
        assert status == 200 and 'class="gone"' in text and "12345678901234567890" in text
        assert (await story(console, "r3"))["record"]["state"] == "failed"
        assert (await correct(console, "r3", payload))[0] == 303
        # A second click finds it on its way.
        assert (await correct(console, "r3", payload))[0] == 409
        found = await story(console, "r3")
        assert found["record"]["state"] == "pending" and found["record"]["edits"][0]["batch"] is None
        there.bodies.clear()
        assert (await again(console)).counts.delivered == 1
        assert there.bodies == [json.loads(payload)] and len(set(there.keys)) == 2
        await again(console)
        assert len(there.bodies) == 1
        record = (await story(console, "r3"))["record"]
        assert record["state"] == "delivered" and record["payload"] == json.loads(payload)
        (edit,) = record["edits"]
        assert (edit["who"], edit["reason"], edit["batch"]) == ("local", "typo", record["tries"][-1]["batch"])
        assert edit["made"]["name"] == "客户 n3" and edit["payload"]["name"] == "right"
        # Numbers go with the digits that were written.
        body = project.ledger("p", lambda ledger, p: bytes(ledger.records.sent(edit["batch"], record["seq"]).payload))
        assert b"12.500" in body and b"12345678901234567890" in body
        assert audit(project) == [("local", "edit", {"id": "r3", "count": 1, "reason": "typo"})]
        assert project.counts("p") == {"delivered": 5, "failed": 1}


async def test_a_newer_content_wins_over_a_correction(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        assert (await correct(console, "r3", '{"id": "r3", "name": "by hand"}'))[0] == 303
        there.rows["r3"]["name"] = "newer"
        there.bodies.clear()
        await again(console, delivers=False)
        await again(console)
        assert [body["name"] for body in there.sent("r3")] == ["客户 newer"]
        found = await story(console, "r3")
        assert found["record"]["state"] == "delivered" and found["record"]["edits"][0]["batch"] is None
        _, text = await console.get("/plans/p/record?id=r3", **{"Accept-Language": "en"})
        assert "the newer content goes as mapped" in text


async def test_a_correction_that_fails_again_is_replayed_and_can_be_taken_back(project: Project) -> None:
    there = office()
    there.refused.add("still wrong")
    async with shown(project, there) as console:
        assert (await correct(console, "r3", '{"id": "r3", "name": "still wrong"}'))[0] == 303
        await again(console)
        found = await story(console, "r3")
        assert found["record"]["state"] == "failed"
        # A replay sends the correction again, not what the mapping makes.
        assert (await console.post("/plans/p/replay", id="r3"))[0] == 303
        await again(console)
        assert [body["name"] for body in there.sent("r3")] == ["客户 n3", "still wrong", "still wrong"]
        # Somebody who looked at it before the first correction does not undo it unseen.
        form = {"seq": str(found["record"]["seq"]), "payload": '{"id": "r3"}', "reason": "x", "confirmed": "yes"}
        assert (await console.post("/plans/p/record/edit", seen="0", **form))[0] == 409
        assert (await console.post("/plans/p/record/unedit", seq=form["seq"], reason="as mapped"))[0] == 303
        there.refused.clear()
        await again(console)
        assert there.sent("r3")[-1]["name"] == "客户 n3"
        record = (await story(console, "r3"))["record"]
        assert record["state"] == "delivered" and [one["payload"] is None for one in record["edits"]] == [False, True]
        # The mapping's own payload is kept with the first correction, and was not the first correction itself.
        assert record["edits"][0]["made"]["name"] == "客户 n3"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"id": "r3",\n "name": }', "line 2, column 10"),
        ("[1]", "JSON object"),
        ('"text"', "JSON object"),
        ('{"id": "r3", "id": "r4"}', "the key id is there twice"),
        ('{"id": NaN}', "NaN"),
        ("", "line 1, column 1"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "valid JSON"),
    ],
)
async def test_what_can_not_be_sent_is_refused_at_its_place(project: Project, payload: str, said: str) -> None:
    there = office()
    async with shown(project, there) as console:
        await console.post("/language", lang="en", to="/")
        status, text = await correct(console, "r3", payload)
        assert status == 400 and said in text and 'aria-invalid="true"' in text
        assert (await story(console, "r3"))["record"]["state"] == "failed"
        same = json.dumps((await story(console, "r3"))["record"]["payload"])
        assert "nothing is changed" in (await correct(console, "r3", same))[1]
        assert "say why" in (await correct(console, "r3", '{"id": "r3"}', reason=" "))[1]
        assert "the required field name is empty" in (await correct(console, "r3", '{"id": "r3"}', confirmed=""))[1]


async def test_hostile_payloads_are_shown_and_sent_and_never_run(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        payload = json.dumps({"id": "r3", "name": NASTY, "</script><script>x": "</textarea><script>alert(1)</script>"})
        found = await story(console, "r3")
        status, text = await console.post(
            "/plans/p/record/edit", seq=str(found["record"]["seq"]), seen="0", payload=payload, reason='"><script>'
        )
        assert status == 200 and "<script>alert" not in text and '"><script>' not in text
        assert (await correct(console, "r3", payload, reason=NASTY[:400]))[0] == 303
        await again(console)
        assert there.sent("r3")[-1] == json.loads(payload)
        _, text = await console.get("/plans/p/record?id=r3")
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "مرحبا" in text
        assert (await correct(console, "r5", json.dumps({"id": "r5"}), reason="x" * 501))[0] == 400


async def test_an_invalid_record_is_completed_by_hand(project: Project) -> None:
    there = office()
    there.rows["r1"]["amount"] = "many"
    target = {**TARGET, "request": [*TARGET["request"], {"field": "fixed", "value": "_function 1/'x'"}]}
    target["request"][2] = {"field": "amount", "type": "int", "value": "{{amount}}", "is_required": True}
    async with shown(project, there, target=target) as console:
        found = await story(console, "r1")
        if found["record"]["state"] != "invalid":
            pytest.fail(f"not invalid: {found['record']['state']}")
        _, text = await console.get(f"/plans/p/record/edit?seq={found['record']['seq']}")
        assert "客户 n1" in text and "amount" not in text.partition("<textarea")[2].partition("</textarea>")[0]
        assert (await correct(console, "r1", '{"id": "r1", "name": "whole", "amount": 1}'))[0] == 303
        await again(console)
        record = (await story(console, "r1"))["record"]
        assert record["state"] == "delivered" and there.sent("r1") == [{"id": "r1", "name": "whole", "amount": 1}]
        assert record["edits"][0]["made"] is None


async def test_a_record_that_is_skipped_or_done_by_hand_stays_so_until_it_is_replayed(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        for act, record_id, state in (("skip", "r3", "skipped"), ("done", "r5", "delivered")):
            seq = str((await story(console, record_id))["record"]["seq"])
            assert (await console.post(f"/plans/p/record/{act}", seq=seq))[0] == 400
            assert (await console.post(f"/plans/p/record/{act}", seq=seq, reason=f"{act} it"))[0] == 303
            record = (await story(console, record_id))["record"]
            assert (record["state"], record["by"]) == (state, "local") and f"{act} it" in record["reason"]
            assert record["history"][-1]["state"] == state
            # It is decided already.
            assert (await console.post(f"/plans/p/record/{act}", seq=seq, reason="x"))[0] == 409
        assert project.counts("p") == {"delivered": 5, "skipped": 1}
        there.bodies.clear()
        # Neither the next read nor a replay of everything takes them up again.
        await again(console)
        project.ledger("p", lambda ledger, p: ledger.records.replay(p, project.clock.now()))
        project.clock.time += 1e6
        await again(console)
        assert there.bodies == [] and project.counts("p") == {"delivered": 5, "skipped": 1}
        assert "delivered" not in [one["state"] for one in (await story(console, "r3"))["record"]["history"]]
        there.refused.clear()
        for record_id in ("r3", "r5"):
            assert (await console.post("/plans/p/replay", id=record_id))[0] == 303
        await again(console)
        assert sorted(body["id"] for body in there.bodies) == ["r3", "r5"] and project.counts("p") == {"delivered": 6}
        told = audit(project)
        assert [(what, detail.get("ids") or [detail["id"]]) for _, what, detail in told] == [
            ("mark_done", ["r5"]),
            ("replay", ["r3"]),
            ("replay", ["r5"]),
            ("skip", ["r3"]),
        ]


async def test_newer_content_of_a_skipped_record_is_sent(project: Project) -> None:
    there = office()
    async with shown(project, there) as console:
        seq = str((await story(console, "r3"))["record"]["seq"])
        assert (await console.post("/plans/p/record/skip", seq=seq, reason="x"))[0] == 303
        there.rows["r3"]["name"] = "newer"
        await again(console)
        assert there.sent("r3")[-1]["name"] == "客户 newer"


async def test_a_record_in_doubt_is_corrected_only_by_somebody_who_knows(project: Project) -> None:
    there = office()
    there.rows = {"r3": there.rows["r3"]}
    there.status = 500
    async with shown(project, there, options={"retry": {"tries": 1, "schedule": []}}) as console:
        found = await story(console, "r3")
        assert found["record"]["state"] == "dead" and found["doubt"] is True
        there.status = 200
        assert (await correct(console, "r3", '{"id": "r3", "name": "right"}'))[0] == 409
        assert (await correct(console, "r3", '{"id": "r3", "name": "right"}', anew="yes"))[0] == 303
        await again(console)
        assert [body["name"] for body in there.sent("r3")][-1] == "right" and len(set(there.keys)) == 2
        assert project.counts("p") == {"delivered": 1}


async def test_records_that_share_a_batch_in_doubt_are_decided_together(project: Project) -> None:
    there = office()
    there.status = 500
    async with shown(project, there, options={"retry": {"tries": 1, "schedule": []}}) as console:
        found = await story(console, "r3")
        assert found["doubt"] is True
        seq = str(found["record"]["seq"])
        assert (await correct(console, "r3", '{"id": "r3"}', anew="yes"))[0] == 409
        assert (await console.post("/plans/p/record/skip", seq=seq, reason="x"))[0] == 409
        assert project.counts("p") == {"dead": 6}


async def test_a_merged_document_is_corrected_whole(project: Project) -> None:
    there = office()
    there.rows = {f"l{n}": {"id": f"l{n}", "no": f"o{n // 2}", "order": f"o{n // 2}", "sku": f"s{n}"} for n in range(4)}
    there.refused = {"o0"}
    target = {
        "api": "/items",
        "method": "POST",
        "operation": {"method": "merge", "field": "order", "bodyName": "items", "header": ["order"], "body": ["sku"]},
        "request": [
            {"field": "id", "value": "{{order}}"},
            {"field": "name", "value": "{{order}}"},
            {"field": "items", "type": "array", "value": "items", "children": [{"field": "sku", "value": "{{sku}}"}]},
        ],
    }
    async with shown(project, there, target=target, options={"on_change": "deliver"}) as console:
        assert project.counts("p") == {"delivered": 2, "failed": 2}
        found = await story(console, "l1")
        assert len(found["members"]) == 2
        assert [one["reads"] for one in found["fields"] if one["path"] == "items[1].sku"] == [
            [{"path": "sku", "value": "s1"}]
        ]
        _, text = await console.get(f"/plans/p/record/edit?seq={found['record']['seq']}", **{"Accept-Language": "en"})
        assert "2 in all" in text
        there.bodies.clear()
        assert (await correct(console, "l1", '{"id": "o0", "name": "right"}'))[0] == 303
        await again(console)
        assert there.bodies == [{"id": "o0", "name": "right"}] and project.counts("p") == {"delivered": 4}
        # Another record joins another order's document: a correction of what it was before holds no longer.
        there.refused = {"o1"}
        there.rows["l3"]["sku"] = "s3b"
        await again(console)
        seq = project.records("p", record_id="l3")[0]["seq"]
        assert (await correct(console, "l3", '{"id": "o1", "name": "by hand"}'))[0] == 303
        there.rows["l9"] = {"id": "l9", "no": "o1", "order": "o1", "sku": "s9"}
        there.refused = set()
        there.bodies.clear()
        await again(console)
        assert [sorted(line["sku"] for line in body["items"]) for body in there.bodies] == [["s3b", "s9"]]
        assert seq in [record["seq"] for record in project.records("p", state="delivered")]


async def test_what_a_person_decides_while_a_run_looks_at_the_record_holds(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking at what is due and claiming it, one record is skipped, one corrected, by another process."""
    from noria.engine.outgoing import Preparer
    from noria.ledger.byhand import Who

    there = office()
    there.refused |= {"客户 n1"}
    async with shown(project, there) as console:
        prepare = Preparer.prepare
        assert project.counts("p") == {"delivered": 3, "failed": 3}
        ids = {one["id"]: one["seq"] for one in project.records("p", state="failed")}
        project.ledger("p", lambda ledger, p: ledger.records.replay(p, project.clock.now()))
        decided = False

        def decide(self: Preparer, due: Any, edits: Any = None) -> Any:
            nonlocal decided
            ready = prepare(self, due, edits)
            if due and not decided:
                decided = True

                def act(ledger: Any, plan: int) -> None:
                    who = Who("otto", project.clock.now(), "now", "p")
                    with ledger.store.transaction() as c:
                        c.run("UPDATE exceptions SET state = 'failed' WHERE plan_id = :p", {"p": plan})
                    ledger.by_hand.set_aside(plan, [ids["r3"]], "skipped", who, detail={})
                    ledger.by_hand.correct(plan, [ids["r5"]], who, b'{"id":"r5","name":"right"}', b"{}")

                project.ledger("p", act)
            return ready

        monkeypatch.setattr(Preparer, "prepare", decide)
        there.bodies.clear()
        there.refused.clear()
        await again(console)
        assert decided and [body["id"] for body in there.bodies] == ["r1"]
        assert project.counts("p") == {"delivered": 4, "skipped": 1, "pending": 1}
        await again(console)
        assert there.bodies[1:] == [{"id": "r5", "name": "right"}]
        assert project.counts("p") == {"delivered": 5, "skipped": 1}


async def test_only_operators_decide_and_only_on_our_own_pages(project: Project) -> None:
    there = office()
    async with shown(project, there, settings=USERS) as console:
        forms = {
            "edit": {"payload": '{"id": "r3"}', "confirmed": "yes", "reason": "x", "seen": "0"},
            "unedit": {"reason": "x"},
            "skip": {"reason": "x"},
            "done": {"reason": "x"},
        }
        seq = str(project.records("p", record_id="r3")[0]["seq"])
        assert await console.log_in("vera", "vera looks on") == 303
        assert (await console.get(f"/plans/p/record/edit?seq={seq}"))[0] == 403
        _, text = await console.get("/plans/p/record?id=r3")
        assert "/record/edit" not in text and "/record/skip" not in text
        for act, form in forms.items():
            assert (await console.post(f"/plans/p/record/{act}", seq=seq, **form))[0] == 403
        await console.post("/logout")
        assert await console.log_in("otto", "otto operates") == 303
        for act, form in forms.items():
            assert (await console.post(f"/plans/p/record/{act}", seq=seq, token="guessed", **form))[0] == 403
            evil = {"Origin": "http://evil.example"}
            assert (await console.post(f"/plans/p/record/{act}", headers=evil, seq=seq, **form))[0] == 403
        assert project.counts("p") == {"delivered": 4, "failed": 2} and audit(project) == []
        assert (await correct(console, "r3", '{"id": "r3", "name": "x"}'))[0] == 303
        assert [(who, what) for who, what, _ in audit(project)] == [("otto", "edit")]
