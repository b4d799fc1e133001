"""The kernel driven over a history: event by event for many slots, bar by bar for one, with the figures of merit on the way.

`run_one` passes over bars in which provably nothing can happen: a flat slot whose signal asks for nothing, or a position whose
signal stays, whose stop and target are out of the bar's reach, and for which no rule is on that moves a stop or closes a position
at a close. For those bars it does what `decide` would have done, with the same arithmetic in the same order, so its
records equal those of `run` and of the kernel stepped from Python, bit by bit; the parity proof compares all three. Rules
that are on cost time only while they could act.

Both are handed every array they write, single records to work in among them: compiled without numba's own memory management, they
make none, and nothing counts references on the way.

`SUMMARY` holds running sums over closes and trades. Single runs and sweeps take their statistics from it, so a row of a sweep
equals the run it names to the last bit. Part of the kernel: hashed with it.
"""

from typing import Any

import numpy as np

from atb.engine.cache import jit
from atb.engine.kernel import apply_fill, decide, next_order
from atb.engine.records import HALT_NONE, OPEN, RANGE, REFUSED_FOR, Floats, Record, Records, Rows

# --- Figures of merit ------------------------------------------------------------------------------------------------


@jit
def begin(summary: Record, cash: float) -> None:
    """Set the sums of an account that starts with `cash`."""
    summary["last"], summary["trough"] = cash, cash
    summary["best"], summary["worst"] = -np.inf, np.inf


@jit
def note_close(summary: Record, equity: float, peak: float, exposed: int) -> None:
    """Add one close: its return, and its depth below the peak (the equity's own, this close included)."""
    gain = equity / summary["last"] - 1.0 if summary["last"] > 0.0 else 0.0  # from nothing there is no return
    summary["last"] = equity
    summary["bars"] += 1
    summary["returns"] += gain
    summary["squares"] += gain * gain
    loss = min(gain, 0.0)
    summary["downside"] += loss * loss
    summary["exposed"] += exposed
    if equity >= peak:
        summary["below"], summary["trough"] = 0, equity
        return
    summary["below"] += 1
    summary["longest"] = max(summary["longest"], summary["below"])
    if equity < summary["trough"]:  # the deepest point below one peak is its lowest
        summary["trough"] = equity
        summary["max_drawdown"] = max(summary["max_drawdown"], 1.0 - equity / peak)


@jit
def note_trade(summary: Record, trade: Record) -> None:
    """Add one closed trade."""
    pnl = trade["pnl"]
    relative = pnl / (trade["quantity"] * trade["entry_price"])
    summary["pnl"] += pnl
    summary["trade_returns"] += relative
    summary["best"] = max(summary["best"], relative)
    summary["worst"] = min(summary["worst"], relative)
    summary["bars_held"] += trade["bars_held"]
    if pnl > 0.0:
        summary["wins"] += 1
        summary["gain"] += pnl
    elif pnl < 0.0:
        summary["losses"] += 1
        summary["loss"] -= pnl


@jit
def is_shrunk(code: int) -> bool:
    """Tell whether a refusal code means a cut size rather than no order."""
    return REFUSED_FOR[code] != 0


# --- One step --------------------------------------------------------------------------------------------------------


@jit
def fill_phase(
    account: Records, slots: Records, parameters: Records, bars: Records, rows: Rows, phase: int, order: Records, trade: Records,
    orders: Records, trades: Records, summary: Record, first: int,
) -> None:  # fmt: skip
    """Fill everything that meets these bars in this phase; records beyond the buffers are counted, not kept.

    `first` is the row of the history that `bars` begins at.
    """
    while next_order(order, account, slots, parameters, bars, rows, phase):
        order[0]["row"] += first
        if account[0]["orders"] < len(orders):
            orders[account[0]["orders"]] = order[0]
        summary["turnover"] += order[0]["quantity"] * order[0]["price"]
        summary["ambiguous"] += order[0]["ambiguous"]
        if apply_fill(account, slots, parameters, order, trade):
            note_trade(summary, trade[0])
            if account[0]["trades"] <= len(trades):
                trades[account[0]["trades"] - 1] = trade[0]


@jit
def record_refusals(slots: Records, time: int, refusals: Records, summary: Record) -> None:
    """Move each slot's refusal into the buffer; the summary counts them all, kept or not."""
    for s in range(len(slots)):
        code = slots[s]["refusal"]
        if code == 0:
            continue
        count = summary["refused"] + summary["shrunk"]
        if count < len(refusals):
            refusals[count]["slot"], refusals[count]["time"], refusals[count]["reason"] = s, time, code
        if is_shrunk(code):
            summary["shrunk"] += 1
        else:
            summary["refused"] += 1
        slots[s]["refusal"] = 0


@jit
def exposed(slots: Records) -> int:
    """Return 1 if any slot holds a position, else 0."""
    for s in range(len(slots)):
        if slots[s]["quantity"] != 0.0:
            return 1
    return 0


# --- Many slots ------------------------------------------------------------------------------------------------------


