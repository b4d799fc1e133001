"""Sessions become an account's, with slots; orders at a venue, the kill switch, hand-overs, months as partitions.

A table that gets another key is written anew: its rows wait in a temporary table meanwhile. `session`, which others point
at, is changed where it stands. What an older session knew is kept: its strategy becomes slot 0, its manifest's hash its key.
"""
# ruff: noqa: S608 - the SQL is put together from names that stand in this file

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from atb.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_ENTRY = sa.text("role = 'entry' AND state IN ('planned', 'sent', 'live', 'partially_filled')")
STATES = (
    "'planned', 'sent', 'live', 'partially_filled', 'filled', 'cancelled', 'rejected', 'expired', 'absent', 'withheld'"
)
OLD_STATES = "'planned', 'sent', 'live', 'filled', 'rejected', 'cancelled', 'expired', 'absent', 'unknown'"
MONEY, TIME, MOMENT, TEXT = types.ExactDecimal(), sa.BigInteger(), types.UtcDateTime(), sa.Text()


def upgrade() -> None:
    _make_slots()
    op.execute("ALTER TABLE session RENAME COLUMN manifest_sha256 TO key")
    for name in ("strategy", "symbol", "timeframe"):
        op.drop_column("session", name)
    _make_tables()
    _remake("intent", _intent_columns(new=True), filled="CASE WHEN state = 'filled' THEN quantity ELSE {zero} END",
            sent_ms="0", state="CASE WHEN state = 'unknown' THEN 'sent' ELSE state END")  # fmt: skip
    op.create_index(op.f("ix_intent_session_id_state"), "intent", ["session_id", "state"])
    op.create_index(op.f("ix_intent_session_id_placed_ms"), "intent", ["session_id", "placed_ms"])
    op.create_index(
        op.f("uq_intent_open_entry"), "intent", ["session_id", "slot"], unique=True, sqlite_where=OPEN_ENTRY,
        postgresql_where=OPEN_ENTRY,
    )  # fmt: skip
    _remake("fill", _fill_columns(new=True))
    op.create_index(op.f("ix_fill_client_id"), "fill", ["client_id"])
    op.create_index(op.f("ix_fill_session_id_trade_no"), "fill", ["session_id", "trade_no"])
    _number_fills()
    _remake("kernel_state", _state_columns(new=True), step_no="0")
    if _postgresql():
        for table in ("decision", "equity"):
            _remake(table, _log_columns(table), months=True)


