"""Whether an entry may be made at all, how large it may be, where its stop rests and moves, and how much each target closes.

Every rule that refuses or cuts writes its code into the slot; a limit never enlarges. Part of the kernel: the subset of Python that
numba compiles, hashed with it; see `atb.engine.kernel`.
"""

from typing import NamedTuple

import numpy as np

from atb.engine.cache import jit
from atb.engine.matching import floor_lot, market_price, round_price, tighter
from atb.engine.records import (
    AT_LIMIT,
    AT_MARKET,
    BELOW_MIN_NOTIONAL,
    BREAK_EVEN,
    BY_CONFIDENCE,
    BY_FRACTION,
    BY_RISK,
    BY_STAKE,
    BY_VOLATILITY,
    COOLING,
    DAILY_LOSS,
    DRAWDOWN,
    HALT_DAY,
    HALT_DRAWDOWN,
    HALT_NONE,
    LIQUIDATED,
    MISSING_INPUT,
    NO_EDGE,
    NO_SHORTS,
    NO_STOP,
    ORDERS_IN_BAR,
    ORDERS_IN_DAY,
    OUT_OF_SESSION,
    REFUSED_FOR,
    SCALE_IN,
    SHRUNK_BY_CASH,
    SHRUNK_BY_CLUSTER,
    SHRUNK_BY_EXPOSURE,
    SHRUNK_BY_NET,
    SHRUNK_BY_POSITION,
    SHRUNK_BY_TURNOVER,
    SHRUNK_BY_VOLUME,
    TOO_MANY_POSITIONS,
    TOO_SMALL,
    TRAILING_STOP,
    Record,
    Records,
    Rows,
)  # fmt: skip

_EPSILON = 1e-6  # of a tick
_DAY = 86_400_000  # milliseconds


class Exposure(NamedTuple):
    """Exposure of positions and earlier entries at one timestamp: later entries compete for the rest, in slot order.

    `gross`, `net` and `turnover` are values in quote, `committed` is the cash that pending entries and pending buys of shorts
    will take, fees included; `positions` counts slots that hold or are about to, `sent` the orders of this close.
    """

    gross: float
    net: float
    committed: float
    turnover: float
    positions: int
    sent: int


@jit
def exposure_of(slots: Records, parameters: Records, rows: Rows) -> Exposure:
    """Return the exposure before the entries of this close."""
    gross, net, committed, turnover, positions, sent = 0.0, 0.0, 0.0, 0.0, 0, 0
    for s in range(len(slots)):
        slot = slots[s]
        value, pending = slot["quantity"] * slot["mark"], slot["entry"] * slot["mark"]
        gross += abs(value) + abs(pending)
        # What closes at the next open is not there beside the entries.
        net += pending if slot["exit"] != 0.0 else value + pending
        turnover += abs(pending)
        buys_back = max(-value, 0.0) if slot["exit"] != 0.0 else 0.0
        committed += (max(pending, 0.0) + buys_back) * (1.0 + parameters[s]["taker_fee"])
        positions += 1 if slot["quantity"] != 0.0 or slot["entry"] != 0.0 else 0
        sent += 1 if rows[s] >= 0 and slot["exit"] != 0.0 else 0
    return Exposure(gross, net, committed, turnover, positions, sent)


@jit
def with_entry(exposure: Exposure, slot: Record, par: Record) -> Exposure:
    """Return the exposure with the entry that the slot was just given."""
    value = slot["entry"] * slot["mark"]
    return Exposure(
        exposure.gross + abs(slot["entry"]) * slot["mark"],
        exposure.net + value,
        exposure.committed + max(slot["entry"], 0.0) * slot["mark"] * (1.0 + par["taker_fee"]),
        exposure.turnover + abs(slot["entry"]) * slot["mark"],
        exposure.positions + (1 if slot["quantity"] == 0.0 else 0),
        exposure.sent + 1,
    )


