"""A symbol's trading rules in exact decimals, and the checks of an order before it is sent.

How far a price may lie from the market is checked by the venue alone. It measures from a reference price or an average of some
minutes, which is not the last price known here: its refusal costs one request, but a wrong refusal here would leave a position
without its stop.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from atb.domain.instrument import Instrument
from atb.domain.orders import Order
from atb.domain.published import Precision, published_rules, step_of
from atb.domain.symbol import Symbol
from atb.errors import VenueError

_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Allowed values: from `least` to `most`, in whole steps of `step`; 0 means no such rule."""

    step: Decimal = _NONE
    least: Decimal = _NONE
    most: Decimal = _NONE

    def refuses(self, value: Decimal) -> str:
        """Return the reason why a value is not allowed, empty if it is."""
        if value < self.least:
            return f"{plain(value)} is below the least, {plain(self.least)}"
        if self.most and value > self.most:
            return f"{plain(value)} is above the most, {plain(self.most)}"
        if self.step and value % self.step:
            return f"{plain(value)} is not in steps of {plain(self.step)}"
        return ""


@dataclass(frozen=True, slots=True)
class TradingRules:
    """The rules of one symbol.

    Parameters
    ----------
    instrument
        Tick, lot and minima that the kernel sizes orders with.
    venue_symbol
        The venue's spelling.
    price, quantity, market_quantity
        Allowed values; market orders must satisfy both `quantity` and `market_quantity`.
    notional
        Allowed value of an order, in quote.
    notional_at_market
        Whether minimum and maximum value apply to market orders too.
    """

    instrument: Instrument
    venue_symbol: str
    price: Grid = Grid()
    quantity: Grid = Grid()
    market_quantity: Grid = Grid()
    notional: Grid = Grid()
    notional_at_market: tuple[bool, bool] = (True, False)

    def refusal(self, order: Order, last: Decimal | None = None) -> tuple[str, str] | None:
        """Return code and reason of a refusal, None if the order satisfies every rule.

        Parameters
        ----------
        last
            The last known price, for market orders; None skips the rules that need it.
        """
        at_market = order.price is None
        checks = [
            ("local:lot_size", self.quantity.refuses(order.quantity) or ("not above 0" if order.quantity <= 0 else "")),
            ("local:market_lot_size", self.market_quantity.refuses(order.quantity) if at_market else ""),
            ("local:price_filter", self._price_refusal(order)),
            ("local:notional", self._notional_refusal(order, last)),
        ]
        return next(((code, f"{order.symbol}: {reason}") for code, reason in checks if reason), None)

    def _price_refusal(self, order: Order) -> str:
        wanted = {"limit": order.price, "stop": order.stop_price}.get(order.type)
        if order.type != "market" and wanted is None:
            return f"a {order.type} order needs its price"
        prices = [value for value in (order.price, order.stop_price) if value is not None]
        return next((reason for value in prices if (reason := self.price.refuses(value))), "")

    def _notional_refusal(self, order: Order, last: Decimal | None) -> str:
        price = order.price or order.stop_price or last
        if price is None:
            return ""
        value = order.quantity * price
        least, most = (True, True) if order.price is not None else self.notional_at_market
        if least and value < self.notional.least:
            return f"a value of {plain(value)} is below the least, {plain(self.notional.least)}"
        if most and self.notional.most and value > self.notional.most:
            return f"a value of {plain(value)} is above the most, {plain(self.notional.most)}"
        return ""


def plain(value: Decimal) -> str:
    """Format a number for an exchange: all digits, no exponent, no trailing zeros."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def number(value: Any) -> Decimal:
    """Read a number of an exchange, without trailing zeros."""
    return Decimal(plain(Decimal(str(value))))


def binance_rules(symbol: Symbol, info: dict[str, Any]) -> TradingRules:
    """Read a symbol of Binance's `exchangeInfo`."""
    filters = {row["filterType"]: row for row in info["filters"]}
    price, lot = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
    market = filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    grid = Grid(_of(price, "tickSize"), _of(price, "minPrice"), _of(price, "maxPrice"))
    quantity = Grid(_of(lot, "stepSize"), _of(lot, "minQty"), _of(lot, "maxQty"))
    return TradingRules(
        instrument=Instrument(
            symbol,
            tick=grid.step or _digits(symbol, info, "quoteAssetPrecision", "quotePrecision"),
            lot=quantity.step or _digits(symbol, info, "baseAssetPrecision"),
            min_quantity=quantity.least,
            min_notional=_of(notional, "minNotional"),
            source="as the venue gives them now",
        ),
        venue_symbol=str(info["symbol"]),
        price=grid,
        quantity=quantity,
        market_quantity=Grid(_of(market, "stepSize"), _of(market, "minQty"), _of(market, "maxQty")),
        notional=Grid(least=_of(notional, "minNotional"), most=_of(notional, "maxNotional")),
        notional_at_market=(
            bool(notional.get("applyMinToMarket", notional.get("applyToMarket", True))),
            bool(notional.get("applyMaxToMarket", False)),
        ),
    )


def unified_rules(
    symbol: Symbol, market: dict[str, Any], *, mode: Precision, last: Decimal | None = None
) -> TradingRules:
    """Read a ccxt market of any exchange; missing fields are no rules.

    Parameters
    ----------
    mode
        Meaning of ccxt's precision at this exchange.
    last
        The last price, for price steps that depend on it (`atb.domain.published.needs_price`).

    Raises
    ------
    DataError
        If neither a price step nor a last price is known.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    amount, cost, price = (limits.get(name) or {} for name in ("amount", "cost", "price"))
    instrument = published_rules(symbol, market, mode=mode, last=last, source="as the venue gives them now")
    lots: Precision = "decimal_places" if mode == "significant_digits" else mode
    grid = Grid(step_of(precision.get("price"), mode, price=last) or _NONE, _of(price, "min"), _of(price, "max"))
    quantity = Grid(step_of(precision.get("amount"), lots) or _NONE, _of(amount, "min"), _of(amount, "max"))
    notional = Grid(least=_of(cost, "min"), most=_of(cost, "max"))
    return TradingRules(instrument, str(market["id"]), grid, quantity, notional=notional)


def _digits(symbol: Symbol, info: dict[str, Any], *names: str) -> Decimal:
    """Return the finest step of an asset if the venue has no filter; it is never coarser than the venue's."""
    digits = next((info[name] for name in names if info.get(name) is not None), None)
    if digits is None:
        raise VenueError("The venue has no step for this symbol", found=str(symbol), todo="Trade another symbol")
    return Decimal(1).scaleb(-int(digits))


def _of(source: dict[str, Any], name: str) -> Decimal:
    """Return a number in an exchange's filter, 0 if it is missing."""
    value = source.get(name)
    return number(value) if value is not None else _NONE
