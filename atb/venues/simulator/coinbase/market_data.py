"""Coinbase's market data endpoints: time, products, candles, prices and currencies."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atb.domain import Instrument
from atb.venues.simulator.coinbase import formats
from atb.venues.simulator.coinbase.requests import CoinbaseError, CoinbaseRequest, invalid

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

_MAX_CANDLES = 350
_FIAT = {"USD": "US Dollar", "EUR": "Euro", "GBP": "British Pound"}


class MarketEndpoints:
    """Endpoints of the market."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def time(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the exchange's time."""
        now = self._exchange.server_ms()
        return {"iso": formats.iso(now), "epochSeconds": str(now // 1_000), "epochMillis": str(now)}

    def time_v2(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the exchange's time in the format of version 2."""
        now = self._exchange.server_ms()
        return {"data": {"iso": formats.iso(now), "epoch": now // 1_000}}

    def products(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return every product of a type; only spot products exist."""
        spot = request.query.get("product_type", "SPOT") == "SPOT"
        found = [self._product(rules) for rules in self._exchange.market.instruments.values() if spot]
        return {"products": found, "num_products": len(found)}

    def product(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return one product."""
        return self._product(self._rules_of(request.names["product"]))

    def candles(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return the candles that open in [start, end], epoch seconds, newest first."""
        rules = self._rules_of(request.names["product"])
        interval = formats.GRANULARITIES.get(request.query.get("granularity", ""))
        if interval is None:
            raise invalid("unknown granularity")
        try:
            start, end = (1_000 * int(request.query[name]) for name in ("start", "end"))
        except (KeyError, ValueError) as error:
            raise invalid("start and end are epoch seconds") from error
        bars = self._exchange.market.find(rules.symbol.joined, interval)
        if bars is None:
            return {"candles": []}
        if (end - start) // (1_000 * bars.timeframe.seconds) > _MAX_CANDLES:
            raise invalid(f"number of candles requested should be less than {_MAX_CANDLES}")
        return formats.candles(
            self._exchange.market.candles(
                bars, start_ms=start, end_ms=end, limit=_MAX_CANDLES, ahead_ms=self._exchange.skew_ms
            )
        )

    def ticker(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return the last trade and the best prices."""
        rules = self._rules_of(request.names["product"])
        price, bid, ask = self._prices(rules)
        last = {
            "trade_id": "1",
            "product_id": formats.product_id(rules),
            "price": price,
            "size": formats.plain(rules.lot),
            "time": formats.iso(self._exchange.server_ms()),
            "side": "BUY",
        }
        return {"trades": [last], "best_bid": bid, "best_ask": ask}

    def book(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return the order book: one level on each side."""
        rules = self._rules_of(request.query.get("product_id", ""))
        _, bid, ask = self._prices(rules)
        body = {"product_id": formats.product_id(rules), "time": formats.iso(self._exchange.server_ms())}
        return {
            "pricebook": body | {"bids": [{"price": bid, "size": "1000"}], "asks": [{"price": ask, "size": "1000"}]}
        }

    def currencies(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the fiat currencies."""
        return {"data": [{"id": name, "name": words, "min_size": "0.01"} for name, words in _FIAT.items()]}

    def crypto(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return every traded asset that is no fiat currency."""
        symbols = [rules.symbol for rules in self._exchange.market.instruments.values()]
        assets = sorted({asset for symbol in symbols for asset in (symbol.base, symbol.quote)} - _FIAT.keys())
        rows = [{"asset_id": formats.account_id(name), "code": name, "name": name, "type": "crypto"} for name in assets]
        return {"data": rows}

    def rates(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return exchange rates of the dollar: only the trivial one."""
        return {"data": {"currency": "USD", "rates": {"USD": "1.0"}}}

    def _rules_of(self, name: str) -> Instrument:
        """Return the rules of a product.

        Raises
        ------
        CoinbaseError
            If there is none of that name.
        """
        for rules in self._exchange.market.instruments.values():
            if formats.product_id(rules) == name:
                return rules
        raise CoinbaseError(404, "NOT_FOUND", f"product {name} not found")

    def _product(self, rules: Instrument) -> dict[str, Any]:
        tape = self._exchange.trading.tapes[rules.symbol.joined]
        return formats.product(rules, Decimal(repr(tape.price)), trading=tape.open)

    def _prices(self, rules: Instrument) -> tuple[str, str, str]:
        """Return last, bid and ask."""
        price = Decimal(repr(self._exchange.trading.tapes[rules.symbol.joined].price))
        last, bid, ask = (formats.plain(value) for value in (price, price - rules.tick, price + rules.tick))
        return last, bid, ask
