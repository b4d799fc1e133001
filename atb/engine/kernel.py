"""The decision kernel: the only code that decides, fills in simulation, and accounts.

Three pure functions over structured arrays, called once per timestamp with all slots (a slot is one strategy on one symbol):

    decide      once per closed bar: mark to market, then write each slot's intents for its next bar
    next_order  simulated venues only: the next single order that meets a bar, exits before entries, then stop and target
    apply_fill  every fill, simulated or an exchange's: fold it into the account and the slot

`run` drives them over a history. The backtest calls `run`; the live runner calls the three functions one bar at a time; both
execute the same machine code. Everything here is in the subset of Python that numba compiles, and runs unchanged as plain Python.
There is no clock, no randomness, no input or output, and no global that a caller could want to change.

Fill model. Decisions at the close of bar t. A market order fills at the open of the slot's next bar, worsened by slippage. A stop
rests from the moment of the entry's fill, the entry bar included: it fills at its price, or at the open when the bar gaps
through it, worsened by slippage. A target is a limit order: it fills at its price, or at the open when that is better, without
slippage. When one bar touches both, the stop wins (or the target, if the policy says so) and the fill is counted as ambiguous.
Prices are rounded to ticks against the trader, quantities down to lots.

Units. Prices in quote per base, quantities in base, cash, equity and fees in quote, fees and slippage as fractions, times in epoch
milliseconds UTC. Sides are +1 buy or long and -1 sell or short.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.engine.cache import jit
from atb.engine.records import (
    BELOW_MIN_NOTIONAL,
    ENTRY,
    EXIT,
    NO_CASH,
    NO_EXPOSURE,
    NO_PRICE,
    NO_SHORTS,
    OPEN,
    ORDER,
    RANGE,
    SHRUNK_BY_CASH,
    SHRUNK_BY_EXPOSURE,
    SIGNAL_ENTRY,
    SIGNAL_EXIT,
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
    TARGET,
    TOO_SMALL,
    TRADE,
)

# Annotations for readers and mypy; numba infers its own. A record is written through: it is a view of its array.
Records = NDArray[np.void]
Record = Any
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

# A quotient this close below a whole number counts as that number: 0.3 / 0.1 is 2.9999999999999996.
_EPSILON = 1e-6


# --- Rounding --------------------------------------------------------------------------------------------------------


@jit
def on_grid(count: float, step: float, inverse: float) -> float:
    """Return `count` steps; dividing by a whole inverse gives the double nearest to the decimal number."""
    if inverse > 0.0:
        return count / inverse
    return count * step


@jit
def floor_to(value: float, step: float, inverse: float) -> float:
    """Round down to the grid of a tick or lot."""
    return on_grid(np.floor(value / step + _EPSILON), step, inverse)


@jit
def ceil_to(value: float, step: float, inverse: float) -> float:
    """Round up to the grid of a tick or lot."""
    return on_grid(np.ceil(value / step - _EPSILON), step, inverse)


@jit
def against(side: float, price: float, parameter: Record) -> float:
    """Round a price to the tick against the trader: up for a buy, down for a sell."""
    if side > 0:
        return ceil_to(price, parameter["tick"], parameter["tick_inverse"])
    return floor_to(price, parameter["tick"], parameter["tick_inverse"])


# --- How an order meets a bar: also the exchange simulator's matching rules -------------------------------------------


@jit
def market_price(side: float, price: float, parameter: Record) -> float:
    """Return the fill price of a market order that meets `price`: slipped and rounded against the trader."""
    return against(side, price * (1.0 + side * parameter["slippage"]), parameter)


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


# --- decide ----------------------------------------------------------------------------------------------------------


@jit
def mark(account: Records, slots: Records, bars: Records, rows: Rows) -> None:
    """Mark positions to the close, extend excursions, and write equity and its peak."""
    for s in range(len(slots)):
        if rows[s] < 0:
            continue
        slot, bar = slots[s], bars[rows[s]]
        slot["mark"] = bar["close"]
        if slot["quantity"] != 0.0:
            slot["bars_held"] += 1
            slot["highest"] = max(slot["highest"], bar["high"])
            slot["lowest"] = min(slot["lowest"], bar["low"])
    value = account[0]["cash"]
    for s in range(len(slots)):
        if slots[s]["quantity"] != 0.0:
            value += slots[s]["quantity"] * slots[s]["mark"]
    account[0]["equity"] = value
    account[0]["peak"] = max(account[0]["peak"], value)


@jit
def entry_quantity(
    account: Record, limit: Record, slot: Record, parameter: Record, side: float, gross: float, committed: float
) -> float:
    """Return the quantity (>= 0) to enter with, and write the slot's refusal code when the wanted size is cut or refused.

    `gross` is the exposure that stays and that was decided before at this timestamp, `committed` the cash those entries will
    take. Cash that an exit of this same timestamp would free is not counted: that exit has not filled yet.
    """
    price = market_price(side, slot["mark"], parameter)
    if not price > 0.0:
        slot["refusal"] = NO_PRICE
        return 0.0
    value = parameter["fraction"] * account["equity"]
    shrunk = 0
    room = limit["max_gross"] * account["equity"] - gross
    if room < value:
        value, shrunk = room, SHRUNK_BY_EXPOSURE
    if side > 0.0:
        cash = (account["cash"] - limit["reserve"] * account["equity"] - committed) / (1.0 + parameter["taker_fee"])
        if cash < value:
            value, shrunk = cash, SHRUNK_BY_CASH
    quantity = floor_to(value / price, parameter["lot"], parameter["lot_inverse"])
    if not quantity > 0.0 or quantity < parameter["min_quantity"]:
        slot["refusal"] = TOO_SMALL
        if shrunk == SHRUNK_BY_CASH:
            slot["refusal"] = NO_CASH
        elif shrunk == SHRUNK_BY_EXPOSURE:
            slot["refusal"] = NO_EXPOSURE
        return 0.0
    if quantity * price < parameter["min_notional"]:
        slot["refusal"] = BELOW_MIN_NOTIONAL
        return 0.0
    slot["refusal"] = shrunk
    return quantity


@jit
def decide(
    account: Records, limits: Records, slots: Records, parameters: Records, bars: Records, signals: Records, rows: Rows
) -> None:
    """Decide at the close of the bars `bars[rows[s]]`; a slot whose row is negative has no bar here and keeps its intents.

    A signal that left the position's side exits at the next open; a signal for a side that is not held enters there; both
    at once is a reversal. NaN is no opinion: hold what is held.
    """
    mark(account, slots, bars, rows)
    # Entries compete in slot order for what earlier ones leave: pending entries of slots without a bar here come first.
    gross = 0.0
    committed = 0.0
    for s in range(len(slots)):
        gross += abs(slots[s]["quantity"]) * slots[s]["mark"]
        if rows[s] < 0 and slots[s]["entry"] != 0.0:
            gross += abs(slots[s]["entry"]) * slots[s]["mark"]
            committed += max(slots[s]["entry"], 0.0) * slots[s]["mark"] * (1.0 + parameters[s]["taker_fee"])
    for s in range(len(slots)):
        if rows[s] < 0:
            continue
        slot = slots[s]
        parameter = parameters[s]
        side = signals[rows[s]]["side"]
        slot["entry"] = 0.0
        slot["exit"] = 0.0
        slot["exit_reason"] = 0
        slot["refusal"] = 0
        if np.isnan(side):
            continue
        if side != slot["waits"]:
            slot["waits"] = 0.0
        held = np.sign(slot["quantity"])
        if held != 0.0 and side != held:
            slot["exit"] = -slot["quantity"]
            slot["exit_reason"] = SIGNAL_EXIT
        if side == 0.0 or side == held or side == slot["waits"]:
            continue
        if side < 0.0 and parameter["allow_short"] == 0:
            slot["refusal"] = NO_SHORTS
            continue
        own = (
            abs(slot["quantity"]) * slot["mark"]
        )  # a reversal closes first: its own exposure does not stand in its way
        quantity = entry_quantity(account[0], limits[0], slot, parameter, side, gross - own, committed)
        slot["entry"] = side * quantity if quantity > 0.0 else 0.0
        gross += quantity * slot["mark"]
        if side > 0.0:
            committed += quantity * slot["mark"] * (1.0 + parameter["taker_fee"])


# --- next_order ------------------------------------------------------------------------------------------------------


@jit
def write_order(
    order: Record,
    account: Record,
    s: int,
    row: int,
    time: int,
    side: float,
    quantity: float,
    price: float,
    fee_rate: float,
    role: int,
    reason: int,
    ambiguous: int,
) -> None:
    """Fill in one order record; the fee is value times rate."""
    order["id"] = account["orders"]
    order["slot"] = s
    order["row"] = row
    order["time"] = time
    order["side"] = side
    order["quantity"] = quantity
    order["price"] = price
    order["fee"] = quantity * price * fee_rate
    order["role"] = role
    order["reason"] = reason
    order["ambiguous"] = ambiguous


@jit
def exit_at_open(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows
) -> bool:
    """Write the first pending exit that meets its bar's open; tell whether there was one."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["exit"] == 0.0:
            continue
        bar = bars[rows[s]]
        side = 1 if slots[s]["exit"] > 0.0 else -1
        price = market_price(side, bar["open"], parameters[s])
        quantity, fee = abs(slots[s]["exit"]), parameters[s]["taker_fee"]
        write_order(
            order, account, s, rows[s], bar["opened"], side, quantity, price, fee, EXIT, slots[s]["exit_reason"], 0
        )
        return True
    return False


