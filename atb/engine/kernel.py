"""The decision kernel: the only code that decides, fills in simulation, and accounts.

Three pure functions over structured arrays, called once per timestamp with all slots (a slot is one strategy on one symbol):

    decide      once per closed bar: mark to market, watch limits, move stops, then write each slot's intents for its next bar
    next_order  simulated venues only: the next single order that meets a bar
    apply_fill  every fill, simulated or an exchange's: apply it to account and slot

`atb.engine.loop` drives them over a history for backtests; the live runner calls the three, one bar at a time; both execute the
same machine code. What a venue changes between two bars is in `atb.engine.adjust`. Everything here is in the subset of Python that
numba compiles, and runs unchanged as plain Python. There is no clock, no randomness, no input or output, and no global that a
caller could want to change.

Fill model. Decisions at the close of bar t. A market order fills at the open of the slot's next bar, worsened by slippage; exits
come before entries. A stop rests from the moment of the entry's fill, the entry bar included: it fills at its price, or at the
open when the bar gaps through it, worsened by slippage. A target is a limit order: it fills at its price, without slippage. A
resting limit order that the open has passed is met at its own price as well, before anything that is sent at that open: takers
reach it first (`limit_gap="open"` gives it the better open). When one bar touches stop and target, the stop wins (or the target, if
the policy or a finer timeframe says so) and the fill is counted as ambiguous. A limit or stop entry rests for its bars; filled
inside a bar, its stop may still fill in that bar, its target only after a stop entry: the way from a limit's price to the target
may have come before it. Stops move at closes only, towards the price, so each bar's stop is exactly what rests at an exchange. An
order on the wrong side of the market when it becomes active meets the market: a stop nearer than its entry slipped, at the price
that the entry met; a limit entry, in its first bar, at the open, as taker and never worse than its price. Prices are rounded to
ticks against the trader, quantities down to lots. A limit can only cut or refuse an entry; exits always pass.

Units. Prices in quote per base, quantities in base, cash, equity and fees in quote, fees and slippage as fractions, times in epoch
milliseconds UTC. Sides are +1 buy or long and -1 sell or short. A rule that is off is NaN (every comparison with it is false) or 0.
"""

import numpy as np

from atb.engine.cache import jit
from atb.engine.matching import (
    cap_price,
    floor_lot,
    level_reached,
    limit_price,
    passes,
    round_lots,
    stop_after_entry,
    stop_trigger,
    write_order,
    write_target,
)  # fmt: skip
from atb.engine.records import (
    AT_LIMIT,
    AT_MARKET,
    AT_STOP,
    EARLY_CUT,
    ENTRY,
    ENTRY_EXPIRED,
    EXIT,
    FIRST_TARGET,
    HALT_DAY,
    HALT_DRAWDOWN,
    HALT_LIQUIDATION,
    HALT_NONE,
    IGNORE,
    INSIDE_BY_LIMIT,
    INSIDE_BY_STOP,
    LEAVE,
    LIQUIDATION,
    NO_CASH,
    NO_PRICE,
    OPEN,
    OUT_OF_SESSION,
    RANGE,
    RISK_LIMIT,
    SCALE_IN,
    SESSION_END,
    SIGNAL_ENTRY,
    SIGNAL_EXIT,
    STOP,
    STOP_LOSS,
    TARGET,
    TIME_LIMIT,
    WRONG_PRICE,
    Record,
    Records,
    Rows,
)  # fmt: skip
from atb.engine.sizing import (
    entry_price,
    entry_quantity,
    exposure_of,
    first_stop,
    forbids,
    in_session,
    move_stop,
    on_wrong_side,
    place_target,
    throttle_level,
    tighten,
    with_entry,
)  # fmt: skip

_DAY, _YEAR = 86_400_000, 31_536_000_000.0  # milliseconds; a year is 365 days


# --- decide: the account ---------------------------------------------------------------------------------------------


@jit
def accrue(account: Record, slot: Record, par: Record, price: float, funding: float, time: int) -> None:
    """Pay (or receive) funding on a position, and interest on what a short borrowed, by the clock since it was last paid."""
    value = slot["quantity"] * price
    cost = value * funding
    if value < 0.0 and time > slot["paid"]:
        cost -= value * par["borrow_rate"] * (time - slot["paid"]) / _YEAR
    slot["paid"] = max(slot["paid"], time)
    account["cash"] -= cost
    account["financing"] += cost
    slot["financing"] += cost


