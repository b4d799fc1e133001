"""Public candles of an exchange through ccxt: few requests, retries with back-off, one clear error when they fail."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from atb.data.providers.candle_source import Row
from atb.domain import Instrument, Symbol, Timeframe
from atb.domain.published import Precision, needs_price, published_rules
from atb.errors import DataError, InputError, did_you_mean

RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_WAIT_S = 120.0
_MOST_ROWS = 1_000
# These serve only their latest candles, whatever start is asked for: missing ones would be taken for a gap of the exchange.
_SHORT_HISTORY = frozenset({"kraken"})
# Only spot markets and no account data: 2 requests instead of 7, and none of them signed.
_BINANCE = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}


class CcxtCandles:
    """A `CandleSource` through ccxt.

    Parameters
    ----------
    exchange_id
        ccxt's name of the exchange, such as `binance`, in any case.
    base_url
        Another address with the exchange's API (Binance only), such as a simulator's.
    sleep
        Called to wait that many seconds.
    needs_history
        Whether candles will be asked for, and not only rules.

    Raises
    ------
    InputError
        If ccxt does not know the exchange, or it cannot be pointed at another address.
    DataError
        If the exchange serves no usable history.
    """

    def __init__(
        self, exchange_id: str, *, base_url: str | None = None, sleep: Callable[[float], None] = time.sleep,
        needs_history: bool = True,
    ) -> None:  # fmt: skip
        import ccxt

        exchange_id = exchange_id.strip().lower()
        if exchange_id not in ccxt.exchanges:
            raise InputError("Unknown exchange", found=exchange_id, todo=did_you_mean(exchange_id, ccxt.exchanges))
        if needs_history and exchange_id in _SHORT_HISTORY:
            raise DataError(
                f"{exchange_id} serves only its latest 720 candles", todo="Download from another exchange, or import"
            )
        options = dict(_BINANCE) if exchange_id == "binance" else {}
        config = {"timeout": 10_000, "enableRateLimit": base_url is None, "options": options}
        self.venue, self.origin = exchange_id, f"{exchange_id} through ccxt"
        self._ccxt, self._sleep, self._needs_history = ccxt, sleep, needs_history
        self._exchange: Any = getattr(ccxt, exchange_id)(config)
        if base_url is not None:
            self._point_at(base_url)
        limit = ((self._exchange.features or {}).get("spot") or {}).get("fetchOHLCV") or {}
        self.page = min(_MOST_ROWS, int(limit.get("limit") or _MOST_ROWS))

    def now_ms(self) -> int:
        """Return the exchange's time in epoch milliseconds; the machine's if the exchange publishes none."""
        if not self._exchange.has.get("fetchTime"):
            return int(time.time() * 1_000)
        return int(self._with_retries(self._exchange.fetch_time))

    def rules(self, symbol: Symbol) -> Instrument:
        """Return the symbol's trading rules as the exchange publishes them today.

        Raises
        ------
        InputError
            If the exchange has no such symbol.
        DataError
            If the exchange cannot be reached, refuses, or publishes neither a price step nor a price.
        """
        markets = self._with_retries(self._exchange.load_markets)
        if str(symbol) not in markets:
            near = did_you_mean(str(symbol), markets) if len(markets) < 20 else _nearest(str(symbol), markets)
            raise InputError(f"{self.venue} has no such symbol", found=str(symbol), todo=near)
        market, mode = markets[str(symbol)], self._mode
        last = self._last(symbol) if needs_price(market, mode) else None
        day = datetime.now(UTC)
        return published_rules(
            symbol, market, mode=mode, last=last, source=f"published by {self.venue}, {day:%Y-%m-%d}"
        )

    @property
    def _mode(self) -> Precision:
        known: dict[int, Precision] = {
            self._ccxt.TICK_SIZE: "tick_size",
            self._ccxt.SIGNIFICANT_DIGITS: "significant_digits",
        }
        return known.get(self._exchange.precisionMode, "decimal_places")

    def _last(self, symbol: Symbol) -> Decimal | None:
        """Return the last price, None if the exchange publishes none."""
        price = self._with_retries(lambda: self._exchange.fetch_ticker(str(symbol))).get("last")
        return Decimal(str(price)) if price else None

    def instrument(self, symbol: Symbol, timeframe: Timeframe) -> Instrument:
        """Return the symbol's trading rules, if the exchange has candles of this duration.

        Raises
        ------
        InputError
            If the exchange has no such symbol or timeframe.
        DataError
            As for `rules`.
        """
        found = self.rules(symbol)
        offered = self._exchange.timeframes or {}
        if str(timeframe) not in offered:
            known = f"It has {' '.join(offered)}"
            raise InputError(f"{self.venue} has no candles of this duration", found=str(timeframe), todo=known)
        return found

    def candles(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[Row]:
        """Return up to `page` candles that open at `since_ms` (epoch ms) or later, oldest first.

        Raises
        ------
        DataError
            If the exchange cannot be reached, or refuses.
        """
        rows = self._with_retries(
            lambda: self._exchange.fetch_ohlcv(str(symbol), str(timeframe), since=since_ms, limit=self.page)
        )
        return [row[:6] for row in rows if row[0] >= since_ms]

    def _point_at(self, base_url: str) -> None:
        if self.venue != "binance":
            raise InputError("Only binance can be pointed at another address", found=self.venue)
        address = base_url.rstrip("/")
        for key in ("public", "private", "v1"):
            self._exchange.urls["api"][key] = f"{address}/api/v3"
        for key in ("sapi", "sapiV2", "sapiV3", "sapiV4"):
            self._exchange.urls["api"][key] = f"{address}/sapi/v1"

    def _with_retries(self, call: Callable[[], Any]) -> Any:
        """Call; after a network error or a rate limit wait and call again."""
        for wait in (*RETRY_WAITS_S, None):
            try:
                return call()
            except self._ccxt.NetworkError as error:
                asked = self._retry_after(error)
                if wait is None or asked > LONGEST_WAIT_S:
                    raise self._unreachable(error, asked) from error
                self._sleep(max(wait, asked))
            except self._ccxt.BaseError as error:
                raise DataError(f"{self.venue} refused the request", found=_brief(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _retry_after(self, error: Exception) -> float:
        """Return the wait that a rate-limit response asks for (s), else 0."""
        if not isinstance(error, self._ccxt.DDoSProtection):
            return 0.0
        headers = {key.lower(): value for key, value in (self._exchange.last_response_headers or {}).items()}
        text = str(headers.get("retry-after", ""))
        return float(text) if text.isdecimal() else 0.0

    def _unreachable(self, error: Exception, asked: float) -> DataError:
        if asked > LONGEST_WAIT_S:
            todo = f"Wait {asked:.0f} s, as it asks, then run the same command again"
            return DataError(f"{self.venue} allows no more requests for now", found=_brief(error), todo=todo)
        todo = "Check the connection, then run the same command again"
        todo += ": it goes on where it stopped" if self._needs_history else ""
        return DataError(f"{self.venue} cannot be reached", found=_brief(error), todo=todo)


def _nearest(name: str, known: Any) -> str:
    near = did_you_mean(name, known)
    return near if near.startswith("Did") else f"Write it like BTC/USDT; there are {len(known)} symbols"


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:160]}"
