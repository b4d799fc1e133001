"""Changes to a slot's record between two bars: refused entries, dust, losses at the venue, closing by the kill switch.

Together with `kernel.decide` and `kernel.apply_fill` this is all that writes a position or an intent. Each rule is one small
function over one SLOT record; those that say "copy" leave the record as it is and return what it would become.

Plain Python on purpose: a rule here runs once per event at a venue, and compiling it would cost a starting runner more than it
ever takes. It is the same Python subset as the kernel's, and part of the kernel's hash. Units as in `atb.engine.records`.
"""

import numpy as np

from atb.engine.kernel import clear, close_position, open_position
from atb.engine.matching import market_price, round_lots
from atb.engine.records import AT_MARKET, ORDER, RISK_LIMIT, Record
from atb.engine.sizing import place_target


def drop_entry(slot: Record) -> None:
    """Withdraw the intent to enter: refused, withheld, too late, or forbidden by the kill switch."""
    slot["entry"] = 0.0


def drop_exit(slot: Record) -> None:
    """Withdraw the intent to exit: it was withheld."""
    slot["exit"] = 0.0


def close_at_market(slot: Record, reason: int) -> None:
    """Intend to close the whole position at the market, for a reason code; a flat slot stays as it is."""
    if slot["quantity"] != 0.0:
        slot["exit"], slot["exit_reason"] = -slot["quantity"], reason


def enter_at_market(slot: Record) -> None:
    """Turn a resting entry into a market order: its price has been passed already."""
    slot["entry_kind"] = AT_MARKET


def sellable(par: Record, quantity: float, price: float) -> bool:
    """Return whether a venue takes an order that sells a base quantity at a price (quote); what it does not is dust."""
    return bool(quantity >= par["min_quantity"] and quantity * price >= par["min_notional"])


def set_aside_dust(slot: Record, par: Record, *, filled: float, price: float) -> float:
    """Move to dust what the last fill of an exit will leave of a long position, where no order could sell it.

    Fees in base leave such rests: a position would never be flat again. Dust stays in the account and goes into the next entry's
    whole lots. A fill of more than the position takes what is missing from dust, which is below 0 then: a venue that took an
    entry's fee from the account's other coins lets its stop sell all that was bought, and the next entry gives them back. To be
    called before the fill itself is applied.

    Parameters
    ----------
    filled, price
        Base quantity of the fill, and its price in quote.

    Returns
    -------
    float
        The base quantity that was set aside, 0 where nothing was; below 0 what was sold beyond the position.
    """
    left = float(slot["quantity"]) - filled
    if slot["quantity"] > 0.0 and left <= -0.5 * float(par["lot"]):
        slot["quantity"] = round_lots(slot["quantity"] - left, par)
        slot["opened_quantity"] = round_lots(slot["opened_quantity"] - left, par)
        slot["dust"] += left
        return left
    if left < 0.5 * float(par["lot"]) or sellable(par, left, price):
        return 0.0
    slot["quantity"] = round_lots(slot["quantity"] - left, par)
    slot["opened_quantity"] = round_lots(slot["opened_quantity"] - left, par)
    slot["dust"] += left
    return left


def close_dust(account: Record, slot: Record, par: Record, *, fill: Record, trade: Record) -> bool:
    """Close a long position of dust, which no order can sell and no open order will: it leaves the position, not the account.

    Whatever sold the rest, and however it ended, has been applied before. The round trip is what was sold; a position of which
    nothing was sold leaves none.

    Parameters
    ----------
    fill
        An ORDER record of quantity 0: when it is closed, and the role and reason of that.
    trade
        The TRADE record to write.

    Returns
    -------
    bool
        Whether a round trip was written.
    """
    left = float(slot["quantity"])
    slot["dust"] += left
    slot["opened_quantity"] = round_lots(slot["opened_quantity"] - left, par)
    slot["exit"] = 0.0
    account["orders"] += 1
    if slot["opened_quantity"] <= 0.0:
        clear(slot)
        return False
    account["trades"] += 1
    account["day_orders"] += 1
    close_position(slot, par, fill, trade, 1.0)
    return True


def write_off(slot: Record, quantity: float) -> float:
    """Prepare a long slot for losing `quantity` of its base asset outside of the runner: the position first, then its dust.

    Returns
    -------
    float
        How much of the position has to be booked as sold (base), 0 where only dust is gone.
    """
    lost = min(quantity, float(slot["quantity"]))
    slot["dust"] = max(0.0, float(slot["dust"]) - (quantity - lost))
    if lost <= 0.0:
        return 0.0
    slot["exit_reason"] = RISK_LIMIT
    return lost


def limited_to(slot: Record, par: Record, present: float) -> Record:
    """Return a copy whose long position is at most the `present` base quantity, none if that is dust; no entry goes with less."""
    limited = _copy(slot)
    if abs(float(slot["quantity"])) > present:
        limited["quantity"] = round_lots(present, par) if sellable(par, present, float(slot["mark"])) else 0.0
        limited["exit"], limited["entry"] = -limited["quantity"] if slot["exit"] != 0.0 else 0.0, 0.0
    return limited


def after_target(slot: Record, par: Record) -> Record:
    """Return a copy as it will be once the resting target is filled: less is held, and the next target rests."""
    after, side = _copy(slot), np.sign(slot["quantity"])
    part = min(float(slot["target_quantity"]), float(abs(slot["quantity"])))
    after["quantity"] = round_lots(slot["quantity"] - side * part, par)
    after["rung"] += 1
    if after["quantity"] != 0.0:
        place_target(after, par)
    return after


def after_entry(slot: Record, par: Record, *, quantity: float, price: float) -> Record:
    """Return a copy as it will be once a buy of `quantity` is filled: at its limit `price`, or at the market where that is NaN."""
    after, fill = _copy(slot), np.zeros(1, ORDER)[0]
    at_market = np.isnan(price)
    rate = par["taker_fee"] if at_market else par["maker_fee"]
    fill["side"], fill["quantity"] = 1, quantity
    fill["price"] = market_price(1, slot["mark"], quantity, slot, par) if at_market else price
    fill["fee_base"] = quantity * rate if par["fee_in_base"] else 0.0
    open_position(after, par, fill)
    return after


def marked_to(slot: Record, price: float) -> Record:
    """Return a copy that is marked to a price (quote) that came after its last close."""
    marked = _copy(slot)
    marked["mark"] = price
    return marked


def _copy(slot: Record) -> Record:
    return np.array([slot])[0]