@jit
def run(
    account: Records, limits: Records, slots: Records, parameters: Records, bars: Records, signals: Records, events: Rows,
    closing: Rows, opening: Rows, orders: Records, trades: Records, refusals: Records, equity: Floats, summary: Records,
    order: Records, trade: Records,
) -> None:  # fmt: skip
    """Drive the kernel over a schedule, writing into the buffers.

    `events` (E,) are times; `closing` and `opening` (E, S) name the rows of `bars` that close and open at each, or -1. At one
    timestamp, what rests meets the ranges of the closing bars, then all slots with a closing bar decide, then their orders
    meet the opens. `equity` holds the account's after each decision, one value per time at which something closes; it may be
    empty. Account and summary count orders, trades and refusals met: where they exceed a buffer, call again with a larger one.
    `order` and `trade` are (1,) and hold what is being filled.
    """
    total = summary[0]
    open_phase: Any = np.int64(OPEN)  # of plain numbers numba would compile a copy for each
    range_phase: Any = np.int64(RANGE)
    none: Any = np.int64(0)
    begin(total, account[0]["cash"])
    for e in range(len(events)):
        closes = False
        for s in range(len(slots)):
            closes = closes or closing[e, s] >= 0
        if closes:
            fill_phase(
                account, slots, parameters, bars, closing[e], range_phase, order, trade, orders, trades, total, none
            )
            record_refusals(slots, events[e], refusals, total)
            decide(account, limits, slots, parameters, bars, signals, closing[e])
            if total["bars"] < len(equity):
                equity[total["bars"]] = account[0]["equity"]
            note_close(total, account[0]["equity"], account[0]["peak"], exposed(slots))
            record_refusals(slots, events[e], refusals, total)
        fill_phase(account, slots, parameters, bars, opening[e], open_phase, order, trade, orders, trades, total, none)
        record_refusals(slots, events[e], refusals, total)


# --- One slot --------------------------------------------------------------------------------------------------------


@jit
def unwatched(limit: Record) -> bool:
    """Tell whether no rule is on that watches the account's equity at each close."""
    daily = not np.isnan(limit["daily_loss"]) or not np.isnan(limit["turnover_per_day"]) or limit["orders_per_day"] > 0
    return not (
        daily or not np.isnan(limit["max_drawdown"]) or not np.isnan(limit["throttle_1"]) or limit["maintenance"] > 0.0
    )


@jit
def rests(par: Record, funded: bool) -> bool:
    """Tell whether no rule is on that could act at a close while a position is held and its signal stays."""
    moves = not np.isnan(par["trail"]) or not np.isnan(par["trail_atr"]) or not np.isnan(par["break_even"])
    ends = (
        par["max_bars"] > 0
        or par["cut_after"] > 0
        or par["flat_weekend"] != 0
        or par["session_start"] != par["session_end"]
    )
    return not (moves or ends or funded or par["borrow_rate"] != 0.0 or par["scale_limit"] > 0)


@jit
def next_wanted(sides: Floats, row: int, end: int, barred_side: float) -> int:
    """Return the first row from `row` on, at most `end`, at whose close a flat slot could do anything."""
    if barred_side == 0.0:
        while row < end and not (sides[row] > 0.0 or sides[row] < 0.0):
            row += 1
        return row
    while row < end and (sides[row] == barred_side or np.isnan(sides[row])):
        row += 1
    return row


@jit
def pass_flat(account: Record, row: int, until: int, equity: Floats, summary: Record) -> None:
    """Do for the closes of a flat slot's rows what `decide` and `note_close` do: after the first, nothing changes but counts."""
    value, more = account["cash"], until - row - 1
    account["equity"], account["peak"] = value, max(account["peak"], value)
    if len(equity) > 0:
        equity[row:until] = value
    note_close(summary, value, account["peak"], 0)
    summary["bars"] += more
    if value < account["peak"]:
        summary["below"] += more
        summary["longest"] = max(summary["longest"], summary["below"])


@jit
def pass_held(
    account: Record, slot: Record, highs: Floats, lows: Floats, closes: Floats, sides: Floats, row: int, end: int, equity: Floats,
    summary: Record,
) -> int:  # fmt: skip
    """Do for the closes of a position at rest what `decide` and `note_close` do; return the first row that needs them."""
    quantity, cash, held = slot["quantity"] + slot["dust"], account["cash"], np.sign(slot["quantity"])
    long = held > 0.0
    ceiling, floor = (slot["target"], slot["stop"]) if long else (slot["stop"], slot["target"])
    highest, lowest, peak = slot["highest"], slot["lowest"], account["peak"]
    last, trough, deepest = summary["last"], summary["trough"], summary["max_drawdown"]
    returns, squares, downside = summary["returns"], summary["squares"], summary["downside"]
    below, longest = summary["below"], summary["longest"]
    keep, first = len(equity) > 0, row
    while (
        row < end
        and not (highs[row] >= ceiling or lows[row] <= floor)
        and not (sides[row] != held and sides[row] == sides[row])
    ):
        value = cash + quantity * closes[row]
        if value <= 0.0:
            break
        highest, lowest = max(highest, highs[row]), min(lowest, lows[row])
        if keep:
            equity[row] = value
        gain = value / last - 1.0 if last > 0.0 else 0.0
        last = value
        returns += gain
        squares += gain * gain
        loss = min(gain, 0.0)
        downside += loss * loss
        if value >= peak:
            peak, trough, below = value, value, 0
        else:
            below += 1
            longest = max(longest, below)
            if value < trough:
                trough = value
                deepest = max(deepest, 1.0 - value / peak)
        row += 1
    if row > first:
        slot["highest"], slot["lowest"] = highest, lowest
        slot["bars_held"] += row - first
        account["equity"], account["peak"] = last, peak
        summary["last"], summary["trough"], summary["max_drawdown"] = last, trough, deepest
        summary["returns"], summary["squares"], summary["downside"] = returns, squares, downside
        summary["below"], summary["longest"] = below, longest
        summary["bars"] += row - first
        summary["exposed"] += row - first
    return row