@jit
def equity_of(account: Record, slots: Records) -> float:
    """Return equity: cash and what the slots hold at their last closes."""
    value = account["cash"]
    for s in range(len(slots)):
        if slots[s]["quantity"] != 0.0 or slots[s]["dust"] != 0.0:
            value += (slots[s]["quantity"] + slots[s]["dust"]) * slots[s]["mark"]
    return value


@jit
def mark_to_market(
    account: Record, slots: Records, parameters: Records, bars: Records, signals: Records, rows: Rows
) -> int:
    """Mark positions to the close, extend excursions, drop old intents, write equity and its peak; return the time."""
    time = 0
    for s in range(len(slots)):
        if rows[s] < 0:
            continue
        slot, bar = slots[s], bars[rows[s]]
        time = bar["closed"]
        slot["mark"], slot["volume"] = bar["close"], bar["volume"]
        slot["atr"], slot["cluster"] = signals[rows[s]]["atr"], signals[rows[s]]["cluster"]
        entered, slot["entered_inside"] = slot["entered_inside"], 0
        slot["refusal"], slot["exit"], slot["exit_reason"] = 0, 0.0, 0
        if slot["entry_kind"] == AT_MARKET:
            slot["entry"] = 0.0
        if slot["quantity"] != 0.0:
            slot["bars_held"] += 1
            long = slot["quantity"] > 0.0  # on the bar of a resting entry, the favourable extreme may precede the fill
            slot["highest"] = max(slot["highest"], bar["close"] if entered != 0 and long else bar["high"])
            slot["lowest"] = min(slot["lowest"], bar["close"] if entered != 0 and not long else bar["low"])
            accrue(account, slot, parameters[s], bar["close"], bar["funding"], bar["closed"])
    account["equity"] = equity_of(account, slots)
    account["peak"] = max(account["peak"], account["equity"])
    return time


@jit
def begin_day(account: Record, limit: Record, time: int, before: float) -> None:
    """Start the accounts of a new UTC day; `before` is the equity at the last decision. A day's halt ends with its day."""
    if np.isnan(limit["daily_loss"]) and np.isnan(limit["turnover_per_day"]) and limit["orders_per_day"] == 0:
        return
    day = time // _DAY
    if day == account["day"]:
        return
    account["day_equity"] = account["equity"] if time % _DAY == 0 or account["day"] == 0 else before
    account["day"] = day
    account["day_orders"] = 0
    account["day_turnover"] = 0.0
    if account["halt"] == HALT_DAY:
        account["halt"] = HALT_NONE


@jit
def check_limits(account: Record, limit: Record, slots: Records) -> None:
    """Set the throttle's level, and halt the account where a loss has reached a limit; a halt drops all entries."""
    equity, gross = account["equity"], 0.0
    for s in range(len(slots)):
        gross += abs(slots[s]["quantity"]) * slots[s]["mark"]
    if equity <= 0.0 or (gross > 0.0 and equity <= limit["maintenance"] * gross):
        account["halt"] = HALT_LIQUIDATION
    elif equity <= account["peak"] * (1.0 - limit["max_drawdown"]):
        account["halt"] = max(account["halt"], HALT_DRAWDOWN)
    elif equity <= account["day_equity"] * (1.0 - limit["daily_loss"]):
        account["halt"] = max(account["halt"], HALT_DAY)
    if not np.isnan(limit["throttle_1"]):
        depth, level = 1.0 - equity / account["peak"], account["throttle"]
        while level < 3 and depth >= throttle_level(limit, level + 1):
            level += 1
        while level > 0 and depth < throttle_level(limit, level) - limit["recovery"]:
            level -= 1
        account["throttle"] = level
    if account["halt"] == HALT_NONE:
        return
    flatten = limit["flatten"] != 0 or account["halt"] == HALT_LIQUIDATION
    for s in range(len(slots)):
        slots[s]["entry"] = 0.0
        if flatten and slots[s]["quantity"] != 0.0:
            slots[s]["exit"] = -slots[s]["quantity"]
            slots[s]["exit_reason"] = LIQUIDATION if account["halt"] == HALT_LIQUIDATION else RISK_LIMIT


# --- decide: positions -----------------------------------------------------------------------------------------------


@jit
def favourable(slot: Record) -> float:
    """Return the position's best excursion so far as a fraction of its entry price, at least 0."""
    best = slot["highest"] if slot["quantity"] > 0.0 else slot["lowest"]
    return max(0.0, np.sign(slot["quantity"]) * (best / slot["entry_price"] - 1.0))


