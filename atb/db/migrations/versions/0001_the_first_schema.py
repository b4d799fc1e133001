"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from atb.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "account_lease",
        sa.Column("account", sa.String(length=120), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_lease")),
    )
    op.create_table(
        "event",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("time", types.UtcDateTime(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_session_id_id"), "event", ["session_id", "id"], unique=False)

    op.create_table(
        "promotion",
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("verdict", JSON, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("manifest_sha256", name=op.f("pk_promotion")),
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.String(length=120), nullable=False),
        sa.Column("notebook", sa.Text(), nullable=False),
        sa.Column("notebook_sha256", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("parameters_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("failed_cell", sa.Integer(), nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", types.UtcDateTime(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("commit", sa.Text(), nullable=True),
        sa.Column("dirty", sa.Boolean(), nullable=True),
        sa.Column("kernel_hash", sa.Text(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("versions", JSON, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('running', 'succeeded', 'failed', 'interrupted')", name=op.f("ck_run_status")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_started_at"), "run", ["started_at"], unique=False)

    op.create_table(
        "session",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("cash", types.ExactDecimal(), nullable=False),
        sa.Column("trade_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_bar_ms", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("versions", JSON, nullable=False),
        sa.Column("config", JSON, nullable=False),
        sa.CheckConstraint("status IN ('running', 'stopped', 'finished', 'halted')", name=op.f("ck_session_status")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_account"), "session", ["account"], unique=False)

    op.create_table(
        "decision",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("bar_ms", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Double(), nullable=True),
        sa.Column("prediction", sa.Double(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("bar", JSON, nullable=False),
        sa.Column("intents", JSON, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_decision_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("session_id", "bar_ms", "slot", name=op.f("pk_decision")),
    )
    op.create_table(
        "equity",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("bar_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("equity", types.ExactDecimal(), nullable=False),
        sa.Column("cash", types.ExactDecimal(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_equity_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("session_id", "bar_ms", name=op.f("pk_equity")),
    )
    op.create_table(
        "fill",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("trade_id", sa.String(length=120), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=False),
        sa.Column("quantity", types.ExactDecimal(), nullable=False),
        sa.Column("fee", types.ExactDecimal(), nullable=False),
        sa.Column("fee_asset", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_fill_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("session_id", "trade_id", name=op.f("pk_fill")),
    )
    op.create_index(op.f("ix_fill_client_id"), "fill", ["client_id"], unique=False)

    op.create_table(
        "intent",
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("bar_ms", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("quantity", types.ExactDecimal(), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=True),
        sa.Column("stop_price", types.ExactDecimal(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('planned', 'sent', 'live', 'filled', 'rejected', 'cancelled', 'expired', 'absent', 'unknown')",
            name=op.f("ck_intent_state"),
        ),
        sa.CheckConstraint("length(client_id) <= 36", name=op.f("ck_intent_client_id_length")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_intent_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_intent")),
        sa.UniqueConstraint(
            "session_id",
            "slot",
            "bar_ms",
            "role",
            "attempt",
            name=op.f("uq_intent_session_id_slot_bar_ms_role_attempt"),
        ),
    )
    op.create_index(op.f("ix_intent_session_id_state"), "intent", ["session_id", "state"], unique=False)

    op.create_table(
        "kernel_state",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("bar_ms", sa.BigInteger(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_kernel_state_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_kernel_state")),
    )
    op.create_table(
        "trade",
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("trade_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", types.ExactDecimal(), nullable=False),
        sa.Column("entry_ms", sa.BigInteger(), nullable=False),
        sa.Column("entry_price", types.ExactDecimal(), nullable=False),
        sa.Column("exit_ms", sa.BigInteger(), nullable=False),
        sa.Column("exit_price", types.ExactDecimal(), nullable=False),
        sa.Column("fees", types.ExactDecimal(), nullable=False),
        sa.Column("pnl", types.ExactDecimal(), nullable=False),
        sa.Column("mfe", sa.Double(), nullable=True),
        sa.Column("mae", sa.Double(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=False),
        sa.Column("bars_held", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_trade_session_id_session"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("session_id", "trade_no", name=op.f("pk_trade")),
    )


def downgrade() -> None:
    op.drop_table("trade")
    op.drop_table("kernel_state")
    op.drop_table("intent")
    op.drop_table("fill")
    op.drop_table("equity")
    op.drop_table("decision")
    op.drop_table("session")
    op.drop_table("run")
    op.drop_table("promotion")
    op.drop_table("event")
    op.drop_table("account_lease")
