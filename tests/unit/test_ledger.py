"""The ledger: one transaction a page, one state a record, migrations that match the schema, look-ups, leases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noria.ledger import Ledger, open_ledger
from noria.ledger.arrivals import Arrivals
from noria.ledger.content import same_content
from noria.ledger.delivery import Attempt, Exempt
from noria.ledger.migrations import HEAD
from noria.ledger.postgres import translated
from noria.ledger.reads import Read
from noria.ledger.records import STATES, rows_of
from noria.ledger.runs import Run
from noria.ledger.schema import RECORD_STATES, metadata
from noria.mapping import DECODER
from noria.messages import Message
from noria.metadata.errors import NoriaError
from noria.metadata.expression_tree import Condition, Literal, Lookup, Place

BOTH_LEDGERS = True


@pytest.fixture
def ledger(tmp_path: Path, ledger_url: str) -> Iterator[Ledger]:
    with open_ledger(ledger_url or "sqlite:///l.db", tmp_path) as opened:
        yield opened


def begun(ledger: Ledger, key: str = "p", now: float = 100.0) -> tuple[Run, Read]:
    """A run with a read under way."""
    run = ledger.runs.begin(key, key, "run", now)
    return run, ledger.reads.begin(run, now, "s", 0)


def staged(ledger: Ledger, run: Run, read: Read, rows: dict[str, bytes], **how: Any) -> Any:
    """A page of records by id."""
    arrivals = Arrivals(list(rows.values()), list(rows), list(rows))
    arrivals.skipped = how.pop("skipped", {})
    return ledger.staging.stage(
        run,
        read,
        number=how.pop("number", 1),
        request="GET /x",
        arrivals=arrivals,
        cursor=how.pop("cursor", None),
        now=how.pop("now", 101.0),
        delivers_changes=how.pop("delivers_changes", True),
    )


def rows(count: int, first: int = 0) -> dict[str, bytes]:
    """Records with ids."""
    return {str(n): b'{"id":%d}' % n for n in range(first, first + count)}


def claimed(ledger: Ledger, run: Run, count: int, **how: Any) -> Any:
    """The next records as a batch that is being sent."""
    due = ledger.delivery.fresh(run.plan_id, ledger.delivery.claimed(run.plan_id), count)
    body = b"[" + b",".join(ledger.delivery.raws(due)) + b"]"
    return ledger.delivery.claim(
        run, "fresh", due, how.get("exempt", []), body=body, body_path="", key="k", now=102.0, claimed_to=due[-1].seq
    )


def pages_of(ledger: Ledger, plan_id: int, state: str | None, **how: Any) -> list[dict[str, Any]]:
    """Every record that lists show, three at a time."""
    found: list[dict[str, Any]] = []
    while page := ledger.browsing.page(
        plan_id, state=state, before=found[-1]["seq"] if found else None, limit=3, **how
    ):
        found += page
    return found


def test_the_migrations_make_the_declared_schema(ledger: Ledger) -> None:
    with ledger.store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == HEAD
        differences = [
            d for d in compare_metadata(context, metadata) if not (isinstance(d, tuple) and "alembic" in str(d))
        ]
        # The parts of a partitioned table are tables of their own to a database.
        assert [d for d in differences if "records_" not in str(d) and "comment" not in d[0]] == []
        if connection.dialect.name == "sqlite":
            assert differences == []
            view = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'view'").scalar()
            assert str(view).split() == RECORD_STATES.split()


def test_wal_and_settings(tmp_path: Path) -> None:
    with open_ledger("sqlite:///l.db", tmp_path) as ledger:
        assert ledger.store.rows("PRAGMA journal_mode")[0][0] == "wal"
        assert ledger.store.rows("PRAGMA synchronous")[0][0] == 1


@pytest.mark.parametrize(
    ("statement", "translated_to"),
    [
        ("SELECT :a, b FROM t WHERE c = :a", "SELECT %(a)s, b FROM t WHERE c = %(a)s"),
        ("SELECT ':a' FROM t WHERE c LIKE '50%' AND d = :d", "SELECT ':a' FROM t WHERE c LIKE '50%%' AND d = %(d)s"),
        ("SELECT 1 FROM records INDEXED BY records_strays WHERE x = :x", "SELECT 1 FROM records WHERE x = %(x)s"),
        ("INSERT INTO t VALUES (?, ?)", "INSERT INTO t VALUES (%s, %s)"),
        (
            "SELECT j.value FROM json_each(:ids) j",
            "SELECT j.value FROM json_array_elements_text(CAST(%(ids)s AS json)) AS j(value)",
        ),
        (
            "SELECT j.value FROM json_each(:seqs) j",
            "SELECT j.value FROM (SELECT CAST(e AS bigint) AS value FROM"
            " json_array_elements_text(CAST(%(seqs)s AS json)) e) j",
        ),
    ],
)
def test_statements_in_postgresqls_words(statement: str, translated_to: str) -> None:
    assert translated(statement) == translated_to


def test_a_run_that_was_superseded_writes_nothing_more(ledger: Ledger) -> None:
    """It was frozen, or cut off, and another has taken its plan over meanwhile."""
    first, read = begun(ledger)
    staged(ledger, first, read, rows(3))
    # Another content of an id that this read has shown.
    staged(ledger, first, read, {"2": b'{"id":2,"other":1}'})
    batch = claimed(ledger, first, 2)
    second = ledger.runs.begin("p", "", "run", 1000.0)
    before = (ledger.records.counts(second.plan_id), ledger.delivery.claimed(second.plan_id))
    attempt = Attempt(1.0, 0.1, "delivered", "POST /x")
    for write in (
        lambda: staged(ledger, first, read, rows(3, 10)),
        lambda: claimed(ledger, first, 1),
        lambda: ledger.delivery.attempt(first, batch, attempt),
        lambda: ledger.delivery.close(
            first, batch, state="delivered", attempt=attempt, failed=[], attempts=1, now=1001.0
        ),
        lambda: ledger.doubts.reopen(batch, first, 1001.0),
        lambda: ledger.delivery.forgive(first, [batch.batch_id], 1.0, 1.0),
        lambda: ledger.reads.begin(first, 1001.0, "s", 0),
        lambda: ledger.reads.begin_sweep(first, 1001.0, 0.0),
        lambda: ledger.reads.again(first, read, "", 1001.0),
        lambda: ledger.reads.end(first, read, 100.0),
        lambda: ledger.ambiguous.settle(first, read, 1001.0),
        lambda: ledger.comparing.resend(first, ["1"], 1001.0),
        lambda: ledger.runs.heartbeat(first, 1001.0, {}),
    ):
        with pytest.raises(NoriaError) as caught:
            write()
        assert caught.value.code == "superseded"
    assert (ledger.records.counts(second.plan_id), ledger.delivery.claimed(second.plan_id)) == before
    assert ledger.reads.watermark(second.plan_id) is None
    assert [one.batch_id for one in ledger.doubts.unfinished(second)] == [batch.batch_id]


def test_a_ledger_of_a_newer_noria_is_refused(tmp_path: Path) -> None:
    open_ledger("sqlite:///l.db", tmp_path).close()
    with sqlite3.connect(tmp_path / "l.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NoriaError) as caught:
        open_ledger("sqlite:///l.db", tmp_path)
    assert "9999" in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:///no/such/folder/l.db"])
def test_unusable_addresses(tmp_path: Path, url: str) -> None:
    with pytest.raises(NoriaError) as caught:
        open_ledger(url, tmp_path)
    assert caught.value.path == "$.ledger.url"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(NoriaError):
        open_ledger("sqlite:///l.db", tmp_path)


def test_a_page_and_its_cursor_are_one_transaction(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run, read = begun(ledger)
    staged(ledger, run, read, rows(3), cursor="2")
    monkeypatch.setattr("noria.ledger.staging._ADVANCE", "UPDATE no_such_table SET x = 1")
    with pytest.raises(NoriaError):
        staged(ledger, run, read, rows(3, 10), cursor="3")
    monkeypatch.undo()
    assert ledger.records.counts(run.plan_id)["pending"] == 3
    again = ledger.reads.begin(run, 103.0, "s", 60)
    assert (again.cursor, again.resumed) == ("2", True)
    assert staged(ledger, run, again, rows(3, 10)).staged == 3


def test_states_follow_batches_and_sum_up(ledger: Ledger) -> None:
    run, read = begun(ledger)
    staged(ledger, run, read, rows(10), skipped={9: Message("reason.staged")})
    first = claimed(ledger, run, 4)
    counts = ledger.records.counts(run.plan_id)
    assert (counts["sending"], counts["pending"], counts["skipped"]) == (4, 5, 1)
    failed = [Exempt(first.records[1].seq, "failed", Message("reason.no_result"), rounds=1, due_at=200.0)]
    ledger.delivery.close(run, first, state="delivered", attempt=None, failed=failed, attempts=1, now=103.0)
    second = claimed(ledger, run, 5, exempt=[])
    counts = ledger.records.counts(run.plan_id)
    listed = [one["state"] for one in ledger.records.select(run.plan_id)]
    assert {state: listed.count(state) for state in set(listed)} == {state: n for state, n in counts.items() if n}
    assert sum(counts.values()) == 10
    assert ledger.delivery.again(run.plan_id, 199.0, 0, 10) == []
    assert [due.id for due in ledger.delivery.again(run.plan_id, 200.0, 0, 10)] == ["1"]
    assert [batch.batch_id for batch in ledger.doubts.unfinished(ledger.runs.begin("q", "", "run", 1.0))] == []
    assert second is not None


def test_an_unfinished_batch_is_found_by_the_next_run_with_body_and_key(ledger: Ledger) -> None:
    run, read = begun(ledger)
    staged(ledger, run, read, rows(3))
    batch = claimed(ledger, run, 3)
    ledger.runs.finish(run, "interrupted", 104.0, {})
    later = ledger.runs.begin("p", "", "run", 105.0)
    found = ledger.doubts.unfinished(later)
    assert [(one.batch_id, one.key, one.body, [r.id for r in one.records]) for one in found] == [
        (batch.batch_id, "k", b'[{"id":0},{"id":1},{"id":2}]', ["0", "1", "2"])
    ]


def test_payloads_are_kept_as_sent(ledger: Ledger) -> None:
    run, read = begun(ledger)
    staged(ledger, run, read, rows(3))
    batch = claimed(ledger, run, 3)
    ledger.delivery.close(run, batch, state="delivered", attempt=None, failed=[], attempts=1, now=103.0)
    story = ledger.records.story(run.plan_id, "1")
    assert story is not None and bytes(story["payload"]) == b'{"id":1}' == bytes(story["raw"])
    assert [entry["state"] for entry in story["history"]] == ["pending", "sending", "delivered"]
    assert ledger.records.story(run.plan_id, "none") is None


@pytest.mark.parametrize(
    ("body", "path", "wanted"),
    [(b"[1,2]", "", [b"1", b"2"]), (b'{"a b":[1]}', "a b", [b"1"]), (b'{"x":1}', ".", [b'{"x":1}'])],
)
def test_rows_of_a_body(body: bytes, path: str, wanted: list[bytes]) -> None:
    assert [bytes(raw) for raw in rows_of(body, path)] == wanted


def test_look_ups_find_the_newest_and_follow_changes(ledger: Ledger) -> None:
    run, read = begun(ledger)
    staged(
        ledger,
        run,
        read,
        {"a": b'{"id":"a","code":101,"name":"x","o":"1"}', "b": b'{"id":"b","code":"101","name":"y","o":"2"}'},
    )

    def find(*keys: tuple[str, ...], fields: tuple[str, ...] = ("code",)) -> dict[Any, Any]:
        conditions = tuple(Condition(Place(field), "eq", Literal("")) for field in fields)
        return ledger.lookups.find(run.plan_id, Lookup(Place("name"), "p", conditions), keys, DECODER.decode)

    assert find(("101",), ("7",)) == {("101",): "y"}
    assert find(("101", "1"), fields=("code", "o")) == {("101", "1"): "x"}
    before = ledger.lookups.next_seq(run.plan_id)
    ledger.reads.end(run, read, read.started_at)
    later = ledger.reads.begin(run, 200.0, "s", 0)
    staged(ledger, run, later, {"b": b'{"id":"b","code":"7","name":"z","o":"2"}', "c": b'{"id":"c","code":8}'})
    assert ledger.lookups.next_seq(run.plan_id) > before
    assert find(("101",), ("7",), ("8",)) == {("101",): "x", ("7",): "z", ("8",): None}


def test_hot_statements_use_their_indexes(ledger: Ledger, ledger_url: str) -> None:
    from noria.ledger import delivery, staging, versions

    run, read = begun(ledger)
    staged(ledger, run, read, rows(50))
    for statement, values in (
        (delivery._FRESH, {"p": 1, "after": 0, "n": 10}),
        (delivery._AGAIN, {"p": 1, "after": 0, "now": 1.0, "n": 10}),
        (staging._KNOWN_IDS, {"ids": '["1"]', "p": 1}),
        (staging._SAME_STRAY, {"p": 1, "hash": b"", "stray": 1, "id": ""}),
        (versions._SETTLED, {"p": 1, "first": 1, "last": 1}),
    ):
        if not ledger_url:
            plan = " / ".join(row[3] for row in ledger.store.tuples("EXPLAIN QUERY PLAN " + statement, **values))
        else:
            # So few rows would be read from end to end by themselves.
            ledger.store.tuples("SELECT set_config('enable_seqscan', 'off', false)")
            plan = " / ".join(row[0] for row in ledger.store.tuples("EXPLAIN " + statement, **values))
            assert "Seq Scan" not in plan and "Index" in plan, plan
            # Without statistics, as in a first load: in the index's order, not sorted from all that is left.
            assert "Sort" not in plan or statement is not delivery._FRESH, plan
            continue
        assert "SCAN r" not in plan and "SCAN e" not in plan and "SEARCH" in plan, plan
        assert "TEMP B-TREE" not in plan or statement is delivery._AGAIN, plan
        if statement in (staging._SAME_STRAY, versions._SETTLED):
            assert "records_strays" in plan, plan


def test_leases_expire_and_are_taken_over_with_a_higher_fence(ledger: Ledger) -> None:
    first = ledger.runs.begin("p", "", "run", 100.0)
    with pytest.raises(NoriaError) as caught:
        ledger.runs.begin("p", "", "run", 101.0)
    assert caught.value.code == "busy"
    ledger.runs.heartbeat(first, 108.0, {"staged": 1})
    with pytest.raises(NoriaError):
        ledger.runs.begin("p", "", "run", 117.0)
    second = ledger.runs.begin("p", "", "run", 118.5)
    assert second.fence == first.fence + 1
    with pytest.raises(NoriaError) as lost:
        ledger.runs.heartbeat(first, 119.0, {})
    assert lost.value.code == "superseded"
    assert [one["status"] for one in ledger.runs.latest(second.plan_id)] == ["running", "interrupted"]


def test_the_watermark_never_goes_back_unless_the_clock_did(ledger: Ledger) -> None:
    run, read = begun(ledger, now=100.0)
    assert ledger.reads.watermark(run.plan_id) is None
    ledger.reads.end(run, read, 100.0)
    later = ledger.reads.begin(run, 150.0, "s", 0)
    ledger.reads.end(run, later, 90.0)
    assert ledger.reads.watermark(run.plan_id) == 100.0, "a list that never stood still moves nothing"
    set_back = ledger.reads.begin(run, 50.0, "s", 0)
    ledger.reads.end(run, set_back, 50.0)
    assert ledger.reads.watermark(run.plan_id) == 50.0, "a mark in the future would hide what comes until then"


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1 }', True),
        (b'{"a":"\\u5f20"}', '{"a":"张"}'.encode(), True),
        (b'{"a":1.10}', b'{"a":1.1}', False),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":1}', b'{"a":"1"}', False),
        (b'{"a":1.5}', b'{"a":"1.5"}', False),
        (b'{"a":[1,2]}', b'{"a":[2,1]}', False),
    ],
)
def test_what_counts_as_the_same_content(a: bytes, b: bytes, same: bool) -> None:
    assert same_content(a, b) is same


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=8), min_size=1, max_size=6),
    st.booleans(),
)
def test_any_order_of_arrivals_keeps_every_content_and_one_state_a_record(
    tmp_path_factory: pytest.TempPathFactory, reads: list[list[tuple[int, int]]], delivers: bool
) -> None:
    """Reads of random pages with repeated ids: nothing is forgotten, the sum of states is the number of records."""
    with open_ledger("sqlite:///l.db", tmp_path_factory.mktemp("l")) as ledger:
        run = ledger.runs.begin("p", "", "run", 1.0)
        came: set[tuple[str, bytes]] = set()
        for number, arrivals in enumerate(reads):
            read = ledger.reads.begin(run, 10.0 + number, f"s{number}", 0)
            page = Arrivals(
                [b'{"id":%d,"v":%d}' % one for one in arrivals],
                [str(i) for i, _ in arrivals],
                [str(i) for i, _ in arrivals],
            )
            came |= {(str(i), b'{"id":%d,"v":%d}' % (i, v)) for i, v in arrivals}
            counts = ledger.staging.stage(
                run, read, number=1, request="", arrivals=page, cursor=None, now=20.0, delivers_changes=delivers
            )
            assert counts.staged + counts.unchanged + counts.duplicate == len(arrivals)
            ledger.ambiguous.settle(run, read, 21.0)
            ledger.reads.end(run, read, read.started_at)
            due = ledger.delivery.fresh(run.plan_id, ledger.delivery.claimed(run.plan_id), 100)
            if due and number % 2:
                batch = claimed(ledger, run, 100)
                ledger.delivery.close(run, batch, state="delivered", attempt=None, failed=[], attempts=1, now=22.0)
        records = list(ledger.records.select(run.plan_id))
        assert sum(ledger.records.counts(run.plan_id).values()) == len(records)
        assert ledger.records.counts(run.plan_id, kept=True) == ledger.records.counts(run.plan_id)
        for state in (None, *STATES):
            shown = [one["seq"] for one in pages_of(ledger, run.plan_id, state)]
            assert shown == [one["seq"] for one in reversed(records) if state in (None, one["state"])]
        kept = set()
        for record_id in {i for i, _ in came}:
            story = ledger.records.story(run.plan_id, record_id)
            assert story is not None
            for one in (story, *story["versions"], *story["also"]):
                kept.add((record_id, bytes(one["raw"])))
        assert kept == came
        normal = [one["id"] for one in records if one["state"] != "invalid"]
        assert len(normal) == len(set(normal))


def test_lists_show_each_state_page_by_page(ledger: Ledger) -> None:
    """Every state at once: what lists show is what is counted one by one."""
    run, read = begun(ledger)
    staged(ledger, run, read, rows(20), skipped={3: Message("reason.filtered")})
    batch = claimed(ledger, run, 6)
    failures = [
        Exempt(batch.records[0].seq, "dead", Message("reason.staged")),
        Exempt(batch.records[1].seq, "failed", Message("reason.staged"), due_at=1.0),
        Exempt(batch.records[2].seq, "held", Message("reason.staged")),
    ]
    ledger.delivery.close(run, batch, state="delivered", attempt=None, failed=failures, attempts=1, now=103.0)
    claimed(ledger, run, 4)
    counts = ledger.records.counts(run.plan_id)
    assert (
        ledger.records.counts(run.plan_id, kept=True) == counts and min(counts[s] for s in STATES if s != "invalid") > 0
    )
    everything = list(reversed(list(ledger.records.select(run.plan_id))))
    for state in (None, *STATES):
        assert pages_of(ledger, run.plan_id, state) == [one for one in everything if state in (None, one["state"])]
    assert [one["id"] for one in pages_of(ledger, run.plan_id, None, text="1")] == [
        one["id"] for one in everything if str(one["id"]).startswith("1")
    ]


def test_failures_are_grouped_by_cause_whatever_ids_and_numbers_they_name(ledger: Ledger) -> None:
    run, read = begun(ledger)
    staged(ledger, run, read, rows(12))
    batch = claimed(ledger, run, 12)
    said = [f"部门 {n} 不存在（code 60011）" for n in range(5)] + [f"部门 {n} 不存在（code 60012）" for n in range(2)]
    said += [f"user 'u{n}' locked at 2026-01-0{n + 1} 10:00:00" for n in range(4)] + ["timed out"]
    failed = [
        Exempt(record.seq, "dead", Message("failure.business", {"code": 1, "message": text}))
        for record, text in zip(batch.records, said, strict=True)
    ]
    ledger.delivery.close(run, batch, state="failed", attempt=None, failed=failed, attempts=1, now=103.0)
    found = ledger.browsing.causes(["dead"])
    assert [one.count for one in found] == [5, 4, 2, 1] and len({one.cause for one in found}) == 4
    assert found[0].example == "4" and "部门 4 不存在" in str(found[0].reason)
    assert ledger.records.replay(run.plan_id, 104.0, state="dead", cause=found[0].cause) == 5
    assert [one.count for one in ledger.browsing.causes(["dead"])] == [4, 2, 1]
    shown = pages_of(ledger, run.plan_id, "dead", cause=found[1].cause)
    assert [one["id"] for one in shown] == ["10", "9", "8", "7"]