@jit
def exit_reason(slot: Record, par: Record, side: float, time: int) -> int:
    """Return the reason code for closing a position at the next open, 0 to hold it."""
    if 0 < par["max_bars"] <= slot["bars_held"]:
        return TIME_LIMIT
    if not in_session(time, par):
        return SESSION_END
    if 0 < par["cut_after"] <= slot["bars_held"] and favourable(slot) < par["cut_below"]:
        return EARLY_CUT
    if (side == 0.0 and par["signal_exit"] != 0) or (side == -np.sign(slot["quantity"]) and par["opposite"] != IGNORE):
        return SIGNAL_EXIT
    return 0


@jit
def manage(slot: Record, par: Record, side: float, time: int) -> None:
    """Count down a resting entry, move the stop of a position, and close it where a rule says so."""
    if slot["entry"] != 0.0:
        slot["entry_bars"] -= 1
        wanted = np.sign(slot["entry"])
        if not np.isnan(side) and side != wanted:
            slot["entry"] = 0.0
        elif not in_session(time, par):
            slot["entry"] = 0.0
            slot["refusal"] = OUT_OF_SESSION
        elif slot["entry_bars"] <= 0:
            slot["entry"] = 0.0
            slot["refusal"] = ENTRY_EXPIRED
            if par["reenter"] == 0:
                slot["barred_side"] = wanted
    if slot["quantity"] == 0.0:
        return
    move_stop(slot, par)
    if slot["exit"] == 0.0:
        reason = exit_reason(slot, par, side, time)
        if reason != 0:
            slot["exit"], slot["exit_reason"] = -slot["quantity"], reason


# --- decide: entries -------------------------------------------------------------------------------------------------


@jit
def entry_signal(slot: Record, par: Record, side: float) -> int:
    """Return the entry that the signal asks for: SIGNAL_ENTRY, SCALE_IN, or 0 for none."""
    if side == 0.0 or slot["entry"] != 0.0:
        return 0
    held = np.sign(slot["quantity"])
    if side == held:
        more = slot["exit"] == 0.0 and slot["additions"] < par["scale_limit"]
        return SCALE_IN if more and held * (slot["mark"] / slot["added_price"] - 1.0) >= par["scale_trigger"] else 0
    if held != 0.0:
        if par["opposite"] == LEAVE:
            slot["barred_side"] = side
        if par["opposite"] == IGNORE or slot["exit_reason"] != SIGNAL_EXIT:
            return 0
    return 0 if side == slot["barred_side"] else SIGNAL_ENTRY


@jit
def place_entries(
    account: Record, limit: Record, slots: Records, parameters: Records, signals: Records, rows: Rows, time: int
) -> None:
    """Write the entries that signals ask for; they compete in slot order for what positions and earlier entries leave."""
    exposure = exposure_of(slots, parameters, rows)
    for s in range(len(slots)):
        if rows[s] < 0:
            continue
        slot, par, signal = slots[s], parameters[s], signals[rows[s]]
        side = signal["side"]
        if not np.isnan(side) and side != slot["barred_side"]:
            slot["barred_side"] = 0.0
        what = 0 if np.isnan(side) else entry_signal(slot, par, side)
        if what != 0:
            slot_refusal = forbids(account, limit, slot, par, side, time, exposure)
            kind = par["entry_kind"] if what == SIGNAL_ENTRY else AT_MARKET
            price = entry_price(slot, par, signal, side, kind)
            if slot_refusal == 0 and not price > 0.0:
                slot_refusal = NO_PRICE
            elif slot_refusal == 0 and on_wrong_side(slot, par, side, kind, price):
                slot_refusal = WRONG_PRICE
            quantity = 0.0
            if slot_refusal != 0:
                slot["refusal"] = slot_refusal
            else:
                quantity = entry_quantity(account, limit, slots, s, par, signal, what, side, price, exposure)
            if quantity > 0.0:
                write_entry(slot, par, signal, what, kind, side * quantity, price)
                exposure = with_entry(exposure, slot, par)
        slot["cooldown_left"] = max(0, slot["cooldown_left"] - 1)


@jit
def write_entry(slot: Record, par: Record, signal: Record, what: int, kind: int, quantity: float, price: float) -> None:
    """Write an entry intent, with what its stop will be measured by."""
    slot["entry"], slot["entry_reason"], slot["entry_kind"] = quantity, what, kind
    slot["entry_at"] = np.nan if kind == AT_MARKET else price
    slot["entry_bars"] = par["entry_bars"]
    slot["entry_atr"], slot["entry_stop"] = signal["atr"], signal["stop"]


