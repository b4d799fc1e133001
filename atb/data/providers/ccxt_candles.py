"""Public candles of an exchange through ccxt: traded prices, or the mark prices of a perpetual."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from atb.data.catalogue.series import MARK
from atb.data.providers.candle_source import Row
from atb.data.providers.ccxt_client import DIRECT, CcxtClient, Pace, Route
from atb.domain import Instrument, Symbol, Timeframe
from atb.domain.published import Precision, needs_price, published_rules
from atb.errors import DataError, InputError
from atb.times import at_ms, short

_MOST_ROWS = 1_000
# These serve only their latest candles, whatever start is asked for: missing ones would be taken for a gap of the exchange.
_SHORT_HISTORY = {"kraken": 720}


class CcxtCandles:
    """A `CandleSource` through ccxt.

    Parameters
    ----------
    exchange_id
        ccxt's name of the exchange, such as `binance`, in any case.
    route, sleep, pace
        As for `CcxtClient`.
    needs_history
        Whether candles will be asked for, and not only rules.
    price
        `trade` for candles of trades; `mark` for those of a perpetual's mark price, which have no volume and are stored
        under the venue's name with `-mark`.

    Raises
    ------
    InputError
        If ccxt does not know the exchange, or it publishes no mark prices.
    """

    def __init__(
        self,
        exchange_id: str,
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
        needs_history: bool = True,
        price: Literal["trade", "mark"] = "trade",
    ) -> None:
        self._client = CcxtClient(exchange_id, route=route, sleep=sleep, pace=pace, resumes=needs_history)
        self._price = price
        if price == "mark" and not self._client.exchange.has.get("fetchMarkOHLCV"):
            raise InputError("This exchange publishes no candles of mark prices", found=self._client.id)
        self.venue = self._client.id + (MARK if price == "mark" else "")
        self.origin = f"{self._client.id} through ccxt" + (", mark prices" if price == "mark" else "")
        self.page = min(_MOST_ROWS, self._largest_page())

    def now_ms(self) -> int:
        """Return the exchange's time in epoch milliseconds; the machine's if the exchange publishes none."""
        return self._client.now_ms()

    def rules(self, symbol: Symbol) -> Instrument:
        """Return the symbol's trading rules as the exchange publishes them today.

        Raises
        ------
        InputError
            If the exchange has no such symbol.
        DataError
            If the exchange cannot be reached, refuses, or publishes neither a price step nor a price.
        """
        market, mode = self._client.market(str(symbol)), self._mode
        last = self._last(symbol) if needs_price(market, mode) else None
        day = datetime.now(UTC)
        return published_rules(
            symbol, market, mode=mode, last=last, source=f"published by {self._client.id}, {day:%Y-%m-%d}"
        )

    def instrument(self, symbol: Symbol, timeframe: Timeframe) -> Instrument | None:
        """Return the symbol's trading rules, if the exchange has candles of this duration; None for mark prices.

        Raises
        ------
        InputError
            If the exchange has no such symbol or timeframe, or mark prices are wanted of a spot pair.
        DataError
            As for `rules`.
        """
        if self._price == "mark" and not symbol.settle:
            todo = f"Name the perpetual, such as {symbol}:{symbol.quote}, and where it is traded (--venue binanceusdm)"
            raise InputError(f"Only perpetuals have mark prices, and {symbol} is a spot pair", todo=todo)
        found = self.rules(symbol)
        offered = self._client.exchange.timeframes or {}
        if str(timeframe) not in offered:
            known = f"It has {' '.join(offered)}"
            raise InputError(f"{self._client.id} has no candles of this duration", found=str(timeframe), todo=known)
        return found if self._price == "trade" else None

    def candles(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[Row]:
        """Return up to `page` candles that open at `since_ms` (epoch ms) or later, oldest first.

        Raises
        ------
        DataError
            If the exchange cannot be reached or refuses, or serves only later candles.
        """
        params = {"price": "mark"} if self._price == "mark" else {}
        exchange = self._client.exchange
        rows = self._client.ask(
            lambda: exchange.fetch_ohlcv(str(symbol), str(timeframe), since=since_ms, limit=self.page, params=params)
        )
        self._refuse_lost(rows, timeframe, since_ms)
        # Mark prices have no volume.
        return [[*row[:5], row[5] or 0.0] for row in rows if row[0] >= since_ms]

    def _refuse_lost(self, rows: list[Row], timeframe: Timeframe, since_ms: int) -> None:
        """Refuse a start before the first candle that a venue of short history still serves."""
        most = _SHORT_HISTORY.get(self._client.id)
        # A download begins one candle before the first that it wants.
        if most is None or len(rows) < most - 1 or rows[0][0] <= since_ms + timeframe.seconds * 1_000:
            return
        raise DataError(
            f"{self._client.id} serves only its latest {most} candles of {timeframe}, from {short(at_ms(int(rows[0][0])))}",
            found=f"asked from {short(at_ms(since_ms))}",
            todo="Download from there on or from another exchange, or import files",
        )

    @property
    def _mode(self) -> Precision:
        import ccxt

        known: dict[int, Precision] = {
            ccxt.TICK_SIZE: "tick_size",
            ccxt.SIGNIFICANT_DIGITS: "significant_digits",
        }
        return known.get(self._client.exchange.precisionMode, "decimal_places")

    def _last(self, symbol: Symbol) -> Decimal | None:
        """Return the last price, None if the exchange publishes none."""
        price = self._client.ask(lambda: self._client.exchange.fetch_ticker(str(symbol))).get("last")
        return Decimal(str(price)) if price else None

    def _largest_page(self) -> int:
        features = self._client.exchange.features or {}
        kinds = [features.get("spot"), (features.get("swap") or {}).get("linear")]
        limits = [((kind or {}).get("fetchOHLCV") or {}).get("limit") for kind in kinds]
        return int(next((limit for limit in limits if limit), _MOST_ROWS))
