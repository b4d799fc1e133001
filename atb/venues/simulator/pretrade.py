"""Pre-trade checks: what refuses an order before it is accepted, and what an accepted order sets aside."""

from collections.abc import Iterable
from decimal import Decimal

from atb.venues.simulator import refusals
from atb.venues.simulator.configuration import Filters
from atb.venues.simulator.fees import Fees
from atb.venues.simulator.filters import check_filters
from atb.venues.simulator.matching import exchange_price, is_late, is_marketable, rounded_up, taker_price, would_trigger
from atb.venues.simulator.orders import STOPS, ZERO, Order
from atb.venues.simulator.tape import AFTER_RANGE, Tape


def check_rules(draft: Order, tape: Tape, filters: Filters, *, open_orders: Iterable[Order], now_ms: int) -> None:
    """Refuse an order that its symbol does not allow, or that breaks a filter.

    A market order that names an amount of quote gets its quantity here.

    Parameters
    ----------
    open_orders
        The symbol's open orders, for the limits on their number.
    now_ms
        Exchange time in epoch milliseconds.

    Raises
    ------
    Refusal
        With Binance's code for the first reason.
    """
    tape.capabilities.check_type(draft.type, by_quote=bool(draft.quote_quantity))
    if draft.quote_quantity:
        price = exchange_price(tape.price if draft.sells else taker_price(draft, tape.price, tape))
        draft.quantity = tape.rules.floor_quantity(draft.quote_quantity / price)
    against = tape.filter_price(now_ms, filters.average_minutes)
    check_filters(draft, tape.rules, filters, price=against, beside=open_orders)


def check_price(draft: Order, tape: Tape, *, paired: bool = False) -> None:
    """Refuse an order whose price would trade or trigger at once; a pair's is refused as a relationship of prices.

    Raises
    ------
    Refusal
        -2010 with Binance's words.
    """
    if draft.type in STOPS and _triggers_at_once(draft, tape):
        raise refusals.prices_related() if paired else refusals.rejected("Stop price would trigger immediately.")
    after = tape.phase == AFTER_RANGE and draft.sells
    if draft.type == "LIMIT_MAKER" and not after and is_marketable(draft, tape.price):
        raise refusals.prices_related() if paired else refusals.rejected("Order would immediately match and take.")


def _triggers_at_once(draft: Order, tape: Tape) -> bool:
    if tape.phase == AFTER_RANGE and draft.sells and draft.type.startswith("STOP"):
        # Otherwise it meets this very bar; a late one meets the market where its entry was.
        return not is_late(draft, tape) and float(draft.stop_price) > float(tape.bar["high"])
    return would_trigger(draft, tape.price)


def paying_asset(order: Order, tape: Tape) -> str:
    """Return the asset that an order gives away: base when it sells, quote when it buys."""
    pair = tape.rules.symbol
    return pair.base if order.sells else pair.quote


def required_balance(order: Order, tape: Tape, fees: Fees) -> tuple[str, Decimal]:
    """Return the asset and the amount that an order needs: a market order spends it, any other order sets it aside."""
    asset = paying_asset(order, tape)
    if order.sells:
        return asset, order.rest
    if order.type == "MARKET":
        price = exchange_price(taker_price(order, tape.price, tape)) if order.rest else ZERO
    else:
        price = order.price or order.stop_price
    value = rounded_up(price * order.rest)
    return asset, value + fees.reserve(value)
