"""The first schema."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ordered by bytes, on PostgreSQL too.
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
PARTITIONS = 16

VIEW = """
CREATE VIEW record_states AS
SELECT r.plan_id, r.seq, r.id, COALESCE(r.number, r.id) AS number, r.hash, r.page_id, r.position, r.stray,
       COALESCE(e.state, CASE WHEN r.seq > p.claimed_seq THEN 'pending'
                              WHEN b.state = 'sending' THEN 'sending' ELSE 'delivered' END) AS state,
       e.reason, e.due_at, e.attempts AS own_attempts,
       COALESCE(e.batch_id, b.batch_id) AS batch_id,
       g.received_at AS staged_at
FROM records r
JOIN plans p ON p.plan_id = r.plan_id
JOIN pages g ON g.page_id = r.page_id
LEFT JOIN exceptions e ON e.plan_id = r.plan_id AND e.seq = r.seq
LEFT JOIN batches b ON b.batch_id = (
    SELECT f.batch_id FROM batches f
    WHERE f.plan_id = r.plan_id AND f.kind = 'fresh' AND f.first_seq <= r.seq AND r.seq <= p.claimed_seq
    ORDER BY f.first_seq DESC LIMIT 1)
"""


def upgrade() -> None:
    """Create every table, index and the view, and give the ledger its identity."""
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("attempt_id"),
    )
    op.create_index("attempts_by_batch", "attempts", ["batch_id", "attempt_id"], unique=False)
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("members", sa.LargeBinary(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("body_path", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_index(
        "batches_fresh",
        "batches",
        ["plan_id", "first_seq"],
        unique=False,
        sqlite_where=sa.text("kind = 'fresh'"),
        postgresql_where=sa.text("kind = 'fresh'"),
    )
    op.create_index(
        "batches_sending",
        "batches",
        ["plan_id"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("events_by_record", "events", ["plan_id", "seq", "event_id"], unique=False)
    op.create_table(
        "exceptions",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rounds", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("waits_for", sa.BigInteger(), nullable=True),
        sa.Column("waits_seq", sa.BigInteger(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("exceptions_by_state", "exceptions", ["plan_id", "state", "seq"], unique=False)
    op.create_index(
        "exceptions_due",
        "exceptions",
        ["plan_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('failed', 'pending')"),
        postgresql_where=sa.text("state IN ('failed', 'pending')"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "leases",
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "stage"),
    )
    op.create_table(
        "lookup_fields",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("indexed_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "field"),
    )
    op.create_table(
        "lookup_keys",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "field", "value", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pages",
        sa.Column("page_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("read_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("page_id"),
    )
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("claimed_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("watermark", sa.Float(), nullable=True),
        sa.Column("read_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("read_started_at", sa.Float(), nullable=True),
        sa.Column("read_from", sa.Float(), nullable=True),
        sa.Column("read_touched_at", sa.Float(), nullable=True),
        sa.Column("read_cursor", sa.Text(), nullable=True),
        sa.Column("read_pages", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("read_signature", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("plan_id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "records",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", ID, nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("page_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("read_id", sa.BigInteger(), nullable=False),
        sa.Column("stray", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "seq"),
        sqlite_with_rowid=False,
        postgresql_partition_by="HASH (plan_id)",
    )
    if op.get_bind().dialect.name == "postgresql":
        for part in range(PARTITIONS):
            values = f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
            op.execute(f"CREATE TABLE records_{part} PARTITION OF records {values}")
    op.create_index(
        "records_by_id",
        "records",
        ["plan_id", "id"],
        unique=True,
        sqlite_where=sa.text("stray = 0"),
        postgresql_where=sa.text("stray = 0"),
    )
    op.create_index(
        "records_strays",
        "records",
        ["plan_id", "hash"],
        unique=False,
        sqlite_where=sa.text("stray <> 0"),
        postgresql_where=sa.text("stray <> 0"),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("runs_by_plan", "runs", ["plan_id", "run_id"], unique=False)
    op.create_table(
        "versions",
        sa.Column("version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("page_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("version_id"),
    )
    op.create_index("versions_by_id", "versions", ["plan_id", "id", "version_id"], unique=False)
    op.execute(VIEW)
    facts = sa.table("facts", sa.column("name"), sa.column("value"))
    op.execute(facts.insert().values(name="identity", value=uuid4().hex[:12]))