@jit
def entry_at_open(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows
) -> bool:
    """Write the first pending entry that meets its bar's open; one that the cash cannot pay is refused, as a venue would."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["entry"] == 0.0:
            continue
        bar = bars[rows[s]]
        side = 1 if slots[s]["entry"] > 0.0 else -1
        price = market_price(side, bar["open"], parameters[s])
        quantity, fee = abs(slots[s]["entry"]), parameters[s]["taker_fee"]
        if side > 0 and quantity * price + quantity * price * fee > account["cash"]:
            slots[s]["entry"] = 0.0
            slots[s]["refusal"] = NO_CASH
            continue
        write_order(order, account, s, rows[s], bar["opened"], side, quantity, price, fee, ENTRY, SIGNAL_ENTRY, 0)
        return True
    return False


@jit
def exit_in_range(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows
) -> bool:
    """Write the first resting stop or target that its bar reaches; tell whether there was one."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["quantity"] == 0.0:
            continue
        slot, parameter, bar = slots[s], parameters[s], bars[rows[s]]
        side = -1 if slot["quantity"] > 0.0 else 1
        stop = stop_trigger(side, slot["stop"], bar)
        target = limit_price(side, slot["target"], bar)
        if np.isnan(stop) and np.isnan(target):
            continue
        # A price met at the open comes before anything inside the bar; only two prices inside it are ambiguous.
        both = not np.isnan(stop) and not np.isnan(target)
        ambiguous = 1 if both and stop != bar["open"] and target != bar["open"] else 0
        stop_wins = not np.isnan(stop) and (
            not both or stop == bar["open"] or (target != bar["open"] and parameter["target_first"] == 0)
        )
        if stop_wins:
            met, price, fee = stop, market_price(side, stop, parameter), parameter["taker_fee"]
            role, reason = STOP, STOP_LOSS
        else:
            met, price, fee = target, target, parameter["maker_fee"]
            role, reason = TARGET, TAKE_PROFIT
        time = bar["opened"] if met == bar["open"] else bar["closed"]
        quantity = abs(slot["quantity"])
        write_order(order, account, s, rows[s], time, side, quantity, price, fee, role, reason, ambiguous)
        return True
    return False


