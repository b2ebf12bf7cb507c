"""Lists of records in the console: what is found, many chosen at once and what is done with them, exports."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from noria.ledger.finding import Filter
from tests.conftest import Project
from tests.integration.test_console_pages import NASTY, USERS, Console
from tests.integration.test_story import SOURCE, TARGET, Office, again, audit, office, shown

BOTH_LEDGERS = True


def many(count: int = 120) -> Office:
    """Every third record is refused, each under a name of its own."""
    there = office()
    there.rows = {f"r{n}": {"id": f"r{n}", "no": f"N{n}", "name": f"n{n}", "amount": 1} for n in range(count)}
    there.refused = {f"客户 n{n}" for n in range(0, count, 3)}
    return there


async def ids(console: Console, query: str) -> list[str]:
    """What a list shows, page after page."""
    found: list[str] = []
    path = f"/records?{query}"
    for _ in range(100):
        status, data = await console.json(path)
        assert status == 200, path
        found += [one["id"] for one in data["records"]]
        if data["next"] is None:
            return found
        rest = "&".join(f"{key}={value}" for key, value in data["next"].items() if value is not None)
        path = f"/records?{query}&{rest}"
    raise AssertionError("no end")


async def test_records_are_found_by_plan_state_number_reason_and_time(project: Project) -> None:
    there = many()
    async with shown(project, there) as console:
        workspace = console.operations.workspace
        early = project.clock.time
        project.clock.time += 3600
        there.rows = {f"x{n}": {"id": f"x{n}", "no": f"=Z{n}", "name": f"late {n}", "amount": 1} for n in range(70)}
        there.refused |= {"客户 late 5"}
        await again(console)
        project.plan("q", ("here", SOURCE), ("here", TARGET))
        from noria.engine import run_plan

        await run_plan(workspace, workspace.project.plan("q"))
        whole = [f"x{n}" for n in reversed(range(70))] + [f"r{n}" for n in reversed(range(120))]
        assert await ids(console, "plan=p") == whole
        assert await ids(console, "") == whole + whole[:70]
        refused = [f"r{n}" for n in reversed(range(0, 120, 3))]
        assert await ids(console, "plan=p&state=failed") == ["x5", *refused]
        assert await ids(console, "state=failed") == ["x5", *refused, "x5"]
        assert await ids(console, "plan=p&q=N11") == [
            "r119",
            "r118",
            "r117",
            "r116",
            "r115",
            "r114",
            "r113",
            "r112",
            "r111",
            "r110",
            "r11",
        ]
        assert await ids(console, "plan=p&q=x5") == [
            "x59",
            "x58",
            "x57",
            "x56",
            "x55",
            "x54",
            "x53",
            "x52",
            "x51",
            "x50",
            "x5",
        ]
        middle = "2026-"
        since, until = (_clock(early + 1800), _clock(early + 7200))
        assert since.startswith(middle[:2])
        assert await ids(console, f"plan=p&since={since}") == [f"x{n}" for n in reversed(range(70))]
        assert await ids(console, f"plan=p&until={since}") == [f"r{n}" for n in reversed(range(120))]
        assert await ids(console, f"plan=p&state=failed&since={since}&until={until}") == ["x5"]
        assert await ids(console, "plan=p&error=no such&since=" + since) == ["x5"]
        assert await ids(console, "plan=p&error=NO SUCH") == ["x5", *refused]
        # As it reads in the reader's language, too.
        await console.post("/language", lang="en", to="/")
        assert len(await ids(console, "error=the target refused")) == 42
        assert await ids(console, "plan=p&error=nothing of the kind") == []
        for path in ("/records?since=x", "/records?until=9999999999999", "/records?state=x", "/records?from=%00"):
            assert (await console.get(path))[0] == 400, path


def _clock(at: float) -> str:
    from datetime import datetime

    from noria.metadata.times import DEFAULT_ZONE

    return f"{datetime.fromtimestamp(at, DEFAULT_ZONE):%Y-%m-%dT%H:%M}"


async def test_pages_by_any_filter_show_each_record_once(project: Project) -> None:
    there = many(60)
    async with shown(project, there):

        def look(ledger: Any, plan: int) -> None:
            for wanted in (
                Filter(),
                Filter(state="failed"),
                Filter(state="delivered"),
                Filter(error="no such"),
                Filter(state="failed", error="no such"),
                Filter(state="failed", since=0.0, until=4e9),
            ):
                every = ledger.finding.page(plan, wanted, limit=1000)
                assert every.next is None and every.records
                before, found = None, []
                while True:
                    part = ledger.finding.page(plan, wanted, before=before, limit=7)
                    found += part.records
                    before = part.next
                    if before is None:
                        break
                assert found == every.records, wanted
            assert ledger.finding.count(plan, Filter()) == ledger.finding.count(plan, Filter(error="no such")) == 20
            assert (
                ledger.finding.count(plan, Filter(text="r5")) == 3
                and ledger.finding.count(plan, Filter(text="N57")) == 1
            )

        project.ledger("p", look)


async def chosen(console: Console, form: list[tuple[str, str]]) -> tuple[int, str, dict[str, str]]:
    """The page that asks before many are decided about, and the form that it would send."""
    sent = [("token", await console.token()), *form]
    async with console.session.post(console.url + "/records/confirm", data=sent, allow_redirects=False) as answer:
        text = await answer.text()
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text.partition("/records/act")[2])
    return answer.status, text, dict(fields)


async def test_many_are_chosen_and_decided_about_at_once(project: Project) -> None:
    there = many()
    async with shown(project, there) as console:
        await console.post("/language", lang="en", to="/")
        _, listed = await console.json("/records?plan=p&state=failed")
        ticks = [("chosen", f"{one['seq']}@p") for one in listed["records"][:3]]
        _, delivered = await console.json("/records?plan=p&state=delivered")
        ticks.append(("chosen", f"{delivered['records'][0]['seq']}@p"))
        status, text, form = await chosen(console, [("plan", "p"), ("act", "skip"), *ticks])
        assert status == 200 and "not sent any more" in text and "records: 3" in text
        assert project.counts("p") == {"delivered": 80, "failed": 40}
        sent = [("token", form["token"]), ("act", "skip"), ("asked", form["asked"]), ("plan", "p"), *ticks]
        async with console.session.post(console.url + "/records/act", data=sent) as answer:
            assert answer.status == 400
        sent.append(("reason", "not ours"))
        async with console.session.post(console.url + "/records/act", data=sent, allow_redirects=False) as answer:
            assert answer.status == 303
        assert "records skipped: 3" in (await console.get("/records?plan=p"))[1]
        assert project.counts("p") == {"delivered": 80, "failed": 37, "skipped": 3}
        # All that match, but for one that has changed since it was asked.
        status, text, form = await chosen(
            console, [("plan", "p"), ("state", "failed"), ("error", "no such"), ("act", "mark_done"), ("all", "yes")]
        )
        assert status == 200 and "records: 37" in text
        project.clock.time += 5
        seq = project.records("p", state="failed", limit=1)[0]["seq"]
        project.ledger("p", lambda ledger, p: ledger.records.replay(p, project.clock.now(), seqs=[seq]))
        form["reason"] = "written by hand"
        assert (await console.post("/records/act", **form))[0] == 303
        assert project.counts("p") == {"delivered": 116, "pending": 1, "skipped": 3}
        # Those that a person decided about go back when they are asked for.
        status, text, form = await chosen(
            console, [("plan", "p"), ("state", "skipped"), ("act", "replay"), ("all", "yes")]
        )
        assert status == 200 and "records: 3" in text
        project.clock.time += 5
        there.refused.clear()
        assert (await console.post("/records/act", **form))[0] == 303
        await again(console)
        assert project.counts("p") == {"delivered": 120}
        told = [(what, detail["count"], detail.get("state")) for _, what, detail in audit(project)]
        assert told == [("mark_done", 36, "failed"), ("replay", 3, "skipped"), ("skip", 3, None)]


async def test_more_than_one_transactions_worth_over_all_plans(project: Project) -> None:
    there = many(1700)
    async with shown(project, there) as console:
        status, text, form = await chosen(console, [("act", "skip"), ("all", "yes"), ("error", "no such")])
        assert status == 200 and "567" in text
        form["reason"] = NASTY[:300]
        assert (await console.post("/records/act", **form))[0] == 303
        assert project.counts("p") == {"delivered": 1133, "skipped": 567}
        assert sum(detail["count"] for _, _, detail in audit(project)) == 567
        _, text = await console.get("/records?plan=p&state=skipped")
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text


async def test_exports_hold_what_is_listed_and_compute_nothing(project: Project) -> None:
    there = many(700)
    there.rows["evil"] = {"id": "=1+1", "no": '=HYPERLINK("http://evil.example")', "name": "n0", "amount": 1}
    there.rows["rtl"] = {"id": "مرحبا", "no": "@sum", "name": '<script>"\n,', "amount": 1}
    async with shown(project, there) as console:
        async with console.session.get(console.url + "/records/export?plan=p&format=csv") as answer:
            body = await answer.read()
            assert answer.status == 200 and answer.headers["Content-Disposition"].endswith('.csv"')
        assert body.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
        assert len(rows) == 703 and len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if cell[:1] in "=+-@" and cell]
        by_id = {row[1]: row for row in rows}
        assert by_id["'=1+1"][2] == '\'=HYPERLINK("http://evil.example")' and by_id["مرحبا"][2] == "'@sum"
        async with console.session.get(console.url + "/records/export?plan=p&state=failed&format=jsonl") as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        refused = [one for one in lines if one["id"] == "=1+1"]
        assert len(lines) == 235 and refused[0]["raw"]["no"] == there.rows["evil"]["no"]
        assert refused[0]["payload"]["name"] == "客户 n0" and refused[0]["plan"] == "p"
        ticks = [("token", await console.token()), ("format", "jsonl"), ("chosen", f"{lines[3]['seq']}@p")]
        async with console.session.post(console.url + "/records/export", data=ticks) as answer:
            assert [json.loads(line)["id"] for line in (await answer.text()).splitlines()] == [lines[3]["id"]]
        assert (await console.get("/records/export?format=xls"))[0] == 400


async def test_choosing_is_for_operators_on_our_own_pages(project: Project) -> None:
    there = many(9)
    async with shown(project, there, settings=USERS) as console:
        assert await console.log_in("vera", "vera looks on") == 303
        assert (await console.get("/records/export?plan=p&format=csv"))[0] == 200
        _, text = await console.get("/records?plan=p")
        assert 'value="skip"' not in text
        form = {"act": "skip", "all": "yes", "reason": "x", "asked": "9e9"}
        for path in ("confirm", "act"):
            assert (await console.post(f"/records/{path}", **form))[0] == 403
        await console.post("/logout")
        assert await console.log_in("otto", "otto operates") == 303
        for path in ("confirm", "act", "export"):
            assert (await console.post(f"/records/{path}", token="guessed", **form))[0] == 403
        for wrong in ({"act": "erase"}, {"asked": "x"}, {"all": ""}, {"all": "", "chosen": "x"}):
            assert (await console.post("/records/act", **{**form, **wrong}))[0] == 400, wrong
        assert project.counts("p") == {"delivered": 6, "failed": 3}
        assert (await console.post("/records/act", **form))[0] == 303
        assert project.counts("p") == {"delivered": 6, "skipped": 3}
        assert [(who, what) for who, what, _ in audit(project)] == [("otto", "skip")]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "<script>", "مرحبا"])
async def test_words_that_are_looked_for_stand_for_themselves(project: Project, text: str) -> None:
    there = many(6)
    async with shown(project, there) as console:
        status, data = await console.json(f"/records?plan=p&error={text.replace('%', '%25')}")
        assert status == 200 and data["records"] == []
        status, data = await console.json(f"/records?plan=p&q={text.replace('%', '%25')}")
        assert status == 200 and data["records"] == []


@pytest.mark.parametrize(("act", "state"), [("skip", "skipped"), ("replay", "pending")])
async def test_a_ticked_record_that_has_failed_anew_since_is_left_alone(project: Project, act: str, state: str) -> None:
    there = many(9)
    async with shown(project, there) as console:
        seqs = [one["seq"] for one in project.records("p", state="failed")]
        ticks = [("chosen", f"{seq}@p") for seq in seqs]
        status, _, form = await chosen(console, [("act", act), *ticks])
        assert status == 200 and len(seqs) == 3
        project.clock.time += 5

        def fail(ledger: Any, plan: int) -> None:
            with ledger.store.transaction() as c:
                values = {"now": project.clock.now(), "p": plan, "seq": seqs[1]}
                c.run("UPDATE exceptions SET updated_at = :now WHERE plan_id = :p AND seq = :seq", values)

        project.ledger("p", fail)
        sent = [("token", form["token"]), ("act", act), ("asked", form["asked"]), ("reason", "x"), *ticks]
        async with console.session.post(console.url + "/records/act", data=sent, allow_redirects=False) as answer:
            assert answer.status == 303
        assert project.counts("p") == {"delivered": 6, "failed": 1, state: 2}


async def test_ticked_records_are_replayed_whatever_is_wrong_with_them(project: Project) -> None:
    there = many(12)
    async with shown(project, there) as console:
        seqs = [one["seq"] for one in project.records("p", state="failed")]

        def spoil(ledger: Any, plan: int) -> None:
            with ledger.store.transaction() as c:
                for seq, state in zip(seqs, ("failed", "dead", "held", "invalid"), strict=True):
                    values = {"state": state, "p": plan, "seq": seq}
                    c.run("UPDATE exceptions SET state = :state WHERE plan_id = :p AND seq = :seq", values)

        project.ledger("p", spoil)
        ticks = [("chosen", f"{seq}@p") for seq in seqs]
        _, _, form = await chosen(console, [("act", "replay"), *ticks])
        sent = [("token", form["token"]), ("act", "replay"), ("asked", form["asked"]), *ticks]
        async with console.session.post(console.url + "/records/act", data=sent, allow_redirects=False) as answer:
            assert answer.status == 303
        assert project.counts("p") == {"delivered": 8, "pending": 4}
