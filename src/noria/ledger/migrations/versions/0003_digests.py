"""By what the same content is known again when a page's body is no longer kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column of `pages`."""
    op.add_column("pages", sa.Column("digests", sa.LargeBinary(), nullable=True))
