"""What the console shows at once: how many records a plan has, what the cause of a failure is; who changed what."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns, two indexes, a table."""
    op.add_column("plans", sa.Column("records", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE plans SET records = (SELECT COUNT(*) FROM records r WHERE r.plan_id = plans.plan_id)")
    op.add_column("exceptions", sa.Column("cause", sa.Text(), nullable=True))
    op.create_index("exceptions_by_cause", "exceptions", ["plan_id", "state", "cause", "seq"])
    op.create_index(
        "batches_retry",
        "batches",
        ["plan_id", "last_seq"],
        sqlite_where=sa.text("kind = 'retry'"),
        postgresql_where=sa.text("kind = 'retry'"),
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("audit_id"),
    )
