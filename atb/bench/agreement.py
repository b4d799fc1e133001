"""Whether two engines agree: trade by trade for one backtest, combination by combination for a sweep."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.bench.engines import EngineResult

EXACT = 0.0
SUMMED = 1e-12  # equity summed over markets in another order
# Engines other than atb do not round stops to the instrument's tick and quantities to its lot (both 0.000001), and sum in other
# orders. Over a thousand compounded trades that stays far below a millionth.
ROUNDED = 1e-6
# backtesting.py trades whole units, of which a position here has some ten thousand.
WHOLE_UNITS = 1e-4
QUANTITY = 4  # column


@dataclass(frozen=True)
class Agreement:
    """Whether results agree, and a sentence that says so."""

    agrees: bool
    text: str


def compare(
    reference: EngineResult, other: EngineResult, *, tolerance: float = EXACT, sums: float = EXACT
) -> Agreement:
    """Compare two results.

    Trades, equities and drawdowns may differ by `tolerance` times their value; equities and drawdowns by `sums` if that is more.
    A sweep that was cut short is compared as far as it ran.
    """
    if reference.trades or other.trades:
        same, mine, theirs = equal_trades(reference, other, tolerance=tolerance), reference.trades, other.trades
        if not same == len(mine) == len(theirs):
            return Agreement(False, f"{same} of {len(mine)} trades are equal, it has {len(theirs)}")
    count = min(len(reference.final_equity), len(other.final_equity))
    if not count:
        return Agreement(False, "nothing to compare")
    differing = _differing(reference, other, count=count, tolerance=max(tolerance, sums))
    if differing.any():
        first = int(np.argmax(differing))
        found = reference.final_equity[first], other.final_equity[first]
        return Agreement(
            False, f"{int(differing.sum())} of {count} results differ, the first: {found[0]!r}, {found[1]!r}"
        )
    what = f"{len(reference.trades)} trades" if reference.trades else f"{count} combinations"
    return Agreement(True, f"{what} equal")


def equal_trades(reference: EngineResult, other: EngineResult, *, tolerance: float) -> int:
    """Return how many trades of the reference the other has too, with the same bars, prices and quantity."""
    mine, theirs = _table(reference), _table(other)
    _, left, right = np.intersect1d(mine[:, 0], theirs[:, 0], return_indices=True)
    return int(_near(mine[left, 1:], theirs[right, 1:], tolerance).all(axis=1).sum())


def equal_prices(reference: EngineResult, other: EngineResult, *, tolerance: float) -> int:
    """Return how many trades of the reference the other has at the same bars and prices, whatever the quantity.

    Quantities depend on equity, so one differing trade changes all later ones.
    """
    mine, theirs = _table(reference)[:, :QUANTITY], _table(other)[:, :QUANTITY]
    _, left, right = np.intersect1d(mine[:, 0], theirs[:, 0], return_indices=True)
    return int(_near(mine[left, 1:], theirs[right, 1:], tolerance).all(axis=1).sum())


def _differing(reference: EngineResult, other: EngineResult, *, count: int, tolerance: float) -> NDArray[np.bool_]:
    """Return which combinations differ in equity, number of trades or drawdown."""
    equity = _near(np.array(reference.final_equity[:count]), np.array(other.final_equity[:count]), tolerance)
    closed = np.array(reference.trades_closed[:count]) == np.array(other.trades_closed[:count])
    worst = np.array(reference.max_drawdown[:count]), np.array(other.max_drawdown[:count])
    # Drawdowns are compared absolutely: percent and back changes the last bit.
    return np.asarray(~(equity & closed & (np.abs(worst[0] - worst[1]) <= max(tolerance, 1e-12))))


def _near(mine: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(mine - theirs) <= tolerance * np.abs(mine))


def _table(found: EngineResult) -> NDArray[np.float64]:
    return np.array(found.trades, np.float64).reshape(-1, 5)
