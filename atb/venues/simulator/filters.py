"""Binance's filters, checked before an order is accepted; the refusal names the first one that fails."""

from collections.abc import Iterable
from decimal import Decimal

from atb.domain import Instrument
from atb.venues.simulator import refusals
from atb.venues.simulator.configuration import Filters
from atb.venues.simulator.orders import STOPS, Order


def check_filters(
    order: Order, rules: Instrument, filters: Filters, *, price: Decimal, beside: Iterable[Order] = ()
) -> None:
    """Check an order against the rules of its symbol.

    Parameters
    ----------
    order
        The order to place; a quantity of 0 is not known yet and not checked.
    rules, filters
        The symbol's rules.
    price
        The last price, in quote.
    beside
        The symbol's open orders.

    Raises
    ------
    Refusal
        "Filter failure" and the filter's name.
    """
    _check_prices(order, rules, filters, price=price)
    if order.quantity:
        check_quantity(order, rules, filters, price=price)
    others = [other for other in beside if other.symbol == order.symbol]
    if len(others) >= filters.max_orders:
        raise refusals.filter_failure("MAX_NUM_ORDERS")
    if order.type in STOPS and sum(other.type in STOPS for other in others) >= filters.max_algo_orders:
        raise refusals.filter_failure("MAX_NUM_ALGO_ORDERS")


def _check_prices(order: Order, rules: Instrument, filters: Filters, *, price: Decimal) -> None:
    for value in (order.price, order.stop_price):
        if value and (value < rules.tick or value % rules.tick):
            raise refusals.filter_failure("PRICE_FILTER")
    if order.price and price and not filters.price_down * price <= order.price <= filters.price_up * price:
        raise refusals.filter_failure("PERCENT_PRICE_BY_SIDE")


def check_quantity(order: Order, rules: Instrument, filters: Filters, *, price: Decimal) -> None:
    """Check the quantity and the value of an order against the rules of its symbol.

    Raises
    ------
    Refusal
        "Filter failure" and the filter's name.
    """
    quantity = order.quantity
    if quantity < rules.min_quantity or quantity > filters.max_quantity or quantity % rules.lot:
        raise refusals.filter_failure("LOT_SIZE")
    if order.type in ("MARKET", "STOP_LOSS", "TAKE_PROFIT") and quantity > filters.max_market_quantity:
        raise refusals.filter_failure("MARKET_LOT_SIZE")
    value = quantity * (order.price or order.stop_price or price)
    if not rules.min_notional <= value <= filters.max_notional:
        raise refusals.filter_failure("NOTIONAL")