@jit
def next_order(
    order: Records, account: Records, slots: Records, parameters: Records, bars: Records, rows: Rows, phase: int
) -> bool:
    """Write into `order[0]` the next order that meets the bars, and tell whether there was one; `apply_fill` must follow.

    `phase` OPEN: pending exits of all slots, then pending entries, at the open of `bars[rows[s]]`. RANGE: resting stops and
    targets inside it. Slots with a negative row are passed over.
    """
    if phase == RANGE:
        return exit_in_range(order[0], account[0], slots, parameters, bars, rows)
    return exit_at_open(order[0], account[0], slots, parameters, bars, rows) or entry_at_open(
        order[0], account[0], slots, parameters, bars, rows
    )


# --- apply_fill ------------------------------------------------------------------------------------------------------


@jit
def protect(slot: Record, parameter: Record) -> None:
    """Place the resting stop and target at their distances from the average entry price, rounded away from it."""
    side = 1.0 if slot["quantity"] > 0.0 else -1.0
    stop = slot["entry_price"] * (1.0 - side * parameter["stop_loss"])
    target = slot["entry_price"] * (1.0 + side * parameter["take_profit"])
    slot["stop"] = np.nan if np.isnan(stop) else against(-side, stop, parameter)
    slot["target"] = np.nan if np.isnan(target) else against(side, target, parameter)


