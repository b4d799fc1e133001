"""A public client of an exchange through ccxt: retries with back-off, one clear error when they fail, a pace shared by several."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atb.errors import DataError, InputError, did_you_mean

RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_WAIT_S = 120.0
# Only spot markets and no account data: 2 requests instead of 7, and none of them signed.
_BINANCE = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
_OPTIONS: dict[str, dict[str, Any]] = {
    "binance": _BINANCE,
    "binanceusdm": _BINANCE | {"fetchMarkets": {"types": ["linear"]}},
}


class Pace:
    """Start times of requests, far enough apart for an exchange's limit, for all clients that share it.

    Parameters
    ----------
    sleep, clock
        Called to wait that many seconds, and for the time in seconds.
    """

    def __init__(
        self, *, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep, self._clock, self._lock, self._free = sleep, clock, threading.Lock(), 0.0

    def wait(self, seconds: float) -> None:
        """Wait for one's turn; the next one comes `seconds` later."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._free)
            self._free = turn + seconds
        if turn > now:
            self._sleep(turn - now)


@dataclass(frozen=True)
class Route:
    """How an exchange is reached.

    Parameters
    ----------
    base_url
        Another address with the exchange's API, such as a simulator's; None for its own.
    proxy
        URL of an HTTP proxy for every request; None for none.
    ca_file
        Certificates (PEM) to trust instead of the usual ones.
    """

    base_url: str | None = None
    proxy: str | None = None
    ca_file: Path | None = None


DIRECT = Route()


class CcxtClient:
    """An exchange through ccxt, without an account.

    Parameters
    ----------
    exchange_id
        ccxt's name of the exchange, such as `binance`, in any case.
    route
        How it is reached.
    sleep
        Called to wait that many seconds.
    pace
        Shared by the clients of one exchange that work at the same time; None for one alone.
    resumes
        Whether the command that asks goes on where it stopped.

    Raises
    ------
    InputError
        If ccxt does not know the exchange.
    """

    def __init__(
        self,
        exchange_id: str,
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
        resumes: bool = True,
    ) -> None:
        import ccxt

        exchange_id = exchange_id.strip().lower()
        if exchange_id not in ccxt.exchanges:
            raise InputError("Unknown exchange", found=exchange_id, todo=did_you_mean(exchange_id, ccxt.exchanges))
        config = {
            "timeout": 10_000,
            "enableRateLimit": route.base_url is None or pace is not None,
            "options": dict(_OPTIONS.get(exchange_id, {})),
        }
        if route.proxy is not None:
            config["httpsProxy"] = route.proxy
        if route.ca_file is not None:
            config["validateServerSsl"] = str(route.ca_file)  # what `requests` gets as `verify`
        self.id, self._ccxt, self._sleep, self._resumes = exchange_id, ccxt, sleep, resumes
        self.exchange: Any = getattr(ccxt, exchange_id)(config)
        if route.base_url is not None:
            self.exchange.urls["api"] = _moved(self.exchange.urls["api"], route.base_url.rstrip("/"))
        if pace is not None:
            self.exchange.throttle = lambda cost=None: pace.wait((cost or 1.0) * self.exchange.rateLimit / 1_000)

    def now_ms(self) -> int:
        """Return the exchange's time in epoch milliseconds; the machine's if the exchange publishes none."""
        if not self.exchange.has.get("fetchTime"):
            return int(time.time() * 1_000)
        return int(self.ask(self.exchange.fetch_time))

    def market(self, symbol: str) -> dict[str, Any]:
        """Return the exchange's description of a symbol.

        Raises
        ------
        InputError
            If the exchange has no such symbol.
        DataError
            If it cannot be reached, or refuses.
        """
        markets = self.ask(self.exchange.load_markets)
        if symbol not in markets:
            near = did_you_mean(symbol, markets) if len(markets) < 20 else _nearest(symbol, markets)
            raise InputError(f"{self.id} has no such symbol", found=symbol, todo=near)
        found: dict[str, Any] = markets[symbol]
        return found

    def ask(self, call: Callable[[], Any]) -> Any:
        """Call; after a network error or a rate limit wait and call again.

        Raises
        ------
        DataError
            If the exchange cannot be reached, or refuses.
        """
        for wait in (*RETRY_WAITS_S, None):
            try:
                return call()
            except self._ccxt.NetworkError as error:
                asked = self._retry_after(error)
                if wait is None or asked > LONGEST_WAIT_S:
                    raise self._unreachable(error, asked) from error
                self._sleep(max(wait, asked))
            except self._ccxt.BaseError as error:
                raise DataError(f"{self.id} refused the request", found=_brief(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _retry_after(self, error: Exception) -> float:
        """Return the wait that a rate-limit response asks for (s), else 0."""
        if not isinstance(error, self._ccxt.DDoSProtection):
            return 0.0
        headers = {key.lower(): value for key, value in (self.exchange.last_response_headers or {}).items()}
        text = str(headers.get("retry-after", ""))
        return float(text) if text.isdecimal() else 0.0

    def _unreachable(self, error: Exception, asked: float) -> DataError:
        if asked > LONGEST_WAIT_S:
            todo = f"Wait {asked:.0f} s, as it asks, then run the same command again"
            return DataError(f"{self.id} allows no more requests for now", found=_brief(error), todo=todo)
        todo = "Check the connection, then run the same command again"
        todo += ": it goes on where it stopped" if self._resumes else ""
        return DataError(f"{self.id} cannot be reached", found=_brief(error), todo=todo)


def _moved(addresses: Any, base: str) -> Any:
    """Return ccxt's addresses of an API, in any nesting, on another host."""
    if isinstance(addresses, dict):
        return {name: _moved(part, base) for name, part in addresses.items()}
    if isinstance(addresses, list):
        return [_moved(part, base) for part in addresses]
    return base + urlsplit(addresses).path if isinstance(addresses, str) else addresses


def _nearest(name: str, known: Any) -> str:
    near = did_you_mean(name, known)
    return near if near.startswith("Did") else f"Write it like BTC/USDT; there are {len(known)} symbols"


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:160]}"
