"""Users of the dashboards with their logins, and indexes by time for pages that show the newest rows of large tables."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NEWEST = {
    "decision": "bar_ms",
    "equity": "bar_ms",
    "intent": "bar_ms",
    "order_event": "time_ms",
    "fill": "time_ms",
    "trade": "exit_ms",
}


def upgrade() -> None:
    op.create_table(
        "dashboard_user",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dashboard_user")),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name=op.f("ck_dashboard_user_role")),
    )
    op.create_table(
        "dashboard_login",
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_dashboard_login")),
        sa.ForeignKeyConstraint(
            ["user_name"],
            ["dashboard_user.name"],
            name=op.f("fk_dashboard_login_user_name_dashboard_user"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_dashboard_login_user_name"), "dashboard_login", ["user_name"])
    op.create_index(op.f("ix_event_session_id_kind"), "event", ["session_id", "kind"])
    for table, column in NEWEST.items():
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    op.drop_index(op.f("ix_event_session_id_kind"), table_name="event")
    for table, column in NEWEST.items():
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    op.drop_table("dashboard_login")
    op.drop_table("dashboard_user")
