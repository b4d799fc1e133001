"""Every table: runs and promotions of research, and the journal a live session is recovered from."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from atb.db.types import ExactDecimal, StrictJson, UtcDateTime

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

RUN_STATUSES = ("running", "succeeded", "failed", "interrupted")
SESSION_STATUSES = ("running", "stopped", "finished", "halted")
INTENT_STATES = ("planned", "sent", "live", "filled", "rejected", "cancelled", "expired", "absent", "unknown")

Json = dict[str, Any]
# SQLite numbers rows by itself only in a column declared exactly INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")


def _now() -> datetime:
    return datetime.now(UTC)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def _of_session() -> ForeignKey:
    """Point at a session; checked at commit, so that the rows of one transaction may be added in any order."""
    return ForeignKey("session.session_id", deferrable=True, initially="DEFERRED")


class Table(DeclarativeBase):
    """What all tables share: constraint names, and how Python types become columns."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, type[TypeEngine[Any]] | TypeEngine[Any]]] = {
        Decimal: ExactDecimal,
        datetime: UtcDateTime,
        Json: StrictJson,
        list[Json]: StrictJson,
        str: Text,
    }


class Run(Table):
    """One execution of a notebook, successful or not."""

    __tablename__ = "run"
    __table_args__ = (_one_of("status", RUN_STATUSES), Index(None, "started_at"))

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


class Promotion(Table):
    """A manifest that was signed. The run it came from may live in another database, so nothing points there."""

    __tablename__ = "promotion"

    manifest_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str]
    mode: Mapped[str]
    run_id: Mapped[str | None]
    path: Mapped[str]
    verdict: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class LiveSession(Table):
    """One promoted strategy trading one account; it survives restarts of the runner."""

    __tablename__ = "session"
    __table_args__ = (_one_of("status", SESSION_STATUSES), Index(None, "account"))

    session_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    account: Mapped[str]
    mode: Mapped[str]
    manifest_sha256: Mapped[str]
    strategy: Mapped[str]
    symbol: Mapped[str]
    timeframe: Mapped[str]
    cash: Mapped[Decimal]
    trade_from_ms: Mapped[int] = mapped_column(BigInteger)
    last_bar_ms: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(default=_now)
    updated_at: Mapped[datetime] = mapped_column(default=_now, onupdate=_now)
    versions: Mapped[Json]
    config: Mapped[Json]


class AccountLease(Table):
    """Which runner may trade an account, until when; the epoch fences off a holder that overslept."""

    __tablename__ = "account_lease"

    account: Mapped[str] = mapped_column(String(120), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str]
    until_ms: Mapped[int] = mapped_column(BigInteger)


class DecisionRow(Table):
    """What the kernel decided for one slot at one closed bar, with the bar it saw; `refusal` says what it cut or refused."""

    __tablename__ = "decision"

    session_id: Mapped[str] = mapped_column(_of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    strategy: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[float | None]
    prediction: Mapped[float | None]
    confidence: Mapped[float | None]
    bar: Mapped[Json]
    intents: Mapped[list[Json]]
    refusal: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Intent(Table):
    """An order that is about to be sent, committed before the request leaves, and what became of it.

    `reason` says why it is sent (exit_signal, trailing_stop, scale_in), `refusal` why it was not filled.
    """

    __tablename__ = "intent"
    __table_args__ = (
        UniqueConstraint("session_id", "slot", "bar_ms", "role", "attempt"),
        _one_of("state", INTENT_STATES),
        CheckConstraint("length(client_id) <= 36", name="client_id_length"),
        Index(None, "session_id", "state"),
    )

    client_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    session_id: Mapped[str] = mapped_column(_of_session())
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
    state: Mapped[str]
    reason: Mapped[str | None]
    refusal: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=_now)
    updated_at: Mapped[datetime] = mapped_column(default=_now, onupdate=_now)


class FillRow(Table):
    """An execution reported by the venue. Its intent may be missing: a stranger's fill is recorded all the same.

    `fill_no` counts a session's fills from 0 in the order in which they were applied; `fee_value` is the fee's value in quote.
    """

    __tablename__ = "fill"
    __table_args__ = (Index(None, "client_id"),)

    session_id: Mapped[str] = mapped_column(_of_session(), primary_key=True)
    trade_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    fill_no: Mapped[int | None]
    client_id: Mapped[str | None]
    slot: Mapped[int]
    symbol: Mapped[str]
    side: Mapped[str]
    role: Mapped[str]
    reason: Mapped[str | None]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]
    fee: Mapped[Decimal]
    fee_asset: Mapped[str]
    fee_value: Mapped[Decimal | None]
    time_ms: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class TradeRow(Table):
    """A finished round trip; `pnl` is net of fees and financing, `mfe` and `mae` are fractions of the entry price."""

    __tablename__ = "trade"

    session_id: Mapped[str] = mapped_column(_of_session(), primary_key=True)
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

    session_id: Mapped[str] = mapped_column(_of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    equity: Mapped[Decimal]
    cash: Mapped[Decimal]


class KernelState(Table):
    """The kernel's records after one bar: where a restarted runner goes on."""

    __tablename__ = "kernel_state"

    session_id: Mapped[str] = mapped_column(_of_session(), primary_key=True)
    bar_ms: Mapped[int] = mapped_column(BigInteger)
    schema: Mapped[int]
    payload: Mapped[Json]


class Event(Table):
    """The audit trail: appended to, never changed."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "session_id", "id"),)

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    session_id: Mapped[str | None]
    time: Mapped[datetime] = mapped_column(default=_now)
    severity: Mapped[str]
    kind: Mapped[str]
    detail: Mapped[Json]
