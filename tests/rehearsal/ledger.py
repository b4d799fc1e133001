"""A portfolio of plain values and steps made by hand: what the journal, the kill switch and the breakers are tested with."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np

from atb.db import Database
from atb.domain import Fill, Order, Symbol
from atb.domain.timeframe import Timeframe
from atb.engine import records
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.state import KernelState
from atb.live.journal.breakers import Breakers
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import KillSwitch
from atb.live.journal.lease import Lease, _take
from atb.live.journal.step import Change, Decided, Execution, Step, Working
from tests.instruments import usual

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
BTC, ETH = Symbol.parse("BTC/USDT"), Symbol.parse("ETH/USDT")


class StillClock:
    """A clock that tells what it is told."""

    def __init__(self, ms: int = START) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


def plan(symbol: Symbol = BTC, sha: str = "a" * 64, strategy: str = "sma_cross") -> Any:
    return SimpleNamespace(
        manifest=SimpleNamespace(content_sha256=sha), strategy=SimpleNamespace(name=strategy), symbol=symbol,
        timeframe=Timeframe.parse("1h"),
    )  # fmt: skip


@dataclass(frozen=True)
class Plans:
    """A portfolio, as the journal knows one."""

    plans: tuple[Any, ...] = field(default_factory=lambda: (plan(), plan(ETH, "b" * 64)))
    key: str = "c" * 64
    account: AccountPolicy = field(default_factory=AccountPolicy)

    def identity(self) -> dict[str, str]:
        return {"mode": "paper", "key": self.key}

    def fresh_state(self) -> KernelState:
        rows = [slot_parameters(RiskPolicy(), ExecutionModel(), usual(plan.symbol)) for plan in self.plans]
        return KernelState.fresh(
            self.account.cash,
            limits=account_parameters(self.account),
            parameters=np.array(rows, records.SLOT_PARAMETERS),
        )


def take(database: Database, clock: StillClock | None = None, account: str = "paper") -> Lease:
    return _take(database, account, clock or StillClock())


def open_journal(
    database: Database, *, portfolio: Plans | None = None, breakers: Breakers | None = None,
    switch: KillSwitch | None = None, clock: StillClock | None = None,
) -> Journal:  # fmt: skip
    """Begin a session, or go on with it, as a runner would that takes the account over."""
    present = clock or StillClock()
    made = Journal(
        database, take(database, present), present, portfolio=portfolio or Plans(), breakers=breakers, switch=switch
    )
    made.begin(START, {"speed": None})
    return made


def order(role: str = "entry", bar: int = 0, *, symbol: Symbol = BTC, **changes: Any) -> Order:
    """Make an order whose id says what it is for."""
    attempt = changes.pop("attempt", 0)
    values = {"client_id": f"atb-{symbol.base.lower()}-{bar}-{role[0] if role != 'exit' else 'x'}{attempt}",
              "symbol": symbol, "side": "buy" if role == "entry" else "sell", "role": role, "type": "market",
              "quantity": Decimal("0.5")}  # fmt: skip
    return Order(**values | changes)


def working(role: str = "entry", bar: int = 0, **changes: Any) -> Working:
    """Make a working order; what is no part of an order is the working order's."""
    own = {name: changes.pop(name) for name in ("state", "list_id", "sent_ms", "slot") if name in changes}
    if own.get("slot") == 1:
        changes.setdefault("symbol", ETH)
    return Working(order(role, bar, **changes), START + bar * HOUR, **{"state": "sent", **own})


def close(bar: int, *, slots: tuple[int, ...] = (0,), price: float = 100.0, **parts: Any) -> Step:
    """Make the step at the close of a bar, counted from the session's first."""
    opened = START + bar * HOUR
    decided = [Decided(slot, opened, {"bar": {"close": price}, "side": 1.0}) for slot in slots]
    state = {"schema": 1, "account": {}, "slots": [{"quantity": 0.0}, {"quantity": 0.0}], "bar": bar}
    values = {"decided": decided, "equity": 10_000.0 + bar, "cash": 10_000.0, "state": state}
    return Step(opened + HOUR, opened, **values | parts)


def filled(
    of: Order, number: int, *, time_ms: int = START, trade_id: str = "", slot: int = 0, **changes: Any
) -> Execution:
    values = {"trade_id": trade_id or f"t{number}", "client_id": of.client_id, "symbol": of.symbol, "side": of.side,
              "price": Decimal(100), "quantity": of.quantity, "fee": Decimal("0.05"), "fee_asset": "USDT",
              "fee_value": Decimal("0.05"), "time_ms": time_ms}  # fmt: skip
    return Execution(
        Fill(**values | changes), of, number, "entry_signal" if of.role == "entry" else "exit_signal", slot
    )


def round_trip(*, slot: int = 0, entry_ms: int = START, exit_ms: int = START + HOUR, pnl: float = 1.5) -> np.void:
    record = np.zeros(1, records.TRADE)[0]
    values = {"slot": slot, "side": 1, "quantity": 0.5, "entry_time": entry_ms, "entry_price": 100.0,
              "exit_time": exit_ms, "exit_price": 103.0, "fees": 0.1, "pnl": pnl, "bars_held": 1,
              "reason": records.SIGNAL_EXIT}  # fmt: skip
    for name, value in values.items():
        record[name] = value
    return record


def became(working: Working, state: str, **changes: Any) -> dict[str, Change]:
    return {working.order.client_id: Change(state, **changes)}


def resend(working: Working) -> Working:
    """Make the next attempt at an order."""
    head, _, tail = working.order.client_id.rpartition("-")
    return replace(working, order=replace(working.order, client_id=f"{head}-{tail[0]}{int(tail[1:]) + 1}"))
