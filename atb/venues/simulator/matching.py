"""Matching of single orders against a price or a bar, by the kernel's own fill rules."""

import math
from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from atb.engine import matching as kernel
from atb.engine.records import LIMIT_OPEN
from atb.venues.simulator.configuration import BookDepth
from atb.venues.simulator.orders import Order
from atb.venues.simulator.tape import AFTER_RANGE, Tape

_RISING = frozenset(("TAKE_PROFIT", "TAKE_PROFIT_LIMIT"))
_EIGHT = Decimal("0.00000001")


def rounded_down(value: Decimal) -> Decimal:
    """Round an amount that moves down to eight decimals: parts never add up to more than the whole."""
    return value.quantize(_EIGHT, ROUND_DOWN)


def rounded_up(value: Decimal) -> Decimal:
    """Round an amount to set aside up to eight decimals: it always covers its parts."""
    return value.quantize(_EIGHT, ROUND_UP)


def exchange_price(number: float) -> Decimal:
    """Return a float price as the shortest decimal that reads back the same, with at most eight decimals."""
    value = Decimal(repr(float(number)))
    exponent = value.as_tuple().exponent
    return value.quantize(_EIGHT) if isinstance(exponent, int) and exponent < -8 else value


def kernel_side(order: Order) -> int:
    """Return the kernel's side: +1 buys, -1 sells."""
    return -1 if order.sells else 1


def would_trigger(order: Order, price: float) -> bool:
    """Return True if a stop order's price is already reached."""
    stop = float(order.stop_price)
    waits_for_rise = order.sells == (order.type in _RISING)
    return price >= stop if waits_for_rise else price <= stop


def is_marketable(order: Order, price: float) -> bool:
    """Return True if a limit order would trade at once."""
    limit = float(order.price)
    return price >= limit if order.sells else price <= limit


def price_met_in_bar(order: Order, tape: Tape, *, inside: int) -> float:
    """Return the price at which a resting order fills or triggers in the tape's bar, NaN if it does not.

    Parameters
    ----------
    order, tape
        The order, and the tape of its symbol.
    inside
        How the position it protects was entered: 0 at the open or before, 1 by a stop inside this bar, 2 by a limit inside it.
        In the last two cases the open lies before the entry; after a limit the move to the target may too. A stop that such an
        entry slipped beyond is met at once, where the entry was.
    """
    side, bar = kernel_side(order), tape.bar
    if order.is_stop:
        level, rising = float(order.stop_price), order.type in _RISING
        if inside and rising:
            return float(kernel.level_reached(-side, level, bar))
        if inside:
            return float(kernel.stop_after_entry(side, level, tape.entered_at, bar))
        return float(
            kernel.limit_price(side, level, bar, LIMIT_OPEN) if rising else kernel.stop_trigger(side, level, bar)
        )
    if inside == 2:
        return math.nan
    level = float(order.price)
    if inside:
        return float(kernel.level_reached(-side, level, bar))
    return float(kernel.limit_price(side, level, bar, tape.par["limit_gap"]))


def is_passed(order: Order, tape: Tape) -> bool:
    """Return True if the bar opened at a limit order's price or at a better one."""
    return not order.is_stop and bool(kernel.passes(kernel_side(order), float(order.price), tape.bar))


def is_late(order: Order, tape: Tape) -> bool:
    """Return True for a stop that is placed on the wrong side of the market, where the entry it protects met this bar."""
    falling = order.is_stop and order.sells and order.type not in _RISING
    return falling and tape.phase == AFTER_RANGE and float(order.stop_price) >= tape.entered_at


def precedence(order: Order, met: float, tape: Tape) -> tuple[bool, bool, int]:
    """Return the sort key of orders that fill in the same bar.

    Fills at the open come before fills inside the bar, and a stop before a target unless the model says otherwise.
    """
    at_open = met == float(tape.bar["open"]) or is_passed(order, tape)
    stop = order.is_stop and order.type not in _RISING
    target_first = bool(tape.par["target_first"]) and not at_open
    return (not at_open, stop == target_first, order.id)


def taker_price(order: Order, met: float, tape: Tape) -> float:
    """Return the price of a taker execution: `met` plus slippage, rounded against the trader."""
    return float(kernel.market_price(kernel_side(order), met, float(order.rest), tape.slot, tape.par))


def walk_book(
    order: Order, met: float, tape: Tape, *, book: BookDepth, most: Decimal
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (quantity, price) of a taker order's executions, best price first, up to a quantity of `most`.

    A limit caps the price of the first level; further levels beyond the limit are not executed.
    """
    first, rest, level = exchange_price(taker_price(order, met, tape)), most, 0
    limited = order.price or None
    left = book.level
    while rest > 0:
        price = first + kernel_side(order) * level * book.step * tape.rules.tick
        if limited is not None and (price < limited if order.sells else price > limited):
            if level:
                return
            price = limited
        quantity = min(amount for amount in (rest, book.max_execution, left) if amount is not None)
        yield quantity, price
        rest -= quantity
        if left is not None and book.level is not None:
            left -= quantity
            if not left:
                level, left = level + 1, book.level