@jit
def remember(slot: Record, close: float, volume: float, signal: Record) -> None:
    """Leave the slot with what `decide` would have left of the last row passed over."""
    slot["mark"], slot["volume"] = close, volume
    slot["atr"], slot["cluster"] = signal["atr"], signal["cluster"]


@jit
def run_one(
    account: Records, limits: Records, slots: Records, parameters: Records, signals: Records, sides: Floats, opened: Rows,
    closed: Rows, opens: Floats, highs: Floats, lows: Floats, closes: Floats, volumes: Floats, funding: Floats, firsts: Rows,
    orders: Records, trades: Records, refusals: Records, equity: Floats, summary: Records, order: Records, trade: Records,
    bars: Records, signal: Records, rows: Rows,
) -> None:  # fmt: skip
    """Drive the kernel over all bars of a single slot, as `run` would, passing over what needs no decision.

    Bars come as columns (N,), and a record of one is made only where it is decided on. `signals` may be (1,) where all but
    `sides` (N,) is the same in every row; `funding` and `firsts` may be (1,) where they are 0 in every row. `equity` is (N,)
    or empty; buffers as in `run`. `order`, `trade`, `bars`, `signal` and `rows` are (1,) and hold the step at hand; row 0 of
    `bars` and of `signal` is the slot's, so `rows` is [0].

    The arguments are flat for two reasons. Arrays of different types and lengths do not fit into one array, and numba would take a
    tuple of them apart again on each call. And `native` calls the machine code with the address and length of each array, in this
    order, which it could not do with a Python object.
    """
    a, slot, bar, total = account[0], slots[0], bars[0], summary[0]
    open_phase: Any = np.int64(OPEN)  # of plain numbers numba would compile a copy for each
    range_phase: Any = np.int64(RANGE)
    begin(total, a["cash"])
    alone = unwatched(limits[0])
    calm = alone and rests(parameters[0], len(funding) > 1 or funding[0] != 0.0)
    row: Any = np.int64(0)
    end: Any = np.int64(len(closes) - 1)
    while row <= end:
        if slot["entry"] != 0.0 or slot["exit"] != 0.0:
            bar["opened"], bar["closed"], bar["open"] = opened[row], closed[row], opens[row]
            fill_phase(account, slots, parameters, bars, rows, open_phase, order, trade, orders, trades, total, row)
            record_refusals(slots, opened[row], refusals, total)
        if slot["entry"] == 0.0 and slot["exit"] == 0.0 and slot["cooldown_left"] == 0:
            first = row
            if slot["quantity"] != 0.0:
                if calm and slot["barred_side"] == 0.0 and a["halt"] == HALT_NONE:
                    row = pass_held(a, slot, highs, lows, closes, sides, row, end, equity, total)
            elif slot["dust"] == 0.0 and a["cash"] > 0.0 and (alone or a["equity"] == a["cash"]):
                row = next_wanted(sides, row, end, slot["barred_side"])
                if row > first:
                    pass_flat(a, first, row, equity, total)
            if row > first:
                remember(slot, closes[row - 1], volumes[row - 1], signals[min(row, len(signals)) - 1])
        bar["opened"], bar["closed"], bar["open"], bar["high"] = opened[row], closed[row], opens[row], highs[row]
        bar["low"], bar["close"], bar["volume"] = lows[row], closes[row], volumes[row]
        bar["funding"] = funding[min(row, len(funding) - 1)]
        bar["first"] = firsts[min(row, len(firsts) - 1)]
        signal[0] = signals[min(row, len(signals) - 1)]
        signal[0]["side"] = sides[row]
        if slot["entry"] != 0.0 or slot["quantity"] != 0.0:
            fill_phase(account, slots, parameters, bars, rows, range_phase, order, trade, orders, trades, total, row)
            record_refusals(slots, closed[row], refusals, total)
        decide(account, limits, slots, parameters, bars, signal, rows)
        if len(equity) > 0:
            equity[row] = a["equity"]
        note_close(total, a["equity"], a["peak"], 1 if slot["quantity"] != 0.0 else 0)
        record_refusals(slots, closed[row], refusals, total)
        row += 1
