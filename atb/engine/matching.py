"""How one order meets one bar, and how prices and quantities are rounded: the smallest rules of the kernel.

The exchange simulator's matching uses the same functions, so that a rehearsal can equal a backtest order by order. Part of the
kernel: the subset of Python that numba compiles, hashed with it. Sides are +1 buy and -1 sell; see `atb.engine.kernel`.
"""

import numpy as np

from atb.engine.cache import jit
from atb.engine.records import AT_LIMIT, PARTIAL_EXIT, TAKE_PROFIT, TARGET, Record

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
def write_order(
    order: Record, account: Record, slot: Record, par: Record, s: int, row: int, time: int, side: float, quantity: float,
    met: float, role: int, reason: int, kind: int,
) -> None:  # fmt: skip
    """Fill in one order that met a price: limit orders fill at it and pay the maker's fee, others slip and pay the taker's."""
    price = met if kind == AT_LIMIT else market_price(side, met, quantity, slot, par)
    rate = par["maker_fee"] if kind == AT_LIMIT else par["taker_fee"]
    order["id"], order["slot"], order["row"], order["time"] = account["orders"], s, row, time
    order["side"], order["quantity"], order["price"], order["reference"] = side, quantity, price, met
    order["fee"] = quantity * price * rate
    order["fee_base"] = quantity * rate if par["fee_in_base"] != 0 and side > 0 else 0.0
    order["role"], order["reason"], order["kind"] = role, reason, kind
    order["ambiguous"], order["other"] = 0, np.nan


@jit
def write_target(
    order: Record, account: Record, slot: Record, par: Record, s: int, row: int, time: int, side: float, met: float
) -> None:
    """Fill in the order of a slot's target that met a price."""
    quantity = slot["target_quantity"]
    reason = PARTIAL_EXIT if quantity < abs(slot["quantity"]) else TAKE_PROFIT
    write_order(order, account, slot, par, s, row, time, side, quantity, met, TARGET, reason, AT_LIMIT)


@jit
def cap_price(order: Record, limit: float, par: Record) -> None:
    """Keep a market order from filling at a worse price than `limit`, with the fee that belongs to it."""
    if order["side"] * (order["price"] - limit) > 0.0:
        order["price"], order["fee"] = limit, order["quantity"] * limit * par["taker_fee"]


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
def stop_after_entry(side: float, stop: float, entered: float, bar: Record) -> float:
    """Return where a stop of `side` is hit that is placed inside a bar, when its entry met `entered` there; NaN if it is not.

    An entry that slips farther than its stop's distance has its stop on the wrong side of the market: it meets the market at once.
    """
    return entered if side * (entered - stop) >= 0.0 else level_reached(side, stop, bar)


@jit
def passes(side: float, limit: float, bar: Record) -> bool:
    """Tell whether a bar opens at a limit order's price or better."""
    return bar["open"] >= limit if side < 0 else bar["open"] <= limit


@jit
def limit_price(side: float, limit: float, bar: Record, at_open: int) -> float:
    """Return the fill price of a limit order of `side` that rests when a bar opens, or NaN.

    It is met at its own price, also where the open has passed it: takers reach it on the way there. With `at_open` it gets the
    better open then.
    """
    if passes(side, limit, bar):
        return bar["open"] if at_open != 0 else limit
    return level_reached(-side, limit, bar)


@jit
def level_reached(side: float, level: float, bar: Record) -> float:
    """Return a level that the bar reaches going down (`side` -1) or up (+1), wherever it opened, or NaN."""
    reached = bar["low"] <= level if side < 0 else bar["high"] >= level
    return level if reached else np.nan
