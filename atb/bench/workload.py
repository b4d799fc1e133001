"""The workload of every engine: the same generated bars, strategy, costs, and parameter grids.

The strategy is simple but complete: long while the 20-bar average is above the 50-bar average, with stop, target and fee, without
slippage. Decisions at the close, fills at the next open. Two properties of the bars make engines comparable to the last bit
without helping any of them: prices are quarters of a unit, so that sums over a window are exact and all moving averages equal
however they are computed; and each bar opens at the close before it, so that a fraction of the equity is the same quantity
whether an engine sizes at the decision or at the fill.
"""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atb.engine.records import Floats

if TYPE_CHECKING:
    import pandas as pd


TICK = (
    0.25  # of the generated prices; the instrument's own tick is finer, so that stops lie where every engine puts them
)
STEP = "0.000001"  # tick and lot of the instrument
CASH = 1e12  # large enough that rounding to lots or whole units does not show
FRACTION = 0.95
STAKE = CASH / 100  # value of a position where several markets share the account
MARKETS = 10
FEE = 0.001
START = "2015-01-01"
SIGMA = 0.002  # per bar
# With this seed no bar of the first 100,000 holds what vectorbt's own fill rules would treat differently (see `FillRules`), and
# the first signal comes after the warm-up: every engine must find the same 930 trades.
SEED = 40
WILD = 0.01  # sigma of bars in which the rules of engines do show
TREND, PERIOD = 0.0003, 4_000  # a slow swing, so that fees alone do not decide the final equity
CALM = 400  # falling bars at the start, so that no engine has a signal before all are warmed up


@dataclass(frozen=True)
class BenchParameters:
    """Parameters of the strategy: two windows in bars, stop and target as fractions of the entry price."""

    fast: int = 20
    slow: int = 50
    stop: float = 0.02
    target: float = 0.04


@dataclass(frozen=True)
class GeneratedBars:
    """Generated bars as one (4, bars) array of open, high, low and close."""

    prices: Floats

    def __len__(self) -> int:
        """Return the number of bars."""
        return int(self.prices.shape[1])

    def copy(self) -> "GeneratedBars":
        """Return the same bars in new memory, so that caches keyed by the old ones do not help."""
        return GeneratedBars(self.prices.copy())

    def frame(self, *, zone: str | None = "UTC") -> "pd.DataFrame":
        """Return hourly bars with a volume of 1 as a new frame; `zone` None gives times without one."""
        import pandas as pd

        index = pd.date_range(START, periods=len(self), freq="1h", tz=zone, name="timestamp")
        columns = dict(zip(("open", "high", "low", "close"), self.prices, strict=True))
        return pd.DataFrame({name: column.copy() for name, column in columns.items()} | {"volume": 1.0}, index=index)


def generate(bars: int, seed: int, *, sigma: float = SIGMA, gap: float = 0.0) -> GeneratedBars:
    """Return a seeded random walk around a slow swing, rounded to `TICK`, after `CALM` bars of steady fall.

    Parameters
    ----------
    bars, seed
        Number of bars, and seed of the walk.
    sigma
        Standard deviation of a bar's log return.
    gap
        Standard deviation of the gap between a close and the next open; 0 for no gaps.
    """
    rng = np.random.default_rng(seed)
    swing = TREND * np.sin(2 * np.pi * np.arange(bars) / PERIOD)
    steps = rng.normal(0.0, sigma, bars) + swing
    steps[:CALM] = -TREND
    close = 30_000.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[30_000.0], close[:-1]]) * np.exp(rng.normal(0.0, 1.0, bars) * gap)
    opened, close = np.maximum(np.round(np.stack([opened, close]) / TICK), 1.0) * TICK
    reach = np.abs(rng.normal(0.0, sigma / 4, (2, bars)))
    high = np.ceil(np.maximum(opened, close) * (1.0 + reach[0]) / TICK) * TICK
    low = np.maximum(np.floor(np.minimum(opened, close) * (1.0 - reach[1]) / TICK), 1.0) * TICK
    return GeneratedBars(np.stack([opened, high, low, close]))


def policy_grid(count: int) -> list[BenchParameters]:
    """Return `count` settings that differ in stop and target, as near to a square as `count` allows.

    No stop or target falls exactly on a market price, where rounding of the last bit would decide whether it was touched.
    """
    few, many = _sides(count)
    stops, targets = np.linspace(0.015, 0.04, few), np.linspace(0.02, 0.08, many)
    return [BenchParameters(stop=_off_grid(stop), target=_off_grid(target)) for stop in stops for target in targets]


def _off_grid(distance: float) -> float:
    """Return the nearest larger number of millionths without a factor in common with ten."""
    return next(k for k in itertools.count(round(distance * 1e6)) if math.gcd(k, 10) == 1) / 1e6


def strategy_grid(count: int) -> list[BenchParameters]:
    """Return `count` settings that differ in the two windows; stop and target off the market's prices, as in `policy_grid`."""
    few, many = _sides(count)
    stop, target = _off_grid(0.02), _off_grid(0.04)
    return [BenchParameters(5 + i, 10 + few + 2 * j, stop, target) for i in range(few) for j in range(many)]


def _sides(count: int) -> tuple[int, int]:
    few = next(side for side in range(int(count**0.5), 0, -1) if count % side == 0)
    return few, count // few
