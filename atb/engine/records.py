"""The kernel's records and codes: what it reads, what it keeps between bars, and what it writes.

Units. Prices in quote per base, quantities in base, cash, equity and fees in quote, times in epoch milliseconds UTC, fractions
(never percent). Field order is part of the saved state's schema: bump SCHEMA when ACCOUNT or SLOT changes. A parameter that is
off is NaN where it is a number and 0 where it is a count or a switch. This file is part of the kernel's hash.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Annotations for readers and mypy; numba infers its own.
Records = NDArray[np.void]  # an array with one of the types below
Record = Any  # one of its rows: a view, so that what is assigned to it is assigned to the array
Rows = NDArray[np.int64]  # indices into MARKET records, -1 for none
Floats = NDArray[np.float64]

SCHEMA = 4  # `KernelState.load_json` reads 3 too

MARKET = np.dtype(
    [
        ("opened", "i8"),
        ("closed", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("funding", "f8"),  # paid by longs to shorts at this bar's close, as a fraction of the position's value
        ("first", "i8"),  # what a finer timeframe saw first inside this bar: FIRST_STOP, FIRST_TARGET or 0, not known
    ],
    align=True,
)
SIGNAL = np.dtype(
    [
        ("side", "f8"),
        ("confidence", "f8"),
        ("atr", "f8"),
        ("volatility", "f8"),  # annualised
        ("stop", "f8"),  # absolute price wanted by the strategy
        ("price", "f8"),  # absolute price of a limit or stop entry wanted by the strategy
        ("cluster", "f8"),  # number of the correlated cluster the slot belongs to, 0 when none
    ],
    align=True,
)

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("equity", "f8"),
        ("peak", "f8"),
        ("fees", "f8"),
        ("financing", "f8"),  # borrow and funding paid, net of what was received
        ("orders", "i8"),
        ("trades", "i8"),
        ("day", "i8"),  # UTC day (days since 1970) of the last decision
        ("day_equity", "f8"),  # equity when that day began
        ("day_orders", "i8"),
        ("day_turnover", "f8"),  # summed value of that day's fills
        ("throttle", "i8"),  # level of the drawdown throttle, 0 when it is off
        ("halt", "i8"),  # HALT_NONE, HALT_DAY, HALT_DRAWDOWN or HALT_LIQUIDATION
    ],
    align=True,
)
ACCOUNT_PARAMETERS = np.dtype(
    [
        ("max_gross", "f8"),
        ("max_net", "f8"),
        ("max_cluster", "f8"),
        ("reserve", "f8"),
        ("daily_loss", "f8"),
        ("max_drawdown", "f8"),
        ("turnover_per_day", "f8"),
        ("maintenance", "f8"),  # liquidated at this equity, as a fraction of gross exposure
        ("throttle_1", "f8"),
        ("throttle_2", "f8"),
        ("throttle_3", "f8"),
        ("factor_1", "f8"),
        ("factor_2", "f8"),
        ("factor_3", "f8"),
        ("recovery", "f8"),
        ("max_positions", "i8"),
        ("orders_per_bar", "i8"),
        ("orders_per_day", "i8"),
        ("flatten", "i8"),
    ],
    align=True,
)

SLOT = np.dtype(
    [
        # the position
        ("quantity", "f8"),  # signed, whole lots
        ("dust", "f8"),  # base left over by fees in base, less than a lot; not part of `quantity`
        ("entry_price", "f8"),  # average
        ("entry_time", "i8"),
        ("paid", "i8"),  # up to when interest was paid on what a short borrowed; of a flat slot 0
        ("stop", "f8"),  # resting stop, NaN when none
        ("stop_reason", "i8"),
        ("target", "f8"),  # resting target (the next rung or the take-profit), NaN when none
        ("target_quantity", "f8"),  # absolute
        ("rung", "i8"),  # rungs of the ladder that are done
        ("unit", "f8"),  # absolute quantity of the first entry fill
        ("added_price", "f8"),  # price of the last entry fill
        ("additions", "i8"),  # scale-ins filled
        ("highest", "f8"),  # since the entry
        ("lowest", "f8"),
        ("bars_held", "i8"),
        ("entered_inside", "i8"),  # in the bar in which a resting entry filled: INSIDE_BY_STOP or _LIMIT
        ("opened_quantity", "f8"),  # absolute, summed over entry fills
        ("exit_value", "f8"),  # absolute quantity x price, summed over exit fills
        ("realised", "f8"),  # gross of fees
        ("fees", "f8"),
        ("financing", "f8"),
        # what the slot remembers
        ("mark", "f8"),  # last close
        ("atr", "f8"),  # of the last closed bar
        ("volume", "f8"),  # of the last closed bar
        ("cluster", "f8"),  # at the last closed bar
        ("barred_side", "f8"),  # side that may not be re-entered before the signal has left it, 0 when none
        ("cooldown_left", "i8"),  # decisions that still have to pass before an entry
        ("wins", "i8"),  # closed trades with a gain, for Kelly
        ("losses", "i8"),
        ("gain", "f8"),  # summed return of the wins, as fractions of entry value
        ("loss", "f8"),  # summed return of the losses, positive
        # intents for the next bar
        ("entry", "f8"),  # signed quantity, 0 when none
        ("entry_reason", "i8"),
        ("entry_kind", "i8"),  # AT_MARKET, AT_LIMIT or AT_STOP
        ("entry_at", "f8"),  # price of a resting entry
        ("entry_bars", "i8"),  # bars that a resting entry still has
        ("entry_atr", "f8"),  # ATR at the decision, for the stop
        ("entry_stop", "f8"),  # absolute stop at the decision
        ("exit", "f8"),  # signed quantity, 0 when none
        ("exit_reason", "i8"),
        ("refusal", "i8"),  # why the last decision or fill was refused or shrunk, 0 when it was not
    ],
    align=True,
)
SLOT_PARAMETERS = np.dtype(
    [
        # size
        ("sizing", "i8"),
        ("fraction", "f8"),
        ("stake", "f8"),
        ("risk", "f8"),
        ("volatility_target", "f8"),
        ("kelly_scale", "f8"),
        ("kelly_floor", "f8"),
        ("kelly_trades", "i8"),
        ("max_position", "f8"),
        ("max_participation", "f8"),
        # entries
        ("allow_short", "i8"),
        ("reenter", "i8"),
        ("cooldown", "i8"),
        ("entry_kind", "i8"),
        ("entry_offset", "f8"),
        ("entry_bars", "i8"),
        ("scale_trigger", "f8"),
        ("scale_share", "f8"),
        ("scale_limit", "i8"),
        # exits
        ("stop_loss", "f8"),
        ("stop_atr", "f8"),
        ("signal_stop", "i8"),
        ("take_profit", "f8"),
        ("rungs", "i8"),
        ("rung_1", "f8"),
        ("rung_2", "f8"),
        ("rung_3", "f8"),
        ("share_1", "f8"),
        ("share_2", "f8"),
        ("share_3", "f8"),
        ("trail", "f8"),
        ("trail_atr", "f8"),
        ("trail_after", "f8"),
        ("break_even", "f8"),
        ("break_even_offset", "f8"),
        ("max_bars", "i8"),
        ("session_start", "i8"),  # minute of the UTC day
        ("session_end", "i8"),  # minute of the UTC day; equal to the start: no session
        ("flat_weekend", "i8"),
        ("cut_after", "i8"),
        ("cut_below", "f8"),
        ("signal_exit", "i8"),
        ("opposite", "i8"),
        # costs and the market
        ("taker_fee", "f8"),
        ("maker_fee", "f8"),
        ("fee_in_base", "i8"),
        ("slippage", "f8"),
        ("slippage_atr", "f8"),
        ("impact", "f8"),
        ("borrow_rate", "f8"),  # per year of 365 days
        ("target_first", "i8"),
        ("limit_gap", "i8"),  # where a resting limit order is met that the open passes: LIMIT_OWN or LIMIT_OPEN
        ("tick", "f8"),
        ("tick_inverse", "f8"),  # 1 / tick where that is a whole number, else 0
        ("lot", "f8"),
        ("lot_inverse", "f8"),
        ("min_quantity", "f8"),
        ("min_notional", "f8"),
    ],
    align=True,
)

ORDER = np.dtype(
    [
        ("id", "i8"),
        ("slot", "i8"),
        ("row", "i8"),  # index of the bar it filled in
        ("time", "i8"),  # the bar's open for what fills at the open, its close for what fills inside the bar
        ("side", "i8"),
        ("quantity", "f8"),
        ("price", "f8"),
        ("fee", "f8"),  # in quote, or its value in quote when it was paid in base
        ("fee_base", "f8"),  # paid in base, 0 when paid in quote
        ("role", "i8"),
        ("reason", "i8"),
        ("kind", "i8"),
        ("ambiguous", "i8"),
        ("reference", "f8"),  # price that was met, before slippage and rounding
        ("other", "f8"),  # where an ambiguous fill could have been instead: price of the level that lost, else NaN
    ],
    align=True,
)
TRADE = np.dtype(
    [
        ("slot", "i8"),
        ("side", "i8"),
        ("quantity", "f8"),
        ("entry_time", "i8"),
        ("entry_price", "f8"),
        ("exit_time", "i8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("financing", "f8"),
        ("pnl", "f8"),  # net of fees and financing
        ("mfe", "f8"),  # best excursion as a fraction of the entry price, >= 0
        ("mae", "f8"),  # worst excursion as a fraction of the entry price, >= 0
        ("bars_held", "i8"),
        ("additions", "i8"),
        ("reason", "i8"),
    ],
    align=True,
)
SUMMARY = np.dtype(
    [
        # equity, from close to close
        ("bars", "i8"),
        ("last", "f8"),  # equity at the last close
        ("returns", "f8"),  # summed simple returns
        ("squares", "f8"),  # summed squares of them
        ("downside", "f8"),  # summed squares of the negative ones
        ("trough", "f8"),  # lowest equity since the peak
        ("max_drawdown", "f8"),
        ("below", "i8"),  # bars since the peak
        ("longest", "i8"),  # the most bars below a peak
        ("exposed", "i8"),  # bars at whose close a position was open
        # closed trades
        ("wins", "i8"),
        ("losses", "i8"),
        ("gain", "f8"),  # quote
        ("loss", "f8"),  # quote, positive
        ("pnl", "f8"),
        ("trade_returns", "f8"),  # summed pnl over entry value
        ("best", "f8"),
        ("worst", "f8"),
        ("bars_held", "i8"),
        # orders
        ("turnover", "f8"),
        ("ambiguous", "i8"),
        ("refused", "i8"),
        ("shrunk", "i8"),
    ],
    align=True,
)
REFUSAL = np.dtype([("slot", "i8"), ("time", "i8"), ("reason", "i8")], align=True)

# Codes. Their names reach results and journals through `atb.engine.codes`.

ENTRY, EXIT, STOP, TARGET = 1, 2, 3, 4  # roles
OPEN, RANGE = 0, 1  # phases of a bar
AT_MARKET, AT_LIMIT, AT_STOP = 0, 1, 2  # kinds of order
FIRST_STOP, FIRST_TARGET = 1, 2
LIMIT_OWN, LIMIT_OPEN = 0, 1
INSIDE_BY_STOP, INSIDE_BY_LIMIT = 1, 2  # kind of the entry that filled inside the bar that still lasts
BY_FRACTION, BY_STAKE, BY_RISK, BY_CONFIDENCE, BY_VOLATILITY, BY_KELLY = 0, 1, 2, 3, 4, 5  # sizing
REVERSE, LEAVE, IGNORE = 0, 1, 2  # what an opposite signal does
HALT_NONE, HALT_DAY, HALT_DRAWDOWN, HALT_LIQUIDATION = 0, 1, 2, 3
(
    SIGNAL_ENTRY, SIGNAL_EXIT, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, BREAK_EVEN, PARTIAL_EXIT,
    TIME_LIMIT, SESSION_END, EARLY_CUT, RISK_LIMIT, LIQUIDATION, SCALE_IN,
) = range(1, 14)  # reasons  # fmt: skip
(
    TOO_SMALL, BELOW_MIN_NOTIONAL, NO_CASH, NO_EXPOSURE, NO_SHORTS, SHRUNK_BY_CASH, SHRUNK_BY_EXPOSURE, NO_PRICE,
    SHRUNK_BY_POSITION, SHRUNK_BY_VOLUME, SHRUNK_BY_NET, SHRUNK_BY_CLUSTER, SHRUNK_BY_TURNOVER,
    NO_POSITION_ROOM, NO_VOLUME, NO_NET, NO_CLUSTER, NO_TURNOVER,
    TOO_MANY_POSITIONS, ORDERS_IN_BAR, ORDERS_IN_DAY, DAILY_LOSS, DRAWDOWN, LIQUIDATED, COOLING, OUT_OF_SESSION,
    NO_STOP, MISSING_INPUT, ENTRY_EXPIRED, NO_EDGE, WRONG_PRICE,
) = range(1, 32)  # refusals  # fmt: skip

# By refusal code. For the code of a cut size, the refusal where the same limit leaves nothing to enter with; for all others 0.
REFUSED_FOR = tuple(
    {
        SHRUNK_BY_CASH: NO_CASH,
        SHRUNK_BY_EXPOSURE: NO_EXPOSURE,
        SHRUNK_BY_POSITION: NO_POSITION_ROOM,
        SHRUNK_BY_VOLUME: NO_VOLUME,
        SHRUNK_BY_NET: NO_NET,
        SHRUNK_BY_CLUSTER: NO_CLUSTER,
        SHRUNK_BY_TURNOVER: NO_TURNOVER,
    }.get(code, 0)
    for code in range(WRONG_PRICE + 1)
)


# What is NaN in a slot that never traded, as `kernel.clear` leaves it; all else is 0.
_NONE = (
    "entry_price", "stop", "target", "added_price", "highest", "lowest", "entry_at", "entry_atr", "entry_stop", "atr",
)  # fmt: skip


def _flat() -> Any:
    slot = np.zeros(1, SLOT)
    for name in _NONE:
        slot[name] = np.nan
    return slot


_FLAT = _flat()


def fresh_account(cash: float) -> Records:
    """Return the account record of an account that has never traded."""
    account = np.zeros(1, ACCOUNT)
    account["cash"] = account["equity"] = account["peak"] = cash
    return account


def fresh_slots(count: int) -> Records:
    """Return `count` records of flat slots."""
    return np.repeat(_FLAT, count)
