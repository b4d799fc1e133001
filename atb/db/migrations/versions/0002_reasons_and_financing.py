"""Why each order was sent, what refused it, what a fee was worth and what holding cost.

Rows of the first schema keep None where the value was not recorded.
"""

import sqlalchemy as sa
from alembic import op

from atb.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDED = {
    "intent": (("reason", sa.Text()),),
    "fill": (("fill_no", sa.Integer()), ("reason", sa.Text()), ("fee_value", types.ExactDecimal())),
    "trade": (("financing", types.ExactDecimal()), ("additions", sa.Integer())),
}


def upgrade() -> None:
    # Both dialects rename a column in place; Alembic would rebuild the table on SQLite, and lose its checks.
    for table in ("decision", "intent"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN reason TO refusal")
    for table, columns in ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for table, columns in ADDED.items():
        for name, _ in columns:
            op.drop_column(table, name)
    for table in ("decision", "intent"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN refusal TO reason")
