"""The lower bound: the benchmark's strategy alone, written as two compiled loops without an engine.

It fills as atb does for this strategy, down to the rounding, so it must agree with atb trade by trade and bit by bit. Two switches
give it the fill rules of other engines: agreement under those shows that engines differ by these rules and nothing else.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np

from atb.bench.engines import Engine, EngineResult, FillRules
from atb.bench.workload import CASH, FEE, FRACTION, STAKE, STEP, BenchParameters, GeneratedBars

_Function = TypeVar("_Function", bound=Callable[..., Any])

STEP_SIZE = float(STEP)
INVERSE = float(round(1 / STEP_SIZE))
RESERVE = 0.01  # as in AccountPolicy
NEAR = 1e-6  # a quotient this close to a whole number counts as that number, as in the kernel


class LoopSettings(NamedTuple):
    """Stop, target, size, costs and fill rules, in a form that compiled code takes."""

    stop: float
    target: float
    cash: float
    fraction: float
    stake: float  # quote currency; 0 uses the fraction of equity
    fee: float
    entry_bar: bool
    exit_first: bool


def compiled(function: _Function) -> _Function:
    """Compile with numba and keep the machine code beside this file."""
    return numba.njit(cache=True, error_model="numpy")(function)  # type: ignore[no-any-return] # numba has no types


@compiled
def signal_sides(close: Any, fast: int, slow: int) -> Any:
    """Return 1 where the fast average is above the slow one, 0 elsewhere, -1 until the slow one is defined."""
    sides = np.full(len(close), -1, np.int8)
    quick, steady = 0.0, 0.0
    for i in range(len(close)):
        quick += close[i]
        steady += close[i]
        if i >= slow - 1:
            sides[i] = 1 if quick / fast > steady / slow else 0
            steady -= close[i - slow + 1]
        if i >= fast - 1:
            quick -= close[i - fast + 1]
    return sides


@compiled
def floored(value: float) -> Any:
    """Round down to the step of price and quantity."""
    return np.floor(value / STEP_SIZE + NEAR) / INVERSE


@compiled
def ceiled(value: float) -> Any:
    """Round up to the step of price and quantity."""
    return np.ceil(value / STEP_SIZE - NEAR) / INVERSE


@compiled
def reached(stop: float, target: float, opened: float, high: float, low: float) -> Any:  # noqa: PLR0917 - numba
    """Return the price at which a bar exits a long position, the stop before the target; NaN if it does not."""
    if opened <= stop:
        return floored(opened)
    if opened >= target:
        return opened
    if low <= stop:
        return floored(stop)
    return target if high >= target else np.nan


@compiled
def walk(prices: Any, sides: Any, settings: Any, trades: Any, equity: Any) -> Any:  # noqa: C901, PLR0917 - one loop, by intention
    """Trade one market; write closed trades and the equity at each close, as many as the arrays hold.

    Returns the number of closed trades, the final equity and the largest drawdown.
    """
    opens, highs, lows, closes = prices[0], prices[1], prices[2], prices[3]
    cash, peak, worst, value = settings.cash, settings.cash, 0.0, settings.cash
    quantity, paid, stop, target, entered = 0.0, 0.0, np.nan, np.nan, 0
    wanted, leave, waits, count = 0.0, False, False, 0
    for i in range(len(closes)):
        out = np.nan
        if quantity > 0.0:
            out = reached(stop, target, opens[i], highs[i], lows[i])
            if leave and (settings.exit_first or np.isnan(out)):
                out = floored(opens[i])
            elif not np.isnan(out):
                waits = not leave  # if an exit was due, the signal has already left this side
        elif wanted > 0.0:
            price = ceiled(opens[i])
            cost = wanted * price + wanted * price * settings.fee
            if cost <= cash:
                quantity, paid, entered = wanted, price, i
                cash -= cost
                stop, target = floored(price * (1.0 - settings.stop)), ceiled(price * (1.0 + settings.target))
                if settings.entry_bar:
                    out = reached(stop, target, opens[i], highs[i], lows[i])
                    waits = not np.isnan(out)
        if not np.isnan(out):
            cash += quantity * out - quantity * out * settings.fee
            if count < len(trades):
                trades[count, 0], trades[count, 1], trades[count, 2] = entered, i, paid
                trades[count, 3], trades[count, 4] = out, quantity
            count += 1
            quantity = 0.0
        value = cash + quantity * closes[i]
        if i < len(equity):
            equity[i] = value
        peak = max(peak, value)
        worst = max(worst, 1.0 - value / peak)
        wanted, leave, waits = 0.0, sides[i] == 0, waits and sides[i] == 1
        if sides[i] == 1 and quantity == 0.0 and not waits:
            room = (cash - RESERVE * value) / (1.0 + settings.fee)
            spend = settings.stake if settings.stake > 0.0 else settings.fraction * value
            wanted = floored(min(spend, room) / ceiled(closes[i]))
    return count, value, worst


class BareLoop(Engine):
    """The two loops, called once per combination."""

    def __init__(self, rules: FillRules | None = None) -> None:
        self.fills = rules or FillRules()

    def load(self, market: GeneratedBars) -> GeneratedBars:
        """Return the market as it is."""
        return market

    def single(self, data: GeneratedBars, *, tables: bool = False) -> Any:  # noqa: ARG002 - it has no tables
        """Return counts, trades and the equity curve of one combination."""
        figures, trades, _ = self._whole(data, self._settings(BenchParameters()))
        return [figures], trades

    def several(self, data: Sequence[GeneratedBars]) -> Any:
        """Trade one market after the other and add up their profits."""
        settings = self._settings(BenchParameters())._replace(stake=STAKE)
        walks = [self._whole(market, settings) for market in data]
        equity = CASH + np.sum([curve - CASH for _, _, curve in walks], axis=0)
        offsets = np.cumsum([0] + [len(market) for market in data[:-1]])
        trades = [rows + np.array([first, first, 0, 0, 0]) for (_, rows, _), first in zip(walks, offsets, strict=True)]
        peak = np.maximum(np.maximum.accumulate(equity), CASH)
        closed = sum(figures[0] for figures, _, _ in walks)
        return [(closed, float(equity[-1]), float(np.max(1.0 - equity / peak)))], np.concatenate(trades)

    def many(self, data: GeneratedBars, combinations: Sequence[BenchParameters]) -> Any:
        """Return the figures of each combination; the averages are computed once per pair of windows."""
        nothing, empty = np.empty((0, 5)), np.empty(0)
        pairs = {(parameters.fast, parameters.slow) for parameters in combinations}
        sides = {pair: signal_sides(data.prices[3], *pair) for pair in pairs}
        figures = [
            walk(data.prices, sides[parameters.fast, parameters.slow], self._settings(parameters), nothing, empty)
            for parameters in combinations
        ]
        return figures, nothing

    def result(self, raw: Any) -> EngineResult:
        """Return the figures as plain lists."""
        figures, trades = raw
        counts, values, worst = (list(column) for column in zip(*figures, strict=True))
        return EngineResult(values, counts, worst, trades.tolist())

    def _whole(self, market: GeneratedBars, settings: LoopSettings) -> Any:
        """Return the figures, the trades and the equity curve of one walk."""
        sides = signal_sides(market.prices[3], BenchParameters().fast, BenchParameters().slow)
        trades, equity = np.empty((len(market) // 2 + 1, 5)), np.empty(len(market))
        figures = walk(market.prices, sides, settings, trades, equity)
        return figures, trades[: figures[0]], equity

    def _settings(self, parameters: BenchParameters) -> LoopSettings:
        return LoopSettings(
            parameters.stop, parameters.target, CASH, FRACTION, 0.0, FEE, self.fills.entry_bar, self.fills.exit_first
        )