@jit
def decide(
    account: Records, limits: Records, slots: Records, parameters: Records, bars: Records, signals: Records, rows: Rows
) -> None:
    """Decide at the close of the bars `bars[rows[s]]`; a slot whose row is negative has no bar here and keeps its intents.

    A signal that left the position's side exits at the next open; a signal for a side that is not held enters there; both at
    once is a reversal. NaN is no opinion: hold what is held.
    """
    a, before = account[0], account[0]["equity"]
    time = mark_to_market(a, slots, parameters, bars, signals, rows)
    begin_day(a, limits[0], time, before)
    check_limits(a, limits[0], slots)
    for s in range(len(slots)):
        if rows[s] >= 0:
            manage(slots[s], parameters[s], signals[rows[s]]["side"], time)
    place_entries(a, limits[0], slots, parameters, signals, rows, time)


# --- next_order ------------------------------------------------------------------------------------------------------


@jit
def target_at_open(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows
) -> bool:
    """Write the first resting target that its bar's open has passed: it fills before anything that is sent at that open."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["quantity"] == 0.0:
            continue
        slot, par, bar = slots[s], parameters[s], bars[rows[s]]
        side = -1 if slot["quantity"] > 0.0 else 1
        if passes(side, slot["target"], bar):
            target = limit_price(side, slot["target"], bar, par["limit_gap"])
            write_target(order, account, slot, par, s, rows[s], bar["opened"], side, target)
            return True
    return False


@jit
def exit_at_open(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows
) -> bool:
    """Write the first pending exit that meets its bar's open; return whether there was one."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["exit"] == 0.0:
            continue
        slot, par, bar = slots[s], parameters[s], bars[rows[s]]
        side, quantity = 1 if slot["exit"] > 0.0 else -1, abs(slot["exit"])
        reason = slot["exit_reason"]
        write_order(
            order, account, slot, par, s, rows[s], bar["opened"], side, quantity, bar["open"], EXIT, reason, AT_MARKET
        )
        return True
    return False


@jit
def entry_met(
    order: Record, account: Record, slots: Records, parameters: Records, bars: Records, rows: Rows, phase: int
) -> bool:
    """Write the first pending entry that meets its bar; one that the cash cannot pay is refused, as a venue would."""
    for s in range(len(slots)):
        if rows[s] < 0 or slots[s]["entry"] == 0.0:
            continue
        slot, par, bar = slots[s], parameters[s], bars[rows[s]]
        side, quantity, kind = 1 if slot["entry"] > 0.0 else -1, abs(slot["entry"]), slot["entry_kind"]
        if kind != AT_MARKET and slot["quantity"] != 0.0:
            continue
        at_open = kind != AT_STOP and passes(side, slot["entry_at"], bar)
        takes = kind == AT_LIMIT and at_open and slot["entry_bars"] == par["entry_bars"]  # it is sent at this open
        if (kind == AT_MARKET or takes) != (phase == OPEN):
            continue
        if kind == AT_LIMIT and not takes:
            met = limit_price(side, slot["entry_at"], bar, par["limit_gap"])
        else:
            met = stop_trigger(side, slot["entry_at"], bar) if kind == AT_STOP else bar["open"]
        if np.isnan(met):
            continue
        at_open = at_open or met == bar["open"]
        time, kind = bar["opened"] if at_open else bar["closed"], AT_MARKET if takes else kind
        write_order(order, account, slot, par, s, rows[s], time, side, quantity, met, ENTRY, slot["entry_reason"], kind)
        if takes:
            cap_price(order, slot["entry_at"], par)
        fee = order["fee"] if order["fee_base"] == 0.0 else 0.0
        if side > 0 and quantity * order["price"] + fee > account["cash"]:
            slot["entry"] = 0.0
            slot["refusal"] = NO_CASH
            continue
        if not at_open:
            slot["entered_inside"] = INSIDE_BY_LIMIT if kind == AT_LIMIT else INSIDE_BY_STOP
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
        slot, par, bar = slots[s], parameters[s], bars[rows[s]]
        side = -1 if slot["quantity"] > 0.0 else 1
        entered = slot["entered_inside"] != 0  # then the open lies before the entry
        if entered:
            stop = stop_after_entry(side, slot["stop"], slot["entry_at"], bar)
            target = level_reached(-side, slot["target"], bar)
        else:
            stop = stop_trigger(side, slot["stop"], bar)
            target = limit_price(side, slot["target"], bar, par["limit_gap"])
        if slot["entered_inside"] == INSIDE_BY_LIMIT:
            target = np.nan
        if np.isnan(stop) and np.isnan(target):
            continue
        # What is met at once (at the open, or where the entry was) comes first; only two prices after that are ambiguous.
        stop_at_once = stop == (slot["entry_at"] if entered else bar["open"])
        target_at_once = not entered and passes(side, slot["target"], bar)
        both = not np.isnan(stop) and not np.isnan(target)
        target_first = bar["first"] == FIRST_TARGET or (bar["first"] == 0 and par["target_first"] != 0)
        stop_wins = not np.isnan(stop) and (not both or stop_at_once or (not target_at_once and not target_first))
        if stop_wins:
            time = bar["opened"] if stop_at_once and not entered else bar["closed"]
            quantity, reason = abs(slot["quantity"]), slot["stop_reason"]
            write_order(order, account, slot, par, s, rows[s], time, side, quantity, stop, STOP, reason, AT_STOP)
        else:
            time = bar["opened"] if target_at_once else bar["closed"]
            write_target(order, account, slot, par, s, rows[s], time, side, target)
        if both and not stop_at_once and not target_at_once and bar["first"] == 0:
            order["ambiguous"], order["other"] = 1, target if stop_wins else stop
        elif stop_wins and slot["entered_inside"] == INSIDE_BY_STOP and not stop_at_once:
            order["ambiguous"] = 1
        return True
    return False


