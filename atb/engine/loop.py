"""The kernel driven over a history: one slot or many, with the sums for the figures of merit on the way.

Both loops pass over bars in which provably nothing can happen: a flat slot whose signal asks for nothing, or a position whose
signal stays, whose stop and target are out of the bar's reach, and for which no rule is on that moves a stop or closes a position
at a close. For those bars they do what `decide` would have done, with the same arithmetic in the same order, so their records
equal those of the kernel stepped from Python event by event, bit by bit; the parity proof compares them. Rules that are on cost
time only while they could act. `run_one` passes over stretches of bars; `run` goes from one time to the next, at which the slots
that are not idle are decided on together.

Both are handed every array they write, single records to work in among them: compiled without numba's own memory management, they
make none, and nothing counts references on the way.

Part of the kernel: hashed with it.
"""

from typing import Any

import numpy as np

from atb.engine.cache import jit
from atb.engine.kernel import apply_fill, check_limits, decide, equity_of, next_order
from atb.engine.records import HALT_NONE, OPEN, RANGE, Floats, Record, Records, Rows
from atb.engine.summary import begin, exposed, is_shrunk, note_close, note_trade

NEVER = 2**62  # after every time


# --- One step --------------------------------------------------------------------------------------------------------


@jit
def fill_phase(
    account: Records, slots: Records, parameters: Records, bars: Records, rows: Rows, phase: int, order: Records, trade: Records,
    orders: Records, trades: Records, summary: Record, at: Rows,
) -> None:  # fmt: skip
    """Fill everything that meets these bars in this phase; records beyond the buffers are counted, not kept.

    `at` holds for each slot the row of the history that its record in `bars` was made of.
    """
    while next_order(order, account, slots, parameters, bars, rows, phase):
        order[0]["row"] = at[order[0]["slot"]]
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


# --- What lets a loop pass over bars ----------------------------------------------------------------------------------


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
def lay_open(bar: Record, row: int, opened: Rows, closed: Rows, opens: Floats) -> None:
    """Make the record of a bar that opens."""
    bar["opened"], bar["closed"], bar["open"] = opened[row], closed[row], opens[row]


@jit
def lay_close(
    bar: Record, row: int, highs: Floats, lows: Floats, closes: Floats, volumes: Floats, funding: Floats, firsts: Rows
) -> None:
    """Add to the record of a bar what is known at its close."""
    bar["high"], bar["low"], bar["close"], bar["volume"] = highs[row], lows[row], closes[row], volumes[row]
    bar["funding"] = funding[min(row, len(funding) - 1)]
    bar["first"] = firsts[min(row, len(firsts) - 1)]


# --- Many slots ------------------------------------------------------------------------------------------------------


@jit
def is_idle(slot: Record, calm: int, high: float, low: float, side: float) -> bool:
    """Tell whether nothing can fill in a slot's bar and nothing is to be decided at its close."""
    if slot["entry"] != 0.0 or slot["exit"] != 0.0 or slot["cooldown_left"] != 0:
        return False
    barred = slot["barred_side"]
    if slot["quantity"] == 0.0:
        return np.isnan(side) or (side == 0.0 if barred == 0.0 else side == barred)
    held = np.sign(slot["quantity"])
    ceiling, floor = (slot["target"], slot["stop"]) if held > 0.0 else (slot["stop"], slot["target"])
    reached = high >= ceiling or low <= floor
    return calm != 0 and barred == 0.0 and not reached and (side == held or np.isnan(side))


@jit
def pass_bar(slot: Record, high: float, low: float, close: float, volume: float) -> None:
    """Do for an idle slot's bar what `decide` does."""
    slot["mark"], slot["volume"] = close, volume
    if slot["quantity"] != 0.0:
        slot["highest"], slot["lowest"] = max(slot["highest"], high), min(slot["lowest"], low)
        slot["bars_held"] += 1


