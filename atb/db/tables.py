"""Every table: runs and promotions of research, and the journal a live session is recovered from."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from atb.db import access  # noqa: F401 - tables of the same schema
from atb.db.base import Json, RowNumber, Table, now, of_session, one_of

RUN_STATUSES = ("running", "succeeded", "failed", "interrupted")
SESSION_STATUSES = ("running", "stopped", "finished", "halted")
SLOT_STATUSES = ("trading", "shadow", "retired")
OPEN_STATES = ("planned", "sent", "live", "partially_filled")
INTENT_STATES = (*OPEN_STATES, "filled", "cancelled", "rejected", "expired", "absent", "withheld")
HANDOVER_KINDS = ("shadowed", "adopted", "rolled_back")
_OPEN_ENTRY = sql(f"role = 'entry' AND state IN ({', '.join(repr(state) for state in OPEN_STATES)})")


class RunRow(Table):
    """One execution of a notebook, successful or not.

    `identity` is the hash of what the run depends on, so that a finished identical one is found. `claim` is held by the one run
    of a batch's cell that may finish: by the one that is at work, or that has succeeded.
    """

    __tablename__ = "run"
    __table_args__ = (
        one_of("status", RUN_STATUSES),
        Index("uq_run_claim", "claim", unique=True),
        Index(None, "started_at"),
        Index(None, "identity"),
        Index(None, "batch"),
    )

    run_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    notebook: Mapped[str]
    notebook_sha256: Mapped[str]
    parameters: Mapped[Json]
    parameters_sha256: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]
    failed_cell: Mapped[int | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    seconds: Mapped[float | None]
    commit: Mapped[str | None]
    dirty: Mapped[bool | None]
    kernel_hash: Mapped[str | None]
    seed: Mapped[int | None] = mapped_column(BigInteger)
    versions: Mapped[Json]
    data: Mapped[list[Json]]
    metrics: Mapped[Json]
    path: Mapped[str]
    holder: Mapped[str | None]
    identity: Mapped[str | None] = mapped_column(String(64))
    claim: Mapped[str | None] = mapped_column(String(64))
    batch: Mapped[str | None] = mapped_column(String(64))


class PromotionRow(Table):
    """A signed manifest. Its run may be in another database, so there is no foreign key."""

    __tablename__ = "promotion"

    manifest_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str]
    mode: Mapped[str]
    run_id: Mapped[str | None]
    path: Mapped[str]
    verdict: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now)


class EvidenceRow(Table):
    """The result of a check of a promoted manifest, such as a rehearsal.

    For several manifests together, `manifest_sha256` is the portfolio's key.
    """

    __tablename__ = "evidence"
    __table_args__ = (Index(None, "manifest_sha256", "kind"),)

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    kind: Mapped[str]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[str | None]
    passed: Mapped[bool]
    detail: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now)


class SessionRow(Table):
    """One portfolio of promoted strategies trading one account; it survives restarts of the runner.

    `key` identifies the portfolio: the content hash of a single manifest, or a hash over those of several. A hand-over changes it,
    and the session goes on.
    """

    __tablename__ = "session"
    __table_args__ = (one_of("status", SESSION_STATUSES), Index(None, "account"))

    session_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    account: Mapped[str]
    mode: Mapped[str]
    key: Mapped[str]
    cash: Mapped[Decimal]
    trade_from_ms: Mapped[int] = mapped_column(BigInteger)
    last_bar_ms: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    versions: Mapped[Json]
    config: Mapped[Json]


class SlotRow(Table):
    """One strategy on one symbol within a session. `manifest_sha256` is the manifest that trades it now."""

    __tablename__ = "slot"
    __table_args__ = (one_of("status", SLOT_STATUSES),)

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    manifest_sha256: Mapped[str]
    strategy: Mapped[str]
    symbol: Mapped[str]
    timeframe: Mapped[str]
    status: Mapped[str]
    last_bar_ms: Mapped[int | None] = mapped_column(BigInteger)


class HandoverRow(Table):
    """A slot's passage from one manifest to another before the bar `from_bar_ms`: the position then, and the stop that stayed."""

    __tablename__ = "handover"
    __table_args__ = (one_of("kind", HANDOVER_KINDS), Index(None, "session_id", "slot"))

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    session_id: Mapped[str] = mapped_column(of_session())
    slot: Mapped[int]
    kind: Mapped[str]
    from_manifest_sha256: Mapped[str]
    to_manifest_sha256: Mapped[str]
    from_bar_ms: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[Decimal]
    stop_client_id: Mapped[str | None]
    detail: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=now)


class AcknowledgementRow(Table):
    """Words a person typed to trade real money, bound to an account, a largest loss (quote) and one configuration."""

    __tablename__ = "acknowledgement"
    __table_args__ = (Index(None, "account"),)

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    account: Mapped[str]
    max_loss: Mapped[Decimal]
    config_sha256: Mapped[str]
    text: Mapped[str]
    holder: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class HaltRow(Table):
    """The kill switch of an account, as a history: rows are added, never changed, and the newest one counts.

    `level` is 0 (none), 1 (pause), 2 (cancel) or 3 (flatten).
    """

    __tablename__ = "halt"
    __table_args__ = (CheckConstraint("level BETWEEN 0 AND 3", name="level"), Index(None, "account", "id"))

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    account: Mapped[str]
    level: Mapped[int]
    reason: Mapped[str]
    source: Mapped[str]
    set_at: Mapped[datetime] = mapped_column(default=now)


class LeaseRow(Table):
    """Which runner may trade an account, until when; the epoch fences off a holder that stalled."""

    __tablename__ = "account_lease"

    account: Mapped[str] = mapped_column(String(120), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str]
    until_ms: Mapped[int] = mapped_column(BigInteger)


