"""Trading rules that a venue publishes, read from ccxt's description of a market, for downloads and brokers alike.

ccxt gives a precision in one of three ways. `tick_size`: the step itself. `decimal_places`: so many digits after the point.
`significant_digits`: so many digits in all, so that the step depends on the price: with five it is 1 at 65,123 and 0.000000001 at
0.000012346. Quantities are in decimal places even there, as in ccxt's own `amount_to_precision`. A step that the venue does not
tell is taken well below its last price, and `source` says so; without a price it is refused. It is never a constant.
"""

from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from atb.decimals import power_of_ten
from atb.domain.instrument import Instrument
from atb.domain.symbol import Symbol
from atb.errors import DataError

Precision = Literal["tick_size", "decimal_places", "significant_digits"]
_DIGITS = 5  # of a price step that is not given: a ten-thousandth of the price or less
_FINEST_LOT = Decimal("0.00000001")


def needs_price(market: dict[str, Any], mode: Precision) -> bool:
    """Return True if the price step of a market depends on its last price."""
    return mode == "significant_digits" or not _number((market.get("precision") or {}).get("price"))


def published_rules(
    symbol: Symbol, market: dict[str, Any], *, mode: Precision, last: Decimal | None = None, source: str = ""
) -> Instrument:
    """Return the rules of a market.

    Parameters
    ----------
    symbol
        The traded symbol.
    market
        ccxt's market, with `precision` and `limits`.
    mode
        How to read a precision.
    last
        The last price, for steps that depend on it.
    source
        Where the rules come from: the venue and the day.

    Raises
    ------
    DataError
        If there is neither a price step nor a last price to derive it from.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    least, cost = (_number((limits.get(name) or {}).get("min")) for name in ("amount", "cost"))
    tick = step_of(precision.get("price"), mode, price=last)
    lot = step_of(precision.get("amount"), "decimal_places" if mode == "significant_digits" else mode)
    notes = []
    if tick is None:
        tick = _below(symbol, last)
        notes.append("the price step is not told, so five digits of the last price")
    if lot is None:
        lot = min(least, _FINEST_LOT) if least else _FINEST_LOT
        notes.append("the lot is not told, so a fine one")
    return Instrument(symbol, tick, lot, least, cost, source="; ".join([source or "as published", *notes]))


def step_of(precision: Any, mode: Precision, *, price: Decimal | None = None) -> Decimal | None:
    """Return the step that a precision means; None if it is missing or depends on an unknown price."""
    if mode == "tick_size":
        return _number(precision) or None
    if precision is None:
        return None
    digits = int(Decimal(str(precision)))
    if mode == "decimal_places":
        return power_of_ten(-digits)
    return power_of_ten(price.adjusted() - digits + 1) if price else None


def _below(symbol: Symbol, last: Decimal | None) -> Decimal:
    """Return a step well below a price."""
    if not last:
        raise DataError(
            f"The venue does not tell the price step of {symbol}, and no last price to take one from",
            todo="Trade another symbol there, or import bars: a step is then taken from them",
        )
    return power_of_ten(last.adjusted() - _DIGITS + 1)


def _number(value: Any) -> Decimal:
    """Return a number without exponent and trailing zeros, 0 if there is none."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    if not found.is_finite() or found <= 0:
        return Decimal(0)
    return Decimal(f"{found.normalize():f}")