@jit
def next_order(
    order: Records, account: Records, slots: Records, parameters: Records, bars: Records, rows: Rows, phase: int
) -> bool:
    """Write into `order[0]` the next order that meets the bars, and tell whether there was one; `apply_fill` must follow.

    `phase` OPEN: targets that the open of `bars[rows[s]]` has passed, then pending exits of all slots, then entries at the market.
    RANGE: resting stops and targets, then resting entries. Slots with a negative row are passed over.
    """
    if phase == RANGE:
        if exit_in_range(order[0], account[0], slots, parameters, bars, rows):
            return True
    elif target_at_open(order[0], account[0], slots, parameters, bars, rows):
        return True
    elif exit_at_open(order[0], account[0], slots, parameters, bars, rows):
        return True
    return entry_met(order[0], account[0], slots, parameters, bars, rows, phase)


# --- apply_fill ------------------------------------------------------------------------------------------------------


@jit
def clear(slot: Record) -> None:
    """Reset the slot to flat; dust, intents and what it remembers stay."""
    none = np.nan
    slot["quantity"], slot["entry_price"], slot["entry_time"], slot["paid"] = 0.0, none, 0, 0
    slot["stop"], slot["stop_reason"] = none, 0
    slot["target"], slot["target_quantity"], slot["rung"] = none, 0.0, 0
    slot["unit"], slot["added_price"], slot["additions"] = 0.0, none, 0
    slot["highest"], slot["lowest"], slot["bars_held"], slot["entered_inside"] = none, none, 0, 0
    slot["opened_quantity"], slot["exit_value"], slot["realised"] = 0.0, 0.0, 0.0
    slot["fees"], slot["financing"] = 0.0, 0.0


@jit
def open_position(slot: Record, par: Record, fill: Record) -> None:
    """Apply an entry fill; partial fills of a first entry add up to the unit, a scale-in counts with its last partial fill."""
    received = fill["quantity"]
    if fill["fee_base"] > 0.0:  # only whole lots can be sold; the rest of a lot is dust until the next entry
        bought = received - fill["fee_base"] + slot["dust"]
        received = floor_lot(bought, par)
        slot["dust"] = bought - received
    if slot["quantity"] == 0.0:
        slot["entry_price"], slot["entry_time"] = fill["price"], fill["time"]
        slot["highest"], slot["lowest"] = fill["price"], fill["price"]
    else:
        held = abs(slot["quantity"])
        slot["entry_price"] = (held * slot["entry_price"] + received * fill["price"]) / (held + received)
    slot["added_price"] = fill["price"]
    slot["quantity"] = round_lots(slot["quantity"] + fill["side"] * received, par)
    slot["opened_quantity"] = round_lots(slot["opened_quantity"] + received, par)
    slot["entry"] -= fill["side"] * fill["quantity"]
    if slot["entry"] * fill["side"] < 0.5 * par["lot"]:
        slot["entry"] = 0.0
    if fill["reason"] != SCALE_IN:
        slot["unit"] = slot["opened_quantity"]
    elif slot["entry"] == 0.0:
        slot["additions"] += 1
    tighten(
        slot, par, first_stop(fill["side"], slot["entry_price"], slot["entry_atr"], slot["entry_stop"], par), STOP_LOSS
    )
    place_target(slot, par)