class DecisionRow(Table):
    """The kernel's decision for one slot at one closed bar, with that bar; `refusal` says what it cut or refused.

    `inputs` has by name the rows that were handed in beside it (`atb.live.execution.known_inputs`), None where the strategy reads
    none.
    """

    __tablename__ = "decision"
    __table_args__ = (Index(None, "bar_ms"), {"postgresql_partition_by": "RANGE (bar_ms)"})

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    strategy: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[float | None]
    prediction: Mapped[float | None]
    confidence: Mapped[float | None]
    bar: Mapped[Json]
    inputs: Mapped[Json | None]
    intents: Mapped[list[Json]]
    refusal: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class IntentRow(Table):
    """An order, committed before its request is sent, and its state since.

    `reason` says why it is sent (exit_signal, trailing_stop, scale_in), `refusal` why it was not filled. `placed_ms` is the
    moment it was committed and `sent_ms` its request's timestamp, both in exchange time; `notional` is its value in quote by
    its own price or the last close.
    """

    __tablename__ = "intent"
    __table_args__ = (
        UniqueConstraint("session_id", "slot", "bar_ms", "role", "attempt"),
        one_of("state", INTENT_STATES),
        CheckConstraint("length(client_id) <= 36", name="client_id_length"),
        Index(None, "session_id", "state"),
        Index(None, "session_id", "placed_ms"),
        Index(None, "bar_ms"),
        Index(
            "uq_intent_open_entry",
            "session_id",
            "slot",
            unique=True,
            sqlite_where=_OPEN_ENTRY,
            postgresql_where=_OPEN_ENTRY,
        ),
    )

    client_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    session_id: Mapped[str] = mapped_column(of_session())
    slot: Mapped[int]
    strategy: Mapped[str]
    symbol: Mapped[str]
    bar_ms: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str]
    attempt: Mapped[int]
    side: Mapped[str]
    type: Mapped[str]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    stop_price: Mapped[Decimal | None]
    notional: Mapped[Decimal | None]
    list_id: Mapped[str | None]
    state: Mapped[str]
    exchange_id: Mapped[str | None]
    filled: Mapped[Decimal] = mapped_column(default=Decimal(0))
    reason: Mapped[str | None]
    refusal: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(BigInteger)
    placed_ms: Mapped[int | None] = mapped_column(BigInteger)
    sent_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class OrderEventRow(Table):
    """A message of the venue about an order, in order of arrival; rows are added, never changed."""

    __tablename__ = "order_event"
    __table_args__ = (Index(None, "client_id"), Index(None, "time_ms"), {"postgresql_partition_by": "RANGE (time_ms)"})

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    event_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    client_id: Mapped[str]
    kind: Mapped[str]
    detail: Mapped[Json]


class FillRow(Table):
    """An execution reported by the venue. Its intent may be missing: foreign fills are recorded as well.

    `fill_no` counts a session's fills from 0 in the order in which they were applied; `fee_value` is the fee's value in quote;
    `trade_no` is the round trip it belongs to, None until that one is closed.
    """

    __tablename__ = "fill"
    __table_args__ = (Index(None, "client_id"), Index(None, "session_id", "trade_no"), Index(None, "time_ms"))

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(40), primary_key=True)
    trade_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    fill_no: Mapped[int | None]
    client_id: Mapped[str | None]
    trade_no: Mapped[int | None]
    slot: Mapped[int]
    side: Mapped[str]
    role: Mapped[str]
    reason: Mapped[str | None]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]
    fee: Mapped[Decimal]
    fee_asset: Mapped[str]
    fee_value: Mapped[Decimal | None]
    time_ms: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)


class CursorRow(Table):
    """The newest execution of a symbol that the session has seen, its own or a foreign one: the next sweep begins after it."""

    __tablename__ = "cursor"

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(40), primary_key=True)
    trade_id: Mapped[str]


class TradeRow(Table):
    """A finished round trip; `pnl` is net of fees and financing, `mfe` and `mae` are fractions of the entry price."""

    __tablename__ = "trade"
    __table_args__ = (Index(None, "exit_ms"),)

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    trade_no: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    slot: Mapped[int]
    strategy: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[Decimal]
    entry_ms: Mapped[int] = mapped_column(BigInteger)
    entry_price: Mapped[Decimal]
    exit_ms: Mapped[int] = mapped_column(BigInteger)
    exit_price: Mapped[Decimal]
    fees: Mapped[Decimal]
    financing: Mapped[Decimal | None]
    pnl: Mapped[Decimal]
    mfe: Mapped[float | None]
    mae: Mapped[float | None]
    exit_reason: Mapped[str]
    bars_held: Mapped[int]
    additions: Mapped[int | None]


class EquityRow(Table):
    """Equity and cash of a session at the close of one bar."""

    __tablename__ = "equity"
    __table_args__ = (Index(None, "bar_ms"), {"postgresql_partition_by": "RANGE (bar_ms)"})

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    equity: Mapped[Decimal]
    cash: Mapped[Decimal]


class KernelStateRow(Table):
    """The kernel state after the newest step, from which a restarted runner goes on. `step_no` counts the session's steps."""

    __tablename__ = "kernel_state"

    session_id: Mapped[str] = mapped_column(of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger)
    step_no: Mapped[int] = mapped_column(BigInteger, default=0)
    schema: Mapped[int]
    payload: Mapped[Json]


class EventRow(Table):
    """The audit trail; rows are added, never changed."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "session_id", "id"), Index(None, "session_id", "kind"))

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    session_id: Mapped[str | None]
    time: Mapped[datetime] = mapped_column(default=now)
    severity: Mapped[str]
    kind: Mapped[str]
    detail: Mapped[Json]