@jit
def clear(slot: Record) -> None:
    """Reset the slot to flat; its mark, waiting side and refusal stay."""
    slot["quantity"] = 0.0
    slot["entry_price"] = np.nan
    slot["entry_time"] = 0
    slot["stop"] = np.nan
    slot["target"] = np.nan
    slot["highest"] = np.nan
    slot["lowest"] = np.nan
    slot["bars_held"] = 0
    slot["opened_quantity"] = 0.0
    slot["exit_value"] = 0.0
    slot["realised"] = 0.0
    slot["fees"] = 0.0


@jit
def enter(slot: Record, parameter: Record, fill: Record) -> None:
    """Fold an entry fill into the slot: average price, protection; excursions start at the price of the first fill."""
    if slot["quantity"] == 0.0:
        slot["entry_price"] = fill["price"]
        slot["entry_time"] = fill["time"]
        slot["highest"] = fill["price"]
        slot["lowest"] = fill["price"]
    else:
        held, added = abs(slot["quantity"]), fill["quantity"]
        slot["entry_price"] = (held * slot["entry_price"] + added * fill["price"]) / (held + added)
    slot["quantity"] += fill["side"] * fill["quantity"]
    slot["opened_quantity"] += fill["quantity"]
    slot["entry"] -= fill["side"] * fill["quantity"]
    if slot["entry"] * fill["side"] < 0.0:
        slot["entry"] = 0.0
    protect(slot, parameter)


@jit
def write_trade(trade: Record, slot: Record, fill: Record, side: float) -> None:
    """Fill in the round trip that `fill` closes."""
    trade["slot"] = fill["slot"]
    trade["side"] = side
    trade["quantity"] = slot["opened_quantity"]
    trade["entry_time"] = slot["entry_time"]
    trade["entry_price"] = slot["entry_price"]
    trade["exit_time"] = fill["time"]
    trade["exit_price"] = slot["exit_value"] / slot["opened_quantity"]
    trade["fees"] = slot["fees"]
    trade["pnl"] = slot["realised"] - slot["fees"]
    best = slot["highest"] if side > 0 else slot["lowest"]
    worst = slot["lowest"] if side > 0 else slot["highest"]
    trade["mfe"] = max(0.0, side * (best / slot["entry_price"] - 1.0))
    trade["mae"] = max(0.0, side * (1.0 - worst / slot["entry_price"]))
    trade["bars_held"] = slot["bars_held"]
    trade["reason"] = fill["reason"]