def downgrade() -> None:
    for name in ("strategy", "symbol", "timeframe"):
        op.add_column("session", sa.Column(name, TEXT, nullable=False, server_default=""))
        first = f"SELECT {name} FROM slot WHERE slot.session_id = session.session_id ORDER BY slot LIMIT 1"
        op.execute(f"UPDATE session SET {name} = coalesce(({first}), '')")
    if _postgresql():
        for name in ("strategy", "symbol", "timeframe"):
            op.alter_column("session", name, server_default=None)
    op.execute("ALTER TABLE session RENAME COLUMN key TO manifest_sha256")
    for table in ("order_event", "cursor", "slot", "handover", "halt", "acknowledgement", "evidence"):
        op.drop_table(table)
    known = "CASE state WHEN 'partially_filled' THEN 'live' WHEN 'withheld' THEN 'rejected' ELSE state END"
    _remake("intent", _intent_columns(new=False), state=known)
    op.create_index(op.f("ix_intent_session_id_state"), "intent", ["session_id", "state"])
    _remake("fill", _fill_columns(new=False), trade_id=_distinct_ids())
    op.create_index(op.f("ix_fill_client_id"), "fill", ["client_id"])
    _remake("kernel_state", _state_columns(new=False))
    if _postgresql():
        for table in ("decision", "equity"):
            _remake(table, _log_columns(table))


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _remake(table: str, columns: list[sa.schema.SchemaItem], *, months: bool = False, **values: str) -> None:
    """Rebuild a table with its rows; `values` are SQL expressions of the old row for columns that are not simply copied."""
    bind = op.get_bind()
    old = {column["name"] for column in sa.inspect(bind).get_columns(table)}
    names = [column.name for column in columns if isinstance(column, sa.Column)]
    names = [name for name in names if name in old or name in values]
    zero = "0" if _postgresql() else "'0'"
    taken = ", ".join(values.get(name, f'"{name}"').replace("{zero}", zero) for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    op.execute(f"CREATE TEMPORARY TABLE moved AS SELECT * FROM {table}")
    op.drop_table(table)
    op.create_table(table, *columns, postgresql_partition_by=f"RANGE ({MONTHLY[table]})" if months else None)
    if months:
        _make_months(table)
    op.execute(f"INSERT INTO {table} ({listed}) SELECT {taken} FROM moved")
    op.execute("DROP TABLE moved")
    _settle()


def _settle() -> None:
    """Make PostgreSQL check the rows just written: it refuses to alter a table with pending checks."""
    if _postgresql():
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute("SET CONSTRAINTS ALL DEFERRED")


MONTHLY = {"decision": "bar_ms", "equity": "bar_ms", "order_event": "time_ms"}


def _make_months(table: str) -> None:
    """Create the partitions for the months of the table's rows."""
    column = MONTHLY[table]
    query = f"SELECT DISTINCT to_char(to_timestamp({column} / 1000) AT TIME ZONE 'UTC', 'YYYY-MM') FROM moved"
    for month in sorted(op.get_bind().execute(sa.text(query)).scalars()):
        year, number = (int(part) for part in month.split("-"))
        first = datetime(year, number, 1, tzinfo=UTC)
        after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
        since, until = (int(moment.timestamp()) * 1000 for moment in (first, after))
        name = f"{table}_y{year:04d}m{number:02d}"
        op.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({since}) TO ({until})")


def _number_fills() -> None:
    """Number each fill by its round trip, oldest first: those up to the last one that reduced the slot's position by its exit."""
    bind = op.get_bind()
    trades = sa.text("SELECT session_id, slot, trade_no, exit_ms FROM trade ORDER BY session_id, trade_no")
    of_slot = "session_id = :session_id AND slot = :slot"
    closing = f"SELECT max(fill_no) FROM fill WHERE {of_slot} AND role != 'entry' AND time_ms <= :exit_ms"
    number = sa.text(
        f"UPDATE fill SET trade_no = :trade_no WHERE {of_slot} AND trade_no IS NULL AND fill_no <= ({closing})"
    )
    rows = [dict(row) for row in bind.execute(trades).mappings()]
    if rows:
        bind.execute(number, rows)


def _distinct_ids() -> str:
    """Return SQL for a trade id that is unique again where two symbols share it."""
    same = "o.session_id = moved.session_id AND o.trade_id = moved.trade_id AND o.symbol != moved.symbol"
    return f"CASE WHEN EXISTS (SELECT 1 FROM moved o WHERE {same}) THEN symbol || ':' || trade_id ELSE trade_id END"


def _of_session(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_session_id_session")
    return sa.ForeignKeyConstraint(
        ["session_id"], ["session.session_id"], name=name, deferrable=True, initially="DEFERRED"
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, TEXT, nullable=False) for name in names]


def _session_id() -> sa.Column[str]:
    return sa.Column("session_id", sa.String(length=120), nullable=False)


def _make_slots() -> None:
    op.create_table(
        "slot",
        _session_id(),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        *(
            sa.Column(name, TEXT, nullable=False)
            for name in ("manifest_sha256", "strategy", "symbol", "timeframe", "status")
        ),
        sa.Column("last_bar_ms", TIME, nullable=True),
        sa.CheckConstraint("status IN ('trading', 'shadow', 'retired')", name=op.f("ck_slot_status")),
        _of_session("slot"),
        sa.PrimaryKeyConstraint("session_id", "slot", name=op.f("pk_slot")),
    )
    op.execute(
        "INSERT INTO slot (session_id, slot, manifest_sha256, strategy, symbol, timeframe, status, last_bar_ms) "
        "SELECT session_id, 0, manifest_sha256, strategy, symbol, timeframe, 'trading', last_bar_ms FROM session"
    )
    _settle()


def _make_tables() -> None:
    op.create_table(
        "cursor",
        _session_id(),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("trade_id", TEXT, nullable=False),
        _of_session("cursor"),
        sa.PrimaryKeyConstraint("session_id", "symbol", name=op.f("pk_cursor")),
    )
    op.create_table(
        "order_event",
        _session_id(),
        sa.Column("event_no", TIME, autoincrement=False, nullable=False),
        sa.Column("time_ms", TIME, autoincrement=False, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("detail", JSON, nullable=False),
        _of_session("order_event"),
        sa.PrimaryKeyConstraint("session_id", "event_no", "time_ms", name=op.f("pk_order_event")),
        postgresql_partition_by="RANGE (time_ms)",
    )
    op.create_index(op.f("ix_order_event_client_id"), "order_event", ["client_id"])
    op.create_table(
        "handover",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("session_id", sa.String(length=120), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("kind", "from_manifest_sha256", "to_manifest_sha256")),
        sa.Column("from_bar_ms", TIME, nullable=False),
        sa.Column("position", MONEY, nullable=False),
        sa.Column("stop_client_id", TEXT, nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('shadowed', 'adopted', 'rolled_back')", name=op.f("ck_handover_kind")),
        _of_session("handover"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
    )
    op.create_index(op.f("ix_handover_session_id_slot"), "handover", ["session_id", "slot"])
    op.create_table(
        "halt",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.CheckConstraint("level BETWEEN 0 AND 3", name=op.f("ck_halt_level")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halt")),
    )
    op.create_index(op.f("ix_halt_account_id"), "halt", ["account", "id"])
    op.create_table(
        "acknowledgement",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("max_loss", MONEY, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("config_sha256", "text", "holder")),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgement")),
    )
    op.create_index(op.f("ix_acknowledgement_account"), "acknowledgement", ["account"])
    op.create_table(
        "evidence",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_manifest_sha256_kind"), "evidence", ["manifest_sha256", "kind"])


def _intent_columns(*, new: bool) -> list[sa.schema.SchemaItem]:
    venue = [sa.Column("notional", MONEY, nullable=True), sa.Column("list_id", TEXT, nullable=True)]
    answered = [sa.Column("exchange_id", TEXT, nullable=True), sa.Column("filled", MONEY, nullable=False)]
    moments = [sa.Column("placed_ms", TIME, nullable=True), sa.Column("sent_ms", TIME, nullable=False)]
    return [
        sa.Column("client_id", sa.String(length=36), nullable=False),
        _session_id(),
        sa.Column("slot", sa.Integer(), nullable=False),
        *_texts("strategy", "symbol"),
        sa.Column("bar_ms", TIME, nullable=False),
        *_texts("role"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        *_texts("side", "type"),
        sa.Column("quantity", MONEY, nullable=False),
        sa.Column("price", MONEY, nullable=True),
        sa.Column("stop_price", MONEY, nullable=True),
        *(venue if new else []),
        sa.Column("state", TEXT, nullable=False),
        *(answered if new else []),
        *([] if new else [sa.Column("refusal", TEXT, nullable=True)]),
        sa.Column("reason", TEXT, nullable=True),
        *([sa.Column("refusal", TEXT, nullable=True)] if new else []),
        sa.Column("epoch", TIME, nullable=False),
        *(moments if new else []),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(f"state IN ({STATES if new else OLD_STATES})", name=op.f("ck_intent_state")),
        sa.CheckConstraint("length(client_id) <= 36", name=op.f("ck_intent_client_id_length")),
        _of_session("intent"),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_intent")),
        sa.UniqueConstraint(
            "session_id",
            "slot",
            "bar_ms",
            "role",
            "attempt",
            name=op.f("uq_intent_session_id_slot_bar_ms_role_attempt"),
        ),
    ]


def _fill_columns(*, new: bool) -> list[sa.schema.SchemaItem]:
    symbol = sa.Column("symbol", sa.String(length=40) if new else TEXT, nullable=False)
    key = ("session_id", "symbol", "trade_id") if new else ("session_id", "trade_id")
    return [
        _session_id(),
        *([symbol] if new else []),
        sa.Column("trade_id", sa.String(length=120), nullable=False),
        sa.Column("fill_no", sa.Integer(), nullable=True),
        sa.Column("client_id", TEXT, nullable=True),
        *([sa.Column("trade_no", sa.Integer(), nullable=True)] if new else []),
        sa.Column("slot", sa.Integer(), nullable=False),
        *([] if new else [symbol]),
        *_texts("side", "role"),
        sa.Column("reason", TEXT, nullable=True),
        *(sa.Column(name, MONEY, nullable=False) for name in ("price", "quantity", "fee")),
        sa.Column("fee_asset", TEXT, nullable=False),
        sa.Column("fee_value", MONEY, nullable=True),
        sa.Column("time_ms", TIME, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        _of_session("fill"),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_fill")),
    ]


def _state_columns(*, new: bool) -> list[sa.schema.SchemaItem]:
    return [
        _session_id(),
        sa.Column("bar_ms", TIME, nullable=False),
        *([sa.Column("step_no", TIME, nullable=False)] if new else []),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        _of_session("kernel_state"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_kernel_state")),
    ]


def _log_columns(table: str) -> list[sa.schema.SchemaItem]:
    """Return the columns of `decision` or `equity`, which only become partitioned."""
    bar = sa.Column("bar_ms", TIME, autoincrement=False, nullable=False)
    if table == "equity":
        amounts: list[sa.schema.SchemaItem] = [sa.Column(name, MONEY, nullable=False) for name in ("equity", "cash")]
        return [_session_id(), bar, *amounts, _of_session(table),
                sa.PrimaryKeyConstraint("session_id", "bar_ms", name=op.f("pk_equity"))]  # fmt: skip
    return [
        _session_id(),
        bar,
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("strategy", TEXT, nullable=False),
        sa.Column("symbol", TEXT, nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("side", "prediction", "confidence")),
        sa.Column("bar", JSON, nullable=False),
        sa.Column("intents", JSON, nullable=False),
        sa.Column("refusal", TEXT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        _of_session(table),
        sa.PrimaryKeyConstraint("session_id", "bar_ms", "slot", name=op.f("pk_decision")),
    ]
