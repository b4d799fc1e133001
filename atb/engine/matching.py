"""How one order meets one bar, and how prices and quantities are rounded: the smallest rules of the kernel.

The exchange simulator's matching uses the same functions, so that a rehearsal can equal a backtest order by order. Part of the
kernel: the subset of Python that numba compiles, hashed with it. Sides are +1 buy and -1 sell; see `atb.engine.kernel`.
"""

import numpy as np

from atb.engine.cache import jit
from atb.engine.records import Record

_EPSILON = 1e-6  # a quotient this close below a whole number counts as that number: 0.3 / 0.1 is 2.9999999999999996
_WORST = 0.9  # slippage never takes more than this fraction of the price


@jit
def on_grid(count: float, step: float, inverse: float) -> float:
    """Return `count` steps; dividing by a whole inverse gives the double nearest to the decimal number."""
    if inverse > 0.0:
        return count / inverse
    return count * step


@jit
def floor_lot(quantity: float, par: Record) -> float:
    """Round a quantity down to lots."""
    return on_grid(np.floor(quantity / par["lot"] + _EPSILON), par["lot"], par["lot_inverse"])


@jit
def round_lots(quantity: float, par: Record) -> float:
    """Return a signed quantity as the nearest number of whole lots: sums of decimals leave crumbs in binary."""
    return on_grid(np.floor(quantity / par["lot"] + 0.5), par["lot"], par["lot_inverse"]) + 0.0  # never -0.0


@jit
def round_price(side: float, price: float, par: Record) -> float:
    """Round a price to the tick against the trader: up for a buy, down for a sell."""
    steps = price / par["tick"]
    count = np.ceil(steps - _EPSILON) if side > 0 else np.floor(steps + _EPSILON)
    return on_grid(count, par["tick"], par["tick_inverse"])


@jit
def tighter(side: float, one: float, other: float) -> float:
    """Return the stop of the two that is nearer to the price of a position of `side`; NaN is no stop."""
    if np.isnan(one) or (one - other) * side < 0.0:
        return other
    return one


@jit
def slippage(quantity: float, price: float, slot: Record, par: Record) -> float:
    """Return the slippage of a market order as a fraction: fixed, by volatility, and by its share of the last bar's volume."""
    slip = par["slippage"]
    if par["slippage_atr"] > 0.0 and slot["atr"] > 0.0:
        slip += par["slippage_atr"] * slot["atr"] / price
    if par["impact"] > 0.0 and quantity > 0.0:
        share = min(1.0, quantity / slot["volume"]) if slot["volume"] > 0.0 else 1.0
        slip += par["impact"] * np.sqrt(share)
    return min(slip, _WORST)


@jit
def market_price(side: float, price: float, quantity: float, slot: Record, par: Record) -> float:
    """Return the fill price of a market order that meets `price`: slipped and rounded against the trader."""
    return round_price(side, price * (1.0 + side * slippage(quantity, price, slot, par)), par)


@jit
def stop_trigger(side: float, stop: float, bar: Record) -> float:
    """Return the price at which a resting stop of `side` is hit by a bar: the stop, the open on a gap, or NaN."""
    if side < 0:  # sell stop below a long
        if bar["open"] <= stop:
            return bar["open"]
        return stop if bar["low"] <= stop else np.nan
    if bar["open"] >= stop:
        return bar["open"]
    return stop if bar["high"] >= stop else np.nan


@jit
def limit_price(side: float, limit: float, bar: Record) -> float:
    """Return the fill price of a resting limit order of `side` in a bar: the limit, a better open, or NaN."""
    if side < 0:  # sell limit above a long
        if bar["open"] >= limit:
            return bar["open"]
        return limit if bar["high"] >= limit else np.nan
    if bar["open"] <= limit:
        return bar["open"]
    return limit if bar["low"] <= limit else np.nan


@jit
def level_reached(side: float, level: float, bar: Record) -> float:
    """Return a level that the bar reaches going down (`side` -1) or up (+1), wherever it opened, or NaN."""
    reached = bar["low"] <= level if side < 0 else bar["high"] >= level
    return level if reached else np.nan