@jit
def meets_open(slot: Record, opened: float) -> bool:
    """Tell whether anything of a slot could fill at the open of its bar."""
    if slot["entry"] != 0.0 or slot["exit"] != 0.0:
        return True
    long = slot["quantity"] > 0.0
    return slot["quantity"] != 0.0 and (opened >= slot["target"] if long else opened <= slot["target"])


@jit
def lay_closing(
    limits: Records, slots: Records, signals: Records, sides: Floats, opened: Rows, closed: Rows, opens: Floats,
    highs: Floats, lows: Floats, closes: Floats, volumes: Floats, funding: Floats, firsts: Rows, bars: Records, signal: Records,
    rows: Rows, ends: Rows, at: Rows, due: Rows, open_now: Rows, calm: Rows, now: int,
) -> tuple[bool, bool]:  # fmt: skip
    """Make the records of bars that close now, and pass over those of idle slots; return whether any closes, and any is left."""
    closing, active, varies = False, False, len(signals) == len(sides)
    forced = not unwatched(limits[0])  # rules of the account act at closes of idle slots too: one slot is left for them
    for s in range(len(slots)):
        rows[s] = -1
        if due[s] != now or open_now[s] == 0:
            continue
        closing, row, slot = True, at[s], slots[s]
        k = row if varies else s
        idle = row + 1 < ends[s] and is_idle(slot, calm[s], highs[row], lows[row], sides[row])
        if idle and (active or not forced):
            pass_bar(slot, highs[row], lows[row], closes[row], volumes[row])
            slot["atr"], slot["cluster"] = signals[k]["atr"], signals[k]["cluster"]
            continue
        rows[s], active = s, True
        lay_open(bars[s], row, opened, closed, opens)
        lay_close(bars[s], row, highs, lows, closes, volumes, funding, firsts)
        signal[s] = signals[k]
        signal[s]["side"] = sides[row]
    return closing, active


@jit
def lay_opening(
    slots: Records, opened: Rows, closed: Rows, opens: Floats, bars: Records, rows: Rows, ends: Rows, at: Rows, due: Rows,
    open_now: Rows, now: int,
) -> tuple[int, bool]:  # fmt: skip
    """Make the records of the bars that open now and that an order could meet; return the next time, and whether there is one."""
    coming: Any = np.int64(NEVER)
    active = False
    for s in range(len(slots)):
        rows[s] = -1
        if due[s] == now and open_now[s] != 0:
            at[s] += 1
            open_now[s] = 0
            due[s] = opened[at[s]] if at[s] < ends[s] else NEVER
        if due[s] == now:
            row = at[s]
            open_now[s], due[s] = 1, closed[row]
            if meets_open(slots[s], opens[row]):
                lay_open(bars[s], row, opened, closed, opens)
                rows[s], active = s, True
        coming = min(coming, due[s])
    return coming, active


