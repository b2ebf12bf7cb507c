"""The ledger's tables: one definition for every database.

Laid out by page and batch. A page's records are stored once, as they came, in one compressed body; a record is a slim
row that points into it; what was sent is kept in one body a batch. A record's state follows from the batch that its
`seq` falls into; only records whose state differs from that (failed, dead, invalid, held, skipped, waiting) have a row
in `exceptions`. The view `record_states` gives the plain picture: one row a record with its state.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

# SQLite gives rowid behaviour, and so a cheap ever-growing key, only to a column of type INTEGER.
Key = BigInteger().with_variant(Integer, "sqlite")
# Ids are ordered by their bytes everywhere, whatever language the database speaks.
Id = Text().with_variant(Text(collation="C"), "postgresql")
# The parts of `records` on PostgreSQL; each plan's are in one of them.
PARTITIONS = 16

facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="facts about the ledger itself, such as its own identity",
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", Key, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("next_seq", BigInteger, nullable=False, server_default=text("1")),
    Column("claimed_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("watermark", Float),
    Column("read_id", BigInteger, nullable=False, server_default=text("0")),
    Column("read_started_at", Float),
    Column("read_from", Float),
    Column("read_touched_at", Float),
    Column("read_cursor", Text),
    Column("read_pages", BigInteger, nullable=False, server_default=text("0")),
    Column("read_signature", Text),
    Column("last_read_id", BigInteger, nullable=False, server_default=text("0")),
    Column("read_signs", Text),
    Column("read_usual", Text),
    Column("bookmark", Text),
    Column("records", BigInteger, nullable=False, server_default=text("0")),
    Column("whole_at", Float),
    comment="where each plan stands: numbering, claims, watermark, and the read under way (read_started_at is null"
    " when none is); read_id is the plan's own read, last_read_id the newest of any (sweeps too); read_signs: what the"
    " read showed of a list that moves; read_usual: what its list shows without moving; bookmark: where the next read"
    " begins, in the source's own words; records: how many there are; whole_at: when the newest read that reached its"
    " end had begun",
)

leases = Table(
    "leases",
    metadata,
    Column("plan_id", Key, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("run_id", BigInteger),
    Column("expires_at", Float, nullable=False),
    comment="who runs a plan's stage now; fence grows with every take-over",
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("fence", BigInteger, nullable=False),
    Column("counts", Text),
    Column("error", Text),
    Column("sameness", Text),
    Column("pace", Text),
    Column("cancelled_at", Float),
    Column("cancelled_by", Text),
    Index("runs_by_plan", "plan_id", "run_id"),
    comment="one execution of a plan; sameness: a digest of the plan as it is carried out, which whoever assists must"
    " share; pace: its figures as they grew (JSON); cancelled_by: who asked it to stop, and when",
)

pages = Table(
    "pages",
    metadata,
    Column("page_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("read_id", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("request", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("digests", LargeBinary),
    comment="the records of a page that were new or changed, as they came: a zstd-compressed JSON array; when that is"
    " no longer kept it is empty, and digests has 16 bytes a record by which the same content is known again",
)

records = Table(
    "records",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Id),
    Column("number", Id),
    Column("hash", LargeBinary, nullable=False),
    Column("page_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("read_id", BigInteger, nullable=False),
    Column("stray", Integer, nullable=False),
    Index(
        "records_by_id",
        "plan_id",
        "id",
        unique=True,
        sqlite_where=text("stray = 0"),
        postgresql_where=text("stray = 0"),
    ),
    Index(
        "records_strays",
        "plan_id",
        "hash",
        sqlite_where=text("stray <> 0"),
        postgresql_where=text("stray <> 0"),
    ),
    Index(
        "records_by_number",
        "plan_id",
        "number",
        sqlite_where=text("number IS NOT NULL"),
        postgresql_where=text("number IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
    postgresql_partition_by="HASH (plan_id)",
    comment="one row a record: where its newest content lies (page, position), its xxh3-128 hash (empty: to be"
    " taken anew from the source, because its content is needed and no longer kept), the read that saw it"
    " last; number is null where it equals id; stray: 0 known by its id, 1 without id, 2 ambiguous id",
)

versions = Table(
    "versions",
    metadata,
    Column("version_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("id", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("seq", BigInteger),
    Column("hash", LargeBinary, nullable=False),
    Column("page_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("noted_at", Float, nullable=False),
    Index("versions_by_id", "plan_id", "id", "version_id"),
    comment="other contents of a record: superseded by a newer one, overwritten on its own page, kept"
    " as duplicate, or once ambiguous (resolved)",
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("members", LargeBinary),
    Column("rows", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", LargeBinary),
    Column("body_path", Text, nullable=False, server_default=text("''")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index(
        "batches_fresh",
        "plan_id",
        "first_seq",
        sqlite_where=text("kind = 'fresh'"),
        postgresql_where=text("kind = 'fresh'"),
    ),
    Index(
        "batches_retry",
        "plan_id",
        "last_seq",
        sqlite_where=text("kind = 'retry'"),
        postgresql_where=text("kind = 'retry'"),
    ),
    Index(
        "batches_sending",
        "plan_id",
        sqlite_where=text("state = 'sending'"),
        postgresql_where=text("state = 'sending'"),
    ),
    comment="records sent together: the range of seq it claimed (fresh) or the records it took up again (retry);"
    " members lists the seqs in the order of the body (a list of them for a payload that holds several),"
    " null when they are exactly first_seq..last_seq;"
    " state: sending, delivered (all but exceptions), failed, doubt, broken_up (its records are sent one by one)",
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Key, primary_key=True),
    Column("batch_id", BigInteger, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),
    Column("request", Text, nullable=False),
    Column("reason", Text),
    Column("answer", LargeBinary),
    Column("headers", Text),
    Index("attempts_by_batch", "batch_id", "attempt_id"),
    comment="one try at sending a batch, with the target's answer; headers: those of the request that say something of"
    " the batch (JSON), never a secret",
)

exceptions = Table(
    "exceptions",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("rounds", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Float),
    Column("waits_for", BigInteger),
    Column("waits_seq", BigInteger),
    Column("batch_id", BigInteger),
    Column("updated_at", Float, nullable=False),
    Column("cause", Text),
    Column("who", Text),
    Index(
        "exceptions_due",
        "plan_id",
        "due_at",
        sqlite_where=text("state IN ('failed', 'pending')"),
        postgresql_where=text("state IN ('failed', 'pending')"),
    ),
    Index("exceptions_by_state", "plan_id", "state", "seq"),
    Index("exceptions_by_cause", "plan_id", "state", "cause", "seq"),
    sqlite_with_rowid=False,
    comment="records whose state does not follow from their batch; rounds counts the scheduled retries used up,"
    " attempts every try;"
    " due_at: when it is tried (or its wait given up), epoch seconds; cause: a fingerprint of the reason; who: the"
    " person who skipped it or wrote it into the target by hand",
)

events = Table(
    "events",
    metadata,
    Column("event_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("run_id", BigInteger),
    Index("events_by_record", "plan_id", "seq", "event_id"),
    Index(
        "events_by_run",
        "run_id",
        "event_id",
        sqlite_where=text("run_id IS NOT NULL"),
        postgresql_where=text("run_id IS NOT NULL"),
    ),
    comment="changes of state that do not follow from a batch, each with its reason",
)

edits = Table(
    "edits",
    metadata,
    Column("edit_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made", LargeBinary),
    Column("payload", LargeBinary),
    Column("members", Text),
    Column("batch_id", BigInteger),
    Index("edits_by_record", "plan_id", "seq", "edit_id"),
    comment="payloads that people corrected, the newest of a record counts; made: what the mapping had made; payload:"
    " what is sent instead (zstd; null: what the mapping makes, after all); members: the seqs of all records of the"
    " document, where it is one of several (JSON); batch_id: the first batch that took it up",
)

lookup_fields = Table(
    "lookup_fields",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("indexed_seq", BigInteger, nullable=False),
    comment="fields that look-ups ask a plan's records for, and up to which seq they are indexed",
)

lookup_keys = Table(
    "lookup_keys",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("value", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
    comment="a field's values, as text, to the records that have them",
)

fires = Table(
    "fires",
    metadata,
    Column("plan", Text, primary_key=True),
    Column("side", Text, primary_key=True),
    Column("crontab", Text, nullable=False),
    Column("seen_to", Float, nullable=False),
    Column("since", Float),
    comment="up to when (epoch seconds) the times of each plan's schedules have been seen to, and since when they have",
)

wanted = Table(
    "wanted",
    metadata,
    Column("plan", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("since", Float, nullable=False),
    Column("detail", Text),
    Column("first", Float),
    comment="stages of plans (extract, deliver, sweep, reconcile) that are to be run and have not been since; detail:"
    " the window of a sweep or reconciliation that a person chose (JSON); first: when it was asked for first",
)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("draining", Integer, nullable=False),
    comment="processes that run plans: when each was seen last, how many runs it has under way, whether it is ending",
)

hooks = Table(
    "hooks",
    metadata,
    Column("plan", Text, primary_key=True),
    Column("message", Text, primary_key=True),
    Column("received_at", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    comment="events that systems pushed, as they came (zstd), each once; kept as long as attempts are",
)

shares = Table(
    "shares",
    metadata,
    Column("batch_id", BigInteger, primary_key=True, autoincrement=False),
    Column("plan_id", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("taker", BigInteger),
    Column("outcome", Text),
    Index("shares_by_plan", "plan_id", "batch_id"),
    comment="batches that a run offers to other processes: taker is the run (of kind assist) that sends one, outcome"
    " what it tells the run that offered it; the row goes when that has heard of it",
)

parts = Table(
    "parts",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("what", Text, nullable=False),
    Column("read_id", BigInteger, nullable=False),
    Column("run_id", BigInteger),
    Column("taker", BigInteger),
    Column("state", Text, nullable=False),
    Column("cursor", Text),
    Column("pages", BigInteger, nullable=False),
    Column("signs", Text),
    Column("usual", Text),
    Column("touched_at", Float, nullable=False),
    Column("counts", Text),
    Index("parts_left", "plan_id", "state", "number"),
    comment="parts of a source that one read takes by themselves: what each is (JSON), the read's number, the run that"
    " offers it, the run that reads it now, where that stands; state: open, failed (only the run that offers it tries"
    " again), moved or settled when it was read to its end; read_id is the first of several kept for its passes;"
    " counts: figures of what others than the run that offers it have read (JSON)",
)

places = Table(
    "places",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("free_at", Float, nullable=False),
    comment="rate limits that hold over all processes: a connection's places to send a request in, and when (epoch"
    " seconds by the database's clock) each is free again",
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("reconciliation_id", Key, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("window_from", Float),
    Column("window_to", Float),
    Column("source", BigInteger, nullable=False),
    Column("ledger", BigInteger, nullable=False),
    Column("target", BigInteger),
    Column("differences", BigInteger, nullable=False),
    Column("found", Text, nullable=False),
    Index("reconciliations_by_plan", "plan_id", "reconciliation_id"),
    comment="what each whole comparison of source, ledger and target found: when it ended, over which window (epoch"
    " seconds; window_from null: everything), how many records each side has (target null: it can't be asked), how many"
    " differences there are on both sides (0: equal), and which (JSON)",
)

tallies = Table(
    "tallies",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("staged", BigInteger, nullable=False, server_default=text("0")),
    Column("delivered", BigInteger, nullable=False, server_default=text("0")),
    Column("troubled", BigInteger, nullable=False, server_default=text("0")),
    Index("tallies_by_hour", "hour"),
    sqlite_with_rowid=False,
    comment="what happened to a plan's records in an hour (epoch seconds / 3600): contents staged, records delivered,"
    " records that came to be dead, held or invalid",
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Key, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("plan", Text),
    Column("detail", Text),
    comment="what people changed: when (epoch seconds), who, what, of which plan, and how (JSON)",
)

plan_versions = Table(
    "plan_versions",
    metadata,
    Column("version_id", Key, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("who", Text),
    Column("note", Text),
    Column("digest", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Index("plan_versions_by_plan", "plan", "version_id"),
    comment="texts that plans' files have held, as the console found (who is null) or wrote them (zstd)",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Key, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("why", Text),
    Column("acknowledged_at", Float),
    Column("acknowledged_by", Text),
    Index(
        "alerts_on",
        "rule",
        "subject",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    comment="what a rule found of its subject (a plan's key, a connection's name), from when to when (epoch seconds);"
    " what: in words (JSON); why it ended: over, paused, gone",
)

notices = Table(
    "notices",
    metadata,
    Column("alert_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", Text, primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("at", Float, nullable=False),
    Index(
        "notices_waiting",
        "channel",
        "alert_id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    comment="what is to be said of an alert (that it began, that it ended) over a channel: waiting, sent, or why it was"
    " not (quiet: it ended in quiet hours, acknowledged, gone: there is no such channel), since when (epoch seconds)",
)

channels = Table(
    "channels",
    metadata,
    Column("name", Text, primary_key=True),
    Column("tried_at", Float),
    Column("sent_at", Float),
    Column("next_at", Float, nullable=False, server_default=text("0")),
    Column("failing_since", Float),
    Column("in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("error", Text),
    Column("sent", BigInteger, nullable=False, server_default=text("0")),
    Column("failed", BigInteger, nullable=False, server_default=text("0")),
    comment="how sending over each channel went: when it was tried and worked last, from when on it may be tried again"
    " (epoch seconds), the error since when and how often in a row, messages sent and failed in all",
)

failing = Table(
    "failing",
    metadata,
    Column("plan_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("runs", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    comment="plans whose newest runs of a kind failed: how many in a row, since when (epoch seconds), the last of them",
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Index(
        "tokens_by_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    comment="tokens that programs show to the API: digest is the SHA-256 of one, which itself is kept nowhere; used_at:"
    " when it was used last, to the minute; times in epoch seconds, expires_at null: never",
)

kept = Table(
    "kept",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    comment="what connections remember from process to process, such as a token that was replaced; sealed with a secret"
    " of the connection",
)

__all__ = ["RECORD_STATES", "metadata"]

# Kept out of the tables' metadata because SQLAlchemy knows no views; created and replaced by migrations.
RECORD_STATES = """
CREATE VIEW record_states AS
SELECT r.plan_id, r.seq, r.id, COALESCE(r.number, r.id) AS number, r.hash, r.page_id, r.position, r.stray,
       COALESCE(e.state, CASE WHEN r.seq > p.claimed_seq THEN 'pending'
                              WHEN b.state = 'sending' THEN 'sending' ELSE 'delivered' END) AS state,
       e.reason, e.due_at, e.attempts AS own_attempts,
       COALESCE(e.batch_id, b.batch_id) AS batch_id,
       g.received_at AS staged_at, e.who, e.updated_at
FROM records r
JOIN plans p ON p.plan_id = r.plan_id
JOIN pages g ON g.page_id = r.page_id
LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq
LEFT JOIN batches b ON b.batch_id = (
    SELECT f.batch_id FROM batches f
    WHERE f.plan_id = r.plan_id AND f.kind = 'fresh' AND f.first_seq <= r.seq AND r.seq <= p.claimed_seq
    ORDER BY f.first_seq DESC LIMIT 1)
"""