@jit
def write_trade(trade: Record, slot: Record, fill: Record, side: float) -> None:
    """Fill in the round trip that `fill` closes."""
    trade["slot"], trade["side"], trade["quantity"] = fill["slot"], side, slot["opened_quantity"]
    trade["entry_time"], trade["entry_price"] = slot["entry_time"], slot["entry_price"]
    trade["exit_time"], trade["exit_price"] = fill["time"], slot["exit_value"] / slot["opened_quantity"]
    trade["fees"], trade["financing"] = slot["fees"], slot["financing"]
    trade["pnl"] = slot["realised"] - slot["fees"] - slot["financing"]
    best = slot["highest"] if side > 0 else slot["lowest"]
    worst = slot["lowest"] if side > 0 else slot["highest"]
    trade["mfe"] = max(0.0, side * (best / slot["entry_price"] - 1.0))
    trade["mae"] = max(0.0, side * (1.0 - worst / slot["entry_price"]))
    trade["bars_held"], trade["additions"], trade["reason"] = slot["bars_held"], slot["additions"], fill["reason"]


@jit
def close_position(slot: Record, par: Record, fill: Record, trade: Record, side: float) -> None:
    """Close a position: write its trade, keep what Kelly and the re-entry rules need, and reset the slot."""
    write_trade(trade, slot, fill, side)
    gain = trade["pnl"] / (slot["opened_quantity"] * slot["entry_price"])
    if gain > 0.0:
        slot["wins"] += 1
        slot["gain"] += gain
    elif gain < 0.0:
        slot["losses"] += 1
        slot["loss"] -= gain
    rule = fill["role"] != EXIT or fill["reason"] == TIME_LIMIT or fill["reason"] == EARLY_CUT
    signal_left = (
        slot["exit_reason"] == SIGNAL_EXIT
    )  # what bars a side until the signal has left it has nothing to wait for
    if rule and par["reenter"] == 0 and not signal_left:
        slot["barred_side"] = side
    slot["exit_reason"] = 0
    if slot["entry_reason"] == SCALE_IN:
        slot["entry"] = 0.0  # there is nothing to add to
    if fill["role"] == STOP:
        slot["cooldown_left"] = par["cooldown"]
    clear(slot)


@jit
def apply_fill(account: Records, slots: Records, parameters: Records, fill: Records, trade: Records) -> bool:
    """Apply the fill `fill[0]` (an ORDER record) to account and slot; return whether it closed the trade now in `trade[0]`."""
    f = fill[0]
    a, slot, par = account[0], slots[f["slot"]], parameters[f["slot"]]
    value = f["quantity"] * f["price"]
    accrue(a, slot, par, f["price"], 0.0, f["time"])
    if f["side"] > 0:
        a["cash"] -= value + (f["fee"] if f["fee_base"] == 0.0 else 0.0)
    else:
        a["cash"] += value - f["fee"]
    a["fees"] += f["fee"]
    a["orders"] += 1
    a["day_turnover"] += value
    slot["fees"] += f["fee"]
    if f["role"] == ENTRY:
        open_position(slot, par, f)
        a["day_orders"] += 1 if slot["entry"] == 0.0 else 0
        return False
    side = 1 if slot["quantity"] > 0.0 else -1
    slot["highest"] = max(slot["highest"], f["price"])
    slot["lowest"] = min(slot["lowest"], f["price"])
    slot["exit_value"] += value
    slot["realised"] += side * (f["price"] - slot["entry_price"]) * f["quantity"]
    slot["quantity"] = round_lots(slot["quantity"] + f["side"] * f["quantity"], par)
    if slot["exit"] != 0.0:
        slot["exit"] = 0.0 - slot["quantity"]  # never -0.0, which some databases cannot keep
    if slot["quantity"] == 0.0:
        a["trades"] += 1
        a["day_orders"] += 1
        close_position(slot, par, f, trade[0], side)
        return True
    if f["role"] == TARGET:
        slot["target_quantity"] = round_lots(slot["target_quantity"] - f["quantity"], par)
        if slot["target_quantity"] <= 0.0:
            a["day_orders"] += 1
            slot["rung"] += 1
            place_target(slot, par)
    return False
