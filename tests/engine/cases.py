"""Markets written by hand, played through the kernel; what it did is said in names and plain numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from atb.backtest.simulation import SimulationRecords, simulate
from atb.domain import Instrument, Symbol, Timeframe
from atb.engine import codes, records
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.parameters import slot_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.records import fresh_slots
from atb.engine.slot import Slot
from atb.engine.state import KernelState
from tests.bars import START, bars_of
from tests.instruments import usual
from tests.scenarios import ALL_IN, FREE, Scripted, ohlc

FLAT = (100.0, 100.0, 100.0, 100.0)
NAN = float("nan")


def at(price: float) -> tuple[float, float, float, float]:
    """Return a bar that stays at one price."""
    return (price, price, price, price)


def mirrored(rows: Sequence[Sequence[float]]) -> list[tuple[float, float, float, float]]:
    """Return the market upside down around 100, for shorts."""
    return [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows]


def half(**rules: Any) -> RiskPolicy:
    """Return a policy that puts half of equity into a position, with these rules."""
    return RiskPolicy(**{"fraction": 0.5, **rules})


def account(**limits: Any) -> AccountPolicy:
    """Return an account of 10,000 without a reserve, with these limits."""
    return AccountPolicy(**{"cash": 10_000.0, "reserve": 0.0, **limits})


def rules(symbol: str = "BTC/USDT", **steps: str) -> Instrument:
    """Return an instrument with these steps."""
    return usual(Symbol.parse(symbol), **{name: Decimal(step) for name, step in steps.items()})


@dataclass(frozen=True)
class Played:
    """A problem and what the kernel made of it."""

    problem: KernelInput
    outcome: SimulationRecords

    @property
    def orders(self) -> list[tuple[str, str, float, float]]:
        """Role, side, quantity and price of each order."""
        return [
            (codes.ROLES[int(o["role"])], codes.SIDES[int(o["side"])], float(o["quantity"]), float(o["price"]))
            for o in self.outcome.orders
        ]

    @property
    def reasons(self) -> list[str]:
        return [codes.REASONS[int(reason)] for reason in self.outcome.orders["reason"]]

    @property
    def rows(self) -> list[int]:
        """The bar, counted from 0 within its slot, in which each order filled."""
        return [int(o["row"]) - self.problem.offsets[int(o["slot"])] for o in self.outcome.orders]

    @property
    def refusals(self) -> list[str]:
        return [codes.REFUSALS[int(code)] for code in self.outcome.refusals["reason"]]

    @property
    def quantities(self) -> list[float]:
        return [float(quantity) for quantity in self.outcome.orders["quantity"]]

    @property
    def prices(self) -> list[float]:
        return [float(price) for price in self.outcome.orders["price"]]

    @property
    def last(self) -> Any:
        """The last order's record."""
        return self.outcome.orders[-1]

    @property
    def slot(self) -> Any:
        """The first slot as it ended."""
        return self.outcome.slots[0]

    @property
    def equity(self) -> list[float]:
        return [float(value) for value in self.outcome.equity]


def slot_of(
    rows: Sequence[tuple[float, float, float, float]],
    sides: Sequence[float],
    policy: RiskPolicy | None = None,
    *,
    execution: ExecutionModel = FREE,
    instrument: Instrument | None = None,
    symbol: str = "BTC/USDT",
    timeframe: str = "1h",
    start: str = START,
) -> Slot:
    """Return a slot that follows a script on bars made by hand, free of cost unless told otherwise."""
    frame = ohlc(*rows)
    step = pd.Timedelta(seconds=Timeframe.parse(timeframe).seconds)
    frame.index = pd.date_range(start, periods=len(frame), freq=step, tz="UTC", name="timestamp")
    bars = bars_of(frame, symbol, timeframe)
    return Slot(Scripted(tuple(sides)), bars, policy or half(), execution, instrument or rules(symbol))


def play(rows: Any, sides: Any, policy: RiskPolicy | None = None, **options: Any) -> Played:
    """Play one slot; `account` and columns of bars or signals (`atr=[4.0]`, `volume=[...]`) may stand among the options."""
    names = {name: options.pop(name) for name in list(options) if name in _COLUMNS}
    money = options.pop("account", ALL_IN)
    return together(slot_of(rows, sides, policy, **options), account=money, columns={0: names})


_COLUMNS = ("confidence", "atr", "volatility", "stop", "price", "cluster", "volume", "funding", "first")


def together(*slots: Slot, account: AccountPolicy = ALL_IN, columns: dict[int, dict[str, Any]] | None = None) -> Played:
    """Play slots on one account; `columns` gives, by slot, first values of columns of its bars or signals."""
    problem = prepare(slots, account)
    tables = {"market": problem.market.copy(), "signals": problem.signals.copy()}
    changed = set()
    for s, given in (columns or {}).items():
        for name, values in given.items():
            table = "market" if name in (records.MARKET.names or ()) else "signals"
            tables[table][name][problem.offsets[s] : problem.offsets[s] + len(values)] = values
            changed.add(table)
    if "market" in changed:
        problem = problem.with_market(tables["market"])
    if "signals" in changed:
        problem = problem.with_signals(tables["signals"])
    return Played(problem, simulate(problem))


def walk(problem: KernelInput) -> Iterator[tuple[int, KernelState, list[Any]]]:
    """Step the kernel through a problem; yield the time, the state and the new orders after each step of each event."""
    state = KernelState.fresh(problem.account.cash, limits=problem.limits, parameters=problem.parameters)
    for time, closing, opening in zip(problem.events.tolist(), problem.closing, problem.opening, strict=True):
        for order, _ in state.orders(problem.market, closing, records.RANGE):
            yield time, state, [order]
        if (closing >= 0).any():
            state.take_refusals()
            state.decide(problem.market, problem.signals, closing)
            yield time, state, []
        for order, _ in state.orders(problem.market, opening, records.OPEN):
            yield time, state, [order]
        state.take_refusals()


# --- records by themselves, for the smallest rules ---


def parameters(
    policy: RiskPolicy | None = None, execution: ExecutionModel = FREE, instrument: Instrument | None = None
) -> Any:
    """Return one slot's parameter record."""
    return slot_parameters(policy or half(), execution, instrument or rules())


def slot_record(**values: float) -> Any:
    """Return a flat slot's record with these fields set."""
    return _filled(fresh_slots(1)[0], values)


def bar_record(open_: float, high: float, low: float, close: float) -> Any:
    """Return a bar's record."""
    return _filled(np.zeros(1, records.MARKET)[0], {"open": open_, "high": high, "low": low, "close": close})


def signal_record(**values: float) -> Any:
    """Return a signal's record with these fields set."""
    return _filled(np.zeros(1, records.SIGNAL)[0], values)


def _filled(record: Any, values: dict[str, float]) -> Any:
    for name, value in values.items():
        record[name] = value
    return record
