"""What people do to records and runs, what reconciliations found, figures that are kept instead of counted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
VIEW = """
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


def upgrade() -> None:
    """Three tables, six columns, two indexes; the figures of what is in the ledger already."""
    op.create_table(
        "edits",
        sa.Column("edit_id", KEY, nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made", sa.LargeBinary(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("members", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("edit_id"),
    )
    op.create_index("edits_by_record", "edits", ["plan_id", "seq", "edit_id"])
    op.create_table(
        "reconciliations",
        sa.Column("reconciliation_id", KEY, nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("window_from", sa.Float(), nullable=True),
        sa.Column("window_to", sa.Float(), nullable=True),
        sa.Column("source", sa.BigInteger(), nullable=False),
        sa.Column("ledger", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=True),
        sa.Column("differences", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("reconciliation_id"),
    )
    op.create_index("reconciliations_by_plan", "reconciliations", ["plan_id", "reconciliation_id"])
    op.create_table(
        "tallies",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("staged", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("delivered", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("troubled", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("plan_id", "hour"),
        sqlite_with_rowid=False,
    )
    op.create_index("tallies_by_hour", "tallies", ["hour"])
    op.add_column("runs", sa.Column("pace", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("cancelled_at", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("cancelled_by", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("headers", sa.Text(), nullable=True))
    op.add_column("wanted", sa.Column("detail", sa.Text(), nullable=True))
    op.add_column("exceptions", sa.Column("who", sa.Text(), nullable=True))
    op.execute("DROP VIEW record_states")
    if op.get_bind().dialect.name == "postgresql":
        # Ordered by bytes, as ids are: so the beginning of a number can be looked for.
        op.execute('ALTER TABLE records ALTER COLUMN number TYPE text COLLATE "C"')
    op.create_index(
        "records_by_number",
        "records",
        ["plan_id", "number"],
        sqlite_where=sa.text("number IS NOT NULL"),
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.create_index(
        "events_by_run",
        "events",
        ["run_id", "event_id"],
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.execute(VIEW)
    _tally()


def _tally() -> None:
    """As far as it can be told: what batches delivered, less what of them has another state now; what pages held."""
    whole = "FLOOR({0} / 3600)" if op.get_bind().dialect.name == "postgresql" else "CAST({0} / 3600 AS INTEGER)"
    more = "ON CONFLICT (plan_id, hour) DO UPDATE SET {0} = excluded.{0}"
    hour = whole.format("b.finished_at")
    op.execute(
        f"INSERT INTO tallies (plan_id, hour, delivered) SELECT b.plan_id, {hour}, SUM(b.rows - COALESCE(e.n, 0))"
        " FROM batches b LEFT JOIN (SELECT batch_id, COUNT(*) AS n FROM exceptions WHERE state <> 'delivered'"
        " AND batch_id IS NOT NULL GROUP BY batch_id) e ON e.batch_id = b.batch_id"
        f" WHERE b.state = 'delivered' AND b.finished_at IS NOT NULL GROUP BY b.plan_id, {hour}"
    )
    hour = whole.format("g.received_at")
    op.execute(
        f"INSERT INTO tallies (plan_id, hour, staged) SELECT g.plan_id, {hour}, SUM(g.rows) FROM pages g WHERE 1 = 1"
        f" GROUP BY g.plan_id, {hour} {more.format('staged')}"
    )
