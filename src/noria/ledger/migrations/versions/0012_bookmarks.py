"""Where the next read of a source begins, in the source's own words."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column of `plans`."""
    op.add_column("plans", sa.Column("bookmark", sa.Text(), nullable=True))