@jit
def in_session(time: int, par: Record) -> bool:
    """Tell whether positions may be open after `time`."""
    if par["flat_weekend"] != 0 and (time // _DAY + 3) % 7 >= 5:  # 1970 began on a Thursday; Monday is 0
        return False
    start, end = par["session_start"], par["session_end"]
    if start == end:
        return True
    minute = (time // 60_000) % 1440
    return start <= minute < end if start < end else minute >= start or minute < end


@jit
def throttle_factor(limit: Record, level: int) -> float:
    """Return the factor by which a level of the throttle cuts sizes."""
    if level == 0:
        return 1.0
    if level == 1:
        return limit["factor_1"]
    return limit["factor_2"] if level == 2 else limit["factor_3"]


@jit
def throttle_level(limit: Record, level: int) -> float:
    """Return the drawdown at which a level of the throttle begins; NaN where there is no such level."""
    if level == 1:
        return limit["throttle_1"]
    return limit["throttle_2"] if level == 2 else limit["throttle_3"]


@jit
def forbids(
    account: Record, limit: Record, slot: Record, par: Record, side: float, time: int, exposure: Exposure
) -> int:
    """Return the code of what forbids an entry now, whatever its size, or 0."""
    if side < 0.0 and par["allow_short"] == 0:
        return NO_SHORTS
    if account["halt"] != HALT_NONE:
        if account["halt"] == HALT_DAY:
            return DAILY_LOSS
        return DRAWDOWN if account["halt"] == HALT_DRAWDOWN else LIQUIDATED
    if slot["cooldown_left"] > 0:
        return COOLING
    if not in_session(time, par):
        return OUT_OF_SESSION
    if slot["quantity"] == 0.0 and 0 < limit["max_positions"] <= exposure.positions:
        return TOO_MANY_POSITIONS
    if 0 < limit["orders_per_bar"] <= exposure.sent:
        return ORDERS_IN_BAR
    if 0 < limit["orders_per_day"] <= account["day_orders"] + exposure.sent:
        return ORDERS_IN_DAY
    return 0


@jit
def entry_price(slot: Record, par: Record, signal: Record, side: float, kind: int) -> float:
    """Return the price an entry is sized at: the expected fill of a market order, or the price at which it will rest."""
    if kind == AT_MARKET:
        return market_price(side, slot["mark"], 0.0, slot, par)
    price = signal["price"]
    if np.isnan(price):
        away = -side if kind == AT_LIMIT else side
        price = slot["mark"] * (1.0 + away * par["entry_offset"])
    return round_price(side, price, par)


@jit
def on_wrong_side(slot: Record, par: Record, side: float, kind: int, price: float) -> bool:
    """Tell whether a resting entry's price lies where it would fill at once, at another price than it was sized at."""
    beyond, leeway = (
        side * (price - slot["mark"]),
        par["tick"] * (1.0 + _EPSILON),
    )  # rounding to a tick is no wrong side
    # A limit waits for a better price than the market's, a stop for a worse one.
    return kind != AT_MARKET and (beyond > leeway if kind == AT_LIMIT else beyond < -leeway)


@jit
def first_stop(side: float, price: float, atr: float, wanted: float, par: Record) -> float:
    """Return where the stop of a position entered at `price` rests: the tightest of the rules that are on, NaN if none is."""
    stop = tighter(side, price * (1.0 - side * par["stop_loss"]), price - side * par["stop_atr"] * atr)
    if par["signal_stop"] != 0:
        stop = tighter(side, stop, wanted)
    return stop if np.isnan(stop) else round_price(-side, stop, par)


@jit
def move_stop(slot: Record, par: Record) -> None:
    """Move the resting stop to break-even and along with the close; never away from the price."""
    side = np.sign(slot["quantity"])
    profit = side * (slot["mark"] / slot["entry_price"] - 1.0)
    if profit >= par["break_even"]:
        tighten(slot, par, slot["entry_price"] * (1.0 + side * par["break_even_offset"]), BREAK_EVEN)
    if np.isnan(par["trail_after"]) or profit >= par["trail_after"]:
        by_price = slot["mark"] * (1.0 - side * par["trail"])
        by_range = slot["mark"] - side * par["trail_atr"] * slot["atr"]
        tighten(slot, par, tighter(side, by_price, by_range), TRAILING_STOP)


@jit
def tighten(slot: Record, par: Record, price: float, reason: int) -> None:
    """Move the stop to `price`, rounded away from the position, if that is nearer than where it rests."""
    if np.isnan(price):
        return
    side = np.sign(slot["quantity"])
    stop = round_price(-side, price, par)
    if np.isnan(slot["stop"]) or (stop - slot["stop"]) * side > 0.0:
        slot["stop"], slot["stop_reason"] = stop, reason


@jit
def kelly(slot: Record, par: Record) -> float:
    """Return the fraction of equity that (part of) Kelly's formula bets on the slot's own closed trades, above its floor."""
    count = slot["wins"] + slot["losses"]
    if count < par["kelly_trades"] or count == 0 or slot["wins"] == 0:
        return par["kelly_floor"]
    bet = 1.0
    if slot["losses"] > 0:
        won = slot["wins"] / count
        payoff = (slot["gain"] / slot["wins"]) / (slot["loss"] / slot["losses"])
        bet = won - (1.0 - won) / payoff
    return min(max(par["kelly_scale"] * bet, par["kelly_floor"]), par["fraction"])


@jit
def wanted_value(equity: float, slot: Record, par: Record, signal: Record, distance: float) -> float:
    """Return the value (quote) that the sizing rule wants; NaN where an input is missing. `distance`: price to stop, relative."""
    most = par["fraction"] * equity
    if par["sizing"] == BY_FRACTION:
        return most
    if par["sizing"] == BY_STAKE:
        return par["stake"]
    if par["sizing"] == BY_RISK:
        return min(par["risk"] * equity / distance, most)
    if par["sizing"] == BY_CONFIDENCE:
        return most * signal["confidence"]
    if par["sizing"] == BY_VOLATILITY:
        calm = par["volatility_target"] / signal["volatility"] if signal["volatility"] > 0.0 else np.nan
        return most * min(1.0, calm) if not np.isnan(calm) else np.nan
    return kelly(slot, par) * equity


@jit
def sized(value: float, shrunk: int, side: float, price: float, slot: Record, par: Record) -> float:
    """Return a value's quantity in lots, and write the refusal code: what cut it, or why nothing is left."""
    quantity = floor_lot(value / price, par)
    received = quantity
    if par["fee_in_base"] != 0 and side > 0.0:
        received = floor_lot(quantity - quantity * max(par["taker_fee"], par["maker_fee"]), par)
    if not received > 0.0 or received < par["min_quantity"]:
        slot["refusal"] = TOO_SMALL
        if shrunk != 0:
            slot["refusal"] = REFUSED_FOR[shrunk]
        return 0.0
    if received * price < par["min_notional"]:
        slot["refusal"] = BELOW_MIN_NOTIONAL
        return 0.0
    if shrunk != 0:
        slot["refusal"] = shrunk
    return quantity


@jit
def cluster_net(slots: Records, s: int) -> float:
    """Return the signed value of the cluster that a slot belongs to: what stays open, and pending entries."""
    net = 0.0
    for k in range(len(slots)):
        if slots[k]["cluster"] == slots[s]["cluster"]:
            stays = 0.0 if slots[k]["exit"] != 0.0 else slots[k]["quantity"]
            net += (stays + slots[k]["entry"]) * slots[k]["mark"]
    return net


@jit
def entry_quantity(
    account: Record, limit: Record, slots: Records, s: int, par: Record, signal: Record, what: int, side: float, price: float,
    exposure: Exposure,
) -> float:  # fmt: skip
    """Return the quantity (>= 0) to enter with, and write the slot's refusal code when the wanted size is cut or refused.

    Cash that an exit of this same timestamp would free is not counted: that exit has not filled yet.

    The arguments are flat: the records are rows of arrays that lie elsewhere, which a record cannot hold without a copy, and
    `what`, `side` and `price` differ with each call.
    """
    slot, equity, own = slots[s], account["equity"], abs(slots[s]["quantity"]) * slots[s]["mark"]
    stop = first_stop(side, price, signal["atr"], signal["stop"], par)
    if what == SCALE_IN:
        value = par["scale_share"] * slot["unit"] * price
    else:
        protected = not np.isnan(par["stop_loss"]) or not np.isnan(par["stop_atr"]) or par["signal_stop"] != 0
        if (protected or par["sizing"] == BY_RISK) and not side * (price - stop) > 0.0:
            slot["refusal"] = NO_STOP
            return 0.0
        value = wanted_value(equity, slot, par, signal, side * (price - stop) / price)
    value *= throttle_factor(limit, account["throttle"])
    if np.isnan(value) or value <= 0.0:
        slot["refusal"] = MISSING_INPUT if np.isnan(value) else NO_EDGE
        return 0.0
    shrunk = 0
    room = par["max_position"] * equity - (own if what == SCALE_IN else 0.0)
    if room < value:
        value, shrunk = room, SHRUNK_BY_POSITION
    room = par["max_participation"] * slot["volume"] * price
    if room < value:
        value, shrunk = room, SHRUNK_BY_VOLUME
    # A reversal closes first: its own exposure does not stand in its way.
    own = 0.0 if what == SCALE_IN else own
    room = limit["max_gross"] * equity - (exposure.gross - own)
    if room < value:
        value, shrunk = room, SHRUNK_BY_EXPOSURE
    room = limit["max_net"] * equity - side * exposure.net
    if room < value:
        value, shrunk = room, SHRUNK_BY_NET
    if not np.isnan(limit["max_cluster"]) and slot["cluster"] > 0.0:
        room = limit["max_cluster"] * equity - side * cluster_net(slots, s)
        if room < value:
            value, shrunk = room, SHRUNK_BY_CLUSTER
    room = limit["turnover_per_day"] * account["day_equity"] - account["day_turnover"] - exposure.turnover
    if room < value:
        value, shrunk = room, SHRUNK_BY_TURNOVER
    if side > 0.0:
        room = (account["cash"] - limit["reserve"] * equity - exposure.committed) / (1.0 + par["taker_fee"])
        if room < value:
            value, shrunk = room, SHRUNK_BY_CASH
    return sized(value, shrunk, side, price, slot, par)


@jit
def rung_price(par: Record, rung: int) -> float:
    """Return the distance of a rung of the ladder as a fraction of the entry price; past the last, the take-profit's."""
    if rung >= par["rungs"]:
        return par["take_profit"]
    if rung == 0:
        return par["rung_1"]
    return par["rung_2"] if rung == 1 else par["rung_3"]


@jit
def place_target(slot: Record, par: Record) -> None:
    """Rest the next target: the nearest rung that is worth an order, or the take-profit for all that is left."""
    side, held = np.sign(slot["quantity"]), abs(slot["quantity"])
    while True:
        rung = slot["rung"]
        distance = rung_price(par, rung)
        price = round_price(side, slot["entry_price"] * (1.0 + side * distance), par) if distance > 0.0 else np.nan
        quantity = held
        if rung < par["rungs"]:
            share = par["share_1"] if rung == 0 else (par["share_2"] if rung == 1 else par["share_3"])
            quantity = min(floor_lot(share * slot["opened_quantity"], par), held)
            rest = held - quantity
            if rest < max(par["lot"], par["min_quantity"]) - 0.5 * par["lot"] or rest * price < par["min_notional"]:
                quantity = held
            if not quantity > 0.0 or quantity < par["min_quantity"] or quantity * price < par["min_notional"]:
                slot["rung"] += 1
                continue
        slot["target"], slot["target_quantity"] = price, 0.0 if np.isnan(price) else quantity
        return
