"""Runs know their batch, the hash of what they depend on, and the claim of the one that may finish. Older ones have none."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
COLUMNS = ("identity", "claim", "batch")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("run", sa.Column(name, sa.String(64), nullable=True))
    op.create_index(op.f("ix_run_identity"), "run", ["identity"])
    op.create_index(op.f("ix_run_batch"), "run", ["batch"])
    op.create_index(op.f("uq_run_claim"), "run", ["claim"], unique=True)


def downgrade() -> None:
    for index in ("uq_run_claim", "ix_run_batch", "ix_run_identity"):
        op.drop_index(op.f(index), "run")
    for name in COLUMNS:
        op.drop_column("run", name)