@jit
def run(
    account: Records, limits: Records, slots: Records, parameters: Records, signals: Records, sides: Floats, opened: Rows,
    closed: Rows, opens: Floats, highs: Floats, lows: Floats, closes: Floats, volumes: Floats, funding: Floats, firsts: Rows,
    orders: Records, trades: Records, refusals: Records, equity: Floats, summary: Records, order: Records, trade: Records,
    bars: Records, signal: Records, rows: Rows, ends: Rows, at: Rows, due: Rows, open_now: Rows, calm: Rows,
) -> None:  # fmt: skip
    """Drive the kernel over the bars of many slots, writing into the buffers.

    Bars come as columns (N,), those of one slot after those of another: slot s has the rows from `at[s]` up to `ends[s]`. At one
    time, what rests meets the ranges of the bars that close, then all slots whose bars close decide, then their orders meet the
    opens of the bars that open. `signals` may be (S,) where all but `sides` (N,) is the same in every row of a slot; `funding` and
    `firsts` may be (1,) where they are 0 in every row. `equity` holds the account's after each decision, one value per time at
    which something closes; it may be empty. Account and summary count orders, trades and refusals met: where they exceed a buffer,
    call again with a larger one.

    `order` and `trade` are (1,) and hold what is being filled; `bars`, `signal`, `rows`, `due`, `open_now` and `calm` are (S,) and
    hold the step at hand. The arguments are flat for the reasons given at `run_one`.
    """
    a, total = account[0], summary[0]
    open_phase: Any = np.int64(OPEN)  # of plain numbers numba would compile a copy for each
    range_phase: Any = np.int64(RANGE)
    begin(total, a["cash"])
    funded = len(funding) > 1 or funding[0] != 0.0
    now: Any = np.int64(NEVER)
    for s in range(len(slots)):
        calm[s], open_now[s] = rests(parameters[s], funded), 0
        due[s] = opened[at[s]] if at[s] < ends[s] else NEVER
        now = min(now, due[s])
    while now != NEVER:
        closing, active = lay_closing(
            limits, slots, signals, sides, opened, closed, opens, highs, lows, closes, volumes, funding, firsts,
            bars, signal, rows, ends, at, due, open_now, calm, now,
        )  # fmt: skip
        if closing:
            if active:
                fill_phase(account, slots, parameters, bars, rows, range_phase, order, trade, orders, trades, total, at)
                record_refusals(slots, now, refusals, total)
                decide(account, limits, slots, parameters, bars, signal, rows)
            else:
                a["equity"] = equity_of(a, slots)
                a["peak"] = max(a["peak"], a["equity"])
                if a["equity"] <= 0.0:
                    check_limits(a, limits[0], slots)  # all is lost: everything is closed
            if total["bars"] < len(equity):
                equity[total["bars"]] = a["equity"]
            note_close(total, a["equity"], a["peak"], exposed(slots))
            if active:
                record_refusals(slots, now, refusals, total)
        before = now
        now, active = lay_opening(slots, opened, closed, opens, bars, rows, ends, at, due, open_now, now)
        if active:
            fill_phase(account, slots, parameters, bars, rows, open_phase, order, trade, orders, trades, total, at)
            record_refusals(slots, before, refusals, total)


# --- One slot --------------------------------------------------------------------------------------------------------


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
    bars: Records, signal: Records, rows: Rows, at: Rows,
) -> None:  # fmt: skip
    """Drive the kernel over all bars of a single slot, as `run` would, passing over what needs no decision.

    Bars come as columns (N,), and a record of one is made only where it is decided on. `signals` may be (1,) where all but
    `sides` (N,) is the same in every row; `funding` and `firsts` may be (1,) where they are 0 in every row. `equity` is (N,)
    or empty; buffers as in `run`. `order`, `trade`, `bars`, `signal`, `rows` and `at` are (1,) and hold the step at hand; row 0
    of `bars` and of `signal` is the slot's, so `rows` is [0].

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
            lay_open(bar, row, opened, closed, opens)
            at[0] = row
            fill_phase(account, slots, parameters, bars, rows, open_phase, order, trade, orders, trades, total, at)
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
        lay_open(bar, row, opened, closed, opens)
        lay_close(bar, row, highs, lows, closes, volumes, funding, firsts)
        signal[0] = signals[min(row, len(signals) - 1)]
        signal[0]["side"] = sides[row]
        if slot["entry"] != 0.0 or slot["quantity"] != 0.0:
            at[0] = row
            fill_phase(account, slots, parameters, bars, rows, range_phase, order, trade, orders, trades, total, at)
            record_refusals(slots, closed[row], refusals, total)
        decide(account, limits, slots, parameters, bars, signal, rows)
        if len(equity) > 0:
            equity[row] = a["equity"]
        note_close(total, a["equity"], a["peak"], 1 if slot["quantity"] != 0.0 else 0)
        record_refusals(slots, closed[row], refusals, total)
        row += 1
