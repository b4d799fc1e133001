"""Access to an exchange, and the ccxt instance configured for it: no request of its own, no guessed prices."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atb.errors import ConfigError
from atb.venues.broker.capabilities import RECV_WINDOW_MS
from atb.venues.broker.transport import recording_class


@dataclass(frozen=True, slots=True)
class Access:
    """Exchange, address and key of an account.

    Parameters
    ----------
    id
        ccxt's name of the exchange.
    base_url
        Another address with the same API, such as a simulator's; None for the exchange itself.
    proxy, ca_file
        An HTTP proxy for all connections, streams included, and the certificate authority to trust instead of the usual ones.
    timeout_s
        Time-out of a request, in real seconds.
    recv_window_ms
        How long after its timestamp the exchange may still execute a request.
    frame_gap_ms
        The longest usual time between two frames of a market stream, exchange time; three times that counts as silence.
    order_entry
        The way of orders: `rest`, or `websocket` with REST behind it.
    """

    id: str
    api_key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    base_url: str | None = None
    proxy: str | None = None
    ca_file: Path | None = None
    timeout_s: float = 10.0
    recv_window_ms: int = RECV_WINDOW_MS
    frame_gap_ms: int = 10_000
    order_entry: str = "rest"

    def __post_init__(self) -> None:
        """Validate the values."""
        if self.base_url is not None and self.id not in _OVERRIDES:
            raise ConfigError("This exchange cannot be pointed at another address", found=self.id, todo="Use a proxy")
        if self.timeout_s <= 0 or not 0 < self.recv_window_ms <= 60_000:
            found = f"{self.timeout_s} s, {self.recv_window_ms} ms"
            raise ConfigError("A time-out is above 0 and a receive window 1 to 60000 ms", found=found)
        if self.order_entry not in {"rest", "websocket"} or (self.order_entry == "websocket" and self.id != "binance"):
            found, todo = f"{self.order_entry} at {self.id}", "Set exchange.order_entry to rest"
            raise ConfigError("Orders go by rest, or at Binance by websocket", found=found, todo=todo)


def make_exchange(access: Access) -> Any:
    """Return ccxt's exchange for an account.

    Its own rate limiter is off (`RateLimiter` decides, and orders do not queue), it loads spot markets and no account data
    on the way, and it takes its time from us.

    Raises
    ------
    InputError
        If ccxt does not know the exchange.
    """
    config: dict[str, Any] = {
        "apiKey": access.api_key,
        "secret": access.secret,
        "timeout": max(1, round(access.timeout_s * 1_000)),
        "enableRateLimit": False,
        "options": dict(_OPTIONS.get(access.id, {})),
    }
    if access.id == "binance":
        config["options"]["recvWindow"] = access.recv_window_ms
    if access.proxy is not None:
        config |= {"httpsProxy": access.proxy, "wssProxy": access.proxy}
    if access.ca_file is not None:
        config["cafile"] = str(access.ca_file)
    # At DEBUG ccxt logs every header and signed address, so its level stays at INFO or above.
    chatty = logging.getLogger("ccxt")
    chatty.setLevel(max(chatty.level, logging.INFO))
    exchange: Any = recording_class(access.id)(config)
    if access.base_url is not None:
        _OVERRIDES[access.id](exchange, access.base_url.rstrip("/"))
    # Pings detect half-open connections after 3 x 20 s instead of 2 x 180 s.
    exchange.streaming = {**(exchange.streaming or {}), "keepAlive": 20_000, "maxPingPongMisses": 2}
    return exchange


def _binance_at(exchange: Any, address: str) -> None:
    """Point every used address at another host; ccxt recognizes spot streams by "/stream" in their path."""
    socket = f"{'wss' if address.startswith('https') else 'ws'}://{urlsplit(address).netloc}"
    api = exchange.urls["api"]
    api.update(dict.fromkeys(("public", "private", "v1"), f"{address}/api/v3"))
    api.update(dict.fromkeys(("sapi", "sapiV2", "sapiV3", "sapiV4"), f"{address}/sapi/v1"))
    api["ws"] = {**api["ws"], "spot": f"{socket}/stream/ws"}
    api["ws"]["ws-api"] = {**api["ws"]["ws-api"], "spot": f"{socket}/ws-api/v3"}


def _coinbase_at(exchange: Any, address: str) -> None:
    exchange.urls["api"]["rest"] = address
    exchange.urls["api"]["ws"] = (
        f"{'wss' if address.startswith('https') else 'ws'}://{urlsplit(address).netloc}/coinbase/ws"
    )


def _kraken_at(exchange: Any, address: str) -> None:
    exchange.urls["api"].update(public=address, private=address)


_OVERRIDES = {"binance": _binance_at, "coinbase": _coinbase_at, "kraken": _kraken_at}
_OPTIONS: dict[str, dict[str, Any]] = {
    "binance": {
        "defaultType": "spot",
        "fetchCurrencies": False,
        "fetchMargins": False,
        "fetchMarkets": {"types": ["spot"]},
        "adjustForTimeDifference": False,
        "watchBalance": {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False},
        "warnOnFetchOpenOrdersWithoutSymbol": False,
    },
    "coinbase": {"adjustForTimeDifference": False},
}
