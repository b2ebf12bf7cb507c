"""What a read shows of a list that moves while it is read; numbers of reads that are not the plan's own (sweeps)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns of `plans`."""
    op.add_column("plans", sa.Column("last_read_id", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("plans", sa.Column("read_signs", sa.Text(), nullable=True))
    op.add_column("plans", sa.Column("read_usual", sa.Text(), nullable=True))
    op.execute("UPDATE plans SET last_read_id = read_id")