@jit
def apply_fill(account: Records, slots: Records, parameters: Records, fill: Records, trade: Records) -> bool:
    """Fold the fill `fill[0]` (an ORDER record) into account and slot; tell whether it closed the trade now in `trade[0]`."""
    f = fill[0]
    a = account[0]
    slot = slots[f["slot"]]
    value = f["quantity"] * f["price"]
    if f["side"] > 0:
        a["cash"] -= value + f["fee"]
    else:
        a["cash"] += value - f["fee"]
    a["fees"] += f["fee"]
    a["orders"] += 1
    slot["fees"] += f["fee"]
    if f["role"] == ENTRY:
        enter(slot, parameters[f["slot"]], f)
        return False
    side = 1 if slot["quantity"] > 0.0 else -1
    slot["highest"] = max(slot["highest"], f["price"])
    slot["lowest"] = min(slot["lowest"], f["price"])
    slot["exit_value"] += value
    slot["realised"] += side * (f["price"] - slot["entry_price"]) * f["quantity"]
    slot["quantity"] += f["side"] * f["quantity"]
    if slot["exit"] != 0.0:
        slot["exit"] = 0.0 - slot["quantity"]  # never -0.0, which some databases cannot keep
    if slot["quantity"] != 0.0:
        return False
    write_trade(trade[0], slot, f, side)
    a["trades"] += 1
    if f["role"] != EXIT and parameters[f["slot"]]["reenter"] == 0:
        slot["waits"] = side
    clear(slot)
    return True


# --- run -------------------------------------------------------------------------------------------------------------


@jit
def fill_phase(
    account: Records,
    slots: Records,
    parameters: Records,
    bars: Records,
    rows: Rows,
    phase: int,
    orders: Records,
    trades: Records,
) -> None:
    """Fill everything that meets these bars in this phase; records beyond the buffers are counted, not kept."""
    order = np.zeros(1, ORDER)
    trade = np.zeros(1, TRADE)
    while next_order(order, account, slots, parameters, bars, rows, phase):
        if account[0]["orders"] < len(orders):
            orders[account[0]["orders"]] = order[0]
        if apply_fill(account, slots, parameters, order, trade) and account[0]["trades"] <= len(trades):
            trades[account[0]["trades"] - 1] = trade[0]


@jit
def record_refusals(slots: Records, rows: Rows, time: int, refusals: Records, counts: Rows) -> None:
    """Move each slot's refusal into the buffer; `counts[0]` counts them all, kept or not."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["refusal"] == 0:
            continue
        if counts[0] < len(refusals):
            refusals[counts[0]]["slot"] = s
            refusals[counts[0]]["time"] = time
            refusals[counts[0]]["reason"] = slots[s]["refusal"]
        counts[0] += 1
        slots[s]["refusal"] = 0


@jit
def run(
    account: Records,
    limits: Records,
    slots: Records,
    parameters: Records,
    bars: Records,
    signals: Records,
    events: Rows,
    closing: Rows,
    opening: Rows,
    orders: Records,
    trades: Records,
    refusals: Records,
    equity: Floats,
) -> int:
    """Drive the kernel over a schedule, writing into the buffers; return the number of refusals met.

    `events` (E,) are times; `closing` and `opening` (E, S) name the rows of `bars` that close and open at each, or -1. At one
    timestamp, stops and targets of the closing bars fill first, then all slots with a closing bar decide, then their orders
    meet the opens. `equity` (E,) is the account's after each decision, NaN at events where nothing closes. `account[0]` counts
    orders and trades met: where they exceed a buffer, call again with a larger one.
    """
    counts = np.zeros(1, np.int64)
    for e in range(len(events)):
        closes = False
        for s in range(len(slots)):
            closes = closes or closing[e, s] >= 0
        equity[e] = np.nan
        if closes:
            fill_phase(account, slots, parameters, bars, closing[e], RANGE, orders, trades)
            decide(account, limits, slots, parameters, bars, signals, closing[e])
            equity[e] = account[0]["equity"]
            record_refusals(slots, closing[e], events[e], refusals, counts)
        fill_phase(account, slots, parameters, bars, opening[e], OPEN, orders, trades)
        record_refusals(slots, opening[e], events[e], refusals, counts)
    return counts[0]
