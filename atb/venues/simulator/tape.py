"""The price of one symbol over time: its bars as kernel records, the current bar, and the inputs of slippage."""

import math
from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.domain import Bars, Instrument
from atb.engine import records
from atb.engine.parameters import slot_parameters
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.features.indicators import atr
from atb.times import MINUTE_MS
from atb.venues.simulator.capabilities import EVERYTHING, Capabilities
from atb.venues.simulator.capabilities import TRADING as STATUS_TRADING

_RECENT = 64  # trades that an average price may read

CLOSED, TRADING, AFTER_RANGE = (
    0,
    1,
    2,
)  # phases: no bar now; a bar is open; its range was met and its close not yet reached


class Tape:
    """The price of one symbol.

    Within a bar the price is the bar's open until the range moment, one millisecond before the close. At that moment resting orders
    are matched against the whole bar; from then on the price is the bar's close. Resting limit sells that the step to the open has
    passed are matched before anything that is sent at that open. Between bars (a gap in the data) nothing trades and the price
    stays.

    Parameters
    ----------
    bars
        The series that moves the price.
    rules, execution
        Ticks, lots and costs.
    atr_window
        Bars of the ATR that slippage may read.
    usual
        What the symbol allows while no fault changes it.
    """

    def __init__(
        self,
        bars: Bars,
        rules: Instrument,
        execution: ExecutionModel,
        *,
        atr_window: int,
        usual: Capabilities = EVERYTHING,
    ) -> None:
        self.symbol, self.interval, self.rules = rules.symbol.joined, str(bars.timeframe), rules
        self.bars = bars
        self.par: Any = slot_parameters(RiskPolicy(), execution, rules)
        self.market = _records(bars)
        self._atr = _atr_of(bars, atr_window)
        self._slot = np.zeros(1, records.SLOT)
        self.slot: Any = self._slot[0]
        self.phase, self.row = CLOSED, -1
        self.price = float(self.market["open"][0]) if len(self.market) else 0.0
        self.bar: Any = None
        self.usual = self.capabilities = usual
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT)  # (time, price) of the last trades
        self.entered = 0  # how this bar's last buy met it: kernel's `inside`
        self.entered_at = math.nan  # where the market was then; NaN where no buy met this bar's range moment
        self.updates = 0
        self.trades = 0  # trade ids are a symbol's own, the market's and the account's in one row

    @property
    def halted(self) -> bool:
        """Whether the symbol's status keeps it from trading."""
        return self.capabilities.status != STATUS_TRADING

    @property
    def open(self) -> bool:
        """Whether orders are accepted."""
        return self.phase != CLOSED and not self.halted

    @property
    def status(self) -> str:
        """Binance's status of the symbol."""
        if self.halted:
            return self.capabilities.status
        return "TRADING" if self.phase != CLOSED else "BREAK"

    def open_bar(self, row: int, now_ms: int) -> None:
        """Open a bar: its open is the price, and slippage reads the previous bar."""
        self.phase, self.row, self.bar, self.entered, self.entered_at = TRADING, row, self.market[row], 0, math.nan
        self._set_price(self.bar["open"], now_ms)
        self._set_slippage_inputs(row - 1)

    def reach_range(self, now_ms: int) -> Any:
        """Reach the bar's range moment: its close is the price; return the bar to match resting orders against."""
        self.phase, self.entered, self.entered_at = AFTER_RANGE, 0, math.nan
        self._set_price(self.bar["close"], now_ms)
        return self.bar

    def close_bar(self) -> None:
        """Close the bar; nothing trades until another opens."""
        self.phase = CLOSED
        self._set_slippage_inputs(self.row)

    def trade_at(self, price: float, now_ms: int) -> Any:
        """Trade at a scripted price; return a bar of this single price to match resting orders against."""
        bar = np.zeros(1, records.MARKET)
        for name in ("open", "high", "low", "close"):
            bar[name] = price
        self.phase, self.bar, self.entered, self.entered_at = TRADING, bar[0], 0, math.nan
        self._set_price(price, now_ms)
        return self.bar

    def new_trade(self) -> int:
        """Return the id of the symbol's next trade."""
        self.trades += 1
        return self.trades

    def seek(self, now_ms: int) -> tuple[int, int] | None:
        """Return (row, time to open it) of the first bar that is open or still to come at `now_ms`, None if there is none."""
        row = int(np.searchsorted(self.market["closed"], now_ms, side="right"))
        return (row, max(int(self.market["opened"][row]), now_ms)) if row < len(self.market) else None

    def average_price(self, now_ms: int, minutes: int) -> float:
        """Return the mean price of the trades of the last minutes; the last price where there was none, or for 0 minutes."""
        prices = [price for time_ms, price in self._recent if time_ms > now_ms - minutes * MINUTE_MS]
        return sum(prices) / len(prices) if prices else self.price

    def filter_price(self, now_ms: int, minutes: int) -> Decimal:
        """Return the price that filters are evaluated against: the reference price, else the average."""
        reference = self.capabilities.reference_price
        return Decimal(repr(self.average_price(now_ms, minutes))) if reference is None else reference

    def _set_price(self, price: float, now_ms: int) -> None:
        self.price = float(price)
        self._recent.append((now_ms, self.price))
        self.updates += 1

    def _set_slippage_inputs(self, row: int) -> None:
        if row >= 0:
            self.slot["atr"], self.slot["volume"] = self._atr[row], self.market["volume"][row]


def _records(bars: Bars) -> NDArray[np.void]:
    market = np.zeros(len(bars), records.MARKET)
    market["opened"], market["closed"] = bars.opened_ms, bars.closed_ms
    for name in ("open", "high", "low", "close", "volume"):
        market[name] = bars.frame[name].to_numpy()
    return market


def _atr_of(bars: Bars, window: int) -> NDArray[np.float64]:
    """Return the ATR at each bar, NaN while it warms up."""
    if len(bars) <= window:
        return np.full(len(bars), np.nan)
    frame = bars.frame
    return np.asarray(atr(frame["high"], frame["low"], frame["close"], window), dtype=np.float64)
