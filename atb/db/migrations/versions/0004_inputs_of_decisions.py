"""Decisions keep the inputs that were handed in: rows of other bars, funding and sentiment. Older ones had none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("decision", sa.Column("inputs", JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("decision", "inputs")
